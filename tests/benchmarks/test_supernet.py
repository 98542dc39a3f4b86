"""The recorded costs of supernets: the page is what the records give, and the hand-written peer is a fair one."""

from __future__ import annotations

import json

import pytest
import torch

import spacec
from benchmarks import darts_by_hand
from benchmarks.report import HERE, ROOT
from benchmarks.supernet import RECORDS as FOLDER
from benchmarks.supernet import path_of, records
from benchmarks.supernet_page import page, pictures, slope
from benchmarks.supernet_rows import Row, growth_text, rows
from spacec.lower.bench.counting import count_calls

RECORDS = records()


def test_the_page_is_what_the_records_give() -> None:
    assert page(RECORDS) == (HERE / "SUPERNET.md").read_text(encoding="utf-8")
    for name, picture in pictures(RECORDS).items():
        assert picture == (HERE / name).read_text(encoding="utf-8")


def test_a_page_of_nothing_says_so() -> None:
    assert page({}).count("not measured") > 20
    assert pictures({}) == {}


@pytest.mark.parametrize("row", rows(), ids=lambda row: row.key)
def test_a_record_was_made_with_the_settings_of_its_row(row: Row) -> None:
    if path_of(row.key).exists():
        assert RECORDS[row.key]["settings"] == json.loads(json.dumps(row.settings()))


def test_no_record_is_left_over() -> None:
    assert {p.stem for p in FOLDER.glob("*")} == set(RECORDS)


def test_the_supernet_written_by_hand_is_the_plain_form() -> None:
    """The same numbers bit for bit, forward and backward, and the same number of convolutions."""
    torch.set_num_threads(1)
    space = spacec.load(ROOT / "grammars/darts.space", preset="tiny")
    plain = space.supernet(seed=0).double()
    hand = darts_by_hand.Supernet(4, 3).double()
    darts_by_hand.copy_weights(plain, hand)
    x = torch.randn(2, 3, 32, 32, dtype=torch.float64)
    mask = {s.id: torch.randn(8, dtype=torch.float64).softmax(0).requires_grad_() for s in space.slots}
    kinds = [darts_by_hand.weights_of(mask, kind) for kind in ("normal", "reduce")]
    found = []
    for net, run in ((plain, lambda: plain(x, mask=mask).prediction), (hand, lambda: hand(x, *kinds))):
        out = run()
        calls = count_calls(lambda run=run: run().square().sum())
        found.append((out, [p.grad for p in net.parameters()], [c.products for c in calls]))
    (a, grads_a, calls_a), (b, grads_b, calls_b) = found
    assert torch.equal(a, b)
    assert calls_a == calls_b
    for first, second in zip(grads_a, grads_b, strict=True):
        torch.testing.assert_close(first, second, rtol=1e-10, atol=1e-12)
    with pytest.raises(ValueError, match="other layers"):
        darts_by_hand.copy_weights(plain, darts_by_hand.Supernet(4, 4).double())


def test_the_space_of_growth() -> None:
    small, wide = (spacec.loads(growth_text(k), cells=n) for n, k in ((2, 2), (4, 3)))
    assert (len(small.slots), small.slots[0].size) == (3, 2)
    assert (len(wide.slots), wide.slots[0].size) == (3, 3)
    convolutions = [sum("conv" in str(getattr(n, "key", "")) for n in s.flat.nodes) for s in (small, wide)]
    assert convolutions == [2 * 2 * 3 * 2, 2 * 4 * 3 * 3]


def test_a_slope() -> None:
    assert slope([0.0, 1.0, 2.0], [1.0, 3.0, 5.0]) == pytest.approx(2.0)

"""Tables of networks and the searches over them: the batch of networks trains each as alone, rows are made again."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
import torch

from benchmarks.feasible import RECORDS
from benchmarks.feasible_page import Networks, page, pictures
from benchmarks.feasible_rows import SHARES, TABLES, Searches, limit_of, rows, table_rows
from benchmarks.feasible_run import make_searches
from benchmarks.feasible_train import accuracies, batches, sizes_of, trained
from benchmarks.report import HERE
from benchmarks.strategy_run import load_space
from spacec.search.seeds import stable_seed

FOUND = RECORDS.all()
CHECKED = (Searches("digits", 50, "rejection"), Searches("digits", 50, "one-sided", -0.1))


@pytest.fixture
def doubles() -> Iterator[None]:
    """Networks in float64, on one thread."""
    threads = torch.get_num_threads()
    torch.set_default_dtype(torch.float64)
    torch.set_num_threads(1)
    yield
    torch.set_default_dtype(torch.float32)
    torch.set_num_threads(threads)


def test_the_page_is_what_the_records_give() -> None:
    assert page(FOUND) == (HERE / "FEASIBLE.md").read_text(encoding="utf-8")
    for name, picture in pictures(FOUND).items():
        assert picture == (HERE / name).read_text(encoding="utf-8")


def test_no_record_is_left_over_and_all_are_of_the_settings() -> None:
    assert {p.stem for p in RECORDS.folder.glob("*.json")} == set(FOUND) <= {row.key for row in rows()}


def test_a_batch_of_networks_trains_each_as_it_is_trained_alone(doubles: None) -> None:
    space = load_space(TABLES["digits"].space())
    archs = [arch for arch in space.enumerate() if sizes_of(arch) in ("2-32-4", "32-2-8", "16-16-32", "4-4-4")]
    x = torch.randn(64, 64, generator=torch.Generator().manual_seed(0))
    y = torch.arange(64) % 10
    training = {"epochs": 6, "batch_size": 16, "lr": 0.02}
    layers = trained(space, archs, (x, y), training, 3)
    for place, arch in enumerate(archs):
        net = space.network(arch, seed=stable_seed(3, "weights", arch.text()))
        optimizer = torch.optim.Adam(net.parameters(), lr=0.02)
        for step, chosen in enumerate(batches(64, 16, 6, 3)):
            optimizer.param_groups[0]["lr"] = 0.02 * (1 - step / 24)
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(net(x[chosen]), y[chosen]).backward()
            optimizer.step()
        linears = [m for m in net.modules() if isinstance(m, torch.nn.Linear)]
        for linear, (weight, bias) in zip(linears, layers, strict=True):
            rows_, columns = linear.weight.shape
            torch.testing.assert_close(weight[place, :rows_, :columns], linear.weight, rtol=1e-9, atol=1e-11)
            torch.testing.assert_close(bias[place, :rows_], linear.bias, rtol=1e-9, atol=1e-11)
            assert not weight[place, rows_:].any()
            assert not weight[place, :, columns:].any()
        alone = float((net(x).argmax(1) == y).double().mean())
        assert accuracies(layers, x, y)[place] == pytest.approx(alone, abs=1e-6)


@pytest.mark.parametrize("data", [data for data in TABLES if table_rows(data)])
def test_a_table_has_every_network_once_with_all_seeds(data: str) -> None:
    space = load_space(TABLES[data].space())
    found = table_rows(data)
    assert {sizes_of(arch): space.params(arch) for arch in space.enumerate()} == {
        k: row["params"] for k, row in found.items()
    }
    assert all(len(row[part]) == TABLES[data].seeds for row in found.values() for part in ("valid", "test"))
    for share in SHARES:
        within = sum(row["params"] <= limit_of(data, share) for row in found.values())
        assert within / len(found) == pytest.approx(share / 100, abs=0.04)


@pytest.mark.parametrize("row", CHECKED, ids=lambda row: row.key)
def test_searches_are_made_again_to_the_last_digit(row: Searches) -> None:
    threads = torch.get_num_threads()
    try:
        again = make_searches(row.settings(), 1)
    finally:
        torch.set_num_threads(threads)
    recorded = json.loads((RECORDS.folder / f"{row.key}.json").read_text(encoding="utf-8"))
    assert again["likely"] == recorded["likely"][:1]
    assert again["rated"] == recorded["rated"][:1]


def test_ends_are_counted_and_their_regret_is_of_those_within() -> None:
    networks = Networks(
        {"2-2-2": 10, "4-2-2": 20, "4-4-4": 40},
        {"2-2-2": 50.0, "4-2-2": 70.0, "4-4-4": 90.0},
        {"2-2-2": 52.0, "4-2-2": 51.0, "4-4-4": 80.0},
    )
    record = {"likely": ["4-4-4", "2-2-2", "4-2-2", "4-4-4"], "rated": ["4-2-2", "2-2-2", "4-2-2", ""]}
    ends = networks.ends(record, 20)
    assert networks.best(20) == "4-2-2"
    assert ends.beyond == 50.0
    assert ends.regrets == (20.0, 0.0)
    assert ends.tested == (-1.0, 0.0)
    assert ends.rated == (0.0, 20.0, 0.0)

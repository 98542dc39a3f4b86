"""What is measured of a supernet: counts and sizes that can be worked out by hand. No time is asserted."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

import spacec
from spacec.diagnostics.model import SpacecError
from spacec.lower.bench import rows
from spacec.lower.bench.counting import count_calls, is_product
from spacec.lower.bench.forms import FORMS, Form, Setting, Subject, check_sizes, forms_for, subject_of
from spacec.lower.bench.machine import Rates
from spacec.lower.bench.memory import live_peak, most_resident, resident
from spacec.lower.bench.picture import drawing
from spacec.lower.bench.record import alone, measured, with_memory
from spacec.lower.bench.roofline import Work, work
from spacec.lower.bench.timing import measure_times

CPU = torch.device("cpu")
SMALL = """\
space small(C = 4)
input  image:  [3, H, W]
output logits: [2]
net = conv(3, C) >> (relu | identity) >> global_pool >> linear(2)
"""


@pytest.fixture(autouse=True)
def threads() -> None:
    torch.set_num_threads(1)


def test_calls_are_counted_forward_and_backward() -> None:
    x, w = torch.randn(2, 3), torch.randn(3, 4, requires_grad=True)
    forward, backward = count_calls(lambda: (x @ w).relu().sum())
    assert {k: n for k, n in forward.by_op.items() if "detach" not in k} == {
        "aten::mm": 1,
        "aten::relu": 1,
        "aten::sum": 1,
    }
    assert (forward.products, backward.products) == (1, 1)  # x takes no gradient: one product backward
    assert backward.by_op["aten::threshold_backward"] == 1
    assert w.grad is not None


def test_a_convolution_is_one_product_each_way() -> None:
    x, w = torch.randn(1, 2, 5, 5, requires_grad=True), torch.randn(3, 2, 3, 3, requires_grad=True)
    forward, backward = count_calls(lambda: F.conv2d(x, w).sum())
    assert (forward.products, backward.products) == (1, 1)
    assert forward.all < 5


@pytest.mark.parametrize(
    ("name", "product"),
    [
        ("aten::convolution_backward", True),
        ("aten::addmm", True),
        ("aten::bmm", True),
        ("aten::_scaled_dot_product_flash_attention_for_cpu", True),
        ("spacec::depthwise", True),
        ("spacec::separable_backward", True),
        ("spacec::moments", False),
        ("aten::add", False),
        ("aten::native_batch_norm", False),
        ("aten::mul", False),
        ("aten::max_pool2d_with_indices", False),
    ],
)
def test_what_is_a_product(name: str, product: bool) -> None:
    assert is_product(name) is product


def test_live_bytes_at_their_most() -> None:
    kept = torch.ones(1000)

    def run() -> Tensor:
        a = kept + 1  # 4,000 bytes
        b = a.view(10, 100) * 2  # and a view of them: 8,000
        del a  # 4,000
        c = torch.cat([b, b])  # 12,000
        del b
        return c

    assert live_peak(run, CPU) == 12_000
    assert live_peak(lambda: kept.view(10, 100), CPU) == 0


def test_live_bytes_count_what_autograd_keeps() -> None:
    x = torch.ones(1000, requires_grad=True)

    def run(layers: int) -> None:
        y = x
        for _ in range(layers):
            y = y.sin()  # keeps its input
        y.sum().backward()
        x.grad = None

    one, more = live_peak(lambda: run(2), CPU), live_peak(lambda: run(6), CPU)
    assert one is not None
    assert more is not None
    assert more - one == 4 * 4000


def test_what_was_there_before_and_goes_is_not_counted() -> None:
    held = [torch.ones(1000)]
    assert live_peak(held.clear, CPU) == 0


def test_resident_sizes() -> None:
    now, most = resident(), most_resident()
    assert now is None or (most is not None and 0 < now <= most)


def test_the_work_of_a_small_graph() -> None:
    space = spacec.loads(SMALL)
    found = work(space.flat, space.table, {"H": 6, "W": 5}, batch=2)
    area, batch = 30, 2
    macs = batch * (area * 3 * 4 * 9 + 4 * 2)
    image, maps, pooled, logits = (batch * n for n in (3 * area, 4 * area, 4, 2))
    weights = [4 * 3 * 9, 4 * 2 + 2]
    moved = [
        3 * (image + weights[0]) + 2 * maps,
        3 * maps + 2 * maps,  # relu; the identity hands its input on
        3 * (2 * maps) + 2 * maps,  # the weighted choice of both
        3 * maps + 2 * pooled,
        3 * (pooled + weights[1]) + 2 * logits,
    ]
    assert found == Work(6 * macs, 4 * sum(moved))
    assert found.seconds(Rates(found.operations / 3, found.bytes)) == 3
    assert found.seconds(Rates(found.operations, found.bytes / 4)) == 4


def test_sizes_are_checked() -> None:
    with pytest.raises(SpacecError, match="E0512"):
        check_sizes(spacec.loads(SMALL), {"H": 6})
    clearer = spacec.load("grammars/clearer.space", preset="tiny")
    check_sizes(clearer, {"H": 1, "W": 2})
    odd = spacec.loads(SMALL.replace("conv(3, C)", "conv(3, C) >> conv(2, C, stride = 2, pad = 0)"))
    for needed in odd.preconditions:
        with pytest.raises(SpacecError, match="does not take this size"):
            check_sizes(odd, {"H": needed.divisor * 3 + 1, "W": 7})


def test_forms_of_spaces_without_images() -> None:
    names = [form.name for form in forms_for(spacec.load("grammars/tabular.space"))]
    assert "plain" in names
    assert "plain-last" not in names


def test_subjects_take_turns() -> None:
    ran: list[str] = []

    def subject(name: str) -> Subject:
        def loss() -> Tensor:
            ran.append(name)
            return torch.ones((), requires_grad=True)

        return Subject(name, name, loss, ())

    told: list[int] = []
    found = measure_times([subject("a"), subject("b")], CPU, 3, lambda _, done, total: told.append(total - done))
    assert "".join(ran) == "aabb" + "ab" + "ba" + "ab"
    assert told == [8, 6, 5, 4, 3, 2, 1, 0]
    assert {name: len(times.rounds) for name, times in found.items()} == {"a": 3, "b": 3}


@pytest.fixture(scope="module")
def record() -> dict[str, Any]:
    """Of a small space, in full; not of what generates code, which takes a while."""
    torch.set_num_threads(1)
    space, setting = spacec.loads(SMALL), Setting(CPU, 2, {"H": 6, "W": 5})
    forms = [form for form in FORMS if not form.compiled]
    found = measured(space, forms, setting, 2, lambda *_: None)
    memory = {form.name: alone(lambda form=form: subject_of(space, form, setting), CPU) for form in forms}
    return {"space": {"name": space.name, "digest": space.digest, "header": {}}, **with_memory(found, memory)}


def test_a_record_in_full(record: dict[str, Any]) -> None:
    plain = record["forms"]["plain"]
    assert len(plain["seconds"]) == 2
    assert plain["calls"]["forward"]["products"] == 2
    assert plain["memory"]["held"] == 4 * (4 * 27 + 10 + 2 * 3 * 30)
    assert plain["memory"]["live"] > 0
    assert set(record["machine"]) == {"processor", "capability", "cores", "threads", "python", "torch"}


def test_forms_are_the_same_function() -> None:
    """Their losses agree, so what is timed is one thing."""
    space, setting = spacec.load("grammars/nas_bench_201.space", preset="tiny"), Setting(CPU, 2)
    losses = [float(subject_of(space, f, setting).loss().detach()) for f in FORMS if not f.compiled]
    assert losses == pytest.approx([losses[0]] * len(losses), rel=1e-4)


def made(**forms: dict[str, Any]) -> dict[str, Any]:
    return {
        "space": {"name": "s", "header": {"C": 4}},
        "batch": 2,
        "sizes": {"H": 8},
        "device": "cpu",
        "machine": {"processor": "P", "capability": "AVX2", "threads": 2, "torch": "2"},
        "rates": {"operations": 1e9, "bytes": 1e9},
        "work": {"operations": 5e8, "bytes": 1e8},
        "floor": 0.5,
        "forms": {name: {"title": name.upper(), **form} for name, form in forms.items()},
    }


def form(seconds: list[float], calls: int | None, **more: Any) -> dict[str, Any]:
    counted = calls and {"forward": {"all": calls, "products": 2}, "backward": {"all": calls, "products": 3}}
    return {"first": 9.0, "seconds": seconds, "compiled": False, "calls": counted, **more}


RECORD = made(
    **{
        "plain": form([4.0, 8.0, 4.0], 50, memory={"live": 2000, "held": 1, "resident": 9000, "before": 4000}),
        "plain-last": form([3.0, 3.0, 3.0], 50, memory=None),
        "fast": form([1.0, 2.0, 1.5], None, memory={"live": 500, "resident": None, "before": None}, compiled=True),
    }
)


def test_rows_from_a_record() -> None:
    plain, last, fast = rows.rows_of(RECORD)
    assert (plain.seconds, plain.faster, plain.faster_than_best, plain.floors) == (4.0, 1.0, 0.75, 8.0)
    assert (plain.live, plain.share, plain.resident, plain.calls, plain.products) == (2000, 1.0, 5000, 100, 5)
    assert (last.faster, last.live, last.share, last.compiling) == (pytest.approx(4 / 3), None, None, None)
    assert (fast.faster, fast.faster_than_best, fast.share, fast.compiling) == (4.0, 2.0, 0.25, 7.5)
    assert rows.cells(fast)[1:4] == ("1.5 s", "4.00", "2.00")
    assert rows.cells(fast)[7:10] == (rows.NOT,) * 3


def test_a_page_and_a_picture_from_a_record() -> None:
    found = rows.rows_of(RECORD)
    text = rows.markdown(RECORD, found)
    assert "| PLAIN | 4 s | 1.00 | 0.75 | 8.0 | 2 kB | 1.00 | 5 kB | 100 | 5 | - |" in text
    assert "batch 2, H = 8" in text
    assert "on a GPU: not measured" in text
    svg = drawing(RECORD, found, "a < b").render()
    assert "a &lt; b" in svg
    assert svg.count("not measured") == 2
    alone = made(fast=form([1.0], 5))
    (row,) = rows.rows_of(alone)
    assert (row.faster, row.faster_than_best) == (None, None)
    drawing(alone, [row], "").render()


@pytest.mark.parametrize(
    ("count", "text"), [(None, rows.NOT), (0, "0 B"), (999, "999 B"), (1234, "1.23 kB"), (5_600_000_000, "5.6 GB")]
)
def test_sizes_in_words(count: int | None, text: str) -> None:
    assert rows.size(count) == text


def test_the_last_layout_moves_inputs_and_weights() -> None:
    space, setting = spacec.load("grammars/nas_bench_201.space", preset="tiny"), Setting(CPU, 2)
    subject = subject_of(space, Form("x", "x", last=True), setting)
    weights = [leaf for leaf in subject.leaves if leaf.dim() == 4]
    assert all(w.is_contiguous(memory_format=torch.channels_last) for w in weights)

"""The Task protocol: ports, header parameters, batches, metrics."""

from __future__ import annotations

import pytest
import torch

from spacec.diagnostics.model import SpacecError
from spacec.ir.dims import Symbol
from spacec.ir.types import TensorType
from spacec.search.evaluate import measure
from spacec.search.task import Affine, Batch, Metric, Output, Port, bind_header, check_ports, match_ports
from spacec.search.wiring import Wiring
from spacec.testing.synthetic import Synthetic
from tests.search.toy import SPACE, TASK, make


class Bound(Synthetic):
    name = "points"

    def header(self) -> dict[str, int | float | str]:
        return {"classes": 3}


BOUND = Bound()

H = Symbol("H")


@pytest.mark.parametrize(
    ("shape", "type_", "fits"),
    [
        ((1, None, None), TensorType(1, (8, 9)), True),
        ((3, 32, 32), TensorType(3, (32, 32)), True),
        ((3, 32, 32), TensorType(3, (32, 28)), False),
        ((3, 32), TensorType(3, (32, 32)), False),
        ((5,), TensorType(5, kind="tokens"), False),
        ((5,), (TensorType(5),), False),
    ],
)
def test_ports_accept_types(shape: tuple[int | None, ...], type_: TensorType, fits: bool) -> None:
    assert Port("x", shape).accepts(type_) is fits


def test_a_free_size_fits_any() -> None:
    from spacec.ir.dims import poly

    assert Port("x", (1, 64)).accepts(TensorType(1, (poly(H),)))


def test_a_misfit_names_both_sides() -> None:
    with pytest.raises(SpacecError) as error:
        check_ports(BOUND, {"x": TensorType(6)}, {"y": TensorType(3), "side": TensorType(9)})
    (found,) = error.value.diagnostics
    assert found.code == "E0707"
    assert found.headline == "input 'x' of the space is [6], task 'points' has x: [4]"


def test_missing_and_extra_ports() -> None:
    both = {"a": TensorType(4), "b": TensorType(4)}
    with pytest.raises(SpacecError, match="2 inputs"):
        check_ports(BOUND, both, {"y": TensorType(3)})
    with pytest.raises(SpacecError, match="0 outputs"):
        check_ports(BOUND, {"x": TensorType(4)}, {})


def test_ports_match_by_name_then_in_order() -> None:
    ports = (Port("a", (1,)), Port("b", (1,)), Port("c", (1,)))
    assert match_ports(ports, ("b", "y", "z")) == {"b": "b", "a": "y", "c": "z"}


def test_a_task_binds_what_the_space_declares() -> None:
    task = BOUND
    assert bind_header(task, ["classes", "C"], {"C": 4}) == {"classes": 3, "C": 4}
    assert bind_header(task, ["C"], {}) == {}
    assert bind_header(task, ["classes"], {"classes": 3}) == {"classes": 3}
    with pytest.raises(SpacecError, match="classes = 3") as error:
        bind_header(task, ["classes"], {"classes": 10})
    assert error.value.diagnostics[0].code == "E0502"


def test_batches_move_and_slice_whole() -> None:
    batch = Batch({"x": torch.arange(6.0)}, {"y": torch.arange(6)}, {"y": torch.ones(6)}, torch.zeros(6))
    part = batch.to("cpu").slice(2, 5)
    assert part.size == 3
    assert part.target.tolist() == [2, 3, 4]
    assert part.mask("y") is not None
    assert part.mask("z") is None
    assert part.domain is not None
    assert len(part.domain) == 3


def test_a_normaliser_is_inverted() -> None:
    x = torch.randn(50, 3, generator=torch.Generator().manual_seed(0)) * 4 + 7
    x[:, 2] = 5.0
    scale = Affine.fit(x, [0])
    encoded = scale.encode(x)
    torch.testing.assert_close(scale.decode(encoded), x)
    torch.testing.assert_close(encoded[:, :2].std(0, correction=0), torch.ones(2))
    assert encoded[:, 2].abs().max() == 0


def test_a_nan_is_never_better() -> None:
    nan = float("nan")
    for metric in (Metric("m", "max"), Metric("m", "min")):
        assert not metric.better(nan, metric.worst)
        assert metric.better(0.0, nan)
    assert Metric("m", "max").better(2, 1)
    assert Metric("m", "min").better(1, 2)


def test_metrics_weigh_samples_equally() -> None:
    split = TASK.splits(0).test
    model = SPACE.network(make(0, 0), seed=0).eval()

    def forward(inputs: object) -> Output:
        y = model(inputs["x"])
        return Output(y, {"logits": y})

    whole = measure(forward, TASK, split, 48, torch.device("cpu"))
    parts = measure(forward, TASK, split, 7, torch.device("cpu"))
    assert whole["score"] == pytest.approx(parts["score"])
    assert whole["loss"] == pytest.approx(parts["loss"])
    spread = [k * len(split) // 5 for k in range(5)]
    some = split.fetch(spread, torch.Generator(), False)
    assert measure(forward, TASK, split, 5, torch.device("cpu"), limit=1)["score"] == pytest.approx(
        float((model(some.inputs["x"]).argmax(1) == some.target).float().mean())
    )


def test_outputs_are_renamed_and_heads_kept_apart() -> None:
    wiring = Wiring(("x",), {"class": "logits"}, ("side",), ("logits", "side"))
    a, b = torch.ones(2), torch.zeros(2)
    out = wiring.rename(Output(b, {"logits": a, "side": b}))
    assert out.prediction is a
    assert dict(out.outputs) == {"class": a, "side": b}
    (head,) = wiring.heads(out)
    assert head.prediction is b
    both = wiring.wrap({"logits": a, "side": b, "loss:ponder": a})
    assert both.outputs["side"] is b
    assert dict(both.losses) == {"ponder": a}
    assert wiring.wrap(a).prediction is a


def test_a_metric_with_bounds_tells_how_good_a_value_is() -> None:
    assert Metric("accuracy", "max", bounds=(0.0, 1.0)).share(0.75) == 0.75
    assert Metric("error", "min", bounds=(0.0, 100.0)).share(25.0) == 0.75
    assert Metric("mse", "min").share(25.0) is None

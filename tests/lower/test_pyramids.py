"""Pyramids as inputs and outputs: law 4, the emitted file, and the names of the scales everywhere."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

import spacec
from spacec.lower.network import Network
from spacec.lower.package import Check, save_package
from spacec.lower.standalone import measure
from spacec.search.wiring import Wiring, free_sizes, input_types, output_types
from spacec.testing.equality import check_selected
from spacec.testing.inputs import example_inputs
from spacec.testing.synthetic import Synthetic

FUSION = """
space fusion(C = 4)
input  scales: {[3, 4*H, 4*W], [6, 2*H, 2*W]}
input  image:  [3, 4*H, 4*W]
output maps:   {[C, 4*H, 4*W], [2*C, 2*H, 2*W], [4*C, H, W]}
output label:  [5]
def exchange = fuse(up = conv(1) >> bn >> upsample, down = conv(3, stride = 2) >> bn, between = relu)
net = dag(scales, image) {
  s = scales >> each(conv(1) >> bn | conv(3) >> bn) -> {[C, 4*H, 4*W], [2*C, 2*H, 2*W]} >> transition(3, C)
  maps = s >> (fused: exchange | apart: each(conv(3) >> bn >> relu))
  label = (maps[0] + (image >> conv(3, C))) >> global_pool >> linear(5)
}
"""
SCALES = ["scales_0", "scales_1", "image"]
MAPS = ["maps_0", "maps_1", "maps_2", "label"]


@pytest.fixture(autouse=True)
def double() -> Iterator[None]:
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(before)


@pytest.fixture(scope="module")
def fusion() -> spacec.Space:
    return spacec.loads(FUSION)


@pytest.mark.parametrize("training", [False, True])
def test_selected_supernet_is_the_network(fusion: spacec.Space, training: bool) -> None:
    assert fusion.count() == len(list(fusion.enumerate())) == 8
    supernet, inputs = fusion.supernet(seed=0), example_inputs(fusion, batch=2)
    for arch in fusion.enumerate():
        check_selected(fusion, supernet, arch, inputs, training=training)


def test_emitted_source_computes_the_same(fusion: spacec.Space) -> None:
    inputs = example_inputs(fusion, batch=2)
    for arch in fusion.enumerate():
        network = fusion.network(arch, seed=0).eval()
        scope: dict[str, object] = {"__name__": "emitted"}
        exec(compile(fusion.source(arch), "network.py", "exec"), scope)
        alone = scope["build"]().eval()  # type: ignore[operator]  # what the text defines is not typed
        alone.load_state_dict(network.state_dict())
        theirs, mine = alone(**inputs), network(**inputs)
        assert list(theirs) == list(mine) == MAPS
        assert all(torch.equal(theirs[name], mine[name]) for name in MAPS)


def test_scales_have_one_name_each_everywhere(fusion: spacec.Space) -> None:
    assert list(fusion.inputs) == list(input_types(fusion.flat)) == SCALES
    assert list(fusion.outputs) == list(output_types(fusion.flat)) == MAPS
    supernet, inputs = fusion.supernet(seed=0).eval(), example_inputs(fusion, batch=2)
    out = supernet(**inputs, taps=("scales_1", "maps_2"))
    assert list(out.outputs) == MAPS
    assert torch.equal(out.taps["scales_1"], inputs["scales_1"])
    assert torch.equal(supernet(*inputs.values()).prediction, out.outputs["maps_0"])
    network = fusion.network("random:0")
    assert isinstance(network, Network)
    assert network.design.inputs == tuple(SCALES)
    with pytest.raises(TypeError, match="scales_1"):
        supernet(scales_0=inputs["scales_0"], image=inputs["image"])


def test_task_is_wired_to_scales_by_name(fusion: spacec.Space) -> None:
    torch.set_default_dtype(torch.float32)  # as tasks are; put back by the fixture
    task = Synthetic().adapt(fusion.inputs, fusion.outputs)
    batch = task.splits(0).weights.fetch([0, 1], torch.Generator(), False)
    wiring = Wiring.of(task, fusion.flat)
    assert wiring.inputs == tuple(SCALES)
    assert (dict(wiring.outputs), wiring.auxiliary) == ({"maps_0": "maps_0"}, tuple(MAPS[1:]))
    assert free_sizes(fusion.flat, wiring, batch) == {"H": task.options.size, "W": task.options.size}
    out = wiring.wrap(fusion.network("random:0")(*wiring.batch_arguments(batch)))
    assert task.measure(out, batch)["score"].shape == (2,)


def test_entry_checks_that_scales_fit_each_other(fusion: spacec.Space) -> None:
    inputs = example_inputs(fusion, batch=2, sizes={"H": 1, "W": 2})
    inputs["scales_1"] = inputs["scales_1"][..., :2]
    for model in (fusion.supernet(seed=0), fusion.network("random:0")):
        with pytest.raises(ValueError, match="scales_1"):
            model(**inputs)


def test_sizes_that_must_divide_are_preconditions() -> None:
    space = spacec.loads(
        "space s\ninput scales: {[4, H, W], [8, H/2, W/2]}\noutput maps: {[8, H/2, W/2]}\n"
        "net = dag(s) { return [(s[0] >> conv(1, stride = 2) -> [8, H/2, W/2]) + s[1]] }\n"
    )
    assert sorted(map(str, space.preconditions)) == ["H must be divisible by 2", "W must be divisible by 2"]
    network = space.network("random:0", seed=0)
    assert network(torch.randn(1, 4, 6, 4), torch.randn(1, 8, 3, 2)).shape == (1, 8, 3, 2)
    with pytest.raises(ValueError, match="divisible by 2"):
        network(torch.randn(1, 4, 5, 4), torch.randn(1, 8, 3, 2))


def test_check_of_an_exported_folder_takes_scales_by_name(tmp_path: Path) -> None:
    space = spacec.loads(
        "space s\ninput scales: {[3, 8, 8], [6, 4, 4]}\noutput y: [5]\n"
        "net = dag(a, b) { return concat(a >> global_pool, b >> global_pool) >> linear(5) }\n"
    )
    network = space.network("random:0", seed=0)
    inputs, target = example_inputs(space, batch=4), torch.tensor([0, 1, 2, 3])
    save_package(tmp_path, network, Check("accuracy", (inputs,), (target,)))
    stored = torch.load(tmp_path / "check.pt", weights_only=True)
    assert list(stored["inputs"][0]) == ["scales_0", "scales_1"]
    scope: dict[str, object] = {"__name__": "emitted"}
    exec(compile((tmp_path / "network.py").read_text(), "network.py", "exec"), scope)
    alone = scope["build"]()  # type: ignore[operator]  # what the text defines is not typed
    alone.load_state_dict(torch.load(tmp_path / "weights.pt", weights_only=True))
    assert measure(alone, "accuracy", stored["inputs"], stored["targets"]) == stored["value"]

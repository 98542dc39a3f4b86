"""From Python: load a space, ask it for facts, architectures and networks."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import spacec
from spacec.diagnostics.model import SpacecError
from spacec.driver import Session, as_expression, parameters_of
from spacec.hooks import LibraryDescriptor, Registry
from spacec.hooks.manager import Plugin
from spacec.source import SourceFile

GRAMMARS = Path(__file__).resolve().parents[1] / "grammars"
SMALL = """
space small(C = 4, mode = "a", widths = [4, 8], twice = 0)
input  image:  [1, 8, 8]
output logits: [10]
preset wide(C = 8)
def edge = relu | tanh | identity
let cell = conv(3, C) >> edge
let more = conv(1) >> (relu | tanh)
net = cell >> (more when twice | identity when not twice) >> global_pool >> linear(10)
"""


class Halve(nn.Module):
    """Halves its input."""

    def forward(self, x: Tensor) -> Tensor:
        return x / 2


def codes(error: SpacecError) -> set[str]:
    return {d.code for d in error.diagnostics}


def test_a_space_tells_its_facts_without_building_anything() -> None:
    space = spacec.load(GRAMMARS / "nas_bench_201.space", C=8, N=1)
    assert (space.name, space.count(), len(space.decisions), len(space.slots)) == ("nas_bench_201", 15_625, 6, 6)
    assert space.header == {"C": 8, "N": 1, "classes": 10, "channels": 3, "size": [32, 32]}
    assert space.presets == ("tiny",)
    assert {n: str(t) for n, t in space.inputs.items()} == {"image": "[3, 32, 32]"}
    assert {n: str(t) for n, t in space.outputs.items()} == {"logits": "[10]"}
    assert (
        repr(space)
        == f"<Space nas_bench_201(C=8, N=1, classes=10, channels=3, size=[32, 32]) {space.digest}: 6 decisions>"
    )


def test_forms_share_their_architectures() -> None:
    small, large = (spacec.load(GRAMMARS / "nas_bench_201.space", C=c, N=n) for c, n in ((4, 1), (16, 5)))
    assert small.digest == large.digest
    (found,) = small.sample(1, seed=3)
    assert large.params(found) == large.params(large.architecture(found.text()))
    assert large.architecture(small.to_json(found)) == found


def test_presets_come_before_parameters() -> None:
    assert spacec.loads(SMALL, preset="wide").header["C"] == 8
    assert spacec.loads(SMALL, preset="wide", C=6, mode="b", widths=(1, 2)).header == {
        "C": 6, "mode": "b", "widths": [1, 2], "twice": 0,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("params", "code"),
    [
        ({"c": 3}, "E0501"),
        ({"C": "many"}, "E0503"),
        ({"C": None}, "E0503"),
        ({"widths": [1, None]}, "E0503"),
        ({"C": float("nan")}, "E0503"),
        ({"preset": "huge"}, "E0504"),
    ],
)
def test_a_wrong_parameter_is_a_diagnostic(params: dict[str, object], code: str) -> None:
    with pytest.raises(SpacecError) as caught:
        spacec.loads(SMALL, **params)  # type: ignore[arg-type]  # wrong on purpose
    assert codes(caught.value) == {code}


def test_a_python_value_reads_as_the_language_writes_it() -> None:
    for value, text in [(3, "3"), (-2, "-2"), (0.5, "0.5"), ("a", '"a"'), ([1, [2]], "[1, [2]]"), (True, "1")]:
        expression = as_expression("C", value)
        assert expression.span.text == text


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(SpacecError, match="there is no file"):
        spacec.load(tmp_path / "absent.space")
    (tmp_path / "bytes.space").write_bytes(b"space \xff")
    with pytest.raises(SpacecError, match="not UTF-8"):
        spacec.load(tmp_path / "bytes.space")
    with pytest.raises(SpacecError, match="directory"):
        spacec.load(tmp_path)


def test_names_of_parameters_are_known_before_loading() -> None:
    assert parameters_of(GRAMMARS / "nas_bench_201.space") == ("C", "N", "classes", "channels", "size")


def test_a_let_that_a_form_does_not_use_does_not_alter_the_digest() -> None:
    without, using = spacec.loads(SMALL + "preset twice(twice = 1)"), spacec.loads(SMALL, twice=1)
    assert len(using.decisions) == len(without.decisions) + 1
    assert without.digest == using.digest


def test_networks_and_the_supernet_agree() -> None:
    space = spacec.load(GRAMMARS / "nas_bench_201.space", preset="tiny")
    x = torch.randn(2, *(d for d in space.inputs["image"].dims if isinstance(d, int)))
    supernet = space.supernet(seed=0).eval()
    assert sum(p.numel() for p in supernet.parameters()) == space.supernet_params()
    for arch in space.sample(n=3, seed=1):
        network = space.network(arch, weights=supernet).eval()
        assert sum(p.numel() for p in network.parameters()) == space.params(arch)
        assert torch.equal(network(x), supernet(x, mask=space.mask(arch)).prediction)
        assert "import spacec" not in space.source(arch)


def test_costs_under_symbolic_sizes() -> None:
    space = spacec.load(GRAMMARS / "clearer.space", preset="tiny")
    (arch,) = space.sample()
    assert space.macs(arch, H=8, W=8) == 2 * space.macs(arch, H=4, W=8)
    with pytest.raises(SpacecError) as caught:
        space.macs(arch)
    assert codes(caught.value) == {"E0512"}


def test_variation_stays_in_the_space() -> None:
    space = spacec.load(GRAMMARS / "tabular.space")
    a, b = space.sample(2, seed=0)
    for found in (space.mutate(a, seed=1), space.crossover(a, b, seed=1), *space.neighbours(a)):
        space.validate(found)
    assert space.mutate(a, seed=1) != a
    assert sum(1 for _ in space.enumerate()) == space.count() == 856


def test_an_architecture_of_another_space_is_refused() -> None:
    one, other = spacec.load(GRAMMARS / "nas_bench_201.space"), spacec.load(GRAMMARS / "tabular.space")
    with pytest.raises(SpacecError):
        one.network(other.sample()[0])


def test_a_users_own_module_is_an_op() -> None:
    text = SMALL.replace("identity\nlet", "halve\nlet", 1)
    space = spacec.loads(text, ops=[Halve])
    arch = space.architecture({**space.to_json(space.sample()[0])})
    assert space.network(arch)(torch.zeros(1, 1, 8, 8)).shape == (1, 10)
    with pytest.raises(SpacecError, match="halve"):
        spacec.loads(text)


LIBRARY = "def wide(f) = f >> f\n"
USER = """
space s
use "{path}"
input  x: [1, 8, 8]
output y: [10]
net = conv(3, 4) >> wide(relu) >> global_pool >> linear(10)
"""


def test_a_library_beside_the_file_is_used(tmp_path: Path) -> None:
    (tmp_path / "blocks.space").write_text(LIBRARY)
    (tmp_path / "s.space").write_text(USER.format(path="blocks.space"))
    assert spacec.load(tmp_path / "s.space").count() == 1


def test_an_installed_library_is_used() -> None:
    library = LibraryDescriptor("std", "the standard library", "spacec.std")
    owner = Plugin("libs", "spacec-libs", "1.0", {"spacec_library": (library,)})
    session = Session.default()
    session = Session(Registry((*session.registry.plugins, owner)), session.ops, session.prelude)
    text = USER.format(path="std/prelude.space").replace("wide(relu)", "relu")
    assert session.compile(SourceFile("s", text)).count() == 1


def test_a_library_that_is_not_there_is_a_diagnostic() -> None:
    for path in ("blocks.space", "std/absent.space", "nothing/x.space"):
        with pytest.raises(SpacecError) as caught:
            spacec.loads(USER.format(path=path))
        assert "E0209" in codes(caught.value)

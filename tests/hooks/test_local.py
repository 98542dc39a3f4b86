"""A user's own torch module as an op."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from spacec.diagnostics.model import SpacecError
from spacec.hooks import OPEN, REQUIRED, RuleError
from spacec.hooks.local import op_of_module, with_local_ops
from spacec.ir.dims import Symbol, poly
from spacec.ir.ops import OpTable
from spacec.ir.types import TensorType


class SqueezeExcite(nn.Module):
    """Scales channels by their means."""

    def __init__(self, in_channels: int, reduction: int = 4) -> None:
        super().__init__()
        self.down = nn.Linear(in_channels, in_channels // reduction)
        self.up = nn.Linear(in_channels // reduction, in_channels)

    def forward(self, x: Tensor) -> Tensor:
        return x * self.up(self.down(x.mean((2, 3))).relu()).sigmoid()[:, :, None, None]


class Shrink(nn.Module):
    def __init__(self, in_channels: int, out_channels: int, stride: int, kernel: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, kernel, stride, kernel // 2)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.conv(x)
        return y


class Flat(nn.Module):
    op_name = "flat"

    @staticmethod
    def shape(x: tuple[int, ...]) -> tuple[int, ...]:
        return (x[0] * x[1] * x[2],)

    @staticmethod
    def macs(x: tuple[int, ...]) -> int:
        return 7

    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(1)


class Two(nn.Module):
    def forward(self, x: Tensor, y: Tensor, scale: float = 1.0) -> Tensor:
        return x + scale * y


IMAGE = TensorType(8, (32, 32))


def test_the_signature_becomes_the_ops_parameters() -> None:
    op = op_of_module(SqueezeExcite)
    assert (op.name, op.inputs, op.state) == ("squeeze_excite", 1, True)
    assert op.help == "Scales channels by their means."
    assert [(p.name, p.default) for p in op.params] == [("reduction", 4)]
    shrink = op_of_module(Shrink)
    assert [(p.name, p.default) for p in shrink.params] == [("out", OPEN), ("stride", OPEN), ("kernel", REQUIRED)]
    assert op_of_module(Two).inputs == 2


def test_by_default_the_type_stays_and_the_weights_are_counted() -> None:
    state = torch.random.get_rng_state()
    result = op_of_module(SqueezeExcite).rule({"reduction": 2}, (IMAGE,))
    assert result.type == IMAGE
    assert result.params == sum(p.numel() for p in SqueezeExcite(8, 2).parameters())
    torch.random.set_rng_state(state)
    op_of_module(SqueezeExcite).rule({"reduction": 2}, (IMAGE,))
    assert torch.equal(torch.random.get_rng_state(), state)


def test_open_attributes_change_the_type() -> None:
    result = op_of_module(Shrink).rule({"out": 12, "stride": 2, "kernel": 3}, (TensorType(8, (31, 32)),))
    assert result.type == TensorType(12, (16, 16))
    assert result.params == 8 * 12 * 9 + 12


def test_shape_and_macs_are_asked() -> None:
    result = op_of_module(Flat).rule({}, (TensorType(2, (3, 4)),))
    assert (result.type, result.macs) == (TensorType(24), 7)


def test_free_spatial_sizes_pass_through() -> None:
    height = poly(Symbol("H"))
    assert (
        op_of_module(SqueezeExcite).rule({"reduction": 4}, (TensorType(8, (height, height)),)).type.space[0] == height
    )


def test_a_constructor_that_fails_is_a_finding_at_the_use() -> None:
    with pytest.raises(RuleError, match="building Shrink raised") as caught:
        op_of_module(Shrink).rule({"out": 4, "stride": 1, "kernel": -3}, (IMAGE,))
    assert caught.value.code == "E0714"


def test_a_class_of_a_function_cannot_be_an_op() -> None:
    class Inner(Two):
        pass

    with pytest.raises(SpacecError) as caught:
        op_of_module(Inner)
    assert caught.value.diagnostics[0].code == "E0715"


FILE = """
from torch import nn

class Scale(nn.Module):
    def __init__(self, factor=2.0):
        super().__init__()
        self.factor = factor
    def forward(self, x):
        return self.factor * x

class _Helper(nn.Module):
    def forward(self, x):
        return x
"""


def test_a_file_gives_its_public_modules(tmp_path: Path) -> None:
    path = tmp_path / "my_ops.py"
    path.write_text(FILE)
    table = with_local_ops(OpTable(), [str(path)])
    assert list(table.ops) == ["scale"]
    (op,) = table.ops.values()
    assert op.origin == str(path)
    from spacec.hooks.descriptors import load_target

    assert load_target(op.lowering, "scale")(3.0).factor == 3.0


def test_an_edited_file_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "my_ops.py"
    path.write_text(FILE)
    first = with_local_ops(OpTable(), [path]).ops["scale"]
    path.write_text(FILE.replace("factor=2.0", "factor=5.0"))
    second = with_local_ops(OpTable(), [path]).ops["scale"]
    assert [p.default for p in first.params] == [2.0]
    assert [p.default for p in second.params] == [5.0]


@pytest.mark.parametrize(
    ("text", "code", "words"),
    [
        ("import nothing_of_that_name", "E0713", "No module named 'nothing_of_that_name'"),
        ("def f(:", "E0713", "SyntaxError"),
        ("x = 1", "E0715", "a constructor and a forward"),
        ("OPS = 3", "E0715", "is not a list of torch modules"),
        (FILE + "Scale.op_name = 'two'", "E0716", "named 'two'"),
    ],
)
def test_what_a_file_can_get_wrong(tmp_path: Path, text: str, code: str, words: str) -> None:
    path = tmp_path / "ops.py"
    path.write_text(text)
    with pytest.raises(SpacecError) as caught:
        with_local_ops(OpTable({"two": op_of_module(Two)}), [path])
    (found,) = caught.value.diagnostics
    assert found.code == code
    assert words in found.headline + "".join(found.notes)


def test_a_missing_file_says_so(tmp_path: Path) -> None:
    with pytest.raises(SpacecError) as caught:
        with_local_ops(OpTable(), [tmp_path / "absent.py"])
    assert caught.value.diagnostics[0].notes == ("No such file or directory",)

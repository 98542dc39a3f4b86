"""Every primitive does what its shape rule says, on vectors, sequences and images."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from spacec.diagnostics.model import SpacecError
from spacec.ir.ops import AttrValue, OpSpec, RuleError
from spacec.lower import modules
from spacec.lower.network import Network
from spacec.lower.supernet import Supernet
from spacec.space.architecture import architecture_of
from spacec.space.decisions import DecisionTable
from spacec.std.primitives import PRIMITIVE_TABLE
from tests.lower import user_ops
from tests.lower.helpers import as_out
from tests.lower.spaces import Builder

EMPTY = DecisionTable("one_op", "0123abcd", ())
SPACES = {0: (), 1: (7,), 2: (7, 6)}
WINDOWED = ("conv", "max_pool", "avg_pool")
SPATIAL = (*WINDOWED, "instance_norm", "flatten")
"""Those that need space axes."""
SEQUENCE = ("positions", "sinusoids", "attend", "attend_grid", "class_token", "token", "rest")
"""Those that need one axis."""
OTHERS = ("embed", "penalty", "vq", "propagate", "gat", "graph_norm", "pair_norm")
"""Those that take tokens or graphs, or return losses: test_sequence.py and test_graphs.py have them."""
EXTRA: dict[str, dict[str, AttrValue]] = {
    "conv": {"kernel": 3, "out": 6, "stride": 2},
    "linear": {"out": 5},
    "max_pool": {"kernel": 3, "stride": 2},
    "avg_pool": {"kernel": 3, "stride": 2},
    "zero": {"out": 3, "stride": 2},
    "upsample": {"factor": 3},
    "noise": {"stride": 2},
    "narrow": {"channels": 2},
    "attend": {"heads": 2},
    "attend_grid": {"heads": 2, "side": 2, "extra": 3},
    "times": {"by": 2.0},
}


def one_op(name: str | OpSpec, *shapes: tuple[int, ...], **attrs: AttrValue) -> tuple[Network, tuple[int, ...]]:
    """A network that is one op on inputs of these shapes (without batch axis), and the output's shape by its rule."""
    b = Builder()
    inputs = [b.input(f"in_{k}", *shape) for k, shape in enumerate(shapes)]
    node = b.op(name, *inputs, key="op_0", **attrs)
    network = Network(b.graph("one_op", out=node), EMPTY, architecture_of(EMPTY, {}), seed=0)
    dims = b.nodes[node].type.dims
    return network.double(), tuple(d for d in dims if isinstance(d, int))


def apply(name: str | OpSpec, *tensors: Tensor, **attrs: AttrValue) -> Tensor:
    network, expected = one_op(name, *(tuple(t.shape[1:]) for t in tensors), **attrs)
    out = network(*tensors)
    assert isinstance(out, Tensor)
    assert tuple(out.shape) == (tensors[0].shape[0], *expected)
    return out


def data(*shape: int) -> Tensor:
    return torch.randn(2, *shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    ("name", "rank"),
    [
        (name, rank)
        for name in PRIMITIVE_TABLE.ops
        for rank in SPACES
        if name not in OTHERS and (rank or name not in SPATIAL) and (rank == 1 or name not in SEQUENCE)
    ],
)
def test_output_has_the_type_of_the_rule(name: str, rank: int) -> None:
    x = data(4, *SPACES[rank])
    given = [data(4), x] if name == "broadcast" else [x] * (PRIMITIVE_TABLE.ops[name].inputs or 2)
    apply(name, *given, **EXTRA.get(name, {}))


@pytest.mark.parametrize("rank", [1, 2])
@pytest.mark.parametrize("kernel", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("dilation", [1, 2])
def test_same_padding_of_a_convolution(rank: int, kernel: int, stride: int, dilation: int) -> None:
    """Against a plain sum over taps on an amply padded input."""
    x = data(2, *SPACES[rank])
    network, _ = one_op("conv", tuple(x.shape[1:]), kernel=kernel, out=3, stride=stride, dilation=dilation, bias=1)
    found = network(x)
    weight, bias = network.get_parameter("op_0.weight"), network.get_parameter("op_0.bias")
    left, ample = dilation * (kernel - 1) // 2, dilation * kernel
    padded = F.pad(x, [left, ample] * rank)
    conv = (F.conv1d, F.conv2d)[rank - 1]
    whole = conv(padded, weight, bias, stride, 0, dilation)
    expected = whole[(..., *(slice(-(-n // stride)) for n in x.shape[2:]))]
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("rank", [1, 2])
@pytest.mark.parametrize("kernel", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("stride", [1, 2])
def test_pools_leave_their_padding_out(rank: int, kernel: int, stride: int) -> None:
    x = data(2, *SPACES[rank])
    left = (kernel - 1) // 2
    for name, reduce in (("avg_pool", Tensor.nanmean), ("max_pool", lambda t, d: t.nan_to_num(-1e9).amax(d))):
        windows = F.pad(x, [left, kernel] * rank, value=float("nan"))
        for axis in range(2, x.dim()):
            windows = windows.unfold(axis, kernel, stride).narrow(axis, 0, -(-x.shape[axis] // stride))
        expected = reduce(windows.flatten(x.dim()), -1)
        torch.testing.assert_close(apply(name, x, kernel=kernel, stride=stride), expected, rtol=1e-10, atol=1e-10)


def test_unpadded_windows() -> None:
    x = data(2, 8, 8)
    torch.testing.assert_close(apply("avg_pool", x, kernel=5, stride=3, pad=0), F.avg_pool2d(x, 5, 3))
    assert apply("conv", x, kernel=2, out=3, pad=0).shape == (2, 3, 7, 7)
    assert apply("conv", x, kernel=2, out=3, pad=1, stride=(1, 2)).shape == (2, 3, 9, 5)
    torch.testing.assert_close(apply("max_pool", x, kernel=3, stride=(1, 2)), F.max_pool2d(x, 3, (1, 2), 1))


def test_depthwise_and_initial_weights() -> None:
    network, _ = one_op("conv", (64, 5, 5), kernel=3, out=64, groups=64, init=("normal", 0.01))
    weight = network.get_parameter("op_0.weight").detach()
    assert weight.shape == (64, 1, 3, 3)
    assert float(weight.std()) == pytest.approx(0.01, rel=0.1)
    with pytest.raises(RuleError, match="`init` is"):
        one_op("conv", (4, 5), kernel=3, init="orthogonal")


@pytest.mark.parametrize("rank", [0, 1, 2])
def test_linear_acts_on_channels(rank: int) -> None:
    x = data(4, *SPACES[rank])
    network, _ = one_op("linear", tuple(x.shape[1:]), out=5)
    weight, bias = network.get_parameter("op_0.weight"), network.get_parameter("op_0.bias")
    expected = torch.einsum("oc,nc...->no...", weight, x) + bias.reshape(-1, *(1,) * rank)
    torch.testing.assert_close(network(x), expected)


@pytest.mark.parametrize("rank", [0, 1, 2])
def test_norms(rank: int) -> None:
    x = data(4, *SPACES[rank]) * 3 + 1
    layer = apply("layer_norm", x)
    torch.testing.assert_close(layer.mean(1), torch.zeros_like(layer[:, 0]))
    batch = apply("bn", x, affine=0)
    torch.testing.assert_close(batch.transpose(0, 1).flatten(1).mean(1), torch.zeros(4, dtype=torch.float64))
    if rank:
        instance = apply("instance_norm", x)
        torch.testing.assert_close(instance.flatten(2).mean(2), torch.zeros(2, 4, dtype=torch.float64))


def test_instance_norm_of_a_vector_is_refused() -> None:
    with pytest.raises(SpacecError, match="refuses its arguments"):
        one_op("instance_norm", (4,))


def test_shift_upsample_zero_global_pool() -> None:
    x = data(1, 3, 4)
    shifted = apply("shift", x)
    torch.testing.assert_close(shifted[..., :-1, :-1], x[..., 1:, 1:])
    assert float(shifted[..., -1, :].abs().sum() + shifted[..., :, -1].abs().sum()) == 0
    up = apply("upsample", x, factor=(1, 2))
    torch.testing.assert_close(up, x.repeat_interleave(2, -1))
    assert float(apply("zero", x, out=5, stride=2).abs().sum()) == 0
    torch.testing.assert_close(apply("global_pool", x), x.mean((2, 3)))


@pytest.mark.parametrize("shape", [(5,), (3, 4)])
def test_linear_upsampling(shape: tuple[int, ...]) -> None:
    """Against the line through the centres of the two nearest cells, by hand along each axis."""
    x = data(2, *shape)
    found = apply("upsample", x, factor=3, mode="bilinear")
    for axis in range(2, x.dim()):
        n = x.shape[axis]
        at = ((torch.arange(3 * n, dtype=x.dtype) + 0.5) / 3 - 0.5).clamp(0, n - 1)
        low = at.floor().long()
        part = (at - low).reshape([-1 if k == axis else 1 for k in range(x.dim())])
        x = x.index_select(axis, low) * (1 - part) + x.index_select(axis, (low + 1).clamp(max=n - 1)) * part
    torch.testing.assert_close(found, x, rtol=1e-10, atol=1e-10)


def test_broadcast() -> None:
    vector, x = data(3), data(5, 2, 4)
    found = apply("broadcast", vector, x)
    assert torch.equal(found, vector[:, :, None, None].expand(-1, -1, 2, 4))


def test_products_and_joins() -> None:
    x, gate = data(3, 4, 4), data(3)
    torch.testing.assert_close(apply("mul", x, gate), x * gate[:, :, None, None])
    torch.testing.assert_close(apply("mul", x, gate, x), x * x * gate[:, :, None, None])
    torch.testing.assert_close(apply("sum", x, x, x), 3 * x)
    torch.testing.assert_close(apply("concat", x, 2 * x), torch.cat([x, 2 * x], 1))
    assert torch.equal(apply("sum", x), x)


def test_drop_path() -> None:
    layer = modules.DropPath(0.25)
    x = torch.ones(4000, 2, 2)
    torch.manual_seed(0)
    y = layer(x)
    kept = y.flatten(1)
    assert y.unique().tolist() == [0.0, pytest.approx(4 / 3)]
    assert bool((kept == kept[:, :1]).all())
    assert float((kept[:, 0] > 0).float().mean()) == pytest.approx(0.75, abs=0.03)
    assert torch.equal(layer.eval()(x), x)
    network, _ = one_op("drop_path", (2,))
    network.set_drop_path(0.5)
    assert network.get_submodule("op_0").rate == 0.5
    with pytest.raises(ValueError, match="drop-path rate"):
        network.set_drop_path(1.0)


def test_noise_replaces_its_input() -> None:
    network, _ = one_op("noise", (3, 40, 40), stride=2)
    x = data(3, 40, 40)
    torch.manual_seed(0)
    y = network.eval()(x)
    torch.manual_seed(0)
    assert torch.equal(network(2 * x), y)
    assert not torch.equal(network(x), y)
    assert y.shape == (2, 3, 20, 20)
    assert not y.requires_grad
    assert abs(float(y.mean())) < 0.1
    assert abs(float(y.std()) - 1) < 0.1


def test_a_users_module_is_an_op() -> None:
    network, _ = one_op(user_ops.MIXER, (3, 4), strength=0.0)
    x = data(3, 4)
    torch.testing.assert_close(network(x), user_ops.squash(x))
    torch.testing.assert_close(apply(user_ops.SHUFFLE, data(4, 3), groups=2), data(4, 3)[:, [0, 2, 1, 3]])
    with pytest.raises(SpacecError, match="Needy needs `temperature`"):
        one_op(user_ops.NEEDY, (3,))


def test_a_lowering_that_cannot_be_loaded() -> None:
    for target in ("spacec.lower.ops:missing", "no_such_module_here:x"):
        with pytest.raises(SpacecError, match="cannot be loaded"):
            one_op(OpSpec("lost", user_ops.same, target), (3,))


def test_auxiliary_losses() -> None:
    b = Builder()
    x = b.input("x", 3)
    y = b.op(user_ops.QUANTISE, b.op(user_ops.QUANTISE, x, key="vq_0"), key="vq_1")
    flat = b.graph("vq", out=y)
    x_value = data(3).float()
    expected = 2 * x_value.square().mean()
    out = Supernet(flat, EMPTY, seed=0)(x_value)
    torch.testing.assert_close(out.losses["commitment"], expected)
    network = Network(flat, EMPTY, architecture_of(EMPTY, {}), seed=0)
    alone = as_out(network, network(x_value))
    torch.testing.assert_close(alone.losses["commitment"], expected)
    assert list(alone.outputs) == ["out"]
    assert torch.equal(alone.prediction, out.prediction)


def test_keys_must_be_free_attribute_paths() -> None:
    for key in ("forward.conv_0", "a b", "class.x_0", "design"):
        b = Builder()
        node = b.op("linear", b.input("x", 3), key=key)
        with pytest.raises(SpacecError, match="no free attribute name"):
            Network(b.graph("keys", out=node), EMPTY, architecture_of(EMPTY, {}))
    b = Builder()
    node = b.op("linear", b.op("linear", b.input("x", 3), key="a_0"), key="a_0.b_0")
    with pytest.raises(SpacecError, match="goes through the layer `a_0`"):
        Supernet(b.graph("keys", out=node), EMPTY)
    b = Builder()
    node = b.op("linear", b.op("linear", b.input("x", 3), key="a_0", out=4), key="a_0")
    with pytest.raises(SpacecError, match="share the weights `a_0`"):
        Supernet(b.graph("keys", out=node), EMPTY)


def test_layers_know_how_they_are_sliced_or_refuse() -> None:
    from spacec.ir.dims import poly
    from tests.lower.spaces import elastic_decision

    decision, width = elastic_decision("net.width", 2, 4)
    table = DecisionTable("compared", "0123abcd", (decision,))
    b = Builder()
    x = b.op("linear", b.input("x", 3, 5), key="a_0", out=poly(width))
    y = b.op("vq", x, key="b_0", codes=3)
    with pytest.raises(SpacecError, match="`vq` cannot run slices"):
        Supernet(b.graph("compared", out=y), table)

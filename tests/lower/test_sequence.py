"""Ops of tokens and sequences against plain formulas; halting against Graves' algorithm, position by position."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

import spacec
from spacec.diagnostics.model import SpacecError
from spacec.lower import modules_sequence as modules
from spacec.space.derive import slots_of
from spacec.testing.equality import check_selected
from spacec.testing.inputs import example_inputs
from tests.grammars.record import GRAMMARS
from tests.lower.helpers import CLOSE, count_parameters, disturb

pytestmark = pytest.mark.usefixtures("double")


def data(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def sequence_space(net: str, definitions: str = "", length: int | str = "T") -> spacec.Space:
    """A space of networks from ``[4, length]`` to the same."""
    return spacec.loads(f"space s\ninput x: [4, {length}]\noutput y: [4, {length}]\n{definitions}\nnet = {net}\n")


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("heads", [1, 2, 3])
def test_attention_is_the_formula(heads: int, causal: bool) -> None:
    q, k, v = (data(2, 6, 5, seed=s) for s in range(3))
    found = modules.attend(q, k, v, heads, causal)
    width = 6 // heads
    for h in range(heads):
        part = slice(h * width, (h + 1) * width)
        for n in range(2):
            for t in range(5):
                seen = t + 1 if causal else 5
                scores = torch.stack([(q[n, part, t] * k[n, part, j]).sum() / math.sqrt(width) for j in range(seen)])
                shares = scores.softmax(0)
                expected = sum(shares[j] * v[n, part, j] for j in range(seen))
                torch.testing.assert_close(found[n, part, t], expected, **CLOSE)


def test_causal_attention_sees_nothing_later() -> None:
    space = sequence_space('attention(2, mask = "causal")')
    network = space.network("random:0", seed=0)
    x = data(1, 4, 6)
    changed = x.clone()
    changed[:, :, 4:] += 1
    torch.testing.assert_close(network(x)[:, :, :4], network(changed)[:, :, :4], **CLOSE)
    assert not torch.allclose(network(x)[:, :, 4:], network(changed)[:, :, 4:])


def test_grid_attention_is_the_formula() -> None:
    """Scores q·(k + a), sums of v + b, where a and b depend on the clipped row and column distance."""
    side, distance, extra, heads = 3, 1, 1, 2
    layer = modules.GridAttention(heads, side, distance, extra, 2, 3)
    size = side * side + extra
    q, k, v = data(1, 4, size), data(1, 4, size, seed=1), data(1, 6, size, seed=2)
    found = layer(q, k, v)

    def place(i: int, j: int, axis: int) -> int:
        if i < extra or j < extra:
            return 0
        a, b = (divmod(n - extra, side)[axis] for n in (i, j))
        return max(-distance, min(distance, b - a)) + distance + 1

    for h in range(heads):
        for i in range(size):
            scores, values = [], []
            for j in range(size):
                row, column = place(i, j, 0), place(i, j, 1)
                key = k[0, 2 * h : 2 * h + 2, j] + layer.weight[0, row] + layer.weight[1, column]
                scores.append((q[0, 2 * h : 2 * h + 2, i] * key).sum() / math.sqrt(2))
                values.append(v[0, 3 * h : 3 * h + 3, j] + layer.values[0, row] + layer.values[1, column])
            shares = torch.stack(scores).softmax(0)
            expected = sum(s * value for s, value in zip(shares, values, strict=True))
            torch.testing.assert_close(found[0, 3 * h : 3 * h + 3, i], expected, **CLOSE)


def test_tokens_are_checked_at_the_entry() -> None:
    text = (
        "space s\ninput text: tokens(7)[T]\noutput y: [3]\nnet = embed(4) >> positions(6) >> global_pool >> linear(3)\n"
    )
    space = spacec.loads(text)
    for model in (space.network("random:0", seed=0), space.supernet(seed=0)):
        with pytest.raises(ValueError, match="input 'text' must hold tokens from 0 to 6, found 0 to 7"):
            model(torch.tensor([[0, 7]]))
        with pytest.raises(ValueError, match="input 'text' must hold tokens from 0 to 6, found -1 to 3"):
            model(torch.tensor([[3, -1]]))
        with pytest.raises(ValueError, match="input 'text' must hold whole numbers"):
            model(torch.zeros(2, 3))
        with pytest.raises(ValueError, match=r"input 'text' must be \[N, T\]"):
            model(torch.zeros(2, 3, 4, dtype=torch.long))
        with pytest.raises(ValueError, match="a sequence of 8 is longer than its 6 positions"):
            model(torch.zeros(2, 8, dtype=torch.long))
    network = space.network("random:0", seed=0)
    tokens = torch.tensor([[1, 2, 3], [6, 0, 1]])
    torch.testing.assert_close(network(tokens), network(tokens.int()))
    assert space.macs(space.architecture("random:0"), T=3) == 4 * 3


def graves(states: list[Tensor], chances: list[Tensor], threshold: float) -> tuple[Tensor, float]:
    """Adaptive computation time of one position (Graves 2016, equations 5 to 13): output, and N + R."""
    spent = 0.0
    output = torch.zeros_like(states[0])
    for n, (state, chance) in enumerate(zip(states, chances, strict=True), 1):
        if n == len(states) or spent + float(chance) > threshold:
            remainder = 1 - spent
            return output + remainder * state, n + remainder
        output = output + chance * state
        spent += float(chance)
    raise AssertionError("unreachable")


@pytest.mark.parametrize("hops", [1, 2, 4])
@pytest.mark.parametrize("threshold", [0.5, 0.9])
def test_act_is_graves_algorithm(hops: int, threshold: float) -> None:
    space = sequence_space(f"act(linear(4) >> tanh, hops = {hops}, threshold = {threshold})")
    network = space.network("random:0", seed=0)
    disturb(network, 0)
    weights = dict(network.named_parameters())
    step = next(n.removesuffix(".weight") for n, p in weights.items() if p.shape == (4, 4))
    x = data(3, 4, 5)
    out = network(x)
    assert isinstance(out, dict)
    states, state = [], x
    for _ in range(hops):
        state = torch.tanh(
            torch.einsum("oc,nct->not", weights[f"{step}.weight"], state) + weights[f"{step}.bias"][:, None]
        )
        states.append(state)
    if hops == 1:
        torch.testing.assert_close(out["y"], states[0], **CLOSE)
        assert float(out["loss:ponder"].detach()) == 2.0
        return
    halt = next(p for p in weights.values() if p.shape == (1, 4))
    bias = next(p for p in weights.values() if p.shape == (1,))
    chances = [torch.sigmoid(torch.einsum("oc,nct->not", halt, s) + bias[:, None]) for s in states]
    ponder = []
    for n in range(3):
        for t in range(5):
            expected, cost = graves([s[n, :, t] for s in states], [c[n, 0, t].detach() for c in chances], threshold)
            torch.testing.assert_close(out["y"][n, :, t], expected, **CLOSE)
            ponder.append(cost)
    assert float(out["loss:ponder"].detach()) == pytest.approx(sum(ponder) / len(ponder))


def test_the_cost_of_halting_is_stated() -> None:
    x = data(2, 4, 3)
    losses = []
    for cost in (1, 0.25):
        out = sequence_space(f"act(linear(4), hops = 3, cost = {cost})").network("random:0", seed=0)(x)
        assert isinstance(out, dict)
        losses.append(float(out["loss:ponder"].detach()))
    assert losses[1] == pytest.approx(0.25 * losses[0])


def test_act_ties_its_step_and_costs_every_hop() -> None:
    space = sequence_space("act(linear(4), hops = 4)")
    arch = space.architecture("random:0")
    assert space.params(arch) == (4 * 4 + 4) + (4 + 1)
    assert space.macs(arch, T=1) == 4 * 16 + 3 * 4
    halt = [p for n, p in space.network(arch).named_parameters() if n.endswith("bias") and p.shape == (1,)]
    assert [p.tolist()[0] for p in halt] == [1.0]


@pytest.mark.parametrize("depth", [2, 3, 4])
def test_a_tied_repeat_is_a_recurrence(depth: int) -> None:
    space = sequence_space("tied(linear(4) >> tanh) * {2..4}")
    network = space.network(f"{space.digest}:net={depth}", seed=0)
    assert count_parameters(network) == 20
    (weight, bias) = network.parameters()
    y = x = data(2, 4, 3)
    for _ in range(depth):
        y = torch.tanh(torch.einsum("oc,nct->not", weight, y) + bias[:, None])
    torch.testing.assert_close(network(x), y, **CLOSE)


def test_vector_quantisation() -> None:
    space = sequence_space("vq(3, commitment = 0.5)")
    supernet = space.supernet(seed=0)
    x = data(2, 4, 5).requires_grad_()
    out = supernet(x)
    codes = next(iter(supernet.parameters()))
    distances = (x.movedim(1, -1)[..., None, :] - codes).square().sum(-1)
    chosen = codes[distances.argmin(-1)].movedim(-1, 1)
    torch.testing.assert_close(out.prediction, chosen, **CLOSE)
    torch.testing.assert_close(out.losses["vq"], 1.5 * F.mse_loss(x, chosen), **CLOSE)
    out.prediction.sum().backward()
    assert torch.equal(x.grad, torch.ones_like(x)), "straight through"


def test_small_ops() -> None:
    x = data(2, 4, 5)
    cases = {
        "sinusoids >> times(2, plus = 1)": 2
        * (
            x
            + torch.stack(
                [torch.arange(5.0).mul(r).sin() for r in (1, 0.01)]
                + [torch.arange(5.0).mul(r).cos() for r in (1, 0.01)]
            )
        )
        + 1,
        "above(0.25)": (x > 0.25).double(),
        "(identity + identity) >> penalty_free": 2 * x,
    }
    for net, expected in cases.items():
        space = sequence_space(net, "def penalty_free = identity")
        torch.testing.assert_close(space.network("random:0")(x), expected, **CLOSE)
    text = "space s\ninput x: [4, 3, 2]\noutput y: [4]\nnet = flatten >> class_token >> rest(2) >> token(-1)\n"
    image = data(2, 4, 3, 2)
    torch.testing.assert_close(spacec.loads(text).network("random:0")(image), image[:, :, 2, 1], **CLOSE)
    text = "space s\ninput x: [4]\ninput g: [1]\noutput y: [4]\nnet = dag(x, g) { return (x, g) >> mul }\n"
    torch.testing.assert_close(spacec.loads(text).network("random:0")(x[..., 0], x[:, :1, 0]), x[..., 0] * x[:, :1, 0])


def test_gated_sum_lies_between_its_terms() -> None:
    text = "space s\ninput a: [4, T]\ninput b: [4, T]\noutput y: [4, T]\nnet = gated_sum\n"
    a, b = data(2, 4, 5), data(2, 4, 5, seed=1)
    y = spacec.loads(text).network("random:0", seed=0)(a, b)
    assert bool(((y >= torch.minimum(a, b)) & (y <= torch.maximum(a, b))).all())
    torch.testing.assert_close(spacec.loads(text).network("random:0", seed=0)(a, a), a, **CLOSE)


ELASTIC = {
    "heads": "let n = elastic {1, 2, 3}\nlet w = elastic {4, 6}\n"
    "def own = dag(x) { return (x >> linear(2*n), x >> linear(2*n), x >> linear(2*n)) >> attend(n) >> linear(w) }\n"
    "def ends = sinusoids >> rest(1) >> linear(2*w) >> glu\n"
    "def all = linear(w) >> class_token >> positions(9) >> layer_norm >> own >> ends",
    "head width": "let w = elastic {4, 6, 8}\ndef all = linear(w) >> residual(layer_norm >> attention({1, 2}))",
    "halting": "let w = elastic {2, 4}\ndef all = act(linear(w) >> relu >> linear(4), hops = 3)",
    "grid": "let n = elastic {1, 3}\n"
    "def two = linear(2*n)\n"
    "def all = dag(x) { return (x >> two, x >> two, x >> linear(3*n)) >> attend_grid(n, 2, extra = 1) }",
    "gate": "let w = elastic {2, 5}\ndef all = linear(w) >> dag(x) { return (x, x >> linear(w) >> tanh) >> gated_sum }",
}


@pytest.mark.parametrize("name", ELASTIC)
def test_elastic_widths_and_heads(name: str) -> None:
    """Law 4, and a one-hot soft mask is the index, where channels are grouped into heads or gated in halves."""
    space = sequence_space("all >> linear(4)", ELASTIC[name], 5 if name == "grid" else "T")
    supernet = space.supernet(seed=1)
    disturb(supernet, 1)
    inputs = example_inputs(space, sizes={} if name == "grid" else {"T": 5})
    sizes = {s.id: s.size for s in space.slots}
    for arch in space.enumerate():
        check_selected(space, supernet, arch, inputs, training=False)
        index = slots_of(space.table, arch)
        hard = supernet(**inputs, mask=index).prediction
        soft = supernet(**inputs, mask={s: torch.eye(sizes[s])[k] for s, k in index.items() if k is not None})
        torch.testing.assert_close(soft.prediction, hard, **CLOSE)
    mask = {s: torch.full((n,), 1 / n, requires_grad=True) for s, n in sizes.items()}
    supernet(**inputs, mask=mask).prediction.square().sum().backward()
    assert all(m.grad is not None and bool(m.grad.isfinite().all()) for m in mask.values())


@pytest.mark.parametrize("seed", range(6))
def test_transformers_of_the_shipped_space(seed: int) -> None:
    space = spacec.load(GRAMMARS / "transformer_eca.space", preset="tiny")
    supernet = space.supernet(seed=1)
    disturb(supernet, 1)
    inputs = example_inputs(space, sizes={"T": 7})
    check_selected(space, supernet, space.sample(6, seed=5)[seed], inputs, training=seed % 2 == 0)


def test_a_width_that_cannot_be_sliced_is_refused() -> None:
    space = sequence_space("linear(elastic {2, 4}) >> vq(3) >> linear(4)")
    with pytest.raises(SpacecError, match="`vq` cannot run slices"):
        space.supernet()

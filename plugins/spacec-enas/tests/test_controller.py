"""The controller: laws of single decisions by listing, its probabilities and gradients, and the authors' two cells."""

from __future__ import annotations

import random
from collections.abc import Mapping
from itertools import combinations

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from spacec_enas.laws import Softmax, Subset
from spacec_enas.order import plan_of
from spacec_enas.policy import Shape, Writer
from torch import Tensor

import spacec
from spacec.space.architecture import Architecture, architecture_of
from spacec.testing.generate import random_space

SPACE = spacec.loads("""
space picks(width = 4)
input  x: [width]
output y: [width]
def op = a: linear | b: linear >> tanh | c: identity | d: (linear >> tanh) * {1..2}
let cell = dag(x) { return sum(pick 1..2 from [x, x >> tanh, x >> gelu]: op) }
net = op >> cell
""")
EVERY = list(SPACE.enumerate())
MICRO = spacec.loads("""
space micro(C = 4)
input  image: [3, 8, 8]
output y: [C]
def op = sep3: sep_conv(3) | avg3: avg_pool(3) | skip: identity
let cell = dag(a, b) {
  s = [a, b]
  for i in 0..2 { s += sum(pick 1 from s: op) + sum(pick 1 from s: op) }
  return s[4]
}
net = dag(image) { x = image >> conv(1, C); return (x, x) >> cell >> global_pool }
""")
MACRO = spacec.load("grammars/enas_macro.space", preset="tiny")


def writer(space: spacec.Space = SPACE, seed: int = 0, **shape: object) -> Writer:
    chosen = Shape(**{"hidden": 5, "start": 1.5, **shape})  # type: ignore[arg-type]  # of the test
    return Writer(space.table, plan_of(space.table, space.flat), chosen, torch.Generator().manual_seed(seed))


def vector(*numbers: float) -> Tensor:
    return torch.tensor(numbers, dtype=torch.float64)


# laws


@pytest.mark.parametrize(("low", "high"), [(0, 4), (2, 2), (1, 1), (1, 3), (0, 2), (4, 4), (0, 0)])
def test_the_law_of_a_subset_is_that_of_listing(low: int, high: int) -> None:
    scores = vector(0.4, -1.2, 0.9, 2.0).requires_grad_()
    law = Subset(scores, low, high)
    subsets = [s for k in range(low, high + 1) for s in combinations(range(4), k)]
    total = torch.stack([scores[list(s)].sum() for s in subsets]).logsumexp(0)
    logs = torch.stack([scores[list(s)].sum() - total for s in subsets])
    torch.testing.assert_close(torch.stack([law.log_probability(s) for s in subsets]), logs)
    torch.testing.assert_close(law.entropy(), -(logs.exp() * logs).sum())
    inside = torch.tensor([[float(e in s) for e in range(4)] for s in subsets], dtype=torch.float64)
    torch.testing.assert_close(law.chances(), logs.exp() @ inside)
    with torch.no_grad():
        torch.testing.assert_close(law.chances(), logs.exp() @ inside)
    assert law.likeliest() == subsets[int(logs.argmax())]
    mine, listed = (torch.autograd.grad(x, scores, allow_unused=True)[0] for x in (law.entropy(), -(logs.exp() @ logs)))
    torch.testing.assert_close(mine, listed, atol=1e-12, rtol=1e-9)


@pytest.mark.parametrize(
    "law", [Subset(vector(0.4, -1.2, 0.9), 1, 2), Subset(vector(0.4, -1), 0, 2), Softmax(vector(1, 2, 0))]
)
def test_draws_have_their_probabilities(law: Subset | Softmax) -> None:
    rng, n = random.Random(0), 4000
    drawn = [law.draw(rng) for _ in range(n)]
    for value in set(drawn):
        p = float(law.log_probability(value).exp())
        assert abs(drawn.count(value) / n - p) < 4 * (p * (1 - p) / n) ** 0.5
    assert sum(float(law.log_probability(v).exp()) for v in set(drawn)) == pytest.approx(1)


def test_a_pick_of_two_is_two_draws_of_a_softmax_that_differ() -> None:
    scores = vector(0.4, -1.2, 0.9, 2.0)
    p = scores.softmax(0)
    differ = 1 - float((p * p).sum())
    for i, j in combinations(range(4), 2):
        expected = 2 * float(p[i] * p[j]) / differ
        assert float(Subset(scores, 2, 2).log_probability((i, j)).exp()) == pytest.approx(expected)


# the controller


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 200), st.integers(0, 2**31 - 1))
def test_probabilities_sum_to_one_over_all_architectures(space_seed: int, seed: int) -> None:
    space = spacec.loads(random_space(space_seed, 5))
    assume(space.count(where=False) <= 100 and not space.table.needs)
    found = writer(space, seed, tanh=2.5)
    with torch.no_grad():
        total = sum(float(found.log_probability(a).exp()) for a in space.enumerate(where=False))
    assert total == pytest.approx(1.0, abs=1e-12)


@pytest.mark.parametrize(
    "shape", [{}, {"layers": 2, "favoured": ("a",), "tanh": 1.1, "reduce": 2.5, "temperature": 2.0}]
)
def test_its_gradients_are_those_of_finite_differences(shape: Mapping[str, object]) -> None:
    found = writer(hidden=3, **shape)
    arch = max(EVERY, key=len)
    leaves = found.parameters()
    direction = [
        torch.randn(w.shape, generator=torch.Generator().manual_seed(k), dtype=w.dtype) for k, w in enumerate(leaves)
    ]

    def value(step: float) -> tuple[float, float]:
        with torch.no_grad():
            for w, d in zip(leaves, direction, strict=True):
                w += step * d
            read = found.read(arch, entropy=True)
            for w, d in zip(leaves, direction, strict=True):
                w -= step * d
        return float(read.log_probability), float(read.entropy)

    above, below = value(1e-5), value(-1e-5)
    read = found.read(arch, entropy=True)
    for k, quantity in enumerate((read.log_probability, read.entropy)):
        gradient = torch.autograd.grad(quantity, leaves, retain_graph=True, allow_unused=True)
        mine = sum(float((g * d).sum()) for g, d in zip(gradient, direction, strict=True) if g is not None)
        assert mine == pytest.approx((above[k] - below[k]) / 2e-5, rel=1e-6)


def test_it_draws_by_its_probabilities_and_what_is_valid() -> None:
    space = SPACE.where("params <= 60")
    found = writer(space)
    valid = {a for a in EVERY if space.params(a) <= 60}
    assert valid < set(EVERY)
    rng, n = random.Random(1), 1500
    drawn = [found.draw(rng) for _ in range(n)]
    assert set(drawn) <= valid
    with torch.no_grad():
        chance = {a: float(found.log_probability(a).exp()) for a in EVERY}
    share = sum(chance[a] for a in valid)
    for arch in valid:
        p = chance[arch] / share
        assert abs(drawn.count(arch) / n - p) < 4.5 * (p / n) ** 0.5 + 1e-3
    assert found.best() in valid


def test_what_it_shows_are_probabilities_of_slots() -> None:
    found = writer(MACRO, tanh=1.5)
    shown = found.probabilities()
    assert set(shown) == {slot.id for slot in MACRO.slots}
    assert all(sum(p) == pytest.approx(1) for p in shown.values())
    first = found.plan.table.decisions[0]
    state = lstm(found, found.weights["start"], (torch.zeros(5), torch.zeros(5)))[0]
    expected = (1.5 * (found.weights[f"head {found.plan.families[first.id]}"] @ state).tanh()).softmax(0).tolist()
    assert shown[first.id] == pytest.approx(expected)


def test_a_state_makes_another_the_same() -> None:
    one, other = writer(seed=1), writer(seed=2)
    assert one.draw(random.Random(0)) != other.draw(random.Random(0))
    other.load_state_dict(one.state_dict())
    assert [one.draw(random.Random(k)) for k in range(5)] == [other.draw(random.Random(k)) for k in range(5)]


# the order, and the authors' controllers


def test_a_macro_layer_gets_its_operation_and_then_its_skips() -> None:
    plan = plan_of(MACRO.table, MACRO.flat)
    names = [d.id.removeprefix("net.") for d in plan.table.decisions]
    assert names == ["op[0]", "op[1]", "pick[0]", "op[2]", "pick[1]", "op[3]", "pick[2]"]
    works = {p.removeprefix("net."): [None if k is None else names[k] for k in w] for p, w in plan.works.items()}
    assert works == {
        "pick[0]": [None],
        "pick[1]": [None, "op[0]"],
        "pick[2]": [None, "op[0]", "pick[0]"],
    }


def test_an_element_of_a_cells_pick_is_the_work_of_an_earlier_node() -> None:
    darts = spacec.load("grammars/darts.space", preset="tiny")
    plan = plan_of(darts.table, darts.flat)
    names = [d.id for d in plan.table.decisions]
    for cell in ("normal", "reduce"):
        works = [None if k is None else names[k] for k in plan.works[f"{cell}.pick[3]"]]
        assert works == [None, None, *(f"{cell}.pick[{n}].edge[{n + 1}]" for n in range(3))]
    assert len(set(plan.families.values())) == 1


def test_a_decision_is_asked_after_what_it_depends_on() -> None:
    for name in ("nas_bench_101", "ofa", "hrnet", "autoformer"):
        space = spacec.load(f"grammars/{name}.space", preset="tiny")
        found = writer(space, tanh=2.0)
        for arch in space.sample(3, seed=1):  # an architecture is read by what it decides: else a decision lacks
            again = architecture_of(space.table, found._run(lambda d, law, arch=arch: arch[d.id]))
            assert again == arch


def lstm(found: Writer, x: Tensor, state: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    h, c = (s.double() for s in state)
    i, f, o, g = (found.weights["lstm 0"] @ torch.cat([x, h])).chunk(4)
    c = i.sigmoid() * g.tanh() + f.sigmoid() * c
    return o.sigmoid() * c.tanh(), c


def attention(found: Writer, anchors: list[Tensor], h: Tensor) -> Tensor:
    w1, w2, v = (found.weights[f"attention {n}"] for n in ("anchor", "state", "score"))
    return torch.stack([v @ (w1 @ a + w2 @ h).tanh() for a in anchors])


def test_the_micro_controller_by_hand() -> None:
    """Figure 3 of the paper: two inputs and two operations for each node; anchors behind a node, then g again."""
    found = writer(MICRO, tanh=1.1, reduce=2.5)
    (family,) = set(found.plan.families.values())
    w = found.weights
    for arch in MICRO.sample(3, seed=2):
        state, x, total = (torch.zeros(5), torch.zeros(5)), w["start"], torch.zeros(())
        anchors = [w["elements"][0], w["elements"][1]]
        names = iter(d.id for d in found.plan.table.decisions if d.id in arch)
        for _ in range(3):
            for _ in range(2):
                (picked,) = taken(arch, next(names))
                state = lstm(found, x, state)
                total = total + (1.1 * attention(found, anchors, state[0]).tanh()).log_softmax(0)[picked]
                state = lstm(found, anchors[picked], state)
                (op,) = taken(arch, next(names))
                total = total + (1.1 / 2.5 * (w[f"head {family}"] @ state[0]).tanh()).log_softmax(0)[op]
                x = w[f"embedding {family}"][op]
            state = lstm(found, x, state)
            anchors.append(state[0])
            x = w["start"]
        torch.testing.assert_close(found.log_probability(arch), total)
        assert next(names, None) is None


@pytest.mark.parametrize("paired", [False, True])
def test_the_macro_controller_by_hand(paired: bool) -> None:
    """A layer's operation, then a coin for each earlier output; the next layer reads the mean of those taken."""
    found = writer(MACRO, tanh=1.5, paired=paired)
    (family,) = set(found.plan.families.values())
    w, factor = found.weights, 2 if paired else 1
    for arch in MACRO.sample(3, seed=4):
        state, x = (torch.zeros(5), torch.zeros(5)), w["start"]
        total, divergences = torch.zeros((), dtype=torch.float64), []
        anchors = [w["elements"][0]]
        for layer in range(4):
            state = lstm(found, x, state)
            if layer > 0:
                anchors.append(state[0])  # behind the layer before, which is no element of this one
            op = arch[f"net.op[{layer}]"]
            assert isinstance(op, int)
            total = total + (1.5 * (w[f"head {family}"] @ state[0]).tanh()).log_softmax(0)[op]
            x = w[f"embedding {family}"][op]
            if layer == 0:
                continue
            state = lstm(found, x, state)
            scores = 1.5 * attention(found, anchors[:layer], state[0]).tanh()
            p, q = (factor * scores).sigmoid(), scores.sigmoid()
            picked = arch[f"net.pick[{layer - 1}]"]
            assert isinstance(picked, tuple)
            total = total + sum((p[e] if e in picked else 1 - p[e]).log() for e in range(layer))
            divergences.append((q * (q / 0.4).log() + (1 - q) * ((1 - q) / 0.6).log()).sum())
            x = (
                torch.stack([anchors[e] for e in picked]).sum(0) / (1 + len(picked))
                if picked
                else torch.zeros(5).double()
            )
        read = found.read(arch, skip_target=0.4)
        torch.testing.assert_close(read.log_probability, total)
        torch.testing.assert_close(read.divergence, torch.stack(divergences).mean())


def test_the_divergence_alone_leads_to_the_rate_that_is_asked_for() -> None:
    found = writer(MACRO, tanh=1.5, start=0.1)
    optimizer = torch.optim.Adam(found.parameters(), lr=0.02)
    for arch in MACRO.sample(60, seed=0):
        optimizer.zero_grad()
        torch.autograd.backward(found.read(arch, skip_target=0.7).divergence)
        optimizer.step()
    shown = found.probabilities()
    rates = [p[1] for slot, p in shown.items() if ".gate" in slot]
    assert sum(rates) / len(rates) == pytest.approx(0.7, abs=0.03)


def test_favoured_candidates_start_ahead_and_most_in_the_first_cell() -> None:
    darts = spacec.load("grammars/darts.space", preset="tiny")
    labels = ("sep_conv(3)", "sep_conv(5)")
    found = writer(darts, start=0.01, tanh=1.1, reduce=2.5, favoured=labels, favour=10.0, lead=0.25)
    shown = found.probabilities()
    c = 1.1 / 2.5
    for cell, lead in (("normal", 0.25), ("reduce", 0.0)):
        logits = [
            c + lead if label in labels else -lead for label in darts.table.by_id[f"{cell}.pick[0].edge[0]"].labels
        ]
        expected = torch.tensor(logits).softmax(0).tolist()
        assert shown[f"{cell}.pick[0].edge[0]"][1:] == pytest.approx(expected, abs=0.01)


def taken(arch: Architecture, name: str) -> tuple[int, ...]:
    """A choice's candidate, or the elements of a pick."""
    value = arch[name]
    return value if isinstance(value, tuple) else (value,)

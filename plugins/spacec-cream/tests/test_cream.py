"""The strategy: who teaches and how much, its look ahead against autograd, the released code's ways, the answer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import spacec_cream
import torch
from spacec_cream.ahead import Student, look_ahead
from spacec_cream.board import Entry
from spacec_cream.matching import compared
from spacec_cream.strategy import Cream
from torch import Tensor

import spacec
from spacec.hooks import StrategyDescriptor
from spacec.search.config import SearchConfig, strategy_config
from spacec.search.context import MAIN, SearchContext
from spacec.search.record import NullRecorder, RunStore
from spacec.search.runner import search
from spacec.search.task import Batch
from spacec.search.trainer import TrainConfig
from spacec.testing import conformance
from spacec.testing.synthetic import Synthetic

GRAMMARS = Path(__file__).parents[3] / "grammars"
SPACE = spacec.loads("""
space points(width = 5, classes = 3)
input  x: [width]
output logits: [classes]
def block = skip: identity | lin: linear(bias = 0) >> tanh | norm: linear(bias = 0) >> bn
net = block * 2 >> linear(width) >> block >> linear(classes)
""")
GATED = spacec.load(GRAMMARS / "cream.space", preset="tiny")
DIGEST = SPACE.digest[:8]
TASK = Synthetic().adapt(SPACE.inputs, SPACE.outputs)
CONFIG = SearchConfig(epochs=4, steps=8, arch_from=0, batch_size=8, lr=0.1, seed=2)
STUDENT, TEACHER, OTHER = ("lin,norm,skip", "norm,lin,norm", "lin,lin,lin")


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Layers this small are slower on several threads, by far where other processes hold the cores."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def double(batch: Batch) -> Batch:
    return Batch({k: v.double() for k, v in batch.inputs.items()}, batch.targets)


def started(options: Mapping[str, object] | None = None, space: spacec.Space = SPACE) -> tuple[Cream, Batch, Batch]:
    """A strategy in double precision before its first step, and a batch of each split."""
    strategy = Cream(options)
    task = Synthetic().adapt(space.inputs, space.outputs)
    ctx = SearchContext(space, task, CONFIG, TrainConfig(), torch.device("cpu"), NullRecorder())
    ctx.add_supernet(MAIN).double()
    strategy.setup(ctx)
    return strategy, double(ctx.stream("weights", "t").batch(0, 0)), double(ctx.stream("arch", "t").batch(0, 0))


def taught(strategy: Cream, batch: Batch, *names: str) -> None:
    """A board of these paths, in this order, each with its own outputs on samples of ``batch``."""
    for k, name in enumerate(names):
        arch = strategy.ctx.space.architecture(f"{DIGEST}:net={name}")
        few = batch.slice(0, strategy.options.samples)
        out = strategy.ctx.forward(few, strategy.ctx.mask_of(arch))
        entry = Entry(
            arch.text(),
            1.0 - 0.1 * k,
            10.0,
            0,
            few.inputs,
            compared(strategy.ctx.task, out.prediction, len(few.inputs["x"])),
        )
        strategy.board = strategy.board.offer(entry)


def lesson_of(strategy: Cream, name: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    arch = strategy.ctx.space.architecture(f"{DIGEST}:net={name}")
    monkeypatch.setattr(strategy, "_sample", lambda: arch)
    return strategy._drawn()


def soft_cross_entropy(student: Tensor, teacher: Tensor) -> Tensor:
    return -(teacher.detach().softmax(1) * student.log_softmax(1)).sum(1).mean()


@pytest.mark.parametrize("first_tensor", [False, True])
@pytest.mark.parametrize("space", [SPACE, GATED], ids=["points", "cream"])
def test_the_gradient_of_a_look_ahead_is_that_through_the_students_update(
    space: spacec.Space, first_tensor: bool
) -> None:
    """Against autograd through a look ahead by hand, and (cream's gates lack a second derivative) differences."""
    strategy, train, val = started(space=space)
    ctx, net = strategy.ctx, strategy.ctx.supernet
    a, b = (ctx.mask_of(x) for x in space.sample(2, seed=5))
    phi = torch.tensor([0.3, -0.2], dtype=torch.float64, requires_grad=True)
    features = torch.tensor([1.5, 0.7], dtype=torch.float64)
    weights = dict(net.named_parameters())
    rates = {name: 0.3 + 0.01 * k for k, name in enumerate(weights)}
    train, val = train.slice(0, 4), val.slice(0, 4)
    student = Student(a, b, train, rates, first_tensor)
    found = look_ahead(ctx, student, (phi @ features).sigmoid(), [phi], val)
    assert found is not None
    name = next(iter(train.inputs))

    def by_hand(at: Tensor, moving: bool = True) -> Tensor:
        with torch.no_grad():
            teacher = net(train.inputs[name], b).prediction
        kd = (at @ features).sigmoid() * soft_cross_entropy(net(train.inputs[name], a).prediction, teacher)
        g = torch.autograd.grad(kd, list(weights.values()), allow_unused=True, create_graph=space is SPACE)
        steps = {n: rates[n] * t for n, t in zip(weights, g, strict=True) if t is not None}
        first = next(iter(steps))
        fixed = {n: t.detach() for n, t in steps.items()} if first_tensor else steps
        ahead = {n: weights[n] - (t if n == first else fixed[n]) for n, t in steps.items()}
        return torch.nn.functional.cross_entropy(net(val.inputs[name], a, weights=ahead).prediction, val.target)

    assert found.loss == pytest.approx(float(by_hand(phi).detach()), rel=1e-12)
    if space is SPACE:
        (expected,) = torch.autograd.grad(by_hand(phi), phi)
        torch.testing.assert_close(found.gradient[0], expected, rtol=1e-10, atol=1e-14)
    elif not first_tensor:
        eye = 1e-4 * torch.eye(2, dtype=torch.float64)
        sides = [float((by_hand(phi.detach() + e) - by_hand(phi.detach() - e)).detach()) / 2e-4 for e in eye]
        torch.testing.assert_close(found.gradient[0], torch.tensor(sides).double(), rtol=1e-5, atol=1e-10)
    assert float(found.gradient[0].abs().max()) > 1e-6


def test_the_best_matching_path_teaches_and_mu_weighs_the_loss(monkeypatch: pytest.MonkeyPatch) -> None:
    strategy, train, _ = started()
    taught(strategy, train, TEACHER, OTHER)
    ctx = strategy.ctx
    buffers = {name: b.clone() for name, b in ctx.supernet.named_buffers()}
    lesson_of(strategy, STUDENT, monkeypatch)
    assert all(torch.equal(b, buffers[name]) for name, b in ctx.supernet.named_buffers())
    assert strategy.matching is not None
    weight, bias = strategy.matching.layer.weight, strategy.matching.layer.bias
    a = ctx.mask_of(ctx.space.architecture(f"{DIGEST}:net={STUDENT}"))
    rhos = []
    stacked = torch.cat([e.inputs["x"] for e in strategy.board])
    own = ctx.supernet(stacked, a).prediction.softmax(1).detach().split(4)
    for e, o in zip(strategy.board, own, strict=True):
        rhos.append(float((weight[0] @ (o - e.outputs).flatten() + bias[0]).detach()))
    best = max(range(2), key=lambda k: rhos[k])
    (path,) = strategy.masks(0)
    mu = float(torch.sigmoid(torch.tensor(rhos[best])))
    assert path.teacher == ctx.mask_of(ctx.space.architecture(strategy.board.entries[best].arch))
    assert float(path.weight) == pytest.approx((2 - mu) / 2)
    assert float(path.teacher_weight) == pytest.approx(mu / 2)

    released, train, _ = started({"matching": "released"})
    taught(released, train, TEACHER, OTHER)
    lesson = lesson_of(released, STUDENT, monkeypatch)
    assert float(lesson.mu.detach()) == pytest.approx(float(torch.sigmoid(torch.tensor(-rhos[-1]))))
    assert lesson.teacher == path.teacher


def test_what_is_compared_of_a_prediction() -> None:
    maps = torch.randn(3, 2, 4, 4, dtype=torch.float64)
    classes = torch.cat([maps.softmax(1).mean((2, 3)), torch.zeros(1, 2).double()])
    torch.testing.assert_close(compared(TASK, maps, 4), classes)
    assert torch.equal(compared(TASK, maps[:, :1, 0, 0], 2), maps[:2, :1, 0, 0])
    assert torch.equal(compared(TASK, maps[:, 0, 0, 0], 2), maps[:2, :1, 0, 0])


def test_a_path_is_not_its_own_teacher(monkeypatch: pytest.MonkeyPatch) -> None:
    strategy, train, _ = started()
    taught(strategy, train, STUDENT)
    lesson = lesson_of(strategy, STUDENT, monkeypatch)
    assert lesson.teacher is None
    assert [(p.weight, p.teacher) for p in strategy.masks(0)] == [(1.0, None)]


def test_a_step_of_the_search_is_one_on_the_papers_loss(monkeypatch: pytest.MonkeyPatch) -> None:
    """The weights after a step of the runner against SGD by hand on [mu KD + (2 - mu) CE] / 2."""
    arch = SPACE.architecture(f"{DIGEST}:net={STUDENT}")
    strategy = Cream({"matching_every": 50})
    before: dict[str, Any] = {}

    class Peek(Cream):
        def masks(self, step: int) -> Any:
            paths = super().masks(step)
            if step == 3:
                before.update(path=paths[0], net=self.ctx.supernet.clone())
            return paths

    strategy = Peek({"matching_every": 50})
    monkeypatch.setattr(Peek, "_sample", lambda self: arch if self.ctx.step == 3 else SPACE.sample(1, self.ctx.step)[0])
    config = replace(CONFIG, epochs=1, steps=4, momentum=0.0, weight_decay=0.0, clip=0.0, schedule="constant")
    ctx = search(SPACE, strategy, TASK, config).context
    assert ctx.last is not None
    x, net, path = ctx.last.batch.inputs["x"], before["net"], before["path"]
    assert path.teacher is not None
    mu = float(2 * path.teacher_weight)
    with torch.no_grad():
        teacher = net.clone()(x, path.teacher).prediction
    student = net(x, path.mask).prediction
    loss = (mu * soft_cross_entropy(student, teacher) + (2 - mu) * TASK.loss(ctx.last.outs[0], ctx.last.batch) * 0) / 2
    loss = loss + (2 - mu) / 2 * torch.nn.functional.cross_entropy(student, ctx.last.batch.target)
    loss.backward()
    for name, p in net.named_parameters():
        expected = p.detach() if p.grad is None else p.detach() - 0.1 * p.grad
        torch.testing.assert_close(ctx.supernet.get_parameter(name).detach(), expected)


def test_the_matching_network_steps_along_the_gradient(monkeypatch: pytest.MonkeyPatch) -> None:
    strategy, train, val = started({"matching_lr": 0.5, "matching_clip": 0})
    taught(strategy, train, TEACHER, OTHER)
    lesson = lesson_of(strategy, STUDENT, monkeypatch)
    assert strategy.matching is not None
    phi = [p.detach().clone() for p in strategy.matching.parameters()]
    rates = {n: h.lr for n, h in strategy.ctx.weight_hypers().items()}
    student = Student(lesson.mask, lesson.teacher, train.slice(0, 4), rates)
    found = look_ahead(strategy.ctx, student, lesson.mu, tuple(strategy.matching.parameters()), val.slice(0, 4))
    lesson = lesson_of(strategy, STUDENT, monkeypatch)
    values = strategy._learn(lesson, train, val)
    assert found is not None
    assert values["ahead_loss"] == found.loss
    for before, after, g in zip(phi, strategy.matching.parameters(), found.gradient, strict=True):
        torch.testing.assert_close(after.detach(), before - 0.5 * 1.9 * g)  # Nesterov's first step: 1 + momentum
    assert float(found.gradient[0].abs().sum()) > 0


def test_what_a_look_ahead_sees() -> None:
    strategy, train, val = started()
    one, two = strategy._sides(train, val)
    assert torch.equal(one.inputs["x"], train.inputs["x"][:4])
    assert torch.equal(two.inputs["x"], val.inputs["x"][:4])
    released, train, val = started({"ahead": "batch", "samples": 3})
    one, two = released._sides(train, val)
    assert torch.equal(one.inputs["x"], train.inputs["x"][:3])
    assert torch.equal(two.inputs["x"], train.inputs["x"][3:6])
    assert [s.size for s in released._sides(train.slice(0, 1), val)] == [1, 1]


def test_the_released_codes_step_moves_the_supernet_too(monkeypatch: pytest.MonkeyPatch) -> None:
    for step_student in (False, True):
        strategy, train, val = started({"step_student": step_student})
        taught(strategy, train, TEACHER)
        before = {n: p.detach().clone() for n, p in strategy.ctx.supernet.named_parameters()}
        strategy._learn(lesson_of(strategy, STUDENT, monkeypatch), train, val)
        moved = [n for n, p in strategy.ctx.supernet.named_parameters() if not torch.equal(p, before[n])]
        assert bool(moved) is step_student


@pytest.mark.parametrize(("stored", "whose"), [("own", STUDENT), ("teacher", TEACHER)])
def test_what_a_path_is_stored_with(stored: str, whose: str, monkeypatch: pytest.MonkeyPatch) -> None:
    strategy, train, val = started({"stored": stored, "samples": 8})
    taught(strategy, train, TEACHER)
    lesson = lesson_of(strategy, STUDENT, monkeypatch)
    ctx = strategy.ctx
    out = ctx.forward(val, lesson.mask)
    strategy._offer(lesson, out, val)
    entry = next(e for e in strategy.board if e.arch == lesson.arch.text())
    assert torch.equal(entry.inputs["x"], val.inputs["x"])
    mask = ctx.mask_of(ctx.space.architecture(f"{DIGEST}:net={whose}"))
    expected = ctx.forward(val, mask).prediction.softmax(1).detach()
    torch.testing.assert_close(entry.outputs, expected)
    assert entry.score == pytest.approx(float((out.prediction.argmax(1) == val.target).double().mean()))
    assert entry.cost == SPACE.cost(lesson.arch, "macs")


def test_paths_are_rated_on_held_out_data_unless_told_otherwise() -> None:
    """With targets that no input tells in one split, only the ratings of the other can be good."""
    seen: dict[str, list[int]] = {}

    class Watch(Cream):
        def _offer(self, lesson: Any, out: Any, batch: Batch) -> Any:
            where = "arch" if self.ctx.last is None or batch is not self.ctx.last.batch else "weights"
            seen.setdefault(f"{self.options.score} {where}", []).append(self.ctx.step)
            return super()._offer(lesson, out, batch)

    for score in ("held-out", "train"):
        search(SPACE, Watch({"score": score}), TASK, replace(CONFIG, epochs=2, steps=2, arch_from=1))
    assert seen == {"held-out arch": [2, 3], "train weights": [2, 3]}


def test_paths_are_drawn_as_asked() -> None:
    counts = {}
    for sampling in ("uniform", "prior", "board"):
        strategy, train, _ = started({"sampling": sampling, "prior": (0.0, 1.0, 3.0), "board": 2})
        if sampling == "board":
            taught(strategy, train, STUDENT, TEACHER)
        drawn = [strategy._sample().text().partition("=")[2].split(",") for _ in range(200)]
        counts[sampling] = {(k, d[k]) for d in drawn for k in range(3)}
        share = sum(d.count("norm") for d in drawn) / 600
        expected = {"uniform": 1 / 3, "prior": 0.75, "board": (0.5 + 0.5 + 0.5) / 3}[sampling]
        assert share == pytest.approx(expected, abs=0.07)
    assert len(counts["uniform"]) == 9
    assert not any(name == "skip" for _, name in counts["prior"])
    assert counts["board"] == {(0, "lin"), (0, "norm"), (1, "norm"), (1, "lin"), (2, "skip"), (2, "norm")}


def test_the_answer_is_the_best_path_of_the_board(tmp_path: Path) -> None:
    strategy = Cream({"board": 3, "matching_every": 4})
    found = search(SPACE, strategy, TASK, replace(CONFIG, epochs=3), tmp_path)
    best = strategy.board.best
    assert best is not None
    assert found.architecture.text() == best.arch
    assert best.score == max(e.score for e in strategy.board)
    with RunStore.of(tmp_path, readonly=True) as store:
        (run,) = store.runs()
        rows = store.metrics(run["id"], "search")
    names = {row["name"] for row in rows}
    assert {"score", "mu", "kd", "ahead_loss", "board_best", "board_last"} <= names
    last = [row["value"] for row in rows if row["name"] == "board_best"][-1]
    assert last == best.score


def test_an_empty_board_gives_an_architecture_of_the_seed() -> None:
    found = search(SPACE, Cream(), TASK, replace(CONFIG, epochs=1, steps=1, arch_from=1))
    assert found.architecture == SPACE.sample(1, seed=CONFIG.seed)[0]


def test_the_papers_settings_are_the_defaults() -> None:
    options, config = Cream().options, strategy_config(Cream.config)
    assert (options.board, options.samples, options.matching_every, options.matching_lr) == (10, 4, 200, 1e-4)
    assert (config.epochs, config.arch_from, config.lr, config.lr_min, config.weight_decay) == (120, 21, 1.0, 0.0, 1e-4)
    assert (config.batch_size, config.schedule, config.nesterov, config.norm_decay) == (1024, "linear", True, False)
    assert config.label_smoothing == 0.1
    assert sum(options.prior) == pytest.approx(1.0)


def test_released_paths_are_architectures_of_the_shipped_space() -> None:
    """Depths and choices of the six released networks, by their multiply-adds in millions."""
    released = {
        14: (64, ["3", "33", "33", "3", "3"]),
        43: (96, ["3", "31", "31", "333", "33"]),
        114: (160, ["3", "33", "33", "333", "33"]),
        287: (224, ["3", "33", "313", "3333", "333"]),
        481: (224, ["3431", "3230", "33311", "3333", "3333"]),
        604: (224, ["33233", "32323", "32323", "332233", "332333"]),
    }
    names = ("k3e4", "k3e6", "k5e4", "k5e6", "k7e4", "k7e6")
    macs = []
    for size, stages in released.values():
        space = spacec.load(GRAMMARS / "cream.space", depths=[len(s) for s in stages], size=size)
        arch = space.architecture(f"{space.digest[:8]}:net=" + ",".join(names[int(c)] for s in stages for c in s))
        assert space.mask(arch) == {slot.id: int(c) for slot, c in zip(space.slots, "".join(stages), strict=True)}
        macs.append(space.cost(arch, "macs") / 1e6)
    assert macs == sorted(macs)
    assert macs == pytest.approx(list(released), rel=0.05)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("mnasnet", None),
        ("nas_bench_graph", {"board": 2, "matching_every": 2, "sampling": "board"}),
        ("tabular", {"board": 2, "matching_every": 1, "score": "train", "stored": "teacher", "matching": "released"}),
    ],
)
def test_it_conforms(name: str, options: Mapping[str, object] | None) -> None:
    assert not conformance.require(spacec.load(GRAMMARS / f"{name}.space", preset="tiny"), Cream, options).unsupported


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"cost": "watts"}, "E0512"),
        ({"board": "0"}, "E0703"),
        ({"prior": "0,0"}, "E0703"),
        ({"sampling": "prior"}, "E0703"),
    ],
)
def test_wrong_options_are_refused(options: dict[str, object], code: str) -> None:
    with pytest.raises(spacec.SpacecError, match=code):
        started(options)


def test_the_descriptor_names_the_class() -> None:
    (found,) = spacec_cream.spacec_strategies()
    assert isinstance(found, StrategyDescriptor)
    assert found.load() is Cream
    assert found.name == Cream.name

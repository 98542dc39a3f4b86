"""Weight steps: labels, teachers and noise of their paths, and how their gradients are bounded."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import nn

import spacec
from spacec.diagnostics.model import SpacecError
from spacec.search.config import SearchConfig, settings_for
from spacec.search.context import SearchContext
from spacec.search.data import Output
from spacec.search.distil import distillation
from spacec.search.optim import OptimOptions, clip_gradients
from spacec.search.runner import search
from spacec.search.strategy import Path, Strategy
from spacec.search.task import OutLike
from spacec.search.tasks.breast_cancer import BreastCancer
from spacec.search.tasks.denoise import Denoise
from spacec.search.tasks.eca import Eca
from spacec.space.architecture import Architecture
from spacec.testing.synthetic import Synthetic
from tests.search.toy import SPACE, TASK, A, B

NOISY = spacec.loads("""
space noisy
input  x: [4]
output logits: [3]
net = linear(8) >> dropout(0.5) >> (wide: linear(8) | same: identity) >> linear(3)
""")
PLAIN: dict[str, Any] = {"epochs": 1, "steps": 1, "momentum": 0.0, "weight_decay": 0.0, "clip": 0.0, "eval_every": 0}


class Given(Strategy):
    """Runs the paths that it is given, and keeps every output."""

    name = "given"

    def __init__(self, *paths: Path) -> None:
        super().__init__()
        self.paths, self.outs = paths, list[torch.Tensor]()

    def masks(self, step: int) -> Sequence[Path]:
        return self.paths

    def extra_loss(self, out: OutLike, phase: str) -> None:
        self.outs.append(out.prediction.detach())

    def derive(self) -> Architecture:
        return self.ctx.space.sample(1, seed=0)[0]


def run(space: spacec.Space, *paths: Path, **settings: Any) -> tuple[SearchContext, Given]:
    strategy = Given(*paths)
    task = Synthetic().adapt(space.inputs, space.outputs)
    return search(space, strategy, task, SearchConfig(**{**PLAIN, **settings})).context, strategy


def start(space: spacec.Space) -> Any:
    """The supernet as a search begins."""
    return run(space)[0].supernet


def test_noise_is_of_the_paths_that_have_it() -> None:
    mask = {s.id: 1 for s in NOISY.slots}
    ctx, strategy = run(NOISY, Path(mask), Path(mask, noise=False), Path(mask), Path(mask, noise=False), lr=0.0)
    noisy, still, other, again = strategy.outs
    assert torch.equal(still, again)
    assert not torch.equal(noisy, still)
    assert not torch.equal(noisy, other)
    assert all(m.training for m in ctx.supernet.modules() if isinstance(m, nn.Dropout))


def test_a_path_without_weight_learns_from_its_teacher_alone() -> None:
    """Against the step computed by hand, with label smoothing for the path that has labels."""
    paths = Path({A: 1, B: 1}), Path({A: 1, B: 0}, weight=0.0, teacher=0, teacher_weight=1.0)
    ctx, _ = run(SPACE, *paths, lr=0.1, label_smoothing=0.1)
    net, report = start(SPACE), ctx.last
    assert report is not None
    first, second = (net(report.batch.inputs["x"], mask=path.mask) for path in paths)
    labels = torch.nn.functional.cross_entropy(first.prediction, report.batch.target, label_smoothing=0.1)
    loss = labels + distillation(second, first)
    loss.backward()
    for name, p in net.named_parameters():
        expected = p.detach() if p.grad is None else p.detach() - 0.1 * p.grad
        torch.testing.assert_close(ctx.supernet.get_parameter(name).detach(), expected)


def test_a_path_without_weights_takes_no_part_in_the_step() -> None:
    """One of skips only: there is nothing to learn, nor where it is trained alone."""
    space = spacec.loads("space s(c = 2)\ninput x: [c, H, W]\noutput y: [c, H, W]\nnet = skip | conv(3)\n")
    (slot,) = space.slots
    ctx, _ = run(space, Path({slot.id: 0}), Path({slot.id: 1}), lr=0.1)
    alone, _ = run(space, Path({slot.id: 1}), lr=0.1)
    (mine,), (other,) = (list(c.supernet.parameters()) for c in (ctx, alone))
    torch.testing.assert_close(mine, other)
    assert not torch.equal(mine, start(space).get_parameter(next(n for n, _ in ctx.supernet.named_parameters())))
    skip = next(a for a in space.enumerate() if space.cost(a, "params") == 0)
    assert ctx.evaluate(skip, weights="standalone")["score"] == ctx.evaluate(skip)["score"]


def test_a_teacher_with_weights_of_its_own_is_in_evaluation_mode_and_runs_once() -> None:
    kept = {name: 0.5 * t.clone() for name, t in start(SPACE).state_dict().items()}
    teacher = {A: 2, B: 2}
    path = Path({A: 0, B: 1}, 0.0, teacher, 1.0, teacher_weights=kept)
    calls: list[bool] = []

    class Counting(Given):
        def on_epoch(self, epoch: int) -> None:
            net = self.ctx.supernet
            net.register_forward_pre_hook(lambda module, given: calls.append(module.training))

    strategy = Counting(path, path)
    ctx = search(SPACE, strategy, TASK, SearchConfig(**{**PLAIN, "lr": 0.0, "lr_min": 0.0})).context
    assert calls[:4] == [False, False, True, True], "once, before the two paths; other weights call the module again"
    assert ctx.last is not None
    net = start(SPACE)
    with torch.no_grad():
        x = ctx.last.batch.inputs["x"]
        out = torch.func.functional_call(net.eval(), kept, (x,), {"mask": teacher})
        expected = distillation(net.train()(x, mask=path.mask), out)
    assert ctx.last.losses == pytest.approx([float(expected)] * 2)


def test_what_is_no_class_is_distilled_by_its_square() -> None:
    student, teacher = Output(torch.tensor([[1.0, 2.0]])), Output(torch.tensor([[0.0, 4.0]]))
    assert Denoise().distillation(student, teacher).item() == pytest.approx(2.5)


def test_a_single_logit_is_distilled_as_a_probability() -> None:
    logit = torch.zeros(1, 1, requires_grad=True)
    BreastCancer().distillation(Output(logit), Output(torch.tensor([[2.0]]))).backward()
    torch.testing.assert_close(logit.grad, torch.tensor([[0.5 - torch.sigmoid(torch.tensor(2.0))]]))


def test_an_automaton_is_distilled_where_it_is_asked() -> None:
    task = Eca()
    x = torch.randn(2, 5, task.length, requires_grad=True)
    task.distillation(Output(x), Output(torch.randn(2, 5, task.length))).backward()
    assert x.grad is not None
    asked = task.options.cells + 1
    assert x.grad[..., -asked:].abs().sum() > 0
    assert not x.grad[..., :-asked].any()


def test_gradients_are_clipped_by_norm_and_by_entry() -> None:
    model = nn.Linear(2, 1, bias=False)
    model.weight.grad = torch.tensor([[3.0, -4.0]])
    clip_gradients(model, OptimOptions(clip=0.0, clip_value=3.5))
    torch.testing.assert_close(model.weight.grad, torch.tensor([[3.0, -3.5]]))
    clip_gradients(model, OptimOptions(clip=1.0))
    assert model.weight.grad.norm().item() == pytest.approx(1.0, abs=1e-4)


def test_smoothing_of_a_task_that_has_none_is_refused() -> None:
    with pytest.raises(SpacecError) as error:
        search(SPACE, Given(), Unsmoothed().adapt(SPACE.inputs, SPACE.outputs), SearchConfig(label_smoothing=0.1))
    assert error.value.diagnostics[0].code == "E0703"


def test_a_strategys_own_smoothing_is_left_out_where_the_task_has_none() -> None:
    """The paper's setting is for its task; only what the user asks for is refused."""
    config = {"label_smoothing": 0.1, "epochs": 3}
    assert settings_for(config, Synthetic()) == config
    assert settings_for(config, Unsmoothed()) == {"epochs": 3}


class Unsmoothed(Synthetic):
    label_smoothing = False

    def adapt(self, inputs: Any, outputs: Any) -> Synthetic:
        found = super().adapt(inputs, outputs)
        found.__class__ = Unsmoothed
        return found

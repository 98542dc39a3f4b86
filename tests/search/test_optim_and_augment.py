"""Schedules against torch's own, optimiser groups, and the batch augmentations."""

from __future__ import annotations

from math import inf

import pytest
import torch
from torch import nn

from spacec.diagnostics.model import SpacecError
from spacec.search.augment import Average, cutout, set_drop_path
from spacec.search.device import resolve_device
from spacec.search.distil import distillation
from spacec.search.evaluate import mode, statistics_kept
from spacec.search.optim import OptimOptions, learning_rate, make_optimizer, set_rate, weight_hypers
from spacec.search.task import Batch, Output
from spacec.search.trainer import check_finite


def test_the_cosine_is_torchs() -> None:
    options = OptimOptions(lr=0.025, lr_min=0.001)
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.025)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 50, 0.001)
    for epoch in range(50):
        assert learning_rate(options, epoch, 3, 10, 50) == pytest.approx(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()


def test_warm_up_then_decay() -> None:
    options = OptimOptions(lr=1.0, lr_min=0.0, schedule="linear", schedule_by="step", warmup=2.0, warmup_lr=0.1)
    rates = [learning_rate(options, e, s, 2, 6) for e in range(6) for s in range(2)]
    assert rates == pytest.approx([0.1, 0.325, 0.55, 0.775, 1, 0.875, 0.75, 0.625, 0.5, 0.375, 0.25, 0.125])


def test_step_and_constant() -> None:
    options = OptimOptions(lr=1.0, schedule="step", decay=0.5, decay_every=2.4)
    assert [learning_rate(options, e, 0, 1, 9) for e in (0, 2, 3, 5)] == [1.0, 1.0, 0.5, 0.25]
    assert learning_rate(OptimOptions(lr=0.3, schedule="constant"), 7, 0, 1, 9) == 0.3


@pytest.mark.parametrize("name", ["sgd", "adam", "adamw", "rmsprop"])
def test_norms_and_biases_may_be_left_out_of_decay(name: str) -> None:
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
    options = OptimOptions(optimizer=name, weight_decay=0.1, norm_decay=False)
    hypers = weight_hypers(model, make_optimizer(model, options))
    assert {n: h.weight_decay for n, h in hypers.items()} == {"0.weight": 0.1, "0.bias": 0, "1.weight": 0, "1.bias": 0}


def test_a_group_may_keep_its_own_rate() -> None:
    model, alpha = nn.Linear(1, 1), nn.Parameter(torch.zeros(1))
    optimizer = make_optimizer(model, OptimOptions())
    optimizer.add_param_group({"params": [alpha], "lr": 0.3, "own_rate": True})
    set_rate(optimizer, 0.01)
    assert [g["lr"] for g in optimizer.param_groups] == [0.01, 0.3]


def test_cutout_zeroes_one_window_per_sample() -> None:
    batch = Batch({"image": torch.ones(500, 2, 12, 12), "row": torch.ones(500, 4)}, {})
    cut = cutout(batch, 4, torch.Generator().manual_seed(0))
    holes = 1 - cut.inputs["image"]
    assert torch.equal(holes[:, 0], holes[:, 1])
    rows, columns = holes[:, 0].amax(2).sum(1), holes[:, 0].amax(1).sum(1)
    assert torch.equal(holes[:, 0].sum((1, 2)), rows * columns)
    assert rows.max() == 4
    assert rows.min() == 2
    assert torch.equal(cut.inputs["row"], batch.inputs["row"])
    assert cutout(batch, 0, torch.Generator()) is batch


def test_drop_path_is_set_where_a_model_has_it() -> None:
    class Model(nn.Linear):
        rate = 0.0

        def set_drop_path(self, rate: float) -> None:
            self.rate = rate

    model = Model(1, 1)
    set_drop_path(model, 0.3)
    assert model.rate == 0.3
    set_drop_path(nn.Linear(1, 1), 0.3)


def test_the_average_is_the_closed_form() -> None:
    model = nn.Linear(1, 1, bias=False)
    nn.init.constant_(model.weight, 0.0)
    average = Average(model, 0.9)
    for value in (1.0, 2.0, 3.0):
        nn.init.constant_(model.weight, value)
        average.update(model)
    expected = 0.1 * (0.81 * 1 + 0.9 * 2 + 3)
    with average.in_force(model):
        assert model.weight.item() == pytest.approx(expected)
    assert model.weight.item() == 3.0


def test_mode_and_statistics_are_put_back() -> None:
    model = nn.Sequential(nn.BatchNorm1d(2), nn.BatchNorm1d(2))
    model[1].eval()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    with mode(model, True), statistics_kept(model):
        assert model[1].training
        model(torch.randn(8, 2))
        assert not torch.equal(model[0].running_mean, before["0.running_mean"])
    assert (model[0].training, model[1].training) == (True, False)
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())


def test_distillation_is_least_at_the_teacher() -> None:
    teacher = Output(torch.tensor([[1.0, 2.0, -1.0]], requires_grad=True))
    student = torch.zeros(1, 3, requires_grad=True)
    p = teacher.prediction.softmax(1)
    entropy = -(p * p.log()).sum()
    assert distillation(Output(teacher.prediction), teacher).item() == pytest.approx(entropy.item())
    loss = distillation(Output(student), teacher)
    loss.backward()
    assert teacher.prediction.grad is None
    torch.testing.assert_close(student.grad, (student.softmax(1) - p).detach())


@pytest.mark.parametrize("loss", [float("nan"), inf, -inf])
def test_a_loss_that_is_no_number_stops_the_run(loss: float) -> None:
    with pytest.raises(SpacecError, match="epoch 2, step 4") as error:
        check_finite(loss, 1, 3)
    assert error.value.diagnostics[0].code == "E0820"


def test_devices_are_named() -> None:
    assert resolve_device("cpu") == torch.device("cpu")
    assert resolve_device("auto").type in ("cpu", "cuda", "mps")
    for name in ("cpuu", "cuda:99"):
        with pytest.raises(SpacecError) as error:
            resolve_device(name)
        assert error.value.diagnostics[0].code == "E0708"

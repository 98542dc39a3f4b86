"""Data sets and folders of the user's own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from spacec.diagnostics.model import SpacecError
from spacec.search.loader import Stream
from spacec.search.task import Output, Task
from spacec.search.tasks.dataset import DatasetClassification, DatasetRegression, dataset_task
from spacec.search.tasks.folder import FolderClasses, FolderDenoise, read_image
from spacec.search.tasks.named import names_data, task_from

SOURCE = '''
import torch
from torch.utils.data import Dataset, TensorDataset

class Squares(Dataset):
    """Labels 0 and 1; training augments by torch's global generator."""
    def __len__(self):
        return 40
    def __getitem__(self, i):
        return torch.full((1, 4, 4), float(i)) + torch.rand(()), i % 2

lines = TensorDataset(torch.arange(60.).reshape(20, 3), torch.arange(20.))
pair = (Squares(), TensorDataset(torch.zeros(5, 1, 4, 4), torch.zeros(5, dtype=torch.long)))
number = 7
def broken():
    raise RuntimeError("no data today")
'''


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "data.py"
    path.write_text(SOURCE)
    return path


def code(caught: pytest.ExceptionInfo[SpacecError]) -> str:
    return caught.value.diagnostics[0].code


def test_a_dataset_class_of_a_file_becomes_a_classification(source: Path) -> None:
    task = task_from(f"{source}:Squares", {"test": "0.25", "valid": "0.1"})
    assert isinstance(task, DatasetClassification)
    assert task.header() == {"classes": 2}
    assert task.inputs[0].shape == (1, 4, 4)
    splits = task.splits(0)
    parts = [set(splits[n].indices) for n in ("weights", "arch", "valid", "test")]  # type: ignore[attr-defined]  # DatasetSplit
    assert sorted(i for part in parts for i in part) == list(range(40))
    assert len(parts[3]) == 10


def test_random_items_are_the_same_under_workers(source: Path) -> None:
    split = task_from(f"{source}:Squares").splits(0).weights
    before = torch.get_rng_state()
    alone = list(Stream(split, "weights", 1, 4, 2).epoch(0))
    assert torch.equal(before, torch.get_rng_state())
    shared = list(Stream(split, "weights", 1, 4, 2, workers=1).epoch(0))
    for a, b in zip(alone, shared, strict=True):
        assert torch.equal(a.inputs["x"], b.inputs["x"])
    fixed = [split.fetch([0, 1], torch.Generator().manual_seed(s), train=False).inputs["x"] for s in (1, 2)]
    assert torch.equal(*fixed)


def test_real_targets_become_a_regression(source: Path) -> None:
    task = task_from(f"{source}:lines")
    assert isinstance(task, DatasetRegression)
    assert task.outputs[0].shape == (1,)
    batch = task.splits(0).test.fetch([0], torch.Generator(), train=False)
    out = Output(batch.target + 3)
    assert float(task.loss(out, batch)) == pytest.approx(9)
    assert task.measure(out, batch)["mse"].tolist() == pytest.approx([9.0])


def test_a_pair_brings_its_own_test_set(source: Path) -> None:
    splits = task_from(f"{source}:pair").splits(0)
    assert len(splits.test) == 5
    assert len(splits.train) + len(splits.valid) == 40


def test_an_importable_module_may_be_named() -> None:
    task = task_from("spacec.search.tasks.digits:Digits", {"test": "0.5"})
    assert task.name == "digits"
    assert task.options.test == 0.5


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("numbers", "did you mean 'number'?"),
        ("number", "of type int"),
        ("broken", "cannot be called"),
    ],
)
def test_an_attribute_that_is_no_data_set_is_refused(source: Path, name: str, said: str) -> None:
    with pytest.raises(SpacecError) as caught:
        task_from(f"{source}:{name}")
    assert code(caught) == "E0722"
    found = caught.value.diagnostics[0]
    assert said in found.headline + found.help


@pytest.mark.parametrize("text", ["nowhere.py:x", "no_such_module_here:x", "plain", "a:b c"])
def test_what_names_nothing_is_refused(text: str) -> None:
    with pytest.raises(SpacecError) as caught:
        task_from(text)
    assert code(caught) == "E0722"


def test_a_file_that_fails_is_reported_with_its_reason(tmp_path: Path) -> None:
    path = tmp_path / "bad.py"
    path.write_text("import no_such_module_at_all\n")
    with pytest.raises(SpacecError) as caught:
        task_from(f"{path}:x")
    assert "no_such_module_at_all" in caught.value.diagnostics[0].notes[0]


@pytest.mark.parametrize("items", [[(torch.zeros(2), "cat")] * 12, [torch.zeros(2)] * 12, [(torch.zeros(2), 0)] * 3])
def test_items_of_another_form_are_refused(items: list[object]) -> None:
    with pytest.raises(SpacecError) as caught:
        dataset_task(items)
    assert code(caught) == "E0722"


def test_names_of_tasks_and_of_data_are_told_apart(tmp_path: Path) -> None:
    assert not names_data("denoise")
    assert not names_data("breast-cancer")
    assert names_data(str(tmp_path))
    assert names_data("module:attr")


def paint(path: Path, value: int, size: tuple[int, int] = (80, 72)) -> None:
    noise = np.random.default_rng(value).integers(0, 20, (size[1], size[0], 3))
    Image.fromarray((noise + value).astype(np.uint8)).save(path)


def test_sub_folders_are_classes(tmp_path: Path) -> None:
    for k, name in enumerate(("cat", "dog")):
        (tmp_path / name).mkdir()
        for i in range(10):
            paint(tmp_path / name / f"{i}.png", 40 + 150 * k, (20 + i, 24))
    (tmp_path / "notes.txt").write_text("not an image")
    task = task_from(str(tmp_path), {"size": "16"})
    assert isinstance(task, FolderClasses)
    assert task.labels == ("cat", "dog")
    batch = task.splits(0).test.fetch(range(4), torch.Generator(), train=False)
    assert batch.inputs["image"].shape == (4, 3, 16, 16)
    dark = batch.inputs["image"].mean((1, 2, 3)) < 0
    assert torch.equal(dark, batch.target == 0)


def test_a_flat_folder_is_denoised_and_divided_by_image(tmp_path: Path) -> None:
    for i in range(8):
        paint(tmp_path / f"{i}.jpg", 20 * i)
    task = task_from(str(tmp_path), {"crop": "64", "patches": "8"})
    assert isinstance(task, FolderDenoise)
    sides = [set(task.images(side)) for side in ("weights", "arch", "test")]
    assert [len(s) for s in sides] == [4, 2, 2]
    assert len(set.union(*sides)) == 8
    batch = task.splits(0).test.fetch([0], torch.Generator(), train=False)
    assert batch.target.shape == (1, 1, 64, 64)
    changed: Task = task.replace_options(sigma=50.0)
    assert isinstance(changed, FolderDenoise)
    assert changed.noise.sigma == 50


def test_unusable_folders_are_named(tmp_path: Path) -> None:
    with pytest.raises(SpacecError) as caught:
        task_from(str(tmp_path))
    assert code(caught) == "E0722"
    for i in range(4):
        paint(tmp_path / f"{i}.png", 9, (30, 30))
    with pytest.raises(SpacecError) as caught:
        task_from(str(tmp_path)).splits(0)
    assert "30 x 30" in caught.value.diagnostics[0].headline


def test_a_file_that_is_no_image_is_named(tmp_path: Path) -> None:
    path = tmp_path / "x.png"
    path.write_bytes(b"not a picture")
    with pytest.raises(SpacecError) as caught:
        read_image(path, 1)
    assert code(caught) == "E0723"

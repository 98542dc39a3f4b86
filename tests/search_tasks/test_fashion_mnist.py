"""Fashion-MNIST from idx files: those of Debian's package where it is installed, tiny ones elsewhere."""

from __future__ import annotations

import gzip
import struct
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from spacec.diagnostics.model import SpacecError
from spacec.search.tasks.classify import Pool, PoolSplit
from spacec.search.tasks.fashion_mnist import FOLDER, FashionMnist

TRAIN, TEST = 200, 40


def idx(items: torch.Tensor) -> bytes:
    return bytes((0, 0, 8, items.dim())) + struct.pack(f">{items.dim()}I", *items.shape) + bytes(items.flatten())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Pictures whose first pixel is their number and whose second is 20 times their label; labels go round."""
    for which, n in (("train", TRAIN), ("t10k", TEST)):
        numbers = torch.arange(n)
        pictures = torch.zeros(n, 28, 28, dtype=torch.uint8)
        pictures[:, 0, 0] = numbers.to(torch.uint8)
        pictures[:, 0, 1] = (numbers % 10 * 20).to(torch.uint8)
        (tmp_path / f"{which}-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx(pictures)))
        (tmp_path / f"{which}-labels-idx1-ubyte.gz").write_bytes(gzip.compress(idx((numbers % 10).to(torch.uint8))))
    return tmp_path


def pool_of(split: object) -> Pool:
    assert isinstance(split, PoolSplit)
    return split.pool


def test_the_published_test_set_is_the_test_set(folder: Path) -> None:
    splits = FashionMnist({"folder": str(folder)}).splits(0)
    sizes = {n: len(splits[n]) for n in ("weights", "arch", "valid", "train", "test")}
    assert sizes == {"weights": 90, "arch": 90, "valid": 20, "train": 180, "test": TEST}
    pools = [pool_of(splits[n]) for n in ("weights", "arch", "valid")]
    assert len(torch.cat([p.x[:, 0, 0, 0] for p in pools]).unique()) == TRAIN, "each training image is used once"
    assert len(pool_of(splits.test).x[:, 0, 0, 0].unique()) == TEST
    for pool in (*pools, pool_of(splits.test)):
        assert torch.bincount(pool.y, minlength=10).unique().numel() == 1, "every class in proportion"
    train = pool_of(splits.train).x
    assert float(train.mean()) == pytest.approx(0, abs=1e-5)
    assert float(train.std(correction=0)) == pytest.approx(1, abs=1e-5)


def test_labels_stay_with_their_images(folder: Path) -> None:
    splits = FashionMnist({"folder": str(folder), "train": "0.5", "test": "0.5"}).splits(3)
    for name in ("weights", "valid", "test"):
        pool = pool_of(splits[name])
        shades = [pool.x[pool.y == label, 0, 0, 1].unique() for label in range(10)]
        assert all(len(shade) == 1 for shade in shades)
        assert torch.equal(torch.cat(shades), torch.cat(shades).sort().values)


def test_a_share_of_both_sets(folder: Path) -> None:
    task = FashionMnist({"folder": str(folder), "train": "0.5", "test": "0.25", "valid": "0.2"})
    splits = task.splits(1)
    assert [len(splits[n]) for n in ("weights", "arch", "valid", "test")] == [40, 40, 20, 10]
    again, other = task.splits(1), task.splits(2)
    assert torch.equal(pool_of(splits.weights).x, pool_of(again.weights).x)
    assert not torch.equal(pool_of(splits.weights).x, pool_of(other.weights).x)


def test_files_need_not_be_packed(folder: Path) -> None:
    packed = FashionMnist({"folder": str(folder)}).splits(0)
    for path in sorted(folder.iterdir()):
        path.with_suffix("").write_bytes(gzip.decompress(path.read_bytes()))
        path.unlink()
    plain = FashionMnist({"folder": str(folder)}).splits(0)
    assert torch.equal(pool_of(packed.train).x, pool_of(plain.train).x)


def test_a_missing_file_names_the_package_and_the_option(tmp_path: Path) -> None:
    with pytest.raises(SpacecError) as caught:
        FashionMnist({"folder": str(tmp_path)}).splits(0)
    (found,) = caught.value.diagnostics
    assert found.code == "E0724"
    assert "train-images-idx3-ubyte.gz" in found.headline
    assert "dataset-fashion-mnist" in found.help
    assert "-t folder=" in found.help


def changed(change: Callable[[bytes], bytes]) -> Callable[[Path], object]:
    """Damage inside the packed file."""
    return lambda path: path.write_bytes(gzip.compress(change(gzip.decompress(path.read_bytes()))))


DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "cut off": (lambda path: path.write_bytes(path.read_bytes()[:-20]), "end"),
    "not packed": (lambda path: path.write_bytes(gzip.decompress(path.read_bytes())), "gzip"),
    "a bit is wrong": (lambda path: path.write_bytes(path.read_bytes()[:-6] + b"\x00" * 6), "CRC"),
    "empty": (changed(lambda data: b""), "begin"),
    "header cut": (changed(lambda data: data[:9]), "header"),
    "floats": (changed(lambda data: b"\0\0\x0d\3" + data[4:]), "begin"),
    "other size": (changed(lambda data: data[:8] + struct.pack(">2I", 32, 32) + data[16:]), "32 x 32"),
    "ends early": (changed(lambda data: data[:-1]), "before"),
    "goes on": (changed(lambda data: data + b"\0"), "after"),
    "claims too many": (changed(lambda data: data[:4] + struct.pack(">I", 2**32 - 1) + data[8:]), "before"),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_damaged_files_are_refused(name: str, folder: Path) -> None:
    damage, reason = DAMAGES[name]
    damage(folder / "train-images-idx3-ubyte.gz")
    with pytest.raises(SpacecError) as caught:
        FashionMnist({"folder": str(folder)}).splits(0)
    (found,) = caught.value.diagnostics
    assert found.code == "E0725"
    assert "train-images-idx3-ubyte.gz" in found.headline
    assert any(reason in note for note in found.notes)


@pytest.mark.parametrize(
    ("labels", "words"),
    [(torch.zeros(7), "7 labels from 0 to 0, for 40"), (torch.full((TEST,), 11), "11 to 11"), (torch.zeros(0), "no")],
)
def test_labels_that_do_not_fit_are_refused(labels: torch.Tensor, words: str, folder: Path) -> None:
    (folder / "t10k-labels-idx1-ubyte.gz").write_bytes(gzip.compress(idx(labels.to(torch.uint8))))
    with pytest.raises(SpacecError) as caught:
        FashionMnist({"folder": str(folder)}).splits(0)
    (found,) = caught.value.diagnostics
    assert found.code == "E0725"
    assert words in found.headline


@pytest.mark.skipif(not Path(FOLDER).is_dir(), reason="Debian's package dataset-fashion-mnist is not installed")
def test_the_real_files() -> None:
    splits = FashionMnist({"train": "0.05"}).splits(0)
    assert [len(splits[n]) for n in ("weights", "arch", "valid", "test")] == [1350, 1350, 300, 10_000]
    test = pool_of(splits.test)
    assert torch.bincount(test.y).tolist() == [1000] * 10
    assert test.y[:5].tolist() == [9, 2, 1, 1, 6], "the published order of the test set"

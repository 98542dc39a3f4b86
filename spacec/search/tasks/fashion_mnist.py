"""Fashion-MNIST (Xiao, Rasul & Vollgraf, 2017): 60,000 and 10,000 grey pictures of clothes, 28 x 28, ten classes.

The files are those of Debian's package dataset-fashion-mnist (Expat licence); nothing is fetched. The 10,000 are the
test set, as published; valid, weights and arch are cut from the 60,000.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from spacec.diagnostics.model import Diagnostic, SpacecError
from spacec.search.options import option
from spacec.search.tasks.classify import ClassifyOptions, ImageClassification, Pool, divide
from spacec.search.tasks.idx import read_idx

PACKAGE = "dataset-fashion-mnist"
FOLDER = "/usr/share/datasets/fashion-mnist"
"""Where Debian's package puts the files."""


@dataclass(frozen=True)
class FashionMnistOptions(ClassifyOptions):
    """How much of the data is used, and where they are; what is not valid is halved into weights and arch."""

    test: float = option(1.0, "share of the 10,000 test images that the final report reads", low=0.01, high=1.0)
    train: float = option(1.0, "share of the 60,000 training images that is used at all", low=0.001, high=1.0)
    valid: float = option(0.1, "share of the used training images that selects the epoch of a retraining", low=0.01,
                          high=0.9)  # fmt: skip
    folder: str = option(FOLDER, "folder with the four idx files, packed by gzip or not")


class FashionMnist(ImageClassification):
    """28 x 28 grey pictures of clothes, ten classes."""

    name = "fashion-mnist"
    help = f"Classify 28x28 pictures of clothes, 70,000 (Debian's package {PACKAGE})."
    classes = 10
    native = (1, 28, 28)
    Options = FashionMnistOptions
    options: FashionMnistOptions

    def pool(self) -> Pool:
        """The training images, as bytes."""
        return self._read("train")

    def parts(self, seed: int) -> tuple[Pool, dict[str, Tensor]]:
        """The samples that are used: ``test`` from the test set, the others from the training images."""
        pool, test = self.pool(), self._read("t10k")
        used = self.options.train
        divided = divide(pool.y, 1 - used, used * self.options.valid, seed)
        held = test.take(divide(test.y, self.options.test, 0.0, seed)["test"])
        names = ("valid", "weights", "arch")
        chosen = pool.take(torch.cat([divided[name] for name in names]))
        ends = torch.tensor([len(divided[name]) for name in names]).cumsum(0)
        places = torch.tensor_split(torch.arange(len(chosen) + len(held)), ends)
        together = Pool(torch.cat((chosen.x, held.x)), torch.cat((chosen.y, held.y)))
        return together, dict(zip((*names, "test"), places, strict=True))

    def _read(self, which: str) -> Pool:
        """The images of ``train`` or ``t10k``, as bytes.

        Raises :class:`SpacecError`: E0724 where a file is not there, E0725 where it is damaged.
        """
        x = read_idx(self._file(f"{which}-images-idx3-ubyte"), self.native[1:])
        labels = self._file(f"{which}-labels-idx1-ubyte")
        y = read_idx(labels, ())
        if len(y) != len(x) or not len(y) or int(y.max()) >= self.classes:
            why = f"{len(y):,} labels from {int(y.min())} to {int(y.max())}" if len(y) else "no labels"
            text = f"'{labels}' has {why}, for {len(x):,} images of {self.classes} classes"
            raise SpacecError(Diagnostic("E0725", text))
        return Pool(x[:, None], y.long())

    def _file(self, name: str) -> Path:
        folder = Path(self.options.folder)
        for path in (folder / f"{name}.gz", folder / name):
            if path.is_file():
                return path
        raise SpacecError(
            Diagnostic(
                "E0724",
                f"task '{self.name}' needs '{name}.gz', which is not in '{folder}'",
                notes=(f"the files are in Debian's and Ubuntu's package {PACKAGE}",),
                help=f"apt install {PACKAGE}, or name the folder that has them: -t folder=…",
            )
        )

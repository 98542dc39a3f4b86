"""Writes the pictures and the report of a run directory."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from torch import Tensor

from spacec.search import files
from spacec.search.report.curves import charts, probability_chart
from spacec.search.report.draw import Drawable, draw_architecture
from spacec.search.report.gather import PICTURES, RunData, gather
from spacec.search.report.page import ARCHITECTURE_PICTURE, PANEL, page
from spacec.search.report.png import png, side_by_side
from spacec.search.report.probes import probe_charts
from spacec.space.architecture import Architecture


def write_report(run_dir: Path, completed: Callable[[RunData], RunData] | None = None, url: str = "") -> Path:
    """Make ``report.html`` and the charts of ``pictures/`` from what ``run_dir`` holds; returns the report's path.

    ``completed`` may add what this package cannot find out, as a drawing. It may be called at any time: of a run that
    was cut off, it shows what there is. Raises :class:`spacec.search.files.StorageError` where the directory has no
    readable record, or the disk refuses.
    """
    data = gather(run_dir, url)
    data = data if completed is None else completed(data)
    found = charts(data)
    probabilities = probability_chart(data)
    if probabilities:
        found["probabilities"] = probabilities
    found |= {chart.stem: chart.svg for drawn in probe_charts(data).values() for chart in drawn}
    folder = _folder(run_dir)
    for stem, svg in found.items():
        files.write_text(folder / f"{stem}.svg", svg)
    path = run_dir / files.REPORT
    files.write_text(path, page(data))
    return path


def write_architecture(
    run_dir: Path,
    space: Drawable,
    arch: Architecture,
    probabilities: Mapping[str, Sequence[float]] | None = None,
    title: str = "",
) -> Path:
    """Draw ``arch`` into ``pictures/architecture.svg``, where the report looks for it."""
    path = _folder(run_dir) / f"{ARCHITECTURE_PICTURE}.svg"
    files.write_text(path, draw_architecture(space, arch, probabilities, title))
    return path


def write_pictures(run_dir: Path, pictures: Mapping[str, Tensor]) -> list[Path]:
    """Write what ``Task.pictures`` gave, ``[C, H, W]`` on 0..1 by file stem, as PNG files into ``pictures/``.

    Where a sample has ``SAMPLE.noisy``, ``SAMPLE.denoised`` and ``SAMPLE.clean``, ``SAMPLE.png`` shows them in a row.
    """
    folder = _folder(run_dir)
    images = {f"{stem}.png": image for stem, image in pictures.items()}
    for stem in pictures:
        sample = stem.removesuffix(f".{PANEL[0]}")
        row = [pictures[name] for kind in PANEL if (name := f"{sample}.{kind}") in pictures]
        if sample != stem and len(row) == len(PANEL):
            images[f"{sample}.png"] = side_by_side(row)
    for name, image in images.items():
        files.write_bytes(folder / name, png(image))
    return [folder / name for name in images]


def _folder(run_dir: Path) -> Path:
    folder = run_dir / PICTURES
    with files.storage_errors(folder, "create"):
        folder.mkdir(parents=True, exist_ok=True)
    return folder

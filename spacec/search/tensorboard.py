"""TensorBoard event files made from a run's record: while the run goes on, or afterwards, to the same files.

A record is followed: :meth:`Events.follow` writes what is new in it since the last time. Every run of the record (a
search, a training) is a run of TensorBoard, in a folder of its own:

- ``step/…`` by step of the weights, ``epoch/…`` by epoch (from 1): what was measured;
- ``probability/SLOT/CANDIDATE`` by epoch;
- ``trial/…`` and ``best/…`` by trial (from 1): metrics of the trials, and the best of the main one so far;
- texts of the architectures by role, of the grammar and of failed trials; settings and results as hparams;
- pictures that the run drew, and its architectures.

Files are always written from the record's beginning by one process. The first event of a file says that all steps
before it are void, so a run that was resumed, or went back to an earlier epoch, shows no step twice, not even in a
TensorBoard that was open meanwhile.
"""

from __future__ import annotations

import json
import os
import re
import struct
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from spacec.search import files
from spacec.search.catalogue import MetricInfo
from spacec.search.incumbents import incumbents
from spacec.search.record import RunStore
from spacec.search.tasks.extras import require

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

FOLDER = "tensorboard"
SHARE = 20.0
"""Following takes no more than one part in so many of the time."""
PAUSE = 2.0
"""Seconds between two looks at the record, at least."""
MOST_SLOTS = 200
"""Slots whose probabilities are written; of more, the first."""
MOST_FAILURES = 100
MOST_BYTES = 20_000_000
"""Of a picture."""
EVENTS = "events.out.tfevents"
"""How the name of an event file begins; the second in which it was made follows."""
MOST_WAITED = 1.5
PARTS = ("metrics", "probabilities", "architectures", "trials", "results", "events")
ARCHITECTURE = "architecture/"

Key = tuple[str, int]
"""Tag and step."""
Run = Mapping[str, Any]
Draw = Callable[[Run, str], bytes]
"""A PNG picture of an architecture of a run, by its text; empty where it cannot be drawn."""


def need_tensorboard() -> None:
    """Raise :class:`SpacecError` (E0720) where TensorBoard is not installed."""
    require("tensorboard", "TensorBoard", "writing event files", "tensorboard")


@dataclass
class _Written:
    """One run's file: its writer, and what is in it."""

    folder: Path
    writer: SummaryWriter
    values: dict[Key, float | str] = field(default_factory=dict)
    ended: bool = False


class Events:
    """Event files below ``folder``; those that are there are replaced. Use it in a ``with`` or :meth:`close` it.

    ``draw`` makes pictures of architectures; ``pictures`` is a folder of PNG files that a run writes.
    """

    def __init__(self, folder: Path, draw: Draw | None = None, pictures: Path | None = None) -> None:
        need_tensorboard()
        self.folder = folder
        self._draw = draw
        self._pictures = pictures
        self._runs: dict[int, _Written] = {}
        self._next = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        with files.storage_errors(self.folder):
            for written in self._runs.values():
                written.writer.close()
        self._runs.clear()

    def due(self) -> bool:
        """Whether it is time to look at the record again."""
        return time.monotonic() >= self._next

    def follow(self, store: RunStore, last: bool = False, job: str = "") -> None:
        """Write what is new in ``store`` (of ``job``'s runs); ``last`` says that nothing will follow.

        Raises :class:`spacec.search.files.StorageError` where the disk refuses.
        """
        start = time.monotonic()
        with files.storage_errors(self.folder):
            for run in store.runs():
                if not job or run.get("job") == job:
                    self._follow(store, run, last)
        end = time.monotonic()
        self._next = end + max(PAUSE, SHARE * (end - start))

    def _follow(self, store: RunStore, run: Run, last: bool) -> None:
        written = self._runs.get(run["id"])
        if written is None:
            taken = {w.folder.name for w in self._runs.values()}
            written = self._runs[run["id"]] = _opened(self.folder / _folder_of(run, taken))
        if written.ended:
            return
        whole = {**run, **{part: getattr(store, part)(run["id"]) for part in PARTS}}
        found = dict(scalars(whole))
        told = dict(texts(whole))
        if any(
            key in written.values and written.values[key] != value for key, value in (*found.items(), *told.items())
        ):
            written.writer.close()  # the run went back: all is written again
            written = self._runs[run["id"]] = _opened(written.folder)
        for (tag, step), value in found.items():
            if (tag, step) not in written.values:
                written.writer.add_scalar(tag, value, step)
        for (tag, step), text in told.items():
            if (tag, step) not in written.values:
                written.writer.add_text(tag, _code(text), step)
                if self._draw is not None and tag.startswith(ARCHITECTURE) and (png := self._draw(run, text)):
                    add_png(written.writer, tag, png, step)
        written.values |= {**found, **told}
        written.ended = last or run["status"] != "running"
        if written.ended:
            self._end(written.writer, whole)
        written.writer.flush()

    def _end(self, writer: SummaryWriter, run: Run) -> None:
        """Settings and results, and the pictures of the run directory."""
        from torch.utils.tensorboard.summary import hparams

        settings = dict(flat({name: run[name] for name in ("space", "seed", "header", "task", "strategy", "config")}))
        results = {f"result/{r['subject']}/{r['split']}/{r['name']}": r["value"] for r in run["results"]}
        metrics = {k: float(v) for k, v in results.items() if isinstance(v, int | float) and k.count("/") == 3}
        for summary in hparams(settings, metrics):  # type: ignore[no-untyped-call]  # torch's has no types
            _add(writer, summary, 0)
        for name, value in metrics.items():
            writer.add_scalar(name, value, 0)
        if self._pictures is not None and self._pictures.is_dir():
            for path in sorted(p for p in self._pictures.glob("*.png") if p.is_file() and not p.is_symlink()):
                add_png(writer, f"picture/{path.stem}", files.read_bytes(path, MOST_BYTES), 0)


def _opened(folder: Path) -> _Written:
    """A new file in the place of those that are there; its first event voids what a reader has seen of them.

    Those are emptied and stay: a reader that has one open would not go on past a file that is gone. It goes on in the
    order of the names, which begin with the second.
    """
    from torch.utils.tensorboard import SummaryWriter

    folder.mkdir(parents=True, exist_ok=True)
    old = list(folder.glob(f"{EVENTS}.*"))
    for path in old:
        if not path.is_symlink():
            os.truncate(path, 0)
    latest = max((found for path in old if (found := path.name.split(".")[3]).isdecimal()), default="")
    waited = time.monotonic()
    while f"{int(time.time()):010}" <= latest and time.monotonic() - waited < MOST_WAITED:
        time.sleep(0.02)
    return _Written(folder, SummaryWriter(str(folder), purge_step=0))


def _folder_of(run: Run, taken: Iterable[str]) -> str:
    """``search``, ``train-searched``, ``search-run-3``; made of letters that no path takes amiss."""
    name = re.sub(r"[^A-Za-z0-9_-]+", "-", "-".join(filter(None, (str(run["kind"]), str(run["name"]))))).strip("-")
    return name if name and name not in taken else f"{name or 'run'}-{run['id']}"


def scalars(run: Run) -> Iterator[tuple[Key, float]]:
    """Tag, step and value of all curves of a run; what is no finite number is left out."""
    for key, value in (*_measured(run["metrics"]), *_probabilities(run), *_trials(run)):
        if isinstance(value, int | float) and isfinite(value):
            yield key, float(value)


def _measured(rows: Sequence[Run]) -> Iterator[tuple[Key, Any]]:
    steps: dict[str, int] = {}
    for row in rows:
        steps[row["phase"]] = max(steps.get(row["phase"], 0), row["step"] + 1)
    for row in rows:
        phase = row["phase"]
        if row["step"] < 0:
            yield (f"{phase}_epoch/{row['name']}", row["epoch"] + 1), row["value"]
        else:
            yield (f"{phase}_step/{row['name']}", row["epoch"] * steps[phase] + row["step"]), row["value"]


def _probabilities(run: Run) -> Iterator[tuple[Key, Any]]:
    labels = {slot: names for e in run["events"] if e["kind"] == "slots" for slot, names in e["data"].items()}
    shown: dict[str, None] = {}
    for row in run["probabilities"]:
        slot, values = row["slot"], row["values"]
        if slot not in shown and len(shown) == MOST_SLOTS:
            continue
        shown[slot] = None
        names = labels.get(slot, ())
        names = names if len(names) == len(values) else [f"candidate {k}" for k in range(len(values))]
        for name, value in zip(names, values, strict=True):
            yield (f"probability/{slot}/{name}", row["epoch"] + 1), value


def _trials(run: Run) -> Iterator[tuple[Key, Any]]:
    rows = [row for row in run["trials"] if row["status"] != "running"]
    metric = next((MetricInfo.of(told) for told in run["task"].get("metrics", ())), MetricInfo())
    kept = [row["metrics"].get(metric.name) if row["status"] == "done" else None for row in rows]
    for row, best in zip(rows, incumbents(kept, metric), strict=True):
        step = row["number"] + 1
        if row["status"] == "done":
            yield from (((f"trial/{name}", step), value) for name, value in row["metrics"].items())
            yield from (((f"trial_cost/{name}", step), value) for name, value in row["costs"].items())
        yield (f"best/{metric.name}", step), best


def texts(run: Run) -> Iterator[tuple[Key, str]]:
    """Tag, step and text: architectures by role and epoch, the grammar, trials that failed."""
    yield ("grammar", 0), str(run["grammar"])
    for row in run["architectures"]:
        yield (f"{ARCHITECTURE}{row['role']}", max(0, row["epoch"] + 1)), str(row["text"])
    failed = [row for row in run["trials"] if row["status"] == "failed"]
    for row in failed[:MOST_FAILURES]:
        yield ("failed trial", row["number"] + 1), f"{row['error']}\n{row['architecture']}\n{row['traceback']}".rstrip()


def flat(values: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, bool | int | float | str]]:
    """Nested settings by dotted names, as hparams can be: other values as JSON."""
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from flat(value, f"{before}{name}.")
        else:
            yield f"{before}{name}", value if isinstance(value, bool | int | float | str) else json.dumps(value)


def add_png(writer: SummaryWriter, tag: str, png: bytes, step: int) -> None:
    """A picture as it is; the file's head has its size. What is no PNG file is left out."""
    from tensorboard.compat.proto.summary_pb2 import Summary

    if png[:8] != b"\x89PNG\r\n\x1a\n" or len(png) < 33:
        return
    width, height = struct.unpack(">II", png[16:24])
    image = Summary.Image(height=height, width=width, colorspace=3, encoded_image_string=png)
    summary = Summary(value=[Summary.Value(tag=tag, image=image)])
    _add(writer, summary, step)


def _add(writer: SummaryWriter, summary: Any, step: int) -> None:
    """What the writer has no word for."""
    writer._get_file_writer().add_summary(summary, step)  # type: ignore[no-untyped-call]  # torch's has no types


def _code(text: str) -> str:
    """``text`` as a block that Markdown leaves alone."""
    return "\n".join(f"    {line}" for line in text.splitlines())

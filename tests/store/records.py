"""What the tests of stores share: runs to write, and real files that earlier versions of spacec wrote."""

from __future__ import annotations

import gzip
from pathlib import Path

from spacec.search.record import RunInfo, RunStore, StoreRecorder, TrialRow

RECORDS = Path(__file__).parent / "records"
INFO = RunInfo(
    "search", 0, "toy", "0123abcd", "space toy() = conv(3)", "00ff", task={"name": "points"}, config={"lr": 0.1}
)


def old_record(folder: Path, version: int) -> Path:
    """``run.sqlite`` as the code of ``version`` wrote it: a search that was stopped, and a training that was killed."""
    path = folder / "run.sqlite"
    path.write_bytes(gzip.decompress((RECORDS / f"version_{version}.sqlite.gz").read_bytes()))
    return path


def fill(recorder: StoreRecorder) -> None:
    """A row of everything."""
    recorder.metric("search", 0, -1, {"loss": 0.25, "odd": float("nan"), "far": float("inf")})
    recorder.probabilities(0, {"net.b": [0.25, 0.75], "net.B": [1.0, 0.0]})
    recorder.architecture("best", -1, "0123abcd:a", {"params": 12})
    recorder.trial(TrialRow(0, "0123abcd:a", budget=3, tag={"rung": [1, 2]}, keep=True, asked=1.5))
    recorder.trial(TrialRow(1, "0123abcd:b", resume=0, status="failed", told=0, error="x\0y\udcff", traceback="é\n"))
    recorder.result("derived", "arch", {"accuracy": 0.5})
    recorder.reading("p", "t", 0, {("a", "b"): 1.5})
    recorder.event("note", "hello", {"n": 1})
    recorder.flush()


def whole(store: RunStore) -> list[dict[str, object]]:
    """All that is in a store, but for times and numbers that the database counts."""
    runs = []
    for run in store.export()["runs"]:
        events = [{k: v for k, v in e.items() if k != "time"} for e in run["events"]]
        runs.append({**{k: v for k, v in run.items() if k not in ("id", "started", "ended", "job")}, "events": events})
    return runs

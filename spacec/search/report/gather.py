"""What a report says, gathered from a run directory: its record, and the pictures beside it.

Conventions of the record, beyond those of the runner: a baseline is a result subject on the split ``test`` with an
event of kind ``subject`` that gives its title (:func:`record_baselines` writes both); values of single samples are
results named ``METRIC/SAMPLE``; an event of kind ``command`` holds a command line that was run, one of kind ``probe``
what a probe says of itself, and one of kind ``strategy`` how a strategy's own values are drawn. A training's name
(``searched``, ``random``) is its subject.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from spacec.diagnostics.model import Diagnostic
from spacec.search import files
from spacec.search.catalogue import MetricInfo
from spacec.search.record import Recorder, RunStore
from spacec.search.store.place import holds_run
from spacec.search.strategy import Strategy
from spacec.search.task import Baseline

PICTURES = "pictures"
MAX_PICTURE = 16_000_000
"""Bytes of a picture that is shown."""
TITLES = {
    "noisy": "noisy input",
    "blur": "best fixed Gaussian blur",
    "nlm": "non-local means",
    "random": "random architecture, same budget",
    "searched": "searched network",
    "": "trained network",
    "derived": "found architecture (supernet's weights, validation data)",
}
OURS = ("searched", "", "derived")


@dataclass(frozen=True)
class Subject:
    """One row of the comparison. ``samples``: the main metric of single samples; ``costs``: ``params``, ``macs``."""

    name: str
    title: str
    values: Mapping[str, float]
    samples: Mapping[str, float] = field(default_factory=dict)
    costs: Mapping[str, float] = field(default_factory=dict)
    architecture: str = ""
    remark: str = ""


@dataclass(frozen=True)
class RunData:
    """Everything a report shows; ``runs`` as :meth:`RunStore.export` gives them."""

    runs: Sequence[Mapping[str, Any]]
    metric: MetricInfo
    subjects: Sequence[Subject]
    pictures: Mapping[str, bytes] = field(default_factory=dict)
    labels: Mapping[str, Sequence[str]] = field(default_factory=dict)
    drawing: str = ""
    """The architecture that the report is about, as an SVG document."""
    undrawn: str = ""
    """Why there is none."""

    @property
    def searches(self) -> list[Mapping[str, Any]]:
        return [r for r in self.runs if r["kind"] == "search"]

    @property
    def metrics(self) -> dict[str, MetricInfo]:
        """All metrics that a task told of, by name."""
        told = [m for r in self.runs for m in r["task"].get("metrics", ()) if "name" in m]
        return {m["name"]: MetricInfo.of(m) for m in told}

    @property
    def search(self) -> Mapping[str, Any] | None:
        """The latest search."""
        return next((r for r in reversed(self.runs) if r["kind"] == "search"), None)

    @property
    def trainings(self) -> list[Mapping[str, Any]]:
        return [r for r in self.runs if r["kind"] == "train"]

    @property
    def ours(self) -> Subject | None:
        """The subject that the report is about."""
        return next((s for name in OURS for s in self.subjects if s.name == name), None)


def record_baselines(recorder: Recorder, metric: str, results: Iterable[Baseline]) -> None:
    """Write baselines so that a report finds them."""
    for r in results:
        recorder.result(r.name, "test", {metric: r.mean})
        record_samples(recorder, r.name, metric, r.per_sample)
        recorder.event("subject", r.title, {"subject": r.name, "parameters": dict(r.parameters)})


def record_samples(recorder: Recorder, subject: str, metric: str, values: Mapping[str, float]) -> None:
    """Write the metric of single test samples.

    ``subject``: ``trained`` for the network of the training that ``recorder`` writes, another training's name, or a
    baseline's.
    """
    recorder.result(subject, "test", {f"{metric}/{sample}": value for sample, value in values.items()})


def record_labels(recorder: Recorder, labels: Mapping[str, Sequence[str]]) -> None:
    """Write the candidates' names of every slot, which name the lines of the probability plots."""
    recorder.event("slots", "names of the candidates", {slot: list(names) for slot, names in labels.items()})


def record_figures(recorder: Recorder, strategy: Strategy) -> None:
    """Write how a report draws what a strategy records of its own, if it says."""
    if strategy.figures:
        figures = [figure.describe() for figure in strategy.figures]
        recorder.event("strategy", strategy.name, {"help": strategy.help, "figures": figures})


def record_command(recorder: Recorder, command: str) -> None:
    """Write the command lines that were run, one after the other, for "how to reproduce"."""
    for line in command.splitlines():
        recorder.event("command", line)


def described(run: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """The probes of a search by name, each with its ``help``, ``options`` and ``figures``."""
    return {e["message"]: e["data"] for e in run["events"] if e["kind"] == "probe"}


def drawn_of_strategy(run: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """The strategy of a search by name, with its ``help`` and ``figures``; empty for one without figures."""
    return {e["message"]: e["data"] for e in run["events"] if e["kind"] == "strategy"}


def gather(run_dir: Path, url: str = "") -> RunData:
    """Read a run directory. Raises :class:`spacec.search.files.StorageError` without a record that can be read."""
    if not holds_run(run_dir):
        raise files.StorageError(Diagnostic("E0813", f"'{run_dir}' holds no run record ({files.STORE})"))
    folder = run_dir / PICTURES
    paths = sorted(p for p in folder.iterdir() if p.suffix in (".png", ".svg")) if folder.is_dir() else []
    pictures = {p.name: files.read_bytes(p, MAX_PICTURE) for p in paths if _own(p)}
    with RunStore.of(run_dir, url, readonly=True) as store:
        return gather_store(store, pictures)


def gather_store(store: RunStore, pictures: Mapping[str, bytes] | None = None, job: str = "") -> RunData:
    """Read a record alone. ``pictures``: files that a run drew, where its directory is at hand.

    ``job``: of a database of many run directories, the one that is meant.
    """
    runs = [_sound(run) for run in store.export()["runs"] if not job or run.get("job") == job]
    events = [e for run in runs for e in run["events"]]
    labels: dict[str, Sequence[str]] = {}
    for event in events:
        if event["kind"] == "slots":
            labels.update(event["data"])
    metric = _metric(runs)
    return RunData(runs, metric, _subjects(runs, events, metric), pictures or {}, labels)


def _sound(run: Mapping[str, Any]) -> dict[str, Any]:
    """A run whose trials have numbers where numbers belong: a record is data that anyone may have written."""

    def numbers(values: object) -> dict[str, float]:
        items = values.items() if isinstance(values, dict) else ()
        return {str(k): float(v) for k, v in items if isinstance(v, int | float)}

    def sound(row: Mapping[str, Any]) -> dict[str, Any]:
        return {**row, "metrics": numbers(row["metrics"]), "costs": numbers(row["costs"])}

    return {**run, "trials": [sound(row) for row in run["trials"]]}


def _own(path: Path) -> bool:
    """Whether a picture is a file of the run itself: a link could show what is elsewhere on this machine."""
    return path.is_file() and not path.is_symlink() and not path.parent.is_symlink()


def _metric(runs: Sequence[Mapping[str, Any]]) -> MetricInfo:
    for run in reversed(runs):
        for found in run["task"].get("metrics", ()):
            return MetricInfo.of(found)
    return MetricInfo()


def _subjects(
    runs: Sequence[Mapping[str, Any]], events: Sequence[Mapping[str, Any]], metric: MetricInfo
) -> list[Subject]:
    """Baselines, then trained networks, then what a search alone found."""
    told = {e["data"]["subject"]: e for e in events if e["kind"] == "subject" and "subject" in e["data"]}
    baselines: dict[str, Subject] = {}
    trained: dict[str, Subject] = {}
    for run in runs:
        for name in dict.fromkeys(r["subject"] for r in run["results"]):
            values = _values(run, name)
            if name == "trained":
                trained[run["name"]] = _network(run, run["name"], "trained", values, metric)
            elif name == "derived":
                continue
            else:
                baselines[name] = _baseline(name, told.get(name), values, metric)
    for name in trained.keys() & baselines.keys():  # samples of a training may be recorded beside those of another
        samples = baselines.pop(name).samples
        trained[name] = replace(trained[name], samples={**samples, **trained[name].samples})
    if not trained:
        found = [s for run in runs if (s := _derived(run, metric)) is not None]
        trained = {s.name: s for s in _best(found, metric)}
    known = list(TITLES)
    rank = {name: known.index(name) if name in known else -1 for name in baselines}
    return [*sorted(baselines.values(), key=lambda s: rank[s.name]), *sorted(trained.values(), key=_ours_last)]


def _ours_last(subject: Subject) -> bool:
    return subject.name in OURS


def _best(found: Sequence[Subject], metric: MetricInfo) -> Sequence[Subject]:
    """What the best of several searches found."""
    best = found[:1]
    for other in found[1:]:
        a, b = other.values.get(metric.name), best[0].values.get(metric.name)
        best = [other] if a is not None and (b is None or metric.better(a, b)) else best
    return best


def _derived(run: Mapping[str, Any], metric: MetricInfo) -> Subject | None:
    """What a search found, rated with the supernet's weights on its validation data, or by a benchmark."""
    values = _values(run, "derived", "arch")
    if not values:
        return None
    found = _network(run, "derived", "best", values, metric)
    if "benchmark" in run["task"]:
        return replace(found, title="found architecture (benchmark)")
    alone = any(t["weights"] == "standalone" for t in run["trials"])
    return replace(found, title="found architecture (its trial, validation data)") if alone else found


def _values(run: Mapping[str, Any], subject: str, split: str = "test") -> dict[str, float]:
    wanted = (r for r in run["results"] if r["subject"] == subject and r["split"] == split)
    return {r["name"]: r["value"] for r in wanted if r["value"] is not None}


def _split(values: Mapping[str, float], metric: MetricInfo) -> tuple[dict[str, float], dict[str, float]]:
    prefix = f"{metric.name}/"
    samples = {k.removeprefix(prefix): v for k, v in values.items() if k.startswith(prefix)}
    return {k: v for k, v in values.items() if "/" not in k}, samples


def _network(run: Mapping[str, Any], name: str, role: str, values: Mapping[str, float], metric: MetricInfo) -> Subject:
    whole, samples = _split(values, metric)
    row = next((a for a in reversed(run["architectures"]) if a["role"] == role), None)
    text, costs = (row["text"], row["costs"]) if row else ("", {})
    return Subject(name, TITLES.get(name, name), whole, samples, costs, text)


def _baseline(name: str, told: Mapping[str, Any] | None, values: Mapping[str, float], metric: MetricInfo) -> Subject:
    whole, samples = _split(values, metric)
    title = told["message"] if told else TITLES.get(name, name)
    parameters = told["data"].get("parameters", {}) if told else {}
    remark = ", ".join(f"{k} = {json.dumps(v)}" for k, v in parameters.items())
    return Subject(name, title, whole, samples, remark=remark)

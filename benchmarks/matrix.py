"""Every installed strategy on every shipped space: ``make matrix``, or ``python -m benchmarks.matrix``.

Each pair runs :func:`spacec.testing.conformance.check` on the space's tiny preset, in a process of its own under a time
limit (Unix only). Results gather in ``benchmarks/matrix.json``, written whole after every pair, so that a run which is
stopped goes on where it was: a pair is run again when the sources that it depends on have changed. The page is
``docs/matrix.md``. A pair that fails, or takes too long, is shown as failed, and the command ends with exit code 1.
"""

from __future__ import annotations

import argparse
import functools
import hashlib
import multiprocessing
import resource
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from benchmarks.matrix_page import page
from benchmarks.report import ROOT, commit
from spacec.cli.progress import watched, working
from spacec.hooks import host
from spacec.hooks.manager import installed
from spacec.search.files import read_json, write_json, write_text

Pair = tuple[str, str]
"""Strategy and space."""
RESULTS = ROOT / "benchmarks/matrix.json"
PAGE = ROOT / "docs/matrix.md"
LIMIT = 300
"""Seconds of processor time for one pair."""
WAITING = 20
"""How many times as long it may take by the clock, on a machine that does other things."""
SOURCES = ("spacec/**/*.py", "spacec/std/**/*.space")
APART = ("spacec/cli/", "spacec/draw/", "spacec/search/report/", "spacec/diagnostics/")
"""What no search depends on."""


def strategies() -> tuple[str, ...]:
    """Names of the installed strategies of this project; examples and other people's plugins are left out."""
    registry = installed()
    names = registry.names("spacec_strategies")
    return tuple(name for name in names if _plugin(name).is_dir() and _plugin(name).name != "spacec-example")


def spaces() -> tuple[str, ...]:
    """Names of the shipped spaces."""
    return tuple(sorted(path.stem for path in (ROOT / "grammars").glob("*.space")))


def fingerprint(pair: Pair) -> str:
    """Of all sources that a result depends on: the package, the strategy's plugin, the grammar."""
    strategy, space = pair
    own = {*_plugin(strategy).glob("spacec_*/**/*.py"), ROOT / f"grammars/{space}.space"}
    return hashlib.sha256(_package() + _digest(own)).hexdigest()[:16]


@functools.cache
def _package() -> bytes:
    files = {path for pattern in SOURCES for path in ROOT.glob(pattern)}
    return _digest(path for path in files if not path.relative_to(ROOT).as_posix().startswith(APART))


def _digest(files: Iterable[Path]) -> bytes:
    found = hashlib.sha256()
    for path in sorted(files):
        found.update(f"{path.relative_to(ROOT).as_posix()}\0".encode() + path.read_bytes())
    return found.digest()


def judge(pair: Pair) -> dict[str, Any]:
    """The result of one pair; whatever goes wrong is the result."""
    import spacec  # by the processes that judge only: the first one starts and waits
    from spacec.testing import conformance

    strategy, space = pair
    start = time.process_time()
    try:
        loaded = spacec.load(ROOT / f"grammars/{space}.space", preset="tiny")
        report = conformance.check(loaded, installed().find("spacec_strategies", strategy).load())
    except Exception as error:  # of a pair whatever it raises is shown, and the others go on
        found = {"result": "failed", "text": f"{type(error).__name__}: {error}", "notes": []}
    else:
        kind = "failed" if not report.ok else "unsupported" if report.unsupported else "ok"
        found = {"result": kind, "text": report.unsupported or str(report), "notes": list(report.notes)}
    return {**found, "seconds": round(time.process_time() - start, 1)}


def _plugin(strategy: str) -> Path:
    entry = installed().entry("spacec_strategies", strategy)
    assert entry is not None, "the name is an installed one"
    return ROOT / "plugins" / entry.owner.distribution


def _child(pair: Pair, end: Connection, limit: int) -> None:
    used = int(time.process_time())
    resource.setrlimit(resource.RLIMIT_CPU, (used + limit, used + limit))
    end.send(judge(pair))


def run_all(pairs: Iterable[Pair], jobs: int, limit: int, done: Callable[[Pair, dict[str, Any]], None]) -> None:
    """Judge pairs in ``jobs`` processes at a time, each for ``limit`` seconds of processor time.

    ``done`` is told in the order in which they end.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["benchmarks.matrix_warm"])
    waiting = list(reversed(list(pairs)))
    running: dict[Connection, tuple[Pair, Any, float]] = {}
    while waiting or running:
        while waiting and len(running) < jobs:
            pair = waiting.pop()
            mine, theirs = context.Pipe(duplex=False)
            process = context.Process(target=_child, args=(pair, theirs, limit), daemon=True)
            process.start()
            theirs.close()
            running[mine] = (pair, process, time.monotonic())
        ready = set(wait(list(running), timeout=0.5))
        for end, (pair, process, start) in list(running.items()):
            late = time.monotonic() - start > WAITING * limit
            if end not in ready and not late:
                continue
            if late:
                process.kill()
            result = _received(end, limit)
            process.join()
            end.close()
            del running[end]
            done(pair, result)


def _received(end: Connection, limit: int) -> dict[str, Any]:
    try:
        result: dict[str, Any] = end.recv()
    except EOFError:  # ended by its limit, or by the system for its memory
        text = f"its process was ended: it took longer than {limit} seconds, or too much memory"
        return {"result": "failed", "text": text, "notes": [], "seconds": limit}
    return result


def read_results(path: Path) -> dict[Pair, dict[str, Any]]:
    """Results by pair; none where there is no file yet."""
    rows = read_json(path)["pairs"] if path.exists() else []
    return {(row["strategy"], row["space"]): row for row in rows}


def write_results(path: Path, results: Mapping[Pair, Mapping[str, Any]]) -> None:
    """All of them, in order, whole or not at all."""
    rows = [dict(results[pair]) for pair in sorted(results)]
    write_json(path, {"versions": versions(), "pairs": rows})


def versions() -> dict[str, str]:
    return {"spacec": host.version(), **{name: version(name) for name in ("torch", "numpy")}}


def due(pairs: Sequence[Pair], results: Mapping[Pair, Mapping[str, Any]], keep: bool) -> list[Pair]:
    """Pairs to run: without a result, failed, or (unless ``keep``) of other sources than the present ones."""
    missing = [p for p in pairs if p not in results or results[p]["result"] == "failed"]
    if keep:
        return missing
    return [p for p in pairs if p in missing or results[p]["fingerprint"] != fingerprint(p)]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--strategy", default="", help="only this one, run again in any case")
    parser.add_argument("--space", default="", help="only this one, run again in any case")
    parser.add_argument("--jobs", type=int, default=2, help="processes at a time")
    parser.add_argument("--limit", type=int, default=LIMIT, help="seconds of processor time for one pair")
    parser.add_argument("--keep", action="store_true", help="keep results of other sources, which the page names")
    given = parser.parse_args()
    known = [(strategy, space) for space in spaces() for strategy in strategies()]
    chosen = [p for p in known if given.strategy in ("", p[0]) and given.space in ("", p[1])]
    if not chosen:
        raise SystemExit(f"no such pair; strategies: {', '.join(strategies())}; spaces: {', '.join(spaces())}")
    results = {pair: row for pair, row in read_results(RESULTS).items() if pair in known}
    todo = chosen if given.strategy or given.space else due(chosen, results, given.keep)
    todo.sort(key=lambda pair: results[pair]["seconds"] if pair in results else 0.0)  # what is slow comes last
    left = len(todo)

    def done(pair: Pair, result: dict[str, Any]) -> None:
        nonlocal left
        left -= 1
        row = {"strategy": pair[0], "space": pair[1], **result, "fingerprint": fingerprint(pair), "commit": commit()}
        results[pair] = {**row, "date": datetime.now(UTC).date().isoformat()}
        write_results(RESULTS, results)
        write_text(PAGE, page(strategies(), spaces(), results, versions()))
        told = f"{pair[0]} on {pair[1]}: {result['result']}, {result['seconds']} s"
        if watched(sys.stderr):
            tick(facts=told)
        else:
            print(f"{told}, {left} left", flush=True)

    with working("pairs", len(todo)) as tick:
        run_all(todo, given.jobs, given.limit, done)
    write_text(PAGE, page(strategies(), spaces(), results, versions()))
    failed = [results[pair]["text"] for pair in chosen if results[pair]["result"] == "failed"]
    if failed:
        raise SystemExit("\n".join([f"{len(failed)} pairs fail:", *failed]))


if __name__ == "__main__":
    main()

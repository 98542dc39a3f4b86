"""`spacec runs` over a real PostgreSQL that holds the runs of several directories."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from spacec.cli.main import run
from spacec.search.record import RunStore
from spacec.search.store.place import assign
from tests.store.records import INFO


def test_runs_are_found_by_url_and_id(
    tmp_path: Path, database: Callable[[], str], capsys: pytest.CaptureFixture[str]
) -> None:
    url, jobs = database(), []
    for k, name in enumerate(("a", "b")):
        (tmp_path / name).mkdir()
        jobs.append(assign(tmp_path / name, url).job)
        with RunStore.of(tmp_path / name, url) as store:
            recorder = store.start(INFO)
            recorder.result("derived", "arch", {"loss": 1.0 + k})
            recorder.close("done")

    def told(*arguments: str) -> str:
        assert run(["runs", *arguments]) == 0
        said = capsys.readouterr()
        assert "p@ss" not in said.out + said.err
        assert "%40" not in said.out + said.err
        return said.out

    found = json.loads(told("list", url, "--json", "--sort", "loss", "--reverse"))
    assert [(one["run"].partition("#")[2], one["metrics"]) for one in found] == [
        (jobs[1][:8], {"loss": 2.0}),
        (jobs[0][:8], {"loss": 1.0}),
    ]
    one = json.loads(told("show", f"{url}#{jobs[1][:6]}", "--json"))
    assert (one["metrics"], len(one["parts"])) == ({"loss": 2.0}, 1)
    both = json.loads(told("compare", *(f"{url}#{job}" for job in jobs), "--json"))
    assert [side["metrics"]["loss"] for side in both["runs"]] == [1.0, 2.0]
    rows = list(csv.DictReader(io.StringIO(told("export", url, "--what", "results"))))
    assert [row["value"] for row in rows] == ["1.0", "2.0"]
    page = tmp_path / "page.html"
    told("report", f"{url}#{jobs[1][:6]}", "-o", str(page))
    assert page.is_file()
    assert run(["runs", "report", url, "-o", str(page)]) == 1
    assert "URL#ID" in capsys.readouterr().err
    for place, why in ((url, "holds 2 runs"), (f"{url}#no", "has no run 'no'")):
        assert run(["runs", "show", place]) == 1
        said = capsys.readouterr().err
        assert "E0840" in said
        assert why in said
        assert "p@ss" not in said
        assert "%40" not in said

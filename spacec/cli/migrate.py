"""``spacec migrate``: architectures and results carried over to an edited grammar."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from spacec.cli.output import say, tell
from spacec.cli.progress import working
from spacec.cli.spaces import open_space, side_options, space_options
from spacec.diagnostics.model import Diagnostic, SpacecError

if TYPE_CHECKING:
    from spacec.facade import Space
    from spacec.space.migrate import Edits

SHOWN = 5
"""Places that a reason names before it says how many more there are."""


@click.command()
@click.argument("old", type=click.Path())
@click.argument("new", type=click.Path())
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="FILE|RUN...")
@space_options
@side_options("OLD", "NEW")
@click.option("--rename", "renames", multiple=True, metavar="OLD=NEW", help="A candidate, decision or owner renamed.")
@click.option("--set", "given", multiple=True, metavar="ID=VALUE", help="The value of a decision of NEW.")
@click.option(
    "--column", default="", metavar="NAME", help="Column of a table's architectures.  [default: architecture]"
)
@click.option("--dry-run", is_flag=True, help="Say what would be carried; write nothing.")
@click.option("--force", is_flag=True, help="Write over files that are there.")
@click.pass_context
def migrate(
    ctx: click.Context,
    old: str,
    new: str,
    paths: tuple[Path, ...],
    params: tuple[str, ...],
    preset: str | None,
    ops: tuple[str, ...],
    p1: tuple[str, ...],
    p2: tuple[str, ...],
    preset1: str | None,
    preset2: str | None,
    renames: tuple[str, ...],
    given: tuple[str, ...],
    column: str,
    dry_run: bool,
    force: bool,
) -> None:
    """Carry architectures of the space OLD over to the edited space NEW.

    Takes architectures (.json, or text, one a line), tables (.csv, .tsv) and JSON of results, and whole runs. Each
    becomes a new file or folder beside it: results.csv becomes results.migrated.csv. A decision is matched
    by id, its value by label; what cannot be carried is left out and named. The exit code is 1 if anything was.

    \b
    Example:
      spacec migrate old.space new.space results.csv --rename pool=avg3 --set 'cell.edge[6]=none'
    """
    from spacec.space.migrate import edits_of

    a = open_space(old, (*params, *p1), preset1 or preset, ops)
    b = open_space(new, (*params, *p2), preset2 or preset, ops)
    edits = edits_of(a.table, b.table, _pairs(renames, "--rename"), _pairs(given, "--set"))
    whole = True
    for path in paths:
        report = Report()
        target = path.with_name(f"{path.stem}.migrated{path.suffix}")
        if target.exists() and not (force or dry_run):
            raise SpacecError(Diagnostic("E0808", f"'{target}' is there already", help="say --force to replace it"))
        with working(f"carrying {path.name}"):
            carry_path(path, None if dry_run else target, (a, b), edits, column, report)
        _tell(path, None if dry_run else target, report)
        whole &= not report.lost
    ctx.exit(0 if whole else 1)


@dataclass
class Report:
    """What happened to one file: reasons, each with the places where it holds."""

    kept: int = 0
    total: int = 0
    lost: dict[str, list[str]] = field(default_factory=dict)
    noted: dict[str, list[str]] = field(default_factory=dict)
    at: str = ""

    def place(self, text: str) -> None:
        self.at = text


def carry_path(
    path: Path, target: Path | None, spaces: tuple[Space, Space], edits: Edits, column: str, report: Report
) -> None:
    """Carry one file or run; ``None`` for a target writes nothing."""
    from spacec.search.carry import carry_file
    from spacec.search.carry_run import Home, carry_run
    from spacec.search.files import write_text

    new = spaces[1]

    def carry(spec: str | Mapping[str, Any]) -> str | dict[str, Any] | None:
        return _one(spec, spaces, edits, report)

    if path.is_dir():
        slots = [{s.id: s.labels for s in space.slots} for space in spaces]
        home = Home(new.name, new.digest, new.text, new.header, slots[1])
        run = carry_run(path, target, home, slots[0], carry, report)
        report.kept, report.total = run.kept, run.total
        if run.slots_left:
            report.noted[f"the probabilities of {run.slots_left} slots that changed are left out"] = []
        return
    found = carry_file(path, carry, report, column)
    report.kept, report.total = found.kept, found.total
    if target is not None and found.kept:
        write_text(target, found.content)


def _one(
    spec: str | Mapping[str, Any], spaces: tuple[Space, Space], edits: Edits, report: Report
) -> str | dict[str, Any] | None:
    from spacec.space.codec import from_text, read_architecture
    from spacec.space.migrate import migrate as carried

    old, new = spaces
    try:
        arch = from_text(old.table, spec) if isinstance(spec, str) else read_architecture(old.table, spec)
    except SpacecError as error:
        report.lost.setdefault(error.diagnostics[0].headline, []).append(report.at)
        return None
    found = carried(old.table, new.table, arch, edits)
    for reason in found.lost:
        report.lost.setdefault(reason, []).append(report.at)
    for reason in found.dropped:
        report.noted.setdefault(f"dropped {reason}", []).append(report.at)
    for reason in found.violated:
        report.noted.setdefault(reason.replace("this architecture violates", "violates"), []).append(report.at)
    if found.arch is None:
        return None
    return new.to_json(found.arch) if isinstance(spec, Mapping) else found.arch.text()


def _tell(path: Path, target: Path | None, report: Report) -> None:
    verb = "would be carried" if target is None else "carried"
    tell(f"{path}: {report.kept:,} of {report.total:,} architectures {verb}")
    for reason, places in report.lost.items():
        tell(f"  lost  {reason}{_places(places)}")
    for reason, places in report.noted.items():
        tell(f"  note  {reason}{_places(places)}")
    if target is not None and report.kept:
        say(f"wrote {target}")


def _places(places: Sequence[str]) -> str:
    if not places or places == ["the file"]:
        return ""
    more = f" and {len(places) - SHOWN:,} more" if len(places) > SHOWN else ""
    return f"  ({', '.join(places[:SHOWN])}{more})"


def _pairs(items: Sequence[str], option: str) -> dict[str, str]:
    """``old=new`` items. Raises :class:`SpacecError`: E0704 for another form, E0705 for a name given twice."""
    found: dict[str, str] = {}
    for item in items:
        name, sign, value = (part.strip() for part in item.rpartition("="))
        if not sign or not name or not value:
            raise SpacecError(Diagnostic("E0704", f"'{option} {item}' is not of the form name=value"))
        if name in found:
            raise SpacecError(Diagnostic("E0705", f"'{name}' is given twice to {option}"))
        found[name] = value
    return found

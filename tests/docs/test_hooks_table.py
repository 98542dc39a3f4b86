"""docs/plugins.md names every hook with its descriptor, every method of a strategy and of a probe, and what both use.

docs/strategies.md names every strategy and probe that ships.
"""

from __future__ import annotations

import re
from pathlib import Path

from spacec.hooks import HOOKS, installed
from spacec.lower import masks
from spacec.search.context import SearchContext
from spacec.search.course import Course
from spacec.search.probe import Probe
from spacec.search.strategy import Strategy

GUIDE = (Path(__file__).resolve().parents[2] / "docs" / "plugins.md").read_text(encoding="utf-8")
NOT_CALLED_BY_THE_RUNNER = {"describe", "uses_supernet"}


def test_every_hook_is_in_the_table() -> None:
    rows = dict(re.findall(r"^\| `(spacec_\w+)` \| `(\w+)` \|", GUIDE, re.MULTILINE))
    assert rows == {hook: descriptor.__name__ for hook, descriptor in HOOKS.items()}


def test_hooks_that_nothing_calls_are_said_to_be_so() -> None:
    package = Path(__file__).resolve().parents[2] / "spacec"
    outside = [p for p in package.rglob("*.py") if p.parent.name != "hooks"]
    text = "".join(p.read_text(encoding="utf-8") for p in outside)
    registry = (package / "hooks" / "manager.py").read_text(encoding="utf-8").partition("class Registry")[2]
    idle = {hook for hook in HOOKS if f'"{hook}"' not in text and f'"{hook}"]' not in registry}
    assert idle == set(re.findall(r"^\| `(spacec_\w+)` .* yet \|$", GUIDE, re.MULTILINE))


def test_every_method_of_a_strategy_is_in_the_table() -> None:
    assert named("A strategy") == methods(Strategy) - NOT_CALLED_BY_THE_RUNNER - {"Options", "config", "OptionsBase"}


def test_every_method_of_a_probe_is_in_its_table() -> None:
    assert named("A probe") == methods(Probe) - {"Options"}


def test_all_of_the_context_is_named() -> None:
    text = GUIDE.split("\n### What a strategy and a probe may use\n")[1].split("\n### ")[0]
    shown = set(re.findall(r"`(\w+)[`(]", text))
    wanted = {*vars(SearchContext), *vars(Course), *Course.__annotations__}
    assert {name for name in wanted if not name.startswith("_")} - shown == set()
    assert {kind.__name__ for kind in (masks.OneHot, masks.Paths, masks.PerInstance)} <= shown


def test_a_descriptor_says_what_its_class_says() -> None:
    """One line of help for each, whether it is read without torch (`spacec plugins`) or with it (`--help-strategy`)."""
    offers = installed()
    for hook in ("spacec_strategies", "spacec_diagnostics"):
        for name in offers.names(hook):
            descriptor = offers.find(hook, name)
            assert descriptor.load().help in {"", descriptor.help}, name


def test_every_shipped_strategy_and_probe_is_on_the_page_of_strategies() -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "strategies.md").read_text(encoding="utf-8")
    named = re.findall(r"^\| `([\w-]+)` \|", page, re.MULTILINE)
    example = {"cheapest"}
    shipped = {*installed().names("spacec_strategies"), *installed().names("spacec_diagnostics")} - example
    assert sorted(named) == sorted(shipped)


def methods(cls: type) -> set[str]:
    return {name for name in vars(cls) if not name.startswith("_") and callable(getattr(cls, name))}


def named(section: str) -> set[str]:
    """The methods in the table of a section."""
    text = GUIDE.split(f"\n### {section}\n")[1].split("\n### ")[0]
    rows = "\n".join(re.findall(r"^\| (`\w+\(.*?) \|", text, re.MULTILINE))
    return set(re.findall(r"`(\w+)\(", rows))

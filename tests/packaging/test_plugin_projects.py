"""The project file of every plugin: what its wheel holds, its entry point, and what it depends on."""

from __future__ import annotations

import ast
import tomllib
from pathlib import Path
from typing import Any

import pytest

PLUGINS = Path(__file__).resolve().parents[2] / "plugins"
PROJECTS = sorted(path.parent for path in PLUGINS.glob("*/pyproject.toml"))


def read(project: Path) -> tuple[dict[str, Any], Path]:
    """The project file, and the folder of the package."""
    (package,) = (path.parent for path in project.glob("spacec_*/__init__.py"))
    return tomllib.loads((project / "pyproject.toml").read_text(encoding="utf-8")), package


def imported(package: Path) -> set[str]:
    """The top-level modules that a package imports, inside functions too."""
    found: set[str] = set()
    for path in package.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                found.add(node.module.partition(".")[0])
    return found


def test_there_are_plugins() -> None:
    assert {"spacec-darts", "spacec-probes", "spacec-zarts"} <= {project.name for project in PROJECTS}


@pytest.mark.parametrize("project", PROJECTS, ids=lambda project: project.name)
def test_the_wheel_is_that_of_the_folder(project: Path) -> None:
    told, package = read(project)
    assert told["project"]["name"] == project.name == package.name.replace("_", "-")
    assert told["project"]["readme"] == "README.md"
    assert (project / "README.md").is_file()
    assert told["tool"]["setuptools"]["packages"]["find"]["include"] == [package.name]
    others = {path.name for path in package.rglob("*") if path.is_file() and path.suffix not in {".py", ".pyc"}}
    patterns = told["tool"]["setuptools"]["package-data"][package.name]
    held = {path.name for pattern in patterns for path in package.glob(pattern)}
    assert "py.typed" in others
    assert others == held


@pytest.mark.parametrize("project", PROJECTS, ids=lambda project: project.name)
def test_the_entry_point_is_the_package(project: Path) -> None:
    told, package = read(project)
    name = package.name.removeprefix("spacec_")
    assert told["project"]["entry-points"]["spacec"] == {name: package.name}


@pytest.mark.parametrize("project", PROJECTS, ids=lambda project: project.name)
def test_what_it_imports_of_other_distributions_is_a_dependency(project: Path) -> None:
    told, package = read(project)
    stated = {text.partition(">")[0] for text in told["project"]["dependencies"]}
    ours = {name.replace("_", "-") for name in imported(package) if name.startswith("spacec") and name != package.name}
    assert ours <= stated

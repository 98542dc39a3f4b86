"""The built wheels hold everything the package needs, and the example plugin works from outside the tree."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "plugins" / "spacec-example"
LEFT_OUT = {"__pycache__", "build"}


def pip(*arguments: str | Path) -> None:
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def copied(project: Path, to: Path) -> Path:
    """A copy to build in, so that building leaves nothing in the tree."""
    names = ("pyproject.toml", "README.md", "LICENSE", "spacec", "spacec_example")
    to.mkdir()
    for name in names:
        source = project / name
        if source.is_dir():
            shutil.copytree(source, to / name, ignore=shutil.ignore_patterns(*LEFT_OUT))
        elif source.exists():
            shutil.copy(source, to / name)
    return to


def build(project: Path, folder: Path) -> Path:
    source = copied(project, folder / "source")
    pip("wheel", "--no-build-isolation", "--no-deps", "--quiet", "--wheel-dir", folder / "wheels", source)
    (wheel,) = (folder / "wheels").glob("*.whl")
    return wheel


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder into which the wheels of spacec and of the example plugin are installed."""
    folder = tmp_path_factory.mktemp("installed")
    wheels = [build(project, tmp_path_factory.mktemp("build")) for project in (ROOT, EXAMPLE)]
    pip("install", "--no-deps", "--quiet", "--target", folder, *wheels)
    return folder


def in_target(target: Path, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run Python where the installed copies come first and the source tree is not on the path."""
    environment = {**os.environ, "PYTHONPATH": str(target), "PYTHONSAFEPATH": "1", "NO_COLOR": "1"}
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, env=environment, cwd=cwd)


def test_the_wheel_holds_every_file_of_the_package(tmp_path: Path) -> None:
    names = set(zipfile.ZipFile(build(ROOT, tmp_path)).namelist())
    wanted = {
        str(path.relative_to(ROOT))
        for path in (ROOT / "spacec").rglob("*")
        if path.is_file() and not LEFT_OUT & set(path.parts)
    }
    assert wanted
    assert wanted - names == set()
    assert any(name.endswith("licenses/LICENSE") for name in names)


def test_an_installed_spacec_is_used_from_the_target(target: Path, tmp_path: Path) -> None:
    done = in_target(target, "-c", "import spacec; print(spacec.__file__); print(spacec.__version__)", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [str(target / "spacec" / "__init__.py"), "0.1.0"]


def test_the_example_plugin_is_listed_with_its_distribution(target: Path, tmp_path: Path) -> None:
    done = in_target(target, "-m", "spacec.cli", "plugins", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "example (spacec-example 0.1.0)" in done.stdout
    for name in ("channel_shuffle", "cheapest", "alphabet"):
        assert name in done.stdout


def test_the_example_plugins_library_is_found_from_anywhere(target: Path, tmp_path: Path) -> None:
    (tmp_path / "units.space").write_text(
        'space units(C = 8)\nuse "example/shuffle.space"\ninput  x: [1, 8, 8]\noutput y: [10]\n'
        "net = conv(3, C) >> mix * 3 >> global_pool >> linear(10)\n"
    )
    done = in_target(target, "-m", "spacec.cli", "info", "units.space", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["count"] == 8


def test_the_example_plugins_own_tests_pass_on_the_installed_plugin(target: Path, tmp_path: Path) -> None:
    tests = shutil.copytree(EXAMPLE / "tests", tmp_path / "tests")
    done = in_target(target, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tests), cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr

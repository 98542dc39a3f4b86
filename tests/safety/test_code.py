"""What becomes code, tables, and where code is kept: lines of docs/threats.md."""

from __future__ import annotations

import ast
import bz2
import gzip
import os
import pickle
import re
import sys
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch

import spacec
from spacec.diagnostics.model import SpacecError
from spacec.lower.kernels.native import compiler
from spacec.lower.regions import Compiler
from tests.safety.handed import ESCAPES, HARM, HEAD, NET, SPACE, Payload, harmed, pickled, written
from tests.safety.handed import spacec as command

ROOT = Path(__file__).resolve().parents[2]
SOURCES = [p for root in ("spacec", "plugins") for p in sorted((ROOT / root).rglob("*.py")) if "tests" not in p.parts]
RUNS = {
    "spacec/hooks/local.py": "a file of ops, named by --ops",
    "spacec/lower/program.py": "source made of a checked plan",
    "spacec/lower/regions.py": "source made of a checked plan",
}
"""Files that may call ``exec``, and what on."""
LOADS = {
    "plugins/spacec-tables/spacec_tables/sources.py": "an unpickler that makes plain data only",
    "plugins/spacec-ray/spacec_ray/executor.py": "a search to its own workers",
    "plugins/spacec-ray/spacec_ray/worker.py": "a search to its own workers",
}
"""Files that may name ``pickle``."""
UNPACKING = ("full_load", "unsafe_load", "extractall", "unpack_archive")
SUSPECT = re.compile(
    r"\b(eval|exec|compile|__import__|input|breakpoint|load|system|popen|shell|allow_pickle|extractall|unpack_archive|"
    r"full_load|unsafe_load|pickle|marshal|shelve|yaml|dill|cloudpickle|joblib)\b"
)
"""What a file that does any of this has in its text."""
RUN_BY_NAME = ("eval", "exec", "compile", "__import__", "input", "breakpoint")


def _calls(tree: ast.AST) -> list[tuple[str, ast.Call]]:
    return [(_dotted(n.func), n) for n in ast.walk(tree) if isinstance(n, ast.Call)]


def _dotted(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        return f"{_dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def _keyword(call: ast.Call, name: str) -> str:
    return next((ast.unparse(k.value) for k in call.keywords if k.arg == name), "")


def test_no_reader_runs_what_it_reads() -> None:
    assert len(SOURCES) > 400
    found: dict[str, set[str]] = {}
    for path in SOURCES:
        place = path.relative_to(ROOT).as_posix()
        text = path.read_text(encoding="utf-8")
        if not SUSPECT.search(text):
            continue
        tree = ast.parse(text)
        for name, call in _calls(tree):
            last = name.rpartition(".")[2]
            if name in RUN_BY_NAME:
                found.setdefault(place, set()).add("exec")
            if name == "torch.load" and _keyword(call, "weights_only") != "True":
                found.setdefault(place, set()).add("torch.load")
            if _keyword(call, "shell") not in ("", "False") or name in ("os.system", "os.popen"):
                found.setdefault(place, set()).add("shell")
            if _keyword(call, "allow_pickle") not in ("", "False") or last in (
                "full_load",
                "unsafe_load",
                "extractall",
            ):
                found.setdefault(place, set()).add(last)
        for node in ast.walk(tree):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            for name in names:
                if name.partition(".")[0] in ("pickle", "marshal", "shelve", "yaml", "dill", "cloudpickle", "joblib"):
                    found.setdefault(place, set()).add("pickle")
    allowed = {place: {"exec"} for place in RUNS} | {place: {"pickle"} for place in LOADS}
    assert found == allowed


HOSTILE = (
    "space q(C = 4)\ninput  class_: [4, 8, 8]\ninput  self: [4, 8, 8]\ninput  torch: [4, 8, 8]\n"
    "output __import__: [4, 8, 8]\n"
    "def exec = conv(3)\ndef __class__ = conv(1)\n"
    "net = dag(class_, self, torch) { return sum([class_, self, torch]) >> (exec | __class__) >> conv(3) }\n"
)


def test_an_exported_file_is_what_the_graph_says_and_no_more() -> None:
    space = spacec.loads(HOSTILE)
    arch = space.sample(1)[0]
    facts = ['"""', "\\", "'''\n" + HARM, f"{ESCAPES}\n\u2028{HARM}", '""""""' + HARM + '"""']
    source = space.source(arch, facts=facts)
    tree = ast.parse(source)
    assert HARM.split("(")[0] in (ast.get_docstring(tree) or "")
    known = (ast.Import, ast.ImportFrom, ast.ClassDef, ast.FunctionDef, ast.Assign, ast.If, ast.Expr)
    assert all(isinstance(node, known) for node in tree.body)
    assert [n for n in tree.body if isinstance(n, ast.Expr)] == tree.body[:1], "one docstring"
    assert not [name for name, _ in _calls(tree) if name in ("open", "eval", "exec", "__import__", "compile")]
    imported = {a.name.partition(".")[0] for n in ast.walk(tree) if isinstance(n, ast.Import) for a in n.names}
    assert imported <= {"torch", "sys", "argparse", "math"} | set(sys.stdlib_module_names)
    scope: dict[str, Any] = {"__name__": "network"}
    exec(compile(tree, "network.py", "exec"), scope)
    made = scope["build"]()
    x = torch.randn(1, 4, 8, 8)
    value = made(x, x, x)
    assert isinstance(value, torch.Tensor) or list(value) == ["__import__"]
    assert not harmed()


def test_a_package_loads_as_tensors_and_texts() -> None:
    code, printed = command("compile", written("s.space", SPACE), "--arch", "random:0", "-o", "net.pt")
    assert code == 0, printed
    loaded = torch.load("net.pt", weights_only=True)
    assert isinstance(loaded["source"], str)
    assert all(isinstance(tensor, torch.Tensor) for tensor in loaded["state_dict"].values())


def test_generated_constants_are_numbers() -> None:
    from spacec.lower.kernels.native.depthwise import REALS, constants

    for real in REALS:
        for name, value in constants(real, 16, (3, 3), (1, 1), (1, 1), relu=True).items():
            assert name.isidentifier()
            assert isinstance(value, int) or value in ("float", "double")


@pytest.fixture
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(compiler, "_told", set())
    folder = tmp_path / "cache/spacec/native"
    folder.mkdir(parents=True, mode=0o700)
    return folder


KERNEL = "int answer(void) { return 42; }\n"


def test_kernels_are_kept_where_nobody_else_writes(cache: Path) -> None:
    built = compiler.load("answer", KERNEL)
    assert built is not None
    assert built.answer() == 42
    assert [oct(p.stat().st_mode & 0o022) for p in (cache, *cache.iterdir())] == ["0o0"] * 2
    cache.chmod(0o777)
    with pytest.warns(RuntimeWarning, match="others may write"):
        assert compiler.load("answer", KERNEL) is None
    cache.chmod(0o700)
    moved = cache.rename(cache.with_name("elsewhere"))
    cache.symlink_to(moved)
    with pytest.warns(RuntimeWarning, match="no folder of its own"):
        assert compiler.load("answer", KERNEL) is None


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder to another user")
def test_kernels_of_another_user_are_not_run(cache: Path) -> None:
    compiler.load("answer", KERNEL)
    os.chown(cache, 12345, -1)
    with pytest.warns(RuntimeWarning, match="another user"):
        assert compiler.load("answer", KERNEL) is None


def test_code_that_torch_compiles_is_kept_where_nobody_else_writes(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    folder = tmp_path / "inductor"
    folder.mkdir()
    folder.chmod(0o777)
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(folder))
    used = Compiler()
    assert used.run("def region(a):\n    return a + 1\n", [torch.zeros(2)], ()) is None
    assert "others may write" in next(iter(used.refused.values()))
    assert not list(folder.iterdir())


TABLE = "architecture,accuracy\n"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("cells.csv", TABLE + "\x00" * 100),
        ("cells.csv", TABLE + '"' * 100_001),
        ("cells.csv", TABLE + "a," + "9" * 2_000_000 + "\n"),
        ("cells.csv", TABLE + f"{HARM},1\n{ESCAPES},=cmd()\n"),
        ("cells.csv.gz", gzip.compress(TABLE.encode() + b"0" * 100_000_000, 1)),
        ("cells.csv.gz", b"\x1f\x8b" + b"\xff" * 100),
    ],
)  # fmt: skip
def test_a_table_is_data_of_bounded_size(name: str, content: str | bytes) -> None:
    pytest.importorskip("spacec_tables")
    space = spacec.loads(SPACE)
    with pytest.raises(SpacecError):
        space.benchmark("csv", written(name, content)).query(space.sample(1)[0])
    assert not harmed()


def _numbers() -> bytes:
    import numpy

    return pickle.dumps({"a": [numpy.float32(1.5), numpy.int64(-3), numpy.bool_(True)], "b": {1, 2}}, 2)


def test_a_pickled_table_makes_plain_data_only() -> None:
    from spacec_tables.sources import unpickled

    path = written("plain.pkl", _numbers())
    assert unpickled("toy", path) == {"a": [1.5, -3, True], "b": {1, 2}}
    assert [type(x) for x in unpickled("toy", path)["a"]] == [float, int, bool]
    hostile = {
        "call": pickled(),
        "codec": b"c_codecs\nencode\n(VAAAA\nVzip\ntR.",
        "objects": b"cnumpy\ndtype\n(VO8\nI00\nI01\ntR.",
        "builtins": b"cbuiltins\neval\n(V1\ntR.",
        "attribute": b"cnumpy\ndtype.__class__\n.",
        "instance": pickle.dumps(Payload(), 4),
        "cut": _numbers()[:-5],
    }
    for name, content in hostile.items():
        with pytest.raises(SpacecError) as error:
            unpickled("toy", written(f"{name}.pkl", content))
        assert error.value.diagnostics[0].code == "E0734"
    with pytest.raises(SpacecError, match="unpacks to more"):
        unpickled("toy", written("bomb.pickle.pbz2", bz2.compress(pickle.dumps(b"\0" * 100_000_000))))
    os.mkfifo("pipe.pkl")
    with pytest.raises(SpacecError, match="no regular file"):
        unpickled("toy", Path("pipe.pkl"))
    assert not harmed()


@pytest.mark.parametrize(
    "cells", ["relu,*,1e999", "relu,*," + "9" * 200_000, f"{HARM},*,x", "relu,*,1e999999999", "\x00"]
)
def test_a_table_of_latencies_is_data(cells: str) -> None:
    path = written("latency.csv", f"op,input,ms\n{cells}\n")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        code, printed = command("info", written("s.space", SPACE), "--cost", path)
    assert "internal error" not in printed
    assert code in (0, 1, 2)
    assert not harmed()


def test_folders_of_the_environment_bring_no_code(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from spacec.driver import LIBRARY_PATH
    from spacec.space.benchmark import DATA_FOLDER

    for variable in (LIBRARY_PATH, DATA_FOLDER):
        monkeypatch.setenv(variable, str(tmp_path / "folder"))
    for name in ("block.py", "block/__init__.py", "sitecustomize.py", "conftest.py"):
        written(f"folder/{name}", HARM)
    written("folder/block.space", "def block = conv(3) | conv(1)\n")
    space = spacec.load(written("s.space", f'{HEAD}use "block.space"\nnet = block\n'))
    assert space.count() == 2
    assert not harmed()


def test_only_installed_plugins_bring_code() -> None:
    """Installed packages with an entry point, and what a command line names; a file that lies about is neither."""
    written("spacec_here/__init__.py", HARM)
    written("spacec_here-1.0.dist-info/entry_points.txt", "[spacec]\nhere = spacec_here\n")
    code, printed = command("plugins")
    assert (code, "spacec_here" in printed) == (0, False)
    assert not harmed()
    assert NET

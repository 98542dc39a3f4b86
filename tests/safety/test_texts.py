"""Grammars, used files, architectures, graph texts and messages: lines of docs/threats.md."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import spacec
from spacec.diagnostics.model import SpacecError
from spacec.driver import Session
from spacec.ir.flat_read import FlatTextError, read_flat
from tests.safety.handed import ESCAPES, HARM, HEAD, MARKUP, NET, SPACE, harmed, written
from tests.safety.handed import spacec as command

ROOT = Path(__file__).resolve().parents[2]


def _code(error: pytest.ExceptionInfo[SpacecError]) -> str:
    return error.value.diagnostics[0].code


@pytest.mark.parametrize(
    "net",
    [
        f'conv(3, init = "{HARM}")',
        "__import__(1)",
        "os.system(1)",
        "torch.nn.Conv2d(4, 4, 3)",
        'conv(3, init = "os:system")',
        'op("os:system")',
        "conv(3).__class__",
        "relu when __debug__",
    ],
)
def test_a_grammar_names_installed_ops_only(net: str) -> None:
    with pytest.raises(SpacecError):
        spacec.loads(f"{HEAD}net = {net}\n")
    assert not harmed()


def test_a_grammar_cannot_bring_a_file_of_ops() -> None:
    written("ops.py", f"{HARM}\nimport torch\nclass Mine(torch.nn.Module):\n    def forward(self, x): return x\n")
    for net in ('use "ops.py"\nnet = mine', "net = mine", 'ops "ops.py"\nnet = mine'):
        with pytest.raises(SpacecError):
            spacec.load(written("s.space", f"{HEAD}{net}\n"))
    assert not harmed()
    spacec.load(written("s.space", f"{HEAD}net = mine\n"), ops=["ops.py"])
    assert harmed(), "the flag is what brings code"


def test_a_used_file_is_a_regular_file_of_bounded_size() -> None:
    os.mkfifo("pipe.space")
    Path("zero.space").symlink_to("/dev/zero")
    written("large.space", b"#" * 4_000_001)
    for name, code in {"pipe": "E0802", "zero": "E0802", "large": "E0805"}.items():
        with pytest.raises(SpacecError) as error:
            spacec.load(written("s.space", f'{HEAD}use "{name}.space"\n{NET}'))
        assert _code(error) == code


def test_a_library_gives_its_own_files_only() -> None:
    for path in ("example/../../driver.py", "example/../command.py", "example//etc/passwd"):
        with pytest.raises(SpacecError) as error:
            spacec.loads(f'{HEAD}use "{path}"\n{NET}')
        assert _code(error) == "E0209"


def test_an_architecture_is_data() -> None:
    space = spacec.loads(SPACE)
    good = space.to_json(space.sample(1)[0])
    hostile = [
        HARM, MARKUP, ESCAPES, "[" * 100_000, "{" * 100_000, "9" * 10_000, '{"format": 1}', "Genotype(" + "(" * 50_000,
        "Genotype(normal=__import__('os').system('x'))", "ModelSpec(matrix=open('x'), ops=[])", "\0", "",
        json.dumps({**good, "decisions": {"net": HARM}}), json.dumps({**good, "decisions": {"net": 10**30}}),
        json.dumps({**good, "decisions": [1]}), json.dumps({**good, "digest": {}}),
    ]  # fmt: skip
    for text in hostile:
        with pytest.raises(SpacecError):
            space.architecture(text)
    assert not harmed()


def test_a_graph_text_is_data() -> None:
    ops = Session.default().ops
    graph = "graph g(x)\n%0 = input x: [4]\n"
    hostile = [
        f'{graph}%1 = os.system(%0) "x": [4]',
        f"{graph}%1 = relu(%0): [__import__]",
        f"{graph}%1 = relu(%0): [4] when " + "(" * 100_000,
        f"{graph}%1 = relu(%0) a = " + "(" * 100_000,
        f"{graph}require 3^999999999 % 2",
        f"{graph}%1 = relu(%9): [4]",
        '"' * 100_000,
        HARM,
    ]
    for text in hostile:
        with pytest.raises(FlatTextError):
            read_flat(text, ops)
    assert not harmed()


def test_messages_hold_nothing_that_a_terminal_obeys() -> None:
    written("comment.space", f"# {ESCAPES}\n{HEAD}net=relu|conv(3)\n")
    written("use.space", f'{HEAD}use "{ESCAPES}.space"\n{NET}')
    written("string.space", f'{HEAD}net = conv(3, init = "{ESCAPES}")\n')
    written("name.space", f"{HEAD}net = a{ESCAPES}\n")
    odd = "odd\x1b[2J.space"
    written(odd, SPACE)
    lines = [
        ("check", name) for name in ("comment.space", "use.space", "string.space", "name.space", odd, "no\x1b[2J.space")
    ]
    lines += [("fmt", "--diff", "comment.space"), ("info", odd), ("sample", odd)]
    lines += [("graph", odd, "-o", "g\x1b[2J.svg"), ("convert", odd, ESCAPES), ("info", odd, "-p", f"C={ESCAPES}")]
    lines += [("check", "name.space", "--format", form) for form in ("concise", "json", "github")]
    for line in lines:
        _, printed = command(*line)
        assert printed
        assert not [c for c in printed if (not c.isprintable() and c != "\n") or c in "\x9b\u202e"], line


def test_a_folder_of_other_peoples_files_brings_no_modules() -> None:
    """As the installed command runs: the current folder is not where modules are looked for."""
    for name in ("lark", "click", "networkx", "torch", "rich", "spacec_evil", "small"):
        written(f"{name}.py", f"{HARM}\n")
    written("small.space", SPACE)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *map(str, (ROOT / "plugins").iterdir())])}
    line = [sys.executable, "-P", "-m", "spacec.cli", "info", "small.space"]
    done = subprocess.run(line, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    assert not harmed()

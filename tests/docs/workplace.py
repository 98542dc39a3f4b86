"""A folder like a fresh checkout, in which the blocks of one document are run one after the other."""

from __future__ import annotations

import contextlib
import doctest
import importlib.metadata
import io
import os
import re
import shlex
import subprocess
import sys
import tomllib
from dataclasses import dataclass, field
from pathlib import Path

from tests.docs.blocks import Block, in_order, matches

ROOT = Path(__file__).resolve().parents[2]
LINKED = ("grammars", "plugins", "pyproject.toml", "Makefile")
PROMPT = "$ "


@dataclass
class Workplace:
    """Runs blocks in ``folder``. ``failures`` says what went wrong, and where."""

    folder: Path
    namespace: dict[str, object] = field(default_factory=dict)
    frame: str = ""
    example: str = ""
    failures: list[str] = field(default_factory=list)
    ran: int = 0
    paths: list[Path] = field(default_factory=lambda: [ROOT])

    def __post_init__(self) -> None:
        for name in LINKED:
            (self.folder / name).symlink_to(ROOT / name)
        self.namespace["__name__"] = "document"

    def run(self, block: Block) -> None:
        """Run one block by its language; ``text`` is compared with what the ``space`` block before it gives."""
        example, self.example = self.example, ""
        if block.steer == "test":
            return
        if block.steer == "file":
            path = self.folder / block.value
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.text, encoding="utf-8")
            self.ran += 1
        elif block.language == "python":
            self._python(block)
        elif block.language == "console":
            self._console(block)
        elif block.language == "space":
            self._space(block)
        elif block.language == "text" and example:
            self._result(block, example)
        elif block.language not in ("text", ""):
            self.failures.append(f"{block.place}: nothing runs a block of '{block.language}'")

    # Python

    def _python(self, block: Block) -> None:
        self.ran += 1
        said = io.StringIO()
        if block.text.lstrip().startswith(">>>"):
            test = doctest.DocTestParser().get_doctest(block.text, self.namespace, block.place, None, block.line)
            runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
            if runner.run(test, out=said.write, clear_globs=False).failed:
                self.failures.append(said.getvalue())
            self.namespace.update(test.globs)
            return
        try:
            with contextlib.redirect_stdout(said):
                exec(compile(block.text, block.place, "exec"), self.namespace)
        except Exception as error:  # whatever a block raises is a finding about the block
            self.failures.append(f"{block.place}: {type(error).__name__}: {error}")

    # console

    def _console(self, block: Block) -> None:
        """Commands and what each prints: standard output, and standard error too where it fails."""
        self.ran += 1
        if not block.text.startswith(PROMPT):
            self.failures.append(f"{block.place}: a console block starts with '{PROMPT}command'")
            return
        for part in re.split(r"^\$ ", block.text, flags=re.MULTILINE)[1:]:
            command, _, shown = part.partition("\n")
            words = shlex.split(command, comments=True)
            where = f"{block.place}: {command}"
            if words[0] == "make":
                self._make(words[1:], where)
            elif words[0] == "pip":
                self._pip(words[1:], where)
            elif words[0] in ("spacec", "python"):
                said = self._execute(words)
                if not matches(shown, said):
                    self.failures.append(f"{where}\nshown:\n{shown}\nfound:\n{said}")
            else:
                self.failures.append(f"{where}: the tests do not know '{words[0]}'")

    def _execute(self, words: list[str]) -> str:
        start = ["-m", "spacec.cli"] if words[0] == "spacec" else []
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(map(str, self.paths)),
            "NO_COLOR": "1",
            "COLUMNS": "120",
            "OMP_NUM_THREADS": "1",
        }
        command = [sys.executable, *start, *words[1:]]
        done = subprocess.run(
            command, cwd=self.folder, env=environment, capture_output=True, text=True, encoding="utf-8", timeout=120
        )
        return done.stdout + (done.stderr if done.returncode else "")

    def _make(self, targets: list[str], where: str) -> None:
        rules = (ROOT / "Makefile").read_text(encoding="utf-8")
        for target in targets:
            if "=" not in target and not re.search(rf"^{re.escape(target)}:", rules, re.MULTILINE):
                self.failures.append(f"{where}: the Makefile has no target '{target}'")

    def _pip(self, words: list[str], where: str) -> None:
        """Give a project's entry points to later commands, as its installation does."""
        projects = [word for word in words[1:] if not word.startswith("-")]
        for project in projects:
            folder, extras = re.fullmatch(r"([^[]*)(?:\[(.*)\])?", project).groups()  # type: ignore[union-attr]  # total
            if not (self.folder / folder / "pyproject.toml").is_file():
                self.failures.append(f"{where}: '{folder}' has no pyproject.toml")
                continue
            stated = tomllib.loads((self.folder / folder / "pyproject.toml").read_text(encoding="utf-8"))["project"]
            unknown = set(filter(None, (extras or "").split(","))) - set(stated.get("optional-dependencies", {}))
            if unknown:
                self.failures.append(f"{where}: there is no extra {sorted(unknown)}")
            if folder != ".":
                self._declare(self.folder / folder, stated)

    def _declare(self, project: Path, stated: dict[str, object]) -> None:
        name = str(stated["name"])
        if name in {d.name for d in importlib.metadata.distributions()}:
            return
        site = self.folder / ".installed"
        info = site / f"{name.replace('-', '_')}-{stated['version']}.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {stated['version']}\n")
        points = stated["entry-points"]["spacec"]  # type: ignore[index]  # a plugin has the group
        (info / "entry_points.txt").write_text("[spacec]\n" + "".join(f"{k} = {v}\n" for k, v in points.items()))
        self.paths += [p for p in (site, project.resolve()) if p not in self.paths]

    # spaces

    def _space(self, block: Block) -> None:
        self.ran += 1
        text = block.text
        if block.steer == "frame":
            self.frame = text
            return
        if not re.search(r"^space\b", text, re.MULTILINE):
            text = self.frame + text
        self.example = "example.space"
        (self.folder / self.example).write_text(text, encoding="utf-8")
        self._compiles(block, self.example)

    def _compiles(self, block: Block, name: str) -> None:
        """Errors are a failure, unless the block after this one shows them (see :meth:`_result`)."""
        code, said = self._spacec("check", name)
        if code:
            self.failures.append(f"{block.place}: does not compile\n{said}")

    def _result(self, block: Block, example: str) -> None:
        code, said = self._spacec("check", example)
        if code:
            last = self.failures.pop()
            if not matches(block.text, said):
                self.failures.append(f"{last}\n{block.place} shows:\n{block.text}")
            return
        _, said = self._spacec("info", example)
        if not in_order(block.text, said):
            self.failures.append(f"{block.place} shows:\n{block.text}\nfound:\n{said}")

    def _spacec(self, *arguments: str) -> tuple[int, str]:
        from spacec.cli.main import run

        said = io.StringIO()
        with contextlib.redirect_stdout(said):
            code = run(list(arguments))
        return code, said.getvalue()

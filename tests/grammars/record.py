"""What is recorded of a shipped space, and how it is computed: ``python -m tests.grammars.record [NAME…]``.

Recorded values are compared with the compiler's by ``test_recorded.py``; those that the literature gives are
listed under ``published`` and are not to be overwritten by what the compiler says.
"""

from __future__ import annotations

import itertools
import json
import re
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import spacec

GRAMMARS = Path(__file__).parents[2] / "grammars"
RECORDED = Path(__file__).parent / "recorded"
NAMES = sorted(p.stem for p in GRAMMARS.glob("*.space"))


def code_lines(name: str) -> int:
    """Lines of a grammar that are neither blank nor comment."""
    lines = (GRAMMARS / f"{name}.space").read_text(encoding="utf-8").splitlines()
    return len([line for line in lines if line.strip() and not line.strip().startswith("#")])


def load(name: str, form: dict[str, Any]) -> spacec.Space:
    return spacec.load(GRAMMARS / f"{name}.space", preset=form.get("preset"), **form.get("given", {}))


def facts(space: spacec.Space, form: dict[str, Any]) -> dict[str, Any]:
    """The recorded values of one form, computed without torch."""
    networks = form.get("networks") or [{"architecture": "seed:0"}]
    return {
        "given": form.get("given", {}),
        "preset": form.get("preset"),
        "count": str(space.count()),
        "decisions": len(space.decisions),
        "slots": len(space.slots),
        "supernet_params": space.supernet_params(),
        "networks": [_network(space, n) for n in networks],
    }


def architecture(space: spacec.Space, text: str) -> spacec.Architecture:
    kind, _, seed = text.partition(":")
    return space.sample(seed=int(seed))[0] if kind == "seed" else space.architecture(text)


def _network(space: spacec.Space, given: dict[str, Any]) -> dict[str, Any]:
    arch = architecture(space, given["architecture"])
    free = {s.name for kind in space.inputs.values() for s in kind.symbols}
    sizes = given.get("sizes", {})
    macs = None if free - sizes.keys() else space.macs(arch, **sizes)
    return {**given, "params": space.params(arch), "macs": macs}


def source(name: str) -> str:
    """The first sentence of a grammar: its authors, title and venue."""
    lines = (GRAMMARS / f"{name}.space").read_text(encoding="utf-8").splitlines()
    cited = " ".join(itertools.takewhile(lambda line: line.startswith("#"), lines)).replace("# ", "")
    return re.split(r"(?<=\d\))", cited)[0].strip(" .")


def table() -> str:
    """``grammars/README.md``, from the records."""
    rows = []
    for name in NAMES:
        record = json.loads((RECORDED / f"{name}.json").read_text(encoding="utf-8"))
        form = record["forms"][0]
        count = f"{int(form['count']):,}" if len(form["count"]) < 22 else f"{Decimal(form['count']):.2e}"
        cells = (f"[{name}]({name}.space)", source(name), str(code_lines(name)), str(form["decisions"]), count)
        rows.append(" | ".join((*cells, f"{form['supernet_params']:,}")))
    return HEAD + "".join(f"| {row} |\n" for row in rows)


HEAD = """# Spaces of the literature

Every file names its source, has a `tiny` preset for tests, and is checked against its record in
`tests/grammars/recorded`: counts, decisions, weights of the supernet and of single networks, MACs, and what of these
was published. Lines are those that are neither blank nor comment. This table is written by
`python -m tests.grammars.record`.

| space | source | lines | decisions | architectures | weights of the supernet |
|---|---|---|---|---|---|
"""


def main() -> None:
    for name in sys.argv[1:]:
        path = RECORDED / f"{name}.json"
        old = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        forms = old.get("forms") or [{}, {"preset": "tiny"}]
        new = {
            "budget": old.get("budget", code_lines(name)),
            "published": old.get("published", []),
            "forms": [facts(load(name, form), form) for form in forms],
        }
        path.write_text(json.dumps(new, indent=1) + "\n", encoding="utf-8")
        print(f"wrote {path.name}")
    (GRAMMARS / "README.md").write_text(table(), encoding="utf-8")


if __name__ == "__main__":
    main()

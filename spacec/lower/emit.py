"""A network as a stand-alone source file: readable, and importing torch and the standard library only."""

from __future__ import annotations

import keyword
import re
from collections.abc import Iterable

from spacec.ir.flat import FlatGraph
from spacec.lower import standalone
from spacec.lower.gather import ALWAYS, OWN, Gathered
from spacec.lower.layers import literal
from spacec.lower.modules import attach, keep_frozen
from spacec.lower.network import Design, make_design
from spacec.space.architecture import Architecture
from spacec.space.decisions import DecisionTable

_TRAIN = """
    def train(self, mode=True):
        super().train(mode)
        keep_frozen(self)
        return self
"""

_TEMPLATE = '''"""{title}

{facts}

Run it to see its layers; run it with --check to recompute the reported metric.
"""

from __future__ import annotations

{imports}

ARCHITECTURE = {architecture}


class {name}(nn.Module):
    """The network."""

    def __init__(self):
        super().__init__()
        layers = {{
{layers}
        }}
        for key, layer in layers.items():
            attach(self, key, layer)
{train}
{forward}


def build():
    """The network with fresh weights."""
    return {name}()


# What the network uses, and what running this file does.


{code}


if __name__ == "__main__":
    sys.exit(run(build, __file__, {description}))
'''


def emit_source(
    flat: FlatGraph,
    table: DecisionTable,
    architecture: Architecture,
    facts: Iterable[str] = (),
    prune: bool = False,
) -> str:
    """The text of ``network.py``; ``facts`` are lines for its docstring (cost, how it was made).

    Raises :class:`SpacecError` (E0906) where an op's own code cannot be copied.
    """
    return design_source(make_design(flat, table, architecture, prune), facts)


def design_source(design: Design, facts: Iterable[str] = ()) -> str:
    """The text of ``network.py`` for a network at hand (``network.design``)."""
    gathered = Gathered()
    for code in (attach, *(c for layer in design.layers.values() for c in layer.code), *design.program.code):
        gathered.add(code)
    gathered.add(standalone.run)
    freezes = any(layer.frozen for layer in design.layers.values())
    if freezes:
        gathered.add(keep_frozen)
    name = class_name(design.space, gathered.names)
    layers = "\n".join(f"            {literal(key)}: {layer.text()}," for key, layer in design.layers.items())
    title = f"A network of the space {design.space}."
    lines = [f"Architecture: {design.architecture.text()}", *facts]
    return _TEMPLATE.format(
        title=_docstring(title),
        facts=_docstring("\n".join(lines)),
        imports=gathered.import_lines(),
        architecture=literal(design.architecture.text()),
        code="\n\n\n".join(gathered.blocks),
        name=name,
        layers=layers,
        train=_TRAIN if freezes else "",
        forward="\n".join(f"    {line}" if line else "" for line in design.program.text().rstrip().splitlines()),
        description=literal(f"{title} Architecture {design.architecture.text()}"),
    )


def class_name(space: str, taken: frozenset[str] = frozenset()) -> str:
    """``nas_bench_201`` as ``NasBench201``; never a name that means something else in the file."""
    words = re.findall(r"[A-Za-z0-9]+", space)
    name = "".join(word[0].upper() + word[1:] for word in words)
    if not name or name[0].isdigit() or keyword.iskeyword(name) or name in {*taken, *ALWAYS, *OWN}:
        name = f"{name}Network" if name[:1].isalpha() else f"Network{name}"
    return name


def _docstring(text: str) -> str:
    """Text that cannot end the docstring it stands in."""
    printable = "".join(c if c.isprintable() or c == "\n" else " " for c in text)
    return printable.replace("\\", "\\\\").replace('"""', "'''").rstrip('"')

"""A picture as text that other tools draw: Graphviz's dot language, and Mermaid's flowcharts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from spacec.draw.model import Diagram, Panel, Picture, Shape, Wire
from spacec.draw.placed import lines_of
from spacec.draw.words import TIMES

_DOT_SHAPE = {"state": "ellipse", "join": "ellipse", "input": "oval", "output": "oval"}
_DOT_FILL = {"call": "#e6f1f7", "choice": "#fcf4e5", "fixed": "#f4f5f7"}


def dot(picture: Picture) -> str:
    """A graph with one cluster for each panel; it needs Graphviz 2.30 or newer (edges that end at clusters)."""
    lines = [f"digraph {_quoted(picture.title)} {{"]
    lines.append(f"  label={_quoted(_lines(picture.title, *picture.facts))}; labelloc=t; compound=true;")
    lines.append('  node [shape=box, style="rounded,filled", fillcolor=white, fontname=Helvetica];')
    lines.append("  edge [fontname=Helvetica, fontsize=10];")
    for k, panel in enumerate(picture.panels):
        lines += _dot_panel(panel, f"p{k}")
    return "\n".join([*lines, "}"]) + "\n"


def _dot_panel(panel: Panel, name: str) -> Iterator[str]:
    yield f"  subgraph cluster_{name} {{"
    yield f"    label={_quoted(_lines(panel.title, *(note.text for note in panel.notes)))};"
    yield from _dot_diagram(panel.diagram, _Ids(name), "    ")
    yield "  }"


@dataclass(frozen=True)
class _Ids:
    """Ids of shapes that are words: the panel's, then the shape's."""

    panel: str

    def __call__(self, shape: str) -> str:
        return f"{self.panel}_" + shape.replace(".", "_").replace("+", "x")


def _dot_diagram(diagram: Diagram, ids: _Ids, indent: str) -> Iterator[str]:
    by_id = {shape.id: shape for shape in diagram.shapes}
    for shape in diagram.shapes:
        label = _quoted(_lines(*_words(shape)))
        if shape.inner is not None and shape.inner.shapes:
            yield f"{indent}subgraph cluster_{ids(shape.id)} {{"
            yield f"{indent}  label={label};"
            yield from _dot_diagram(shape.inner, ids, indent + "  ")
            yield f"{indent}}}"
            continue
        form = _DOT_SHAPE.get(shape.role, "box")
        fill = f', fillcolor="{_DOT_FILL[shape.role]}"' if shape.role in _DOT_FILL else ""
        yield f"{indent}{ids(shape.id)} [label={label}, shape={form}{fill}];"
    for wire in diagram.wires:
        tail, head = by_id[wire.tail], by_id[wire.head]
        parts = [f"label={_quoted(_label(wire))}"] if _label(wire) else []
        parts += [f"ltail=cluster_{ids(tail.id)}"] if _framed(tail) else []
        parts += [f"lhead=cluster_{ids(head.id)}"] if _framed(head) else []
        parts += ["style=dashed"] if wire.optional and not wire.labels else []
        ends = f"{ids(_end(tail, -1))} -> {ids(_end(head, 0))}"
        yield f"{indent}{ends}{' [' + ', '.join(parts) + ']' if parts else ''};"


def mermaid(picture: Picture) -> str:
    """A flowchart with one subgraph for each panel."""
    lines = ["---", f"title: {_plain(picture.title)}", "---", "flowchart TB"]
    lines += [f"%% {_plain(fact)}" for fact in picture.facts]
    for k, panel in enumerate(picture.panels):
        name = f"p{k}"
        title = _marked(_lines(panel.title, *(note.text for note in panel.notes)))
        lines.append(f'  subgraph {name}["{title}"]')
        lines.append(f"    direction {'TB' if k == 0 else 'LR'}")
        lines += _mermaid_diagram(panel.diagram, _Ids(name), "    ")
        lines.append("  end")
    lines += [
        "  classDef call fill:#e6f1f7,stroke:#0072b2",
        "  classDef choice fill:#fcf4e5,stroke:#b8860b",
        "  classDef fixed fill:#f4f5f7,stroke:#d6d9de",
    ]
    return "\n".join(lines) + "\n"


def _mermaid_diagram(diagram: Diagram, ids: _Ids, indent: str) -> Iterator[str]:
    for shape in diagram.shapes:
        text = _marked(_lines(*_words(shape)))
        if shape.inner is not None and shape.inner.shapes:
            yield f'{indent}subgraph {ids(shape.id)}["{text or " "}"]'
            yield from _mermaid_diagram(shape.inner, ids, indent + "  ")
            yield f"{indent}end"
            continue
        left, right = ("([", "])") if shape.role in ("input", "output", "state", "join") else ("[", "]")
        style = f":::{shape.role}" if shape.role in _DOT_FILL else ""
        yield f'{indent}{ids(shape.id)}{left}"{text}"{right}{style}'
    for wire in diagram.wires:
        arrow = "-.->" if wire.optional and not wire.labels else "-->"
        label = f'|"{_marked(_label(wire))}"|' if _label(wire) else ""
        yield f"{indent}{ids(wire.tail)} {arrow}{label} {ids(wire.head)}"


WRITERS: dict[str, Callable[[Picture], str]] = {".dot": dot, ".gv": dot, ".mmd": mermaid, ".mermaid": mermaid}


def _words(shape: Shape) -> list[str]:
    """The lines of a shape, candidates as a list."""
    words = [f"{'  ' * line.indent}{line.text}" for line in lines_of(shape)]
    if shape.times and len(shape.rows) < 2:
        words.append(f"{TIMES} {shape.times}")
    return words


def _label(wire: Wire) -> str:
    return " | ".join(wire.labels) or wire.note


def _framed(shape: Shape) -> bool:
    return shape.inner is not None and bool(shape.inner.shapes)


def _end(shape: Shape, place: int) -> str:
    """The shape of a frame that stands at its border: the first (0) or the last (-1)."""
    while shape.inner is not None and shape.inner.shapes:
        shape = shape.inner.shapes[place]
    return shape.id


def _lines(*parts: str) -> str:
    return "\n".join(parts)


def _plain(text: str) -> str:
    return " ".join(text.split())


def _quoted(text: str) -> str:
    """A dot string; Graphviz reads no character but these two in a special way."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


def _marked(text: str) -> str:
    """A Mermaid string: entity codes for what Mermaid or HTML would read, line breaks as tags."""
    for sign, code in (("#", "#35;"), ("&", "#amp;"), ('"', "#quot;"), ("<", "#lt;"), (">", "#gt;"), ("`", "#96;")):
        text = text.replace(sign, code)
    return text.replace("\n", "<br/>")

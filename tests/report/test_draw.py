"""Drawings of architectures: what they show is what the architecture says, and the SVG is well formed."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from functools import cache
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import spacec
from spacec.draw.layered import Mark, Sketch, place
from spacec.draw.svg import Svg, text_width
from spacec.search.report.dag import draw_sketch
from spacec.search.report.draw import draw_architecture
from spacec.search.report.grid import Link, Skip
from spacec.search.report.selected import Selected
from spacec.search.report.sketch import cells_of, grid_of, layers_of
from tests.grammars.record import GRAMMARS

NAMES = ("clearer", "darts", "nas_bench_201", "tabular")
SEEDS = st.integers(0, 10_000)


@cache
def space(name: str) -> spacec.Space:
    return spacec.load(GRAMMARS / f"{name}.space", preset="tiny")


def selected(name: str, seed: int) -> Selected:
    s = space(name)
    return Selected(s.flat, s.table, s.sample(n=1, seed=seed)[0])


def parsed(svg: str) -> ET.Element:
    return ET.fromstring(svg)


def texts(svg: str) -> list[str]:
    return [e.text or "" for e in parsed(svg).iter("{http://www.w3.org/2000/svg}text")]


@pytest.mark.parametrize("name", NAMES)
def test_every_space_is_drawn_as_well_formed_svg_inside_its_bounds(name: str) -> None:
    s = space(name)
    for arch in s.sample(n=3, seed=1):
        root = parsed(draw_architecture(s, arch, title=f"{name} <&>"))
        width, height = float(root.get("width", "0")), float(root.get("height", "0"))
        assert width < 3000
        for rect in root.iter("{http://www.w3.org/2000/svg}rect"):
            assert 0 <= float(rect.get("x", "-1")) <= width - float(rect.get("width", "0"))
            assert 0 <= float(rect.get("y", "-1")) <= height


@given(SEEDS)
@settings(max_examples=15, deadline=None)
def test_a_clearer_grid_shows_every_column(seed: int) -> None:
    chosen = selected("clearer", seed)
    grid = grid_of(chosen)
    assert grid is not None
    assert grid.rows == ("full size", "1/2", "1/4", "1/8")
    columns = [s for s in grid.stages if s.chosen]
    labels = [chosen.table.by_id[d].labels[v] for d, v in chosen.arch.choices if isinstance(v, int)]
    assert [s.label for s in columns] == labels
    for k, stage in enumerate(columns):
        n = 2 + k // (len(columns) // 3)
        every = {(i, j) for i in range(n) for j in range(n)}
        links = {(link.start, link.end): link.block for link in stage.links}
        if stage.label == "parallel":
            assert links == {(i, i): True for i in range(n)}
        else:
            assert links == {(i, j): i != j for i, j in every}
    assert {(k.start, k.end) for k in grid.stages[-1].links} == {(i, 0) for i in range(4)}
    assert Link(0, 1, True) in grid.stages[0].links


def test_a_global_residual_is_a_skip_from_input_to_output() -> None:
    s = spacec.load(GRAMMARS / "clearer.space", preset="tiny", residual=1)
    arch = s.sample(n=1, seed=0)[0]
    grid = grid_of(Selected(s.flat, s.table, arch))
    assert grid is not None
    assert grid.skips == (Skip(0, len(grid.stages), (0, 0)),)
    plain = grid_of(Selected(space("clearer").flat, space("clearer").table, arch))
    assert plain is not None
    assert (plain.stages, plain.skips) == (grid.stages, ())


def test_probabilities_are_shown_beside_the_choices() -> None:
    s = space("clearer")
    arch = s.sample(n=1, seed=0)[0]
    chosen = [v for _, v in arch.choices]
    probabilities = {slot.id: [0.07, 0.93] for slot in s.slots}
    shown = [t for t in texts(draw_architecture(s, arch, probabilities)) if t.startswith("p = ")]
    assert shown == [f"p = {(0.07, 0.93)[v]:.2f}" for v in chosen if isinstance(v, int)]


@given(SEEDS)
@settings(max_examples=25, deadline=None)
def test_darts_cells_show_what_the_architecture_picks(seed: int) -> None:
    """Edges of the sketch against picks and operations, read from the architecture by other means."""
    chosen = selected("darts", seed)
    for owner, sketch in cells_of(chosen).items():
        ops = {m.id: m.lines[0] for m in sketch.marks if m.role == "op"}
        names = {m.id: m.lines[0] for m in sketch.marks if m.role != "op"}
        position = {"input 1": 0, "input 2": 1, "0": 2, "1": 3, "2": 4, "3": 5}
        drawn: list[tuple[int, int, str]] = []
        for op, label in ops.items():
            (source,) = (a for a, b in sketch.edges if b == op)
            (target,) = (b for a, b in sketch.edges if a == op)
            drawn.append((position.get(names[source], -1), position[names[target]] - 2, label))
        if "input" in names.values():  # only one of the two inputs is used
            drawn = [(max(source, 0), target, label) for source, target, label in drawn]
        expected = [
            (element, k, label) for k in range(4) for element, label in _picked(chosen, f"{owner}.pick[{k}]", k)
        ]
        if "input" not in names.values():
            assert sorted(drawn) == sorted(expected)
        assert sorted(label for *_, label in drawn) == sorted(label for *_, label in expected)
        assert {a for a, b in sketch.edges if b == "output"} == {m.id for m in sketch.marks if m.role == "state"}


def _picked(chosen: Selected, pick: str, state: int) -> list[tuple[int, str]]:
    """Elements that a subset decision picks, with the label of each one's operation."""
    elements = chosen.arch.get(pick)
    if elements is None:  # two of two: nothing to decide
        elements = (0, 1)
    assert isinstance(elements, tuple)
    found = []
    for element in elements:
        slot = next(s for s in chosen.table.slots if s.id == f"{pick}.edge[{element}]")
        index = chosen.indices[slot.id]
        assert index is not None
        found.append((element, slot.labels[index]))
    assert len(found) == 2
    assert all(e <= state + 1 for e, _ in found)
    return found


@given(SEEDS)
@settings(max_examples=25, deadline=None)
def test_nas_bench_cells_leave_out_zero_edges(seed: int) -> None:
    chosen = selected("nas_bench_201", seed)
    (sketch,) = cells_of(chosen).values()
    taken = [chosen.table.by_id[d].labels[v] for d, v in chosen.arch.choices if isinstance(v, int)]
    shown = [m.lines[0] for m in sketch.marks if m.role == "op"]
    assert sorted(shown) == sorted(t for t in taken if t != "none")


def test_a_tabular_network_shows_the_widths_chosen() -> None:
    chosen = selected("tabular", 4)
    widths = [chosen.table.by_id[d].values[v] for d, v in chosen.arch.choices if isinstance(v, int)]
    boxes = [m for m in layers_of(chosen).marks if m.role == "op"]
    assert [m.lines for m in boxes] == [(f"linear {w}", "relu") for w in widths]


@st.composite
def dags(draw: st.DrawFn) -> Sketch:
    n = draw(st.integers(1, 9))
    edges = [(i, j) for j in range(n) for i in range(j) if draw(st.booleans())]
    marks = tuple(Mark(str(i), (f"n{i}",), "state", late=draw(st.booleans())) for i in range(n))
    return Sketch(marks, tuple((str(a), str(b)) for a, b in edges))


@given(dags())
@settings(max_examples=60, deadline=None)
def test_layouts_run_left_to_right_without_overlaps(sketch: Sketch) -> None:
    sizes = {m.id: (40.0, 20.0) for m in sketch.marks}
    found = place(sketch, sizes, 30, 10)
    centres = found.centres
    for (a, b), course in found.courses.items():
        assert centres[a][0] + 40 + 30 <= centres[b][0] + 1e-6
        assert all(p[0] <= q[0] + 1e-6 for p, q in pairwise(course))
    ids = list(centres)
    for i, a in enumerate(ids):
        for b in ids[i + 1 :]:
            (ax, ay), (bx, by) = centres[a], centres[b]
            assert abs(ax - bx) >= 40 - 1e-6 or abs(ay - by) >= 20 + 7 - 1e-6
    assert place(sketch, sizes, 30, 10) == found


def test_a_path_is_drawn_straight() -> None:
    marks = tuple(Mark(str(i), (str(i),), "state") for i in range(4))
    edges = tuple((str(i), str(i + 1)) for i in range(3))
    found = place(Sketch(marks, edges), {m.id: (20.0, 20.0) for m in marks}, 9, 9)
    assert len({y for _, y in found.centres.values()}) == 1


def test_texts_are_escaped() -> None:
    hostile = '</text><script>alert("x")</script>'
    sketch = Sketch((Mark("a", (hostile,), "op"),), ())
    svg = draw_sketch(sketch, hostile).render()
    assert "<script" not in svg
    assert hostile in texts(svg)


def test_wider_texts_are_estimated_wider() -> None:
    assert text_width("mmm", 12) > text_width("iii", 12)
    assert text_width("ab", 24) == pytest.approx(2 * text_width("ab", 12))
    assert parsed(Svg(10, 10, "t").render()).find("{http://www.w3.org/2000/svg}title") is not None

"""Laws of pictures on shipped and random spaces: nothing overlaps, wires end at shapes, every decision is shown."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from functools import cache
from pathlib import Path

import pytest

import spacec
from spacec.draw.model import Picture, Shown, every_shape, shown_in
from spacec.draw.page import MARGIN, arrange
from spacec.draw.paint import render
from spacec.draw.placed import Box, Course, Layout, inside, line_width, lines_of
from spacec.draw.read import EVERY, coverage, read_picture
from spacec.space.architecture import Architecture
from spacec.testing.generate import random_space

GRAMMARS = sorted((Path(__file__).parents[2] / "grammars").glob("*.space"))
RANDOM = range(60)
NEAR = 0.6


@cache
def shipped(path: Path) -> spacec.Space:
    return spacec.load(path, preset="tiny")


@cache
def grown(seed: int) -> spacec.Space:
    return spacec.loads(random_space(seed, size=10))


def picture_of(space: spacec.Space, arch: Architecture | None = None, depth: int = 0) -> Picture:
    return read_picture(space.graph, space.table, arch, depth, (f"{space.name} <&>",))


def pictures(space: spacec.Space, seed: int = 0) -> list[Picture]:
    arch = space.sample(seed=seed)[0]
    return [picture_of(space, a, depth) for a in (None, arch) for depth in (0, 1)]


def every_decision_is_shown_once(space: spacec.Space) -> None:
    picture = picture_of(space)
    places = coverage(picture, space.graph)
    assert set(places) == {d.id for d in space.decisions}
    assert all(len(found) == 1 for found in places.values())


def nothing_overlaps(layout: Layout) -> None:
    for k, a in enumerate(layout.boxes):
        assert a.x >= -NEAR
        assert a.y >= -NEAR
        for b in layout.boxes[k + 1 :]:
            beside = a.x + a.width <= b.x + NEAR or b.x + b.width <= a.x + NEAR
            below = a.y + a.height <= b.y + NEAR or b.y + b.height <= a.y + NEAR
            assert beside or below, (a.shape.lines, b.shape.lines)
        inner = inside(a)
        if inner is not None:
            nothing_overlaps(inner)
            for box in inner.boxes:
                assert a.x <= box.x
                assert box.x + box.width <= a.x + a.width + NEAR
                assert a.y <= box.y
                assert box.y + box.height <= a.y + a.height + NEAR


def text_fits(box: Box) -> None:
    widest = max((line_width(line) for line in lines_of(box.shape)), default=0.0)
    assert widest <= box.width


def ends_at_shapes(layout: Layout) -> None:
    boxes = {box.shape.id: box for box in layout.boxes}
    for course in layout.courses:
        assert on_border(course.points[0], boxes[course.wire.tail]), course
        assert on_border(course.points[-1], boxes[course.wire.head]), course
    for box in layout.boxes:
        text_fits(box)
        inner = inside(box)
        if inner is not None:
            ends_at_shapes(inner)


def on_border(point: tuple[float, float], box: Box) -> bool:
    x, y = point[0] - box.x, point[1] - box.y
    within = -NEAR <= x <= box.width + NEAR and -NEAR <= y <= box.height + NEAR
    return within and min(abs(x), abs(x - box.width), abs(y), abs(y - box.height)) <= NEAR


def page_is_tight(picture: Picture) -> None:
    page = arrange(picture)
    for k, a in enumerate(page.frames):
        assert a.x >= MARGIN - NEAR
        assert a.x + a.width <= page.width - MARGIN + NEAR
        assert a.y + a.height <= page.height
        for b in page.frames[k + 1 :]:
            assert a.x + a.width <= b.x or b.x + b.width <= a.x or a.y + a.height <= b.y or b.y + b.height <= a.y
        for box in a.layout.boxes:
            assert a.x <= box.x
            assert box.x + box.width <= a.x + a.width
            assert box.y + box.height <= a.y + a.height
        nothing_overlaps(a.layout)
        ends_at_shapes(a.layout)


def is_svg(picture: Picture) -> None:
    root = ET.fromstring(render(picture))
    page = arrange(picture)
    box = [float(v) for v in root.get("viewBox", "").split()]
    assert box[:2] == [0, 0]
    assert abs(box[2] - page.width) < NEAR
    assert abs(box[3] - page.height) < NEAR
    for text in root.iter("{http://www.w3.org/2000/svg}text"):
        assert 0 <= float(text.get("x", "-1")) <= page.width
        assert 0 <= float(text.get("y", "-1")) <= page.height


@pytest.mark.parametrize("path", GRAMMARS, ids=lambda p: p.stem)
def test_a_shipped_space(path: Path) -> None:
    space = shipped(path)
    every_decision_is_shown_once(space)
    for picture in pictures(space):
        page_is_tight(picture)
        is_svg(picture)


@pytest.mark.parametrize("seed", RANDOM)
def test_a_random_space(seed: int) -> None:
    space = grown(seed)
    every_decision_is_shown_once(space)
    for picture in pictures(space, seed):
        page_is_tight(picture)
        is_svg(picture)


@pytest.mark.parametrize("path", GRAMMARS, ids=lambda p: p.stem)
def test_an_architecture_shows_what_it_decides(path: Path) -> None:
    space = shipped(path)
    for arch in space.sample(n=3, seed=5):
        picture = picture_of(space, arch)
        said = {s.text.rsplit(": ", 1)[-1].rsplit(" ", 1)[-1] for s in shown_of(picture)}
        for id, value in arch.choices:
            decision = space.table.by_id[id]
            if decision.kind == "op" and isinstance(value, int):
                last = decision.labels[value].rsplit(" ", 1)[-1]
                assert last in said


def shown_of(picture: Picture) -> list[Shown]:
    return [s for panel in picture.panels for v in panel.variants for s in v.shown]


def test_written_out_calls_are_frames() -> None:
    space = spacec.load(Path(__file__).parents[2] / "grammars" / "nas_bench_201.space")
    folded, opened = picture_of(space), picture_of(space, depth=EVERY)
    assert [p.name for p in folded.panels] == ["network", "cell"]
    assert [p.name for p in opened.panels] == ["network"]
    frames = [s for s in every_shape(opened.panels[0].diagram) if s.inner is not None]
    assert {"cell", "residual_down(2*C)", "residual_down(4*C)"} <= {s.lines[0].text for s in frames}
    assert sum(1 for _ in shown_in(opened.panels[0].diagram)) == 15 * 6


def shapes(space: spacec.Space, panel: int = 0, arch: Architecture | None = None) -> list[tuple[str, str, str]]:
    diagram = picture_of(space, arch).panels[panel].diagram
    return [(s.role, " / ".join(line.text for line in s.lines), s.times) for s in diagram.shapes]


def spaced(net: str, *lines: str) -> spacec.Space:
    head = "space s(C = 8, classes = 10)\ninput x: [3, 16, 16]\noutput y: [classes]\n"
    return spacec.loads("\n".join([head, *lines, f"net = {net} >> global_pool >> linear(classes)"]) + "\n")


def test_darts_is_drawn_as_in_its_paper() -> None:
    space = spacec.load(Path(__file__).parents[2] / "grammars" / "darts.space")
    assert shapes(space)[2:7] == [
        ("call", "normal", "2"),
        ("call", "reduce", ""),
        ("call", "normal", "2"),
        ("call", "reduce", ""),
        ("call", "normal", "2"),
    ]
    picture = picture_of(space)
    assert [p.title for p in picture.panels] == ["network", "let normal", "let reduce"]
    cell = picture.panels[1].diagram
    states = [s for s in cell.shapes if s.role == "state"]
    assert [[line.text for line in s.lines] for s in states] == [
        ["0"],
        ["1", "2 of 3"],
        ["2", "2 of 4"],
        ["3", "2 of 5"],
    ]
    assert sum(len(w.labels) == 7 for w in cell.wires) == 14


def test_copies_fold_and_depths_say_how_many() -> None:
    space = spaced(
        "conv(3, C) >> (conv(3) | bn) * 3 >> (relu >> conv(3)) * 2 >> block * {2..4}", "def block = skip | conv(5)"
    )
    assert ("choice", "choice / conv(3) / bn", "3") in shapes(space)
    assert ("choice", "block / skip / conv(5)", "2\u20134") in shapes(space)


def test_shared_values_are_noted_wherever_they_are_used() -> None:
    net = "conv(3, C) >> head >> head >> (conv(3) | bn) * d"
    lines = ("let w = elastic {8, 16}", "let d = {1..3}", "def head = conv(3, w) >> residual(conv(1, w)) >> conv(3, C)")
    space = spaced(net, *lines)
    every_decision_is_shown_once(space)
    panel = picture_of(space).panels[0]
    assert [note.text for note in panel.notes] == ["w: 8 | 16", "d: 1 | 2 | 3"]
    assert ("choice", "head / with w", "2") in shapes(space)
    arch = space.sample(seed=2)[0]
    notes = [note.text for note in picture_of(space, arch).panels[0].notes]
    assert len(notes) == 2


def test_a_family_of_choices_is_a_lattice() -> None:
    on = "a: conv(3) >> walk[l-1, r] when l > 0 | b: conv(5) >> walk[l-1, r+1] when l > 0"
    walk = f"let walk[l, r] = {on} | c: bn when l == 0 | d: relu when l == 0"
    space = spaced("conv(3, C) >> walk[2, 0]", walk)
    every_decision_is_shown_once(space)
    picture = picture_of(space)
    assert [p.title for p in picture.panels] == ["network", "let walk"]
    lattice = picture.panels[1].diagram
    titles = {s.id: s.lines[0].text for s in lattice.shapes}
    ways = {(titles[w.tail], *w.labels, titles[w.head]) for w in lattice.wires}
    assert ("2,0", "a", "1,0") in ways
    assert ("2,0", "b", "1,1") in ways
    assert ("0,2", "c", "d", "output") in ways
    assert len(ways) == 9


def test_a_pattern_of_two_is_one_frame() -> None:
    space = spaced("conv(3, C) >> (a >> b) * 3", "def a = skip | conv(3)", "def b = skip | conv(5)")
    diagram = picture_of(space).panels[0].diagram
    frame = next(s for s in diagram.shapes if s.role == "frame")
    assert frame.times == "3"
    assert frame.inner is not None
    assert [s.lines[0].text for s in frame.inner.shapes] == ["a", "b"]
    assert [len(s.shown) for s in frame.inner.shapes] == [3, 3]


def test_elastic_sizes_are_ranges_and_decided_ones_are_numbers() -> None:
    space = spaced("conv(3, elastic {8, 16, 64}) >> relu >> conv(3, C)")
    (shape,) = [s for s in shapes(space) if s[0] == "choice"]
    assert shape[1] == "conv 3\u00d73, [8..64] \u00b7 relu / out: 8 | 16 | 64"
    arch = next(a for a in space.enumerate() if a.choices[0][1] == 1)
    (shape,) = [s for s in shapes(space, arch=arch) if s[0] == "choice"]
    assert shape[1] == "conv 3\u00d73, 16 \u00b7 relu / out 16"


def test_scales_stand_on_rows() -> None:
    space = spacec.load(Path(__file__).parents[2] / "grammars" / "clearer.space")
    picture = picture_of(space)
    assert picture.panels[0].diagram.scales == ("8H \u00d7 8W", "4H \u00d7 4W", "2H \u00d7 2W", "H \u00d7 W")
    assert [p.name for p in picture.panels] == ["network", "parallel", "fusion"]
    fusion = picture.panels[2].diagram
    assert sum(w.rows[0] != w.rows[1] for w in fusion.wires) == 12
    rows = [course for frame in arrange(picture).frames for course in frame.layout.courses if level(course)]
    assert rows


def test_every_scale_of_a_pyramid_is_an_input_and_an_output() -> None:
    text = "space s\ninput a: {[4, 8, 8], [8, 4, 4]}\noutput b: {[4, 8, 8], [8, 4, 4]}\nnet = each(relu | tanh)\n"
    diagram = picture_of(spacec.loads(text)).panels[0].diagram
    ports = [shape.lines[0].text for shape in diagram.shapes if shape.role in ("input", "output")]
    assert ports == ["a_0 [4, 8, 8]", "a_1 [8, 4, 4]", "b_0 [4, 8, 8]", "b_1 [8, 4, 4]"]


def level(course: Course) -> bool:
    return course.wire.rows[0] == course.wire.rows[1] and course.points[0][1] == course.points[-1][1]


def test_the_same_picture_twice() -> None:
    texts = {render(picture_of(spacec.loads(random_space(3, size=10)))) for _ in range(2)}
    assert len(texts) == 1

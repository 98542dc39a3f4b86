"""Folding what repeats: runs of ops into one box, equal neighbours into one shape ``x N``.

A run folds where every copy reads the copies before it in the same way (the last one, as in a chain; the last two,
as in DARTS), and nothing outside reads any but the last of them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from spacec.draw.model import Diagram, Line, Shape, Shown, Wire
from spacec.draw.words import DOT, TIMES, wrapped

PERIOD = 6
"""Shapes of the longest pattern that is looked for."""
_FOLDING = ("fixed", "choice", "call", "frame")

_Arrival = tuple[int, tuple[int, int], tuple[str, ...]]
"""How far back a wire starts, its scales, its labels."""


def fold(
    shapes: Sequence[Shape], wires: Sequence[Wire], ops: Mapping[str, bool], depths: Mapping[str, tuple[int, int]]
) -> tuple[list[Shape], list[Wire]]:
    """All folds. ``ops``: ids of ops, and whether they have weights: one box holds one that has.

    ``depths``: ids of what is there a chosen number of times, with the least and the greatest depth.
    """
    found, left = _chains(list(shapes), list(wires), ops)
    found, left = _linked(found, left)
    found, left = _runs(found, left)
    return _patterns(*_deepened(found, left, depths))


def _readers(wires: Sequence[Wire], id: str) -> list[Wire]:
    return [w for w in wires if w.tail == id]


def _chains(shapes: list[Shape], wires: list[Wire], ops: Mapping[str, bool]) -> tuple[list[Shape], list[Wire]]:
    """Ops that only follow each other, in one box."""
    into: dict[str, list[Wire]] = {}
    departures = Counter(wire.tail for wire in wires)
    for wire in wires:
        into.setdefault(wire.head, []).append(wire)
    boxes: dict[str, Shape] = {}
    words: dict[str, list[str]] = {}
    heavy: set[str] = set()
    alias: dict[str, str] = {}
    for shape in shapes:
        arrivals = into.get(shape.id, [])
        lone = len(arrivals) == 1 and departures[arrivals[0].tail] == 1 and len(set(arrivals[0].rows)) == 1
        home = alias.get(arrivals[0].tail, "") if lone else ""
        if home and shape.id in ops and not shape.shown and not (home in heavy and ops[shape.id]):
            words[home].append(shape.lines[0].text)
            box = boxes[home]
            rest = [line for line in box.lines if line.style != "plain"]
            lines = (*(Line(text) for text in wrapped(words[home])), *rest)
            boxes[home] = replace(box, lines=lines, type=shape.type or box.type, rows=_joint(box, shape))
        else:
            home = shape.id
            boxes[home] = shape
            words[home] = [line.text for line in shape.lines if line.style == "plain"]
        if home in ops:
            alias[shape.id] = home
        if ops.get(shape.id):
            heavy.add(home)
    return list(boxes.values()), _rewired(wires, alias)


def _joint(a: Shape, b: Shape) -> tuple[int, ...]:
    rows = {*a.rows, *b.rows}
    return tuple(range(min(rows), max(rows) + 1)) if rows else ()


def _linked(shapes: Sequence[Shape], wires: Sequence[Wire]) -> tuple[list[Shape], list[Wire]]:
    """Ops that only carry a tensor to a sum on another row, as sloped wires."""
    left, kept = {shape.id: shape for shape in shapes}, list(wires)
    for shape in reversed(shapes):
        into = [w for w in kept if w.head == shape.id]
        out = [w for w in kept if w.tail == shape.id]
        if shape.role != "fixed" or len(into) != 1 or len(out) != 1 or left[out[0].head].role != "join":
            continue
        start, end = into[0].rows[0], out[0].rows[1]
        if start == end:
            continue
        note = DOT.join([line.text for line in shape.lines] + ([out[0].note] if out[0].note else []))
        del left[shape.id]
        kept = [w for w in kept if w not in (into[0], out[0])]
        kept.append(Wire(into[0].tail, out[0].head, note=note, rows=(start, end)))
    return list(left.values()), kept


def _runs(shapes: list[Shape], wires: list[Wire]) -> tuple[list[Shape], list[Wire]]:
    place = {shape.id: k for k, shape in enumerate(shapes)}
    into: dict[str, list[Wire]] = {}
    out: dict[str, list[Wire]] = {}
    for wire in wires:
        into.setdefault(wire.head, []).append(wire)
        out.setdefault(wire.tail, []).append(wire)
    kept: list[Shape] = []
    alias: dict[str, str] = {}
    start = 0
    while start < len(shapes):
        end = _run_end(shapes, place, into, out, start)
        kept.append(_merged(shapes[start:end]))
        alias.update({shape.id: shapes[start].id for shape in shapes[start:end]})
        start = end
    return kept, _rewired(wires, alias)


def _run_end(
    shapes: list[Shape],
    place: dict[str, int],
    into: dict[str, list[Wire]],
    out: dict[str, list[Wire]],
    start: int,
) -> int:
    """Where the longest run from ``start`` ends."""
    if shapes[start].role not in _FOLDING:
        return start + 1
    end = start + 1
    first = shapes[start]
    while end < len(shapes) and (shapes[end].face, shapes[end].times) == (first.face, first.times):
        if shapes[end].type not in ("", first.type):
            break  # the type changes again
        end += 1
    while end > start + 1 and not _regular(shapes[start:end], place, into, out):
        end -= 1
    return end


def _regular(run: list[Shape], place: dict[str, int], into: dict[str, list[Wire]], out: dict[str, list[Wire]]) -> bool:
    first, last = place[run[0].id], place[run[-1].id]
    pattern: list[_Arrival] = [_arrival(place, wire) for wire in into.get(run[-1].id, [])]
    reach = max((back for back, _, _ in pattern if back <= len(run)), default=0)
    if not any(back == 1 for back, _, _ in pattern):
        return False
    for shape in run[1:]:
        here, at = [_arrival(place, wire) for wire in into.get(shape.id, [])], place[shape.id]
        if len(here) != len(pattern):
            return False
        for (back, *how), (wanted, *wanted_how) in zip(here, pattern, strict=True):
            inside, expected = at - back >= first, at - wanted >= first
            if how != wanted_how or inside != expected or (inside and back != wanted):
                return False
    inner = [shape for shape in run if last - place[shape.id] >= max(1, reach)]
    return all(first <= place[wire.head] <= last for shape in inner for wire in out.get(shape.id, []))


def _arrival(place: dict[str, int], wire: Wire) -> _Arrival:
    return place[wire.head] - place[wire.tail], wire.rows, wire.labels


def _merged(run: list[Shape]) -> Shape:
    if len(run) == 1:
        return run[0]
    shown = tuple(s for shape in run for s in shape.shown)
    inner = run[0].inner
    if inner is not None:
        inner = overlaid([shape.inner for shape in run if shape.inner is not None])
    kind = next((shape.type for shape in reversed(run) if shape.type), "")
    count = len(run) if not run[0].times else f"{len(run)} {TIMES} {run[0].times}"
    return replace(run[0], shown=shown, inner=inner, type=kind, times=str(count))


def overlaid(diagrams: Sequence[Diagram]) -> Diagram:
    """Copies of one diagram as one, which shows the decisions of all."""
    first = diagrams[0]
    shapes = []
    for k, shape in enumerate(first.shapes):
        same = [d.shapes[k] for d in diagrams]
        inner = None if shape.inner is None else overlaid([s.inner for s in same if s.inner is not None])
        shapes.append(replace(shape, shown=_all(s.shown for s in same), inner=inner))
    wires = [replace(wire, shown=_all(d.wires[k].shown for d in diagrams)) for k, wire in enumerate(first.wires)]
    return replace(first, shapes=tuple(shapes), wires=tuple(wires))


def _all(parts: Iterable[tuple[Shown, ...]]) -> tuple[Shown, ...]:
    return tuple(s for part in parts for s in part)


def _rewired(wires: Sequence[Wire], alias: dict[str, str]) -> list[Wire]:
    """Wires between the shapes that are left; plain ones that became equal, once."""
    found: dict[Wire, None] = {}
    for wire in wires:
        tail, head = alias.get(wire.tail, wire.tail), alias.get(wire.head, wire.head)
        if tail != head:
            found[replace(wire, tail=tail, head=head)] = None
    return list(found)


def _deepened(
    shapes: list[Shape], wires: list[Wire], depths: Mapping[str, tuple[int, int]]
) -> tuple[list[Shape], list[Wire]]:
    """Copies that are always there, joined with those of a depth choice behind them."""
    by_id = {shape.id: shape for shape in shapes}
    for shape in shapes:
        if shape.id not in depths:
            continue
        low, high = depths[shape.id]
        before = [w.tail for w in wires if w.head == shape.id]
        first = by_id.get(before[0]) if len(before) == 1 else None
        if low == 0:
            continue
        lone = first is not None and sum(w.tail == first.id for w in wires) == 1
        if first is None or not lone or first.face != shape.face or first.times != (str(low) if low > 1 else ""):
            by_id[shape.id] = replace(shape, times=f"0\u2013{high - low}" if high - low > 1 else "0 | 1")
            continue
        by_id[shape.id] = replace(shape, shown=(*first.shown, *shape.shown), type=shape.type or first.type)
        del by_id[first.id]
        wires = [replace(w, head=shape.id) if w.head == first.id else w for w in wires if w.tail != first.id]
    return list(by_id.values()), wires


def _patterns(shapes: list[Shape], wires: list[Wire]) -> tuple[list[Shape], list[Wire]]:
    """Longer patterns in a chain (``a b a b``) in a frame."""
    kept: list[Shape] = []
    alias: dict[str, str] = {}
    start = 0
    while start < len(shapes):
        period, times = _repeats(shapes, wires, start)
        if times == 1:
            kept.append(shapes[start])
            start += 1
            continue
        copies = [shapes[start + k * period : start + (k + 1) * period] for k in range(times)]
        frame = f"{shapes[start].id}+"
        inner = overlaid([Diagram(tuple(copy), _links(copy, wires)) for copy in copies])
        kind = next((s.type for copy in reversed(copies) for s in reversed(copy) if s.type), "")
        kept.append(Shape(frame, "frame", (), kind, (), str(times), "", inner))
        alias.update({shape.id: frame for copy in copies for shape in copy})
        start += period * times
    return kept, _rewired(wires, alias)


def _links(copy: Sequence[Shape], wires: Sequence[Wire]) -> tuple[Wire, ...]:
    inside = {shape.id for shape in copy}
    return tuple(wire for wire in wires if wire.tail in inside and wire.head in inside)


def _repeats(shapes: list[Shape], wires: list[Wire], start: int) -> tuple[int, int]:
    """Period and number of the pattern that begins at ``start``; (1, 1) for none."""
    for period in range(2, PERIOD + 1):
        times = 1
        while _again(shapes, wires, start, period, times):
            times += 1
        if times > 1:
            return period, times
    return 1, 1


def _again(shapes: list[Shape], wires: list[Wire], start: int, period: int, times: int) -> bool:
    begin, end = start + times * period, start + (times + 1) * period
    if end > len(shapes):
        return False
    for k in range(start, end):
        shape, like = shapes[k], shapes[start + (k - start) % period]
        if shape.role not in _FOLDING or shape.face != like.face or shape.times != like.times:
            return False
        if shape.type not in ("", like.type):
            return False  # the type changes again
        into = [w for w in wires if w.head == shape.id]
        if k > start and (len(into) != 1 or into[0].tail != shapes[k - 1].id or len(_readers(wires, into[0].tail)) > 1):
            return False
    return begin < end

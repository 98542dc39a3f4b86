"""Execution plans: which nodes run, in what order, when each slot's chosen candidates are known.

Supernet and network share this planner, so both run the same nodes in the same order (and draw the
same random numbers). Absence is settled here: it depends on which candidates run, never on values.
A plan is found from the outputs backwards, so that it costs what runs and not what the space has.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from spacec.ir.entries import running_calls
from spacec.ir.flat import FlatChoose, FlatGraph, FlatInput, FlatMeet, FlatMix, FlatOp, FlatSwitch
from spacec.ir.ops import DROPS_ABSENT
from spacec.lower import errors
from spacec.lower.pieces import OpStep, Piece, pieces_of
from spacec.std.rules import presences


@dataclass(frozen=True, slots=True)
class ChooseStep:
    """Mix the present ``options``: pairs of a position and a node.

    Positions are places in the slot's run candidates, or calls of the entry that a meeting belongs to. ``bypass`` is
    the node that makes the channels which the candidates leave out. ``passes``: the node whose value this is where no
    mask weighs it: the only option, of a choice without edge weights and bypass.
    """

    node: int
    options: tuple[tuple[int, int], ...]
    bypass: int | None = None
    passes: int | None = None


Step = OpStep | ChooseStep


@dataclass(frozen=True)
class Plan:
    """``steps`` in topological order; ``releases[k]``: values that nothing reads after step ``k``."""

    steps: tuple[Step, ...]
    releases: tuple[tuple[int, ...], ...]
    blocks: tuple[tuple[int, int], ...]
    """The pieces and choices that the steps belong to, in order: root and number of steps."""

    @property
    def nodes(self) -> frozenset[int]:
        return frozenset(s.node for s in self.steps)


Running = Callable[[int], tuple[int, ...]]
"""Node index of a choice or a switch to the candidates that run, in order."""

Choice = FlatChoose | FlatSwitch | FlatMeet


def make_plan(flat: FlatGraph, running: Running, prune: bool = False) -> Plan:
    """What must run for the outputs; :meth:`Planner.plan` of a planner used once."""
    return Planner(flat).plan(running, prune)


@dataclass(frozen=True, eq=False)
class Planner:
    """Makes plans for one graph. It keeps the graph's pieces, and nothing of the plans it made."""

    flat: FlatGraph

    @cached_property
    def pieces(self) -> dict[int, Piece]:
        return pieces_of(self.flat)

    def plan(self, running: Running, prune: bool = False) -> Plan:
        """What must run for the outputs.

        ``prune`` also drops terms of a sum that are the op ``zero``, where another term remains.
        Raises :class:`SpacecError` (E0905) where an output is absent, or a term of a concat that every
        architecture has.
        """
        running = _with_meetings(self.flat, running)
        chosen = self._reachable(running)
        order = sorted(chosen)
        present = self._present(order, chosen)
        self._check_outputs(present)
        void = self._void(order, chosen, present) if prune else frozenset()
        needed = set(self.flat.outputs.values())
        dead = set(needed)
        blocks: list[tuple[int, tuple[Step, ...], tuple[tuple[int, ...], ...]]] = []
        for root in reversed(order):
            if root not in needed:
                continue
            piece = self.pieces.get(root)
            if piece is not None and not piece.lenient:
                needed.update(piece.sources)
                blocks.append((root, piece.steps, _released(piece, dead)))
                continue
            step = self._step(root, chosen[root], present, void)
            if step is not None:
                sources = _sources(step)
                needed.update(sources)
                fresh = tuple(dict.fromkeys(i for i in sources if i not in dead))
                dead.update(fresh)
                blocks.append((root, (step,), (fresh,)))
        blocks.reverse()
        return Plan(
            tuple(step for _, steps, _ in blocks for step in steps),
            tuple(released for _, _, releases in blocks for released in releases),
            tuple((root, len(steps)) for root, steps, _ in blocks),
        )

    def _reachable(self, running: Running) -> dict[int, tuple[int, ...]]:
        """Roots that the outputs may read, absent ones included; of a choice, what runs of it."""
        nodes, pieces = self.flat.nodes, self.pieces
        found: dict[int, tuple[int, ...]] = {}
        stack = list(self.flat.outputs.values())
        while stack:
            root = stack.pop()
            if root in found:
                continue
            found[root] = ()
            if (piece := pieces.get(root)) is not None:
                stack += piece.sources
            elif not isinstance(node := nodes[root], FlatInput):
                assert isinstance(node, Choice), "ops and mixes are in pieces"
                options, run = _options(node), running(root)
                found[root] = run
                stack += [source for k in run if (source := options[k]) is not None]
                if isinstance(node, FlatChoose) and node.bypass is not None:
                    stack.append(node.bypass)
        return found

    def _present(self, order: list[int], chosen: dict[int, tuple[int, ...]]) -> set[int]:
        present: set[int] = set()
        for root in order:
            piece = self.pieces.get(root)
            if piece is None:
                node = self.flat.nodes[root]
                here = isinstance(node, FlatInput) or any(source in present for source in self._chosen(root, chosen))
            elif not piece.lenient:
                here = present.issuperset(piece.sources)
            else:
                op = self.flat.nodes[root]
                assert isinstance(op, FlatOp), "a piece ends in an op"
                here = _leniently(op, [i in present for i in op.inputs])
            if here:
                present.add(root)
        return present

    def _chosen(self, root: int, chosen: dict[int, tuple[int, ...]]) -> Iterable[int | None]:
        node = self.flat.nodes[root]
        assert isinstance(node, Choice), "only choices choose"
        options = _options(node)
        return (options[k] for k in chosen[root])

    def _check_outputs(self, present: set[int]) -> None:
        for name, index in self.flat.outputs.items():
            if index not in present:
                node = self.flat.nodes[index]
                raise errors.lowering_error(
                    errors.ABSENT,
                    f"output `{name}` is absent: the chosen paths lead no present tensor to it",
                    None if isinstance(node, FlatInput) else node.span,
                )

    def _void(self, order: list[int], chosen: dict[int, tuple[int, ...]], present: set[int]) -> frozenset[int]:
        """Roots that are the op ``zero``, or nothing but such by way of choices and sums."""
        void: set[int] = set()
        for root in order:
            node = self.flat.nodes[root]
            if isinstance(node, FlatInput | FlatMix):
                continue
            if isinstance(node, FlatOp):
                summed = node.spec.name == "sum"
                empty = all(i in void for i in node.inputs if i in present) if summed else node.spec.name == "zero"
            else:
                empty = bool(chosen[root]) and all(source in void for source in self._chosen(root, chosen))
            if empty:
                void.add(root)
        return frozenset(void)

    def _step(self, root: int, run: tuple[int, ...], present: set[int], void: frozenset[int]) -> Step | None:
        match self.flat.nodes[root]:
            case FlatOp() as op:
                inputs = tuple(i for i in op.inputs if i in present)
                if op.spec.name == "sum" and void:
                    inputs = tuple(i for i in inputs if i not in void) or inputs[:1]
                return self.pieces[root].steps[0] if len(inputs) == len(op.inputs) else OpStep(root, inputs)
            case FlatChoose() | FlatSwitch() as choice:
                found = ((position, choice.alternatives[k]) for position, k in enumerate(run))
                options = tuple((p, n) for p, n in found if n is not None and n in present)
                bypass, edge = (choice.bypass, choice.edge) if isinstance(choice, FlatChoose) else (None, None)
                alone = len(options) == 1 and bypass is None and edge is None
                return ChooseStep(root, options, bypass, options[0][1] if alone else None)
            case FlatMeet() as meeting:
                options = tuple((k, n) for k in run if (n := meeting.sources[k]) in present)
                return ChooseStep(root, options, passes=options[0][1] if len(options) == 1 else None)
            case _:
                return None


def has_value(op: FlatOp, present: Sequence[bool]) -> bool:
    """Whether an op has a value where these inputs are present.

    Sums and concats do without absent terms, but a concat not without one whose channels every architecture counts on.
    """
    if op.spec.name not in DROPS_ABSENT:
        return all(present)
    return any(present) and not _lacks_counted(op, present)


def _leniently(op: FlatOp, present: Sequence[bool]) -> bool:
    """:func:`has_value` of a sum or a concat that an output may read: it must not lack what is counted on."""
    if any(present) and _lacks_counted(op, present):
        headline = "the chosen paths leave a term of `concat` absent that every architecture has"
        raise errors.lowering_error(errors.ABSENT, headline, op.span)
    return any(present)


def _lacks_counted(op: FlatOp, present: Sequence[bool]) -> bool:
    """Whether an absent term of a concat is none of those that its architectures may leave out."""
    if op.spec.name != "concat" or all(present):
        return False
    terms = zip(presences(op.attrs, len(present)), present, strict=True)
    return any(counted == 1 and not here for counted, here in terms)


def _with_meetings(flat: FlatGraph, running: Running) -> Running:
    """``running`` for meetings too: the calls that run."""
    if not flat.entries:
        return running
    chosen = {(n.slot, n.instance): running(i) for i, n in enumerate(flat.nodes) if isinstance(n, FlatChoose)}
    calls = running_calls(flat.entries, lambda slot, instance: chosen[slot, instance])

    def both(index: int) -> tuple[int, ...]:
        node = flat.nodes[index]
        return calls[node.entry] if isinstance(node, FlatMeet) else running(index)

    return both


def _options(node: Choice) -> tuple[int | None, ...]:
    return node.sources if isinstance(node, FlatMeet) else node.alternatives


def _sources(step: Step) -> tuple[int, ...]:
    if isinstance(step, OpStep):
        return step.inputs
    chosen = tuple(node for _, node in step.options)
    return chosen if step.bypass is None else (*chosen, step.bypass)


def _released(piece: Piece, dead: set[int]) -> tuple[tuple[int, ...], ...]:
    """The piece's releases, with those of its sources that nothing later reads; these become ``dead``."""
    fresh = [(s, place) for s, place in zip(piece.sources, piece.last_reads, strict=True) if s not in dead]
    if not fresh:
        return piece.releases
    dead.update(source for source, _ in fresh)
    releases = [list(released) for released in piece.releases]
    for source, place in fresh:
        releases[place].append(source)
    return tuple(map(tuple, releases))

"""Execution plans: which nodes run, in what order, when each slot's chosen candidates are known.

Supernet and network share this planner, so both run the same nodes in the same order (and draw the
same random numbers). Absence is settled here: it depends on which candidates run, never on values.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from spacec.ir.entries import running_calls
from spacec.ir.flat import FlatChoose, FlatGraph, FlatInput, FlatMeet, FlatMix, FlatOp, FlatSwitch, sources_of
from spacec.ir.ops import DROPS_ABSENT
from spacec.lower import errors
from spacec.std.rules import presences


@dataclass(frozen=True)
class OpStep:
    """Run the op or the mix ``node`` on the present ``inputs``."""

    node: int
    inputs: tuple[int, ...]


@dataclass(frozen=True)
class ChooseStep:
    """Mix the present ``options``: pairs of a position and a node.

    Positions are places in the slot's run candidates, or calls of the entry that a meeting belongs to. ``bypass`` is
    the node that makes the channels which the candidates leave out.
    """

    node: int
    options: tuple[tuple[int, int], ...]
    bypass: int | None = None


Step = OpStep | ChooseStep


@dataclass(frozen=True)
class Plan:
    """``steps`` in topological order; ``releases[k]``: values that nothing reads after step ``k``."""

    steps: tuple[Step, ...]
    releases: tuple[tuple[int, ...], ...]

    @property
    def nodes(self) -> frozenset[int]:
        return frozenset(s.node for s in self.steps)


Running = Callable[[int], tuple[int, ...]]
"""Node index of a choice or a switch to the candidates that run, in order."""


def make_plan(flat: FlatGraph, running: Running, prune: bool = False) -> Plan:
    """What must run for the outputs.

    ``prune`` also drops terms of a sum that are the op ``zero``, where another term remains.
    Raises :class:`SpacecError` (E0905) where an output is absent, or a term of a concat that every architecture has.
    """
    running = _with_meetings(flat, running)
    reachable = _reachable(flat, running)
    present = _present(flat, running, reachable)
    _check_counted(flat, reachable, present)
    for name, index in flat.outputs.items():
        if not present[index]:
            node = flat.nodes[index]
            raise errors.lowering_error(
                errors.ABSENT,
                f"output `{name}` is absent: the chosen paths lead no present tensor to it",
                None if isinstance(node, FlatInput) else node.span,
            )
    void = _void(flat, running, present) if prune else [False] * len(flat.nodes)
    needed = [False] * len(flat.nodes)
    for index in flat.outputs.values():
        needed[index] = True
    steps: list[Step] = []
    for index in range(len(flat.nodes) - 1, -1, -1):
        if not needed[index]:
            continue
        step = _step(flat, index, running, present, void)
        if step is None:
            continue
        steps.append(step)
        for source in _sources(step):
            needed[source] = True
    steps.reverse()
    return Plan(tuple(steps), _releases(steps, set(flat.outputs.values())))


def has_value(op: FlatOp, present: Sequence[bool]) -> bool:
    """Whether an op has a value where these inputs are present.

    Sums and concats do without absent terms, but a concat not without one whose channels every architecture counts on.
    """
    if op.spec.name not in DROPS_ABSENT:
        return all(present)
    return any(present) and not _lacks_counted(op, present)


def _lacks_counted(op: FlatOp, present: Sequence[bool]) -> bool:
    """Whether an absent term of a concat is none of those that its architectures may leave out."""
    if op.spec.name != "concat" or all(present):
        return False
    terms = zip(presences(op.attrs, len(present)), present, strict=True)
    return any(counted == 1 and not here for counted, here in terms)


def _check_counted(flat: FlatGraph, reached: list[bool], present: list[bool]) -> None:
    for index, node in enumerate(flat.nodes):
        if not reached[index] or not isinstance(node, FlatOp):
            continue
        terms = [present[i] for i in node.inputs]
        if any(terms) and _lacks_counted(node, terms):
            headline = "the chosen paths leave a term of `concat` absent that every architecture has"
            raise errors.lowering_error(errors.ABSENT, headline, node.span)


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


def _options(node: FlatChoose | FlatSwitch | FlatMeet) -> tuple[int | None, ...]:
    return node.sources if isinstance(node, FlatMeet) else node.alternatives


def _reachable(flat: FlatGraph, running: Running) -> list[bool]:
    """Nodes that the outputs may read, absent ones included."""
    reached = [False] * len(flat.nodes)
    for index in flat.outputs.values():
        reached[index] = True
    for index in range(len(flat.nodes) - 1, -1, -1):
        node = flat.nodes[index]
        if not reached[index] or isinstance(node, FlatInput):
            continue
        if isinstance(node, FlatOp | FlatMix):
            chosen: Sequence[int | None] = sources_of(node)
        else:
            chosen = [_options(node)[k] for k in running(index)]
        for source in (*chosen, node.bypass if isinstance(node, FlatChoose) else None):
            if source is not None:
                reached[source] = True
    return reached


def _present(flat: FlatGraph, running: Running, reached: list[bool]) -> list[bool]:
    present = [False] * len(flat.nodes)
    for index, node in enumerate(flat.nodes):
        match node:
            case FlatInput():
                present[index] = True
            case _ if not reached[index]:
                pass
            case FlatOp():
                present[index] = has_value(node, [present[i] for i in node.inputs])
            case FlatMix():
                present[index] = all(present[t.source] for t in node.terms)
            case _:
                chosen = (_options(node)[k] for k in running(index))
                present[index] = any(source is not None and present[source] for source in chosen)
    return present


def _void(flat: FlatGraph, running: Running, present: list[bool]) -> list[bool]:
    """Nodes that are the op ``zero``, or nothing but such by way of choices and sums."""
    void = [False] * len(flat.nodes)
    for index, node in enumerate(flat.nodes):
        if isinstance(node, FlatOp) and node.spec.name == "sum":
            void[index] = all(void[i] for i in node.inputs if present[i])
        elif isinstance(node, FlatOp):
            void[index] = node.spec.name == "zero"
        elif isinstance(node, FlatChoose | FlatSwitch | FlatMeet):
            chosen = [_options(node)[k] for k in running(index)]
            void[index] = bool(chosen) and all(c is not None and void[c] for c in chosen)
    return void


def _step(flat: FlatGraph, index: int, running: Running, present: list[bool], void: list[bool]) -> Step | None:
    match flat.nodes[index]:
        case FlatOp() as op:
            inputs = tuple(i for i in op.inputs if present[i])
            if op.spec.name == "sum":
                inputs = tuple(i for i in inputs if not void[i]) or inputs[:1]
            return OpStep(index, inputs)
        case FlatMix() as mix:
            return OpStep(index, sources_of(mix))
        case FlatChoose() | FlatSwitch() as choice:
            run = enumerate(running(index))
            found = ((position, choice.alternatives[k]) for position, k in run)
            options = tuple((p, n) for p, n in found if n is not None and present[n])
            return ChooseStep(index, options, choice.bypass if isinstance(choice, FlatChoose) else None)
        case FlatMeet() as meeting:
            return ChooseStep(index, tuple((k, n) for k in running(index) if present[n := meeting.sources[k]]))
        case _:
            return None


def _sources(step: Step) -> tuple[int, ...]:
    if isinstance(step, OpStep):
        return step.inputs
    chosen = tuple(node for _, node in step.options)
    return chosen if step.bypass is None else (*chosen, step.bypass)


def _releases(steps: list[Step], kept: set[int]) -> tuple[tuple[int, ...], ...]:
    seen = set(kept)
    out: list[tuple[int, ...]] = []
    for step in reversed(steps):
        dead = tuple(dict.fromkeys(i for i in _sources(step) if i not in seen))
        seen.update(dead)
        out.append(dead)
    out.reverse()
    return tuple(out)

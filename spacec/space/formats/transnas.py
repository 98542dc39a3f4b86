"""TransNAS-Bench-101 (Duan et al., CVPR 2021): ``64-41414-3_33_333`` for cells, ``64-1234-basic`` for the macro space.

Cell: after the base width and the macro skeleton, the operations into nodes 1, 2 and 3: 0 none, 1 skip, 2 1x1, 3 3x3.
Macro: one digit for each module, 1 as it is, 2 doubles the channels, 3 halves the map, 4 does both.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from spacec.diagnostics.model import SpacecError
from spacec.space.architecture import Architecture
from spacec.space.decisions import Decision
from spacec.space.formats.cells import complete_cell
from spacec.space.formats.model import Bound, Format, Names, candidate, misfit, reject
from spacec.space.subject import Subject
from spacec.space.values import Value

NAME = "transnas-bench-101"

OPERATIONS = {"0": ("none", "zero"), "1": ("skip", "identity"), "2": ("conv1",), "3": ("conv3",)}
MODULES = {"1": ("same",), "2": ("wide",), "3": ("down",), "4": ("both",)}
LENGTHS = {"4": ("four",), "5": ("five",), "6": ("six",)}

_MICRO = re.compile(r"(\d+)-([1-4]+)-([0-3])_([0-3]{2})_([0-3]{3})")
_MACRO = re.compile(r"(\d+)-([1-4]+)-basic")
_STATE = re.compile(r".*\[(\d+),(\d+),(\d+)\]")


def bind(subject: Subject) -> Bound:
    """A complete cell of four operations, or a walk over modules."""
    if len(subject.table.owners) == 1:
        return _micro(subject)
    modules = modules_of(subject, NAME)

    def read(text: str) -> Mapping[str, Value]:
        found = _MACRO.fullmatch(text.strip())
        if found is None:
            reject(text, f"this is no {NAME!r} string of the macro space", note="64-1234-basic is one")
        return modules.values(found[2], text)

    return Bound(read, lambda arch: f"64-{modules.digits(arch)}-basic")


def _micro(subject: Subject) -> Bound:
    decisions = complete_cell(subject, NAME)
    names = [Names(NAME, OPERATIONS).of(subject.table, d) for d in decisions]

    def read(text: str) -> dict[str, Value]:
        found = _MICRO.fullmatch(text.strip())
        if found is None:
            reject(text, f"this is no {NAME!r} string of the cell space", note="64-41414-3_33_333 is one")
        told = "".join(found.groups()[2:])
        return {d.id: candidate(n, op, text, d) for d, n, op in zip(decisions, names, told, strict=True)}

    def write(arch: Architecture) -> str:
        told = "".join(n[i] for n, d in zip(names, decisions, strict=True) if isinstance(i := arch[d.id], int))
        return f"64-41414-{told[0]}_{told[1:3]}_{told[3:]}"

    return Bound(read, write)


State = tuple[int, int, int]
"""Modules to come, doublings and halvings so far."""

_STEPS = {"1": (0, 0), "2": (1, 0), "3": (0, 1), "4": (1, 1)}


@cache
def _kinds(state: State) -> tuple[str, ...]:
    """The kinds of module from which a legal end is left: one to three doublings, one to four halvings."""
    left, wide, down = state
    steps = {k: (left - 1, wide + w, down + d) for k, (w, d) in _STEPS.items()}
    return tuple(k for k, s in steps.items() if s[1] <= 3 and s[2] <= 4 and (_kinds(s) if s[0] else s[1] and s[2]))


@dataclass(frozen=True)
class Modules:
    """The walk over modules: what chooses their number, and per state what chooses the next kind, with its names."""

    length: Decision
    lengths: tuple[str, ...]
    states: Mapping[State, tuple[Decision, tuple[str, ...]]]

    def values(self, digits: str, text: str) -> dict[str, Value]:
        """The decisions of a string of kinds; a kind that nothing else could be is no decision."""
        found: dict[str, Value] = {self.length.id: candidate(self.lengths, str(len(digits)), text, self.length)}
        state = (len(digits), 0, 0)
        for kind in digits:
            if kind not in _kinds(state):
                place = f"module {len(digits) - state[0] + 1}"
                reject(text, f"{place} cannot be of kind {kind}: it is one of {', '.join(_kinds(state))}", digits)
            if state in self.states:
                decision, names = self.states[state]
                found[decision.id] = candidate(names, kind, text, decision)
            state = _after(state, kind)
        return found

    def digits(self, arch: Architecture) -> str:
        """One digit for each module."""
        length = arch[self.length.id]
        state = (int(self.lengths[length]) if isinstance(length, int) else 0, 0, 0)
        told = ""
        while state[0]:
            if state in self.states:
                decision, names = self.states[state]
                value = arch[decision.id]
                told += names[value] if isinstance(value, int) else ""
            else:
                told += _kinds(state)[0]
            state = _after(state, told[-1])
        return told


def _after(state: State, kind: str) -> State:
    wide, down = _STEPS[kind]
    return state[0] - 1, state[1] + wide, state[2] + down


def modules_of(subject: Subject, name: str) -> Modules:
    """The walk of a space of the macro shape; E0631 for any other."""
    table = subject.table
    note = "it chooses four to six modules, then a kind in each state [modules to come, doublings, halvings]"
    states: dict[State, tuple[Decision, tuple[str, ...]]] = {}
    length = [d for d in table.decisions if _STATE.fullmatch(d.owner) is None]
    if len(length) != 1 or any(d.kind != "op" for d in table.decisions):
        raise misfit(name, table, note)
    for decision in table.decisions:
        found = _STATE.fullmatch(decision.owner)
        if found is not None:
            state = (int(found[1]), int(found[2]), int(found[3]))
            names = Names(name, MODULES).of(table, decision)
            if state in states or set(names) != set(_kinds(state)):
                raise misfit(name, table, note)
            states[state] = (decision, names)
    return Modules(length[0], Names(name, LENGTHS).of(table, length[0]), states)


def is_macro(subject: Subject) -> bool:
    """Whether the space has the macro shape."""
    try:
        modules_of(subject, NAME)
    except SpacecError:
        return False
    return True


def padded(digits: str) -> Sequence[int]:
    """NASLib's six numbers: the digits, then zeros."""
    return [*map(int, digits), *[0] * (6 - len(digits))]


def _looks(text: str) -> bool:
    return bool(_MICRO.fullmatch(text) or _MACRO.fullmatch(text))


FORMAT = Format(NAME, "TransNAS-Bench-101 strings of both spaces: 64-41414-3_33_333, 64-1234-basic", _looks, bind)

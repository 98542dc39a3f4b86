"""Strings of numbers: NAS-Bench-Macro's ``02012100``, and ``16:24:32:40:64`` of NATS-Bench's size space.

NAS-Bench-Macro (Su et al., CVPR 2021) has a digit for each layer: 0 the identity, 1 an inverted residual of kernel 3
and expansion 3, 2 of kernel 5 and expansion 6. NATS-Bench (Dong et al., TPAMI 2021) has the widths in the order of the
space's decisions.
"""

from __future__ import annotations

import re

from spacec.ir.conditions import ALWAYS
from spacec.space.architecture import Architecture
from spacec.space.formats.model import Bound, Format, Names, candidate, misfit, only_ops, reject
from spacec.space.subject import Subject
from spacec.space.values import Value

MACRO, SIZE = "nas-bench-macro", "nats-bench-size"

LAYERS = {"0": ("identity", "skip", "shortcut"), "1": ("mb3_k3",), "2": ("mb6_k5",)}


def bind_macro(subject: Subject) -> Bound:
    """Layers of one owner, each one of the three operations."""
    table = subject.table
    only_ops(table, table.decisions, MACRO)
    if len(table.owners) != 1:
        raise misfit(MACRO, table, "its layers belong to one network")
    names = [Names(MACRO, LAYERS).of(table, d) for d in table.decisions]

    def read(text: str) -> dict[str, Value]:
        told = text.strip()
        if len(told) != len(names):
            reject(text, f"{told!r} has {len(told)} layers, the space {len(names)}", told)
        return {d.id: candidate(n, op, text, d) for d, n, op in zip(table.decisions, names, told, strict=True)}

    def write(arch: Architecture) -> str:
        return "".join(n[i] for n, d in zip(names, table.decisions, strict=True) if isinstance(i := arch[d.id], int))

    return Bound(read, write)


def bind_size(subject: Subject) -> Bound:
    """Whole numbers, one or more, each of which is always chosen."""
    table = subject.table
    if not table.decisions:
        raise misfit(SIZE, table, "nothing is decided")
    for d in table.decisions:
        if d.kind != "value" or d.active != ALWAYS or not all(type(v) is int for v in d.values):
            raise misfit(SIZE, table, f"{d.id} is no whole number that is always chosen")

    def read(text: str) -> dict[str, Value]:
        told = text.strip().split(":")
        if len(told) != len(table.decisions):
            reject(text, f"{text.strip()!r} has {len(told)} numbers, the space {len(table.decisions)}", text.strip())
        pairs = zip(table.decisions, told, strict=True)
        return {d.id: candidate(tuple(map(str, d.values)), number, text, d) for d, number in pairs}

    def write(arch: Architecture) -> str:
        return ":".join(str(d.values[i]) for d in table.decisions if isinstance(i := arch[d.id], int))

    return Bound(read, write)


_DIGITS, _SIZES = re.compile(r"[0-2]+"), re.compile(r"\d+(:\d+)+")

MACRO_FORMAT = Format(MACRO, "NAS-Bench-Macro strings: 02012100", lambda t: bool(_DIGITS.fullmatch(t)), bind_macro)
SIZE_FORMAT = Format(SIZE, "NATS-Bench size strings: 16:24:32:40:64", lambda t: bool(_SIZES.fullmatch(t)), bind_size)

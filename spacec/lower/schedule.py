"""How a supernet runs: which passes rewrite its graph, in which memory layout, with which kernels.

A schedule is data: chosen by hand, by name or by measurement, stored with a run and given back. What it says of the
computation is its :attr:`~Schedule.digest`; the measurements that led to it are told beside that.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from hashlib import blake2b
from typing import Any, Literal, get_args

from spacec.passes.base import Pass, parse

Goal = Literal["fast", "launches"]
Layout = Literal["contiguous", "channels_last"]
Regions = Literal["eager", "compiled"]
Otherwise = Literal["library", "rewritten", "expected"]

VERSION = 1
"""Of the JSON form."""


@dataclass(frozen=True)
class Trial:
    """One alternative of a measurement: the least ``seconds`` of several runs."""

    name: str
    seconds: float


@dataclass(frozen=True)
class Measurement:
    """What was timed at one place, and what was chosen there.

    ``subject``: the signature of an op site, or ``"network"``; ``count``: how often it runs in a pass. ``trials`` are
    in the order of trying; ``reason`` is for people.
    """

    subject: str
    count: int
    trials: tuple[Trial, ...]
    chosen: str
    reason: str


@dataclass(frozen=True)
class Schedule:
    """``passes`` are written as for ``spacec opt --pass``; ``kernels`` names the implementation of each op site.

    A site without an entry takes that of the same site at the nearest batch, else what ``otherwise`` says: the
    library's, or what implementations expect of themselves (``rewritten``: those that are no generated code). ``goal``
    and ``measured`` say how it came about, ``place`` where: device, threads, versions.
    """

    passes: tuple[str, ...] = ()
    layout: Layout = "contiguous"
    kernels: Mapping[str, str] = field(default_factory=dict)
    regions: Regions = "eager"
    otherwise: Otherwise = "library"
    goal: Goal = "fast"
    measured: tuple[Measurement, ...] = field(default=(), repr=False)
    place: Mapping[str, str | int] = field(default_factory=dict, repr=False)

    def pipeline(self) -> tuple[Pass, ...]:
        """The passes themselves."""
        return tuple(map(parse, self.passes))

    @property
    def plain(self) -> bool:
        """Whether it changes nothing."""
        return self.digest == PLAIN.digest

    @property
    def generated(self) -> bool:
        """Whether any of it is generated code."""
        chosen = any("native" in name.split("|") for name in self.kernels.values())
        return chosen or self.otherwise == "expected" or "separable" in self.passes

    @property
    def digest(self) -> str:
        """Of what decides the computation; equal for schedules that run alike."""
        told = [self.passes, self.layout, sorted(self.kernels.items()), self.regions, self.otherwise]
        return blake2b(json.dumps(told).encode(), digest_size=8).hexdigest()

    def to_json(self) -> dict[str, Any]:
        """JSON-ready values, with the version of their form."""
        return {
            "version": VERSION,
            "digest": self.digest,
            **asdict(self),
            "kernels": dict(sorted(self.kernels.items())),
        }

    @staticmethod
    def from_json(value: object) -> Schedule:
        """What :meth:`to_json` gave, by way of JSON. Raises :class:`ValueError` in words for anything else."""
        if not isinstance(value, dict):
            raise ValueError("a schedule is a JSON object")
        if value.get("version") != VERSION:
            raise ValueError(f"a schedule of version {value.get('version')}, not {VERSION}")
        given = {f.name: value[f.name] for f in fields(Schedule) if f.name in value}
        for name, known in _WORDS.items():
            if given.get(name, known[0]) not in known:
                raise ValueError(f"`{name}` is {given[name]!r}, not one of {', '.join(known)}")
        try:
            given["passes"] = tuple(map(str, given.get("passes", ())))
            given["kernels"] = {str(site): str(name) for site, name in given.get("kernels", {}).items()}
            given["measured"] = tuple(map(_measurement, given.get("measured", ())))
            given["place"] = dict(given.get("place", {}))
            found = Schedule(**given)
        except (TypeError, KeyError, AttributeError) as error:
            raise ValueError(f"no schedule: {error}") from error
        found.pipeline()
        if found.digest != value.get("digest", found.digest):
            raise ValueError("a schedule that was changed by hand: its digest is another's; leave `digest` out of it")
        return found


_WORDS: Mapping[str, tuple[str, ...]] = {
    "layout": get_args(Layout),
    "regions": get_args(Regions),
    "otherwise": get_args(Otherwise),
    "goal": get_args(Goal),
}


def _measurement(value: Mapping[str, Any]) -> Measurement:
    trials = tuple(Trial(str(t["name"]), float(t["seconds"])) for t in value["trials"])
    subject, chosen, reason = (str(value[name]) for name in ("subject", "chosen", "reason"))
    return Measurement(subject, int(value["count"]), trials, chosen, reason)


PLAIN = Schedule()
"""The plain form, by the library's kernels."""
FAST = Schedule(
    (
        "drop_zeros",
        "canonicalise",
        "mixes",
        "share",
        "hoist",
        "separable",
        "polyphase",
        "fold_norms",
        "recompute",
        "order",
    ),
    "channels_last",
    otherwise="expected",
)
"""Without measuring: what was never slower on the machines that were tried."""
EAGER = replace(FAST, passes=tuple(p for p in FAST.passes if p != "separable"), otherwise="rewritten")
"""The same by calls of the library alone: no generated code, so no compiler."""
LAUNCHES = Schedule(("drop_zeros", "canonicalise", "mixes", "share", "hoist", "stack", "canonicalise"), goal="launches")
"""Few large calls, for devices on which starting a call is what takes the time."""
NAMED: Mapping[str, Schedule] = {"fast": FAST, "launches": LAUNCHES}
"""Where measuring for each goal begins (``net.tune(*inputs)``); good guesses without it."""
_ALSO: Mapping[str, Schedule] = {"default": FAST, "eager": EAGER, "plain": PLAIN, "off": PLAIN}


def named(name: str) -> Schedule:
    """The schedule of a name: a goal, ``default``, ``eager`` or ``plain``.

    Raises :class:`ValueError` for an unknown one.
    """
    known = {**NAMED, **_ALSO}
    if name not in known:
        raise ValueError(f"no schedule is called '{name}'; there are {', '.join(known)}")
    return known[name]

"""The LALR(1) tables, as :mod:`spacec.syntax.build_tables` wrote them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pkgutil import get_data

END = "$END"
ERROR = "ERROR"


@dataclass(frozen=True, slots=True)
class Rule:
    """How to reduce: pop ``length`` symbols, call ``action`` with the chosen children, go on as ``origin``.

    ``action`` is empty where the children are spliced into the parent; ``single`` says that one child alone stands
    for the whole. A child is an index, ``~index`` where that symbol's children are spliced in, or ``None`` for an
    optional part left out.
    """

    origin: str
    length: int
    action: str
    single: bool
    children: tuple[int | None, ...]
    unit: str
    """``origin`` where the rule only renames its one symbol, else empty."""
    plain: tuple[int, ...] | None
    """``children`` where each is an index, else ``None``."""


@dataclass(frozen=True, slots=True)
class Tables:
    """``actions[s][kind]`` is the next state after a shift, or ``~rule`` for a reduction.

    ``gotos[s][origin]`` is the next state after one.
    """

    rules: tuple[Rule, ...]
    actions: tuple[dict[str, int], ...]
    gotos: tuple[dict[str, int], ...]

    def after_units(self, below: int, state: int, kind: str) -> tuple[int, int | None]:
        """The state on top of ``below`` once rules that only rename its symbol are reduced, and what to do in it."""
        action = self.actions[state].get(kind)
        while action is not None and action < 0 and (unit := self.rules[~action].unit):
            state = self.gotos[below][unit]
            action = self.actions[state].get(kind)
        return state, action

    def accepts(self, stack: list[int], kind: str) -> bool:
        """Whether a parser in these states can shift a token of this kind."""
        states = list(stack)
        while True:
            action = self.actions[states[-1]].get(kind)
            if action is None or action >= 0:
                return action is not None
            rule = self.rules[~action]
            if rule.origin == "start":
                return True
            if rule.length:
                del states[-rule.length :]
            states.append(self.gotos[states[-1]][rule.origin])

    def expected(self, stack: list[int]) -> frozenset[str]:
        """The kinds of token that can follow."""
        return frozenset(kind for kind in self.actions[stack[-1]] if kind != ERROR and self.accepts(stack, kind))


@cache
def load_tables() -> Tables:
    """Reads the tables once per process; they never change."""
    data = json.loads(get_data("spacec.syntax", "tables.json") or b"")
    rules = tuple(_rule(*recipe) for recipe in data["rules"])
    return Tables(rules, tuple(data["actions"]), tuple(data["gotos"]))


def _rule(origin: str, length: int, action: str, single: bool, children: list[int | None]) -> Rule:
    unit = origin if single and length == 1 and children == [0] else ""
    indices = tuple(c for c in children if c is not None and c >= 0)
    plain = indices if len(indices) == len(children) else None
    return Rule(origin, length, action, single, tuple(children), unit, plain)

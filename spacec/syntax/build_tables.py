"""Compiles space.lark into tables.json: ``python -m spacec.syntax.build_tables``.

Lark is needed here only; the parser reads the JSON, so that a command starts without
importing a parser generator. A conflict in the grammar is an error. States are numbered
in the order of a walk from the start, so the file depends on the grammar alone.
"""

from __future__ import annotations

import json
from importlib import resources
from pathlib import Path
from typing import Any

from lark.common import ParserConf
from lark.grammar import Rule, Symbol, Terminal
from lark.lexer import PatternStr
from lark.load_grammar import load_grammar
from lark.parsers.lalr_analysis import LALR_Analyzer, Shift


def build_tables() -> dict[str, Any]:
    """The tables as JSON data; see :class:`spacec.syntax.tables.Tables` for the fields."""
    text = resources.files("spacec.syntax").joinpath("space.lark").read_text(encoding="utf-8")
    loaded = load_grammar(text, "space.lark", [], global_keep_all_tokens=False)  # type: ignore[no-untyped-call]  # as above
    grammar = loaded[0]
    terminals, compiled, _ = grammar.compile(["start"], "*")
    kinds = {t.name: t.pattern.value for t in terminals if isinstance(t.pattern, PatternStr)}
    rules = sorted(compiled, key=_rule_order)
    analyzer = LALR_Analyzer(ParserConf(rules, {}, ["start"]), strict=True)
    analyzer.compute_lalr()  # type: ignore[no-untyped-call]  # Lark annotates it not
    table: Any = analyzer.parse_table  # an IntParseTable, which its stubs call by its base
    numbers = _walk(table)
    ruleno = {rule: i for i, rule in enumerate(rules)}
    origins = {str(rule.origin.name) for rule in rules}
    actions: list[dict[str, int]] = [{} for _ in numbers]
    gotos: list[dict[str, int]] = [{} for _ in numbers]
    for state, row in table.states.items():
        for symbol, (action, target) in row.items():
            if symbol in origins:
                gotos[numbers[state]][symbol] = numbers[target]
            else:
                actions[numbers[state]][kinds.get(symbol, symbol)] = (
                    numbers[target] if action is Shift else ~ruleno[target]
                )
    return {"rules": [_recipe(rule) for rule in rules], "actions": actions, "gotos": gotos}


def _rule_order(rule: Rule) -> tuple[str, int, tuple[str, ...]]:
    return str(rule.origin.name), rule.order, tuple(s.name for s in rule.expansion)


def _walk(table: Any) -> dict[int, int]:
    start = table.start_states["start"]
    numbers = {start: 0}
    queue = [start]
    for state in queue:
        for _, (action, target) in sorted(table.states[state].items(), key=lambda item: item[0]):
            if action is Shift and target not in numbers:
                numbers[target] = len(numbers)
                queue.append(target)
    return numbers


def _recipe(rule: Rule) -> list[Any]:
    """``[origin, length, action, single, children]``.

    ``action`` is the builder's method, empty where the children are spliced into the parent;
    ``single`` says that one child alone stands for the whole. A child is an index, ``~index``
    where that symbol's children are spliced in, or ``None`` for an optional part left out.
    """
    origin = str(rule.origin.name)
    empty = list(rule.options.empty_indices) or [False] * len(rule.expansion)
    children: list[int | None] = []
    symbols = iter(enumerate(rule.expansion))
    for absent in empty:
        if absent:
            children.append(None)
            continue
        i, symbol = next(symbols)
        if rule.options.keep_all_tokens or not _filtered(symbol):
            children.append(~i if _spliced(symbol) else i)
    action = "" if origin.startswith("_") else str(rule.alias or origin)
    single = bool(rule.options.expand1) and rule.alias is None
    return [origin, len(rule.expansion), action, single, children]


def _filtered(symbol: Symbol) -> bool:
    return isinstance(symbol, Terminal) and symbol.filter_out


def _spliced(symbol: Symbol) -> bool:
    return not symbol.is_term and symbol.name.startswith("_")


def tables_text() -> str:
    """The content of tables.json: one line per rule and per state, so that changes read well."""
    parts = []
    for name, rows in build_tables().items():
        lines = ",\n".join(json.dumps(row, separators=(",", ":"), sort_keys=True) for row in rows)
        parts.append(f'"{name}": [\n{lines}\n]')
    return "{" + ",\n".join(parts) + "}\n"


def main() -> None:
    Path(__file__).with_name("tables.json").write_text(tables_text(), encoding="utf-8")


if __name__ == "__main__":
    main()

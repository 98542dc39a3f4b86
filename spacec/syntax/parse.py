"""Text to tree: an LALR(1) parser over the tables that Lark made from space.lark.

Guarantees: every node of the tree has the exact span of its text, parentheses around it apart; no part of the tree is
nested deeper than ``MAX_NESTING``; whatever the input, the outcome is a tree or diagnostics. After an error the parser
goes on at the next statement or item, so that one run reports every error of a file (the first ``MAX_ERRORS``).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from spacec.diagnostics.model import Diagnostic, Sink, SpacecError
from spacec.source import SourceFile, Span
from spacec.syntax.ast import Expr, File, Net, Node, Where
from spacec.syntax.build import Builder
from spacec.syntax.lexer import BAD, BINDING_WORDS, MAX_ERRORS, MAX_NESTING, OPENERS, Lexed, Token, lex
from spacec.syntax.mistakes import describe
from spacec.syntax.recover import Opened, resume
from spacec.syntax.tables import END, ERROR, Rule, load_tables

_STACK = 20 * MAX_NESTING


def parse(source: SourceFile, sink: Sink | None = None) -> File:
    """The tree of a file.

    With a ``sink``, findings are added to it and the best partial tree is returned; without one,
    :class:`SpacecError` is raised if there are any.
    """
    return _run(source, sink, ())


def parse_expression(source: SourceFile, sink: Sink | None = None) -> Expr:
    """The tree of a text that is one expression, such as a constraint or an argument on the command line.

    Raises :class:`SpacecError` if it is none; with a ``sink``, only if not even a part can be returned.
    """
    own = Sink() if sink is None else sink
    lead = (Token("net", "", 0, 0), Token("=", "", 0, 0))
    tree = _run(source, own, lead)
    nets = [item for item in tree.items if isinstance(item, Net)]
    if tree.header is not None or len(tree.items) != 1 or not nets:
        if not own.failed:
            own.add(Diagnostic("E0101", "more than one expression", Span(source, 0, len(source.text))))
        raise SpacecError(own.diagnostics)
    if sink is None:
        own.check()
    return nets[0].value


def parse_where(source: SourceFile) -> Where:
    """The tree of a text that is the conditions of a ``where``; the word itself may be left out.

    Raises :class:`SpacecError` if it is anything else.
    """
    sink = Sink()
    whole = Span(source, 0, len(source.text))
    words = source.text.split(maxsplit=1)
    if not words:
        raise SpacecError(Diagnostic("E0111", "no condition", whole, "expected one, such as `params <= 2M`"))
    tree = _run(source, sink, () if words[0] == "where" else (Token("where", "", 0, 0),))
    found = [item for item in tree.items if isinstance(item, Where)]
    if not sink.failed and (tree.header is not None or len(tree.items) != 1 or not found):
        sink.add(Diagnostic("E0101", "more than the conditions of one `where`", whole))
    sink.check()
    return found[0]


def _run(source: SourceFile, sink: Sink | None, lead: tuple[Token, ...]) -> File:
    found = Sink()
    lexed = lex(source, found)
    parser = _Parser(source, found, Lexed([*lead, *lexed.tokens], lexed.complete))
    tree = parser.run()
    found.diagnostics.sort(key=lambda d: d.span.start if d.span else 0)
    if sink is None:
        found.check()
    else:
        for diagnostic in found.diagnostics:
            sink.add(diagnostic)
    return tree


def _chosen(rule: Rule, values: list[Any]) -> list[Any]:
    """The children of a node, those of spliced symbols among them.

    A list that only grows is taken over, not copied, so that long lists take time in proportion to their length.
    """
    grows = bool(rule.children) and rule.children[0] == ~0
    children: list[Any] = values[0] if grows else []
    for child in rule.children[1:] if grows else rule.children:
        if child is None:
            children.append(None)
        elif child < 0:
            children.extend(values[~child])
        else:
            children.append(values[child])
    return children


class _Stop(Exception):
    """Nothing more can be said about this text."""


class _Parser:
    """Parallel stacks: the state, value, first and last offset and tree depth of every symbol.

    ``settled`` are the states after the last shift: a table of this kind may reduce once more before it finds that a
    token cannot stand there, and what could have stood there is read from the states before that.
    """

    def __init__(self, source: SourceFile, sink: Sink, lexed: Lexed) -> None:
        self.source = source
        self.sink = sink
        self.lexed = lexed
        self.tables = load_tables()
        self.builder = Builder(source, sink)
        self.states = [0]
        self.settled = [0]
        self.values: list[Any] = [None]
        self.starts = [0]
        self.ends = [0]
        self.depths = [0]

    def run(self) -> File:
        try:
            return self._loop()
        except _Stop:
            return File(None, (), span=Span(self.source, 0, len(self.source.text)))

    def _loop(self) -> File:
        tokens, actions, rules = self.lexed.tokens, self.tables.actions, self.tables.rules
        states = self.states
        chains: dict[tuple[int, int, str], tuple[int, int | None]] = {}
        at, settled = 0, -1
        while True:
            token = tokens[at]
            action = actions[states[-1]].get(token.kind)
            if action is not None and action < 0 and rules[~action].unit:
                key = (states[-2], states[-1], token.kind)
                if key not in chains:
                    chains[key] = self.tables.after_units(*key)
                states[-1], action = chains[key]
            if action is None:
                stuck = at == settled
                if not stuck and token.kind != BAD:
                    self._report(at)
                at = settled = self._recover(at + stuck)
            elif action >= 0:
                self._push(action, token, token.start, token.end, 0)
                if len(self.states) > _STACK:
                    self._too_deep(token.start, token.end)
                if len(self.sink.diagnostics) >= MAX_ERRORS:
                    raise _Stop
                self.settled = self.states.copy()
                at += 1
            else:
                rule = rules[~action]
                self._reduce(rule)
                if rule.origin == "start":
                    return cast(File, self.values[-1])

    def _push(self, state: int, value: Any, start: int, end: int, depth: int) -> None:
        self.states.append(state)
        self.values.append(value)
        self.starts.append(start)
        self.ends.append(end)
        self.depths.append(depth)

    def _pop(self, count: int) -> None:
        if count:
            for stack in (self.states, self.values, self.starts, self.ends, self.depths):
                del stack[-count:]

    def _reduce(self, rule: Rule) -> None:
        count = rule.length
        values = self.values[-count:] if count else []
        start = self.starts[-count] if count else self.ends[-1]
        end, depth = self.ends[-1], max(self.depths[-count:]) if count else 0
        children = [values[c] for c in rule.plain] if rule.plain is not None else _chosen(rule, values)
        if not rule.action:
            value: Any = children
        elif rule.single and len(children) == 1:
            value = children[0]
        else:
            value = _ACTIONS[rule.action](self.builder, Span(self.source, start, end), *children)
            if isinstance(value, Node) and not any(value is child for child in children):
                depth += 1
                if depth > MAX_NESTING:
                    self._too_deep(start, end)
        self._pop(count)
        self._push(self.tables.gotos[self.states[-1]][rule.origin], value, start, end, depth)

    def _too_deep(self, start: int, end: int) -> None:
        last = Span(self.source, max(start, end - 1), end)
        self.sink.add(Diagnostic("E0106", "nested too deep", last, f"more than {MAX_NESTING} levels up to here"))
        raise _Stop

    def _report(self, at: int) -> None:
        tokens = self.lexed.tokens
        if tokens[at].kind == END and not self.lexed.complete:
            raise _Stop
        if any(d.span is not None and d.span.start == tokens[at].start for d in self.sink.diagnostics):
            return  # the lexer has said what is wrong here
        expected = self.tables.expected(self.settled)
        self.sink.add(describe(self.source, tokens, at, self._opened(), expected))

    def _opened(self) -> list[Opened]:
        brackets: list[Opened] = []
        for value, state in zip(self.values, self.states, strict=True):
            if not isinstance(value, Token):
                continue
            if value.kind in OPENERS:
                brackets.append(Opened(value, ERROR in self.tables.actions[state]))
            elif value.kind in OPENERS.values():
                brackets.pop()  # closed, though not reduced yet
        return brackets

    def _recover(self, at: int) -> int:
        opened = self._opened()
        if self.tables.actions[self.settled[-1]].keys() == {"("} and self.lexed.tokens[at - 1].kind in BINDING_WORDS:
            at -= 1  # the `let` of a definition, read as the inline form because an expression is missing before it
        at, keep = resume(self.source.text, self.lexed.tokens, at, opened)
        if keep < len(opened):
            self._pop(len(self.values) - next(i for i, v in enumerate(self.values) if v is opened[keep].token))
        while self.tables.actions[self.states[-1]].get(ERROR, -1) < 0:
            self._pop(1)
        token = Token(ERROR, "", self.ends[-1], self.lexed.tokens[at].start)
        self._push(self.tables.actions[self.states[-1]][ERROR], token, token.start, token.end, 0)
        self.settled = self.states.copy()
        return at


_ACTIONS: dict[str, Callable[..., Any]] = {
    rule.action: getattr(Builder, rule.action)
    for rule in load_tables().rules
    if rule.action and not (rule.single and len(rule.children) == 1)
}

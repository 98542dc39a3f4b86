"""What people write wrongly, and what to say.

A rule looks at the :class:`Place` of an error and makes a diagnostic, or ``None`` if it does not apply; the first that
applies is used, so the order is from the particular to the general. The golden files of ``tests/diagnostics/errors``
hold an example of each.
"""

from __future__ import annotations

from collections.abc import Sequence

from spacec.diagnostics.model import Diagnostic, Label
from spacec.source import SourceFile
from spacec.syntax.lexer import ITEM_WORDS, OPENERS, RESERVED, Token
from spacec.syntax.place import CLOSERS, OPERATORS, Place, quoted
from spacec.syntax.recover import Opened, begins_item
from spacec.syntax.tables import END

_FOREIGN_WORDS = {
    "lambda": "a network with inputs is `dag(x) { … }`",
    "elif": "written `else if`",
    "while": "the only loop is `for`",
    "import": 'written `use "….space"`',
    "class": "definitions begin with `def`, `let` or `tied`",
    "fn": "definitions begin with `def`, `let` or `tied`",
    "func": "definitions begin with `def`, `let` or `tied`",
    "function": "definitions begin with `def`, `let` or `tied`",
    "var": "a value is bound by `name = …`",
    "const": "a value is bound by `name = …`",
}
_ENDS_OPERAND = frozenset({"NAME", "NUMBER", "STRING", ")", "]", "}"})
_JOINTS = OPERATORS | {",", "=", ":", "..", "+="}
_STARTS_OPERAND = frozenset({"NAME", "NUMBER", "STRING", "(", "[", "{", "dag", "elastic", "let", "tied"})


def describe(
    source: SourceFile, tokens: Sequence[Token], at: int, opened: Sequence[Opened], expected: frozenset[str]
) -> Diagnostic:
    """The diagnostic for ``tokens[at]``, which none of the ``expected`` kinds is."""
    place = Place(source, tokens, at, opened, expected)
    for rule in _RULES:
        diagnostic = rule(place)
        if diagnostic is not None:
            return diagnostic
    return place.error("E0101", f"unexpected {place.found}", place.wanted(), also=_opener(place))


def _opener(p: Place) -> Label | None:
    """Where the bracket was opened that this token, on a new line, may stand in by mistake."""
    inner = p.innermost
    if inner is None or inner.block or not p.token.first:
        return None
    return Label(p.span(inner.token), f"`{inner.token.kind}` opened here")


def _line_begins_with_bracket(p: Place) -> Diagnostic | None:
    before, bracket, last = p.back(1), p.token, p.back(2)
    if p.token.kind == ";":
        before, bracket, last = p.token, p.ahead(1), p.back(1)
    if before.kind != ";" or before.text or not bracket.first:
        return None
    label = f"to belong to {quoted(last)} it must stand on the same line"
    return p.error("E0116", f"a line begins with `{bracket.kind}`", label, bracket)


def _foreign_word(p: Place) -> Diagnostic | None:
    for token in (p.token, *reversed(p.line[-3:])):
        if token.kind == "NAME" and token.text in _FOREIGN_WORDS:
            return p.error("E0110", f"`{token.text}` is no word of this language", _FOREIGN_WORDS[token.text], token)
    return None


def _foreign_comment(p: Place) -> Diagnostic | None:
    begin = next((token for token in (*p.line, p.token) if token.first and token.kind in ("//", "/")), None)
    if begin is None and p.token.kind in ("NAME", "NUMBER") and p.back(1).kind == "NAME" and p.back(2).kind == "//":
        return p.error("E0110", "words after `//`", "`//` is a quotient; comments begin with `#`", p.back(2))
    if begin is None or (begin.kind == "/" and p.ahead(1).kind not in ("*", "^")):
        return None
    return p.error("E0110", f"a line begins with {quoted(begin)}", "comments begin with `#`", begin)


def _choice_for_block(p: Place) -> Diagnostic | None:
    inner = p.innermost
    if inner is None or inner.block or inner.token.kind != "{":
        return None
    if p.token.kind not in ("=", "+=", "return", "for", "if", ";"):
        return None
    also = Label(p.span(inner.token), "these braces hold a choice of values")
    return p.error("E0124", "a statement in braces that are no block", "expected a value", also=also,
                   help_="a block network is `dag(x) { … }`")  # fmt: skip


def _guard_for_if(p: Place) -> Diagnostic | None:
    if p.token.kind == "if" and not p.token.first and "when" in p.expected:
        return p.error("E0110", "`if` after an alternative", "a guard is written `when`")
    return None


def _left_open(p: Place) -> Diagnostic | None:
    inner = p.innermost
    if inner is None:
        return None
    closes = p.token.kind in CLOSERS and OPENERS[inner.token.kind] != p.token.kind
    begins = begins_item(p.source.text, p.token, p.ahead(1), True)
    statement = p.token.first and p.token.kind in ("return", "for", "if", "def", "let", "tied") and not inner.block
    if not (closes or begins or statement or p.token.kind == END):
        return None
    also = Label(p.span(inner.token), "opened here")
    label = f"expected `{OPENERS[inner.token.kind]}` before this"
    return p.error("E0104", f"`{inner.token.kind}` is never closed", label, also=also)


def _closes_nothing(p: Place) -> Diagnostic | None:
    if p.token.kind in CLOSERS and not p.opened:
        return p.error("E0105", f"`{p.token.kind}` closes nothing", "no bracket is open here")
    return None


def _header(p: Place) -> Diagnostic | None:
    if p.token.kind == "space" and p.token.first and p.back(1).kind:
        return p.error("E0113", "`space` after other items", "the header stands first, and once")
    if p.back(1).kind == "space" and (p.token.first or p.token.kind not in RESERVED):
        return p.error("E0113", "a space without a name", "expected a name after this", p.back(1))
    if p.back(2).kind == "space" and p.token.kind == "-":
        return p.error("E0113", "`-` in the name of a space", "names have letters, digits and `_`")
    return None


def _pick_inside(p: Place) -> Diagnostic | None:
    if p.token.kind in ("pick", "from") and (
        p.wants_operand or (p.back(1).kind in _ENDS_OPERAND and not p.token.first)
    ):
        label = "it stands only where an expression starts"
        return p.error("E0112", f"`{p.token.kind}` inside an expression", label, help_="put it in parentheses")
    return None


def _reserved(p: Place) -> Diagnostic | None:
    if p.token.kind not in RESERVED or "NAME" not in p.expected:
        return None
    names = p.token.kind in ITEM_WORDS or p.token.kind == "within" or not p.wants_operand
    if names and not begins_item(p.source.text, p.token, p.ahead(1), bool(p.opened)):
        return p.error("E0109", f"`{p.token.text}` is a reserved word", "it cannot be a name")
    return None


def _port(p: Place) -> Diagnostic | None:
    if p.back(2).kind not in ("input", "output") or p.back(1).kind != "NAME":
        return None
    what = f"the {p.back(2).text} `{p.back(1).text[:40]}`"
    if p.token.kind == "=":
        return p.error("E0114", f"`=` after {what}", "expected `:` and a type")
    return p.error("E0114", f"{what} has no type", "expected `:` and a type after this", p.back(1))


def _python_colon(p: Place) -> Diagnostic | None:
    if p.token.kind != ":":
        return None
    if p.wants_block:
        return p.error("E0110", "`:` before a block", "blocks stand in braces")
    if "=" in p.expected and not p.opened and p.line and p.line[0].kind in ("def", "let", "tied"):
        return p.error("E0110", "`:` after a definition's head", "expected `=`")
    return None


def _no_block(p: Place) -> Diagnostic | None:
    if not p.wants_block:
        return None
    return p.error("E0124", f"{p.found} where a block should begin", "expected `{`")


def _outside_dag(p: Place) -> Diagnostic | None:
    if "net" not in p.expected or not (p.wants_item or p.token.first):
        return None
    if p.token.kind == "NAME" and p.ahead(1).kind in ("=", "(") and p.token.first:
        label = "expected `def`, `let` or `tied` before the name"
        return p.error("E0125", f"`{p.token.text[:40]}` is bound without a word that says how", label)
    if p.token.kind in ("return", "for", "if"):
        return p.error("E0125", f"`{p.token.kind}` outside a dag", "statements stand in `dag(…) { … }`")
    return None


def _equals(p: Place) -> Diagnostic | None:
    if p.token.kind == "==" and "=" in p.expected:
        return p.error("E0123", "`==` where something is bound", "`==` compares; expected `=`")
    if p.token.kind == "=" and "==" in p.expected and any(t.kind in ("when", "if", "where") for t in p.line):
        return p.error("E0123", "`=` in a condition", "`=` binds; expected `==`")
    return None


def _no_statement(p: Place) -> Diagnostic | None:
    starts = p.wants_statement and p.token.kind in ("NUMBER", "STRING", "(", "[", "{", "-", "dag", "from", "pick")
    goes_on = {"=", "+="} <= p.expected and p.back(1).kind == "NAME"
    if not starts and not goes_on:
        return None
    if goes_on and p.token.kind in ("[", ".", "(") and _binds_later(p):
        return p.error("E0120", "`=` after something that is no name", "only a name can be bound")
    if starts or p.token.kind in OPERATORS | {"(", "["} or p.token.first or p.token.kind in (";", "}"):
        at = p.token if starts else p.back(1)
        if not at.first and p.back(1 if starts else 2).kind in _ENDS_OPERAND:
            label = "expected an operator or `,` before this"
            return p.error("E0101", f"{quoted(at)} directly after {quoted(p.back(1 if starts else 2))}", label, at)
        return p.error("E0122", "an expression where a statement should stand", "its value is lost", at)
    return None


def _binds_later(p: Place) -> bool:
    depth = 0
    for token in p.tokens[p.at :]:
        if token.kind == END or (token.first and depth == 0):
            return False
        depth += (token.kind in OPENERS) - (token.kind in CLOSERS)
        if depth == 0 and token.kind in ("=", "+="):
            return True
    return False


def _range(p: Place) -> Diagnostic | None:
    if p.token.kind != "..":
        return None
    if p.wants_operand:
        return p.error("E0121", "a range without a lower end", "expected `low..high`")
    return p.error("E0121", "a range out of place", "ranges stand in lists, braces, loops and `pick` counts")


def _missing(p: Place) -> Diagnostic | None:
    definition = p.expected == {"("} and p.back(1).first and p.token.kind == "NAME"  # read as an inline `let(`
    last = p.back(2 if definition else 1)
    if last.kind == "->":
        return p.error("E0118", "`->` without a type", "expected a type after this", last)
    if definition:
        return p.error("E0111", f"nothing follows {quoted(last)}", "expected an expression after this", last)
    if not p.wants_operand or p.wants_statement:
        return None
    if last.kind in OPENERS and p.token.kind in CLOSERS:
        return p.error("E0111", f"nothing between `{last.kind}` and `{p.token.kind}`", "expected an expression")
    if p.token.kind in _JOINTS and not p.token.first:
        headline = f"no expression between {quoted(last)} and {p.found}"
        return p.error("E0111", headline, "expected an expression before this")
    if last.kind in _JOINTS | {"elastic", "return", "if", "for", "where", "from", "pick"}:
        return p.error("E0111", f"nothing follows {quoted(last)}", "expected an expression after this", last)
    return None


def _side_by_side(p: Place) -> Diagnostic | None:
    last = p.back(1)
    if last.kind in _ENDS_OPERAND and p.token.kind in _STARTS_OPERAND and ">>" in p.expected:
        label = p.wanted() + " before this"
        return p.error("E0101", f"{p.found} directly after {quoted(last)}", label, also=_opener(p))
    return None


_RULES = (
    _line_begins_with_bracket, _foreign_word, _foreign_comment, _choice_for_block, _guard_for_if, _header, _left_open,
    _closes_nothing, _pick_inside, _reserved, _port, _python_colon, _no_block, _outside_dag, _equals, _no_statement,
    _range, _missing, _side_by_side,
)  # fmt: skip

"""Absurd and hostile files, by name: how to write each, and the diagnostic that it ends in (empty: it compiles)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

N = 100_000
LONG = 160_000
"""Words and signs that are more than a file may have."""
HEAD = "space s(C = 4)\ninput  x: [4, 8, 8]\noutput y: [4, 8, 8]\n"


@dataclass(frozen=True)
class Case:
    """``child``: run as a command of its own, its memory measured."""

    write: Callable[[], str | bytes]
    code: str
    child: bool = False


CASES: dict[str, Case] = {}


def case(name: str, code: str, write: Callable[[], str | bytes], *, child: bool = False) -> None:
    CASES[name] = Case(write, code, child)


def net(name: str, code: str, write: Callable[[], str], *, child: bool = False) -> None:
    case(name, code, lambda: f"{HEAD}net = {write()}\n", child=child)


def dag(name: str, code: str, write: Callable[[], str], *, child: bool = False) -> None:
    case(name, code, lambda: f"{HEAD}net = dag(x) {{ {write()} }}\n", child=child)


def file(name: str, code: str, write: Callable[[], str], *, child: bool = False) -> None:
    case(name, code, lambda: HEAD + write(), child=child)


def doubled(body: str, kind: str = "def", first: str = "relu | conv(3)", times: int = 60, end: str = "") -> str:
    """Definitions that each mention the one before twice."""
    lines = [f"{kind} a0 = {first}"]
    lines += [f"{kind} a{k + 1} = {body.replace('@', f'a{k}')}" for k in range(times)]
    return "\n".join([*lines, f"net = a{times}{end}"])


def grows(step: str, last: str, first: str = "x", times: int = 40) -> str:
    """A list that holds itself twice at each step, and one use of it."""
    return f"s = [{first}]; " + f"s = {step}; " * times + last


# ---- nesting and length, of every bracket and operator

net("parentheses", "E0106", lambda: "(" * N + "relu" + ")" * N, child=True)
net("open parentheses", "E0106", lambda: "(" * N)
net("lists", "E0106", lambda: "[" * N + "]" * N)
net("braces", "E0106", lambda: "{" * N + "}" * N)
net("dags", "E0106", lambda: "dag(x) { return x >> " * N + "relu" + "}" * N, child=True)
dag("ifs", "E0106", lambda: "if 1 { " * N + "}" * N)
dag("loops", "E0106", lambda: "for i in 0..1 { " * N + "}" * N)
dag("else ifs", "E0106", lambda: "if 0 { } " + "else if 0 { } " * 5_000 + " return x")
net("minuses", "E0106", lambda: "conv(" + "-" * 50_000 + "3)")
net("nots", "E0106", lambda: "relu when " + "not " * 20_000 + "1")
net("powers", "E0106", lambda: "conv(3, " + "2^" * 60_000 + "2)", child=True)
net("calls", "E0106", lambda: "residual(" * N + "relu" + ")" * N)
net("sums", "E0106", lambda: " + ".join(["relu"] * 20_000))
net("products", "E0106", lambda: "conv(3, " + "*".join(["1"] * 20_000) + ")")
net("conjunctions", "E0106", lambda: "relu when " + " and ".join(["1"] * 20_000))
net("froms", "E0106", lambda: "from s: " * 10_000 + "relu")
net("inline lets", "E0106", lambda: "let(" * N + "relu" + ")" * N)
net("a chain beyond the length of files", "E0108", lambda: " >> ".join(["relu"] * (LONG // 2)), child=True)
net("a long chain", "E0408", lambda: " >> ".join(["relu"] * 60_000), child=True)
net("alternatives beyond the length of files", "E0108", lambda: " | ".join(["relu"] * (LONG // 2)))
net("many alternatives", "E0408", lambda: " | ".join(["relu"] * 20_000))
net("arguments beyond the length of files", "E0108", lambda: "conv(" + "1, " * (LONG // 2) + "1)")
net("a comparison of many", "E0108", lambda: "relu when " + " < ".join(["1"] * (LONG // 2)))
net("brackets of every kind", "E0106", lambda: "([{dag(x) { return " * 20_000)
dag("many statements", "E0408", lambda: "; ".join(f"a{k} = {k}" for k in range(30_000)) + "; return x", child=True)
file("many definitions", "", lambda: "\n".join(f"def f{k} = relu" for k in range(20_000)) + "\nnet = relu", child=True)
file("a chain of definitions", "E0408", lambda: doubled("@", times=5_000))
file(
    "a chain of numbers",
    "E0306",
    lambda: doubled("@ + 1", first="3", times=5_000).replace("net = ", "net = conv(3, ") + ")",
)
net("unknown names", "E0201", lambda: " >> ".join(f"u{k}" for k in range(20_000)), child=True)
file("unknown names among many", "E0201", lambda: "\n".join(f"def f{k} = g{k}" for k in range(5_000)) + "\nnet = relu")
file("one name for all", "E0202", lambda: "def f = relu\n" * 20_000 + "net = f")
file("many constraints", "E0408", lambda: "net = relu\n" + "\n".join(f"where params <= {k}" for k in range(20_000)))
file("many libraries", "E0209", lambda: 'use "x.space"\n' * 5_000 + "net = relu")

# ---- recursion

file("a definition that is itself", "E0205", lambda: "def f = f\nnet = f")
file("a let that is itself", "E0205", lambda: "let f = f\nnet = f")
file("a definition in itself", "E0205", lambda: "def f = relu >> f\nnet = f")
file("mutual recursion", "E0205", lambda: "def f = relu >> g\ndef g = relu >> f\nnet = f")
file("recursion in a choice", "E0205", lambda: "def f = relu | f >> f\nnet = f")
file("recursion through an argument", "E0205", lambda: "def f(g) = f(f(g))\nnet = f(relu)", child=True)
file("recursion by numbers", "E0205", lambda: "def f(n) = relu >> f(n + 1)\nnet = f(0)")
file("a definition applied to itself", "E0204", lambda: "def w(f) = f(f)\nnet = w(w)")
file("an endless family", "E0205", lambda: "let f[i] = relu >> f[i + 1]\nnet = f[0]")
file("an endless family that branches", "E0205", lambda: "let f[i] = f[i + 1] | f[i + 2]\nnet = f[0]")
file("a number that is itself", "E0306", lambda: "def f = f + 1\nnet = conv(f)")
file("value lets of each other", "E0205", lambda: "let f = {g, 3}\nlet g = {f, 3}\nnet = conv(f)")
file(
    "openness of each other",
    "E0205",
    lambda: (
        "\n".join(f"def f{k} = " + " | ".join(f"f{j}" for j in range(20)) for k in range(20))
        + "\nnet = f0 >> f1 -> [4, 8, 8]"
    ),
)
case("a parameter that is itself", "E0201", lambda: "space s(C = C)\ninput x: [C]\noutput y: [C]\nnet = relu")
file(
    "a deep family", "", lambda: "let f[i] = relu when i > 140 | (conv(3) | relu) >> f[i + 1] when i <= 140\nnet = f[0]"
)
file(
    "a recursion with two arguments",
    "E0408",
    lambda: "def f(a, b) = relu when a + b > 130 | f(a + 1, b) >> f(a, b + 1) when a + b <= 130\nnet = f(0, 0)",
)
file(
    "a function of Ackermann's kind",
    "E0408",
    lambda: (
        "def a(m, n) = relu when m == 0 | a(m - 1, 1) when m > 0 and n == 0 "
        "| a(m - 1, n) >> a(m, n - 1) when m > 0 and n > 0\nnet = a(4, 90)"
    ),
    child=True,
)

# ---- repeats and ranges

net("a thousand million copies", "E0404", lambda: "relu * 1000000000")
net("copies of copies of copies", "E0408", lambda: "((relu * 1000) * 1000) * 1000")
net("weighted copies of copies of copies", "E0408", lambda: "((conv(3) * 1000) * 1000) * 1000", child=True)
net("copies of a choice", "E0408", lambda: "((relu | conv(3)) * 1000) * 100", child=True)
net("a depth of a thousand million", "E0404", lambda: "relu * {1..1000000000}")
net("depths of depths of depths", "E0408", lambda: "((relu * {1..100}) * {1..100}) * {1..100}", child=True)
net("a depth of many decisions", "E0404", lambda: "(relu | conv(3)) * {0..9999}")
dag("a thousand million rounds", "E0404", lambda: "for i in 0..1000000000 { } return x")
dag("a list of a thousand million", "E0404", lambda: "s = [0..1000000000]; return x")
net("a choice of a thousand million", "E0404", lambda: "conv({1..1000000000})")
net("a choice of very many", "E0408", lambda: "conv({1..99999})")
net("elastic sizes without end", "E0408", lambda: "conv(1, elastic {1..99999}) >> conv(1, 4)")
dag("a pick of a thousand million", "E0402", lambda: "return sum(pick 1000000000 from [x]: relu)")
dag("a pick among very many", "E0408", lambda: "return sum(pick any from i in 0..20000: x >> conv(1))", child=True)
dag("loops in loops", "E0408", lambda: "for i in 0..9999 { for j in 0..9999 { s = [i + j] } }; return x", child=True)
net("a scale of a thousand", "E0306", lambda: "transition(1000, 4) >> select(0)")

# ---- numbers

net("a million digits", "E0108", lambda: "conv(" + "9" * 1_000_000 + ")")
net("an exponent", "E0107", lambda: "conv(1e999999999)")
net("a number squared again and again", "E0306", lambda: "conv(10^64^64)")
net("a decimal beyond range", "E0306", lambda: "conv(3, init = normal(1e308 * 10.0))")
net("a power beyond range", "E0306", lambda: "conv(3, init = normal(10.0 ^ 400.0))")
net("zero to a negative power", "E0306", lambda: "conv(3, init = normal(0.0 ^ (0 - 1.0)))")
net("a root of a negative number", "E0306", lambda: "conv(3, init = normal((0 - 1.0) ^ 0.5))")
net("a whole number too large for a decimal", "E0306", lambda: "conv(3, init = normal((10^64)^16 * 1.5))")
net("a comparison of numbers far apart", "", lambda: "relu when 1.5 < (10^64)^16")
net("an immense prior", "E0306", lambda: "relu @ (10^64)^16 | conv(3)")
net("an immense deviation", "E0204", lambda: "conv(3, init = normal((10^64)^16))")

# ---- growth

for word in ("def", "let", "tied"):
    file(f"a sequence doubled by {word}", "E0408", lambda word=word: doubled("@ >> @", word))
    file(f"a choice doubled by {word}", "E0408", lambda word=word: doubled("@ | @", word))
file("a sum doubled", "E0408", lambda: doubled("@ + @"))
file("a typed sequence doubled", "E0408", lambda: doubled("@ >> @", end=" -> [4, 8, 8]"), child=True)
file("choices in choices", "E0408", lambda: doubled("@ | @", times=15), child=True)
file(
    "a list doubled by definitions",
    "E0408",
    lambda: doubled("[@, @]", first="3").replace("net = a60", "net = conv(a60)"),
)
file(
    "a number doubled by definitions",
    "E0408",
    lambda: doubled("@ + @", first="3").replace("net = a60", "net = conv(a60)"),
)
net("an argument doubled", "E0408", lambda: "f(" * 40 + "conv(3)" + ")" * 40 + "\ndef f(x) = x >> x")
file(
    "an argument doubled at each step",
    "E0408",
    lambda: (
        "def f(a, b) = a >> b\ndef a0(z) = z\n"
        + "\n".join(f"def a{k + 1}(z) = f(a{k}(z), a{k}(z))" for k in range(60))
        + "\nnet = a60(relu)"
    ),
    child=True,
)
file(
    "an argument squared at each step",
    "E0306",
    lambda: "def a0(p) = conv(p)\n" + "\n".join(f"def a{k + 1}(p) = a{k}(p * p)" for k in range(60)) + "\nnet = a60(3)",
)
file(
    "a list doubled at each call",
    "E0408",
    lambda: (
        "def a0(p) = conv(3)\n" + "\n".join(f"def a{k + 1}(p) = a{k}([*p, *p])" for k in range(60)) + "\nnet = a60([1])"
    ),
)
dag("a list doubled", "E0408", lambda: grows("[*s, *s]", "return x"))
dag("a list of itself, compared", "E0408", lambda: grows("[s, s]", "t = s == s; return x", "1"), child=True)
dag("a list of itself, added", "E0408", lambda: grows("[s, s]", "t = s + s; return x", "1"), child=True)
dag("a list of itself, as an attribute", "E0408", lambda: grows("[s, s]", "return x >> conv(s)", "1"), child=True)
dag("tensors of themselves", "E0408", lambda: grows("[s, s]", "return s >> each(relu)"), child=True)
dag("a pair of itself", "E0408", lambda: "s = x; " + "s = s, s; " * 40 + "return s >> (select(0) | select(1))")
dag("a list appended to itself", "E0408", lambda: "s = [x]; " + "s += s; " * 60 + "return s[0]")
dag("a number squared in a loop", "E0306", lambda: "s = 3; for i in 0..9999 { s = s * s }; return x")
case(
    "a size floored again and again",
    "E0306",
    lambda: (
        "space s\ninput x: [4, H]\noutput y: [4, H]\nnet = dag(x) { h = x.h; "
        + "h = (h + h//2)//3; " * 40
        + "return x }"
    ),
    child=True,
)
file(
    "a maximum of itself",
    "E0306",
    lambda: (
        "let w = elastic {1, 2}\nnet = dag(x) { s = w; "
        + "s = max(s, s//3 + x.c); " * 60
        + "return x >> conv(1, s) >> conv(1, 4) }"
    ),
)
net("a sum of value choices", "E0408", lambda: "conv(" + " + ".join(["{1, 2}"] * 20) + ")", child=True)
file(
    "a sum of value lets",
    "E0408",
    lambda: (
        "\n".join(f"let v{k} = {{1, 2, 3}}" for k in range(16))
        + "\nnet = conv("
        + "+".join(f"v{k}" for k in range(16))
        + ")"
    ),
)
file(
    "a product of sums in a constraint",
    "E0306",
    lambda: (
        "\n".join(f"let a{k} = {{3, 5}}" for k in range(12))
        + "\nnet = "
        + " >> ".join(f"conv(a{k})" for k in range(12))
        + "\nwhere "
        + "*".join(["(" + "+".join(f"a{k}" for k in range(12)) + ")"] * 9)
        + " <= 5"
    ),
    child=True,
)
dag(
    "a family of ten thousand",
    "E0408",
    lambda: "y = x; for i in 0..9999 { y = y >> f[i] }; return y } let f[i] = relu | conv(3) # ",
)
file(
    "a lattice of lets",
    "E0408",
    lambda: "let f[i, j] = relu when i > 60 | (f[i + 1, j] | f[i + 1, j + 1]) when i <= 60\nnet = f[0, 0]",
)

# ---- characters and files

case("an empty file", "E0206", lambda: "")
case("only comments", "E0206", lambda: "# a\n" * 10_000)
case("only newlines", "E0206", lambda: "\n" * 1_000_000)
case("NUL", "E0102", lambda: HEAD + "net = relu\0")
case("NULs", "E0102", lambda: "\0" * 1_000_000)
case("a byte order mark", "", lambda: "\ufeff" + HEAD + "net = relu", child=True)
case("two byte order marks", "E0102", lambda: "\ufeff\ufeff" + HEAD + "net = relu")
case("lines of CR LF", "", lambda: (HEAD + "# a comment\nnet = relu\n").replace("\n", "\r\n"), child=True)
case("lines of several kinds", "", lambda: HEAD.replace("\n", "\r\n") + "# a\nnet = relu\r\n# b\n")
case("a line separator", "E0102", lambda: HEAD + "net =\u2028relu")
case("a mark that turns text round", "E0102", lambda: HEAD + "net = \u202erelu")
case("bytes that are no text", "E0804", lambda: b"\xff\xfe" + HEAD.encode(), child=True)
case("half a character", "E0804", lambda: HEAD.encode() + b"# \xed\xa0\x80")
case("two bytes for each character", "E0804", lambda: (HEAD + "net = relu").encode("utf-16"))
case("noise", "E0804", lambda: bytes((k * 7919 + k * k) % 256 for k in range(1_000_000)))
case("a hundred megabytes", "E0805", lambda: b"#" * 100_000_000, child=True)
case("a string of fifty megabytes", "E0805", lambda: b'use "' + b"a" * 50_000_000 + b'"', child=True)
case("a long path", "E0209", lambda: HEAD + 'use "' + "a" * 3_900_000 + '"\nnet = relu', child=True)
case("a long name", "E0108", lambda: "a" * 3_900_000)
case("a long comment", "E0206", lambda: "#" + "a" * 3_900_000)
case("nothing but quotes", "E0110", lambda: "'" * 3_900_000)
case("nothing but signs", "E0101", lambda: "+" * 3_900_000, child=True)
case("nothing but names", "E0101", lambda: "net = " + "x " * 1_900_000)
case("a chain of calls", "E0106", lambda: "net = f" + "()" * 30_000)
case("a chain of indices", "E0106", lambda: "net = f" + "[0]" * 20_000)
case("a chain of attributes", "E0106", lambda: "net = f" + ".a" * 30_000)
case("a chain of assignments", "E0106", lambda: "net = dag(x) { " + "a = " * 30_000 + "1 }")
case("unknown characters", "E0102", lambda: "\N{SNOWMAN}" * 1_000_000)
case("nothing but errors", "E0101", lambda: "net net = = ) ( }\n" * 20_000)
case("openers of every kind", "E0106", lambda: "([{" * N)
case("closers", "E0105", lambda: ")" * N)
case("bad numbers", "E0107", lambda: "net = [" + "1x, " * N)
case("bad targets", "E0120", lambda: "net = dag(x) {" + "a = 1 = 1\n" * 30_000)
case("semicolons", "E0101", lambda: "net = dag(x) {" + ";" * N + "}")
case("a long line with an error", "E0102", lambda: "net = " + "conv(3) >> " * 10_000 + "?")

"""The costs that a ``where`` may name, and the choices that it may compare by label."""

from __future__ import annotations

from collections.abc import Hashable

from spacec.diagnostics.suggest import nearest
from spacec.ir.dims import Dim, Poly, Symbol, poly
from spacec.sema.classify import BUILTINS
from spacec.sema.header import plain_value, static_value
from spacec.sema.machine import Machine
from spacec.sema.uses import binder_of
from spacec.sema.values import UNKNOWN, Definition, Env, Value
from spacec.source import Span
from spacec.space.measures import Kind, Measure
from spacec.syntax import ast

MEASURED: tuple[Kind, ...] = ("params", "macs", "activations", "nodes", "latency")
"""Costs of a network: of the loaded form, or of the one that their arguments give."""

ADDED: tuple[Kind, ...] = ("picks", "depth", "count")
"""Costs that add up over the decisions of a let, or of the whole space."""

_ALSO_CALLED = {"weights": "params", "parameters": "params", "multiplies": "macs", "multiplications": "macs"}
"""What costs are called where they are told, and elsewhere."""

SIGNATURES = (
    '`params`, `macs`, `activations`, `nodes`, `latency("FILE.csv")`, '
    '`picks(let)`, `depth(let)` and `count(let, "label")`'
)


class Costs:
    """Reads costs in one scope and collects what their symbols stand for."""

    def __init__(self, m: Machine, header: ast.Header, env: Env) -> None:
        self.m, self.env = m, env
        self.parameters = [p.name for p in header.params]
        self.measures: dict[str, Measure] = {}

    def meant(self, expr: ast.Name | ast.Call) -> bool:
        """Whether it names a cost: the file's own names come first."""
        name = expr if isinstance(expr, ast.Name) else expr.callee
        return isinstance(name, ast.Name) and self.env.get(name.id) is None and name.id not in BUILTINS

    def cost(self, expr: ast.Name | ast.Call) -> Dim | None:
        """The symbol of a cost; ``None`` after a report."""
        name = expr.id if isinstance(expr, ast.Name) else expr.callee.id if isinstance(expr.callee, ast.Name) else ""
        args = expr.args if isinstance(expr, ast.Call) else ()
        kind = next((k for k in (*MEASURED, *ADDED) if k == name), None)
        if name in self.m.costs:
            kind = "own"
        if kind is None:
            close = _ALSO_CALLED.get(name) or nearest(name, [*MEASURED, *ADDED, *sorted(self.m.costs)])
            self._fail(
                expr.span,
                f"`{name}`{' (…)' if args else ''} is no cost of this space".replace("` (…)", "(…)`"),
                f"costs are {SIGNATURES}",
                f"did you mean `{close}`?" if close else "",
            )
            return None
        added = kind in ADDED
        measure = self._added(kind, args, expr.span) if added else self._measured(kind, name, args, expr.span)
        if measure is None:
            return None
        self.measures.setdefault(measure.name, measure)
        return poly(Symbol(measure.name, None, "cost"))

    # ----------------------------------------------------------- of a network

    def _measured(self, kind: Kind, cost: str, args: tuple[ast.Arg, ...], span: Span) -> Measure | None:
        path, rest = "", args
        if kind == "latency":
            first = args[0].value if args and args[0].name is None else None
            if not isinstance(first, ast.String):
                self._fail(span, "`latency` is measured: it needs a table", 'write `latency("FILE.csv")`')
                return None
            path, rest = first.value, args[1:]
        form: dict[str, object] = {}
        sizes: dict[str, int] = {}
        for arg in rest:
            value = self._argument(cost, arg, [*form, *sizes])
            if value is UNKNOWN or arg.name is None:
                return None
            if arg.name in self.parameters:
                form[arg.name] = plain_value(value)
            elif isinstance(value, int) and value >= 1:
                sizes[arg.name] = value
            else:
                self._fail(arg.span, f"the size `{arg.name}` is a positive whole number", "an input's size")
                return None
        given = [f'"{path}"'] if path else []
        given += [f"{k} = {_written(v)}" for k, v in sorted({**form, **sizes}.items())]
        name = f"{cost}({', '.join(given)})" if given else cost
        label = cost if kind == "own" else ""
        settings = tuple(sorted(form.items()))
        at = tuple(sorted(sizes.items()))
        return Measure(name, kind, label=label, path=path, form=settings, sizes=at, span=span)

    def _argument(self, kind: str, arg: ast.Arg, taken: list[str]) -> Value:
        """The value of ``C = 36`` or ``H = 64``, checked to be a parameter or a size of an input."""
        if arg.name is None:
            return self._fail(
                arg.span, f"an argument of `{kind}` has a name", "a parameter or a size: `C = 36`, `H = 64`"
            )
        if arg.name in taken:
            return self._fail(arg.span, f"`{arg.name}` is given twice")
        sizes = self.sizes()
        if arg.name not in self.parameters and arg.name not in sizes:
            close = nearest(arg.name, [*self.parameters, *sizes])
            known = ", ".join(f"`{n}`" for n in (*self.parameters, *sizes)) or "none"
            return self.m.fail(
                "E0501",
                arg.span,
                f"`{arg.name}` is neither a parameter of the space nor a size of its inputs",
                notes=(f"they are {known}",),
                help=f"did you mean `{close}`?" if close else "",
            )
        return static_value(self.m, arg.value, self.env, f"`{arg.name}`")

    def sizes(self) -> list[str]:
        """Names of the free sizes of the inputs."""
        found: list[str] = []
        env: Env | None = self.env
        while env is not None:
            found += [n for n, v in env.names.items() if isinstance(v, Poly) and v == poly(Symbol(n))]
            env = env.parent
        return found

    # ---------------------------------------------------------- over decisions

    def _added(self, kind: Kind, args: tuple[ast.Arg, ...], span: Span) -> Measure | None:
        values = [a.value for a in args]
        label = ""
        if kind == "count":
            last = values.pop() if values else None
            if not isinstance(last, ast.String):
                self._fail(span, "`count` counts one candidate by its label", 'write `count(cell, "skip")`')
                return None
            label = last.value
        if len(values) > 1 or any(a.name for a in args):
            self._fail(span, f"`{kind}` is about one let or tied, or about all")
            return None
        owner = self._owner(kind, values[0]) if values else ""
        if owner is None:
            return None
        inner = ", ".join(part for part in (owner, f'"{label}"' if label else "") if part)
        return Measure(f"{kind}({inner})" if inner else kind, kind, owner, label, span=span)

    def _owner(self, kind: str, expr: ast.Expr) -> str | None:
        """The name of a let or tied, with the indices of a member."""
        target = self._target(expr)
        if target is None:
            what = {"picks": "the elements picked by", "depth": "the copies decided by", "count": "the choices of"}[
                kind
            ]
            self._fail(expr.span, f"`{kind}` counts {what} a let or tied, and `{expr.span.text}` is none")
            return None
        if not isinstance(expr, ast.Index):
            return target.binding.name
        indices = [static_value(self.m, i, self.env, "an index") for i in expr.items]
        if any(i is UNKNOWN for i in indices):
            return None
        return f"{target.binding.name}[{','.join(map(str, indices))}]"

    def _target(self, expr: ast.Expr) -> Definition | None:
        """The let or tied that a name, or a member's, stands for; a let that renames another is that one."""
        base = expr.base if isinstance(expr, ast.Index) else expr
        target = self.env.get(base.id) if isinstance(base, ast.Name) else None
        renamed: set[int] = set()
        while isinstance(target, Definition) and target.binder is not None and id(target) not in renamed:
            renamed.add(id(target))
            body = target.binding.body
            other = target.env.get(body.id) if isinstance(body, ast.Name) else None
            if not isinstance(other, Definition) or other.binder is None:
                return target
            target = other
        return None

    # ----------------------------------------------------------------- choices

    def choice(self, expr: ast.Name | ast.Index) -> tuple[Hashable, tuple[Value, ...]] | None:
        """The id of the decision of a let (or member) that is one choice among networks, and its labels."""
        target = self._target(expr)
        if target is None:
            return None
        indices: tuple[int | str, ...] = ()
        if isinstance(expr, ast.Index):
            values = [static_value(self.m, i, self.env, "an index") for i in expr.items]
            indices = tuple(v for v in values if isinstance(v, int | str))
        binder = binder_of(self.m, target, indices)
        body = self.m.bodies.get(binder)
        own = [d for d in body.decisions if d.kind == "op" and not d.step.name] if body is not None else []
        return (binder.name, own[0].labels) if own else None

    def near(self, wanted: Value, candidates: tuple[Value, ...]) -> str:
        close = nearest(wanted, [c for c in candidates if isinstance(c, str)]) if isinstance(wanted, str) else None
        return f'did you mean "{close}"?' if close else ""

    def _fail(self, span: Span, headline: str, label: str = "", help: str = "") -> Value:
        return self.m.fail("E0505", span, headline, label, help=help)


def _written(value: object) -> str:
    return f"[{', '.join(map(_written, value))}]" if isinstance(value, list) else str(value)

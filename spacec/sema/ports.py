"""Ports: their types and guards, what enters the net, and what it must give.

To the grammar a port is one value: a tensor, or the scales of a pyramid as a list. In the graph, and so in
everything after it, a port is one tensor: scale i of the pyramid ``maps`` is the port ``maps_i``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from spacec.diagnostics.model import Label
from spacec.ir.dims import Symbol, poly
from spacec.ir.graph import Output, Port, Ref
from spacec.ir.types import TensorType
from spacec.sema.header import scratch
from spacec.sema.machine import Machine, mentions
from spacec.sema.stated import Stated, check_pyramid, check_type, read_type, truth
from spacec.sema.values import ABSENT, UNKNOWN, Env, Pack, Tensor, Value
from spacec.source import Span
from spacec.syntax import ast


@dataclass(frozen=True)
class Declared:
    """A port as it is declared: one name, one value."""

    name: str
    stated: Stated
    span: Span

    @property
    def ports(self) -> tuple[Port, ...]:
        """Its ports in the graph."""
        if isinstance(self.stated, TensorType):
            return (Port(self.name, self.stated, self.span),)
        return tuple(Port(f"{self.name}_{i}", scale.type, scale.span) for i, scale in enumerate(self.stated))


def ports_of(declared: Iterable[Declared]) -> tuple[Port, ...]:
    """The graph's ports, in order."""
    return tuple(port for one in declared for port in one.ports)


def size_symbols(m: Machine, ports: list[ast.Port], env: Env) -> dict[str, Value]:
    """Free sizes of the inputs: unbound names of a port's type that begin with a capital letter."""
    found: dict[str, Value] = {}
    for port in ports:
        if port.direction == "input":
            for name in mentions(m, port.type).names:
                if env.get(name) is None and name[:1].isupper():
                    found[name] = poly(Symbol(name))
    return found


def read_port(m: Machine, port: ast.Port, env: Env) -> Declared | None:
    """A port with its type, or ``None`` where its guard is false or its type was refused."""
    cx, region = scratch()
    if port.guard is not None and not truth(m, m.evaluate(m, cx, port.guard, env), port.guard.span):
        return None
    stated = read_type(m, cx, port.type, env)
    if stated is None:
        return None
    if region.decisions:
        m.fail("E0306", port.type.span, "the sizes of a port are not for an architecture to choose")
        return None
    return Declared(port.name, stated, port.span)


def report_clashes(m: Machine, declared: Sequence[Declared]) -> None:
    """A scale of a pyramid and a port of the same name: only one of them could be asked for by it."""
    seen = {one.name: one.span for one in declared if isinstance(one.stated, TensorType)}
    for one in declared:
        for port in () if isinstance(one.stated, TensorType) else one.ports:
            if port.name in seen:
                first = (Label(seen[port.name], "the port of that name"),)
                what = f"a scale of the pyramid `{one.name}` is called `{port.name}`, as is a port"
                m.fail("E0202", port.span, what, labels=first, help="rename one of them")
            seen[port.name] = port.span


def entering(inputs: Sequence[Declared]) -> Value:
    """What the net is applied to: the value of its one input, or the values of all."""
    values: list[Value] = []
    node = 0
    for one in inputs:
        tensors = tuple(Tensor(Ref(node + i), p.type, span=p.span) for i, p in enumerate(one.ports))
        node += len(tensors)
        values.append(tensors[0] if isinstance(one.stated, TensorType) else Pack(tensors))
    return values[0] if len(values) == 1 else Pack(tuple(values))


def given_to(m: Machine, net: ast.Net, one: Declared, value: Value) -> list[Output]:
    """The outputs of the graph that a declared output's value makes; those that it cannot make are reported."""
    if isinstance(value, Tensor) and isinstance(one.stated, TensorType):
        checked = check_type(m, value, one.stated, value.span, one.span)
    elif isinstance(value, Tensor | Pack) and not isinstance(one.stated, TensorType):
        checked = check_pyramid(m, value, one.stated, _place(net, one.name), one.span, net.value.span)
    else:
        checked = _not_an_output(m, net, one.name, value)
    if checked is UNKNOWN:
        return []
    outputs: list[Output] = []
    for port, item in zip(one.ports, checked.items if isinstance(checked, Pack) else (checked,), strict=True):
        if isinstance(item, Tensor):
            outputs.append(Output(item.ref, item.type, item.presence))
        else:
            _not_an_output(m, net, port.name, item)
    return outputs


def _place(net: ast.Net, name: str) -> Span:
    """The statement that gives an output, or the last stage of the network."""
    if isinstance(net.value, ast.Pipe):
        return net.value.stages[-1].span
    for statement in reversed(net.value.body if isinstance(net.value, ast.Dag) else ()):
        assigned = isinstance(statement, ast.Assign) and any(name in names for names in statement.targets)
        if assigned or isinstance(statement, ast.Return):
            return statement.span
    return net.value.span


def _not_an_output(m: Machine, net: ast.Net, name: str, value: Value) -> Value:
    what = "is absent" if value is ABSENT else "is not one tensor"
    return m.fail(
        "E0309",
        net.value.span,
        f"the output `{name}` {what}",
        "an absent output is no architecture" if value is ABSENT else "",
    )

"""From a body and its decisions to the normal form: what is left of a network when nothing in it is idle.

Assumes bodies (:mod:`spacec.space.bodies`). One sweep from the outputs finds what they may read under the decisions,
a second one in the order of the nodes builds the graph by the laws of the ops. Callees are normalised on their own,
once for each set of values of the decisions that they depend on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from spacec.ir.ops import DROPS_ABSENT, AttrValue
from spacec.space.bodies import Body, CallCode, ChooseCode, Decide, InputCode, NotOpen, OpCode, OutCode, SwitchCode
from spacec.space.holes import Hole, check_apart, hole_of
from spacec.space.labels import Sizes
from spacec.space.reading import Reading
from spacec.space.workshop import ABSENT, ZERO, Form, Given, Workshop

MAX_VERTICES = 100_000
"""Of one body, that are remembered."""
MAX_KNOWN = 20_000
"""Forms that a normaliser remembers."""


@dataclass(eq=False)
class Normaliser:
    """Normal forms under decisions; what many architectures have in common is made once."""

    sizes: Sizes
    unordered: frozenset[int] = frozenset()
    """Concats (by the identity of their node in a region) whose terms may come in any order."""
    known: dict[tuple[object, ...], Form] = field(default_factory=dict)
    walker: Callable[..., Walk] = field(default_factory=lambda: Walk)
    """What builds the graph of a body: a :class:`Walk`, or one that does more with what is left open."""
    shops: dict[int, Workshop] = field(default_factory=dict)
    """What was made of each body, by its identity."""

    def form(self, body: Body, decide: Decide, wanted: tuple[int, ...] | None = None, given: Given = ()) -> Form:
        """The form of a body's ``wanted`` outputs (all, if not told). Raises :class:`NotOpen`."""
        wanted = tuple(range(len(body.outputs))) if wanted is None else wanted
        key = (id(body), wanted, given, *map(decide, body.mentions))
        found = self.known.get(key)
        if found is None:
            if len(self.known) >= MAX_KNOWN:
                self.known.clear()
            found = self.known[key] = self._form(body, decide, wanted, given)
        return found

    def _form(self, body: Body, decide: Decide, wanted: tuple[int, ...], given: Given) -> Form:
        shop = self.shops.get(id(body))
        if shop is None or len(shop.vertices) > MAX_VERTICES:
            shop = self.shops[id(body)] = Workshop()
        walk = self.walker(body, decide, owner=self, given=given, graph=shop)
        ends = [body.outputs[k] for k in wanted]
        walk.run(ends)
        form = shop.cut(tuple([walk.values[e] for e in ends]))
        if not walk.called and not walk.holes:
            return walk.finished(form)
        place = {v: k for k, v in enumerate(form.kept)}
        holes = tuple((place[v], d) for v, d in walk.holes.items() if v in place)
        if walk.pure_holes:
            check_apart(form.graph, {place[v] for v in walk.pure_holes if v in place}, dict(holes))
        calls = tuple((place[v], callee) for callee, _, v in walk.called.values() if v in place)
        return walk.finished(replace(form, holes=holes, calls=calls))


@dataclass(eq=False, kw_only=True)
class Walk(Reading):
    """``values`` are vertices, :data:`ZERO` or :data:`ABSENT`, by node."""

    owner: Normaliser
    given: Given
    graph: Workshop
    values: dict[int, int] = field(default_factory=dict)
    hollow: dict[int, Hole] = field(default_factory=dict)
    called: dict[int, tuple[Form, tuple[int, ...], int]] = field(default_factory=dict)
    """Forms of calls, the outputs that were asked of them, their vertices."""
    holes: dict[int, str] = field(default_factory=dict)
    pure_holes: set[int] = field(default_factory=set)

    def run(self, ends: Sequence[int]) -> None:
        for index in reversed(self.read(ends)):
            self.values[index] = self.value(index)

    def finished(self, form: Form) -> Form:
        """The form with what else was found."""
        return form

    def source(self, taken: int, code: ChooseCode | SwitchCode) -> tuple[int, ...]:
        known = code.chains.get(taken) if type(code) is ChooseCode else None
        return (taken,) if known is None else (known[0],)

    def open(self, index: int, code: ChooseCode | SwitchCode) -> tuple[int, ...]:
        value = self.decide(code.decision or "") if isinstance(code, ChooseCode) else None
        known = self.graph.hollow.get((index, value))
        if known is None:
            known = hole_of(self.body, index, self.owner.sizes, self.decide)
            if not known.sized:
                self.graph.hollow[index, value] = known
        self.hollow[index] = known
        return (known.source,)

    def value(self, index: int) -> int:
        code = self.body.nodes[index]
        match code:
            case ChooseCode() | SwitchCode():
                if index not in self.chosen:
                    return self.hole(index, code)
                taken = self.chosen[index]
                return ABSENT if taken is None else self.chain(taken, code)
            case OpCode():
                return self.op(index, code, tuple([self.values[i] for i in code.inputs]))
            case OutCode():
                return self.out(code)
            case CallCode():
                return self.call(index, code)
            case InputCode():
                known = self.given[code.place] if self.given else 0
                return known or self.graph.input(code.place, self.body.names[code.place])

    def chain(self, taken: int, code: ChooseCode | SwitchCode) -> int:
        """What an alternative gives; a chain of ops on one node is one step."""
        if not isinstance(code, ChooseCode) or taken not in code.chains:
            return self.values[taken]
        source, chain = code.chains[taken]
        value = self.values[source]
        found = self.graph.steps.get((taken, value)) if value != ZERO else None
        if found is None:
            found = value
            for index in chain:
                op = self.body.nodes[index]
                assert isinstance(op, OpCode), "a chain is of ops"
                found = self.op(index, op, (found,))
            self.graph.steps[taken, value] = found
        return found

    def op(self, index: int, code: OpCode, given: tuple[int, ...]) -> int:
        """A primitive, by its laws; where no decision enters, once for all architectures."""
        if code.mentions or (code.typed and ZERO in given):
            return self.applied(index, code, given)
        found = self.graph.applied.get((index, given))
        if found is None:
            found = self.graph.applied[index, given] = self.applied(index, code, given)
        return found

    def applied(self, index: int, code: OpCode, values: tuple[int, ...]) -> int:
        laws, given = code.laws, list(values)
        sources = code.inputs
        if ABSENT in given:
            if code.op.spec.name not in DROPS_ABSENT:
                return ABSENT
            sources = tuple(i for i, v in zip(sources, given, strict=True) if v != ABSENT)
            given = [v for v in given if v != ABSENT]
            if not given:
                return ABSENT
        if laws.zero or (ZERO in given and keeps_zero(code, given)):
            return ZERO
        if laws.adds:
            return self.graph.sum(self.label(code), [v for v in given if v != ZERO])
        if laws.alone and len(given) == 1:
            return given[0]
        if laws.identity == "always" or (laws.identity != "never" and self.owner.sizes.same_type(code, self.decide)):
            return given[0]
        made = tuple(self.zeros(i) if v == ZERO else v for i, v in zip(sources, given, strict=True))
        ordered = not laws.commutes and id(code.op) not in self.owner.unordered
        own = index if code.weights or code.apart else None
        return self.graph.add(self.label(code), made, ordered, code.weights, own)

    def label(self, code: OpCode) -> str:
        return code.label or self.owner.sizes.label(code, self.decide)

    def zeros(self, index: int) -> int:
        """A vertex of zeros of a node's type."""
        return self.graph.add(f"zero {self.owner.sizes.type_text(self.body.types[index], self.decide)}", ())

    def call(self, index: int, code: CallCode) -> int:
        """A let or tied member: one vertex for all of its outputs that are neither inputs nor zeros."""
        given = tuple(min(self.values[i], 0) for i in code.inputs)
        wanted = tuple(sorted(self.outs[index]))
        form = self.owner.form(code.body, self.decide, wanted, given if any(given) else ())
        vertex = ABSENT
        if form.ends:
            label = f"call {form.certificate.hex()}{' as ' if code.name else ''}{code.name}"
            inputs = tuple([self.values[code.inputs[k]] for k in form.inputs])
            stateful = form.stateful
            vertex = self.graph.add(label, inputs, True, code.weights if stateful else "", index if stateful else None)
        self.called[index] = form, wanted, vertex
        return vertex

    def out(self, code: OutCode) -> int:
        form, wanted, vertex = self.called[code.call]
        result = form.results[wanted.index(code.place)]
        if isinstance(result, int):
            return result
        from_input, place = result
        if from_input:
            call = self.body.nodes[code.call]
            assert isinstance(call, CallCode), "an output is of a call"
            return self.values[call.inputs[place]]
        return vertex if len(form.ends) == 1 else self.graph.add(f"output:{place}", (vertex,))

    def hole(self, index: int, code: ChooseCode | SwitchCode) -> int:
        found = self.hollow[index]
        source = self.values[found.source]
        assert isinstance(code, ChooseCode), "a choice is left open"
        decision = code.decision or ""
        if source == ABSENT:
            return ABSENT
        if source == ZERO:
            raise NotOpen(decision)
        vertex = self.graph.add(found.label, (source,), True, f"hole {decision}", index)
        self.holes[vertex] = decision
        if found.pure:
            self.pure_holes.add(vertex)
        return vertex


def keeps_zero(code: OpCode, given: Sequence[int]) -> bool:
    """Whether an op gives zeros on what is given."""
    laws = code.laws
    if laws.keeps_zero == "never" or not all(_none(code.attrs[name]) for name in laws.unless):
        return False
    return laws.keeps_zero == "any" or all(v == ZERO for v in given)


def _none(value: AttrValue) -> bool:
    return isinstance(value, int | float) and value == 0

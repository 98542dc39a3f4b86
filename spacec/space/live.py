"""What lives in an architecture: the decisions on a path from an input to an output.

Here zeros kill: ``zero`` counts as an absent tensor, and so does what can only be computed from absent ones. What is
left is the *live* form of an architecture (Dong and Yang, NAS-Bench-201, ICLR 2020, count 9,445 of 15,625 after
isolated nodes are removed). It is coarser than dead code in the sense of the normal form, and knows no isomorphism:
a norm of zeros is a number in the network, yet nothing of the input reaches it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from spacec.ir.ops import DROPS_ABSENT
from spacec.space.bodies import Body, CallCode, ChooseCode, Code, Decide, InputCode, OpCode, Open, OutCode, SwitchCode
from spacec.space.reading import Reading
from spacec.space.values import Value

Part = tuple[str, int | None]
"""A decision as a whole, or an element of a subset."""


@dataclass(frozen=True, slots=True)
class Life:
    """Which outputs of a body are there, which inputs they come from, and what of its decisions is seen in them."""

    outputs: tuple[bool, ...]
    inputs: frozenset[int]
    parts: frozenset[Part]


@dataclass(eq=False)
class Liveness:
    """Lives of bodies under decisions, each found once."""

    known: dict[tuple[object, ...], Life] = field(default_factory=dict)

    def life(self, body: Body, decide: Decide, wanted: tuple[int, ...], given: tuple[bool, ...]) -> Life:
        """The life of the ``wanted`` outputs, where ``given`` inputs are there."""
        key = (id(body), wanted, given, *map(decide, body.mentions))
        found = self.known.get(key)
        if found is None:
            if len(self.known) >= MAX_KNOWN:
                self.known.clear()
            found = self.known[key] = _Walk(body, decide, owner=self, given=given).life(wanted)
        return found


MAX_KNOWN = 20_000
"""Lives that are remembered."""


def live_values(body: Body, liveness: Liveness, decide: Decide) -> dict[str, Value]:
    """The decisions that live, in no order; of a subset only the elements that do."""
    everything = tuple(range(len(body.outputs)))
    parts = liveness.life(body, decide, everything, (True,) * len(body.names)).parts
    found: dict[str, Value] = {}
    for decision in dict.fromkeys(d for d, _ in parts):
        value = decide(decision)
        if value is None or isinstance(value, Open):
            continue
        if isinstance(value, tuple) and (decision, None) not in parts:
            value = tuple(e for e in value if (decision, e) in parts)
        found[decision] = value
    return found


@dataclass(eq=False, kw_only=True)
class _Walk(Reading):
    """``there``: the nodes that are no absent tensors."""

    owner: Liveness
    given: tuple[bool, ...]
    there: dict[int, bool] = field(default_factory=dict)

    def life(self, wanted: tuple[int, ...]) -> Life:
        ends = [self.body.outputs[k] for k in wanted]
        order = self.read(ends)
        for index in reversed(order):
            self.there[index] = self.is_there(index, self.body.nodes[index])
        live = {e for e in ends if self.there[e]}
        inputs: set[int] = set()
        parts: set[Part] = set()
        read: dict[int, set[int]] = {}
        for index in order:
            if index not in live:
                continue
            code = self.body.nodes[index]
            if isinstance(code, InputCode):
                inputs.add(code.place)
            elif isinstance(code, CallCode):
                life = self.call(code, read[index])
                parts |= life.parts
                live |= {code.inputs[k] for k in life.inputs}
            else:
                if isinstance(code, OutCode):
                    read.setdefault(code.call, set()).add(code.place)
                parts.update(_asked(code))
                live |= {s for s in self.sources(index, code) if self.there[s]}
        return Life(tuple(self.there[e] for e in ends), frozenset(inputs), frozenset(parts))

    def is_there(self, index: int, code: Code) -> bool:
        match code:
            case OpCode():
                some = [self.there[i] for i in code.inputs]
                present = any(some) if some and code.op.spec.name in DROPS_ABSENT else all(some)
                return present and not code.laws.zero
            case ChooseCode() | SwitchCode():
                taken = self.chosen[index]
                return taken is not None and self.there[taken]
            case CallCode():
                return any(self.call(code, self.outs[index]).outputs)
            case OutCode():
                call = self.body.nodes[code.call]
                assert isinstance(call, CallCode), "an output is of a call"
                wanted = self.outs[code.call]
                return self.call(call, wanted).outputs[sorted(wanted).index(code.place)]
            case InputCode():
                return self.given[code.place]

    def call(self, code: CallCode, wanted: set[int]) -> Life:
        given = tuple(self.there[i] for i in code.inputs)
        return self.owner.life(code.body, self.decide, tuple(sorted(wanted)), given)


def _asked(code: Code) -> Iterator[Part]:
    """What a node shows of decisions."""
    match code:
        case OpCode() | SwitchCode():
            yield from ((d, None) for d in code.mentions)
        case ChooseCode():
            if code.decision is not None:
                yield code.decision, None
            if code.pick is not None:
                yield code.pick, code.element

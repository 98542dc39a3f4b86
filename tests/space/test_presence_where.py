"""Counting under constraints where sizes follow what is picked: what enumeration says."""

from __future__ import annotations

import pytest

import spacec

HEAD = "space s(C = 4)\ninput  x: [4, 6, 6]\noutput y: [4, 6, 6]\n"
TEXTS = {
    "slots": "net = dag(x) {\n  s = [x, x >> relu, x]\n"
    "  return concat(x, pick any from s: identity | conv(1)) >> bn >> conv(3, 4)\n}\nwhere params <= 500\n",
    "counted": "net = dag(x) {\n  e = pick any from v in 0..2: v\n  f = pick any from v in 0..1: v\n"
    "  y = x + sum(from v in f: x >> conv(1))\n"
    "  return y >> conv(1, 2*max(1, len(e))) >> bn >> conv(1, 1 + len(e) * len(f)) >> conv(1, 4)\n}\n"
    "where params <= 60, params != 44\n",
    "packed": "net = dag(x) {\n  e = pick 1..3 from v in 0..2: v\n"
    "  return concat(from v in e: x >> (conv(3, (3 + len(e[v..])) // max(1, len(e))) | conv(1, (3 + len(e[v..])) "
    "// max(1, len(e))))) >> conv(1, 4)\n}\nwhere macs <= 4000\n",
    "named": "let ends = pick any from v in 0..3: v\n"
    "net = dag(x) { return x >> conv(1, 1 + len(ends)) >> conv(1, 4) }\nwhere len(ends) <= 2, (0 in ends) == 1\n",
    "elastic": "let w = elastic {2, 4}\nnet = dag(x) {\n  e = pick any from v in 0..2: v\n"
    "  return concat(x, from v in e: x >> conv(1, w)) >> conv(1, 4)\n}\nwhere params <= 70\n",
    "absent": "net = dag(x) { return sum(pick any from [x, x]: conv(1) | relu) }\nwhere params <= 16\n",
}


@pytest.mark.parametrize("name", TEXTS)
def test_count_is_what_enumeration_says(name: str) -> None:
    text = HEAD + TEXTS[name]
    space, free = spacec.loads(text), spacec.loads(text[: text.index("where")])
    everything = list(free.enumerate())
    assert len(everything) == free.count()
    valid = []
    for arch in everything:
        try:
            space.validate(space.architecture(arch.text()))
        except spacec.SpacecError:
            continue
        valid.append(arch)
    assert 0 < len(valid) < len(everything)
    assert len(valid) == space.count()
    assert {a.text() for a in space.enumerate()} == {a.text() for a in valid}
    assert {a.text() for a in space.sample(200, seed=0)} <= {a.text() for a in valid}


def test_an_absent_output_is_no_architecture() -> None:
    space = spacec.loads(HEAD + "net = dag(x) { return sum(pick any from [x, x]: conv(1)) }\n")
    assert space.count() == space.count(where=False) == 3
    with pytest.raises(spacec.SpacecError, match="leaves the output `y` absent") as error:
        space.validate(space.architecture(f"{space.digest}:net=-"))
    assert error.value.diagnostics[0].code == "E0905"
    derived = space.derive({slot.id: [0.9, 0.1] for slot in space.slots})
    assert derived.values["net.pick[0]"] != ()

"""Parameters that nothing reads are warned of, those that anything mentions are not."""

from __future__ import annotations

import pytest

import spacec

TEXT = """space s(C = 8, D = C, spare = 3, _kept = 1)
input  x: [3, 8, 8]
output y: [D, 8, 8]
preset tiny(spare = 1)
def outer(c, k = c) = dag(a) {
  def inner(w, lost) = conv(3, w)
  return a >> inner(k, 4) >> conv(3)
}
def forgotten(c) = relu
net = conv(3) >> outer(4) -> [8, 8, 8]
"""


def test_what_is_warned_of() -> None:
    found = spacec.loads(TEXT.replace("[D,", "[8,")).warnings
    assert {(d.code, d.severity) for d in found} == {("W0204", "warning")}
    assert [d.headline.split("`")[1:4:2] for d in found] == [
        ["D", "s"],
        ["spare", "s"],
        ["lost", "inner"],
        ["c", "forgotten"],
    ]
    assert [d.span.text for d in found if d.span] == ["D = C", "spare = 3", "lost", "c"]


@pytest.mark.parametrize("place", ["output y: [D, 8, 8]", "where params <= D*1M", "default bn(eps = D)"])
def test_a_mention_anywhere_is_enough(place: str) -> None:
    text = f"space s(D = 3)\ninput x: [3, 8, 8]\noutput y: [3, 8, 8]\nnet = relu\n{place}\n"
    text = text.replace("output y: [3, 8, 8]\n", "") if place.startswith("output") else text
    assert spacec.loads(text).warnings == ()

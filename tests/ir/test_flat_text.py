"""Law 1 of flat graphs: reading their text gives them back, places in the source apart."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import spacec
from spacec.ir.flat import FlatGraph
from spacec.ir.flat_read import FlatTextError, read_flat
from spacec.ir.flat_text import flat_text
from spacec.ir.ops import OpTable
from spacec.lower.schedule import NAMED
from spacec.passes.base import run
from spacec.testing.generate import random_ports, random_space
from tests.grammars.record import GRAMMARS
from tests.passes.graphs import OPS, all_running, bare

HEAD = "graph g(x)\n%0 = input x : [8, 4, 4]\n"

EVERYTHING = """\
graph "a space"(x, "in")
size H order 0
size net.w in {4, 8} order 1
size net.pick[0] part 0 limits 2, 1, 2 in {0, 1} order 2
cases $0 over net.w, net.pick[0]#0 = 1, 3/2, (1, 0, 1), (0, 0, 2)
require H % 2
%0 = input x : [3, H, 2*H + ceil_div(H, 2) - 1]
%1 = input "in" : tokens(9)[5]
%2 = conv(%0) kernel=3 out={net.w} stride=(2, 1) pad=1 bias=1 init=("normal", 0.02) : [net.w, H/2, H] key=a.b_0 frozen
%3 = "mix"(%2) rate=1e-05 deep=true word=none one=(1,) : [4*net.w^2 + 3*net.pick[0]#0] key="a-b" when net.f=0/1
%4 = concat(%2, %2) present=(1, {net.pick[0]#0}) : [-$0 + max(H*net.w/3, $0), 4] when (b=0 and c=1) or 2 in net.p
%5 = conv(%2) kernel=1 out=8 stride=1 : [8] parts=(a.b, c.d)
%6 = choose(none, %2, %3) slot=s.e[0] instance=i_0 edge=s.t@i_1=2 bypass=%4 : graph(4)
%7 = switch(%2 if net.w=0, none if net.w=1) : [8, 4, 4]
%8 = meet(%2, %3) entry=0 : [8, 4, 4] when never
%9 = mix(%2 from 4 norm=a.bn_0 by s.e[0]@i_0=1 by s.t@i_1=*, %3) : [4]
entry 0 = "m(1)"(from none if always, from 0 if s@i=0/2)
output y = %9
output "the other" = %2
"""
"""All that a text can say; the graph makes no sense."""


def test_all_that_there_is_to_write() -> None:
    ops = OpTable({**OPS.ops, "mix": replace(OPS.ops["bn"], name="mix", params=())})
    assert flat_text(read_flat(EVERYTHING, ops)).splitlines() == EVERYTHING.splitlines()


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("%1 = rely(%0) : [8]", "line 3: no op is called `rely`"),
        ("%1 = relu(%2) : [8]", "line 3: %2 is not there yet, at )"),
        ("%0 = relu(%0) : [8]", "line 3: %0 is there twice"),
        ("%1 = conv(%0) out=8 : [8]", "line 3: `conv` needs kernel"),
        ("%1 = relu(%0) : [C]", "line 3: the size `C` is not declared"),
        ("%1 = relu(%0) : [8] y", "line 3: more than the line needs, at y"),
        ("%1 = relu(%0)", "line 3: a name is missing, at the end of the line"),
        ("%1 = relu(%0) : map(8)", "line 3: `map` is no kind of tensor"),
        ("outputs y = %0", "line 3: `outputs` begins no line"),
        ("%1 = choose(%0) instance=i : [8]", "line 3: `slot` is missing, at instance"),
        ("%1 = conv(%0) kernel=3 : [8] parts=(a, 3)", "line 3: `conv` needs out"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(line: str, what: str) -> None:
    with pytest.raises(FlatTextError, match=f"^{re.escape(what)}"):
        read(HEAD + line)


def test_numbers_are_names_and_comments_are_skipped() -> None:
    found = read(HEAD + "; nothing but a comment\n%7 = relu(%0) : [8, 4, 4] ; numbered freely\noutput y = %7\n")
    assert flat_text(found) == HEAD + "%1 = relu(%0) : [8, 4, 4]\noutput y = %1\n"


def read(text: str) -> FlatGraph:
    return read_flat(text, OPS)


@pytest.mark.parametrize("name", NAMED)
def test_what_the_passes_of_a_schedule_make(name: str) -> None:
    for space in ("nas_bench_201", "darts"):
        flat = all_running(spacec.load(GRAMMARS / f"{space}.space", preset="tiny").flat)
        flat = bare(run(flat, NAMED[name].pipeline()))
        assert read(flat_text(flat)) == flat


@given(st.integers(0, 10_000))
@settings(max_examples=40, deadline=None)
def test_random_spaces(seed: int) -> None:
    text = random_ports(seed, 5) if seed % 3 == 0 else random_space(seed, 8, rank=1 + seed % 2)
    flat = bare(spacec.loads(text).flat)
    assert read(flat_text(flat)) == flat


@pytest.mark.parametrize("name", ["amber", "auto_deeplab", "autoformer", "mnasnet", "nas_bench_101", "nds_resnext_a"])
def test_shipped_spaces_with_elastic_sizes_switches_cases_and_lattices(name: str) -> None:
    flat = bare(spacec.load(GRAMMARS / f"{name}.space", preset="tiny").flat)
    assert read(flat_text(flat)) == flat

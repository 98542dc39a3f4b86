"""Which choices run on a share of their channels, which cannot and why; the graph stays sound."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

import spacec
from spacec.facade import Space
from spacec.ir.flat import FlatChoose, FlatMeet, FlatOp
from spacec.ir.verify import violations

GRAMMARS = Path(__file__).parents[2] / "grammars"
HEAD = "space s(C = 8)\ninput  x: [8, 8, 8]\noutput y: [8, 8, 8]\n"


@cache
def shipped(name: str) -> Space:
    """The tiny form of a shipped space."""
    return spacec.load(GRAMMARS / f"{name}.space", preset="tiny")


def why(text: str, parts: int = 4) -> list[str]:
    """Reasons of the choices that run in full."""
    return list(spacec.loads(HEAD + text).partial_channels(parts).whole.values())


def layers(space: Space, parts: int) -> dict[str, tuple[object, ...]]:
    """Input and output channels and groups of every layer, by key."""
    flat = space.partial_channels(parts).flat
    return {
        n.key: (flat.nodes[n.inputs[0]].type.channels, n.type.channels, n.attrs.get("groups", 1))
        for n in flat.nodes
        if isinstance(n, FlatOp) and n.key
    }


@pytest.mark.parametrize(
    ("name", "narrowed", "whole"),
    [
        ("nas_bench_201", 18, 0),
        ("darts", 42, 0),
        ("robust_darts", 42, 0),
        ("hierarchical", 24, 1),
        ("cream", 3, 1),
        ("transnas_micro", 51, 9),
        ("ddnas", 3, 0),
        ("autoformer", 0, 1),
        ("clearer", 0, 12),
        ("nas_bench_graph", 4, 17),
    ],
)
def test_shipped_spaces_come_out_as_sound_graphs(name: str, narrowed: int, whole: int) -> None:
    space = shipped(name)
    found = space.partial_channels(4)
    assert (len(found.narrowed), len(found.whole)) == (narrowed, whole)
    assert violations(found.flat) == []
    kept = [n for n in space.flat.nodes if isinstance(n, FlatChoose)]
    now = [n for n in found.flat.nodes if isinstance(n, FlatChoose)]
    assert [(n.slot, n.instance, n.edge, n.guard) for n in now] == [(n.slot, n.instance, n.edge, n.guard) for n in kept]
    assert list(layers(space, 4)) == list(layers(space, 1))
    assert [n.instance for n in now if n.bypass is not None] == list(found.narrowed)


def test_one_part_is_the_graph_itself() -> None:
    space = shipped("darts")
    assert space.partial_channels(1).flat is space.flat


@pytest.mark.parametrize("parts", [0, -1, True, 2.0])
def test_parts_are_a_positive_number(parts: int) -> None:
    with pytest.raises(ValueError, match="1 part or more"):
        shipped("nas_bench_201").partial_channels(parts)


def test_channel_counts_and_depthwise_groups_follow() -> None:
    space = spacec.loads(HEAD + "net = a: sep_conv(3) | b: conv(1, 16) >> relu >> conv(1, 8) >> bn")
    narrow, project, norm = (2, 2, 2), (2, 2, 1), (2, 2, 1)
    separable = [narrow, project, norm, narrow, project, norm]
    assert list(layers(space, 4).values()) == [*separable, (2, 4, 1), (4, 2, 1), norm]


def test_a_choice_inside_a_narrowed_one_runs_on_its_channels() -> None:
    space = spacec.loads(HEAD + "net = a: identity | b: relu >> (c: conv(3) | d: conv(1))")
    found = space.partial_channels(2)
    assert len(found.narrowed) == 1
    assert found.whole == {}
    inner = [n for n in found.flat.nodes if isinstance(n, FlatChoose) and n.bypass is None]
    assert [n.type.channels for n in inner] == [4]
    assert violations(found.flat) == []


def test_a_choice_inside_one_that_cannot_be_is_narrowed_itself() -> None:
    found = spacec.loads(
        HEAD.replace("y: [8", "y: [16") + "net = a: conv(1, 16) | b: (c: relu | d: conv(3)) >> conv(1, 16)"
    )
    (reason,) = found.partial_channels(2).whole.values()
    assert reason == "its candidates make 16 channels of 8"
    assert len(found.partial_channels(2).narrowed) == 1


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("net = a: conv(3) | b: conv(3, groups = 4)", "conv: 2 input channels do not split into 4 groups"),
        ("net = relu >> conv(elastic {3, 5})", None),
        ("net = a: relu | b: conv(1, elastic {8, 16}) >> conv(1, 8)", "the channels of its `conv` are decided"),
        ("tied f[i] = conv(3)\nnet = f[0] >> (a: f[0] | b: relu)", "it shares the weights f_0.conv_0"),
    ],
)
def test_what_cannot_be_narrowed_says_why(text: str, reason: str | None) -> None:
    found = why(text)
    assert len(found) == (reason is not None)
    assert all(reason is not None and reason in said for said in found)


def test_channels_that_do_not_split_run_in_full() -> None:
    text = HEAD.replace("8, 8, 8", "7, 8, 8") + "net = a: conv(3) | b: relu"
    assert list(spacec.loads(text).partial_channels(3).whole.values()) == [
        "its 7 channels do not split into 3 or fewer"
    ]


@pytest.mark.parametrize(("parts", "taken"), [(2, 2), (3, 2), (4, 4), (6, 4), (7, 4), (8, 8), (9, 8)])
def test_the_next_smaller_number_of_parts_that_divides_is_taken(parts: int, taken: int) -> None:
    found = spacec.loads(HEAD + "net = a: conv(3) | b: relu").partial_channels(parts)
    assert list(found.narrowed.values()) == [taken]
    assert violations(found.flat) == []


def test_weights_that_all_narrowed_choices_share_are_narrowed() -> None:
    space = spacec.loads(HEAD + "tied f[i] = conv(3)\nnet = (a: f[0] | b: relu) >> relu >> (a: f[0] | b: bn)")
    found = space.partial_channels(4)
    assert len(found.narrowed) == 2
    assert violations(found.flat) == []


def test_candidates_that_end_in_one_member_are_narrowed_with_it() -> None:
    found = spacec.loads(HEAD + "tied f[i] = conv(3)\nnet = a: relu >> f[0] | b: bn >> f[0]").partial_channels(4)
    assert list(found.narrowed.values()) == [4]
    assert violations(found.flat) == []
    (meeting,) = (n for n in found.flat.nodes if isinstance(n, FlatMeet))
    assert meeting.type.channels == 2


def test_the_verifier_finds_what_is_wrong() -> None:
    flat = shipped("nas_bench_201").partial_channels(4).flat
    at = next(i for i, n in enumerate(flat.nodes) if isinstance(n, FlatChoose))
    choice = flat.nodes[at]
    assert isinstance(choice, FlatChoose)
    broken = [
        replace(choice, bypass=None),
        replace(choice, alternatives=(len(flat.nodes),)),
        replace(choice, bypass=choice.alternatives[0]),
    ]
    for node in broken:
        assert violations(replace(flat, nodes=(*flat.nodes[:at], node, *flat.nodes[at + 1 :])))
    stateful = next(i for i, n in enumerate(flat.nodes) if isinstance(n, FlatOp) and n.key)
    op = flat.nodes[stateful]
    assert isinstance(op, FlatOp)
    for wrong in (replace(op, key=""), replace(op, type=replace(op.type, channels=7))):
        assert violations(replace(flat, nodes=(*flat.nodes[:stateful], wrong, *flat.nodes[stateful + 1 :])))

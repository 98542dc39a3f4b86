"""The normal form of a network, as a graph: what two networks that are the same have in common.

A :class:`NormalGraph` is the network of one owner (the whole space, a ``let`` or a ``tied`` member; each distinct
region of it) under one architecture. Its laws:

- Equal graphs up to the order of vertices, the order of unordered inputs and the names of weights denote equal
  functions: there is a bijection of weights (and, where a concat is unordered, a permutation of channels) under which
  the outputs are equal for every input, in training and in evaluation.
- Nothing in it can be left out: identities are gone, zeros are gone from sums and pass through ops that keep zero,
  sums are flat, a sum or concat of one term is the term, dead and absent code is gone.
- Pure vertices with equal label and inputs are one vertex; stateful ones are never merged.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b


@dataclass(frozen=True, slots=True)
class Vertex:
    """One op, call or input of a network.

    ``label`` is stable text: the op and its attributes, ``input:NAME``, a call with the certificate of its callee, or
    a hole. ``inputs`` are places in the graph, as they are written; a multiset where not ``ordered``. Vertices with
    equal ``weights`` share them; ``""`` is a vertex without state.
    """

    label: str
    inputs: tuple[int, ...] = ()
    ordered: bool = True
    weights: str = ""


@dataclass(frozen=True, slots=True)
class NormalGraph:
    """``vertices`` in topological order, each reachable from the ``outputs`` (places of vertices, in order)."""

    vertices: tuple[Vertex, ...]
    outputs: tuple[int, ...]


def expression(label: str, ordered: bool, stateful: bool, inputs: Sequence[bytes]) -> bytes:
    """Sixteen bytes that name what a vertex computes, from those of its inputs: of weights only that there are some.

    Where no two vertices of a graph have one name and none share weights, the names of the outputs name the graph.
    """
    given = inputs if ordered else sorted(inputs)
    kind = b"\x1f%d%d\x1f" % (ordered, stateful)
    return blake2b(label.encode() + kind + b"".join(given), digest_size=16).digest()


def named_by(outputs: Sequence[bytes]) -> bytes:
    """The certificate of a graph whose vertices all differ in what they compute."""
    return blake2b(b"expressions\x1f" + b"".join(outputs), digest_size=20).digest()

"""Parallel linear kernels on one tensor, and their weighted sum, become one kernel.

``sum_k g_k conv_k(x) = conv(x; sum_k g_k W_k)``, every kernel laid in the window of the largest around the same place,
zeros elsewhere: a convolution is linear in its kernel. It holds where nothing but the weights of a mix stands between,
no norm above all, which in training is not linear. Then a skip is a kernel too, of one at its own place, and the mean
over a window that no padding enters is a kernel of equal weights. Gates become weights of kernels, so their gradients
are those of the sum; biases add up alike. This is how MergeZARTS searches over kernel sizes: in one 9x9 kernel.

Assumes mixes (:mod:`spacec.passes.mixes`); layers that others read, or whose value is kept, stay.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from spacec.ir.flat import FlatGraph, FlatMix, FlatOp, Gate, Term, with_sources
from spacec.ir.ops import AttrValue, OpParam
from spacec.passes.base import Builder, drop_dead, readers
from spacec.passes.stack_kinds import span
from spacec.std.primitives import PRIMITIVE_TABLE

_CONV = PRIMITIVE_TABLE.ops["conv"]

SUPERKERNEL = replace(
    _CONV,
    name="superkernel",
    params=(
        *_CONV.params,
        OpParam("kernels", (), "any", "what is summed: weights, identity or mean, and its kernel and dilation"),
        OpParam("gates", (), "any", "of each kernel, the mask weights that weigh it: slot, instance, candidate"),
    ),
    help="a convolution whose kernel is a weighted sum of others",
)
"""Its parts are the keys of the kernels that are ``weights``, in their order."""


@dataclass(frozen=True)
class Kernel:
    """A term of a mix as a kernel. ``what``: ``weights``, ``identity`` or ``mean``; ``pad``: zeros before its input."""

    term: int
    what: str
    size: int
    dilation: int
    pad: int
    op: FlatOp | None = None

    @property
    def span(self) -> int:
        """Places from the first that it reads to the last."""
        return span(self.size, self.dilation)


@dataclass(frozen=True)
class Superkernels:
    """Make one kernel of parallel linear kernels and their weighted sum.

    Kernels that reach over more than ``window`` places an axis stay apart.
    """

    name: ClassVar[str] = "superkernels"
    window: int = 9

    def apply(self, flat: FlatGraph, keep: frozenset[str]) -> FlatGraph:
        """The graph with one kernel for several."""
        read = readers(flat)
        builder = Builder()
        for index, node in enumerate(flat.nodes):
            if isinstance(node, FlatMix) and isinstance(node.type.channels, int):
                alone = frozenset(s for t in node.terms if read[s := t.source] == [index])
                builder.place[index] = builder.add(self._merged(flat, node, alone, keep, builder))
            else:
                builder.place[index] = builder.add(with_sources(node, builder.place.__getitem__))
        return drop_dead(builder.graph(flat))

    def _merged(
        self, flat: FlatGraph, mix: FlatMix, alone: frozenset[int], keep: frozenset[str], builder: Builder
    ) -> FlatMix:
        merged: dict[int, FlatOp] = {}
        gone: set[int] = set()
        for source, kernels in _families(flat, mix, alone, keep):
            found = [k for k in kernels if k.term not in gone]
            fitting = _fitting(found, self.window)
            if len(fitting) > 1:
                place = min(k.term for k in fitting)
                merged[place] = _superkernel(mix, fitting, builder.place[source])
                gone.update(k.term for k in fitting)
        terms = []
        for k, term in enumerate(mix.terms):
            if k in merged:
                terms.append(Term(builder.add(merged[k])))
            elif k not in gone:
                terms.append(replace(term, source=builder.place[term.source]))
        return replace(mix, terms=tuple(terms))


def gates_of(op: FlatOp) -> tuple[tuple[Gate, ...], ...]:
    """The gates of the kernels of a superkernel."""
    told = op.attrs["gates"]
    assert isinstance(told, tuple), "gates are written as tuples"
    return tuple(tuple(Gate(*g) for g in of_kernel) for of_kernel in told)  # type: ignore[misc, union-attr]  # as _superkernel wrote them


def _families(
    flat: FlatGraph, mix: FlatMix, alone: frozenset[int], keep: frozenset[str]
) -> Iterator[tuple[int, list[Kernel]]]:
    """For every tensor, kernels that the mix adds and that may be one, the convolutions among them alike."""
    convs: dict[tuple[int, Hashable, Hashable], list[Kernel]] = {}
    others: dict[tuple[int, Hashable], list[Kernel]] = {}
    for k, term in enumerate(mix.terms):
        if term.norm or term.first:
            continue
        others.setdefault((term.source, 1), []).append(Kernel(k, "identity", 1, 1, 0))
        op = flat.nodes[term.source]
        if not isinstance(op, FlatOp) or term.source not in alone or op.key in keep or op.parts:
            continue
        steps = op.attrs.get("stride")
        stride: Hashable = steps if not isinstance(steps, tuple) else steps[0] if len(set(steps)) == 1 else steps
        kernel = _kernel(k, op)
        if kernel is not None and kernel.what == "mean":
            others.setdefault((op.inputs[0], stride), []).append(kernel)
        elif kernel is not None:
            convs.setdefault((op.inputs[0], stride, (op.attrs["groups"], op.frozen)), []).append(kernel)
    for (source, stride, _), kernels in convs.items():
        same = flat.nodes[source].type.channels == mix.type.channels
        yield source, kernels + (others.get((source, stride), []) if same else [])


def _kernel(term: int, op: FlatOp) -> Kernel | None:
    """A convolution, or a mean that no padding enters, as a kernel."""
    size, pad, dilation = op.attrs.get("kernel"), op.attrs.get("pad"), op.attrs.get("dilation", 1)
    if op.spec.name not in ("conv", "avg_pool") or not isinstance(size, int) or not isinstance(dilation, int):
        return None
    reach = span(size, dilation)
    if pad == "same":
        if reach % 2 == 0:
            return None
        pad = reach // 2
    if not isinstance(pad, int) or not isinstance(op.attrs.get("groups", 1), int):
        return None
    if op.spec.name == "avg_pool":
        return None if pad else Kernel(term, "mean", size, 1, 0, op)
    return Kernel(term, "weights", size, dilation, pad, op)


def _fitting(kernels: Sequence[Kernel], window: int) -> list[Kernel]:
    """The kernels that lie around the same place in the window of the largest convolution."""
    weights = [k for k in kernels if k.what == "weights" and k.span <= window]
    if not weights:
        return []
    large = max(weights, key=lambda k: k.span)
    return [k for k in kernels if k.span <= large.span and large.span - k.span == 2 * (large.pad - k.pad)]


def _superkernel(mix: FlatMix, kernels: Sequence[Kernel], source: int) -> FlatOp:
    ops = [k.op for k in kernels if k.what == "weights" and k.op is not None]
    large = max((k for k in kernels if k.what == "weights"), key=lambda k: k.span)
    gates: tuple[AttrValue, ...] = tuple(
        tuple((g.slot, g.instance, g.candidate) for g in mix.terms[k.term].gates) for k in kernels
    )
    attrs: dict[str, AttrValue] = {
        **ops[0].attrs,
        "kernel": large.span,
        "dilation": 1,
        "pad": "same" if all(op.attrs["pad"] == "same" for op in ops) else large.pad,
        "bias": int(any(op.attrs["bias"] for op in ops)),
        "init": "default",
        "kernels": tuple((k.what, k.size, k.dilation) for k in kernels),
        "gates": gates,
    }
    keys = tuple(op.key for op in ops)
    return replace(ops[0], spec=SUPERKERNEL, attrs=attrs, inputs=(source,), key="", parts=keys, guard=mix.guard)

"""How a pass over a supernet computes a mix: by one kernel for all of its terms.

Norms without weights that read one tensor give the same in training: it is normalised once, and their running
statistics take it in each for itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm

from spacec.ir.flat import FlatMix, Term
from spacec.lower.kernels.dispatch import hooked
from spacec.lower.kernels.mix import Addend, normed_mix
from spacec.lower.kernels.norm import whitened
from spacec.lower.kernels.statistics import NormState, read_norm, track

if TYPE_CHECKING:
    from spacec.lower.execute import Pass


def mixed(run: Pass, mix: FlatMix) -> Tensor:
    """The sum of the terms of ``mix``, each normalised and weighed."""
    first = run.values[mix.terms[0].source]
    channels = mix.type.channels if isinstance(mix.type.channels, int) else first.shape[1]
    return normed_mix([_addend(run, term) for term in mix.terms], channels, run.machine.generated)


def _addend(run: Pass, term: Term) -> Addend:
    value, weight = run.values[term.source], run.coefficient(term)
    if not term.norm:
        return Addend(value, weight, None, term.first)
    module = run.machine.modules[term.norm]
    assert isinstance(module, _BatchNorm), "a term is normalised by a batch norm"
    if hooked(module):
        return Addend(module(value.narrow(1, term.first, module.num_features)), weight)
    norm = read_norm(module)
    if norm.batch and norm.plain and (term.source, term.first) in run.machine.blueprint.often_normed:
        return Addend(_shared(run, term, norm), weight, None, term.first)
    return Addend(value, weight, norm, term.first)


def _shared(run: Pass, term: Term, norm: NormState) -> Tensor:
    known = run.whitened.setdefault(term.source, {})
    found = known.get(norm.eps)
    if found is None:
        found = known[norm.eps] = whitened(run.values[term.source], norm.eps)
    if norm.mean is not None:
        mean, var = (s.narrow(0, term.first, norm.mean.shape[0]) for s in (found.mean, found.var))
        track([norm], [mean], [var], found.x.numel() // found.x.shape[1])
    return found.x

"""What can be set of ENAS, and the values of its two searches.

Numbers are those of the authors' search scripts (melodyguan/enas, ``cifar10_micro_search.sh`` and
``cifar10_macro_search.sh``), which refine the paper's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

from spacec.diagnostics.model import Diagnostic, SpacecError
from spacec.diagnostics.suggest import nearest
from spacec.search.options import option
from spacec.search.trial_strategy import TrialOptions
from spacec.space.decisions import DecisionTable
from spacec_enas.policy import Shape

PRESETS: Mapping[str, Mapping[str, float]] = {
    "micro": {"arch_lr": 0.0035, "arch_steps": 30, "batch": 10, "tanh": 1.1, "reduce": 2.5, "skip_weight": 0.0},
    "macro": {"arch_lr": 0.001, "arch_steps": 50, "batch": 20, "tanh": 1.5, "reduce": 1.0, "skip_weight": 0.8},
}


@dataclass(frozen=True)
class EnasOptions(TrialOptions):
    """Options that are ``None`` take the value of the preset that ``space`` names."""

    mode: Literal["shared", "trials"] = option("shared", "rate with shared weights, or train each architecture alone")
    space: Literal["auto", "micro", "macro"] = option(
        "auto", "whose values: of the search for cells, or for a network with skips; auto: macro where a pick is free"
    )
    arch_lr: float | None = option(None, "rate of the controller's Adam; none for 0.0035, macro 0.001", low=0)
    arch_betas: tuple[float, float] = option((0.0, 0.999), "Adam's moment decays for it", low=0, below=1)
    arch_eps: float = option(1e-3, "Adam's denominator term for it", low=1e-30)
    arch_steps: int | None = option(None, "shared: steps of it after each epoch; none for 30, macro 50", low=1)
    batch: int | None = option(None, "rewards per step, whose gradients are averaged; none for 10, macro 20", low=1)
    baseline: Literal["before", "with", "batch"] = option(
        "before", "mean of the rewards before this one; or with it, as the authors' code; or of its batch"
    )
    baseline_momentum: float = option(0.99, "of the baseline: the weight of what was before", low=0, below=1)
    bonus: float = option(1e-4, "what the entropy of an architecture's decisions weighs in its reward", low=0)
    arch_warmup: float = option(
        0.0, "shared: share of the steps that only train weights, on uniform paths", low=0, high=1
    )
    hidden: int = option(64, "units of the LSTM", low=1, high=4096)
    layers: int = option(1, "layers of the LSTM", low=1)
    start: float = option(0.1, "its weights start uniform between minus and plus this", low=0)
    tanh: float | None = option(None, "bound C of the logits, C tanh(l); 0 for none; none for 1.1, macro 1.5", low=0)
    reduce: float | None = option(None, "of candidates the bound is C over this; none for 2.5, macro 1", low=1e-6)
    temperature: float = option(1.0, "logits are divided by it", low=1e-6)
    skips: Literal["sigmoid", "pair"] = option(
        "sigmoid", "an element of a free pick is taken by sigmoid(l), or by the softmax of (-l, l) of the authors' code"
    )
    skip_target: float = option(0.4, "rate of skips that is asked for", low=1e-6, below=1)
    skip_weight: float | None = option(None, "what the divergence from it weighs; none for 0, macro 0.8", low=0)
    favoured: tuple[str, ...] = option((), "labels that start with a bias; the authors' code: separable convolutions")
    favour: float = option(10.0, "bias of these labels at the start", low=0)
    favour_first: float = option(0.25, "what they have more in the first cell, and the others less", low=0)
    finalists: int = option(10, "shared: draws that are rated at the end; 0: the likeliest is the answer", low=0)
    final_batches: int | None = option(1, "validation batches that each is rated on; none for all", low=1)
    restart: int = option(10, "epochs of the first cosine of the weights' rate; 0 for the search's schedule", low=0)
    restart_factor: int = option(2, "by which each cosine is longer than the one before", low=1)


def settled(options: EnasOptions, table: DecisionTable) -> EnasOptions:
    """The options with the preset's values where nothing was given. Raises :class:`SpacecError`: E0896 for labels that
    are nowhere, E0703 for a batch that has no mean to compare with."""
    known = list(dict.fromkeys(label for d in table.decisions for label in d.labels))
    for label in options.favoured:
        if label not in known:
            near = nearest(label, known)
            headline = (
                f"strategy 'enas' is to favour '{label}', and no decision of '{table.space}' has a candidate of it"
            )
            raise SpacecError(Diagnostic("E0896", headline, help=f"did you mean '{near}'?" if near else ""))
    found = _preset(options, table)
    if found.baseline == "batch" and found.batch == 1:
        raise SpacecError(Diagnostic("E0703", "baseline=batch of strategy 'enas' needs a batch of at least 2 rewards"))
    return found


def _preset(options: EnasOptions, table: DecisionTable) -> EnasOptions:
    free = any(d.kind == "subset" and d.low == 0 and d.high >= d.size for d in table.decisions)
    kind = options.space if options.space != "auto" else "macro" if free else "micro"
    lacking = {name: value for name, value in PRESETS[kind].items() if getattr(options, name) is None}
    return replace(options, space=kind, **lacking)  # type: ignore[arg-type]  # counts among the values are whole numbers


def shape_of(options: EnasOptions) -> Shape:
    """The controller that settled options ask for."""
    return Shape(
        hidden=options.hidden,
        layers=options.layers,
        start=options.start,
        tanh=options.tanh or None,
        reduce=options.reduce or 1.0,
        temperature=options.temperature,
        paired=options.skips == "pair",
        favoured=options.favoured,
        favour=options.favour,
        lead=options.favour_first,
    )

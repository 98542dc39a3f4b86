"""What this plugin offers, as descriptors: importing this module imports no implementation and no torch."""

from __future__ import annotations

from spacec.hooks import ProbeDescriptor, hookimpl

SPACEC_API = (1, 1)


@hookimpl
def spacec_diagnostics() -> list[ProbeDescriptor]:
    return [
        ProbeDescriptor(
            "derivation",
            "skips, weights and multiply-adds of the architecture derived now, in all and by owner",
            "spacec_probes.derivation:Derivation",
        ),
        ProbeDescriptor(
            "hessian",
            "top eigenvalue of the validation loss's Hessian in the architecture logits",
            "spacec_probes.hessian:Hessian",
        ),
        ProbeDescriptor(
            "rayleigh",
            "Rayleigh quotient of the tangent kernel along the loss, in total and by cell, edge and op",
            "spacec_probes.rayleigh:Rayleigh",
        ),
        ProbeDescriptor(
            "wiring",
            "cost of every candidate and edge: gate times gradient, on both splits, by correctness",
            "spacec_probes.wiring:Wiring",
        ),
    ]

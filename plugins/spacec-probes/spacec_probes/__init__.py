"""What this plugin offers, as descriptors: importing this module imports no implementation and no torch."""

from __future__ import annotations

from spacec.hooks import ProbeDescriptor, hookimpl

SPACEC_API = (1, 1)


@hookimpl
def spacec_diagnostics() -> list[ProbeDescriptor]:
    return [
        ProbeDescriptor("derivation", "skips, weights, multiplies of the pick", "spacec_probes.derivation:Derivation"),
        ProbeDescriptor("hessian", "top eigenvalue of the Hessian in the logits", "spacec_probes.hessian:Hessian"),
        ProbeDescriptor("rayleigh", "Rayleigh quotient by cell, edge and op", "spacec_probes.rayleigh:Rayleigh"),
        ProbeDescriptor("wiring", "cost of every candidate and edge (Xie, Hu et al.)", "spacec_probes.wiring:Wiring"),
    ]

"""Times the implementations of one op site, on random numbers of its sizes.

First each part alone, forward and backward apart; then what those choices make together, the library and every
implementation of the whole op, forward and backward in one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from spacec.lower.kernels import library
from spacec.lower.kernels.dispatch import bind, joined
from spacec.lower.kernels.table import LIBRARY, PARTS, Implementation, Norm, OpSite, Part
from spacec.lower.schedule import Measurement, Trial
from spacec.lower.tuning.choosing import Clock, Run, choose, in_turns

ROUNDS = 5
BEHIND = 8.0
"""Times the best, at which an implementation is given up: a turn of another process can make a short timing long."""


def alternatives(site: OpSite, known: Sequence[Implementation]) -> tuple[Implementation, ...]:
    """What could compute the site beside the library."""
    return tuple(i for i in known if i.op == site.op and i.applies(site))


def measure_site(
    site: OpSite, count: int, known: Sequence[Implementation], clock: Clock, enough: Callable[[], bool]
) -> Measurement:
    """The choice at a site that runs ``count`` times in a pass. It has alternatives."""
    others = alternatives(site, known)
    trials: list[Trial] = []
    names: list[str] = []
    for part in PARTS:
        found = {i.name: i.run for i in others if i.part == part}
        if not found:
            names.append(LIBRARY)
            continue
        runs = _part_runs(site, part, found)
        timed = in_turns(runs, clock, ROUNDS, enough, BEHIND)
        trials += [Trial(f"{part} {t.name}", t.seconds) for t in timed]
        names.append(choose(timed, LIBRARY).name)
    wanted = dict.fromkeys([LIBRARY, joined(names), *(i.name for i in others if i.part is None)])
    if any(i.needed(site) for i in others):
        del wanted[LIBRARY]
    if len(wanted) == 1:
        (only,) = wanted
        reason = "no part is faster" if only == LIBRARY else "the only one that is exact enough"
        return Measurement(site.signature, count, tuple(trials), only, reason)
    timed = in_turns({name: _whole_run(site, name, tuple(known)) for name in wanted}, clock, ROUNDS, enough, BEHIND)
    chosen = choose(timed, LIBRARY)
    return Measurement(site.signature, count, (*trials, *timed), chosen.name, chosen.reason)


def _part_runs(site: OpSite, part: Part, found: dict[str, Callable[..., Tensor]]) -> dict[str, Run]:
    assert site.window is not None, "only convolutions have parts"
    window = site.window
    x, weight = _image(site), _weight(site)
    with torch.no_grad():
        gradient = torch.randn_like(library.library_forward(window, x, weight, None))

    def run(own: Callable[..., Tensor] | None) -> Run:
        def once() -> object:
            with torch.no_grad():
                if part == "forward":
                    return (own or library.library_forward)(window, x, weight, None)
                if own is None:
                    return library.library_gradients(window, gradient, x, weight, (part == "input", part == "weight"))
                if part == "input":
                    return own(window, gradient, weight, tuple(x.shape))
                return own(window, gradient, x, tuple(weight.shape))

        return once

    return {LIBRARY: run(None), **{name: run(own) for name, own in found.items()}}


def _whole_run(site: OpSite, choice: str, known: tuple[Implementation, ...]) -> Run:
    kernel = bind(site, choice, known) or library.OPS[site.op]
    given, asked = _arguments(site)
    with torch.no_grad():
        like = kernel(*given)
    gradient = torch.randn_like(like)

    def once() -> object:
        with torch.enable_grad():
            return torch.autograd.grad(kernel(*given), asked, gradient)

    return once


def _arguments(site: OpSite) -> tuple[tuple[Any, ...], list[Tensor]]:
    """What a kernel of the whole op is given, and the tensors whose gradients are asked for."""
    x = _image(site).requires_grad_()
    if site.op == "conv":
        weight = _weight(site).requires_grad_()
        return (site.window, x, weight, None), [x, weight]
    if site.op == "bn":
        weight, bias, mean = (torch.zeros(site.channels[0], device=x.device, dtype=_state(x)) for _ in range(3))
        asked = [x, weight.add_(1).requires_grad_(), bias.requires_grad_()]
        return (Norm(1e-5, 0.1, site.detail == "train"), x, weight, bias, mean, torch.ones_like(mean)), asked
    return (site.window, x), [x]


def _state(x: Tensor) -> torch.dtype:
    """Norms keep their statistics in single precision where images have less."""
    return torch.float32 if x.dtype in (torch.bfloat16, torch.float16) else x.dtype


def _image(site: OpSite) -> Tensor:
    x = torch.randn(site.batch, site.channels[0], *site.space, device=site.device).to(getattr(torch, site.dtype))
    last = site.layout == "channels_last"
    return x.contiguous(memory_format=torch.channels_last) if last else x


def _weight(site: OpSite) -> Tensor:
    assert site.window is not None, "only convolutions have weights"
    window, (into, out) = site.window, site.channels
    shape = (out, into // window.groups, *window.kernel)
    return torch.randn(shape, device=site.device).to(getattr(torch, site.dtype))

"""The weighted sum of batch-normalised tensors, without storing what is normalised or weighed.

With terms z_t, mask weights w_t, and norms of scale g_t and shift h_t that take the mean m_t and variance v_t of their
input,

    out = sum_t w_t (g_t (z_t - m_t) r_t + h_t) = sum_t A_t z_t + b,   r_t = 1 / sqrt(v_t + eps),   A_t = w_t g_t r_t,

so that nothing but the z_t is kept for the backward pass, where, with s_t = sum(dout (z_t - m_t) r_t) and n numbers in
a channel (Ioffe & Szegedy, ICML 2015, section 3),

    d(w_t g_t) = s_t,   d(sum_t w_t h_t) = sum(dout),   dz_t = A_t (dout - sum(dout) / n - (z_t - m_t) r_t s_t / n).

A norm by running statistics is affine: dz_t = A_t dout. So is a term without norm: dz_t = w_t dout and
dw_t = sum(dout z_t).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

import torch
from torch import Tensor

from spacec.lower.kernels.native import affine
from spacec.lower.kernels.statistics import NormState, column, over, statistics, track
from spacec.lower.kernels.table import format_of

_HALVES = (torch.float16, torch.bfloat16)


@dataclass(frozen=True)
class Addend:
    """A term: channels of ``z [N, C, …]`` from ``first`` on, by ``norm``, times ``weight []``; ``None`` is neither.

    Parts of one tensor that make up its channels are computed together.
    """

    z: Tensor
    weight: Tensor | None = None
    norm: NormState | None = None
    first: int = 0


def normed_mix(parts: Sequence[Addend], channels: int, native: bool = False) -> Tensor:
    """The sum of ``parts`` ``[N, channels, …]``, in the memory layout of the first normed one.

    The running statistics of norms in training take the batch in, in place. Differentiable twice. ``native``: by
    generated code, where there is some for such tensors.
    Raises :class:`ValueError` for a batch of one number in a channel.
    """
    zs: dict[int, Tensor] = {id(p.z): p.z for p in parts}
    place = {key: k for k, key in enumerate(zs)}
    normed = [p for p in parts if p.norm is not None]
    raw = [p for p in parts if p.norm is None]
    site = _Site(
        channels,
        tuple((place[id(p.z)], p.first) for p in normed),
        tuple((place[id(p.z)], p.first) for p in raw),
        tuple(p.norm.batch for p in normed if p.norm is not None),
        tuple(p.norm.eps for p in normed if p.norm is not None),
        tuple(p.weight is not None for p in raw),
        native,
    )
    weights = [p.weight for p in raw if p.weight is not None]
    scale = shift = mean = var = None
    if normed:
        scale, shift = _affine(normed, channels)
        mean, var = _moments(site, normed, list(zs.values()))
    given = torch.stack(weights) if weights else None
    if torch.compiler.is_compiling():
        return _composite(site, mean, var, scale, shift, given, list(zs.values()))
    out: Tensor = _Mix.apply(site, mean, var, scale, shift, given, *zs.values())  # type: ignore[no-untyped-call]  # torch
    return out


@dataclass
class Normed:
    """A batch norm as a function of its input that can be made again: :meth:`again` is what it was when it ran."""

    norm: NormState
    native: bool = False
    slope: Tensor | None = None
    shift: Tensor | None = None

    def __call__(self, z: Tensor) -> Tensor:
        channels = z.shape[1]
        site = _Site(channels, ((0, 0),), (), (self.norm.batch,), (self.norm.eps,), (), self.native)
        terms = [Addend(z, None, self.norm)]
        scale, shift = _affine(terms, channels)
        mean, var = _moments(site, terms, [z])
        with torch.no_grad():
            self.slope = scale[0] * (var[0] + self.norm.eps).rsqrt()
            self.shift = -self.slope * mean[0] if shift is None else shift - self.slope * mean[0]
        out: Tensor = _Mix.apply(site, mean, var, scale, shift, None, z)  # type: ignore[no-untyped-call]  # torch
        return out

    def again(self, z: Tensor) -> Tensor:
        """The result for the same input."""
        assert self.slope is not None, "it has run"
        assert self.shift is not None, "it has run"
        if self.native and affine.ready([z], z.shape[1]):
            return affine.affine_sum([z], self.slope.unsqueeze(0), self.shift)
        wide = z.to(self.slope.dtype)
        return torch.addcmul(column(self.shift, z), wide, column(self.slope, z)).to(z.dtype)


@dataclass(frozen=True)
class _Site:
    """What a mix does: pairs of a tensor and a first channel, by norm and without; the rest by normed or raw term."""

    channels: int
    normed: tuple[tuple[int, int], ...]
    raw: tuple[tuple[int, int], ...]
    batch: tuple[bool, ...]
    eps: tuple[float, ...]
    weighed: tuple[bool, ...]
    native: bool


def _affine(parts: Sequence[Addend], channels: int) -> tuple[Tensor, Tensor | None]:
    """Rows of w_t g_t ``[T, C]``, and the sum of w_t h_t ``[C]``, ``None`` without shifts; both with gradients."""
    z = parts[0].z
    dtype = torch.float32 if z.dtype in _HALVES else z.dtype
    one = torch.ones((), dtype=dtype, device=z.device)
    weights = torch.stack([one if p.weight is None else p.weight.to(dtype) for p in parts]).unsqueeze(1)
    if all(p.norm is None or p.norm.plain for p in parts):
        return weights.expand(-1, channels), None
    ones, zeros = one.expand(channels), torch.zeros_like(one).expand(channels)
    norms = [p.norm for p in parts if p.norm is not None]
    gammas = torch.stack([ones if n.weight is None else n.weight.to(dtype) for n in norms])
    betas = torch.stack([zeros if n.bias is None else n.bias.to(dtype) for n in norms])
    return weights * gammas, (weights * betas).sum(0)


def _moments(site: _Site, parts: Sequence[Addend], zs: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Mean and variance that each normed part uses, ``[T, C]``, after its norm took the batch in."""
    found: dict[int, tuple[Tensor, Tensor]] = {}
    means: list[Tensor] = []
    variances: list[Tensor] = []
    for part, (k, first) in zip(parts, site.normed, strict=True):
        norm = part.norm
        assert norm is not None, "the part is normed"
        if not norm.batch:
            mean, var = norm.running
        else:
            if k not in found:
                found[k] = statistics(zs[k], site.native)
            mean, var = (s.narrow(0, first, site.channels) for s in found[k])
        means.append(mean)
        variances.append(var)
    stacked = torch.stack(means), torch.stack(variances)
    values = parts[0].z.numel() // parts[0].z.shape[1]
    track([p.norm for p in parts if p.norm is not None], stacked[0].unbind(), stacked[1].unbind(), values)
    return stacked


def _composite(
    site: _Site,
    mean: Tensor | None,
    var: Tensor | None,
    scale: Tensor | None,
    shift: Tensor | None,
    weights: Tensor | None,
    zs: Sequence[Tensor],
) -> Tensor:
    """The mix in plain operations: what is compiled, and what is differentiated twice."""
    terms = []
    for t, (k, first) in enumerate(site.normed):
        assert scale is not None, "normed terms have scales"
        assert mean is not None, "normed terms have means"
        assert var is not None, "normed terms have variances"
        z = zs[k].narrow(1, first, site.channels)
        wide = z.to(scale.dtype) if z.dtype in _HALVES else z
        if site.batch[t]:
            found = torch.var_mean(wide, over(z), correction=0)
            centre, spread = found[1], found[0]
        else:
            centre, spread = mean[t], var[t]
        factor = scale[t] * (spread + site.eps[t]).rsqrt()
        terms.append(((wide - column(centre, z)) * column(factor, z)).to(z.dtype))
    given = iter(() if weights is None else weights.unbind())
    for (k, first), weighed in zip(site.raw, site.weighed, strict=True):
        z = zs[k].narrow(1, first, site.channels)
        terms.append(z * next(given) if weighed else z)
    out = reduce(torch.add, terms)
    return out if shift is None else (out + column(shift, out)).to(out.dtype)


class _Mix(torch.autograd.Function):
    """The mix with its own gradients; constants are the statistics, which the backward pass knows as functions of z."""

    @staticmethod
    def forward(
        ctx: Any,
        site: _Site,
        mean: Tensor | None,
        var: Tensor | None,
        scale: Tensor | None,
        shift: Tensor | None,
        weights: Tensor | None,
        *zs: Tensor,
    ) -> Tensor:
        ctx.site = site
        rstd = None if var is None else (var + _eps(site, var)).rsqrt()
        used = {k for k, _ in site.normed}
        if weights is not None and weights.requires_grad:
            used.update(k for (k, _), weighed in zip(site.raw, site.weighed, strict=True) if weighed)
        ctx.formats = tuple((z.shape, z.dtype) for z in zs)
        kept = [z if k in used else None for k, z in enumerate(zs)]
        ctx.save_for_backward(mean, var, rstd, scale, shift, weights, *kept)
        return _sum(site, mean, rstd, scale, shift, weights, zs)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        if torch.is_grad_enabled():
            return _twice(ctx, gradients[0])
        return _gradients(ctx, gradients[0])


def _eps(site: _Site, like: Tensor) -> float | Tensor:
    if len(set(site.eps)) == 1:
        return site.eps[0]
    return torch.tensor(site.eps, dtype=like.dtype, device=like.device).unsqueeze(1)


def _sum(
    site: _Site,
    mean: Tensor | None,
    rstd: Tensor | None,
    scale: Tensor | None,
    shift: Tensor | None,
    weights: Tensor | None,
    zs: Sequence[Tensor],
) -> Tensor:
    """The sum of A_t z_t, and b; in single precision where the tensors have half of it."""
    blocks = [_block(zs[k], first, site.channels) for k, first in (*site.normed, *site.raw)]
    if site.native and affine.ready(blocks, site.channels):
        return _native_sum(site, mean, rstd, scale, shift, weights, blocks)
    out_dtype = reduce(torch.promote_types, (z.dtype for z in zs))
    dtype = torch.float32 if out_dtype in _HALVES else out_dtype
    out = None
    if scale is not None and mean is not None and rstd is not None:
        slopes = scale * rstd
        constant = (slopes * mean).sum(0).neg_() if shift is None else shift - (slopes * mean).sum(0)
        for (k, first), slope in zip(site.normed, column(slopes, zs[0]).unbind(), strict=True):
            z = _block(zs[k], first, site.channels).to(dtype)
            if out is None:
                out = torch.addcmul(column(constant, z), z, slope)
            else:
                out.addcmul_(z, slope)
    given = iter(() if weights is None else weights.unbind())
    for (k, first), weighed in zip(site.raw, site.weighed, strict=True):
        z = _block(zs[k], first, site.channels).to(dtype)
        weight = next(given) if weighed else None
        if out is None:
            out = z.clone() if weight is None else z * weight
        elif weight is None:
            out.add_(z)
        else:
            out.addcmul_(z, weight)
    assert out is not None, "a mix has terms"
    return out.to(out_dtype)


def _native_sum(
    site: _Site,
    mean: Tensor | None,
    rstd: Tensor | None,
    scale: Tensor | None,
    shift: Tensor | None,
    weights: Tensor | None,
    blocks: Sequence[Tensor],
) -> Tensor:
    """:func:`_sum` of the terms' own channels, in one pass over them."""
    rows: list[Tensor] = []
    constant = blocks[0].new_zeros(site.channels)
    if scale is not None and mean is not None and rstd is not None:
        slopes = scale * rstd
        constant = (slopes * mean).sum(0).neg_() if shift is None else shift - (slopes * mean).sum(0)
        rows.append(slopes)
    if site.raw:
        given = _raw_weights(site, weights, blocks[0])
        rows.append(given.unsqueeze(1).expand(-1, site.channels))
    return affine.affine_sum(blocks, rows[0] if len(rows) == 1 else torch.cat(rows), constant)


def _raw_weights(site: _Site, weights: Tensor | None, like: Tensor) -> Tensor:
    """The weights of the terms without norm ``[T]``, 1 where they have none."""
    if weights is not None and all(site.weighed):
        return weights.to(like.dtype)
    found = like.new_ones(len(site.raw))
    if weights is not None:
        found[[k for k, weighed in enumerate(site.weighed) if weighed]] = weights.to(like.dtype)
    return found


def _gradients(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
    """Gradients of all inputs of :class:`_Mix`, without a graph of their own."""
    site: _Site = ctx.site
    mean, _, rstd, scale, _shift, weights, *zs = ctx.saved_tensors
    _, _, _, need_scale, need_shift, need_weights, *need = ctx.needs_input_grad
    like = next((z for z in zs if z is not None), gradient)
    gradient = gradient.contiguous(memory_format=format_of(like))
    gradient = gradient.float() if gradient.dtype in _HALVES else gradient
    inner = [None if (z := zs[k]) is None else _block(z, i, site.channels) for k, i in (*site.normed, *site.raw)]
    if site.native and affine.ready([gradient, *(z for z in inner if z is not None)], site.channels):
        return _native_gradients(ctx, gradient, inner)
    found: list[list[tuple[int, Tensor]]] = [[] for _ in zs]
    total = gradient.sum(over(gradient)) if need_shift or any(site.batch) else None
    rows = None
    if site.normed:
        inputs = [_block(zs[k], first, site.channels) for k, first in site.normed]
        rows = _products(inputs, mean, gradient) * rstd
        made = _pulled(site, inputs, mean, rstd, scale, rows, total, gradient, [need[k] for k, _ in site.normed])
        for (k, first), dz in zip(site.normed, made, strict=True):
            if dz is not None:
                found[k].append((first, dz))
    products = []
    given = iter(() if weights is None else weights.unbind())
    for (k, first), weighed in zip(site.raw, site.weighed, strict=True):
        weight = next(given) if weighed else None
        if need[k]:
            dz = gradient if weight is None else gradient * weight
            found[k].append((first, dz.to(ctx.formats[k][1])))
        if weighed and need_weights:
            products.append((gradient * _block(zs[k], first, site.channels)).sum())
    return (
        None,
        None,
        None,
        rows if need_scale else None,
        total if need_shift else None,
        torch.stack(products).to(weights.dtype) if need_weights else None,
        *(_joined(pieces, shape) for pieces, (shape, _) in zip(found, ctx.formats, strict=True)),
    )


def _native_gradients(ctx: Any, gradient: Tensor, inner: Sequence[Tensor | None]) -> tuple[Tensor | None, ...]:
    """:func:`_gradients` in two passes over what the terms read, ``inner``; ``None`` for what was not kept."""
    site: _Site = ctx.site
    mean, _, rstd, scale, _shift, weights, *_ = ctx.saved_tensors
    _, _, _, need_scale, need_shift, need_weights, *need = ctx.needs_input_grad
    normed, like = len(site.normed), gradient
    weighed = [normed + k for k, known in enumerate(site.weighed) if known and need_weights]
    read = [z for t in (*range(normed), *weighed) if (z := inner[t]) is not None]
    flat = like.new_zeros(len(weighed), site.channels)
    means = flat if mean is None else torch.cat([mean.to(like.dtype), flat])
    sums = affine.products(read, means, gradient) if read or need_shift else flat
    a, b, c, rows = [], [], [], None
    if site.normed:
        rows = sums[:normed] * rstd
        slopes = scale * rstd
        values = like.numel() // like.shape[1]
        slants = slopes * rstd * rows / -values
        a, b, c = [slopes], [slants], [slopes * (sums[-1] / -values) - slants * mean]
    if site.raw:
        a.append(_raw_weights(site, weights, like).unsqueeze(1).expand(-1, site.channels))
        b.append(like.new_zeros(len(site.raw), site.channels))
        c.append(b[-1])
    places = (*site.normed, *site.raw)
    bare = [normed + k for k, known in enumerate(site.weighed) if not known]
    asked = [need[k] and t not in bare for t, (k, _) in enumerate(places)]
    through = [z if t < normed and site.batch[t] else None for t, z in enumerate(inner)]
    numbers = torch.cat(a), torch.cat(b), torch.cat(c)
    made = affine.gradients(through, gradient, *numbers, asked) if any(asked) else [None] * len(asked)
    found: list[list[tuple[int, Tensor]]] = [[] for _ in ctx.formats]
    for t, (k, first) in enumerate(places):
        dz = gradient if t in bare else made[t]
        if need[k] and dz is not None:
            found[k].append((first, dz))
    return (
        None,
        None,
        None,
        rows if need_scale else None,
        sums[-1] if need_shift else None,
        sums[normed:-1].sum(1).to(weights.dtype) if weighed else None,
        *(_joined(pieces, shape) for pieces, (shape, _) in zip(found, ctx.formats, strict=True)),
    )


def _products(zs: Sequence[Tensor], mean: Tensor, gradient: Tensor) -> Tensor:
    """Sums of dout (z_t - m_t) ``[T, C]``."""
    dims = over(gradient)
    centres = column(mean, gradient).unbind()
    return torch.stack([(z - m).mul_(gradient).sum(dims) for z, m in zip(zs, centres, strict=True)])


def _pulled(
    site: _Site,
    zs: Sequence[Tensor],
    mean: Tensor,
    rstd: Tensor,
    scale: Tensor,
    rows: Tensor,
    total: Tensor | None,
    gradient: Tensor,
    need: Sequence[bool],
) -> Iterator[Tensor | None]:
    """The dz_t of normed terms, those that are needed, as A_t dout + B_t z_t + c_t."""
    slopes = scale * rstd
    values = gradient.numel() // gradient.shape[1]
    slants = slopes * rstd * rows / -values
    constants = slants * -mean if total is None else slopes * total / -values - slants * mean
    coefficients = zip(*(column(x, gradient).unbind() for x in (slopes, slants, constants)), strict=True)
    for z, (a, b, c), batch, needed in zip(zs, coefficients, site.batch, need, strict=True):
        if not needed:
            yield None
        elif batch:
            yield torch.addcmul(c, gradient, a).addcmul_(z.to(gradient.dtype), b).to(z.dtype)
        else:
            yield (gradient * a).to(z.dtype)


def _joined(pieces: Sequence[tuple[int, Tensor]], shape: torch.Size) -> Tensor | None:
    """The gradient of a tensor of ``shape`` from those of blocks of its channels, which may overlap."""
    if not pieces:
        return None
    if all(piece.shape == shape for _, piece in pieces):
        return reduce(torch.add, (piece for _, piece in pieces))
    whole = torch.empty(shape, dtype=pieces[0][1].dtype, device=pieces[0][1].device)
    whole = whole.contiguous(memory_format=format_of(pieces[0][1])).zero_()
    for first, piece in pieces:
        whole.narrow(1, first, piece.shape[1]).add_(piece)
    return whole


def _twice(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
    """The same gradients as functions that can be differentiated: of the mix in plain operations."""
    mean, var, _, scale, shift, weights, *zs = ctx.saved_tensors
    zs = [gradient.new_zeros(f[0], dtype=f[1]) if z is None else z for z, f in zip(zs, ctx.formats, strict=True)]
    # Views: a tensor may be made of another, and only what it does here itself counts.
    zs = [_watched(z) for z in zs]
    scale, shift, weights = (None if x is None else _watched(x) for x in (scale, shift, weights))
    out = _composite(ctx.site, mean, var, scale, shift, weights, zs)
    inputs = (scale, shift, weights, *zs)
    wanted = {i: x for i, x in enumerate(inputs) if x is not None and ctx.needs_input_grad[3 + i]}
    made = torch.autograd.grad(out, list(wanted.values()), gradient, create_graph=True, allow_unused=True)
    found = dict(zip(wanted, made, strict=True))
    return (None, None, None, *(found.get(i) for i in range(len(inputs))))


def _watched(x: Tensor) -> Tensor:
    return x.view_as(x) if x.requires_grad else x.detach().requires_grad_()


def _block(z: Tensor, first: int, channels: int) -> Tensor:
    return z if z.shape[1] == channels else z.narrow(1, first, channels)

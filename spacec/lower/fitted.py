"""Elastic layers at their sizes: shells that own no memory, run on views of the weights of the largest layer.

A shell is a module of the small size whose tensors are put there for a call and taken away after it. What is put there
lasts: a view of a parameter made once serves every pass, as its backward node keeps no tensors, so a path costs what
the layers alone cost and the padding of their gradients. Views are made anew where a parameter or buffer was replaced
(``Module.to``, ``load_state_dict(assign=True)``, functional weights) or frozen.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from weakref import WeakSet

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.module import _has_any_global_hook

from spacec.ir.flat import FlatOp
from spacec.lower import sizes
from spacec.lower.blueprint import Blueprint
from spacec.lower.elastic import ElasticMask
from spacec.lower.kernels.dispatch import hooked
from spacec.lower.layers import Call, Layer, lower
from spacec.lower.modules import ChannelNorm
from spacec.lower.sizes import Sizes
from spacec.lower.slices import (
    Slices,
    elastic_layer,
    is_grouped,
    kernel_of,
    layout_ranges,
    make_slices,
    narrowed,
    spread,
)

KNOWN = 4096
"""Layers that are kept, and values of decisions by which they are found; the first that came go first."""


@dataclass(frozen=True)
class Place:
    """A parameter or buffer of a shell: the tables that hold it there and in the largest layer, its name in them, its
    name in the whole layer, and its stand-in without memory."""

    table: dict[str, Any]
    source: dict[str, Any]
    name: str
    full: str
    stand_in: Tensor
    learns: bool
    """It is a parameter."""


Row = tuple[dict[str, Any], str, Tensor, int, bool, dict[str, Any], Tensor]
"""A view that lasts as long as a tensor of the largest layer is the same: that tensor's table and name, the tensor, its
address and whether it takes a gradient; the shell's table and the view, which keeps the memory, so that no other tensor
gets the address."""


class Fitted:
    """A layer at smaller sizes. ``lasting``: the layers of the same supernet that have views.

    It is ``None`` where the weights of this one have several readers: the order in which autograd adds their gradients
    follows the age of backward nodes, which would depend on the steps before.
    """

    def __init__(self, shell: nn.Module, slices: Slices, module: nn.Module, lasting: WeakSet[Fitted] | None) -> None:
        self.shell, self.slices, self.module, self.lasting = shell, slices, module, lasting
        self.places = tuple(_places(shell, module))
        self.spots = tuple((place.table, place.name, place.stand_in) for place in self.places)
        self.copied = tuple(p for p in self.places if slices.copies(p.full))
        self.is_norm = isinstance(shell, _BatchNorm)
        self.views: tuple[Row, ...] | None = None
        self._forward: Callable[..., Any] = shell if hooked(shell) else shell.forward

    def __call__(self, *inputs: Tensor) -> Any:
        """The layer on slices of the largest."""
        if self.views is None or torch.compiler.is_compiling():
            return self._run(inputs, self._parts())
        try:
            for source, name, tensor, address, learns, table, part in self.views:
                if source[name] is not tensor or tensor.data_ptr() != address or tensor.requires_grad is not learns:
                    break
                table[name] = part
            else:
                return self._call(inputs)
        finally:
            for table, name, stand_in in self.spots:
                table[name] = stand_in
        return self._run(inputs, self._parts())

    def _call(self, inputs: Sequence[Tensor]) -> Any:
        """The shell with tensors in its places; it has no listeners but those of all modules."""
        shell, module = self.shell, self.module
        if shell.training is not module.training:
            shell.train(module.training)
        if self.is_norm and shell.momentum != module.momentum:
            shell.momentum = module.momentum
        heard = torch.compiler.is_compiling() or _has_any_global_hook()  # type: ignore[no-untyped-call]  # torch's
        return shell(*inputs) if heard else self._forward(*inputs)

    def changed(self, inputs: Sequence[Tensor], taps: Tensor | None, spare: bool) -> Any:
        """The layer, its kernel multiplied by ``taps``; ``spare`` leaves its state as it is."""
        parts = []
        for place, part in zip(self.places, self.cut(), strict=True):
            if place.learns:
                parts.append(part * taps if taps is not None and place.full == "weight" else part)
            else:
                parts.append(part.clone() if spare else part)
        return self._run(inputs, parts, spare)

    def cut(self) -> list[Tensor]:
        """The present slices of the largest layer's tensors, by place."""
        return [self.slices.take(place.full, place.source[place.name]) for place in self.places]

    def weights(self) -> dict[str, Tensor]:
        """Slices of the parameters, by name."""
        return {p.full: self.slices.take(p.full, p.source[p.name]) for p in self.places if p.learns}

    def _run(self, inputs: Sequence[Tensor], parts: Sequence[Tensor], spare: bool = False) -> Any:
        try:
            for (table, name, _), part in zip(self.spots, parts, strict=True):
                table[name] = part
            found = self._call(inputs)
            if self.copied and not spare and not (self.is_norm and not self.shell.training):
                self._put_back()
            return found
        finally:
            for table, name, stand_in in self.spots:
                table[name] = stand_in

    def _put_back(self) -> None:
        """Write state back to where it was copied from. (A norm in evaluation only reads its own.)"""
        for place in self.copied:
            if not place.learns:
                self.slices.put(place.full, place.source[place.name], place.table[place.name])

    def _parts(self) -> Sequence[Tensor]:
        """The slices; views that last where they can."""
        if self.lasting is None or not self._may_last():
            return self.cut()
        if self.views is not None:
            for layer in self.lasting:
                layer.views = None
            self.lasting.clear()
        rows: list[Row] = []
        for place in self.places:
            tensor = place.source[place.name]
            with torch.enable_grad():
                part = self.slices.view(place.full, tensor)
            about = (tensor, tensor.data_ptr(), tensor.requires_grad)
            rows.append((place.source, place.name, *about, place.table, part))
        self.views = tuple(rows)
        self.lasting.add(self)
        return [row[-1] for row in rows]

    def _may_last(self) -> bool:
        """Whether views of the present tensors serve later passes: these are the layer's own, or at least leaves that
        nothing traces or transforms."""
        if self.copied or torch.compiler.is_compiling() or torch.is_inference_mode_enabled():
            return False
        if torch._C._are_functorch_transforms_active():
            return False
        return all(
            isinstance(tensor, nn.Parameter) if place.learns else type(tensor) is Tensor and tensor.is_leaf
            for place in self.places
            for tensor in (place.source[place.name],)
        )


def _places(shell: nn.Module, module: nn.Module) -> Iterable[Place]:
    """Where the tensors of ``module``, the largest layer, go in its shell: parameters, then buffers."""
    for learns in (True, False):
        for prefix, part in module.named_modules():
            mine = shell.get_submodule(prefix)
            table, source = (mine._parameters, part._parameters) if learns else (mine._buffers, part._buffers)
            for name, stand_in in table.items():
                if stand_in is not None:
                    yield Place(table, source, name, f"{prefix}.{name}" if prefix else name, stand_in, learns)


class ElasticLayers:
    """Layers and functions at the sizes that masks ask for, on ``modules`` by parameter key.

    ``fitted`` has the layers by node and sizes.
    """

    def __init__(self, blueprint: Blueprint, modules: Mapping[str, nn.Module]) -> None:
        self.blueprint, self.modules = blueprint, modules
        self.fitted: dict[tuple[int, tuple[sizes.Size, ...]], Fitted | Callable[..., Tensor]] = {}
        self._known: dict[tuple[object, ...], Fitted | Callable[..., Tensor]] = {}
        self._lasting: WeakSet[Fitted] = WeakSet()
        self._readers = Counter(op.key for op in blueprint.flat.nodes if isinstance(op, FlatOp))

    def __reduce__(self) -> tuple[Any, ...]:
        """Copies make their own shells: views are of one supernet's weights."""
        return ElasticLayers, (self.blueprint, self.modules)

    def sized(self, node: int, chosen: Sizes) -> Callable[..., Any]:
        """The layer or function at ``node`` at the sizes ``chosen``; looked up by the values of its decisions, as sizes
        take arithmetic."""
        key = (node, *map(chosen.get, self.blueprint.elastic.mentioned(node)))
        found = self._known.get(key)
        if found is None:
            if len(self._known) >= KNOWN:
                del self._known[next(iter(self._known))]
            found = self._known[key] = self._of_sizes(node, chosen)
        return found

    def _of_sizes(self, node: int, chosen: Sizes) -> Fitted | Callable[..., Tensor]:
        key = node, tuple(sizes.number(d, chosen) for d in self.blueprint.elastic.footprint(node))
        found = self.fitted.get(key)
        if found is None:
            if len(self.fitted) >= KNOWN:
                del self.fitted[next(iter(self.fitted))]
            found = self.fitted[key] = self._make(node, chosen)
        return found

    def _make(self, node: int, chosen: Sizes) -> Fitted | Callable[..., Tensor]:
        op = self.blueprint.flat.nodes[node]
        assert isinstance(op, FlatOp), "only ops have sizes"
        found = lower(op, sizes.site(self.blueprint.flat, node, chosen))
        if isinstance(found, Call):
            return found.bind()
        with torch.device("meta"):
            shell = found.build()
        lasting = self._lasting if self._readers[op.key] == 1 else None
        return Fitted(shell, make_slices(self.blueprint, node, chosen), self.modules[op.key], lasting)

    def run(self, node: int, inputs: Sequence[Tensor], mask: ElasticMask, spare: bool = False) -> Any:
        """What the layer or function at ``node`` returns under ``mask``; ``spare`` leaves its buffers as they are."""
        layer = self.blueprint.lowered[node]
        if not mask.hard and mask.soft_in(node) and (layer.by_case or (isinstance(layer, Layer) and is_grouped(layer))):
            return self._by_case(node, inputs, mask)
        found = self.sized(node, mask.chosen)
        if not isinstance(found, Fitted):
            return found(*inputs)
        if mask.hard:
            return found.changed(inputs, None, True) if spare else found(*inputs)
        return self._mixed(node, found, inputs, mask, spare)

    def _mixed(self, node: int, fitted: Fitted, inputs: Sequence[Tensor], mask: ElasticMask, spare: bool) -> Any:
        """A layer whose channels or kernel soft decisions weigh."""
        op, layer = elastic_layer(self.blueprint, node)
        x = inputs[0]
        channels = mask.channel_mask(self.blueprint.elastic.layouts[op.inputs[0]], x)
        if channels is not None and isinstance(fitted.module, ChannelNorm):
            weights = fitted.weights()
            return masked_layer_norm(x, channels, fitted.module.eps, weights.get("weight"), weights.get("bias"))
        if channels is not None and mixes_channels(layer):
            x = x * channels.reshape(-1, *(1,) * (x.dim() - 2))
        taps = mask.kernel_mask(kernel_of(op), x.dim() - 2, x) if "kernel" in op.attrs else None
        return fitted.changed((x, *inputs[1:]), taps, spare)

    def _by_case(self, node: int, inputs: Sequence[Tensor], mask: ElasticMask) -> Tensor:
        """The op, which has no buffers, at each size that its soft decisions may take, on slices; every channel is the
        mean over the sizes that have it, weighed by their probabilities. What reads it weighs its channels as any
        others."""
        op = self.blueprint.flat.nodes[node]
        assert isinstance(op, FlatOp), "only ops run"
        layouts = self.blueprint.elastic.layouts
        total, mass = inputs[0].new_zeros(()), inputs[0].new_zeros(())
        for case, probability in mask.cases(self.blueprint.elastic.symbols[node]) or ():
            chosen = {**mask.chosen, **case}
            parts = [
                narrowed(x, layout_ranges(layouts[i], mask.chosen, chosen))
                for i, x in zip(op.inputs, inputs, strict=False)
            ]
            parts += inputs[len(op.inputs) :]  # the graph
            whole = sum(sizes.number(segment, mask.chosen) for segment in layouts[node])
            found = self.sized(node, chosen)
            y = found.changed(parts, None, False) if isinstance(found, Fitted) else found(*parts)
            y, inside = spread(y, layout_ranges(layouts[node], mask.chosen, chosen), whole)
            total, mass = total + probability * y, mass + probability * inside
        return total / torch.where(mass > 0, mass, 1.0)


def mixes_channels(layer: Layer) -> bool:
    """Whether outputs read several input channels (a convolution or linear map, not a depthwise one)."""
    return any("in" in roles and "out" in roles for _, roles in layer.axes or ())


def masked_layer_norm(x: Tensor, channels: Tensor, eps: float, weight: Tensor | None, bias: Tensor | None) -> Tensor:
    """Layer normalisation whose mean and variance weigh each channel; the sliced one at a one-hot mask."""
    axes = (-1, *(1,) * (x.dim() - 2))
    share = (channels / channels.sum()).reshape(axes)
    mean = (x * share).sum(1, keepdim=True)
    variance = ((x - mean).square() * share).sum(1, keepdim=True)
    y = (x - mean) * torch.rsqrt(variance + eps)
    return y if weight is None or bias is None else y * weight.reshape(axes) + bias.reshape(axes)

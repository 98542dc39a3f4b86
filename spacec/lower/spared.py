"""The candidates that a pass did not run: their values, where gate gradients are asked of all candidates."""

from __future__ import annotations

import torch
from torch import Tensor

from spacec.ir.flat import FlatChoose, FlatMeet, FlatOp, sources_of
from spacec.lower.execute import Pass, bypass_value
from spacec.lower.gates import GateRecord, MeetRecord
from spacec.lower.modules import interleaved
from spacec.lower.plan import has_value


def run_spared(run: Pass) -> None:
    """Add to the trace the candidates that did not run, for the choices that did.

    Their values have no graph, running statistics stay as they are, and random numbers drawn here
    (dropout) are not missed afterwards.
    """
    assert run.trace is not None, "only a traced pass has gates"
    wanted: list[tuple[GateRecord | MeetRecord, int, int]] = []
    for record in run.trace.records:
        for k, source in enumerate(run.machine.blueprint.chooses[record.node].alternatives):
            if source is not None and k not in record.candidates:
                wanted.append((record, k, source))
    for meeting in run.trace.meetings:
        sources = sources_of(run.machine.blueprint.flat.nodes[meeting.node])
        wanted += [(meeting, k, s) for k, s in enumerate(sources) if k not in meeting.candidates]
    missing: set[int] = set()
    stack = [source for _, _, source in wanted]
    while stack:
        node = stack.pop()
        if node not in run.values and node not in missing:
            missing.add(node)
            stack.extend(_sources(run, node))
    devices = {v.device for v in run.values.values() if v.is_cuda}
    with torch.no_grad(), torch.random.fork_rng(devices=sorted(devices, key=str)):
        for node in sorted(missing):
            value = _spared_value(run, node)
            if value is not None:
                run.values[node] = value
    for owner, k, source in wanted:
        if source in run.values:
            owner.candidates[k] = run.values[source]
    for bypassed in run.trace.bypasses:
        bypassed.candidates = dict.fromkeys(range(bypassed.size), next(iter(bypassed.candidates.values())))


def _sources(run: Pass, node: int) -> list[int]:
    found = run.machine.blueprint.flat.nodes[node]
    if isinstance(found, FlatOp | FlatMeet):
        return list(sources_of(found))
    alternatives = run.alternatives(node)
    bypass = [found.bypass] if isinstance(found, FlatChoose) and found.bypass is not None else []
    return [s for k in run.selection(node).run if (s := alternatives[k]) is not None] + bypass


def _spared_value(run: Pass, node: int) -> Tensor | None:
    """The value of a node that the plan left out, or ``None`` where it is absent."""
    found = run.machine.blueprint.flat.nodes[node]
    if isinstance(found, FlatOp):
        if not has_value(found, [i in run.values for i in found.inputs]):
            return None
        return run.apply(node, [run.values[i] for i in found.inputs if i in run.values], spare=True)
    if isinstance(found, FlatMeet):
        given = {k: run.values[s] for k, s in enumerate(found.sources) if s in run.values}
        return run.meet(found.entry, given) if given else None
    selection, alternatives = run.selection(node), run.alternatives(node)
    options = [
        (position, run.values[source])
        for position, k in enumerate(selection.run)
        if (source := alternatives[k]) is not None and source in run.values
    ]
    if not options:
        return None
    if node in run.switched:
        return run.switch(node, selection, options)
    value, choice = run.mix(selection, options), run.machine.blueprint.chooses[node]
    if choice.bypass is not None:
        value = interleaved(value, bypass_value(run.values[choice.bypass], selection))
    weight = run.edge_weight(choice, value)
    return value if weight is None else weight * value

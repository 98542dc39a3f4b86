"""Memory of a pass: live bytes of tensors at their most, and the resident size of the process.

On a CPU the live bytes are torch's own record of its allocator: every block that it hands out and gets back, whoever
asks (library kernels, generated code, autograd), in order. What stands for a tensor in several views is one block, and
counts once; scratch memory that a library takes from the system behind torch's back is in the resident size only. On a
GPU they are the allocator's own peak. The resident size of a process is its greatest so far, so it tells about a pass
only in a process that has done nothing else: see :func:`alone`.
"""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Callable
from pathlib import Path

import torch
from torch.autograd.profiler import profile  # torch.profiler would load torch's compiler

QUIET = {"KINETO_LOG_LEVEL": "99"}
"""For the environment of a process that traces: the tracer tells of its starts and stops otherwise."""


def live_peak(run: Callable[[], object], device: torch.device) -> int | None:
    """The most bytes that tensors take during ``run`` beyond those that are there before; ``None``: cannot be told."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        run()
        torch.cuda.synchronize(device)
        return torch.cuda.max_memory_allocated(device) - before
    return _traced(run) if device.type == "cpu" else None


def _traced(run: Callable[[], object]) -> int:
    with profile(profile_memory=True) as trace:
        run()
    results = trace.kineto_results
    assert results is not None, "the trace has ended"
    found = [e for e in results.events() if e.name() == "[memory]"]
    now = most = 0
    for event in sorted(found, key=lambda e: e.start_ns()):
        now += event.nbytes()
        most = max(most, now)
    return most


def resident() -> int | None:
    """Bytes of this process in memory now; ``None`` where the system does not tell."""
    return _status("VmRSS")


def most_resident() -> int | None:
    """The most bytes of this process that were in memory at a time, so far."""
    told = _status("VmHWM")  # getrusage's number begins with that of the parent at the fork
    if told is not None or sys.platform == "win32":
        return told
    import resource  # not on Windows

    size = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return size if sys.platform == "darwin" else 1024 * size


def _status(name: str) -> int | None:
    path = Path(f"/proc/{os.getpid()}/status")
    if not path.exists():
        return None
    line = next((x for x in path.read_text(encoding="utf-8").splitlines() if x.startswith(f"{name}:")), "")
    return 1024 * int(line.split()[1]) if line else None

"""The measurements of one supernet as a record: plain values, which tables and pictures are made of."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

from spacec.lower.bench import memory
from spacec.lower.bench.counting import count_calls
from spacec.lower.bench.forms import Form, Measurable, Setting, Subject, subject_of
from spacec.lower.bench.machine import measure_rates
from spacec.lower.bench.roofline import work
from spacec.lower.bench.timing import Told, measure_times
from spacec.lower.processor import processor

Record = dict[str, Any]


def measured(
    space: Measurable, forms: Sequence[Form], setting: Setting, rounds: int, told: Told, more: Sequence[Subject] = ()
) -> Record:
    """Times and calls of forms, the machine's rates and the floor; memory is measured apart (:func:`alone`).

    ``more`` are further subjects that take turns with the forms.
    """
    rates = measure_rates(setting.device)
    needed = work(space.flat, space.table, setting.sizes, setting.batch)
    subjects = [*(subject_of(space, form, setting) for form in forms), *more]
    times = measure_times(subjects, setting.device, rounds, told)
    found: dict[str, Record] = {}
    for subject in subjects:
        one = times[subject.name]
        found[subject.name] = {
            "title": subject.title,
            "first": one.first,
            "seconds": list(one.rounds),
            "compiled": subject.compiled,
            "calls": None if subject.compiled else calls(subject),  # counting would keep compiled code from running
        }
    return {
        **about(setting),
        "rates": {"operations": rates.operations, "bytes": rates.bytes},
        "work": {"operations": needed.operations, "bytes": needed.bytes},
        "floor": needed.seconds(rates),
        "forms": found,
    }


def calls(subject: Subject) -> Record:
    """Calls of a pass, forward and backward."""
    forward, backward = count_calls(subject.loss)
    subject.clear()
    return {"forward": forward.describe(), "backward": backward.describe()}


def about(setting: Setting) -> Record:
    """What was measured on, and how; no name of the machine."""
    cuda = setting.device.type == "cuda"
    return {
        "schedules": {goal: schedule.to_json() for goal, schedule in setting.schedules.items()},
        "batch": setting.batch,
        "sizes": dict(setting.sizes),
        "device": setting.device.type,
        "machine": {
            "processor": torch.cuda.get_device_name(setting.device) if cuda else processor(),
            "capability": torch.backends.cpu.get_cpu_capability(),
            "cores": os.cpu_count(),
            "threads": torch.get_num_threads(),
            "python": ".".join(map(str, sys.version_info[:3])),
            "torch": str(torch.__version__),
        },
    }


def alone(make: Callable[[], Subject], device: torch.device) -> Record:
    """Memory of a subject in a process that does nothing else: bytes, ``None`` where they cannot be told.

    ``live``: of tensors, what a pass needs at most beyond ``held`` (weights, buffers and inputs). ``resident``: the
    process at its most after two passes; ``before``: as it was before the first one.
    """
    subject = make()
    before = memory.resident()
    subject.step()
    subject.step()
    most = memory.most_resident()
    live = memory.live_peak(subject.step, device)
    return {"live": live, "held": subject.held, "resident": most, "before": before}


def with_memory(record: Record, found: Mapping[str, Record]) -> Record:
    """The record with what :func:`alone` found, by form."""
    forms = {name: {**form, "memory": found.get(name)} for name, form in record["forms"].items()}
    return {**record, "forms": forms}

"""What every text must bear: nothing but diagnostics comes out, soon, the same twice, and what compiles keeps its laws.

:func:`judge` is the oracle of all fuzzing here; it raises :class:`Fault` for anything else.
"""

from __future__ import annotations

import resource
import signal
import sys
import time
import warnings
from types import FrameType

from spacec.diagnostics.model import Diagnostic, Sink, SpacecError
from spacec.diagnostics.render import render_text
from spacec.driver import Session
from spacec.facade import Space
from spacec.source import SourceFile
from spacec.syntax.format import format_file
from spacec.syntax.parse import parse

SECONDS = 4.0
"""CPU time of one compilation; hostile texts are to end within two on an idle machine."""
MEGABYTES = 500
"""By which one text may make the process grow."""
SMALL = 200
"""Architectures that are enumerated."""
BUILT = 20_000_000
"""Weights of a supernet that is built."""


class Fault(AssertionError):
    """A law is broken; the message begins with a word for the kind."""


class _Late(BaseException):
    """Raised by the timer; no part of the compiler may catch it."""


def judge(text: str, *, twice: bool = False, build: bool = False) -> str:
    """What became of a text: ``refused``, ``compiled``, ``counted`` or ``built``. Raises :class:`Fault`."""
    before, start = _peak(), time.process_time()
    outcome, space = "refused", None
    found: tuple[Diagnostic, ...] = ()
    try:
        _format_law(text)
        space = _in_time(lambda: compiled(text))
        outcome, found = "compiled", space.warnings
        outcome = _in_time(lambda: _space_laws(space, build))
    except SpacecError as error:
        found = error.diagnostics
    except _Late:
        raise Fault(f"slow: over {2 * SECONDS} seconds") from None
    except Fault:
        raise
    except Exception as error:
        raise Fault(f"crash: {type(error).__name__}: {error}"[:300]) from error
    _spans(found)
    if time.process_time() - start > (60 if build else 3 * SECONDS):
        raise Fault(f"slow: {time.process_time() - start:.1f} seconds")
    if _peak() - before > MEGABYTES + (1000 if build else 0):
        raise Fault(f"large: {_peak() - before} MB")
    if twice:
        _same_again(text, found, space)
    return outcome


def compiled(text: str) -> Space:
    return Session.default().compile(SourceFile("fuzz.space", text))


def _peak() -> int:
    scale = 2**20 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // scale


def _in_time(work):
    def late(number: int, frame: FrameType | None) -> None:
        raise _Late

    handler = signal.signal(signal.SIGPROF, late)
    signal.setitimer(signal.ITIMER_PROF, 2 * SECONDS)
    try:
        return work()
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, handler)


def _spans(found: tuple[Diagnostic, ...]) -> None:
    """Every place lies inside its file, and the whole can be shown."""
    for diagnostic in found:
        places = [diagnostic.span, *(label.span for label in diagnostic.labels)]
        for span in places:
            if span is not None and not 0 <= span.start <= span.end <= len(span.source.text):
                raise Fault(f"span: {diagnostic.code} at {span.start}..{span.end} of {len(span.source.text)}")
    if len(render_text(found)) > 2_000_000:
        raise Fault("span: two megabytes of findings")


def _same_again(text: str, found: tuple[Diagnostic, ...], space: Space | None) -> None:
    try:
        again = compiled(text)
        findings, digest = again.warnings, again.digest
    except SpacecError as error:
        findings, digest = error.diagnostics, None
    if space is not None and digest != space.digest:
        raise Fault("unlike: the second digest differs from the first")
    if space is None and render_text(findings) != render_text(found):
        raise Fault("unlike: the second findings differ from the first")


def _format_law(text: str) -> None:
    """What parses is formatted to a text of the same tree, and formatting that changes nothing."""
    sink = Sink()
    tree = parse(SourceFile("fuzz.space", text), sink)
    if sink.failed:
        return
    shown = format_file(tree)
    try:
        again = parse(SourceFile("formatted.space", shown))
    except SpacecError as error:
        raise Fault(f"format: its text is refused: {error.diagnostics[0].headline}") from None
    if again != tree:
        raise Fault("format: its text has another tree")
    if format_file(again) != shown:
        raise Fault("format: twice is not once")


def _space_laws(space: Space, build: bool) -> str:
    count = space.count()
    if count > SMALL and not build:
        return "compiled"
    if count <= SMALL:
        everything = list(space.enumerate())
        if not len(everything) == len(set(everything)) == count:
            raise Fault(f"count: {count} counted, {len(everything)} listed, {len(set(everything))} different")
        for arch in everything[:3]:
            if space.architecture(arch.text()) != arch:
                raise Fault(f"codec: {arch.text()} is read as another architecture")
    if build and count > 0 and space.supernet_params() <= BUILT:
        return _built(space)
    return "counted"


def _built(space: Space) -> str:
    """A supernet and a network that run on an example batch and agree; torch must not say a word."""
    import torch

    from spacec.testing.equality import check_selected
    from spacec.testing.inputs import example_inputs

    torch.set_num_threads(1)
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        inputs = example_inputs(space, batch=2)
    except ValueError:
        return "counted"  # no small sizes meet the preconditions
    finally:
        torch.set_default_dtype(before)
    if sum(value.numel() for value in inputs.values()) > 200_000:
        return "counted"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        supernet = space.supernet(seed=0).double()
        check_selected(space, supernet, space.sample(1, seed=0)[0], inputs, training=False)
    return "built"

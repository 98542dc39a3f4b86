"""A diagnostic as data; rendering lives in :mod:`spacec.diagnostics.render`.

A diagnostic names the thing found, points at it, shows where the conflict comes
from, and offers a mend only when the mend is sure.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from spacec.source import Span

Severity = Literal["error", "warning"]


@dataclass(frozen=True)
class Label:
    """A secondary place, with what it contributes to the conflict."""

    span: Span
    text: str


@dataclass(frozen=True)
class Diagnostic:
    """One finding.

    ``code`` is a key of :func:`spacec.diagnostics.codes.codes`; ``span`` is ``None`` for
    findings about the command line or a file as a whole; ``label`` is the text under the caret.
    """

    code: str
    headline: str
    span: Span | None = None
    label: str = ""
    labels: tuple[Label, ...] = ()
    notes: tuple[str, ...] = ()
    help: str = ""
    severity: Severity = "error"


class SpacecError(Exception):
    """Raised at the public border: one or more diagnostics.

    ``str(error)`` is the rendered text, so an uncaught one still reads well.
    """

    def __init__(self, diagnostics: tuple[Diagnostic, ...] | list[Diagnostic] | Diagnostic) -> None:
        if isinstance(diagnostics, Diagnostic):
            diagnostics = (diagnostics,)
        self.diagnostics: tuple[Diagnostic, ...] = tuple(diagnostics)
        super().__init__(self.diagnostics)

    def __str__(self) -> str:
        from spacec.diagnostics.render import render_text  # a renderer is needed only when printed

        return render_text(self.diagnostics)


class DiagnosticWarning(UserWarning):
    """A finding about what a call did: the call goes on, and commands show the finding as any other."""

    def __init__(self, diagnostic: Diagnostic) -> None:
        self.diagnostic = diagnostic
        super().__init__("; ".join((f"{diagnostic.code}: {diagnostic.headline}", *diagnostic.notes)))


@dataclass
class Sink:
    """Collects the diagnostics of one compilation; the same finding is kept once."""

    diagnostics: list[Diagnostic] = field(default_factory=list)
    _known: set[tuple[str, Span | None, str]] = field(default_factory=set, repr=False, compare=False)

    def add(self, diagnostic: Diagnostic) -> None:
        """Keep a finding, once for each code, place and headline."""
        key = (diagnostic.code, diagnostic.span, diagnostic.headline)
        if key not in self._known:
            self._known.add(key)
            self.diagnostics.append(diagnostic)

    @property
    def failed(self) -> bool:
        return any(d.severity == "error" for d in self.diagnostics)

    def ordered(self) -> tuple[Diagnostic, ...]:
        """The findings as a reader meets them: by file, then by place; those without a place last."""
        files = {d.span.source.name: k for k, d in reversed(list(enumerate(self.diagnostics))) if d.span}
        return tuple(
            sorted(
                self.diagnostics,
                key=lambda d: (files[d.span.source.name], d.span.start) if d.span else (len(self.diagnostics), 0),
            )
        )

    def check(self) -> None:
        """Raise :class:`SpacecError` if an error was added."""
        if self.failed:
            raise SpacecError(self.ordered())

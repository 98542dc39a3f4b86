"""The page of one code, for ``spacec explain CODE``."""

from __future__ import annotations

from spacec.diagnostics.codes import codes
from spacec.diagnostics.model import Diagnostic, SpacecError
from spacec.diagnostics.suggest import nearest


def explain(code: str) -> str:
    """The explanation of a code with a failing and a mended example; raises :class:`SpacecError` for no such code."""
    info = codes().get(code.upper())
    if info is None:
        near = nearest(code.upper(), codes())
        raise SpacecError(
            Diagnostic("E0806", f"there is no code `{code[:40]}`", help=f"did you mean `{near}`?" if near else "")
        )
    parts = [f"{info.code}: {info.title}", info.explanation]
    if info.failing:
        parts.append("This fails:\n\n" + _indented(info.failing))
    if info.mended:
        parts.append("This works:\n\n" + _indented(info.mended))
    return "\n\n".join(parts) + "\n"


def _indented(text: str) -> str:
    return "\n".join(f"    {line}".rstrip() for line in text.rstrip().splitlines())

"""Options: the hyper-parameters of a strategy or task as a frozen dataclass whose fields are the command line.

``-o lr=3e-4`` becomes a typed field; the same fields are listed by ``--help-strategy`` and written to the run
record. Every mistake is a diagnostic: an unknown name suggests the nearest (E0701), a text that is not of the
field's type says which type is (E0702), a value out of its choices or range says what is allowed (E0703).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, Field, asdict, dataclass, field, fields
from difflib import get_close_matches
from math import isfinite
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from spacec.diagnostics.model import Diagnostic, SpacecError

T = TypeVar("T", bound="Options")

_TRUE = ("1", "true", "yes", "on")
_FALSE = ("0", "false", "no", "off")
_LARGEST = 3.4028234663852886e38


@dataclass(frozen=True)
class Options:
    """Base of option classes; a strategy without options uses it as it is."""

    def describe(self) -> dict[str, Any]:
        """Field names to values, for the run record."""
        return asdict(self)


@dataclass(frozen=True)
class OptionHelp:
    """One line of ``--help-strategy``."""

    name: str
    type: str
    default: str
    help: str


def option(
    default: Any,
    help: str = "",
    *,
    low: float | None = None,
    high: float | None = None,
    below: float | None = None,
    outside: bool = False,
) -> Any:
    """A field of an :class:`Options` class: default, one line of help, and the range of a number.

    ``low`` and ``high`` belong to the range, ``below`` does not. It holds for each of several numbers. ``outside``: it
    names a server to ask or a file to write, so its value is not taken from a run that somebody else may have made.
    """
    metadata = {"help": help, "low": low, "high": high, "below": below, "outside": outside}
    return field(default=default, metadata=metadata)


def outside(options: Options) -> dict[str, Any]:
    """The options that name something outside a run, with their values; a default and ``none`` name nothing."""
    named = [f for f in fields(options) if f.metadata.get("outside")]
    return {f.name: value for f in named if (value := getattr(options, f.name)) not in (f.default, "none")}


def parse_options(
    cls: type[T], texts: Mapping[str, object], owner: str = "this strategy", also: tuple[str, ...] = ()
) -> T:
    """``cls`` with the fields named in ``texts`` set; values may be texts, or already of the field's type.

    ``also`` are further names that a misspelt one may have meant. All mistakes are reported together, in one
    :class:`SpacecError`.
    """
    known = {f.name: f for f in fields(cls)}
    hints = _hints(cls)
    values: dict[str, Any] = {}
    found: list[Diagnostic] = []
    for name, text in texts.items():
        if name not in known:
            found.append(_unknown(name, tuple(known), owner, also))
            continue
        try:
            values[name] = _convert(hints[name], text)
            _check_range(known[name], values[name])
        except _OutOfRangeError as error:
            found.append(Diagnostic("E0703", f"option '{name}' of {owner} is {_shown(text)}, {error}"))
        except ValueError:
            headline = f"option '{name}' of {owner} is {_shown(text)}, expected {type_name(hints[name])}"
            found.append(Diagnostic("E0702", headline))
    if found:
        raise SpacecError(found)
    return cls(**values)


def split_assignments(items: tuple[str, ...] | list[str], flag: str = "-o") -> dict[str, str]:
    """``("lr=0.1", "order=2")`` to a dict; an item without ``=`` is E0704, a name given twice E0705."""
    out: dict[str, str] = {}
    found: list[Diagnostic] = []
    for item in items:
        name, sign, text = item.partition("=")
        if not sign or not name.strip():
            found.append(Diagnostic("E0704", f"'{flag} {item}' is not of the form name=value"))
        elif name.strip() in out:
            found.append(Diagnostic("E0705", f"option '{name.strip()}' is given twice"))
        else:
            out[name.strip()] = text.strip()
    if found:
        raise SpacecError(found)
    return out


def options_help(cls: type[Options]) -> tuple[OptionHelp, ...]:
    """What ``--help-strategy`` prints, in the order of the fields."""
    hints = _hints(cls)
    return tuple(
        OptionHelp(f.name, type_name(hints[f.name]), _default(f), f.metadata.get("help", "")) for f in fields(cls)
    )


def shown_default(value: object) -> str:
    """A default as ``-o`` takes it: what is shown reads back as it is."""
    if isinstance(value, tuple):
        return ",".join(f"{v:g}" if isinstance(v, float) and float(f"{v:g}") == v else str(v) for v in value)
    return str(value).lower() if value is None or isinstance(value, bool) else str(value)


def type_name(hint: Any) -> str:
    """A field's type in plain words."""
    origin = get_origin(hint)
    if origin is Literal:
        return "one of " + ", ".join(str(a) for a in get_args(hint))
    if origin in (Union, UnionType):
        return " or ".join("none" if a is NoneType else type_name(a) for a in get_args(hint))
    if origin is tuple:
        parts = get_args(hint)
        number = "" if Ellipsis in parts else f"{len(parts)} "
        return f"{number}{'texts' if parts[0] is str else 'numbers'} separated by commas"
    return {bool: "true or false", int: "an integer", float: "a number", str: "a text"}.get(hint, str(hint))


class _OutOfRangeError(ValueError):
    pass


def _hints(cls: type[Options]) -> dict[str, Any]:
    return get_type_hints(cls)


def _default(f: Field[Any]) -> str:
    if f.default is MISSING:
        return "(required)"
    return shown_default(f.default)


def _shown(text: object) -> str:
    return f"'{text}'" if isinstance(text, str) else repr(text)


def _unknown(name: str, known: tuple[str, ...], owner: str, also: tuple[str, ...]) -> Diagnostic:
    near = get_close_matches(name, known + also, n=1)
    notes = (f"options: {', '.join(known)}",) if known else (f"{owner} has no options",)
    mend = f"did you mean '{near[0]}'?" if near else ""
    return Diagnostic("E0701", f"{owner} has no option '{name}'", notes=notes, help=mend)


def _convert(hint: Any, value: object) -> Any:
    """``value`` as ``hint``, or ValueError."""
    origin = get_origin(hint)
    if origin is Literal:
        return _choose(hint, value)
    if origin in (Union, UnionType):
        return _first_that_fits(get_args(hint), value)
    if origin is tuple:
        return _items(hint, value)
    if hint is NoneType:
        if value is None or (isinstance(value, str) and value.lower() == "none"):
            return None
        raise ValueError
    if hint is bool:
        return _boolean(value)
    if hint is int:
        return _integer(value)
    if hint is float:
        return _number(value)
    if hint is str and isinstance(value, str):
        return value
    raise ValueError


def _choose(hint: Any, value: object) -> Any:
    for choice in get_args(hint):
        if choice == value or str(choice) == value:
            return choice
    raise ValueError


def _first_that_fits(hints: tuple[Any, ...], value: object) -> Any:
    for hint in sorted(hints, key=lambda h: h is not NoneType):
        try:
            return _convert(hint, value)
        except ValueError:
            continue
    raise ValueError


def _items(hint: Any, value: object) -> tuple[Any, ...]:
    kinds = get_args(hint)
    if not isinstance(value, (str, tuple, list)):
        raise ValueError
    parts = [p for p in value.split(",") if p] if isinstance(value, str) else list(value)
    if len(kinds) == 2 and kinds[1] is Ellipsis:
        return tuple(_convert(kinds[0], p) for p in parts)
    if len(kinds) != len(parts):
        raise ValueError
    return tuple(_convert(k, p) for k, p in zip(kinds, parts, strict=True))


def _boolean(value: object) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.lower() in _TRUE + _FALSE:
        return value.lower() in _TRUE
    raise ValueError


def _integer(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        raise ValueError
    return int(value)


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise ValueError
    number = float(value)
    if not isfinite(number):
        raise ValueError
    return number


def _check_range(f: Field[Any], value: object) -> None:
    if isinstance(value, tuple):
        for part in value:
            _check_range(f, part)
        return
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        return
    low, high, below = (f.metadata.get(bound) for bound in ("low", "high", "below"))
    if low is not None and value < low:
        raise _OutOfRangeError(f"expected at least {low}")
    if high is not None and value > high:
        raise _OutOfRangeError(f"expected at most {high}")
    if below is not None and value >= below:
        raise _OutOfRangeError(f"expected less than {below}")
    if isinstance(value, float) and abs(value) > _LARGEST:
        raise _OutOfRangeError(f"expected at most {_LARGEST:.2g} in size, the largest number of single precision")

"""Small HTML parts; every text is escaped here and nowhere else."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterable, Mapping, Sequence
from html import escape

_HIDING = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]")


class Html(str):
    """Text that is already HTML; a plain ``str`` is escaped wherever parts are joined."""

    __slots__ = ()


Part = str | Html


def text(part: Part) -> Html:
    """``part`` as HTML; characters that would hide or turn round what is read beside them are shown as unknown."""
    return part if isinstance(part, Html) else Html(escape(_HIDING.sub("\N{REPLACEMENT CHARACTER}", part), quote=True))


def tag(name: str, *parts: Part, **attributes: str) -> Html:
    """An element; attribute names lose a trailing underscore (``class_``)."""
    inner = "".join(text(p) for p in parts)
    shown = "".join(f' {k.rstrip("_").replace("_", "-")}="{escape(v, quote=True)}"' for k, v in attributes.items())
    return Html(f"<{name}{shown}>{inner}</{name}>")


def joined(parts: Iterable[Part]) -> Html:
    return Html("\n".join(text(p) for p in parts))


def section(title: str, *parts: Part) -> Html:
    """A titled section, or nothing where all parts are empty."""
    return tag("section", tag("h2", title), *parts) if any(parts) else Html("")


def table(head: Sequence[Part], rows: Iterable[Sequence[Part]], strong: Sequence[int] = ()) -> Html:
    """A table; the first column is text, the others numbers; rows whose index is in ``strong`` stand out."""
    top = tag("tr", *(tag("th", h) for h in head))
    body = [
        tag("tr", *(tag("td", cell) for cell in row), **({"class_": "strong"} if k in strong else {}))
        for k, row in enumerate(rows)
    ]
    return tag("table", tag("thead", top), tag("tbody", *body), class_="numbers")


def pairs(values: Mapping[str, object]) -> Html:
    """A two-column table of settings."""
    rows = (tag("tr", tag("td", str(name)), tag("td", shown(value))) for name, value in values.items())
    return tag("table", tag("tbody", *rows), class_="pairs")


def shown(value: object) -> str:
    """A setting's value for people."""
    match value:
        case None:
            return "none"
        case bool():
            return "yes" if value else "no"
        case float():
            return f"{value:g}"
        case list() | tuple():
            return ", ".join(shown(v) for v in value)
        case dict():
            return ", ".join(f"{k} = {shown(v)}" for k, v in value.items())
        case _:
            return str(value)


def picture(file: bytes, kind: str, alt: str, caption: Part = "", class_: str = "") -> Html:
    """A file as a picture inside the page; nothing in it can run, scripts in an SVG included."""
    address = f"data:{kind};base64,{b64encode(file).decode()}"
    image = Html(f'<img src="{address}" alt="{escape(alt, quote=True)}">')
    return tag("figure", image, *([tag("figcaption", caption)] if caption else []), class_=class_ or "picture")

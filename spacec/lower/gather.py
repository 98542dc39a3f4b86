"""Copying code: the source of classes and functions with everything it needs, for a file that imports torch only."""

from __future__ import annotations

import ast
import builtins
import inspect
import sys
import textwrap
from dataclasses import dataclass, field
from types import FunctionType, ModuleType
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from spacec.lower import errors
from spacec.lower.layers import literal

ALWAYS = {"torch": torch, "nn": nn, "F": F, "sys": sys}
"""Names that every exported file imports."""

OWN = ("ARCHITECTURE", "build")
"""Names that every exported file defines."""


@dataclass
class Gathered:
    """``imports``: by name, a module and the name in it (empty for the module itself); ``blocks``: definitions."""

    imports: dict[str, tuple[str, str]] = field(default_factory=dict)
    blocks: list[str] = field(default_factory=list)
    _bound: dict[str, object] = field(default_factory=lambda: {**ALWAYS, **dict.fromkeys(OWN)})

    def add(self, code: object) -> None:
        """Copy a class or function. Raises :class:`SpacecError` (E0906) where it cannot stand alone."""
        name: str = getattr(code, "__name__", "")
        if not self._bind(name, code):
            return
        if "." in getattr(code, "__qualname__", ".") or name == "<lambda>":
            raise _refusal(name, "it is defined inside a function or class")
        source = _source(code)
        scope = vars(sys.modules[code.__module__])
        for needed in _global_names(source):
            if needed in scope:
                self._need(name, needed, scope[needed])
            elif not hasattr(builtins, needed):
                raise _refusal(name, f"`{needed}` is not defined in its file")
        self.blocks.append(source.strip())

    def _need(self, user: str, name: str, value: Any) -> None:
        if ALWAYS.get(name) is value:
            return
        if isinstance(value, ModuleType):
            _require_portable(user, value.__name__)
            if self._bind(name, value):
                self.imports[name] = value.__name__, ""
            return
        home: str = getattr(value, "__module__", "") or ""
        if _portable(home):
            original = getattr(value, "__name__", name)
            if getattr(sys.modules[home], original, None) is not value:
                raise _refusal(user, f"`{name}` cannot be imported from {home}")
            if self._bind(name, value):
                self.imports[name] = home, original
        elif isinstance(value, type | FunctionType):
            if value.__name__ != name:
                raise _refusal(user, f"`{name}` is another name of `{value.__name__}`")
            self.add(value)
        elif isinstance(value, dict):
            self._constant(user, name, value)
        elif self._bind(name, value):
            try:
                self.blocks.append(f"{name} = {literal(value)}")
            except TypeError:
                raise _refusal(user, f"its constant `{name}` is {type(value).__name__}, not a literal") from None

    def _constant(self, user: str, name: str, value: dict[Any, Any]) -> None:
        """A table of functions or literals."""
        if not self._bind(name, value):
            return
        pairs = []
        for key, item in value.items():
            if isinstance(item, type | FunctionType):
                self._need(user, item.__name__, item)
            text = item.__name__ if isinstance(item, type | FunctionType) else literal(item)
            pairs.append(f"{literal(key)}: {text}")
        self.blocks.append(f"{name} = {{{', '.join(pairs)}}}")

    def _bind(self, name: str, value: object) -> bool:
        """Whether the name is new. Two things of one name cannot be told apart in one file."""
        if name in self._bound:
            if self._bound[name] is not value:
                raise _refusal(name, "two different things have this name")
            return False
        self._bound[name] = value
        return True

    def import_lines(self) -> str:
        """All import statements: the standard library's, then torch's."""
        imports = {**self.imports, "sys": ("sys", ""), "nn": ("torch", "nn"), "torch": ("torch", "")}
        imports["F"] = "torch.nn.functional", ""
        plain, members = [], dict[str, list[str]]()
        for name, (module, member) in imports.items():
            alias = "" if name == (member or module) else f" as {name}"
            if member:
                members.setdefault(module, []).append(member + alias)
            else:
                plain.append(f"import {module}{alias}")
        lines = sorted(plain) + [f"from {m} import {', '.join(sorted(found))}" for m, found in sorted(members.items())]
        groups = ([x for x in lines if (x.split()[1].split(".")[0] == "torch") is own] for own in (False, True))
        return "\n\n".join("\n".join(group) for group in groups)

    @property
    def names(self) -> frozenset[str]:
        return frozenset(self._bound)


def _portable(module: str) -> bool:
    root = module.split(".")[0]
    return root == "torch" or (root in sys.stdlib_module_names and root != "__main__")


def _require_portable(user: str, module: str) -> None:
    if not _portable(module):
        raise _refusal(user, f"it uses the package {module.split('.')[0]}; an exported file imports torch only")


def _source(code: Any) -> str:
    try:
        return textwrap.dedent(inspect.getsource(code))
    except (OSError, TypeError):
        raise _refusal(getattr(code, "__name__", repr(code)), "its source text is not available") from None


def _refusal(name: str, reason: str) -> Exception:
    return errors.lowering_error(errors.STANDALONE, f"`{name}` cannot be copied into a stand-alone file: {reason}")


def _global_names(source: str) -> list[str]:
    """Names that a definition reads and does not itself bind, in order."""
    tree = ast.parse(source)
    bound = {n.arg for n in ast.walk(tree) if isinstance(n, ast.arg)}
    bound |= {n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store | ast.Del)}
    bound |= {n.name for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.ClassDef)}
    bound |= {n.name for n in ast.walk(tree) if isinstance(n, ast.ExceptHandler) and n.name}
    read = (n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load))
    return list(dict.fromkeys(name for name in read if name not in bound | {"super", "__class__"}))

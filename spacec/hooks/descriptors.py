"""What plugins hand to spacec: light values that say what exists and where, but import nothing.

A descriptor holds a name, one line of help and a target ``"module:attr"``. Making one costs
nothing; :meth:`Descriptor.load` imports the target, so a plugin's implementation (and torch) is
imported only where the feature is used.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from spacec.diagnostics.model import Diagnostic, SpacecError
from spacec.diagnostics.suggest import nearest
from spacec.ir.ops import NO_LAWS, AttrValue, OpLaws, OpParam, OpResult, OpSpec, Rule, RuleError
from spacec.ir.types import TensorType

_TARGET = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*(\.[A-Za-z_]\w*)*", re.ASCII)
_NAME = re.compile(r"[A-Za-z][\w-]*", re.ASCII)
_IDENTIFIER = re.compile(r"[A-Za-z_]\w*", re.ASCII)


@dataclass(frozen=True)
class Descriptor:
    """Base of all descriptors.

    ``name`` is how a user asks for the feature, ``help`` one line that ``spacec plugins`` prints,
    ``target`` the ``"module:attr"`` that :meth:`load` imports. A malformed one raises
    :class:`ValueError`, which the manager reports as the plugin's fault.
    """

    name: str
    help: str
    target: str

    def __post_init__(self) -> None:
        check_name(self.name, _NAME)
        check_help(self.name, self.help)
        check_target(self.name, "target", self.target)

    def load(self) -> Any:
        """Import the target.

        Raises :class:`SpacecError` (E0713) that names this feature and the import that failed.
        """
        return load_target(self.target, f"'{self.name}'")


@dataclass(frozen=True)
class StrategyDescriptor(Descriptor):
    """A search algorithm; the target is a subclass of :class:`spacec.search.strategy.Strategy`."""


@dataclass(frozen=True)
class ProbeDescriptor(Descriptor):
    """A read-only measurement during a search (wiring costs, Rayleigh quotients)."""


@dataclass(frozen=True)
class EstimatorDescriptor(Descriptor):
    """A way to rate an architecture without training it in full (a proxy, a predictor)."""


@dataclass(frozen=True)
class ExecutorDescriptor(Descriptor):
    """A place where trials are rated; the target is a subclass of :class:`spacec.search.executor.Executor`.

    ``extra`` is what pip installs for it; empty if the plugin suffices.
    """

    extra: str = ""


@dataclass(frozen=True)
class TaskDescriptor(Descriptor):
    """Data, loss and metrics; the target makes a :class:`spacec.search.task.Task`.

    ``extra`` is what pip installs for it, as in ``spacec[data]``; empty if the core suffices.
    """

    extra: str = ""


@dataclass(frozen=True)
class BenchmarkDescriptor(Descriptor):
    """A table of measured architectures.

    The target is a function ``open(table, path)`` that gives a :class:`spacec.space.benchmark.Benchmark` for a space's
    decision table; ``path`` is the user's file, or ``None``. ``extra`` is what pip installs for it, as in
    ``spacec-tables[nas-bench-201]``, and ``files`` what a user may bring; either is empty where there is none.
    """

    extra: str = ""
    files: str = ""


@dataclass(frozen=True)
class PassDescriptor(Descriptor):
    """A rewrite of the space graph; the target is a frozen dataclass whose fields are its options."""


@dataclass(frozen=True)
class ExporterDescriptor(Descriptor):
    """Writes a network to a file; ``suffix`` (with its dot) is how ``spacec compile -o`` finds it."""

    suffix: str = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not re.fullmatch(r"(\.\w+)+", self.suffix):
            raise ValueError(f"exporter '{self.name}' has suffix {self.suffix!r}, not one such as '.onnx'")


@dataclass(frozen=True)
class CommandDescriptor(Descriptor):
    """A subcommand of ``spacec``; the target is a click command, imported when it is called."""


@dataclass(frozen=True)
class LibraryDescriptor:
    """A folder of ``.space`` files that ``use "NAME/file.space"`` finds.

    ``package`` is the importable package that ships them, ``folder`` a path inside it.
    """

    name: str
    help: str
    package: str
    folder: str = "."

    def __post_init__(self) -> None:
        check_name(self.name, _NAME)
        check_help(self.name, self.help)
        check_target(self.name, "package", f"{self.package}:x")


@dataclass(frozen=True)
class OpDescriptor:
    """A primitive op: a torch-free ``rule`` and a torch ``lowering``, each loaded when it is needed.

    ``rule`` is ``"module:attr"`` of a :data:`spacec.ir.ops.Rule` (a function is accepted where
    the module that describes the op has it at hand anyway); ``lowering`` is ``"module:attr"`` of
    what ``spacec.lower`` builds. The other fields are those of :class:`spacec.ir.ops.OpSpec`.
    """

    name: str
    help: str
    rule: str | Rule
    lowering: str
    params: tuple[OpParam, ...] = ()
    state: bool = False
    inputs: int | None = 1
    elastic: bool = False
    laws: OpLaws = NO_LAWS

    def __post_init__(self) -> None:
        check_name(self.name, _IDENTIFIER)
        check_help(self.name, self.help)
        check_target(self.name, "lowering", self.lowering)
        if isinstance(self.rule, str):
            check_target(self.name, "rule", self.rule)
        if not isinstance(self.params, tuple) or not all(isinstance(p, OpParam) for p in self.params):
            raise ValueError(f"op '{self.name}' has params that are not a tuple of OpParam")
        if not isinstance(self.laws, OpLaws):
            raise ValueError(f"op '{self.name}' has laws that are not an OpLaws")
        unknown = set(self.laws.unless) - {p.name for p in self.params}
        if unknown:
            raise ValueError(f"op '{self.name}' has laws that name {sorted(unknown)[0]!r}, which is no parameter of it")

    def spec(self, origin: str) -> OpSpec:
        """The op as the compiler knows it; a rule given by name is imported at its first use."""
        rule = LazyRule(self.rule, self.name) if isinstance(self.rule, str) else self.rule
        return OpSpec(
            name=self.name,
            rule=rule,
            lowering=self.lowering,
            params=self.params,
            state=self.state,
            inputs=self.inputs,
            elastic=self.elastic,
            help=self.help,
            origin=origin,
            laws=self.laws,
        )


@dataclass(frozen=True)
class LazyRule:
    """A rule known by its target; equal targets are equal rules."""

    target: str
    op: str

    def __call__(self, attrs: Mapping[str, AttrValue], inputs: tuple[TensorType, ...]) -> OpResult:
        rule: Rule = load_target(self.target, f"the rule of op '{self.op}'")
        try:
            result: Any = rule(attrs, inputs)
        except (RuleError, SpacecError):
            raise
        except Exception as error:  # a plugin's rule may raise anything; the finding points at the use of its op
            raise RuleError(
                f"its rule raised {type(error).__name__}: {error}", f"the rule is {self.target}", "E0714"
            ) from error
        if not isinstance(result, OpResult):
            raise RuleError(f"its rule returned {result!r}, not an OpResult", f"the rule is {self.target}", "E0714")
        return result


Contribution = Descriptor | OpDescriptor | LibraryDescriptor


def load_target(target: str, what: str) -> Any:
    """Import ``"module:attr"``; ``what`` names the feature in the message.

    Raises :class:`SpacecError` (E0713) if the module cannot be imported or lacks the attribute.
    """
    module_name, _, attribute = target.partition(":")
    try:
        found: Any = importlib.import_module(module_name)
    except Exception as error:  # a plugin's module may raise anything; the report must name it
        missing = error.name if isinstance(error, ModuleNotFoundError) else None
        raise _load_error(what, target, f"importing it raised {type(error).__name__}: {error}", missing) from error
    for part in attribute.split("."):
        if not hasattr(found, part):
            near = nearest(part, dir(found))
            hint = f"; nearest name: '{near}'" if near else ""
            raise _load_error(what, target, f"'{module_name}' has no '{attribute}'{hint}")
        found = getattr(found, part)
    return found


def _load_error(what: str, target: str, reason: str, missing: str | None = None) -> SpacecError:
    notes = (f"it is declared as {target}", reason)
    help = f"install the package that provides '{missing}'" if missing and not target.startswith(missing) else ""
    return SpacecError(Diagnostic("E0713", f"{what} could not be loaded", notes=notes, help=help))


def check_name(name: object, pattern: re.Pattern[str]) -> None:
    if not isinstance(name, str) or not pattern.fullmatch(name):
        raise ValueError(f"{name!r} is not a usable name")


def check_help(name: str, help: object) -> None:
    if not isinstance(help, str) or not help.strip() or "\n" in help:
        raise ValueError(f"'{name}' needs one line of help")


def check_target(name: str, field: Literal["target", "rule", "lowering", "package"], target: object) -> None:
    if not isinstance(target, str) or not _TARGET.fullmatch(target):
        shown = target.removesuffix(":x") if isinstance(target, str) and field == "package" else target
        form = "a dotted package name" if field == "package" else "of the form 'module:attr'"
        raise ValueError(f"'{name}' has {field} {shown!r}, which is not {form}")

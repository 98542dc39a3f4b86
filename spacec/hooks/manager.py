"""Finds, loads and checks plugins, and answers what they offer.

Guarantees: plugins load one by one in the order of their names, the host first; a plugin that
fails in any way becomes a :class:`Problem` and costs only itself; of two features with one name
the first stays and the clash names both owners. No implementation is imported.
"""

from __future__ import annotations

import functools
import importlib.metadata
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import pluggy

from spacec.diagnostics.model import Diagnostic, SpacecError
from spacec.diagnostics.suggest import nearest
from spacec.hooks import host, specs
from spacec.hooks.descriptors import Contribution, Descriptor, ExporterDescriptor, OpDescriptor
from spacec.hooks.specs import API_VERSION, HOOKS, PROJECT
from spacec.ir.ops import OpTable

GROUP = "spacec"
HOST = "spacec"

_KIND = {
    "spacec_ops": "op",
    "spacec_strategies": "strategy",
    "spacec_diagnostics": "probe",
    "spacec_estimators": "estimator",
    "spacec_executors": "executor",
    "spacec_tasks": "task",
    "spacec_benchmarks": "benchmark",
    "spacec_passes": "pass",
    "spacec_exporters": "exporter",
    "spacec_commands": "command",
    "spacec_library": "library",
}
_UNKNOWN_CODE = {"spacec_strategies": "E0710", "spacec_tasks": "E0711"}

D = TypeVar("D", bound=Contribution)


@dataclass(frozen=True)
class Candidate:
    """A plugin before it is loaded: its name, where it comes from, and how to import it."""

    name: str
    distribution: str
    version: str
    load: Callable[[], object]


@dataclass(frozen=True)
class Plugin:
    """A loaded plugin and what it contributes, by hook name."""

    name: str
    distribution: str
    version: str
    contributions: Mapping[str, tuple[Contribution, ...]] = field(default_factory=dict)

    @property
    def owner(self) -> str:
        """How messages name it: ``spacec-darts 1.0``."""
        return f"{self.distribution} {self.version}".strip()

    @property
    def packages(self) -> frozenset[str]:
        """Top-level packages of its implementations."""
        targets = (i.target for items in self.contributions.values() for i in items if isinstance(i, Descriptor))
        return frozenset(target.partition(":")[0].partition(".")[0] for target in targets)


@dataclass(frozen=True)
class Problem:
    """Why a plugin, or one of its features, is not available."""

    plugin: str
    distribution: str
    version: str
    reason: str

    def __str__(self) -> str:
        return f"plugin '{self.plugin}' of {f'{self.distribution} {self.version}'.strip()}: {self.reason}"


@dataclass(frozen=True)
class Entry:
    """A feature together with the plugin that owns it."""

    owner: Plugin
    item: Contribution


class _Refused(Exception):
    """Why a candidate is not accepted, in words for its author."""


@dataclass(frozen=True)
class Registry:
    """What is installed: plugins in loading order, features by hook and name, and problems."""

    plugins: tuple[Plugin, ...]
    problems: tuple[Problem, ...] = ()

    @functools.cached_property
    def _entries(self) -> dict[str, dict[str, Entry]]:
        found: dict[str, dict[str, Entry]] = {hook: {} for hook in HOOKS}
        for plugin in self.plugins:
            for hook, items in plugin.contributions.items():
                found[hook].update({item.name: Entry(plugin, item) for item in items})
        return found

    def owner_of(self, module: str) -> Plugin | None:
        """The plugin whose implementations are in the top-level package of ``module``; the host is none."""
        package = module.partition(".")[0]
        return next((p for p in self.plugins if p.name != HOST and package in p.packages), None)

    def names(self, hook: str) -> tuple[str, ...]:
        """Names of the features of a hook, sorted."""
        return tuple(sorted(self._entries[hook]))

    def entry(self, hook: str, name: str) -> Entry | None:
        return self._entries[hook].get(name)

    def find(self, hook: str, name: str) -> Descriptor:
        """The feature of that name.

        Raises :class:`SpacecError` (E0710 strategies, E0711 tasks, E0712 others) with the nearest
        installed name, and a word on plugins for a strategy.
        """
        entry = self.entry(hook, name)
        if entry is None or not isinstance(entry.item, Descriptor):
            raise self._unknown(hook, name)
        return entry.item

    def exporters(self) -> tuple[ExporterDescriptor, ...]:
        """Every exporter, by name."""
        entries = self._entries["spacec_exporters"]
        return tuple(e.item for _, e in sorted(entries.items()) if isinstance(e.item, ExporterDescriptor))

    def exporter(self, suffix: str) -> ExporterDescriptor | None:
        """The exporter of a file suffix such as ``.onnx``, if one is installed."""
        return next((e for e in self.exporters() if e.suffix == suffix), None)

    def ops(self) -> OpTable:
        """Every op, the host's included; rules of plugin ops are imported at their first use."""
        entries = self._entries["spacec_ops"].values()
        specs_ = (e.item.spec(e.owner.distribution) for e in entries if isinstance(e.item, OpDescriptor))
        return OpTable({spec.name: spec for spec in specs_})

    def _unknown(self, hook: str, name: str) -> SpacecError:
        kind = _KIND[hook]
        names = self.names(hook)
        near = nearest(name, names)
        notes = [f"installed: {', '.join(names)}" if names else f"no {kind} is installed"]
        if hook == "spacec_strategies" and not near:
            notes.append("strategies come with plugins, which pip installs: see `spacec explain E0710`")
        if hook == "spacec_benchmarks" and not near:
            notes.append("benchmarks come with plugins, which pip installs: see `spacec explain E0712`")
        notes.extend(str(p) for p in self.problems if name in (p.plugin, p.distribution.removeprefix("spacec-")))
        help = f"did you mean '{near}'?" if near else ""
        headline = f"{kind} '{name}' is not installed"
        return SpacecError(Diagnostic(_UNKNOWN_CODE.get(hook, "E0712"), headline, notes=tuple(notes), help=help))


@functools.cache
def installed() -> Registry:
    """The registry of this Python environment, read once per process."""
    return load_plugins(entry_points())


def entry_points() -> list[Candidate]:
    """Candidates that installed distributions declare; one found twice on the path counts once."""
    found: dict[tuple[str, str, str], Candidate] = {}
    for point in importlib.metadata.entry_points(group=GROUP):
        distribution, version = (point.dist.name, point.dist.version) if point.dist else ("", "")
        candidate = Candidate(point.name, distribution, version, point.load)
        found.setdefault((point.name, point.value, distribution), candidate)
    return list(found.values())


def load_plugins(candidates: Iterable[Candidate]) -> Registry:
    """Load the host, then each candidate in the order of its name."""
    own = _load(Candidate(HOST, "spacec", host.version(), lambda: host))
    plugins = [own]
    problems: list[Problem] = []
    taken = {(hook, item.name): own for hook, items in own.contributions.items() for item in items}
    for candidate in sorted(candidates, key=lambda c: (c.name, c.distribution)):
        try:
            plugin = _load(candidate)
        except _Refused as refusal:
            problems.append(Problem(candidate.name, candidate.distribution, candidate.version, str(refusal)))
            continue
        plugin, clashes = _without_clashes(plugin, taken)
        problems.extend(clashes)
        plugins.append(plugin)
    return Registry(tuple(plugins), tuple(problems))


def _load(candidate: Candidate) -> Plugin:
    try:
        implementation = candidate.load()
    except (Exception, SystemExit) as error:  # a plugin may raise anything at import; it must cost only itself
        raise _Refused(f"importing it raised {_brief(error)}") from error
    _check_version(implementation)
    manager = pluggy.PluginManager(PROJECT)
    manager.add_hookspecs(specs)
    try:
        manager.register(implementation, candidate.name)
        manager.check_pending()
    except pluggy.PluginValidationError as error:
        raise _Refused(_signature_reason(error)) from error
    contributions = {hook: _collect(manager, hook) for hook in HOOKS}
    given = {hook: items for hook, items in contributions.items() if items}
    return Plugin(candidate.name, candidate.distribution, candidate.version, given)


def _check_version(implementation: object) -> None:
    stated: Any = getattr(implementation, "SPACEC_API", (API_VERSION, API_VERSION))
    match stated:
        case (int(low), int(high)) if low <= high:
            if not low <= API_VERSION <= high:
                wanted = f"version {low}" if low == high else f"versions {low} to {high}"
                raise _Refused(f"it needs {wanted} of the plugin interface; this spacec has version {API_VERSION}")
        case _:
            raise _Refused(f"its SPACEC_API is {stated!r}, not a pair (lowest, highest) of versions")


def _signature_reason(error: pluggy.PluginValidationError) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return "its hooks do not fit: " + "; ".join(lines)


def _collect(manager: pluggy.PluginManager, hook: str) -> tuple[Contribution, ...]:
    try:
        results: list[Any] = getattr(manager.hook, hook)()
    except (Exception, SystemExit) as error:  # a plugin's hook may raise anything; it must cost only itself
        raise _Refused(f"{hook} raised {_brief(error)}") from error
    want = HOOKS[hook]
    items: list[Contribution] = []
    for result in results:
        if not isinstance(result, Sequence) or isinstance(result, str):
            raise _Refused(f"{hook} returned {_a(result)}, not a list of {want.__name__}")
        for item in result:
            if not isinstance(item, want):
                raise _Refused(f"{hook} returned a list with {_a(item)} in it, not only {want.__name__}")
            items.append(item)
    names = [item.name for item in items]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise _Refused(f"{hook} returned '{twice}' twice")
    return tuple(items)


def _without_clashes(plugin: Plugin, taken: dict[tuple[str, str], Plugin]) -> tuple[Plugin, list[Problem]]:
    """The plugin without features whose names are taken; each such clash is a problem."""
    kept: dict[str, tuple[Contribution, ...]] = {}
    problems: list[Problem] = []
    for hook, items in plugin.contributions.items():
        free = []
        for item in items:
            owner = taken.setdefault((hook, item.name), plugin)
            if owner is plugin:
                free.append(item)
                continue
            reason = f"its {_KIND[hook]} '{item.name}' is not used: {owner.owner} has one of that name"
            problems.append(Problem(plugin.name, plugin.distribution, plugin.version, reason))
        if free:
            kept[hook] = tuple(free)
    return replace(plugin, contributions=kept), problems


def _brief(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _a(value: object) -> str:
    name = type(value).__name__
    return f"{'an' if name[0] in 'aeiouAEIOU' else 'a'} {name}"

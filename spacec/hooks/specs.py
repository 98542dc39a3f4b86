"""The hooks a plugin may implement: the contract between spacec and its plugins.

A plugin is a module (or object) named by an entry point of the group ``spacec``. It implements
any of these functions, marked with ``spacec.hookimpl``, and each returns a list of descriptors.
Importing the plugin module must be cheap: descriptors name their implementations as
``"module:attr"``, and spacec imports those when they are used.

A plugin may state the hook versions it works with as ``SPACEC_API = (lowest, highest)``;
without it every version is accepted.
"""

from __future__ import annotations

from collections.abc import Sequence

import pluggy

from spacec.hooks.descriptors import (
    BenchmarkDescriptor,
    CommandDescriptor,
    Descriptor,
    EstimatorDescriptor,
    ExecutorDescriptor,
    ExporterDescriptor,
    LibraryDescriptor,
    OpDescriptor,
    PassDescriptor,
    ProbeDescriptor,
    StrategyDescriptor,
    TaskDescriptor,
)

PROJECT = "spacec"
API_VERSION = 1
"""Raised when a hook or descriptor changes so that a plugin written for the old form fails."""

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)
"""Marks a function of a plugin as the implementation of the hook of the same name."""


@hookspec
def spacec_ops() -> Sequence[OpDescriptor]:
    """Primitive ops that grammars may use by name.

    The rule (types in, type and cost out) must be importable without torch; the lowering is
    imported when a network is built.
    """
    return ()


@hookspec
def spacec_strategies() -> Sequence[StrategyDescriptor]:
    """Search algorithms, asked for with ``spacec search --strategy NAME``."""
    return ()


@hookspec
def spacec_diagnostics() -> Sequence[ProbeDescriptor]:
    """Probes: read-only measurements of a search, such as wiring costs or Rayleigh quotients."""
    return ()


@hookspec
def spacec_estimators() -> Sequence[EstimatorDescriptor]:
    """Ways to rate an architecture without training it in full."""
    return ()


@hookspec
def spacec_executors() -> Sequence[ExecutorDescriptor]:
    """Places where the trials of a search are rated, asked for with ``spacec search --executor NAME``."""
    return ()


@hookspec
def spacec_tasks() -> Sequence[TaskDescriptor]:
    """Tasks (data, loss, metrics), asked for with ``--task NAME``."""
    return ()


@hookspec
def spacec_benchmarks() -> Sequence[BenchmarkDescriptor]:
    """Tables of architectures that others have trained, asked by ``spacec query FILE NAME ARCH``."""
    return ()


@hookspec
def spacec_passes() -> Sequence[PassDescriptor]:
    """Rewrites of the space graph that keep its architectures and their functions."""
    return ()


@hookspec
def spacec_exporters() -> Sequence[ExporterDescriptor]:
    """File formats of ``spacec compile -o FILE``, chosen by the suffix of FILE."""
    return ()


@hookspec
def spacec_commands() -> Sequence[CommandDescriptor]:
    """Subcommands of ``spacec``; each target is a click command."""
    return ()


@hookspec
def spacec_library() -> Sequence[LibraryDescriptor]:
    """Folders of ``.space`` files for ``use "NAME/file.space"``."""
    return ()


HOOKS: dict[str, type[Descriptor] | type[OpDescriptor] | type[LibraryDescriptor]] = {
    "spacec_ops": OpDescriptor,
    "spacec_strategies": StrategyDescriptor,
    "spacec_diagnostics": ProbeDescriptor,
    "spacec_estimators": EstimatorDescriptor,
    "spacec_executors": ExecutorDescriptor,
    "spacec_tasks": TaskDescriptor,
    "spacec_benchmarks": BenchmarkDescriptor,
    "spacec_passes": PassDescriptor,
    "spacec_exporters": ExporterDescriptor,
    "spacec_commands": CommandDescriptor,
    "spacec_library": LibraryDescriptor,
}
"""Every hook with the descriptor it returns a list of."""

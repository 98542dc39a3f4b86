"""What a conformance check finds: sentences that name the strategy, the space, the check and the tensor."""

from __future__ import annotations

from dataclasses import dataclass

CHECKS = {
    "support": "the space is searched, or the strategy says what it lacks",
    "architecture step": "an architecture step changes architecture parameters and nothing of the supernet",
    "weight step": "a weight step changes weights of candidates that ran, and no architecture parameter",
    "seeds": "a seed decides everything bit for bit, and another seed something else",
    "resume": "a search killed after any epoch goes on to the same result bit for bit",
    "state": "the strategy's state survives a file and a fresh strategy",
    "derived": "what is derived is valid and its network runs",
    "constraints": "under a constraint, what is derived and proposed satisfies it",
    "memory": "no tensors and no autograd graphs pile up by step",
    "probabilities": "probabilities are finite, not negative, of the slots' sizes, and sum to one",
    "asynchronous": "trials that are told as they end, while others run, lead to a valid answer",
    "kept trials": "a trial goes on only from an earlier one that was kept, of its architecture, to more epochs",
    "replay": "asked and told again, also from its state while trials run, it asks for the same trials",
    "failed trials": "trials that fail end no search; where all did, it says so (E0821)",
    "options": "options read back from the record and from the help text",
}
"""Every check by name, with what it asks."""


@dataclass(frozen=True)
class Failure:
    """One check that a pair fails. ``tensor``: the first one that shows it, where a tensor does."""

    strategy: str
    space: str
    check: str
    message: str
    tensor: str = ""

    def __str__(self) -> str:
        at = f" (first at {self.tensor})" if self.tensor else ""
        return f"strategy '{self.strategy}' on '{self.space}', {self.check}: {self.message}{at}"


@dataclass(frozen=True)
class Report:
    """What came of a pair. ``unsupported``: what the strategy says it lacks; then nothing else was checked."""

    strategy: str
    space: str
    failures: tuple[Failure, ...] = ()
    unsupported: str = ""
    notes: tuple[str, ...] = ()
    """What could not be judged here, and why."""
    seconds: float = 0.0

    @property
    def ok(self) -> bool:
        """Whether every check passed, or the strategy says why it does not search this space."""
        return not self.failures

    def __str__(self) -> str:
        if self.failures:
            return "\n".join(str(failure) for failure in self.failures)
        pair = f"strategy '{self.strategy}' on '{self.space}'"
        return f"{pair}: {f'unsupported: {self.unsupported}' if self.unsupported else 'ok'}"


class Complaints:
    """Gathers the failures of a pair; of one check the first tells enough, and later ones are left out."""

    def __init__(self, strategy: str, space: str) -> None:
        self.strategy = strategy
        self.space = space
        self.found: dict[str, Failure] = {}

    def add(self, check: str, message: str, tensor: str = "") -> None:
        """Note a failure of ``check``, a key of :data:`CHECKS`."""
        assert check in CHECKS, f"'{check}' is no check"
        self.found.setdefault(check, Failure(self.strategy, self.space, check, message, tensor))

    @property
    def failures(self) -> tuple[Failure, ...]:
        """In the order of :data:`CHECKS`."""
        return tuple(self.found[check] for check in CHECKS if check in self.found)

"""How important a candidate is (EoiNAS): its probability, and how well the network did with it for how little training.

    I_k = softmax(alpha)_k + 0.5 S_k / n_k

S_k is the validation accuracy when candidate k was last part of the sampled network, n_k how often the weights were
trained on it in this stage: a candidate that does as well after less training is the better one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from spacec.search.task import Metric
from spacec.space.decisions import Slot


class Scores:
    """Validation scores between 0 and 1 of batches, from any metric.

    A metric with bounds (an accuracy) is read within them. Of any other the score is the share of this stage's values,
    its own among them, that it is better than, those equal to it counting half: the same for any unit, and for values
    that have no end.
    """

    def __init__(self, metric: Metric) -> None:
        self.metric = metric
        self.seen: list[float] = []

    def score(self, value: float) -> float:
        """The score of a new value."""
        within = self.metric.share(value)
        if within is not None:
            return within
        self.seen.append(value)
        worse = sum(self.metric.better(value, other) for other in self.seen)
        equal = sum(value == other for other in self.seen)
        return (worse + 0.5 * equal) / len(self.seen)

    def restart(self) -> None:
        """A new stage: values before it no longer count."""
        self.seen = []


class Tally:
    """By slot and candidate: the last score seen with it, and how often the weights were trained on it."""

    def __init__(self, slots: Sequence[Slot]) -> None:
        self.scores = {slot.id: [0.0] * slot.size for slot in slots}
        self.counts = {slot.id: [0] * slot.size for slot in slots}

    def trained(self, drawn: Mapping[str, int]) -> None:
        """The weights made a step on these candidates."""
        for slot, k in drawn.items():
            self.counts[slot][k] += 1

    def rated(self, drawn: Mapping[str, int], score: float) -> None:
        """The network of these candidates had this score."""
        for slot, k in drawn.items():
            self.scores[slot][k] = score

    def importance(self, slot: str, probabilities: Sequence[float], weight: float) -> list[float]:
        """I of every candidate of a slot. One that was never trained counts as trained once."""
        rates = zip(probabilities, self.scores[slot], self.counts[slot], strict=True)
        return [p + weight * score / max(1, n) for p, score, n in rates]

    def restart(self) -> None:
        """A new stage: weights are counted from zero, scores stay until new ones are seen."""
        self.counts = {slot: [0] * len(n) for slot, n in self.counts.items()}

    def state_dict(self) -> dict[str, Any]:
        return {"scores": self.scores, "counts": self.counts}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.scores = {slot: list(state["scores"][slot]) for slot in self.scores}
        self.counts = {slot: list(state["counts"][slot]) for slot in self.counts}

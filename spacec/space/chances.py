"""What the constraints make of a factorised distribution: P(V), marginals, gradients and samples, all exact.

V are the valid architectures. One pass over the decision diagram from its end adds up products of
probabilities: that is P(V), which TabNAS (Yang et al., 2022, section 4) estimates from samples. A pass back tells how
each decision is distributed within V, and so the gradient of log P(V). Costs time in proportion to
the diagram. This module imports numpy, so it is imported by the functions that need it.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from math import log
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spacec.diagnostics.model import SpacecError
from spacec.space.algebra import Algebra, algebra
from spacec.space.architecture import Architecture
from spacec.space.batch import INACTIVE, Batch, code_type
from spacec.space.decisions import DecisionTable
from spacec.space.diagram import DEAD, END, Diagram
from spacec.space.factorised import Factorised, Probabilities, factorised, factors, own_chances
from spacec.space.layers import Layers, layers
from spacec.space.sample import no_architecture
from spacec.space.schedule import IN, Step
from spacec.space.validate import validate

Vectors = dict[str, NDArray[Any]]
"""By decision: one number per candidate, or per element of a subset."""


def feasible_probability(table: DecisionTable, probabilities: Probabilities | None = None) -> Any:
    """P(V): how probable it is that an architecture drawn decision by decision is valid.

    What is given may be anything that can be added and multiplied, such as tensors whose gradient
    then flows through. Raises :class:`SpacecError` as :func:`~spacec.space.algebra.algebra` does, and
    E0607 where the probabilities do not fit.
    """
    chances = factorised(table, probabilities)
    if chances.plain:
        return Chances(table, chances).probability
    total: Any = 1
    for diagram in algebra(table).diagrams:
        total = total * _passed_through(diagram, chances)
    return total


def _passed_through(diagram: Diagram, chances: Factorised) -> Any:
    """The sum of products for numbers that no array holds."""
    sums: list[Any] = [1]
    by_class: dict[int, list[Any]] = {}
    for step, children in zip(diagram.steps[1:], diagram.children[1:], strict=True):
        assert step is not None
        if id(step) not in by_class:
            by_class[id(step)] = _class_weights(step, chances)
        terms = [w * sums[c] for w, c in zip(by_class[id(step)], children, strict=True) if c != DEAD]
        total = terms[0]
        for term in terms[1:]:
            total = total + term
        sums.append(total)
    return 0 if diagram.root == DEAD else sums[diagram.root]


def _class_weights(step: Step, chances: Factorised) -> list[Any]:
    found: dict[int, Any] = {}
    for kind, weight in zip(step.classes, chances.weights(step), strict=True):
        found[kind] = found[kind] + weight if kind in found else weight
    return [found[kind] for kind in range(len(found))]


class Chances:
    """A factorised distribution of real numbers, restricted to the valid architectures.

    Exact fractions where all that is given is rational, else floats. Raises as :func:`feasible_probability`.
    """

    def __init__(self, table: DecisionTable, distribution: Factorised | Probabilities | None = None) -> None:
        self.table = table
        given = distribution if isinstance(distribution, Factorised) else factorised(table, distribution)
        assert given.plain, "tensors only pass through feasible_probability"
        self.distribution = given
        self.dtype: Any = object if given.exact else np.float64
        compiled = algebra(table)
        views = _layered(table, compiled)
        self._parts = [_Part(self, d, view) for d, view in zip(compiled.diagrams, views, strict=True)]

    @cached_property
    def probability(self) -> Any:
        """P(V)."""
        total: Any = 1
        for part in self._parts:
            total = total * part.total
        return total if self.dtype is object else float(total)

    @cached_property
    def _marginals(self) -> tuple[Vectors, dict[str, Any]]:
        self._some()
        taken = {d.id: np.array([0] * len(self.distribution.vectors[d.id]), self.dtype) for d in self.table.decisions}
        active: dict[str, Any] = {}
        for part in self._parts:
            part.add_marginals(taken, active)
        return taken, active

    @property
    def marginals(self) -> Vectors:
        """Per decision, P(it is active and takes the candidate, or picks the element | V). E0511 where P(V) is 0."""
        return self._marginals[0]

    @property
    def activity(self) -> dict[str, Any]:
        """Per decision, P(it is active | V)."""
        return {d.id: self._marginals[1].get(d.id, 0) for d in self.table.decisions}

    @cached_property
    def log_gradient(self) -> Vectors:
        """The gradient of log P(V) in the logits of the probabilities: softmax, or sigmoid of a subset's coins."""
        own = {d.id: np.array(own_chances(d, self.distribution), self.dtype) for d in self.table.decisions}
        return {name: taken - self.activity[name] * own[name] for name, taken in self.marginals.items()}

    def log_probability(self, arch: Architecture) -> float:
        """log P(arch | V). Raises where ``arch`` is not valid, and ``ValueError`` where it has no probability."""
        validate(self.table, arch)
        self._some()
        active = (d for d in self.table.decisions if d.id in arch)
        taken = (log(w) for d in active for w in factors(d, arch[d.id], self.distribution))
        return sum(taken) - log(self.probability)

    def score(self, arch: Architecture) -> Vectors:
        """The gradient of log P(arch | V) in the logits (as :attr:`log_gradient`): what REINFORCE multiplies."""
        validate(self.table, arch)
        found: Vectors = {}
        for d in self.table.decisions:
            taken = np.array([0] * len(self.distribution.vectors[d.id]), self.dtype)
            if d.id in arch:
                value = arch[d.id]
                taken[list(value) if isinstance(value, tuple) else value] = 1
                taken = taken - np.array(own_chances(d, self.distribution), self.dtype)
            found[d.id] = taken - self.log_gradient[d.id]
        return found

    def sample(self, n: int = 1, seed: int = 0) -> Batch:
        """``n`` architectures, independent, each with its probability given V: no rejection. E0511 where P(V) is 0."""
        self._some()
        rng = np.random.RandomState(np.random.MT19937(np.random.SeedSequence(seed)))  # its numbers never change
        codes = np.full((n, len(self.table.decisions)), INACTIVE, dtype=code_type(self.table))
        places = {d.id: k for k, d in enumerate(self.table.decisions)}
        for part in self._parts:
            part.draw(codes, places, rng)
        return Batch(self.table, codes)

    def _some(self) -> None:
        if not self.probability > 0:
            headline = "no architecture that satisfies the constraints has any probability"
            raise SpacecError(no_architecture(self.table, headline))


class _Part:
    """One diagram, with the chance of reaching the end from each of its nodes."""

    def __init__(self, chances: Chances, diagram: Diagram, view: Layers) -> None:
        self.root = view.dead if diagram.root == DEAD else diagram.root
        self.view, self.dtype = view, chances.dtype
        self.weights = [np.array(chances.distribution.weights(x.step), self.dtype) for x in view.layers]
        self.sums = np.array([0] * (view.size + 1), self.dtype)
        self.sums[END] = 1
        for layer, weights in zip(view.layers[::-1], self.weights[::-1], strict=True):
            self.sums[layer.nodes] = self.sums[layer.children] @ weights
        self.total = self.sums[self.root]

    def add_marginals(self, taken: Vectors, active: dict[str, Any]) -> None:
        """Add P(outcome | V) of every step to the vector of its decision."""
        reached = np.array([0] * (self.view.size + 1), self.dtype)
        reached[self.root] = 1
        for layer, weights in zip(self.view.layers, self.weights, strict=True):
            arriving = reached[layer.nodes]
            np.add.at(reached, layer.children, arriving[:, None] * weights)
            chances = (arriving @ self.sums[layer.children]) * weights / self.total
            step = layer.step
            if step.element is None:
                if taken[step.decision].size:
                    taken[step.decision][:] = chances
            else:
                taken[step.decision][step.element] = chances[IN]
            active[step.decision] = chances.sum()

    def draw(self, codes: NDArray[Any], places: Mapping[str, int], rng: np.random.RandomState) -> None:
        """Write what ``len(codes)`` random paths decide."""
        sums = self.sums.astype(np.float64)
        at = np.full(len(codes), self.root)
        for place, layer in enumerate(self.view.layers):
            here = np.flatnonzero(self.view.layer_of[at] == place)
            if not len(here):
                continue
            children = layer.children[self.view.row_of[at[here]]]
            upto = np.cumsum(sums[children] * self.weights[place].astype(np.float64), axis=1)
            points = rng.random_sample(len(here)) * upto[:, -1]
            outcomes = np.minimum((upto <= points[:, None]).sum(axis=1), _last(upto))
            at[here] = children[np.arange(len(here)), outcomes]
            column, step = places[layer.step.decision], layer.step
            if step.element is None:
                codes[here, column] = outcomes  # of no elements: 0, the empty mask
            else:
                known = np.where(codes[here, column] == INACTIVE, 0, codes[here, column])
                codes[here, column] = known + np.where(outcomes == IN, 1, 0).astype(codes.dtype) * (1 << step.element)


def _last(upto: NDArray[np.float64]) -> NDArray[np.intp]:
    """The last outcome of each row that has any chance: where rounding would run past it."""
    return np.asarray((upto < upto[:, -1:]).sum(axis=1), dtype=np.intp)


def _layered(table: DecisionTable, compiled: Algebra) -> list[Layers]:
    """The diagrams as arrays, once per table: a policy asks for them at every step."""
    if "layers" not in table.memo:
        table.memo["layers"] = [layers(d) for d in compiled.diagrams]
    found: list[Layers] = table.memo["layers"]
    return found


def softmax(table: DecisionTable, logits: Mapping[str, Any]) -> Factorised:
    """The distribution of logits: softmax over candidates, sigmoid of each element of a subset; 0 where none is given.

    Raises :class:`SpacecError` (E0607) where a vector does not fit.
    """
    given: dict[str, Any] = {}
    for name, vector in logits.items():
        numbers = np.asarray(vector, dtype=np.float64)
        decision = table.by_id.get(name)
        if decision is not None and decision.kind == "subset":
            given[name] = 1 / (1 + np.exp(-numbers))
        else:
            powers = np.exp(numbers - numbers.max(initial=-np.inf))
            given[name] = np.minimum(powers / powers.sum(), 1.0)
    return factorised(table, given, exact=False)

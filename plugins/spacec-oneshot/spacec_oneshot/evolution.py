"""SPOS' search of a trained supernet: Guo, Zhang, Mu, Heng, Liu, Wei and Sun, Single Path One-Shot Neural Architecture
Search with Uniform Sampling (ECCV 2020), Algorithm 1.

A population of P architectures is drawn uniformly and rated. Then, T - 1 times: of the k best that were ever rated, n/2
mutations (each decision changed with probability p) and n/2 crossovers of two of them (each decision from either) are
rated, and architectures drawn uniformly fill up the population. None is rated twice. The best ever rated is the answer.

Limits on costs are constraints: draws, mutations and crossovers are those of the space under them, and nothing is rated
in vain.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from spacec.search.bounds import drawn, under
from spacec.search.context import SearchContext
from spacec.search.options import Options, option
from spacec.search.space_like import SpaceLike
from spacec.search.strategy import Trial, TrialResult
from spacec.search.trial_strategy import Member, TrialStrategy
from spacec.space.architecture import Architecture

TRIES = 10
"""How many children are made for one that was not rated before; the released code's ``max_iters``."""
DRAWS = 100
"""How many architectures are drawn for one that was not rated before."""


@dataclass(frozen=True)
class SposEvolutionOptions(Options):
    population: int = option(50, "P: architectures of a generation", low=1)
    generations: int = option(20, "T: generations, the drawn one included", low=1)
    top: int = option(10, "k: the best ever rated, who are the parents", low=1)
    mutations: int = option(25, "children of a generation by mutation", low=0)
    mutation: float = option(0.1, "p: probability that a decision is changed", low=0, high=1)
    crossovers: int = option(25, "children of a generation by crossover", low=0)
    limits: tuple[str, ...] = option((), "what costs must keep, as macs<=330e6; joined by commas")
    trial_epochs: int | None = option(None, "epochs of a trial trained alone; none for the training's own", low=1)


@dataclass(frozen=True)
class Child:
    """An architecture to be rated: how it was made, and the numbers of its parents."""

    arch: Architecture
    origin: str
    parents: tuple[int, ...] = ()


class SposEvolution(TrialStrategy):
    """See the module. ``generation``: how many were bred; ``waiting``: children of the last that nobody asked for yet;
    ``parents``: the best ever rated, best first; ``known``: the texts of all that were bred."""

    name = "spos-evolution"
    help = "evolution by generations under limits, of SPOS: a searcher of trained supernets"
    Options = SposEvolutionOptions
    tiny: ClassVar[Mapping[str, object]] = {
        "population": 3, "generations": 2, "top": 2, "mutations": 1, "crossovers": 1, "trial_epochs": 1,
    }  # fmt: skip
    options: SposEvolutionOptions

    generation: int
    waiting: deque[Child]
    parents: list[Member]
    known: set[str]
    space: SpaceLike
    """The search's space under the limits."""

    @property
    def most(self) -> int:
        """Trials in all."""
        return self.options.population * self.options.generations

    def setup(self, ctx: SearchContext) -> None:
        """Raises :class:`SpacecError`: E0860 for what is no limit on a cost, E0511 where nothing keeps the limits."""
        super().setup(ctx)
        self.space = under(ctx, self.options.limits)
        self.generation, self.waiting, self.parents, self.known = 0, deque(), [], set()

    def propose(self, n: int) -> Sequence[Trial]:
        if not self.waiting and not self.outstanding and self.generation < self.options.generations:
            self.waiting.extend(self._generation())
            self.generation += 1
        children = [self.waiting.popleft() for _ in range(min(n, len(self.waiting)))]
        made = self.generation - 1
        return [
            self.ask(c.arch, {"generation": made, "origin": c.origin, "parents": list(c.parents)}) for c in children
        ]

    def take(self, result: TrialResult, value: float | None) -> None:
        if value is None:
            return
        self.parents.append(Member(result.trial.arch, value, result.number))
        self.parents.sort(key=lambda m: (self.loss(m.value), m.number))
        del self.parents[self.options.top :]

    def state_dict(self) -> dict[str, Any]:
        own = {
            "generation": self.generation,
            "waiting": [(c.arch.text(), c.origin, c.parents) for c in self.waiting],
            "parents": [m.state() for m in self.parents],
            "known": sorted(self.known),
        }
        return {**super().state_dict(), **own}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        super().load_state_dict(state)
        self.generation, self.known = int(state["generation"]), set(state["known"])
        read = self.ctx.space.architecture
        self.waiting = deque(Child(read(text), origin, tuple(parents)) for text, origin, parents in state["waiting"])
        self.parents = [self.member(s) for s in state["parents"]]

    def _generation(self) -> Iterator[Child]:
        """Mutations, crossovers, and draws until it is full: fewer only where nothing new is found."""
        given, made = self.options, 0
        if self.parents:
            kinds: list[tuple[Callable[[], Child], int]] = [
                (self._mutation, given.mutations), (self._crossover, given.crossovers),
            ]  # fmt: skip
            for make, wanted in kinds:
                found = list(self._new(make, min(wanted, given.population - made), TRIES * wanted))
                made += len(found)
                yield from found
        rest = given.population - made
        yield from self._new(lambda: Child(drawn(self.space, self.ctx.rng), "random"), rest, DRAWS * rest)

    def _new(self, make: Callable[[], Child], wanted: int, tries: int) -> Iterator[Child]:
        """Up to ``wanted`` children that were never bred before, out of ``tries``."""
        for _ in range(tries):
            if wanted <= 0:
                return
            child = make()
            if (text := child.arch.text()) not in self.known:
                self.known.add(text)
                wanted -= 1
                yield child

    def _mutation(self) -> Child:
        parent = self.ctx.rng.choice(self.parents)
        seed = self.ctx.rng.getrandbits(31)
        child = self.space.mutate(parent.arch, seed=seed, rate=self.options.mutation)
        return Child(child, "mutation", (parent.number,))

    def _crossover(self) -> Child:
        a, b = (self.ctx.rng.choice(self.parents) for _ in range(2))
        child = self.space.crossover(a.arch, b.arch, seed=self.ctx.rng.getrandbits(31))
        return Child(child, "crossover", (a.number, b.number))

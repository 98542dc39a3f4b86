"""The exact probability of TabNAS' constraint beside the estimate from samples, and its error as samples grow.

Run it from the project's root: ``python -m benchmarks.tabnas``. It writes TABNAS.md and tabnas.svg beside itself.

TabNAS (Yang et al., 2022, section 4) draws N architectures from its controller and takes the share of valid ones for
P(V), and the mean of grad log p over the valid ones for grad log P(V). Both estimates are simulated here exactly as the
paper has them: N draws are one draw of how often each of the 8,000 architectures occurs.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

import spacec
from benchmarks.report import HERE, ROOT, arguments, machine, publish
from spacec.search.report.charts import Series, line_chart

SAMPLES = tuple(round(10 ** (k / 2)) for k in range(2, 13))
"""10 to 1,000,000, two per power of ten."""
SHOWN = (10, 100, 1_000, 10_000, 100_000, 1_000_000)
SEED = 0
CONTROLLERS = {
    "uniform": 0.0,
    "towards large layers": 0.15,
}
"""Logits rise by so much from one size to the next: the second has been drawn past the limit by reward alone."""

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Errors:
    """Of one number of samples: root mean square errors relative to the truth; runs without a valid one."""

    samples: int
    probability: float
    gradient: float
    nothing: float


@dataclass(frozen=True)
class Case:
    """A controller: what holds exactly, and how long that took (milliseconds of CPU time)."""

    exact: float
    gradient: Array
    milliseconds: float
    errors: tuple[Errors, ...]


def measure(space: spacec.Space, slope: float, runs: int) -> Case:
    """Exact values and the errors of estimates for one controller."""
    names = [d.id for d in space.decisions]
    size = len(space.decisions[0].labels)
    logits = {name: slope * np.arange(size) for name in names}
    space.feasible_log_gradient(logits)  # compiles the diagram, which is done once
    taken: list[float] = []
    for _ in range(5):
        at = time.process_time()
        found = space.feasible_log_gradient(logits)
        taken.append(time.process_time() - at)
    gradient = np.concatenate([found[name] for name in names])
    p = np.exp(slope * np.arange(size))
    p /= p.sum()
    exact = float(space.feasible_probability(dict.fromkeys(names, p.tolist())))
    valid = np.zeros((size,) * len(names), dtype=bool)
    for arch in space.enumerate():
        valid[tuple(arch.values[name] for name in names)] = True
    errors = tuple(estimates(p, valid, n, runs, exact, gradient) for n in SAMPLES)
    return Case(exact, gradient, 1000 * min(taken), errors)


def estimates(p: Array, valid: NDArray[np.bool_], samples: int, runs: int, exact: float, gradient: Array) -> Errors:
    """The errors of TabNAS' estimates from so many samples."""
    rng = np.random.default_rng(SEED + samples)
    joint = np.einsum("i,j,k->ijk", p, p, p)
    drawn = rng.multinomial(samples, joint.ravel() / joint.sum(), size=runs).reshape(runs, *valid.shape)
    kept = drawn * valid
    hits = kept.sum(axis=(1, 2, 3))
    some = hits > 0
    marginals = [kept.sum(axis=tuple(a + 1 for a in range(3) if a != layer)) for layer in range(3)]
    found = np.concatenate([m[some] / hits[some, None] - p for m in marginals], axis=1)
    off = np.linalg.norm(found - gradient, axis=1) / np.linalg.norm(gradient)
    return Errors(
        samples,
        float(np.sqrt(np.mean((hits / samples / exact - 1) ** 2))),
        float(np.sqrt(np.mean(off**2))) if some.any() else float("nan"),
        float(1 - some.mean()),
    )


def picture(cases: dict[str, Case]) -> str:
    lines = [
        Series(f"{what}, {name}", tuple((np.log10(e.samples), getattr(e, field)) for e in case.errors))
        for name, case in cases.items()
        for what, field in (("P(V)", "probability"), ("gradient", "gradient"))
    ]
    title = "TabNAS: error of estimates from samples (exact: none)"
    chart = line_chart(lines, title, "samples, as a power of ten", "relative error", log=True, size=(620.0, 360.0))
    return chart.render()


def main() -> None:
    options = arguments(__doc__ or "", runs=200).parse_args()
    facts = machine()
    space = spacec.load(ROOT / "grammars" / "tabular.space")
    cases = {name: measure(space, slope, options.runs) for name, slope in CONTROLLERS.items()}
    (HERE / "tabnas.svg").write_text(picture(cases), encoding="utf-8")
    uniform = space.feasible_probability()
    assert isinstance(uniform, Fraction)
    about = [
        "The space of `grammars/tabular.space`: three layers of 20 sizes each, 1,027 features, at most 41,153 weights "
        "(Yang et al., TabNAS, NeurIPS 2022; the list of sizes is a re-implementation's).",
        f"Of its {space.count(where=False):,} architectures {space.count():,} are valid: P(V) of a uniform controller "
        f"is {uniform} = {float(uniform):.6f}, exactly.",
        f"Estimates: {options.runs} runs each, root mean square of the relative errors (of the gradient: of its norm).",
        options.note,
    ]
    body: list[str] = []
    for name, case in cases.items():
        body += [
            f"## Controller: {name}",
            "",
            f"P(V) = {case.exact:.8g}; P(V) and its gradient take {case.milliseconds:.2f} ms of CPU time, exactly.",
            "",
            "| samples | error of P(V) | error of grad log P(V) | runs without a valid sample |",
            "| --: | --: | --: | --: |",
            *(
                f"| {e.samples:,} | {100 * e.probability:.3g} % | {100 * e.gradient:.3g} % | {100 * e.nothing:.3g} % |"
                for e in case.errors
                if e.samples in SHOWN
            ),
            "",
        ]
    publish("TABNAS", "TabNAS' constraint: exact, and from samples", facts, about, [*body, "![Errors](tabnas.svg)"])


if __name__ == "__main__":
    main()

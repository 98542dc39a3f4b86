"""The pictures of STRATEGIES.md, from the records alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import ceil, floor
from statistics import mean

from benchmarks.strategy_page import Record, Records, accuracy, arm, by_entry, psnr
from benchmarks.strategy_rows import ARMS, BASELINE, SPACES, TITLES
from spacec.draw.svg import FAINT, INK, MUTED, PALETTE, PAPER, Svg

SEARCHED, RANDOM = PALETTE[0], PALETTE[1]


def pictures(records: Records) -> dict[str, str]:
    """File name to SVG, of what has records."""
    found = {f"strategies_{space}.svg": _lines(records, space) for space in SPACES if len(by_entry(records, space)) > 1}
    arms = {name: some for name in ARMS if (some := arm(records, name))}
    return {**found, "clearer_pairs.svg": _columns(arms)} if arms else found


def _scale(values: Sequence[float], start: float, end: float) -> Callable[[float], float]:
    low, high = min(values), max(values)
    return lambda value: start + (value - low) / max(high - low, 1e-9) * (end - start)


def _lines(records: Records, space: str) -> str:
    """A line for each strategy, best mean on top: a dot for each seed, a bar at the mean; behind them uniform draws."""
    values = {e: [accuracy(r) for r in some] for e, some in by_entry(records, space).items()}
    left, right, top, step = 110.0, 600.0, 50.0, 20.0
    bottom = top + step * len(values)
    svg = Svg(620, bottom + 30, f"Accuracy of retrained picks: {TITLES[space]}")
    svg.text(12, 20, f"Fashion-MNIST: {TITLES[space]}", 12.5, bold=True)
    legend = "accuracy of the retrained pick: a dot for each seed, a bar at the mean; grey: the range of uniform draws"
    svg.text(12, 36, legend, 10, fill=MUTED)
    flat = [v for some in values.values() for v in some]
    at = _scale(flat, left + 10, right - 10)
    if "uniform" in values:
        a, b = at(min(values["uniform"])), at(max(values["uniform"]))
        svg.rect(a, top - 4, b - a, bottom - top, fill=FAINT)
    for k, (entry, some) in enumerate(values.items()):
        y = top + step * k + 6
        colour = RANDOM if entry in ("uniform", "random", BASELINE) else SEARCHED
        svg.text(left - 8, y + 4, entry, 11, "end")
        svg.line((left, y), (right, y), FAINT, 0.6)
        svg.line((at(mean(some)), y - 7), (at(mean(some)), y + 7), INK, 2)
        for value in some:
            svg.circle(at(value), y, 3.4, colour, colour)
    low, high = ceil(min(flat)), floor(max(flat))
    for tick in range(low, high + 1, max(1, round((high - low) / 8))):
        svg.line((at(tick), bottom - 4), (at(tick), bottom), MUTED)
        svg.text(at(tick), bottom + 14, f"{tick} %", 10, "middle", MUTED)
    return svg.render()


def _columns(arms: dict[str, list[Record]]) -> str:
    """A column for each seed and arm: the pick, and its random architectures."""
    shown = {name: [[psnr(r), *map(psnr, r["random"])] for r in some] for name, some in arms.items()}
    flat = [v for some in shown.values() for column in some for v in column]
    wide, left, top, bottom = 270.0, 50.0, 60.0, 230.0
    svg = Svg(left + wide * len(shown) + 10, 270, "CLEARER's picks and random architectures of equal size")
    svg.text(12, 20, "Denoising photographs: PSNR in dB after equal training", 12.5, bold=True)
    svg.circle(18, 35, 4, SEARCHED, SEARCHED)
    svg.text(28, 39, "CLEARER's pick", 10.5)
    svg.circle(138, 35, 4, PAPER, RANDOM)
    svg.text(148, 39, "random architecture of about its size", 10.5)
    at = _scale(flat, bottom, top)
    for tick in (min(flat), (min(flat) + max(flat)) / 2, max(flat)):
        svg.text(left - 4, at(tick) + 4, f"{tick:.1f}", 10, "end", MUTED)
        svg.line((left, at(tick)), (left + wide * len(shown), at(tick)), FAINT, 0.6)
    for k, (name, some) in enumerate(shown.items()):
        middle = left + wide * (k + 0.5)
        seeds = ", ".join(str(r["settings"]["seed"]) for r in arms[name])
        svg.text(middle, 262, f"{name}: seeds {seeds}", 10.5, "middle", MUTED)
        for j, (pick, *others) in enumerate(some):
            x = left + wide * k + wide * (j + 0.5) / len(some)
            svg.line((x, at(min(pick, *others))), (x, at(max(pick, *others))), FAINT, 2)
            for other in others:
                svg.circle(x, at(other), 4, PAPER, RANDOM)
            svg.circle(x, at(pick), 4, SEARCHED, SEARCHED)
    return svg.render()

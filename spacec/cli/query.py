"""``spacec query``: what a benchmark says of architectures."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from spacec.cli.output import facts, table, tell, tell_json
from spacec.cli.progress import counted, working
from spacec.cli.spaces import file_argument, json_option, open_space, space_options

if TYPE_CHECKING:
    from spacec.space.architecture import Architecture
    from spacec.space.benchmark import Benchmark, Measured


path_option = click.option(
    "--file", "path", type=click.Path(), metavar="PATH", help="The benchmark's file, where it reads one."
)
dataset_option = click.option("--dataset", metavar="NAME", help="The data set; short for --which dataset=NAME.")
which_option = click.option(
    "--which", multiple=True, metavar="NAME=VALUE", help="What else to ask for, such as epochs=12. Repeatable."
)


@click.command()
@file_argument
@click.argument("benchmark_name", metavar="BENCHMARK")
@click.argument("archs", metavar="[ARCH]...", nargs=-1)
@space_options
@path_option
@dataset_option
@which_option
@json_option
def query(
    file: str,
    benchmark_name: str,
    archs: tuple[str, ...],
    params: tuple[str, ...],
    preset: str | None,
    ops: tuple[str, ...],
    path: str | None,
    dataset: str | None,
    which: tuple[str, ...],
    as_json: bool,
) -> None:
    """Ask an installed benchmark for architectures of a space; without any, show what it can be asked.

    ARCH is an architecture's one-line text, a file with it or with its JSON, or random:SEED. Times are
    those that training and rating cost the makers of the table.

    \b
    Example:
      spacec query grammars/nas_bench_201.space nas-bench-201 random:1 random:2 --dataset cifar100
    """
    space = open_space(file, params, preset, ops)
    asked = which_of(dataset, which)
    with working("reading the table"):
        benchmark = space.benchmark(benchmark_name, path)
    chosen = benchmark.asked(asked)
    if not archs:
        describe(benchmark, as_json)
        return
    found = [space.architecture(spec) for spec in archs]
    answers = [(arch, benchmark.query(arch, **chosen)) for arch in counted(found, "asking", len(found))]
    if as_json:
        tell_json([{**_answer(arch, measured), "which": chosen} for arch, measured in answers])
        return
    tell(_answers(benchmark, answers))


def which_of(dataset: str | None, which: tuple[str, ...], flag: str = "--which") -> dict[str, str]:
    """What ``--dataset`` and ``--which`` ask for. Raises E0704 and E0705 (see ``split_assignments``)."""
    from spacec.search.options import split_assignments

    return split_assignments(which if dataset is None else (f"dataset={dataset}", *which), flag)


def describe(benchmark: Benchmark, as_json: bool) -> None:
    """What a benchmark can be asked, and for what."""
    if as_json:
        which = {name: list(values) for name, values in benchmark.which.items()}
        about = {"benchmark": benchmark.name, "source": benchmark.source, "which": which}
        tell_json({**about, "metrics": [asdict(m) for m in benchmark.metrics]})
        return
    asked = {name: ", ".join(values) for name, values in benchmark.which.items()}
    tell(facts({"benchmark": benchmark.name, "source": benchmark.source, **asked}))
    tell("\nmetrics")
    tell(table([(m.name, m.unit, f"{m.direction} is better", m.help) for m in benchmark.metrics]))


def _answer(arch: Architecture, measured: Measured) -> dict[str, Any]:
    return {"architecture": arch.text(), "metrics": dict(measured.metrics), "seconds": measured.seconds}


def _answers(benchmark: Benchmark, answers: list[tuple[Architecture, Measured]]) -> str:
    units = {m.name: m.unit for m in benchmark.metrics}
    blocks = []
    for arch, measured in answers:
        shown = {name: f"{_number(v)} {units.get(name, '')}".rstrip() for name, v in measured.metrics.items()}
        if measured.seconds is not None:
            shown["training time"] = f"{measured.seconds:,.0f} s"
        blocks.append(f"{arch.text()}\n{table(list(shown.items()))}")
    return "\n".join(blocks)


def _number(value: float) -> str:
    return f"{value:,.0f}" if value == round(value) and abs(value) >= 1000 else f"{value:.6g}"

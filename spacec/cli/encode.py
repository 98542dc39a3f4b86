"""``spacec encode``: architectures as rows of numbers, for predictors written anywhere."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from spacec.cli.files import write_whole
from spacec.cli.output import tell
from spacec.cli.progress import working
from spacec.cli.spaces import file_argument, named_architecture, open_space, read_params, space_options
from spacec.diagnostics.model import Diagnostic, SpacecError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from spacec.space.architecture import Architecture

SUFFIXES = (".npz", ".csv", ".json")

Arrays = dict[str, "NDArray[Any]"]


@click.command()
@file_argument
@click.argument("archs", nargs=-1, metavar="ARCH...")
@space_options
@click.option(
    "--scheme",
    default="onehot",
    show_default=True,
    metavar="S",
    help="onehot, categorical, adjacency, path, graph or tokens.",
)
@click.option(
    "--option", "options", multiple=True, metavar="NAME=VALUE", help="An option of the scheme: length=3. Repeatable."
)
@click.option("-n", "drawn", type=click.IntRange(min=0), default=0, help="Encode so many drawn uniformly as well.")
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of what is drawn.")
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False),
    metavar="FILE",
    help="x.npz, x.csv or x.json; without it CSV is printed.",
)
def encode(
    file: str,
    archs: tuple[str, ...],
    params: tuple[str, ...],
    preset: str | None,
    ops: tuple[str, ...],
    scheme: str,
    options: tuple[str, ...],
    drawn: int,
    seed: int,
    output: str | None,
) -> None:
    """Write architectures as rows of numbers.

    A row of CSV is the text of an architecture and its columns, whose names stand in the first line;
    .npz holds them as arrays (`rows`, `columns`, `architectures`), .json as lists. The tensors of the
    scheme graph are of several axes: they go to .npz or .json.

    \b
    Example:
      spacec encode grammars/nas_bench_201.space random:1 random:2 --scheme adjacency -o cells.npz
    """
    suffix = Path(output).suffix if output else ".csv"
    if suffix not in SUFFIXES:
        raise click.UsageError(f"-o takes a file that ends in {', '.join(SUFFIXES)}")
    space = open_space(file, params, preset, ops)
    chosen = [named_architecture(space, arch) for arch in archs]
    with working("drawing"):
        chosen += space.sample(drawn, seed)
    if not chosen:
        raise click.UsageError("name an architecture, or draw some with -n")
    given = read_params(options)
    with working("encoding"):
        encoding = space.encoding(scheme, **given)
        arrays = _arrays(space.encode(chosen, scheme, **given), encoding)
    if suffix == ".csv" and "rows" not in arrays:
        headline = "'graph' has tensors of several axes, which CSV cannot hold"
        raise SpacecError(Diagnostic("E0624", headline, help="write them with -o graphs.npz or -o graphs.json"))
    with working("writing"):
        data = {".csv": _csv, ".json": _json, ".npz": _npz}[suffix](arrays, chosen, scheme)
    if output:
        write_whole(Path(output), data)
    else:
        tell(data.decode().rstrip("\n"))


def _arrays(made: Any, encoding: Any) -> Arrays:
    """What is written, by name: the rows and their columns, or the tensors of graphs and what their axes mean."""
    import numpy as np

    if encoding.scheme == "graph":
        tensors = {name: getattr(made, name) for name in ("nodes", "adjacency", "mask", "context")}
        names = {"vertices": encoding.vertices, "labels": encoding.labels, "columns": encoding.context}
        return {**tensors, **{name: np.array(told, dtype=np.str_) for name, told in names.items()}}
    more = {"vocabulary": np.array(encoding.options["vocabulary"])} if encoding.scheme == "tokens" else {}
    return {"rows": made, "columns": np.array(encoding.columns, dtype=np.str_), **more}


def _npz(arrays: Arrays, chosen: list[Architecture], scheme: str) -> bytes:
    import numpy as np

    stream = io.BytesIO()
    texts = np.array([arch.text() for arch in chosen])
    plain = {name: array.astype(np.str_) if array.dtype == object else array for name, array in arrays.items()}
    np.savez_compressed(stream, architectures=texts, scheme=np.array(scheme), **plain)  # type: ignore[arg-type]  # the stub takes allow_pickle for an array
    return stream.getvalue()


def _json(arrays: Arrays, chosen: list[Architecture], scheme: str) -> bytes:
    facts = {
        "scheme": scheme,
        "architectures": [a.text() for a in chosen],
        **{k: v.tolist() for k, v in arrays.items()},
    }
    return (json.dumps(facts) + "\n").encode()


def _csv(arrays: Arrays, chosen: list[Architecture], scheme: str) -> bytes:
    import csv

    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(["architecture", *arrays["columns"].tolist()])
    for arch, row in zip(chosen, arrays["rows"].tolist(), strict=True):
        writer.writerow([arch.text(), *row])
    return stream.getvalue().encode()

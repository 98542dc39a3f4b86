"""What decisions change, told from the graph."""

from __future__ import annotations

from pathlib import Path

import pytest

import spacec
from spacec.search.dimensions import dimensions

GRAMMARS = Path(__file__).parents[2] / "grammars"


def found(space: spacec.Space) -> dict[str, set[str]]:
    """Last parts of the ids of decisions, by what they change."""
    out: dict[str, set[str]] = {}
    for name, kind in dimensions(space.flat, space.decisions).items():
        out.setdefault(kind, set()).add(name.rpartition(".")[2].partition("[")[0])
    return out


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("ofa", {"kernel": {"kernel"}, "width": {"expansion"}, "depth": {"depth"}}),
        ("autoformer", {"width": {"width", "n", "f"}, "depth": {"repeat"}}),
        ("nas_bench_201", {"operation": {"edge"}}),
    ],
)
def test_of_the_literature(name: str, expected: dict[str, set[str]]) -> None:
    kinds = found(spacec.load(GRAMMARS / f"{name}.space", preset="tiny"))
    assert kinds.keys() == expected.keys()
    assert name != "ofa" or kinds == expected


def test_a_size_that_is_kernel_and_width_is_a_width() -> None:
    space = spacec.loads("""
space both
input  image: [1, 8, 8]
output y: [2]
let n = elastic {1, 3, 5}
net = conv(n, n) >> (conv(elastic {3, 5}) | conv({3, 5}) | identity) >> global_pool >> linear(2)
""")
    kinds = found(space)
    assert kinds["width"] == {"n"}
    assert kinds["kernel"] == {"kernel"}
    assert len(kinds["operation"]) == 2

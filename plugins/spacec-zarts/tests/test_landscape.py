"""The plane through a path, L on it, what survives an interruption, the picture, and the command."""

from __future__ import annotations

import csv
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from dataclasses import replace
from math import isfinite, nan
from pathlib import Path as File

import pytest
import torch
from spacec_zarts import landscape, picture
from spacec_zarts.landscape import Grid, Path, Plane, grid_of, plane_of
from spacec_zarts.picture import Titles, draw_landscape
from spacec_zarts.strategy import ZARTS
from spacec_zarts.survey import Rating, Survey, survey, to_csv
from torch import Tensor

import spacec
from spacec.cli.main import run
from spacec.reopen import Reopened, reopen
from spacec.search.config import SearchConfig
from spacec.search.progress import Progress
from spacec.search.runner import search
from spacec.testing.synthetic import Synthetic

SPACE = spacec.loads("""
space points(width = 5, classes = 3)
input  x: [width]
output logits: [classes]
def block = skip: identity | lin: linear(bias = 0) >> tanh | norm: linear(bias = 0) >> bn
net = block * 2 >> linear(classes)
""")
CONFIG = SearchConfig(epochs=4, steps=3, batch_size=8, eval_batches=1, lr=0.1, device="cpu")
TITLES = Titles("title", "remark", "across", "up")
DATA = "from spacec.testing.synthetic import Synthetic as data\n"


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[File]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    out = tmp_path_factory.mktemp("runs") / "run"
    options = {"sigma": 0.5, "inner_steps": 1, "inner_batch_size": 8}
    search(SPACE, ZARTS(options), Synthetic(), CONFIG, out)
    yield out
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def found(searched: File) -> Reopened:
    return reopen(searched, task=Synthetic())


def rng() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def straight(points: Tensor) -> Path:
    """A path of a space of one slot for each six logits."""
    return Path(tuple(range(len(points))), points, SPACE.slots, (True, True))


def test_a_path_gives_back_what_was_recorded(found: Reopened) -> None:
    path = Path.of(found.space.slots, found.probabilities)
    assert path.epochs == (0, 1, 2, 3)
    for epoch, point in zip(path.epochs, path.points, strict=True):
        for slot, weights in path.mask(point, torch.zeros(1, dtype=torch.float64)).items():
            torch.testing.assert_close(weights, torch.tensor(found.probabilities[epoch][slot], dtype=torch.float64))
    assert bool((path.end.unflatten(0, (2, 3)).mean(1).abs() < 1e-12).all())


def test_values_that_are_no_probabilities_are_kept_and_zeros_are_small() -> None:
    a, b = (s.id for s in SPACE.slots)
    recorded = {0: {a: (0.5, 0.5, 0.0), b: (0.2, 0.1, 0.3)}, 1: {a: (1.0, 0.0, 0.0)}, 2: {a: (1, 0, 0), b: (1, 1, 1)}}
    path = Path.of(SPACE.slots, recorded)
    assert path.epochs == (0, 2)
    assert path.sums == (True, False)
    mask = path.mask(path.points[0], torch.zeros(1, dtype=torch.float64))
    assert mask[a].tolist() == pytest.approx([0.5, 0.5, 0.0], abs=2 * landscape.SMALLEST)
    assert mask[b].tolist() == pytest.approx([0.2, 0.1, 0.3])


def test_random_directions_are_orthogonal_and_scaled_by_block() -> None:
    path = straight(torch.randn(5, 6, dtype=torch.float64, generator=rng()))
    whole = plane_of(path, "random", [list(range(6))], rng())
    assert float(whole.directions[0] @ whole.directions[1]) == pytest.approx(0, abs=1e-12)
    assert float(whole.directions[1].norm()) == pytest.approx(float(path.end.norm()))
    parts = plane_of(path, "random", [[0, 1], [2, 3, 4, 5]], rng())
    for k in range(2):
        assert float(parts.directions[k, :2].norm()) == pytest.approx(float(path.end[:2].norm()))
        assert float(parts.directions[k, 2:].norm()) == pytest.approx(float(path.end[2:].norm()))
    assert torch.equal(parts.directions, plane_of(path, "random", [[0, 1], [2, 3, 4, 5]], rng()).directions)


def test_principal_directions_contain_a_flat_path() -> None:
    basis = torch.linalg.qr(torch.randn(6, 2, dtype=torch.float64, generator=rng())).Q.T
    places = torch.tensor([[0.0, 0.0], [3.0, 0.5], [6.0, -0.5], [9.0, 0.2]], dtype=torch.float64)
    path = straight(places @ basis)
    plane = plane_of(path, "pca", [list(range(6))], rng())
    shadow = plane.project(path.points)
    for point, (x, y) in zip(path.points, shadow.tolist(), strict=True):
        torch.testing.assert_close(plane.at(x, y), point)
    assert shadow[-1].tolist() == pytest.approx([0, 0], abs=1e-12)
    shares = [float(t.split("(")[1].split(" %")[0]) for t in plane.titles]
    assert sum(shares) == pytest.approx(100, abs=0.1)
    assert shares[0] > 90


@pytest.mark.parametrize("points", [1, 3])
def test_a_path_without_directions_of_its_own_gets_random_ones(points: int) -> None:
    line = torch.linspace(0, 1, points, dtype=torch.float64)[:, None] * torch.ones(6, dtype=torch.float64)
    plane = plane_of(straight(line), "pca", [list(range(6))], rng())
    torch.testing.assert_close(plane.directions @ plane.directions.T, torch.eye(2, dtype=torch.float64))
    assert "random" in plane.titles[1]
    assert ("random" in plane.titles[0]) == (points == 1)


def test_the_grid_holds_the_path_and_all_around_it() -> None:
    path = straight(torch.randn(5, 6, dtype=torch.float64, generator=rng()))
    plane = plane_of(path, "pca", [list(range(6))], rng())
    grid = grid_of(path, plane, 9)
    shadow = plane.project(path.points)
    for k, line in enumerate((grid.xs, grid.ys)):
        assert len(line) == 9
        assert line[0] < float(shadow[:, k].min())
        assert line[-1] > float(shadow[:, k].max())
    assert len(grid.cells) == 81
    assert grid.cells[1] == (grid.xs[1], grid.ys[0])
    rests = straight(torch.zeros(2, 6, dtype=torch.float64))
    still = grid_of(rests, plane_of(rests, "pca", [list(range(6))], rng()), 5)
    assert still.xs[0] == pytest.approx(-still.xs[-1])
    assert still.xs[-1] > 0.5


def planned(found: Reopened, points: int = 3) -> tuple[Path, Plane, Grid]:
    path = Path.of(found.space.slots, found.probabilities)
    plane = plane_of(path, "pca", [list(range(6))], rng())
    return path, plane, grid_of(path, plane, points)


def test_losses_are_those_of_the_supernet(found: Reopened) -> None:
    path, plane, grid = planned(found)
    ctx = found.context
    before = {k: v.clone() for k, v in ctx.supernet.state_dict().items()}
    (batch,) = [b for k, b in enumerate(_ordered(found)) if k == 0]
    for statistics, training in (("batch", True), ("running", False)):
        result = survey(ctx, path, plane, grid, Rating(statistics=statistics))  # type: ignore[arg-type]  # of two texts
        mask = path.mask(plane.at(*grid.cells[5]), torch.zeros(1))
        with torch.no_grad(), ctx.statistics_kept(), ctx.mode(training):
            assert result.losses[5] == pytest.approx(float(ctx.loss(ctx.forward(batch, mask), batch)), rel=1e-6)
        end = {s: torch.tensor(p) for s, p in found.probabilities[3].items()}
        with torch.no_grad(), ctx.statistics_kept(), ctx.mode(training):
            assert result.path_losses[-1] == pytest.approx(float(ctx.loss(ctx.forward(batch, end), batch)), rel=1e-5)
    trained = survey(ctx, path, plane, grid, Rating(inner_steps=5, inner_lr=0.05))
    plain = survey(ctx, path, plane, grid, Rating())
    assert sum(trained.losses) < sum(plain.losses)
    assert survey(ctx, path, plane, grid, Rating(batches=2)).losses != plain.losses
    assert all(torch.equal(v, before[k]) for k, v in ctx.supernet.state_dict().items())


def _ordered(found: Reopened) -> Iterator[spacec.search.task.Batch]:
    from spacec.search.loader import ordered

    return ordered(found.context.splits.arch, found.context.eval_batch_size, Rating().batches)


def test_an_interrupted_survey_goes_on(found: Reopened, tmp_path: File) -> None:
    path, plane, grid = planned(found)
    partial, steps = tmp_path / "p.json", []

    def stop(now: Progress) -> None:
        steps.append(now.step)
        if now.step == 7:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        survey(found.context, path, plane, grid, Rating(), partial, stop)
    rest = survey(found.context, path, plane, grid, Rating(), partial, lambda now: steps.append(now.step))
    assert steps == [*range(8), *range(6, 13)]
    assert rest.losses == survey(found.context, path, plane, grid, Rating()).losses
    steps.clear()
    survey(found.context, path, plane, grid, Rating(batches=2), partial, lambda now: steps.append(now.step))
    assert steps == list(range(13))


@pytest.mark.parametrize("text", ["[]", '{"key": "other", "losses": [1]}'])
def test_a_file_of_another_survey_is_not_taken(text: str, found: Reopened, tmp_path: File) -> None:
    (tmp_path / "p.json").write_text(text)
    path, plane, grid = planned(found, 2)
    assert survey(found.context, path, plane, grid, Rating(), tmp_path / "p.json").losses[0] != 1


def test_contours_lie_on_their_level() -> None:
    pieces = picture.contour(lambda i, j: i + 2.0 * j, 6, 6, 4.5)
    assert len(pieces) > 4
    for a, b in pieces:
        assert a[0] + 2 * a[1] == pytest.approx(4.5)
        assert b[0] + 2 * b[1] == pytest.approx(4.5)
    ring = picture.contour(lambda i, j: ((i - 10) ** 2 + (j - 10) ** 2) ** 0.5, 21, 21, 6.0)
    length = sum(((a[0] - b[0]) ** 2 + (a[1] - b[1]) ** 2) ** 0.5 for a, b in ring)
    assert length == pytest.approx(2 * 3.14159 * 6, rel=0.01)
    saddle = picture.contour(lambda i, j: float(i == j), 2, 2, 0.4)
    assert len(saddle) == 2
    assert picture.contour(lambda i, j: nan if i == 1 else float(j), 3, 3, 0.5) == []


def test_colours_run_from_dark_to_bright() -> None:
    assert picture.colour(-1.0) == picture.colour(0.0) == picture.COLOURS[0]
    assert picture.colour(1.0) == picture.COLOURS[-1]
    lightness = [sum(int(picture.colour(k / 20)[i : i + 2], 16) for i in (1, 3, 5)) for k in range(21)]
    assert lightness == sorted(lightness)


def drawn(found: Survey) -> tuple[str, list[str]]:
    """A picture, and the texts on it."""
    text = draw_landscape(found, TITLES).render()
    return text, ["".join(e.itertext()) for e in ET.fromstring(text).iter("{http://www.w3.org/2000/svg}text")]


def bowl(size: int = 5, high: float = 1.0, path: int = 3) -> Survey:
    line = tuple(float(k) for k in range(size))
    grid = Grid(line, line)
    shadow = torch.tensor([[1.0 + k, 2.0] for k in range(path)], dtype=torch.float64)
    losses = tuple(high * (1e-3 + (x - 2) ** 2 + (y - 2) ** 2) for x, y in grid.cells)
    return Survey(grid, losses, tuple(0.5 for _ in range(path)), shadow, tuple(range(path)))


def test_the_picture_says_what_it_shows() -> None:
    text, words = drawn(bowl())
    assert {"title", "remark", "across", "up", "start", "end", "loss (logarithmic)"} <= set(words)
    assert text.count("<rect") >= 25 + 84
    assert "epoch 3: loss 0.5" in text
    assert "start" not in drawn(bowl(path=1))[1]
    flat = replace(bowl(), losses=(0.7,) * 25)
    assert "loss" in drawn(flat)[1]


def test_losses_that_are_no_numbers_are_grey() -> None:
    one = bowl()
    broken = replace(one, losses=(nan, *one.losses[1:-1], float("inf")))
    text = draw_landscape(broken, TITLES).render()
    assert text.count('fill="#d6d9de"') == 2
    assert "nan" not in text
    assert "inf" not in text
    assert "no loss of this plane" in draw_landscape(replace(one, losses=(nan,) * 25), TITLES).render()


def test_the_table_has_every_point() -> None:
    rows = list(csv.DictReader(to_csv(bowl()).splitlines()))
    assert [r["part"] for r in rows] == ["grid"] * 25 + ["path"] * 3
    assert float(rows[7]["loss"]) == bowl().losses[7]
    assert (float(rows[7]["x"]), float(rows[7]["y"])) == bowl().grid.cells[7]
    assert (rows[-1]["epoch"], float(rows[-1]["x"])) == ("2", 3.0)


def test_the_command_draws_a_run(searched: File, tmp_path: File, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "data.py").write_text(DATA)
    out = tmp_path / "new" / "picture.svg"
    arguments = ["landscape", str(searched), "--task", f"{tmp_path / 'data.py'}:data", "--grid", "4", "--out", str(out)]
    assert run(arguments) == 0
    assert str(out) in capsys.readouterr().out
    assert "path of zarts on points" in out.read_text()
    assert sorted(p.name for p in out.parent.iterdir()) == ["picture.csv", "picture.svg"]
    losses = [float(r["loss"]) for r in csv.DictReader(out.with_suffix(".csv").read_text().splitlines())]
    assert len(losses) == 20
    assert all(map(isfinite, losses))
    first = out.read_bytes()
    assert run(arguments) == 0
    assert out.read_bytes() == first
    assert run([*arguments, "--directions", "random", "--inner-steps", "1"]) == 0
    assert "first random direction" in out.read_text()


def test_what_cannot_be_drawn_is_said(searched: File, tmp_path: File, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "data.py").write_text(DATA)
    assert run(["landscape", str(tmp_path)]) == 1
    assert "E0840" in capsys.readouterr().err
    assert run(["landscape", str(searched)]) == 1
    assert "name its data with --task" in capsys.readouterr().err
    assert run(["landscape", str(searched), "--grid", "1"]) == 2
    assert run(["landscape", str(searched), "--out", str(tmp_path / "x.csv")]) == 2
    assert "ends in .svg" in capsys.readouterr().err
    (tmp_path / "file").write_text("")
    arguments = ["landscape", str(searched), "--task", f"{tmp_path / 'data.py'}:data", "--grid", "2"]
    assert run([*arguments, "--out", str(tmp_path / "file" / "x.svg")]) == 1
    assert "E0810" in capsys.readouterr().err


def test_a_strategy_without_probabilities_has_no_path(tmp_path: File, capsys: pytest.CaptureFixture[str]) -> None:
    from spacec_random.strategy import RandomSearch

    search(SPACE, RandomSearch({"samples": 1}), Synthetic(), replace(CONFIG, epochs=1), tmp_path / "run")
    (tmp_path / "data.py").write_text(DATA)
    assert run(["landscape", str(tmp_path / "run"), "--task", f"{tmp_path / 'data.py'}:data"]) == 1
    assert "recorded no probabilities" in " ".join(capsys.readouterr().err.split())

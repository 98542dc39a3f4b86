"""MGS, RS and GLD against their formulas and known expectations, in double precision, on losses without a network."""

from __future__ import annotations

from collections.abc import Callable
from math import exp, log2
from typing import Literal

import pytest
import torch
from spacec_zarts.estimators import gradientless, log_mixture, mgs, radii, random_search
from torch import Tensor
from torch.distributions import MultivariateNormal

D = 6
BLOCKS = ([0, 1, 2, 3], [4, 5])
A = torch.linspace(-1, 1, D, dtype=torch.float64)
G = torch.tensor([0.3, -0.2, 0.1, 0.05, -0.4, 0.2], dtype=torch.float64)
FORMS: tuple[Literal["antithetic", "multi-point", "one-point"], ...] = ("antithetic", "multi-point", "one-point")


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def quadratic(offset: float = 0.0) -> tuple[Callable[[Tensor], float], Callable[[Tensor], Tensor]]:
    """x^T H x / 2 + b x + offset, and its gradient."""
    root = torch.randn(D, D, dtype=torch.float64, generator=rng(1))
    h, b = root @ root.T / D, torch.randn(D, dtype=torch.float64, generator=rng(2))
    return lambda x: float(x @ h @ x / 2 + b @ x) + offset, lambda x: h @ x + b


def normal(mean: Tensor, sigma: float) -> MultivariateNormal:
    return MultivariateNormal(mean, sigma**2 * torch.eye(D, dtype=torch.float64))


def test_mgs_weighs_by_target_over_mixture() -> None:
    loss, _ = quadratic()
    points: list[Tensor] = []

    def seen(x: Tensor) -> float:
        points.append(x)
        return loss(x)

    step = mgs(seen, A, G, rng(), samples=5, sigma=0.3, tau=0.5, lam=0.2, baseline=loss(A))
    deltas = torch.stack(points) - A
    p = torch.tensor([exp(-(loss(x) - loss(A)) / 0.5) for x in points], dtype=torch.float64)
    q = 0.8 * normal(-G, 0.3).log_prob(deltas).exp() + 0.2 * normal(0 * G, 0.3).log_prob(deltas).exp()
    c = p / q / (p / q).sum()
    torch.testing.assert_close(torch.tensor(step.weights, dtype=torch.float64), c)
    torch.testing.assert_close(step.delta, (c[:, None] * deltas).sum(0))
    assert step.effective == pytest.approx(float(1 / c.square().sum()))


def test_the_mixture_is_drawn_from_both_normals_in_their_shares() -> None:
    sigma, near = 1e-3, 0
    for seed in range(400):
        delta = mgs(lambda x: 0.0, A, G, rng(seed), samples=1, sigma=sigma, tau=1.0, lam=0.25).delta
        distances = float((delta + G).norm()) / sigma, float(delta.norm()) / sigma
        assert min(distances) < 6
        near += distances[0] < distances[1]
    assert 0.75 * 400 - 4 * 8.7 < near < 0.75 * 400 + 4 * 8.7


def test_mgs_as_released() -> None:
    """The release's lines, spelt out: a sum of draws, its density with the slip, 1e-4, and no inner training."""
    loss, _ = quadratic()
    sigma, tau, lam = 0.2, 0.5, 1e-3
    step = mgs(loss, A, G, rng(), samples=4, sigma=sigma, tau=tau, lam=lam, baseline=loss(A),
               proposal="sum", density="released")  # fmt: skip
    source, var = rng(), sigma * sigma
    deltas, coefficients = [], []
    for _ in range(4):
        near = -G + sigma * torch.randn(D, dtype=torch.float64, generator=source)
        wide = sigma * torch.randn(D, dtype=torch.float64, generator=source)
        d = (1 - lam) * near + lam * wide
        density = (1 - lam) * torch.exp(-torch.dot(d + G, d + G) / (2.0 * var))
        density = density + lam * torch.exp(-torch.dot(d, d) / 2.0 * var)
        deltas.append(d)
        coefficients.append(exp(-(loss(A + d) - loss(A)) / tau) / (float(density) + 1e-4))
    expected = sum((c * d for c, d in zip(coefficients, deltas, strict=True)), torch.zeros(D)) / sum(coefficients)
    torch.testing.assert_close(step.delta, expected)


def test_the_released_density_leaves_a_softmax_of_losses_in_many_dimensions() -> None:
    """Facts D1 c: with 196 logits the first term vanishes and the second is near lam, so weights are exp(-L / tau)."""
    at = torch.zeros(196, dtype=torch.float64)
    step = mgs(lambda x: float(x.sum()), at, at + 0.01, rng(), samples=4, sigma=0.025, tau=0.01, lam=1e-3,
               proposal="sum", density="released")  # fmt: skip
    softmax = (-torch.tensor(step.losses, dtype=torch.float64) / 0.01).softmax(0)
    torch.testing.assert_close(torch.tensor(step.weights, dtype=torch.float64), softmax, rtol=1e-3, atol=1e-9)


def test_mgs_steps_along_the_gradient_as_sigma_falls() -> None:
    loss, gradient = quadratic()
    g = gradient(A)
    for sigma in (1e-2, 1e-4, 1e-6):
        step = mgs(loss, A, g, rng(), samples=4, sigma=sigma, tau=1.0, lam=0.0)
        assert float((step.delta + g).norm()) < 4 * sigma * D**0.5


def test_mgs_expects_the_mean_of_its_target() -> None:
    """L = |x - A - m|^2 / 2 makes p the normal N(m, tau): the weighted mean of many draws of q is m."""
    m = 0.5 * torch.ones(D, dtype=torch.float64)
    loss = lambda x: float((x - A - m).square().sum()) / 2  # noqa: E731  # one line of mathematics
    step = mgs(loss, A, G, rng(), samples=12000, sigma=0.8, tau=0.25, lam=0.1)
    assert float((step.delta - m).abs().max()) < 5 * (0.25 / step.effective) ** 0.5


def test_log_mixture_is_a_density() -> None:
    """It integrates to one: the mean of q / r over draws of a wider normal r is one."""
    wide = normal(0 * G, 0.6)
    torch.manual_seed(0)
    draws = wide.sample((6000,))
    ratios = torch.tensor([exp(log_mixture(d, G, 0.4, 0.3)) for d in draws]) / wide.log_prob(draws).exp()
    assert float(ratios.mean()) == pytest.approx(1, abs=5 * float(ratios.std()) / 6000**0.5)


@pytest.mark.parametrize("mu", [1e-2, 0.1, 3.0])
def test_antithetic_pairs_give_the_directional_derivative_of_a_quadratic(mu: float) -> None:
    loss, gradient = quadratic(offset=7.0)
    points: list[Tensor] = []

    def seen(x: Tensor) -> float:
        points.append(x)
        return loss(x)

    found = random_search(seen, A, BLOCKS, rng(), samples=3, mu=mu)
    assert len(points) == len(found.losses) == 6
    expected = torch.zeros_like(A)
    for plus, minus in zip(points[::2], points[1::2], strict=True):
        u = (plus - minus) / (2 * mu)
        for block in BLOCKS:
            assert float(u[block].norm()) == pytest.approx(1)
        expected += (u @ gradient(A)) * u / 3
    for block in BLOCKS:
        expected[block] *= len(block)
    torch.testing.assert_close(found.delta, expected, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("distribution", ["sphere", "gaussian"])
def test_rs_is_unbiased_for_the_smoothed_gradient(
    form: Literal["antithetic", "multi-point", "one-point"], distribution: Literal["sphere", "gaussian"]
) -> None:
    """Of a cubic: the ball's (or the normal's) second moment adds 3 mu^2 E[v_i^2] to the gradient 3 a^2."""
    loss = lambda x: float((x**3).sum())  # noqa: E731  # one line of mathematics
    mu, n = 0.5, 4000
    found = [
        random_search(loss, A, [list(range(D))], rng(seed), samples=n // 8, mu=mu, form=form,
                      distribution=distribution, baseline=loss(A)).delta
        for seed in range(8)
    ]  # fmt: skip
    mean, error = torch.stack(found).mean(0), torch.stack(found).std(0) / 8**0.5
    moment = 1 / (D + 2) if distribution == "sphere" else 1.0
    expected = 3 * A.square() + 3 * mu**2 * moment
    assert bool(((mean - expected).abs() < 6 * error).all())
    assert float(error.max()) < 0.6


def test_multi_point_is_one_point_less_its_baseline() -> None:
    loss, _ = quadratic()
    one = random_search(loss, A, BLOCKS, rng(), samples=4, mu=0.1, form="one-point")
    many = random_search(loss, A, BLOCKS, rng(), samples=4, mu=0.1, form="multi-point", baseline=loss(A))
    shifted = random_search(lambda x: loss(x) - loss(A), A, BLOCKS, rng(), samples=4, mu=0.1, form="one-point")
    torch.testing.assert_close(many.delta, shifted.delta)
    assert not torch.allclose(one.delta, many.delta)
    doubled = random_search(loss, A, BLOCKS, rng(), samples=4, mu=0.1, form="one-point", phi=2.0)
    torch.testing.assert_close(doubled.delta[BLOCKS[1]], one.delta[BLOCKS[1]])
    torch.testing.assert_close(doubled.delta[BLOCKS[0]] * 2, one.delta[BLOCKS[0]])


def test_the_papers_radii() -> None:
    """Facts D3: R = 28 and r = .01 / sqrt(98), both scaled so that R = .13, make 15 candidates."""
    assert log2(28 / (0.01 / 98**0.5)) == pytest.approx(14.7586, abs=1e-4)
    found = radii(0.13, 4.69e-6)
    assert len(found) == 15
    assert found[0] == 0.13
    assert found[-1] == pytest.approx(0.13 / 2**14)
    assert radii(1.0, 0.25) == [1.0, 0.5, 0.25]


def test_gld_takes_the_best_of_all_and_is_never_worse() -> None:
    loss, _ = quadratic()
    moved = 0
    for seed in range(30):
        points: list[Tensor] = []

        def seen(x: Tensor, points: list[Tensor] = points) -> float:
            points.append(x)
            return loss(x)

        step = gradientless(seen, A, BLOCKS, rng(seed), radius=1.0, radius_min=0.1, baseline=loss(A))
        assert loss(A + step.delta) == min(loss(A), *map(loss, points))
        moved += bool(step.delta.any())
        for point, size in zip(points, radii(1.0, 0.1), strict=True):
            assert all(float((point - A)[block].norm()) == pytest.approx(size) for block in BLOCKS)
    assert moved > 20


def test_gld_stays_at_the_minimum() -> None:
    at = torch.zeros(D, dtype=torch.float64)
    step = gradientless(lambda x: float(x.square().sum()), at, BLOCKS, rng(), radius=1.0, radius_min=0.1, baseline=0.0)
    assert not step.delta.any()


@pytest.mark.parametrize("broken", [float("nan"), float("inf")])
def test_points_whose_training_diverged_have_no_say(broken: float) -> None:
    loss, _ = quadratic()
    calls: list[float] = []

    def diverges_first(x: Tensor) -> float:
        calls.append(loss(x))
        return broken if len(calls) == 1 else calls[-1]

    step = mgs(diverges_first, A, G, rng(), samples=3, sigma=0.1, tau=1.0, lam=0.1)
    assert step.weights[0] == 0.0
    assert sum(step.weights) == pytest.approx(1.0)
    nowhere = mgs(lambda x: broken, A, G, rng(), samples=3, sigma=0.1, tau=1.0, lam=0.1)
    assert not nowhere.delta.any()
    assert nowhere.effective == 0.0
    calls.clear()
    some = random_search(diverges_first, A, BLOCKS, rng(), samples=2, mu=0.1).delta
    assert bool(some.isfinite().all())
    assert bool(some.any())

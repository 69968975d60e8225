"""Mixed kernel densities against SciPy's distributions, sums and integrals."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import gaussian_kde, kstest, truncnorm

from offbeat_plugins.surrogates import parzen
from offbeat_plugins.surrogates.columns import Column

PLACE, CATEGORY = Column(), Column(categories=3)
GRID = Column(grid=(0.1, 0.2, 0.5, 0.9))


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def sample(columns: tuple[Column, ...], n: int, seed: int = 0, absent: float = 0.0) -> Any:
    """Rows without any order; with `absent` that share of the entries is NaN."""
    generator = rng(seed)
    x = generator.random((n, len(columns)))
    for i, column in enumerate(columns):
        x[:, i] = column.placed(x[:, i])
    x[generator.random(x.shape) < absent] = np.nan
    return x


def kernel(column: Column, centre: float, width: float, x: float) -> float:
    """One kernel at one place, from SciPy's distributions; the uniform one where the centre is absent."""
    if np.isnan(x):
        return 1.0
    if column.categories:
        if np.isnan(centre):
            return 1 / column.categories
        return 1 - width if x == centre else width / (column.categories - 1)
    if column.grid:
        cell = int(np.argmin([abs(x - place) for place in column.grid]))
        low, high = column.borders[cell : cell + 2]
        if np.isnan(centre):
            return float(high - low)
        normal = truncnorm(-centre / width, (1 - centre) / width, centre, width)
        return float(normal.cdf(high) - normal.cdf(low))
    if np.isnan(centre):
        return 1.0
    return float(truncnorm.pdf(x, -centre / width, (1 - centre) / width, centre, width))


def slow_density(density: parzen.Mixture, columns: tuple[Column, ...], x: Any) -> list[float]:
    centres = [*density.points, np.full(len(columns), np.nan)]
    return [
        sum(
            share * np.prod([kernel(*one) for one in zip(columns, centre, density.widths, row, strict=True)])
            for share, centre in zip(density.shares, centres, strict=True)
        )
        for row in x
    ]


@pytest.mark.parametrize("absent", [0.0, 0.3])
@pytest.mark.parametrize("n", [0, 1, 2, 30])
def test_the_density_is_the_mixture_of_its_kernels(n: int, absent: float) -> None:
    columns = (PLACE, CATEGORY, GRID, PLACE, Column(categories=1))
    density = parzen.mixture(sample(columns, n, 1, absent), columns, np.arange(n, 0.0, -1.0), prior=0.7)
    x = sample(columns, 20, 2, absent)
    found = np.exp(parzen.log_density(density, columns, x))
    assert found == pytest.approx(slow_density(density, columns, x), rel=1e-5)


def test_without_boundaries_it_is_scipys_gaussian_kde() -> None:
    """Narrow kernels in the middle: truncation is nothing, and SciPy's estimate with the same bandwidth is the same."""
    points = 0.5 + 0.02 * rng().standard_normal((40, 1))
    density = parzen.mixture(points, (PLACE,), prior=1e-9)
    reference = gaussian_kde(points.T, bw_method=density.widths[0] / points.std(ddof=1))
    x = np.linspace(0.4, 0.6, 21)
    found = np.exp(parzen.log_density(density, (PLACE,), x[:, None]))
    assert found == pytest.approx(reference(x), rel=1e-5)


@pytest.mark.parametrize("points", [[0.0], [1.0], [0.0, 1.0], [0.5, 0.5, 0.5], [0.001, 0.3]])
def test_no_mass_is_lost_at_a_boundary(points: list[float]) -> None:
    density = parzen.mixture(np.array(points)[:, None], (PLACE,))
    x = (np.arange(20000) + 0.5) / 20000
    assert np.exp(parzen.log_density(density, (PLACE,), x[:, None])).mean() == pytest.approx(1.0, rel=1e-4)


@pytest.mark.parametrize("n", [1, 7])
def test_finite_columns_are_probabilities(n: int) -> None:
    columns = (GRID, CATEGORY)
    density = parzen.mixture(sample(columns, n, 3), columns)
    everything = np.array([[place, float(k)] for place in GRID.grid for k in range(3)])
    assert np.exp(parzen.log_density(density, columns, everything)).sum() == pytest.approx(1.0, rel=1e-5)


def test_an_absent_column_is_integrated_out() -> None:
    columns = (PLACE, PLACE)
    density = parzen.mixture(sample(columns, 12, 4), columns)
    x = (np.arange(4000) + 0.5) / 4000
    joint = parzen.log_density(density, columns, np.column_stack([np.full(4000, 0.3), x]))
    marginal = parzen.log_density(density, columns, np.array([[0.3, np.nan]]))
    assert np.exp(joint).mean() == pytest.approx(np.exp(marginal[0]), rel=1e-4)


def test_bandwidths_are_scotts_with_a_prior_and_never_zero() -> None:
    x = sample((PLACE, PLACE, CATEGORY), 50, 5)
    x[:, 1] = 0.25
    widths = parzen.bandwidths(x, (PLACE, PLACE, CATEGORY))
    spread = np.sqrt((50 * x[:, 0].var() + parzen.SHRINKAGE / 12) / (50 + parzen.SHRINKAGE))
    assert widths[0] == pytest.approx(spread * 50 ** (-1 / 7))
    assert 0 < widths[1] < widths[0]
    assert widths[2] == 2 / 53
    many = np.full((100_000, 1), 0.25)
    assert parzen.bandwidths(many, (PLACE,)) == [parzen.NARROWEST]


def test_a_category_is_counted_by_the_rule_of_succession() -> None:
    """All kernels together are Laplace's estimate: (count + 1) / (n + k)."""
    points = np.array([0.0, 0.0, 1.0, 0.0])[:, None]
    density = parzen.mixture(points, (CATEGORY,), prior=1e-12)
    found = np.exp(parzen.log_density(density, (CATEGORY,), np.array([[0.0], [1.0], [2.0]])))
    assert found == pytest.approx([(3 * 5 + 1 * 1) / 28, (1 * 5 + 3) / 28, 4 / 28], rel=1e-5)


def test_draws_have_the_density() -> None:
    columns = (PLACE, GRID, CATEGORY)
    points = np.array([[0.02, 0.1, 0.0], [0.9, 0.9, 2.0], [np.nan, 0.5, 2.0]])
    density = parzen.mixture(points, columns, prior=0.5)
    draws = parzen.drawn(density, columns, rng(6), 20000)

    def cdf(x: Any) -> Any:
        parts = [
            truncnorm.cdf(x, -c / density.widths[0], (1 - c) / density.widths[0], c, density.widths[0])
            for c in (0.02, 0.9)
        ]
        return density.shares[:2] @ parts + density.shares[2:].sum() * x

    assert kstest(draws[:, 0], cdf).pvalue > 0.001
    for i, values in ((1, GRID.grid), (2, (0.0, 1.0, 2.0))):
        alone = np.full((len(values), 3), np.nan)
        alone[:, i] = values
        expected = np.exp(parzen.log_density(density, columns, alone))
        found = [(draws[:, i] == value).mean() for value in values]
        assert found == pytest.approx(expected, abs=0.015)


def test_draws_follow_the_generator_alone() -> None:
    density = parzen.mixture(sample((PLACE, CATEGORY), 5), (PLACE, CATEGORY))
    first, second = (parzen.drawn(density, (PLACE, CATEGORY), rng(9), 10) for _ in range(2))
    assert np.array_equal(first, second)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20), st.integers(0, 2**31))
def test_densities_are_finite_and_draws_are_inside_whatever_the_points(values: list[float], seed: int) -> None:
    columns = (PLACE, GRID, CATEGORY)
    points = np.column_stack([values, *(column.placed(np.array(values)) for column in columns[1:])])
    density = parzen.mixture(points, columns)
    draws = parzen.drawn(density, columns, rng(seed), 8)
    assert ((draws >= 0) & (draws[:, :1] <= 1)).all()
    assert np.isin(draws[:, 1], GRID.grid).all()
    assert np.isfinite(parzen.log_density(density, columns, np.concatenate([draws, points]))).all()


def test_thinning_is_even_and_leaves_what_is_few_alone() -> None:
    assert parzen.thinned(7, 10).tolist() == list(range(7))
    places = parzen.thinned(50_000)
    assert len(set(places.tolist())) == parzen.MOST
    assert (places[0], places[-1]) == (0, 49_999)
    assert set(np.diff(places).tolist()) <= {10, 9, 11}


def test_thinning_hardly_changes_the_order_of_candidates() -> None:
    columns = (PLACE, PLACE, GRID, CATEGORY)
    points = sample(columns, 20_000, 7) ** np.array([2.0, 3.0, 1.0, 1.0])
    points[:, 2] = GRID.placed(points[:, 2])
    x = sample(columns, 64, 8)
    whole = parzen.log_density(parzen.mixture(points, columns), columns, x)
    thin = parzen.log_density(parzen.mixture(points[parzen.thinned(len(points))], columns), columns, x)
    ranks = np.argsort(np.argsort([whole, thin]))
    assert np.corrcoef(ranks)[0, 1] > 0.97

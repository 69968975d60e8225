"""Criteria of several objectives: boxes against the hypervolume, values by Monte Carlo, slopes by differences, suggestions."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import log_ndtr

from offbeat.pareto import hypervolume
from offbeat_plugins.acquisition.boxes import boxes, nadir_reference
from offbeat_plugins.acquisition.hypervolume import (
    Boxes,
    Scalarisation,
    log_expected_hypervolume_improvement,
    scalarised_confidence_bound,
)
from offbeat_plugins.acquisition.options import Data, Options
from offbeat_plugins.acquisition.several import MOST, beaten_by, carried_over, region, scalarisation
from offbeat_plugins.acquisition.suggestion import suggest
from offbeat_plugins.surrogates.blocks import Block, Layout

values = st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0]) | st.floats(0, 1).map(lambda x: round(x, 3))


@settings(deadline=None)
@given(
    st.integers(1, 4).flatmap(
        lambda k: st.tuples(st.lists(st.tuples(*[values] * k), max_size=9), st.tuples(*[values] * k))
    )
)
def test_boxes_hold_what_a_point_would_add(case: Any) -> None:
    """Ties and dominated points included: clipped to above a point, the boxes have the volume that it adds."""
    rows, point = case
    k = len(point)
    points, corner = np.array(rows).reshape(len(rows), k), np.full(k, 0.9)
    lower, upper = boxes(points, corner)
    added = np.prod(np.maximum(upper - np.maximum(lower, point), 0.0), axis=1).sum()
    before = hypervolume(points, corner) if rows else 0.0
    assert added == pytest.approx(hypervolume([*rows, point], corner) - before, abs=1e-12)


@pytest.mark.parametrize("k", [2, 3])
def test_the_expected_improvement_is_that_of_draws(k: int) -> None:
    rng = np.random.default_rng(k)
    points, corner = rng.random((5, k)), np.ones(k)
    lower, upper = boxes(points, corner)
    middle, variance = rng.random((3, k)), rng.random((3, k)) * 0.1 + 0.01
    found, _ = log_expected_hypervolume_improvement(
        np, log_ndtr, list(middle.T[:, :, None]), list(variance.T), Boxes(lower, upper, np.zeros(len(lower)))
    )
    for place in range(3):
        drawn = middle[place] + np.sqrt(variance[place]) * rng.standard_normal((20_000, 1, k))
        gains = np.prod(np.maximum(upper - np.maximum(lower, drawn), 0.0), axis=2).sum(axis=1)
        assert np.exp(found[place]) == pytest.approx(gains.mean(), abs=4 * gains.std() / np.sqrt(len(gains)))


def criteria(k: int) -> list[Any]:
    rng = np.random.default_rng(k)
    lower, upper = boxes(rng.random((5, k)), np.ones(k))
    # The last box is padding: it has no say.
    padded = Boxes(
        np.vstack([lower, lower[:1]]), np.vstack([upper, upper[:1]]), np.array([0.0] * len(lower) + [-np.inf])
    )
    aim = Scalarisation(np.arange(1.0, k + 1), rng.random(k))
    return [
        lambda m, v: log_expected_hypervolume_improvement(np, log_ndtr, m, v, padded),
        lambda m, v: scalarised_confidence_bound(np, m, v, aim, 0.7),
    ]


@pytest.mark.parametrize("which", [0, 1])
@pytest.mark.parametrize("off", [0.0, 3.0, 40.0])
def test_slopes_are_those_of_differences_even_where_the_volume_underflows(which: int, off: float) -> None:
    k, rng = 3, np.random.default_rng(0)
    criterion = criteria(k)[which]
    middle, variance = rng.random((4, k)) + off, rng.random((4, k)) * 0.1 + 0.01

    def value(m: Any, v: Any) -> Any:
        return criterion(list(m.T[:, :, None]), list(v.T))[0]

    found, scored = criterion(list(middle.T[:, :, None]), list(variance.T))
    assert np.isfinite(found).all()
    for place in range(k):
        step = np.zeros_like(middle)
        step[:, place] = 1e-6
        by_mean = (value(middle + step, variance) - value(middle - step, variance)) / 2e-6
        by_variance = (value(middle, variance + step) - value(middle, variance - step)) / 2e-6
        np.testing.assert_allclose(scored[place].by_mean[:, 0], by_mean, rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(scored[place].by_variance, by_variance, rtol=1e-3, atol=1e-3)


def test_the_reference_is_a_little_worse_than_the_front() -> None:
    front = np.array([[0.0, 2.0], [1.0, 0.0]])
    assert nadir_reference(front, np.ones(2)).tolist() == pytest.approx([1.1, 2.2])
    assert nadir_reference(front[:1], np.array([5.0, 0.0])).tolist() == pytest.approx([0.5, 2.1])
    found = region(np.vstack([front, [[9.0, 9.0]]]), np.ones(2), ())
    assert found.upper.max(axis=0).tolist() == pytest.approx([1.1, 2.2])
    assert region(front, np.ones(2), [7.0, 8.0]).upper.max(axis=0).tolist() == [7.0, 8.0]


def test_many_boxes_are_kept_within_bounds() -> None:
    points = np.random.default_rng(0).random((400, 4))
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    found = region(points, np.ones(4), ())
    assert 0 < len(found.lower) <= MOST


def test_values_are_carried_over_in_order() -> None:
    raw, to = np.array([3.0, 1.0, 2.0]), np.array([0.5, -1.0, 0.0])
    assert [carried_over(raw, to, x) for x in (1.0, 1.5, 3.0)] == [-1.0, -0.5, 0.5]
    assert carried_over(raw, to, 5.0) == pytest.approx(2.0)
    assert carried_over(raw, to, 0.0) == pytest.approx(-1.75)
    assert carried_over(np.ones(3), np.zeros(3), 2.0) == pytest.approx(1.0)


def test_ranks_and_weights() -> None:
    rng = np.random.default_rng(0)
    points = np.array([[0.0, 1.0], [1.0, 0.0], [1.0, 1.0], [2.0, 2.0], [2.0, 2.0]])
    assert np.floor(beaten_by(points, rng)).tolist() == [0, 0, 2, 3, 3]
    found = scalarisation(points, rng)
    assert found.weights.sum() == pytest.approx(1.0)
    assert found.ideal.tolist() == [0.0, 0.0]


LAYOUT = Layout([Block(), Block()])


def observed(n: int) -> tuple[Any, Any]:
    """Two bowls with their lowest points at .2 and .8: the Pareto set is the line between them."""
    codes = np.random.default_rng(n).random((n, 2))
    return codes, np.stack([((codes - 0.2) ** 2).sum(axis=1), ((codes - 0.8) ** 2).sum(axis=1)], axis=1)


@pytest.mark.parametrize("acquisition", ["log-ehvi", "chebyshev"])
def test_suggestions_lie_near_the_pareto_set(acquisition: Any) -> None:
    codes, targets = observed(20)
    options = Options(acquisition=acquisition, objectives=2, backend="numpy", kappa=0.5, transform="standardise")
    pending = np.array([[0.5, 0.5]])
    for number in range(4):
        (x, y), *_ = suggest(Data(codes, targets, pending), LAYOUT, [1, number], options=options).codes
        assert abs(x - y) < 0.2
        assert 0.05 < x < 0.95


@pytest.mark.skipif(find_spec("jax") is None, reason="JAX is not installed (extra jax)")
def test_both_ways_of_computing_agree() -> None:
    codes, targets = observed(20)
    found = [
        suggest(
            Data(codes, targets, np.array([[0.5, 0.5]])), LAYOUT, 1,
            options=Options(acquisition="log-ehvi", objectives=2, backend=backend),
        )
        for backend in ("numpy", "jax")
    ]  # fmt: skip
    np.testing.assert_allclose(found[0].codes[0], found[1].codes[0], atol=1e-2)
    np.testing.assert_allclose(found[0].values[0], found[1].values[0], atol=1e-2)


@pytest.mark.parametrize("acquisition", ["log-ehvi", "chebyshev"])
@pytest.mark.parametrize(
    "targets",
    [np.zeros((5, 2)), np.tile(np.arange(5.0)[:, None], 2) * [1.0, 0.0], np.tile(np.arange(5.0)[:, None], 2) * 1e150],
    ids=["constant", "one constant", "huge and in line"],
)
def test_degenerate_objectives_still_give_a_suggestion(acquisition: Any, targets: Any) -> None:
    codes = np.random.default_rng(0).random((5, 2))
    for constraints in (0, 1):
        given_targets = np.hstack([targets, np.ones((5, constraints))])  # nothing is feasible
        options = Options(acquisition=acquisition, objectives=2, constraints=constraints, backend="numpy")
        found = suggest(Data(codes, given_targets), LAYOUT, 3, options=options)
        assert len(found.codes)
        assert np.isfinite(found.codes).all()


def test_wrong_options_are_refused() -> None:
    for arguments, message in (
        ({"acquisition": "log-ehvi"}, "are for several objectives"),
        ({"acquisition": "log-ei", "objectives": 2}, "all others for one"),
        ({"acquisition": "log-ehvi", "objectives": 2, "reference": (1.0,)}, "1 values for 2 objectives"),
    ):
        with pytest.raises(ValueError, match=message):
            Options(**arguments)  # type: ignore[arg-type]

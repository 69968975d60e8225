"""Classifiers on mixed columns: against scikit-learn, and where they have to agree with what everybody can see."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="needs scikit-learn: pip install 'offbeat[trees]'")

from offbeat_plugins.surrogates.class_probability import CLASSIFIERS, MOST, class_probability
from offbeat_plugins.surrogates.columns import Column
from offbeat_plugins.surrogates.plain import numbers

COLUMNS = (Column(), Column(categories=3), Column(grid=(0.1, 0.5, 0.9)))


def sample(n: int, seed: int = 0) -> Any:
    x = np.random.default_rng(seed).random((n, 3))
    for i, column in enumerate(COLUMNS):
        x[:, i] = column.placed(x[:, i])
    return x


@pytest.fixture(params=list(CLASSIFIERS))
def classifier(request: Any) -> str:
    if request.param == "mlp":
        pytest.importorskip("optax", reason="needs JAX and optax: pip install 'offbeat[jax]'")
    return str(request.param)


def test_it_ranks_what_is_good_before_what_is_not(classifier: str) -> None:
    x, candidates = sample(200), sample(300, 1)
    good, truth = (rows[:, 0] + (rows[:, 1] == 2) > 1.1 for rows in (x, candidates))
    found = class_probability(classifier, x, good, candidates, columns=COLUMNS, seed=3)
    assert found.shape == (300,)
    assert ((found >= 0) & (found <= 1)).all()
    # The area under the ROC curve, by its definition.
    assert (found[truth][:, None] > found[~truth][None, :]).mean() > 0.95


def test_it_repeats(classifier: str) -> None:
    x, candidates = sample(60), sample(40, 1)
    good = x[:, 0] > 0.8
    first, second = (class_probability(classifier, x, good, candidates, columns=COLUMNS, seed=5) for _ in range(2))
    assert np.array_equal(first, second)


@pytest.mark.parametrize("n", [2, 3])
def test_two_points_are_enough(classifier: str, n: int) -> None:
    x = sample(n)
    found = class_probability(classifier, x, np.arange(n) == 0, sample(50, 1), columns=COLUMNS, seed=0)
    assert np.isfinite(found).all()


def test_what_is_absent_is_no_error(classifier: str) -> None:
    x, candidates = sample(50), sample(50, 1)
    x[::3, 0] = candidates[::4, 0] = np.nan
    x[::5, 1] = candidates[::2, 1] = np.nan
    found = class_probability(classifier, x, x[:, 2] > 0.6, candidates, columns=COLUMNS, seed=0)
    assert np.isfinite(found).all()


def test_columns_that_no_point_has_are_passed_over(classifier: str) -> None:
    x, candidates = sample(30), sample(20, 1)
    x[:, 1] = np.nan
    found = class_probability(classifier, x, x[:, 0] > 0.5, candidates, columns=COLUMNS, seed=0)
    assert np.isfinite(found).all()
    x[:] = np.nan
    found = class_probability(classifier, x, np.arange(30) < 6, candidates, columns=COLUMNS, seed=0)
    assert np.isfinite(found).all()


def test_trees_tell_absent_from_any_value() -> None:
    x = sample(100)
    x[::2, 0] = np.nan
    found = class_probability("trees", x, np.isnan(x[:, 0]), x, columns=COLUMNS, seed=0)
    assert found[::2].min() > 0.9
    assert found[1::2].max() < 0.1


def test_trees_have_the_probabilities_of_scikit_learns_own_boosting() -> None:
    """An oracle of another algorithm: exact splits instead of histograms, on one-hot categories."""
    from sklearn.ensemble import GradientBoostingClassifier

    x, candidates = sample(400), sample(200, 1)
    good = x[:, 0] ** 2 + (x[:, 1] == 1) > 0.9
    reference = GradientBoostingClassifier(n_estimators=20, learning_rate=0.2, min_samples_leaf=3, random_state=0)
    reference.fit(numbers(x, COLUMNS), good)
    expected = reference.predict_proba(numbers(candidates, COLUMNS))[:, 1]
    found = class_probability("trees", x, good, candidates, columns=COLUMNS, seed=0)
    assert np.abs(found - expected).mean() < 0.05


def test_plain_numbers() -> None:
    columns = (Column(), Column(categories=3), Column(categories=2))
    found = numbers(np.array([[0.2, 1.0, 0.0], [np.nan, np.nan, np.nan]]), columns)
    assert found.tolist() == [[0.2, 0, 1, 0, 0], [0.5, 0, 0, 0, 0.5]]
    few = numbers(np.array([[0.2, 1.0, 1.0]]), columns, most=2)
    assert few.tolist() == [[0.2, 0.5, 1.0]]
    assert np.isnan(numbers(np.full((1, 3), np.nan), columns, absent=np.nan, most=2)).all()


def test_many_points_are_thinned_out_within_each_class() -> None:
    n = 5 * MOST
    x = sample(n)
    good = np.zeros(n, dtype=bool)
    good[17] = True
    found = class_probability("logistic", x, good, sample(10, 1), columns=COLUMNS, seed=0)
    assert np.isfinite(found).all()


def test_a_choice_of_a_thousand_values() -> None:
    columns = (Column(categories=1000), Column())
    rng = np.random.default_rng(0)
    x = np.column_stack([rng.integers(0, 1000, 200), rng.random(200)]).astype(float)
    found = class_probability("trees", x, x[:, 1] < 0.2, x, columns=columns, seed=0)
    assert found[x[:, 1] < 0.2].min() > found[x[:, 1] > 0.3].max()


def test_the_network_is_compiled_once_for_many_sizes() -> None:
    pytest.importorskip("optax", reason="needs JAX and optax: pip install 'offbeat[jax]'")
    from offbeat_plugins.surrogates.mlp import ROWS, _program, filled

    points, weights = filled(np.ones((5, 2)))
    assert points.shape == (ROWS[0], 2)
    assert weights.sum() == 5
    assert filled(np.ones((ROWS[-1] + 1, 2)))[0].shape == (2 * ROWS[-1], 2)
    before = _program()._cache_size()
    for n in range(40, 100, 10):
        x = sample(n)
        class_probability("mlp", x, x[:, 0] > 0.5, sample(100, 1), columns=COLUMNS, seed=n)
    assert _program()._cache_size() - before <= 1


def test_rows_that_fill_up_do_not_count() -> None:
    """The same points in a larger frame give the same network, up to rounding."""
    pytest.importorskip("optax", reason="needs JAX and optax: pip install 'offbeat[jax]'")
    from offbeat_plugins.surrogates import mlp

    x, candidates = numbers(sample(30), COLUMNS), numbers(sample(20, 1), COLUMNS)
    labels = x[:, 0] > 0.5
    frame = np.zeros((128, x.shape[1]), np.float32)
    frame[:30] = x
    wide = np.zeros(128, np.float32)
    wide[:30] = labels
    larger = mlp._program()(
        frame, wide, (np.arange(128) < 30).astype(np.float32), mlp.filled(candidates)[0], np.uint32(4)
    )
    assert mlp.probabilities(x, labels, candidates, 4) == pytest.approx(np.asarray(larger)[:20], abs=1e-3)

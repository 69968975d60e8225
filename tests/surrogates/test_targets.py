"""Transforms of targets: order, scale, and what is degenerate."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from offbeat_plugins.surrogates.targets import TRANSFORMS, Transform, finite_targets, transformed

VALUES = arrays.arrays(np.float64, st.integers(1, 40), elements=st.floats(-1e6, 1e6, width=32))


@pytest.mark.parametrize("how", TRANSFORMS)
@given(VALUES)
def test_order_is_kept_and_scale_is_one(how: Transform, y: np.ndarray) -> None:
    out = transformed(y, how)
    assert np.isfinite(out).all()
    order = np.argsort(y, kind="stable")
    assert (np.diff(out[order]) >= -1e-9).all()
    if out.any():
        assert abs(out.mean()) < 1e-6
        assert out.std() == pytest.approx(1.0, abs=1e-6)


@pytest.mark.parametrize("how", TRANSFORMS)
@pytest.mark.parametrize("factor", [1e-200, 1e-30, 1e30, 1e200])
def test_units_do_not_matter(how: Transform, factor: float) -> None:
    y = np.random.default_rng(0).gamma(0.5, size=30)
    assert np.allclose(transformed(y * factor, how), transformed(y, how), atol=1e-9)


@pytest.mark.parametrize("how", TRANSFORMS)
def test_constant_targets_say_nothing(how: Transform) -> None:
    for value in (0.0, 3.0, 1e300, 0.1):
        assert not transformed(np.full(7, value), how).any()


def test_outliers_do_not_hide_the_rest() -> None:
    y = np.append(np.linspace(0, 1, 30), 1e6)
    assert np.ptp(transformed(y, "standardise")[:30]) < 1e-4
    for how in ("winsorise", "power", "rank", "half-rank"):
        assert np.ptp(transformed(y, how)[:30]) > 0.5, how


def test_half_ranks_leave_the_better_half_in_proportion() -> None:
    y = np.array([0.0, 1.0, 3.0, 4.0, 50.0, 1e5, 1e9])
    out = transformed(y, "half-rank")
    assert (out[1] - out[0]) / (out[2] - out[1]) == pytest.approx(0.5)
    assert out[-1] - out[3] < 3 * (out[3] - out[0])


def test_wrong_targets() -> None:
    with pytest.raises(ValueError, match="not finite"):
        finite_targets([1.0, np.inf], 2)
    with pytest.raises(ValueError, match=r"shape \(2,\)"):
        finite_targets([1.0, 2.0], 3)
    with pytest.raises(ValueError, match="'log' is not valid"):
        transformed(np.zeros(3), "log")  # type: ignore[arg-type]


def test_the_power_has_the_highest_likelihood() -> None:
    stats = pytest.importorskip("scipy.stats", reason="scipy is the oracle here")
    y = np.random.default_rng(0).gamma(0.7, size=200)
    off = y - np.median(y)
    off = off / (1.4826 * np.median(np.abs(off)))
    best = max(np.linspace(-2, 2, 21), key=lambda exponent: stats.yeojohnson_llf(exponent, off))
    expected = stats.yeojohnson(off, best)
    expected = (expected - expected.mean()) / expected.std()
    assert np.allclose(transformed(y, "power"), expected, atol=1e-8)

"""Surrogates over tables: the nearest configuration against plain NumPy, regressors against what they were fitted to."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from offbeat.blackbox import FunctionBlackbox, TabularBlackbox, add_surrogate
from offbeat.config_space import choice, loguniform, ordinal, randint, uniform, when
from offbeat.errors import InvalidArgument, InvalidConfig
from offbeat.protocols import Blackbox
from offbeat.space import Space
from offbeat_plugins.blackboxes.surrogates.neighbours import Neighbours

SPACE = {"lr": loguniform(1e-4, 1.0), "layers": ordinal([1, 2, 4, 8]), "op": choice(["relu", "tanh", "gelu"])}
LEVELS = (1, 2, 4)


def table(n: int = 40, seeds: int = 3, **options: Any) -> TabularBlackbox:
    """Loss grows with |log lr| and falls with the level; seed k adds k; the time is 5 s a level."""
    rng = np.random.default_rng(3)
    space = Space(SPACE)
    configs = [space.from_units(rng.random(space.width)) for _ in range(n)]
    values = np.empty((n, seeds, len(LEVELS), 2))
    for i, config in enumerate(configs):
        for seed in range(seeds):
            values[i, seed, :, 0] = abs(np.log10(config["lr"]) + 2) + config["layers"] / np.array(LEVELS) + seed
            values[i, seed, :, 1] = 5.0 * np.array(LEVELS)
    values = options.pop("change", lambda given: given)(values)
    return TabularBlackbox(
        space, configs, values, objectives={"loss": "min", "time": None}, levels=LEVELS, elapsed_attr="time", **options
    )


# --- the nearest configuration


def test_the_nearest_configuration_is_that_of_the_encoded_space() -> None:
    box = table()
    near = add_surrogate(box)
    assert isinstance(near, Blackbox)
    assert (near.seeds, near.levels, near.elapsed_attr, near.space) == (3, LEVELS, "time", box.space)
    codes = box.space.encode(box.configs)
    rng = np.random.default_rng(8)
    asked = [box.space.from_units(rng.random(3)) for _ in range(60)]
    for config in asked:
        expected = int(((codes - box.space.encode([config])[0]) ** 2).sum(axis=1).argmin())
        for seed in range(3):
            assert near.curve(config, seed)["loss"].tolist() == box.curve(box.configs[expected], seed)["loss"].tolist()
    together = near.curves(asked, [i % 3 for i in range(60)])
    for i, config in enumerate(asked):
        assert together[i]["loss"].tolist() == near.curve(config, i % 3)["loss"].tolist()
    assert near.curves([], []) == []


def test_what_is_in_the_table_is_answered_by_itself() -> None:
    box = table()
    near: Any = add_surrogate(box)
    for config in box.configs:
        assert near.nearest(config) == config


def test_another_space_is_answered_in_its_own_encoding() -> None:
    wide = {"lr": uniform(0.1, 0.5), "layers": randint(1, 8), "op": choice(["relu", "tanh", "gelu"])}
    box = table()
    near: Any = add_surrogate(box, space=wide)
    space = Space(wide)
    codes = np.clip(
        np.stack([
            (np.array([config["layers"] for config in box.configs]) - 0.5) / 8,
            (np.array([config["lr"] for config in box.configs]) - 0.1) / 0.4,
            *[np.array([config["op"] == op for config in box.configs]) for op in ("relu", "tanh", "gelu")],
        ], axis=1).astype(float), 0, 1,
    )  # fmt: skip
    rng = np.random.default_rng(2)
    for _ in range(50):
        config = space.from_units(rng.random(3))
        query = np.array(
            [
                (config["layers"] - 0.5) / 8,
                (config["lr"] - 0.1) / 0.4,
                *[config["op"] == op for op in ("relu", "tanh", "gelu")],
            ],
            float,
        )
        distances = ((codes - query) ** 2).sum(axis=1)
        assert distances[box.configs.index(near.nearest(config))] == pytest.approx(distances.min(), abs=1e-12)


@given(st.lists(st.tuples(*[st.sampled_from([0.0, 0.25, 0.5, 1.0])] * 3), min_size=1, max_size=30))
@settings(max_examples=60)
def test_of_equally_near_points_the_first_is_taken(points: list[tuple[float, ...]]) -> None:
    codes = np.array(points)
    neighbours = Neighbours(codes)
    queries = np.array([(a, b, 0.5) for a in (0.0, 0.125, 0.5) for b in (0.25, 0.75)])
    expected = [int(((codes - query) ** 2).sum(axis=1).argmin()) for query in queries]
    assert [neighbours.nearest(query) for query in queries] == expected
    assert neighbours.nearest_of_each(queries) == expected


def test_seeds_are_kept_apart_or_averaged() -> None:
    box = table(change=lambda values: np.where(np.arange(40)[:, None, None, None] == 7, np.nan, values))
    box_with_gap = table(change=_without_a_seed)
    mean = add_surrogate(box_with_gap, separate_seeds=False)
    assert mean.seeds == 1
    first = box_with_gap.configs[0]
    there = [box_with_gap.curve(first, seed)["loss"] for seed in (0, 2)]
    assert mean.curve(first, 0)["loss"].tolist() == pytest.approx(np.mean(there, axis=0).tolist())
    assert np.isnan(add_surrogate(box, separate_seeds=False).curve(box.configs[7], 0)["loss"]).all()
    with pytest.raises(InvalidArgument, match="seeds 0 to 0"):
        mean.curve(first, 1)


def _without_a_seed(values: Any) -> Any:
    values[0, 1] = np.nan
    return values


def test_an_inactive_hyperparameter_lies_in_the_middle() -> None:
    space = {"op": choice(["sgd", "adam"]), "momentum": when(uniform(0, 1), "op == 'sgd'")}
    configs = [{"op": "sgd", "momentum": 0.1}, {"op": "sgd", "momentum": 0.8}, {"op": "adam"}]
    box = TabularBlackbox(space, configs, np.arange(3.0).reshape(3, 1, 1, 1), objectives={"loss": "min"})
    near = add_surrogate(box)
    for config, loss in (({"op": "adam"}, 2.0), ({"op": "sgd", "momentum": 0.6}, 1.0)):
        assert near.curve(config, 0)["loss"].tolist() == [loss]


# --- regressors


@pytest.fixture
def sklearn() -> None:
    pytest.importorskip("sklearn", reason="scikit-learn is not installed (extra trees)")


needs_sklearn = pytest.mark.usefixtures("sklearn")


@needs_sklearn
@pytest.mark.parametrize("curves", [True, False], ids=["curves", "points"])
def test_a_regressor_that_remembers_gives_each_seed_its_own_curve(curves: bool) -> None:
    """One model for each of three seeds, though there are three levels too: seed k is k above seed 0."""
    box = table(seeds=4)
    model = add_surrogate(box, "KNeighborsRegressor", surrogate_kwargs={"n_neighbors": 1}, predict_curves=curves)
    assert model.seeds == 4
    for config in box.configs[:10]:
        for seed in range(4):
            ours, recorded = model.curve(config, seed), box.curve(config, seed)
            assert ours["loss"].tolist() == pytest.approx(recorded["loss"].tolist())
            assert ours["time"].tolist() == pytest.approx(recorded["time"].tolist())
    together = model.curves(box.configs[:6], [3, 0, 3, 1, 2, 0])
    for config, seed, one in zip(box.configs, [3, 0, 3, 1, 2, 0], together, strict=False):
        assert one["loss"].tolist() == pytest.approx(box.curve(config, seed)["loss"].tolist())


@needs_sklearn
def test_merged_seeds_are_fitted_together() -> None:
    box = table(seeds=3)
    model = add_surrogate(box, "KNeighborsRegressor", surrogate_kwargs={"n_neighbors": 3}, separate_seeds=False)
    assert model.seeds == 1
    for config in box.configs[:5]:
        expected = np.mean([box.curve(config, seed)["loss"] for seed in range(3)], axis=0)
        assert model.curve(config, 0)["loss"].tolist() == pytest.approx(expected.tolist())


@needs_sklearn
def test_inputs_are_codes_and_the_given_regressor_stays_unfitted() -> None:
    from sklearn.linear_model import LinearRegression

    class Watched(LinearRegression):  # type: ignore[misc]
        seen: list[Any] = []  # noqa: RUF012 - shared by the clones on purpose

        def fit(self, x: Any, y: Any) -> Any:
            self.seen.append((x, y))
            return super().fit(x, y)

    box, given_model = table(seeds=1), Watched()
    add_surrogate(box, given_model, fit_differences=["time"])
    ((x, y),) = Watched.seen
    assert np.array_equal(x, box.space.encode(box.configs))
    assert not hasattr(given_model, "coef_")
    assert y.mean(axis=0) == pytest.approx(np.zeros(y.shape[1]), abs=1e-9)
    varied = y.std(axis=0) > 0
    assert y.std(axis=0)[varied] == pytest.approx(np.ones(varied.sum()))
    Watched.seen.clear()
    add_surrogate(box, given_model, predict_curves=False)
    ((x, y),) = Watched.seen
    assert x.shape == (40 * 3, box.space.dimension + 1)
    assert x[:3, -1].tolist() == [0.25, 0.5, 1.0]
    assert y.shape == (120, 2)


@needs_sklearn
def test_differences_are_summed_up_so_that_time_does_not_fall() -> None:
    """A forest averages differences, none of which is negative; curves as a whole may cross."""
    rng = np.random.default_rng(0)

    def paces(values: Any) -> Any:
        values[..., 1] = np.cumsum(rng.exponential(5, values[..., 1].shape), axis=2)
        return values

    box = table(change=paces)
    model = add_surrogate(
        box, "RandomForestRegressor", surrogate_kwargs={"n_estimators": 5, "random_state": 0}, fit_differences=["time"]
    )
    draws = np.random.default_rng(1).random((30, 3))
    for config in map(box.space.from_units, draws):
        seconds = model.curve(config, 0)["time"]
        assert (np.diff(seconds) >= 0).all()
        assert seconds[0] > 0


@needs_sklearn
def test_missing_values_are_filled_and_missing_configurations_left_out() -> None:
    def holes(values: Any) -> Any:
        values[0, :, 1:, 0] = np.nan  # the first loss stays to the end
        values[1, :, :2, 0] = np.nan  # the last one holds from the beginning
        values[2] = np.nan
        return values

    box = table(seeds=1, change=holes)
    model = add_surrogate(box, "KNeighborsRegressor", surrogate_kwargs={"n_neighbors": 1})
    for row, place in ((0, 0), (1, 2)):
        recorded = box.curve(box.configs[row], 0)["loss"][place]
        assert model.curve(box.configs[row], 0)["loss"].tolist() == pytest.approx([recorded] * 3)
    assert np.isfinite(model.curve(box.configs[2], 0)["loss"]).all()


@needs_sklearn
def test_a_sample_is_drawn_by_the_seed() -> None:
    box = table(seeds=1)

    def answer(**options: Any) -> list[float]:
        model = add_surrogate(box, "KNeighborsRegressor", surrogate_kwargs={"n_neighbors": 1}, **options)
        return [float(model.curve(config, 0)["loss"][0]) for config in box.configs]

    assert answer(max_fit_samples=5) == answer(max_fit_samples=5)
    assert answer(max_fit_samples=5) != answer(max_fit_samples=5, seed=1)
    assert len({round(value, 9) for value in answer(max_fit_samples=5)}) <= 5
    assert answer(max_fit_samples=40) == answer()


def test_bad_arguments_are_explained() -> None:
    box = table()
    calls: list[tuple[Any, str]] = [
        (lambda: add_surrogate(box, "KNeighborRegressor"), "Did you mean 'KNeighborsRegressor'"),
        (lambda: add_surrogate(box, object()), "has no fit and predict"),
        (lambda: add_surrogate(box, surrogate_kwargs={"n": 1}), "name it by surrogate="),
        (lambda: add_surrogate(box, fit_differences=["tim"]), "Did you mean 'time'"),
        (lambda: add_surrogate(box, max_fit_samples=0), "max_fit_samples=0"),
        (lambda: add_surrogate(box, space={"lr": uniform(0, 1)}), "lacks the table's hyperparameter"),
        (lambda: add_surrogate(box, space={**SPACE, "x": uniform(0, 1)}), "the table has no hyperparameter 'x'"),
        (
            lambda: add_surrogate(box, space={**SPACE, "op": choice(["relu", "tanh"])}),
            "the table's op='gelu' is not in choice",
        ),
        (
            lambda: add_surrogate(FunctionBlackbox(lambda c, level, s: {}, SPACE, levels=3, objectives=["x"])),
            "no list `configs`",
        ),
    ]  # fmt: skip
    for call, said in calls:
        with pytest.raises(InvalidArgument, match=said):
            call()
    near = add_surrogate(box)
    with pytest.raises(InvalidArgument, match="lacks hyperparameter 'op'"):
        near.curve({"lr": 0.1, "layers": 2}, 0)
    with pytest.raises(InvalidConfig):
        near.curve({"lr": 0.1, "layers": 2, "op": "swish"}, 0)


@needs_sklearn
def test_a_regressor_s_own_errors_are_explained() -> None:
    with pytest.raises(InvalidArgument, match="does not take these arguments"):
        add_surrogate(table(), "KNeighborsRegressor", surrogate_kwargs={"neighbours": 3})
    with pytest.raises(InvalidArgument, match="needs predict_curves=True"):
        add_surrogate(table(), "KNeighborsRegressor", predict_curves=False, fit_differences=["time"])
    empty = table(seeds=1, change=lambda values: np.full_like(values, np.nan))
    with pytest.raises(InvalidArgument, match="no whole curve to fit"):
        add_surrogate(empty, "KNeighborsRegressor")

"""Answers for configurations that a table does not hold: its nearest one, or a regressor fitted to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from offbeat.arguments import require_count
from offbeat.errors import InvalidArgument, MissingExtra, nearest
from offbeat.protocols import Blackbox, Mode
from offbeat.seeds import generator
from offbeat.space import Space
from offbeat_plugins.blackboxes.neighbours import Neighbours

REGRESSORS: Final[Mapping[str, tuple[str, str]]] = {
    "KNeighborsRegressor": ("sklearn.neighbors", "KNeighborsRegressor"),
    "MLPRegressor": ("sklearn.neural_network", "MLPRegressor"),
    "RandomForestRegressor": ("sklearn.ensemble", "RandomForestRegressor"),
    "ExtraTreesRegressor": ("sklearn.ensemble", "ExtraTreesRegressor"),
    "LinearRegression": ("sklearn.linear_model", "LinearRegression"),
    "XGBRegressor": ("xgboost", "XGBRegressor"),
}
"""Regressors that are known by name -> where they are."""

SAMPLE: Final = "surrogate"
"""Purpose of the random numbers that choose a sample."""


def add_surrogate(
    blackbox: Blackbox,
    surrogate: Any = None,
    *,
    space: Mapping[str, Any] | Space | None = None,
    predict_curves: bool = True,
    separate_seeds: bool = True,
    fit_differences: Sequence[str] = (),
    max_fit_samples: int | None = None,
    seed: int = 0,
    surrogate_kwargs: Mapping[str, Any] | None = None,
) -> NearestBlackbox | RegressedBlackbox:
    """A blackbox that answers for every configuration of a space, from a table that holds some.

    Args:
        blackbox: with the attribute `configs`, what it holds; a `TabularBlackbox` has it.
        surrogate: None: the answer is that of the nearest configuration in the table (Euclidean distance of the codes in
            the unit cube; of equally near ones the first). Otherwise a regressor with `fit` and `predict`, as scikit-learn
            has them, or the name of one: it is cloned, so that the one that is given stays as it is.
        space: configurations to answer for, with the names of the table's; None: the table's own space.
        predict_curves: the regressor predicts all levels and objectives at once from a configuration's code; False: the
            objectives at a level from the code and the level.
        separate_seeds: a regressor for each replicate of the table, or all of them merged into one replicate. The nearest
            configuration answers with its replicates, or with their mean.
        fit_differences: objectives of which the differences from level to level are predicted and summed up, such as an
            elapsed time; with `predict_curves`.
        max_fit_samples: most rows that a regressor is fitted to.
        seed: by which they are chosen.
        surrogate_kwargs: arguments of a regressor given by name.

    Inputs of a regressor are codes in the unit cube (categories one-hot), outputs are standardised. Levels that are missing
    take the value of the level before for the fit, and configurations that are missing altogether are left out.

    Raises InvalidArgument, MissingExtra.
    """
    configs = getattr(blackbox, "configs", None)
    if not isinstance(configs, Sequence) or not configs:
        raise InvalidArgument(
            f"blackbox={type(blackbox).__name__} has no list `configs` of what it holds; a TabularBlackbox has."
        )
    wanted = blackbox.space if space is None else Space.of(space)
    codes = coded(wanted, configs)
    for name in fit_differences:
        if name not in blackbox.objectives:
            raise InvalidArgument(f"fit_differences: {name!r} is no objective. {nearest(name, blackbox.objectives)}")
    if max_fit_samples is not None:
        require_count("max_fit_samples", max_fit_samples)
    if surrogate is None:
        if surrogate_kwargs:
            raise InvalidArgument("surrogate_kwargs= are the arguments of a regressor: name it by surrogate=.")
        return NearestBlackbox(blackbox, wanted, codes, configs, separate_seeds=separate_seeds)
    if fit_differences and not predict_curves:
        raise InvalidArgument("fit_differences= needs predict_curves=True: there is no level before in a single point.")
    return RegressedBlackbox(
        blackbox,
        wanted,
        codes,
        configs,
        _regressor(surrogate, surrogate_kwargs),
        predict_curves=predict_curves,
        separate_seeds=separate_seeds,
        differences=fit_differences,
        most=max_fit_samples,
        seed=seed,
    )


def _regressor(surrogate: Any, arguments: Mapping[str, Any] | None) -> Any:
    """A regressor by name, or the one given. Raises InvalidArgument with the nearest name, MissingExtra."""
    if isinstance(surrogate, str):
        if surrogate not in REGRESSORS:
            raise InvalidArgument(f"surrogate={surrogate!r} is no known regressor. {nearest(surrogate, REGRESSORS)}")
        from importlib import import_module

        module, name = REGRESSORS[surrogate]
        try:
            return getattr(import_module(module), name)(**(arguments or {}))
        except ImportError:
            raise MissingExtra(f"surrogate={surrogate!r}", "trees") from None
        except TypeError as error:
            raise InvalidArgument(f"surrogate={surrogate!r} does not take these arguments: {error}") from None
    if arguments:
        raise InvalidArgument("Arguments of a regressor go with its name; one that is given as an object has its own.")
    if not callable(getattr(surrogate, "fit", None)) or not callable(getattr(surrogate, "predict", None)):
        raise InvalidArgument(f"surrogate={surrogate!r} has no fit and predict; give a regressor, or the name of one.")
    return surrogate


def coded(space: Space, configs: Sequence[Mapping[str, Any]]) -> NDArray[Any]:
    """Codes of recorded configurations in a space, (n, dimension); numbers outside of it lie at its border.

    Raises InvalidArgument for a name that the table does not have, and for a value that cannot be a space's.
    """
    from offbeat.errors import InvalidConfig

    recorded = dict.fromkeys(name for config in configs for name in config)
    for name in space.domains:
        if name not in recorded:
            raise InvalidArgument(f"space: the table has no hyperparameter {name!r}. {nearest(name, recorded)}")
    for name in recorded:
        if name not in space.domains and name not in space.constants:
            raise InvalidArgument(
                f"space: it lacks the table's hyperparameter {name!r}. {nearest(name, space.domains)}"
            )
    codes = np.empty((len(configs), space.dimension))
    for name, domain in space.domains.items():
        known: dict[Any, tuple[float, ...]] = {}
        encode = domain.encoder()
        for i, config in enumerate(configs):
            value = config.get(name)
            if (code := known.get((type(value), value))) is None:
                try:
                    code = (0.5,) * domain.width if name not in config else tuple(encode(domain.cast(value)))
                except (InvalidConfig, ValueError):
                    raise InvalidArgument(f"space: the table's {name}={value!r} is not in {domain!r}.") from None
                known[type(value), value] = code
            codes[i, space.columns[name]] = code
    return np.clip(codes, 0.0, 1.0)


class _Answering:
    """What both kinds have in common: everything of the table but its configurations.

    Attributes:
        space: configurations that are answered.
    """

    def __init__(self, blackbox: Blackbox, space: Space, *, separate_seeds: bool) -> None:
        self.space = space
        self.levels = blackbox.levels
        self.resource_attr = blackbox.resource_attr
        self.objectives: Mapping[str, Mode | None] = blackbox.objectives
        self.elapsed_attr = blackbox.elapsed_attr
        self.seeds = blackbox.seeds if separate_seeds else 1

    def _code(self, configs: Sequence[Mapping[str, Any]]) -> NDArray[Any]:
        """Codes of configurations. Raises InvalidArgument for a name that is missing, InvalidConfig for a value."""
        try:
            codes: NDArray[Any] = np.clip(self.space.encode(configs), 0.0, 1.0)
        except KeyError as error:
            name = str(error.args[0])
            raise InvalidArgument(
                f"The configuration lacks hyperparameter {name!r}. {nearest(name, configs[0])}"
            ) from None
        return codes

    def _check(self, seed: int) -> None:
        if not 0 <= seed < self.seeds:
            raise InvalidArgument(f"seed={seed!r}: there are seeds 0 to {self.seeds - 1}.")


class NearestBlackbox(_Answering):
    """Answers with the nearest recorded configuration; see `add_surrogate`."""

    def __init__(
        self,
        blackbox: Blackbox,
        space: Space,
        codes: NDArray[Any],
        configs: Sequence[Mapping[str, Any]],
        *,
        separate_seeds: bool,
    ) -> None:
        super().__init__(blackbox, space, separate_seeds=separate_seeds)
        self._blackbox, self._configs = blackbox, configs
        self._neighbours = Neighbours(codes)
        self._merged = not separate_seeds

    def nearest(self, config: Mapping[str, Any]) -> Mapping[str, Any]:
        """The recorded configuration that answers."""
        return self._configs[self._neighbours.nearest(self._code([config])[0])]

    def curve(self, config: Mapping[str, Any], seed: int = 0) -> Mapping[str, Any]:
        """The nearest configuration's curve. Raises InvalidArgument, InvalidConfig."""
        self._check(seed)
        return self._answer(self._neighbours.nearest(self._code([config])[0]), seed)

    def curves(self, configs: Sequence[Mapping[str, Any]], seeds: Sequence[int]) -> list[Mapping[str, Any]]:
        """One curve for each pair; the neighbours are found at once."""
        for seed in seeds:
            self._check(seed)
        rows = self._neighbours.nearest_of_each(self._code(configs)) if configs else []
        return [self._answer(row, seed) for row, seed in zip(rows, seeds, strict=True)]

    def _answer(self, row: int, seed: int) -> Mapping[str, Any]:
        if not self._merged:
            return self._blackbox.curve(self._configs[row], seed)
        curves = [self._blackbox.curve(self._configs[row], one) for one in range(self._blackbox.seeds)]
        return {name: _mean(np.array([curve[name] for curve in curves], float)) for name in self.objectives}


class RegressedBlackbox(_Answering):
    """Answers with what regressors predict; see `add_surrogate`."""

    def __init__(
        self,
        blackbox: Blackbox,
        space: Space,
        codes: NDArray[Any],
        configs: Sequence[Mapping[str, Any]],
        model: Any,
        *,
        predict_curves: bool,
        separate_seeds: bool,
        differences: Sequence[str],
        most: int | None,
        seed: int,
    ) -> None:
        super().__init__(blackbox, space, separate_seeds=separate_seeds)
        self._whole = predict_curves
        self._summed = [i for i, name in enumerate(self.objectives) if name in differences]
        self._scale = np.asarray(blackbox.levels, float) / max(blackbox.levels)
        tables = [_table(blackbox, configs, one) for one in range(blackbox.seeds)]
        groups = [[table] for table in tables] if separate_seeds else [tables]
        rng = generator(seed, SAMPLE, 0)
        self._models = [self._fitted(_copy(model), codes, group, most, rng) for group in groups]

    def curve(self, config: Mapping[str, Any], seed: int = 0) -> Mapping[str, Any]:
        """The predicted curve. Raises InvalidArgument, InvalidConfig."""
        return self.curves([config], [seed])[0]

    def curves(self, configs: Sequence[Mapping[str, Any]], seeds: Sequence[int]) -> list[Mapping[str, Any]]:
        """One curve for each pair, predicted at once for each replicate."""
        for seed in seeds:
            self._check(seed)
        if not configs:
            return []
        codes = self._code(configs)
        found = np.empty((len(configs), len(self.levels), len(self.objectives)))
        for seed in dict.fromkeys(seeds):
            rows = [i for i, one in enumerate(seeds) if one == seed]
            found[rows] = self._predicted(seed, codes[rows])
        if self._summed:
            found[:, :, self._summed] = np.cumsum(found[:, :, self._summed], axis=1)
        return [dict(zip(self.objectives, one.T, strict=True)) for one in found]

    def _inputs(self, codes: NDArray[Any]) -> NDArray[Any]:
        """A row for each configuration, or for each level of each configuration."""
        if self._whole:
            return codes
        levels = np.tile(self._scale, len(codes))[:, None]
        return np.hstack([np.repeat(codes, len(self._scale), axis=0), levels])

    def _fitted(
        self, model: Any, codes: NDArray[Any], tables: Sequence[NDArray[Any]], most: int | None, rng: Any
    ) -> tuple[Any, NDArray[Any], NDArray[Any]]:
        """The model, mean and deviation of its outputs."""
        inputs, outputs = [], []
        for table in tables:
            there = ~np.isnan(table).any(axis=(1, 2))
            curves = table[there]
            if self._summed:
                curves = curves.copy()
                curves[:, :, self._summed] = np.diff(curves[:, :, self._summed], axis=1, prepend=0.0)
            inputs.append(self._inputs(codes[there]))
            width = len(self.objectives) * (len(self.levels) if self._whole else 1)
            outputs.append(curves.reshape(-1, width))
        x, y = np.concatenate(inputs), np.concatenate(outputs)
        if not len(x):
            raise InvalidArgument(
                "A replicate of the table has no whole curve to fit; separate_seeds=False merges them."
            )
        if most is not None and len(x) > most:
            rows = np.sort(rng.permutation(len(x))[:most])
            x, y = x[rows], y[rows]
        mean, deviation = y.mean(axis=0), y.std(axis=0)
        deviation[deviation == 0] = 1.0
        scaled = (y - mean) / deviation
        model.fit(x, scaled[:, 0] if scaled.shape[1] == 1 else scaled)
        return model, mean, deviation

    def _predicted(self, seed: int, codes: NDArray[Any]) -> NDArray[Any]:
        """(config, level, objective)."""
        model, mean, deviation = self._models[seed]
        found = np.asarray(model.predict(self._inputs(codes)), float).reshape(-1, len(mean)) * deviation + mean
        curves: NDArray[Any] = found.reshape(len(codes), len(self.levels), len(self.objectives))
        return curves


def _copy(model: Any) -> Any:
    """A regressor with the same settings that was not fitted."""
    from copy import deepcopy

    if hasattr(model, "get_params"):
        try:
            from sklearn.base import clone
        except ImportError:
            raise MissingExtra("A regressor", "trees") from None
        return clone(model)
    return deepcopy(model)


def _table(blackbox: Blackbox, configs: Sequence[Mapping[str, Any]], seed: int) -> NDArray[Any]:
    """(config, level, objective) of a replicate; missing levels filled, NaN where an objective is missing altogether."""
    curves = blackbox.curves(configs, [seed] * len(configs))
    table = np.array([[curve[name] for name in blackbox.objectives] for curve in curves], float).transpose(0, 2, 1)
    table[~np.isfinite(table)] = np.nan
    for level in range(1, table.shape[1]):
        empty = np.isnan(table[:, level])
        table[:, level][empty] = table[:, level - 1][empty]
    for level in range(table.shape[1] - 2, -1, -1):
        empty = np.isnan(table[:, level])
        table[:, level][empty] = table[:, level + 1][empty]
    return table


def _mean(values: NDArray[Any]) -> NDArray[Any]:
    """The mean over the first axis of what is no NaN."""
    there = ~np.isnan(values)
    count = there.sum(axis=0)
    total = np.where(there, values, 0.0).sum(axis=0)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)

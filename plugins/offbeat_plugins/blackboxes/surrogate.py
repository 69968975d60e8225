"""Answers for configurations that a table does not hold: its nearest one, or a regressor fitted to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any, Final

from offbeat.arguments import require_count
from offbeat.errors import InvalidArgument, MissingExtra, nearest
from offbeat.protocols import Blackbox
from offbeat.space import Space
from offbeat_plugins.blackboxes.surrogates.answering import coded
from offbeat_plugins.blackboxes.surrogates.nearest import NearestBlackbox
from offbeat_plugins.blackboxes.surrogates.regressed import RegressedBlackbox

REGRESSORS: Final[Mapping[str, tuple[str, str]]] = {
    "KNeighborsRegressor": ("sklearn.neighbors", "KNeighborsRegressor"),
    "MLPRegressor": ("sklearn.neural_network", "MLPRegressor"),
    "RandomForestRegressor": ("sklearn.ensemble", "RandomForestRegressor"),
    "ExtraTreesRegressor": ("sklearn.ensemble", "ExtraTreesRegressor"),
    "LinearRegression": ("sklearn.linear_model", "LinearRegression"),
    "XGBRegressor": ("xgboost", "XGBRegressor"),
}
"""Regressors that are known by name -> where they are."""


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
    if isinstance(blackbox, NearestBlackbox) and blackbox.seeds == blackbox.table.seeds:
        blackbox = blackbox.table  # its own configurations are answered exactly
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

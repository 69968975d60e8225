"""A scikit-learn search estimator in which an offbeat scheduler decides."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from math import isfinite
from typing import Any, Final

from offbeat.asktell import AskedTrial, AskTell
from offbeat.config_space import choice
from offbeat.errors import InvalidArgument, MissingExtra
from offbeat.registry import load
from offbeat.stopping import StoppingCriterion

try:
    from joblib import effective_n_jobs
    from sklearn.exceptions import (
        FitFailedWarning,
    )
    from sklearn.model_selection._search import (
        BaseSearchCV,
    )
    from sklearn.utils import check_random_state
except ImportError:
    raise MissingExtra("OffbeatSearchCV", "trees") from None

RESOURCE: Final = "resource"
"""Column of `cv_results_` with how far a configuration was evaluated."""

SCORE: Final = "score"


class OffbeatSearchCV(BaseSearchCV):  # type: ignore[misc]
    """Searches the parameters of an estimator by cross-validation, like `RandomizedSearchCV`, with any scheduler.

        search = OffbeatSearchCV(SVC(), {"C": loguniform(1e-3, 1e3), "kernel": ["rbf", "linear"]}, n_iter=30)
        search.fit(X, y).best_params_

    With `resource` the scheduler says how far a configuration is evaluated: `scheduler="asha"` with
    `scheduler_options={"type": "promotion"}` fits many with few trees or iterations and goes on with the best. Each level is
    fitted from the start. `cv_results_` then has a row for each level, and `best_index_` is among those of the highest.

    Args:
        estimator: an object of scikit-learn's kind.
        param_distributions: parameter -> domain of `offbeat.config_space`, list of values, or a single value.
        n_iter: how many configurations are tried.
        scheduler: name of a plugin in `offbeat.schedulers`, or the class; made as `scheduler(space, metric=, mode=,
            random_seed=, **scheduler_options)`, with `resource_attr=` and `max_t=` where there is a resource.
        scheduler_options: further arguments of the scheduler.
        resource: a parameter of the estimator that counts how much is computed (`n_estimators`, `max_iter`).
        max_resource: its highest value.
        batch_size: configurations that are asked for before the first of them is told; by default as many as `n_jobs` can
            evaluate at once. What is searched depends on it. Of a batch in which nothing could be fitted scikit-learn
            keeps no row in `cv_results_`.
        scoring, n_jobs, refit, cv, verbose, pre_dispatch, error_score, return_train_score: as for `RandomizedSearchCV`.
        random_state: seed of the search.

    Raises, in `fit`: InvalidArgument, UnknownPlugin with the nearest name, and what scikit-learn raises.
    """

    def __init__(
        self,
        estimator: Any,
        param_distributions: Mapping[str, Any],
        *,
        n_iter: int = 10,
        scheduler: str | Callable[..., Any] = "random-search",
        scheduler_options: Mapping[str, Any] | None = None,
        resource: str | None = None,
        max_resource: int | None = None,
        batch_size: int | None = None,
        scoring: Any = None,
        n_jobs: int | None = None,
        refit: Any = True,
        cv: Any = None,
        verbose: int = 0,
        pre_dispatch: Any = "2*n_jobs",
        random_state: Any = None,
        error_score: Any = float("nan"),
        return_train_score: bool = False,
    ) -> None:
        super().__init__(
            estimator=estimator,
            scoring=scoring,
            n_jobs=n_jobs,
            refit=refit,
            cv=cv,
            verbose=verbose,
            pre_dispatch=pre_dispatch,
            error_score=error_score,
            return_train_score=return_train_score,
        )
        self.param_distributions = param_distributions
        self.n_iter = n_iter
        self.scheduler = scheduler
        self.scheduler_options = scheduler_options
        self.resource = resource
        self.max_resource = max_resource
        self.batch_size = batch_size
        self.random_state = random_state

    # Without `callback_ctx`, by which scikit-learn tells its own searches from those of others.
    def _run_search(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, evaluate_candidates: Callable[..., Mapping[str, Any]]
    ) -> None:
        """Called by scikit-learn in `fit`."""
        size = self._batch()
        criterion = StoppingCriterion(max_num_trials_started=self._positive("n_iter", self.n_iter))
        evaluated, failure = False, None
        with AskTell(self._scheduler(), stop_criterion=criterion) as search:
            while batch := self._asked(search, size):
                try:
                    self._evaluate(search, batch, evaluate_candidates)
                    evaluated = True
                except ValueError as error:
                    # scikit-learn takes a batch in which nothing could be fitted for the whole search.
                    if "fits failed" not in str(error):
                        raise
                    failure = error
                    warnings.warn(str(error), FitFailedWarning, stacklevel=2)
                    for asked in batch:
                        search.fail(asked, "no fold could be fitted")
        if failure is not None and not evaluated:
            raise failure

    def _asked(self, search: AskTell, size: int) -> list[AskedTrial]:
        batch: list[AskedTrial] = []
        while len(batch) < size and (asked := search.ask()) is not None:
            batch.append(asked)
        return batch

    def _evaluate(
        self, search: AskTell, batch: list[AskedTrial], evaluate_candidates: Callable[..., Mapping[str, Any]]
    ) -> None:
        candidates, more = [], {"trial": [asked.id for asked in batch]}
        levels = [asked.until or self.max_resource for asked in batch]
        for asked, level in zip(batch, levels, strict=True):
            candidates.append(asked.config if self.resource is None else {**asked.config, self.resource: level})
        if self.resource is not None:
            more[RESOURCE] = levels  # type: ignore[assignment]
        results = evaluate_candidates(candidates, more_results=more)
        scores = results[self._score_of(results)][-len(batch) :]
        for asked, level, score in zip(batch, levels, map(float, scores), strict=True):
            if not isfinite(score):
                search.fail(asked, f"its score is {score}")
                continue
            told = {} if self.resource is None else {self.resource: level}
            if search.tell(asked, **{SCORE: score, **told}) == "continue":
                search.complete(asked)

    def _scheduler(self) -> Any:
        made = load("offbeat.schedulers", self.scheduler) if isinstance(self.scheduler, str) else self.scheduler
        space = {
            name: choice(list(domain)) if isinstance(domain, list | tuple) else domain
            for name, domain in self.param_distributions.items()
        }
        options = dict(self.scheduler_options or {})
        if self.resource is not None:
            if self.resource in space:
                raise InvalidArgument(f"resource={self.resource!r} cannot be searched too: take it out of the space.")
            options = {
                "resource_attr": self.resource,
                "max_t": self._positive("max_resource", self.max_resource),
                **options,
            }
        seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        return made(space, metric=SCORE, mode="max", random_seed=seed, **options)

    def _score_of(self, results: Mapping[str, Any]) -> str:
        """The column that the scheduler is told: that of `refit` where there are several."""
        if "mean_test_score" in results:
            return "mean_test_score"
        if isinstance(self.refit, str) and f"mean_test_{self.refit}" in results:
            return f"mean_test_{self.refit}"
        named = ", ".join(sorted(name.removeprefix("mean_test_") for name in results if name.startswith("mean_test_")))
        raise InvalidArgument(f"refit={self.refit!r}: with several metrics say which one the search is for ({named}).")

    def _batch(self) -> int:
        if self.batch_size is not None:
            return self._positive("batch_size", self.batch_size)
        n_jobs: Any = self.n_jobs
        jobs: int = effective_n_jobs(n_jobs)
        return max(1, -(-jobs // int(self.n_splits_)))

    @staticmethod
    def _select_best_index(refit: Any, refit_metric: str, results: Mapping[str, Any]) -> int:
        """Called by scikit-learn: with a resource, the best of those that were evaluated furthest."""
        if callable(refit) or RESOURCE not in results:
            return int(BaseSearchCV._select_best_index(refit, refit_metric, results))
        levels, ranks = results[RESOURCE], results[f"rank_test_{refit_metric}"]
        best: int = min(range(len(levels)), key=lambda i: (-levels[i], ranks[i]))
        return best

    @staticmethod
    def _positive(name: str, value: Any) -> int:
        if isinstance(value, bool) or not hasattr(value, "__index__") or value < 1:
            raise InvalidArgument(f"{name}={value!r}: give a whole number from 1 up.")
        return int(value)

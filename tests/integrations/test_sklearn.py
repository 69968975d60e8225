"""The search estimator: scikit-learn's own checks, its arithmetic by hand, and the scheduler's decisions by hand."""

from __future__ import annotations

import pickle
import warnings
from typing import Any

import numpy as np
import pytest

from offbeat.asktell import AskTell
from offbeat.config_space import choice, loguniform, randint, when
from offbeat.errors import InvalidArgument, UnknownPlugin
from offbeat.optimizer.baselines import ASHA, RandomSearch
from offbeat.stopping import StoppingCriterion

pytest.importorskip("sklearn", reason="scikit-learn is not installed: pip install 'offbeat[trees]'")

from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.datasets import make_classification
from sklearn.ensemble import RandomForestClassifier
from sklearn.exceptions import FitFailedWarning
from sklearn.linear_model import Ridge, RidgeClassifier
from sklearn.model_selection import KFold, RandomizedSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from sklearn.utils import check_random_state

from offbeat.integrations import OffbeatSearchCV

pytestmark = [pytest.mark.filterwarnings("default"), pytest.mark.timeout(300)]

X, Y = make_classification(120, 6, random_state=0)
SPACE = {"C": loguniform(1e-3, 1e3), "kernel": ["rbf", "linear"], "gamma": "scale"}
CV = KFold(3, shuffle=True, random_state=0)


def seed_of(random_state: int) -> int:
    return int(check_random_state(random_state).randint(2**31 - 1))


def failing(search: Any) -> set[str]:
    """Names of scikit-learn's estimator checks that it does not pass."""
    from sklearn.utils.estimator_checks import check_estimator

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        results = check_estimator(search, on_fail=None, on_skip=None)
    assert len(results) > 30
    return {one["check_name"] for one in results if one["status"] == "failed"}


@pytest.mark.parametrize("estimator", [RidgeClassifier(), Ridge()], ids=["classifier", "regressor"])
def test_estimator_checks(estimator: Any) -> None:
    """It fails none that scikit-learn's own search does not fail on the same estimator."""
    ours = OffbeatSearchCV(estimator, {"alpha": loguniform(0.1, 10.0)}, n_iter=2, cv=2, random_state=0)
    theirs = RandomizedSearchCV(estimator, {"alpha": [0.1, 10.0]}, n_iter=2, cv=2, random_state=0)
    assert failing(ours) <= failing(theirs)


def test_the_search_is_that_of_the_scheduler_and_the_scores_are_those_of_cross_validation() -> None:
    search = OffbeatSearchCV(SVC(), SPACE, n_iter=9, cv=CV, random_state=5).fit(X, Y)
    space = {"C": SPACE["C"], "kernel": choice(["rbf", "linear"]), "gamma": "scale"}
    study = AskTell(
        RandomSearch(space, metric="score", mode="max", random_seed=seed_of(5)),
        stop_criterion=StoppingCriterion(max_num_trials_started=9),
    )
    scores = []
    while (trial := study.ask()) is not None:
        assert search.cv_results_["params"][trial.id] == trial.config
        scores.append(cross_val_score(SVC(**trial.config), X, Y, cv=CV).mean())
        study.complete(trial, score=scores[-1])
    assert search.cv_results_["mean_test_score"] == pytest.approx(scores)
    assert list(search.cv_results_["trial"]) == list(range(9))
    assert search.best_index_ == int(np.argmax(scores))
    assert search.best_score_ == pytest.approx(max(scores))
    assert search.best_params_ == study.best().config | {"gamma": "scale"}
    assert search.score(X, Y) == SVC(**search.best_params_).fit(X, Y).score(X, Y)


def test_a_resource_is_spent_where_the_scheduler_says() -> None:
    forest = RandomForestClassifier(random_state=0)
    space = {"max_depth": randint(1, 9), "max_features": ["sqrt", None]}
    search = OffbeatSearchCV(
        forest, space, n_iter=12, scheduler="asha", scheduler_options={"type": "promotion"}, resource="n_estimators",
        max_resource=9, cv=CV, random_state=1,
    ).fit(X, Y)  # fmt: skip
    study = AskTell(
        ASHA(
            {"max_depth": randint(1, 9), "max_features": choice(["sqrt", None])}, metric="score", mode="max",
            random_seed=seed_of(1), type="promotion", resource_attr="n_estimators", max_t=9,
        ),
        stop_criterion=StoppingCriterion(max_num_trials_started=12),
    )  # fmt: skip
    rows = []
    while (trial := study.ask()) is not None:
        params = {**trial.config, "n_estimators": trial.until}
        score = cross_val_score(clone(forest).set_params(**params), X, Y, cv=CV).mean()
        rows.append((trial.id, trial.until, params, pytest.approx(score)))
        if study.tell(trial, n_estimators=trial.until, score=score) == "continue":
            study.complete(trial)
    found = search.cv_results_
    assert list(zip(found["trial"], found["resource"], found["params"], found["mean_test_score"], strict=True)) == rows
    assert {1, 3, 9} == set(found["resource"])
    assert len(rows) > 12
    assert search.best_params_["n_estimators"] == 9
    at_the_top = [score for level, score in zip(found["resource"], found["mean_test_score"], strict=True) if level == 9]
    assert search.best_score_ == max(at_the_top)
    assert search.best_estimator_.n_estimators == 9


def test_conditions_are_kept() -> None:
    space = {
        "kernel": choice(["rbf", "linear"]),
        "gamma": when(loguniform(1e-3, 1.0), "kernel == 'rbf'"),
        "C": loguniform(0.1, 10.0),
    }
    search = OffbeatSearchCV(SVC(), space, n_iter=12, cv=2, random_state=0).fit(X, Y)
    tried = search.cv_results_["params"]
    assert {params["kernel"] for params in tried} == {"rbf", "linear"}
    assert all(("gamma" in params) == (params["kernel"] == "rbf") for params in tried)


def test_the_number_of_jobs_changes_nothing_where_the_batch_is_said() -> None:
    found = [
        OffbeatSearchCV(SVC(), SPACE, n_iter=5, batch_size=2, n_jobs=jobs, cv=CV, random_state=0).fit(X, Y).cv_results_
        for jobs in (1, 2)
    ]
    assert found[0]["params"] == found[1]["params"]
    assert list(found[0]["mean_test_score"]) == list(found[1]["mean_test_score"])


class Fragile(ClassifierMixin, BaseEstimator):
    """Cannot be fitted with an odd depth."""

    def __init__(self, depth: int = 1) -> None:
        self.depth = depth

    def fit(self, x: Any, y: Any) -> Fragile:
        if self.depth % 2:
            raise ValueError("an odd depth")
        self.classes_ = np.unique(y)
        return self

    def predict(self, x: Any) -> Any:
        return np.full(len(x), self.classes_[0])


def test_configurations_that_cannot_be_fitted_do_not_end_the_search() -> None:
    space = {"depth": randint(1, 6)}
    search = OffbeatSearchCV(Fragile(), space, n_iter=6, batch_size=6, cv=2, random_state=0).fit(X, Y)
    scores, params = search.cv_results_["mean_test_score"], search.cv_results_["params"]
    assert sorted(one["depth"] for one in params) == [1, 2, 3, 4, 5, 6]
    assert [one["depth"] % 2 == 1 for one in params] == list(np.isnan(scores))
    assert search.best_params_["depth"] % 2 == 0
    # One by one: scikit-learn keeps no row of a batch in which nothing could be fitted.
    with pytest.warns(FitFailedWarning, match="an odd depth"):
        search = OffbeatSearchCV(Fragile(), space, n_iter=6, cv=2, random_state=0).fit(X, Y)
    assert sorted(one["depth"] for one in search.cv_results_["params"]) == [2, 4, 6]
    for n_iter in (1, 2):
        with pytest.raises(ValueError, match=r"All the 2 fits failed"):
            OffbeatSearchCV(Fragile(), {"depth": [1, 3]}, n_iter=n_iter, cv=2, random_state=0).fit(X, Y)
    with pytest.raises(ValueError, match="an odd depth"):
        OffbeatSearchCV(Fragile(), space, n_iter=6, cv=2, error_score="raise", random_state=0).fit(X, Y)


def test_a_space_that_is_used_up_ends_the_search() -> None:
    search = OffbeatSearchCV(Ridge(), {"alpha": [0.1, 1.0, 10.0]}, n_iter=50, cv=2, random_state=0).fit(X, Y)
    assert sorted(params["alpha"] for params in search.cv_results_["params"]) == [0.1, 1.0, 10.0]


def test_several_metrics() -> None:
    search = OffbeatSearchCV(SVC(), SPACE, n_iter=4, cv=CV, scoring=["accuracy", "f1"], refit="f1", random_state=0).fit(
        X, Y
    )
    assert search.best_score_ == max(search.cv_results_["mean_test_f1"])
    with pytest.raises(InvalidArgument, match=r"accuracy, f1"):
        OffbeatSearchCV(SVC(), SPACE, n_iter=4, scoring=["accuracy", "f1"], refit=False).fit(X, Y)


def test_it_is_an_estimator_like_others() -> None:
    search = OffbeatSearchCV(
        make_pipeline(StandardScaler(), SVC()), {"svc__C": loguniform(1e-2, 1e2)}, n_iter=3, random_state=0
    )
    copy = clone(search).set_params(n_iter=4, estimator__svc__kernel="linear")
    copy.fit(X, Y)
    assert len(copy.cv_results_["params"]) == 4
    assert copy.best_estimator_[-1].kernel == "linear"
    again = pickle.loads(pickle.dumps(copy))
    assert list(again.predict(X)) == list(copy.predict(X))
    assert cross_val_score(search, X, Y, cv=2).shape == (2,)


@pytest.mark.parametrize(
    ("options", "error", "told"),
    [
        ({"n_iter": 0}, InvalidArgument, "n_iter=0"),
        ({"batch_size": 1.5}, InvalidArgument, "batch_size=1.5"),
        ({"scheduler": "random-serch"}, UnknownPlugin, "Did you mean 'random-search'"),
        ({"resource": "C", "max_resource": 9}, InvalidArgument, "cannot be searched too"),
        ({"resource": "max_iter"}, InvalidArgument, "max_resource=None"),
        ({"scheduler": "asha"}, InvalidArgument, "resource"),
    ],
)
def test_arguments_that_cannot_work(options: dict[str, Any], error: type[Exception], told: str) -> None:
    with pytest.raises(error, match=told):
        OffbeatSearchCV(SVC(), SPACE, **options).fit(X, Y)

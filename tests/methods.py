"""Every method that compares trials at resource levels, in one place: tests that take `method` run for each of them."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any, Literal, NamedTuple

import pytest

from offbeat.optimizer import baselines

Kind = Literal["stopping", "promotion", "synchronous", "evolving", "median", "population"]


class Method(NamedTuple):
    """A method with settings that let it come to its point within a few trials over some nine levels.

    Attributes:
        name: of the method in tests; plugin: entry point; cls: name in `offbeat.optimizer.baselines`.
        kind: how it treats a trial that has come to a level: it stops what is behind ("stopping", "median"), pauses all and
            resumes the best ("promotion", "synchronous"), ends all but those of its first bracket ("evolving"), or replaces
            the weak by copies ("population").
        options: of the constructor.
        model: its proposals take milliseconds instead of microseconds; tests play fewer games.
        needs: module of an extra without which it does not work.
    """

    name: str
    plugin: str
    cls: str
    kind: Kind
    options: Mapping[str, Any] = {}
    model: bool = False
    needs: str = ""

    def make(self, space: Mapping[str, Any], metric: str = "loss", **options: Any) -> Any:
        """A scheduler whose resource is `epoch`, and whose maximum the space's constant `epochs`, if nothing else is said."""
        given = {"resource_attr": "epoch", "random_seed": 3, **self.options, **options}
        if "max_t" not in given:
            given.setdefault("max_resource_attr", "epochs")
        if self.kind == "median":
            own = {name: given.pop(name) for name in ("nonfinite", "points_to_evaluate", "max_t") if name in given}
            given["scheduler_options"] = {name: value for name, value in own.items() if name != "max_t"}
        return getattr(baselines, self.cls)(space, metric, **given)

    @property
    def has_rungs(self) -> bool:
        """Whether it has the arguments grace_period and reduction_factor."""
        return self.kind not in ("median", "population")


_QUICK: dict[str, Any] = {"num_init_random": 3, "num_candidates": 12}
_PROCESS: dict[str, Any] = {"num_init_random": 3, "backend": "numpy"}

METHODS = (
    Method("asha-stopping", "asha", "ASHA", "stopping", {"type": "stopping"}),
    Method("asha-promotion", "asha", "ASHA", "promotion", {"type": "promotion"}),
    Method("asha-paper", "asha", "ASHA", "promotion", {"type": "promotion", "rule": "paper", "brackets": 2}),
    Method("median-stopping-rule", "median-stopping-rule", "MedianStoppingRule", "median", {"grace_population": 3}),
    Method("pasha", "pasha", "PASHA", "promotion", {"reduction_factor": 2}),
    Method("sync-hyperband", "sync-hyperband", "SyncHyperband", "synchronous"),
    Method("dehb", "dehb", "DEHB", "evolving"),
    Method("pbt", "pbt", "PopulationBasedTraining", "population", {"perturbation_interval": 2}),
    Method("pb2", "pb2", "PB2", "population", {"perturbation_interval": 2}, model=True),
    Method("bohb", "bohb", "BOHB", "stopping", {"min_points": 2, "num_candidates": 12}, model=True),
    Method("sync-bohb", "sync-bohb", "SyncBOHB", "synchronous", {"min_points": 2, "num_candidates": 12}, model=True),
    Method("asha-bore", "asha-bore", "ASHABORE", "stopping", _QUICK, model=True, needs="sklearn"),
    Method(
        "asha-cqr", "asha-cqr", "ASHACQR", "promotion", {**_QUICK, "type": "promotion"}, model=True, needs="sklearn"
    ),
    Method("mobster", "mobster", "MOBSTER", "stopping", _PROCESS, model=True),
    Method("sync-mobster", "sync-mobster", "SyncMOBSTER", "synchronous", _PROCESS, model=True),
)


def parametrise(metafunc: pytest.Metafunc) -> None:
    """Runs a test that takes `method` for each of them, `plain_method` for those without a model, `rung_method` with rungs."""
    for name, chosen in (
        ("method", METHODS),
        ("plain_method", [one for one in METHODS if not one.model]),
        ("rung_method", [one for one in METHODS if one.has_rungs]),
    ):
        if name in metafunc.fixturenames and not _is_given(name, metafunc):
            metafunc.parametrize(name, [pytest.param(one, id=one.name, marks=_marks(one)) for one in chosen])


def _is_given(name: str, metafunc: pytest.Metafunc) -> bool:
    """Whether the test says itself which values a parameter has."""
    names = [mark.args[0] for mark in metafunc.definition.iter_markers("parametrize")]
    return any(name in (given.replace(" ", "").split(",") if isinstance(given, str) else given) for given in names)


def _marks(method: Method) -> list[pytest.MarkDecorator]:
    absent = bool(method.needs) and find_spec(method.needs) is None
    return [pytest.mark.skipif(absent, reason=f"{method.name} needs {method.needs}: pip install 'offbeat[trees]'")]

"""Several objectives as one: their weighted sum, for any scheduler of one metric."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Mapping, Sequence
from typing import Any, Final

from msgspec import structs

from offbeat.arguments import UnknownArgument, explained, one_name, seed_or_fresh
from offbeat.decisions import Decision, Proposal
from offbeat.describe import described
from offbeat.errors import InvalidArgument
from offbeat.events import Event, TrialResult
from offbeat.protocols import LedgerView, Mode, NonFinite, Objective, ProposalRequest, Scheduler
from offbeat.registry import load
from offbeat.space import Space
from offbeat_plugins.multiobjective.priorities import weighted, weights_by_name
from offbeat_plugins.schedulers.several import several_metrics

SUM: Final = "weighted_sum"
"""What the scheduler inside knows the sum as."""

OWN: Final = ("config_space", "metric", "metrics", "mode", "random_seed", "nonfinite", "resource_attr", "time_attr")


@described
@explained
class LinearScalarization:
    """Hands another scheduler the weighted sum of the objectives as its metric, to be minimised.

        LinearScalarization(space, metrics=["val_loss", "latency"], weights={"val_loss": 1, "latency": 0.1}, scheduler="tpe")

    Weights are for the values as they are reported (of "max" with the sign turned), so that they carry the units. A sum finds
    one point of the front, never one in a hollow of it; see `MORandomScalarizationBayesOpt` and `EHVI` for the front.

    Args:
        config_space: hyperparameters by name, or a Space.
        metric: names of the reported metrics, two at least; `metrics` is the same. mode: "min" or "max", or one for each.
        weights: by objective; None: their mean.
        scheduler: name of a plugin in `offbeat.schedulers` that takes one metric.
        scheduler_options: its further arguments.
        random_seed: None chooses one, which the journal keeps.
        resource_attr: name under which the script reports its progress, if it does; `time_attr` is the same.
        max_resource_attr: name of the constant in `config_space` that tells the script how far to run.
        nonfinite: what NaN or an infinite value means: "fail", "worst" or "ignore"; or one for each metric.

    Raises InvalidArgument, UnknownPlugin, and what the scheduler's constructor raises.
    """

    def __init__(
        self,
        config_space: Mapping[str, Any] | Space,
        metric: Sequence[str] | None = None,
        mode: Mode | Sequence[Mode] = "min",
        *,
        metrics: Sequence[str] | None = None,
        weights: Mapping[str, float] | None = None,
        scheduler: str = "bayesian-optimization",
        scheduler_options: Mapping[str, Any] | None = None,
        random_seed: int | None = None,
        resource_attr: str | None = None,
        time_attr: str | None = None,
        max_resource_attr: str | None = None,
        nonfinite: NonFinite | Mapping[str, NonFinite] = "fail",
    ) -> None:
        names = several_metrics(metric, metrics, owner="LinearScalarization", instead=f"{scheduler} itself")
        if SUM in names:
            raise InvalidArgument(
                f"metrics={names!r}: {SUM!r} is the name of the sum; report the metric as another one."
            )
        resource = one_name(resource_attr, time_attr, name="resource_attr", alias_name="time_attr")
        self.seed = seed_or_fresh(random_seed)
        self.recorded_arguments = {"random_seed": self.seed}
        self.scheduler = _built(
            scheduler,
            {
                "config_space": config_space,
                "metric": SUM,
                "random_seed": self.seed,
                "resource_attr": resource,
                "max_resource_attr": max_resource_attr,
            },
            scheduler_options or {},
        )
        self.space = self.scheduler.space
        inside = self.scheduler.objective
        self.objective = Objective.of(
            names,
            mode,
            nonfinite=nonfinite,
            resource_attr=inside.resource_attr,
            max_resource_attr=inside.max_resource_attr,
            max_t=inside.max_t,
            needed=inside.metrics[1:],
        )
        specs = self.objective.optimised
        self._names = names
        self._weights = (
            (1.0 / len(names),) * len(names) if weights is None else weights_by_name("weights", weights, names)
        )
        self._signs = [1.0 if spec.mode == "min" else -1.0 for spec in specs]
        self.observes = getattr(self.scheduler, "observes", None)
        self.prefetch = int(getattr(self.scheduler, "prefetch", 0))
        # What the scheduler inside has beside its methods is looked for by name.
        for name in ("due", "running"):
            if hasattr(self.scheduler, name):
                setattr(self, name, getattr(self.scheduler, name))
        if hasattr(self.scheduler, "rung_table"):
            self.rung_table = self._rung_table

    def observe(self, event: Event, ledger: LedgerView) -> Sequence[Decision]:
        """Lets the scheduler inside decide, on results that hold the sum beside the objectives."""
        if type(event) is TrialResult:
            metrics = event.metrics
            values = [sign * metrics[name] for sign, name in zip(self._signs, self._names, strict=True)]
            event = structs.replace(event, metrics={**metrics, SUM: weighted(values, self._weights)})
        return self.scheduler.observe(event, ledger)

    def propose(self, request: ProposalRequest, ledger: LedgerView) -> Proposal | Awaitable[Proposal | None] | None:
        """What the scheduler inside proposes."""
        return self.scheduler.propose(request, ledger)

    def _rung_table(self) -> list[dict[str, Any]]:
        """That of the scheduler inside; values are sums."""
        rows: list[dict[str, Any]] = self.scheduler.rung_table()  # type: ignore[attr-defined]
        return [{**row, "ranked_by": "weighted sum"} for row in rows]


def _built(name: object, given: Mapping[str, Any], options: Mapping[str, Any]) -> Scheduler:
    """The scheduler inside. Raises InvalidArgument, UnknownPlugin."""
    if not isinstance(name, str):
        raise InvalidArgument(
            f"scheduler={name!r}: give the name of a plugin, such as 'asha', and its arguments in scheduler_options=; it is "
            "built around the weighted sum."
        )
    plugin = load("offbeat.schedulers", name)
    parameters = inspect.signature(plugin).parameters
    for option in options:
        if option in OWN:
            raise InvalidArgument(
                f"scheduler_options has {option!r}, which is an argument of LinearScalarization itself."
            )
        if option not in parameters:
            raise UnknownArgument(name, option, parameters)
    scheduler: Scheduler = plugin(**{key: value for key, value in given.items() if value is not None}, **options)
    return scheduler

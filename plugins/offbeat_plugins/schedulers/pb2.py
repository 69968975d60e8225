"""Population based bandits.

Parker-Holder et al. 2020, "Provably Efficient Online Hyperparameter Optimization with Population-Based Bandits":
population based training whose copies do not step in a random direction: a Gaussian process learns from all members which
hyperparameters have improved the metric how fast, and when, and a copy gets those whose upper confidence bound is highest.
So that a few members do what random steps need many for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from numpy.random import Generator

from offbeat.arguments import explained
from offbeat.describe import described
from offbeat.errors import InvalidSpace
from offbeat.protocols import LedgerView, Mode, NonFinite, Searcher
from offbeat.space import Domain, FiniteRange, Float, Integer, Ordinal, Quantized, Space
from offbeat.trial import TrialId
from offbeat_plugins.schedulers.exploration import consistent, explored, told
from offbeat_plugins.schedulers.pbt import Member, PopulationBasedTraining

ENOUGH: Final = 4
"""Improvements from which on the model is asked; before, copies step at random."""

WINDOW: Final = 150
"""Improvements that it learns from, the last ones: older ones are nearly forgotten, and cost as much."""


class Improvement(NamedTuple):
    """What a member has made of one interval.

    Attributes:
        time: where it ended, in intervals; trial: whose configuration it was; rate: by how much the metric got better, a unit
            of the resource.
    """

    time: float
    trial: TrialId
    rate: float


@described
@explained
class PB2(PopulationBasedTraining):
    """Replaces the worst of a population by copies of the best, with hyperparameters that a model of their effect chooses.

    Who is compared, stopped and copied is as in PopulationBasedTraining. The numbers of a copy's configuration are those
    which promise most for the interval before it: the upper confidence bound of a Gaussian process over hyperparameters and
    time, of the improvement of the metric in an interval, with the intervals that other members are in as pending. It
    starts with four improvements; until then, and for hyperparameters without an order always, copies step at random, as
    in PopulationBasedTraining.

    Args:
        config_space: hyperparameters by name, or a Space; one number at least.
        metric, mode: name of the reported metric; "min" or "max".
        resource_attr: name under which the script reports its progress, counted from 1; `time_attr` is the same. A copy
            reports from its donor's level on.
        max_resource_attr: name of the constant in `config_space` that tells the script how far to run.
        max_t: highest resource level; else the constant `max_resource_attr`, else "epochs", "max_t" or "max_epochs".
        population_size: members, two at least; four, as in the paper, do well.
        perturbation_interval, quantile_fraction: see PopulationBasedTraining.
        resample_probability: chance with which a hyperparameter without an order is drawn anew.
        searcher, points_to_evaluate, allow_duplicates: for the first members, see PopulationBasedTraining.
        random_seed: None chooses one, which the journal keeps.
        nonfinite: what NaN or an infinite value means: "fail", "worst" or "ignore".

    Raises InvalidArgument, InvalidSpace, UnknownPlugin.
    """

    def __init__(
        self,
        config_space: Mapping[str, Any] | Space,
        metric: str,
        mode: Mode = "min",
        *,
        resource_attr: str | None = None,
        time_attr: str | None = None,
        max_resource_attr: str | None = None,
        max_t: int | None = None,
        population_size: int = 4,
        perturbation_interval: int | None = None,
        quantile_fraction: float = 0.25,
        resample_probability: float = 0.25,
        searcher: str | Searcher = "random",
        points_to_evaluate: Sequence[Mapping[str, Any]] | None = None,
        allow_duplicates: bool = False,
        random_seed: int | None = None,
        nonfinite: NonFinite | Mapping[str, NonFinite] = "fail",
    ) -> None:
        super().__init__(
            config_space,
            metric,
            mode,
            resource_attr=resource_attr,
            time_attr=time_attr,
            max_resource_attr=max_resource_attr,
            max_t=max_t,
            population_size=population_size,
            perturbation_interval=perturbation_interval,
            quantile_fraction=quantile_fraction,
            resample_probability=resample_probability,
            searcher=searcher,
            points_to_evaluate=points_to_evaluate,
            allow_duplicates=allow_duplicates,
            random_seed=random_seed,
            nonfinite=nonfinite,
        )
        #: Hyperparameters that the model is about, each a coordinate of its cube.
        self._numbers = {name: domain for name, domain in self.space.domains.items() if _is_number(domain)}
        if not self._numbers:
            raise InvalidSpace(
                "PB2 models the effect of numbers, and the space has none that has a value in every configuration: use "
                "PopulationBasedTraining."
            )
        self._improvements: list[Improvement] = []

    def _judged_at(self, trial: TrialId, member: Member, level: int, value: float) -> None:
        if member.before is not None:
            past, score = member.before
            self._improvements.append(Improvement(level / self._interval, trial, (score - value) / (level - past)))
            del self._improvements[:-WINDOW]

    def _explored(self, donor: TrialId, rng: Generator, ledger: LedgerView) -> tuple[dict[str, Any], str]:
        config = ledger[donor].config
        near, words = explored(self.space, config, rng, self._resample)
        if len(self._improvements) < ENOUGH:
            return near, ", ".join(words) or "nothing changed"
        time = self._members[donor].next_level / self._interval
        chosen = self._chosen(time, rng, ledger)
        both = consistent(self.space, {**near, **chosen})
        return both, f"the model's choice for interval {time:g}: {', '.join(told(config, both)) or 'nothing changed'}"

    def _chosen(self, time: float, rng: Generator, ledger: LedgerView) -> dict[str, Any]:
        """Values of the numbers where the upper confidence bound is highest."""
        import numpy as np

        from offbeat_plugins.surrogates.time_varying import Points, highest

        def points(of: Sequence[tuple[TrialId, float]]) -> Points:
            rows = [[self._code(name, ledger[trial].config) for name in self._numbers] for trial, _ in of]
            return Points(np.array(rows).reshape(len(of), len(self._numbers)), np.array([t for _, t in of]))

        known = points([(one.trial, one.time) for one in self._improvements])
        pending = points([(trial, one.next_level / self._interval) for trial, one in self._members.items()])
        best = highest(known, np.array([one.rate for one in self._improvements]), pending, time, rng)
        return {
            name: domain.from_unit(min(float(unit), 1.0 - 2.0**-53))
            for (name, domain), unit in zip(self._numbers.items(), best, strict=True)
        }

    def _code(self, name: str, config: Mapping[str, Any]) -> float:
        # A number that only other configurations have is of no effect here: the middle of its range.
        return float(self._numbers[name].encode(config[name])[0]) if name in config else 0.5


def _is_number(domain: Domain) -> bool:
    return isinstance(domain, Float | Integer | Quantized | FiniteRange | Ordinal)

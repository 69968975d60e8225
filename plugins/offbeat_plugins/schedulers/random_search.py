"""Random search (Bergstra & Bengio 2012, "Random Search for Hyper-Parameter Optimization"): nothing is ever stopped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from offbeat.arguments import explained, highest_level, one_name, seed_or_fresh
from offbeat.decisions import Decision, Start
from offbeat.describe import described
from offbeat.events import Event
from offbeat.protocols import LedgerView, Mode, NonFinite, Objective, ProposalRequest
from offbeat.space import Space
from offbeat_plugins.searchers.random import RandomSearcher


@described
@explained
class RandomSearch:
    """Draws configurations at random, each at most once, and lets every trial run to its end.

    Args:
        config_space: hyperparameters by name, or a Space.
        metric: name of the reported metric, or several names.
        mode: "min" or "max", one for all metrics or one for each.
        points_to_evaluate: configurations to begin with, maybe partial; None: the middle of the space; []: none.
        allow_duplicates: a configuration may come again; otherwise the run ends when a finite space is exhausted.
        random_seed: None chooses one, which the journal keeps.
        resource_attr: name under which the script reports its progress, if it does; `time_attr` is the same.
        max_resource_attr: name of the constant in `config_space` that tells the script how far to run.
        nonfinite: what NaN or an infinite value means, for all metrics or by name: "fail" ends the trial as failed,
            "worst" counts as the worst value so far, "ignore" drops the report.

    Raises InvalidArgument, InvalidSpace.
    """

    observes = RandomSearcher.observes

    def __init__(
        self,
        config_space: Mapping[str, Any] | Space,
        metric: str | Sequence[str],
        mode: Mode | Sequence[Mode] = "min",
        *,
        points_to_evaluate: Sequence[Mapping[str, Any]] | None = None,
        allow_duplicates: bool = False,
        random_seed: int | None = None,
        resource_attr: str | None = None,
        time_attr: str | None = None,
        max_resource_attr: str | None = None,
        nonfinite: NonFinite | Mapping[str, NonFinite] = "fail",
    ) -> None:
        self.space = Space.of(config_space)
        resource = one_name(resource_attr, time_attr, name="resource_attr", alias_name="time_attr")
        # Without a resource nothing is counted, so that a constant called "epochs" means nothing here.
        counted = resource is not None or max_resource_attr is not None
        self.objective = Objective.of(
            metric,
            mode,
            nonfinite=nonfinite,
            resource_attr=resource,
            max_resource_attr=max_resource_attr,
            max_t=highest_level(self.space, None, max_resource_attr) if counted else None,
        )
        self.seed = seed_or_fresh(random_seed)
        self.recorded_arguments = {"random_seed": self.seed}
        self._searcher = RandomSearcher(
            self.space, self.objective, points_to_evaluate=points_to_evaluate, allow_duplicates=allow_duplicates
        )

    def observe(self, event: Event, ledger: LedgerView) -> Sequence[Decision]:
        """Remembers suggestions; decides nothing."""
        self._searcher.observe(event, ledger)
        return ()

    def propose(self, request: ProposalRequest, ledger: LedgerView) -> Start | None:
        """The next new configuration; None once the space is exhausted."""
        if not request.may_start:
            return None
        config = self._searcher.propose(request, ledger)
        return None if config is None else Start(config=config)

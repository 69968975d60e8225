"""What searchers with a model have in common: how they begin, when they draw at random, that nothing comes twice."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from offbeat.arguments import require_count
from offbeat.decisions import Fitted, Start
from offbeat.errors import InvalidArgument
from offbeat.events import Event, Suggested
from offbeat.protocols import LedgerView, Objective, ProposalRequest
from offbeat.space import Space
from offbeat.trial import TrialId
from offbeat_plugins.modelling.worker import ModelFailed
from offbeat_plugins.searchers.columns import Columns
from offbeat_plugins.searchers.levels import Learned, highest_level, last_values
from offbeat_plugins.searchers.observations import OBSERVES, Encoded, Observations
from offbeat_plugins.searchers.random import RandomSearcher

if TYPE_CHECKING:
    from numpy.random import Generator
    from numpy.typing import NDArray


class Preference(NamedTuple):
    """What a model would like to try.

    Attributes:
        configs: the best first; the first one that was not tried yet is taken.
        why: one clause that says what it is founded on.
        fitted: what the next model begins from, if it does not begin anew.
    """

    configs: Iterable[dict[str, Any]]
    why: str
    fitted: Fitted | None = None


class ModelBasedSearcher(ABC):
    """Initial points first, then random ones until there is something to learn from, then what a model prefers.

    Where the model has no answer, or nothing but configurations that were tried before, the draw is random again; it is
    the one that random search would make. A proposal depends on the events so far and on the request alone.

    Args:
        space: what to choose from.
        objective: whose first metric the model learns; one that has several is refused, unless `several` is true.
        points_to_evaluate: configurations to begin with, maybe partial; None: the middle of the space; []: none.
        allow_duplicates: a configuration may come again.
        num_init_random: as long as fewer trials have been measured, draws are random; at least 2.
        random_fraction: share of the later proposals that are random nevertheless.
        by_level: learn from the values at the highest resource level that has `num_init_random` of them, instead of from
            the last value of each trial; see `searchers.levels`.

    Raises InvalidArgument.
    """

    observes = OBSERVES

    def __init__(
        self,
        space: Space,
        objective: Objective,
        *,
        points_to_evaluate: Sequence[Mapping[str, Any]] | None,
        allow_duplicates: bool,
        num_init_random: int,
        random_fraction: float,
        by_level: bool = False,
        several: bool = False,
    ) -> None:
        require_count("num_init_random", num_init_random)
        if num_init_random < 2:
            raise InvalidArgument(f"num_init_random={num_init_random}: a model needs 2 measured trials at least.")
        if len(objective.optimised) > 1 and not several:
            names = [spec.name for spec in objective.optimised]
            raise InvalidArgument(f"metric={names!r}: the model learns one metric; EHVI takes several.")
        require_share("random_fraction", random_fraction)
        self._space = space
        self._distinct = not allow_duplicates
        self._least = num_init_random
        self._random_fraction = random_fraction
        self._trials = Observations(space, objective, by_level=by_level)
        self._by_level = by_level
        self._columns = Columns(space)
        self._rows = Encoded(self._columns.encode, self._columns.width)
        self._random = RandomSearcher(
            space, objective, points_to_evaluate=points_to_evaluate, allow_duplicates=allow_duplicates
        )
        self._initial = len(space.initial_configs(points_to_evaluate))

    def observe(self, event: Event, ledger: LedgerView) -> None:
        """Takes in an event."""
        self._trials.observe(event, ledger)
        if type(event) is Suggested:
            self._random.observe(event, ledger)

    def propose(
        self, request: ProposalRequest, ledger: LedgerView
    ) -> dict[str, Any] | Awaitable[dict[str, Any] | None] | None:
        """The next configuration; None once there is no new one."""
        answer = self.suggest(request, ledger)
        return _later(answer) if isinstance(answer, Awaitable) else _config(answer)

    def suggest(self, request: ProposalRequest, ledger: LedgerView) -> Start | Awaitable[Start | None] | None:
        """The same with the reason, which begins with who made it.

        That is an initial point, "random:", "model:", or "fallback:" where a model had no answer.
        """
        trials = self._trials
        if trials.proposed < self._initial:
            return self._at_random(request, "initial point")
        learned = self.learned()
        if len(learned.rows) < self._least:
            some = "first results" if learned.level is None else f"results at level {learned.level}"
            return self._at_random(request, f"random: {len(learned.rows)} of {self._least} {some} are in")
        known = learned.values
        if (known == known[0]).all():
            return self._at_random(request, "random: all results are equal, so there is nothing to learn")
        rng = request.rng(type(self).__name__)
        if self._random_fraction and rng.random() < self._random_fraction:
            return self._at_random(request, "random: its share of the proposals")
        try:
            answer = self.prefer(request, learned.rows, known[:, 0], rng)
        except ModelFailed as error:
            return self._without_model(request, error)
        if isinstance(answer, Awaitable):
            return self._when_known(request, answer, learned.level)
        return self._chosen(request, answer, learned.level)

    async def _when_known(
        self, request: ProposalRequest, answer: Awaitable[Preference], level: int | None
    ) -> Start | None:
        try:
            return self._chosen(request, await answer, level)
        except ModelFailed as error:
            return self._without_model(request, error)

    def _chosen(self, request: ProposalRequest, answer: Preference, level: int | None) -> Start | None:
        """The first of the model's configurations that was not tried yet."""
        for config in answer.configs:
            if not self._distinct or config not in self._trials.seen:
                where = "" if level is None else f", at level {level}"
                return Start(config=config, why=f"model: {answer.why}{where}", fitted=answer.fitted)
        return self._at_random(request, "random: the model prefers only what was tried before")

    def _without_model(self, request: ProposalRequest, error: ModelFailed) -> Start | None:
        line = str(error).partition("\n")[0]
        return self._at_random(request, f"fallback: random, since the model has no answer: {line}")

    def _at_random(self, request: ProposalRequest, why: str) -> Start | None:
        config = self._random.propose(request)
        return None if config is None else Start(config=config, why=why)

    @property
    def rows(self) -> NDArray[np.float64]:
        """All configurations so far as rows of numbers, see `Columns`."""
        return self._rows.of(self._trials.configs)

    def learned(self) -> Learned:
        """What the model learns from; random draws go on while it is less than `num_init_random` values."""
        return highest_level(self._trials, self._least) if self._by_level else last_values(self._trials)

    def trial(self, row: int) -> TrialId:
        """The trial behind a row."""
        return self._trials.trials[row]

    def pending(self, measured: NDArray[np.intp]) -> NDArray[np.intp]:
        """Rows of trials that wait, run or are about to end and are not among those measured, rising."""
        waiting = self._trials.pending
        return waiting[~np.isin(waiting, measured)] if self._by_level else waiting

    @abstractmethod
    def prefer(
        self, request: ProposalRequest, measured: NDArray[np.intp], values: NDArray[np.float64], rng: Generator
    ) -> Preference | Awaitable[Preference]:
        """The model's choice, which may take its time; what it depends on is read before it is awaited.

        Raises ModelFailed where there is none, or the awaitable does.

        Args:
            request: whose proposal it is.
            measured: rows of the trials to learn from, rising, two at least.
            values: theirs, (n,), lower is better; not all equal, unless a constraint or a cost differs.
            rng: the only source of randomness.
        """


async def _later(answer: Awaitable[Start | None]) -> dict[str, Any] | None:
    return _config(await answer)


def _config(start: Start | None) -> dict[str, Any] | None:
    return None if start is None else start.config


def require_share(name: str, value: object) -> None:
    """Raises InvalidArgument unless the value is a number from 0 to 1."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise InvalidArgument(f"{name}={value!r}: give a share from 0 to 1.")

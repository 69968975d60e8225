"""A process over whole learning curves, which sees where each one goes (Swersky et al. 2014).

"Freeze-Thaw Bayesian Optimization" (arXiv:1406.3896); the process is `surrogates.learning_curves`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from offbeat.errors import InvalidArgument
from offbeat.events import Event, TrialResult
from offbeat.protocols import LedgerView, Objective, ProposalRequest, SchedulerContext
from offbeat.space import Space
from offbeat_plugins.modelling.thinking import Thinking
from offbeat_plugins.searchers.gp import GaussianProcessSearcher
from offbeat_plugins.searchers.learning_curve_model import FUNCTION
from offbeat_plugins.searchers.levels import Learned
from offbeat_plugins.searchers.mobster import require_evidence
from offbeat_plugins.searchers.model_based import Preference
from offbeat_plugins.searchers.observations import Grown
from offbeat_plugins.surrogates.subset import whole_curves

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from numpy.random import Generator
    from numpy.typing import NDArray

MOST_LEVELS: Final = 64
"""Of more levels than these so many are kept, spread on a logarithmic scale: the cost grows with their square."""


class LearningCurveSearcher(GaussianProcessSearcher):
    """The configuration with the largest expected improvement on what the curves so far are expected to end at.

    Every reported value counts, so the scheduler has to show them all: `ASHA(..., searcher_data="all")`. A trial that runs,
    was paused or was stopped is known by its curve; one that has not reported yet counts with its expectation.

    Differs from the paper: which trial goes on is the scheduler's business, not the model's; improvement is on expected
    ends, not by entropy; the kernel over configurations is not warped.

    Args:
        space, objective, points_to_evaluate, allow_duplicates, num_init_random, deadline: see `GaussianProcessSearcher`.
        refit_evidence: see `MOBSTERSearcher`.
        max_size_data: of more trials than these those that got furthest are taken, see `surrogates.subset.whole_curves`.

    Raises InvalidArgument.
    """

    def __init__(
        self,
        space: Space,
        objective: Objective,
        *,
        points_to_evaluate: Sequence[Mapping[str, Any]] | None = None,
        allow_duplicates: bool = False,
        num_init_random: int = 6,
        refit_evidence: float = 1.0,
        max_size_data: int = 300,
        deadline: float = 120.0,
    ) -> None:
        super().__init__(
            space,
            objective,
            points_to_evaluate=points_to_evaluate,
            allow_duplicates=allow_duplicates,
            num_init_random=num_init_random,
            transform="standardise",
            max_size_data=max_size_data,
            backend="numpy",
            deadline=deadline,
        )
        if objective.max_t is None:
            raise InvalidArgument("LearningCurveSearcher needs an objective with max_t: ASHA's has it.")
        require_evidence(refit_evidence)
        self._top, self._size = objective.max_t, max_size_data
        self._options = {**self._options, "evidence": float(refit_evidence)}
        self._thinking = Thinking(FUNCTION, deadline=deadline)
        #: Values by row and level.
        self._curves = Grown(objective.max_t + 1)

    def running(self, context: SchedulerContext) -> AbstractAsyncContextManager[None]:
        """The model's process; it loads while the first trials run."""
        return self._thinking.running(context)

    def observe(self, event: Event, ledger: LedgerView) -> None:
        """Takes in an event; of a result its place on the trial's curve."""
        super().observe(event, ledger)
        self._curves.extend(len(self._trials) - len(self._curves))
        if type(event) is TrialResult and (row := self._trials.row(event.trial)) is not None:
            self._curves.rows[row, min(event.resource, self._top)] = self._trials.values[row, 0]

    def learned(self) -> Learned:
        """Every trial that has reported and not failed, by its last value."""
        rows = np.setdiff1d(np.flatnonzero(np.isfinite(self._curves.rows).any(axis=1)), self._trials.failed)
        return Learned(rows, self._trials.values[rows])

    def prefer(
        self, request: ProposalRequest, measured: NDArray[np.intp], values: NDArray[np.float64], rng: Generator
    ) -> Preference | Awaitable[Preference]:
        """The process's choice. Raises ModelFailed, or the awaitable does."""
        codes = self._codes.of(self._trials.configs)
        levels, curves = self.curves(measured)
        kept = self._kept(codes[measured], levels, curves)
        waiting = np.setdiff1d(self._trials.pending, measured)
        question = {
            "space": self._space_text, "codes": codes[measured][kept], "values": curves[kept], "levels": levels,
            "pending": codes[waiting], "seed": rng.integers(2**32, size=4).tolist(),
            "state": self.state_before(request), "options": self._options,
        }  # fmt: skip
        why = f"expected improvement where curves end, {len(kept)} of them"
        if len(waiting):
            why += f" and {len(waiting)} that have not begun"
        return self._thinking.then(question, lambda answer: self._preference(answer, why))

    def curves(self, rows: NDArray[np.intp]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Levels (m,) as shares of max_t and the values there (n, m) of trials; NaN where there is none.

        A value beyond max_t counts at max_t. Of more than `MOST_LEVELS` levels the end of a curve stays, at the nearest
        level below it that is kept.
        """
        out = self._curves.rows[rows]
        used = np.flatnonzero(np.isfinite(out).any(axis=0))
        if len(used) > MOST_LEVELS:
            kept = used[np.unique(np.geomspace(1, len(used), MOST_LEVELS).round().astype(int) - 1)]
            last = out.shape[1] - 1 - np.isfinite(out)[:, ::-1].argmax(axis=1)
            each = np.arange(len(rows))
            place = kept[np.maximum(np.searchsorted(kept, last, side="right") - 1, 0)]
            out[each, place] = out[each, last]
            used = kept
        return used.astype(np.float64) / self._top, out[:, used]

    def _kept(
        self, codes: NDArray[np.float64], levels: NDArray[np.float64], curves: NDArray[np.float64]
    ) -> NDArray[np.intp]:
        reached = np.where(np.isfinite(curves), levels, 0.0).max(axis=1)
        return whole_curves(
            np.column_stack([codes, np.arange(float(len(codes))), reached]), codes.shape[1] + 1, self._size
        )

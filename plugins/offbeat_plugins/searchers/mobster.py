"""A Gaussian process over configuration and resource, for schedulers that stop trials early (Klein et al. 2020).

"Model-based Asynchronous Hyperparameter and Neural Architecture Search" (arXiv:2003.10865). The kernels are those of
`surrogates.resources`.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from math import inf
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

import numpy as np

from offbeat.errors import InvalidArgument, nearest
from offbeat.events import Event, Suggested
from offbeat.protocols import LedgerView, Objective, ProposalRequest, SchedulerContext
from offbeat.space import Space
from offbeat.trial import TrialId
from offbeat_plugins.searchers.gp import Arithmetic, GaussianProcessSearcher
from offbeat_plugins.searchers.levels import Learned, highest_level
from offbeat_plugins.searchers.model_based import Preference

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from numpy.random import Generator
    from numpy.typing import NDArray

Kernel: TypeAlias = Literal["exp-decay", "freeze-thaw", "product", "independent"]
Level: TypeAlias = Literal["bohb", "first", "final"]

KERNELS: Final = ("exp-decay", "freeze-thaw", "product", "independent")
LEVELS: Final = ("bohb", "first", "final")

FEWEST_AT_LEVEL: Final = 3
"""Values that a level has to have to be the one of "bohb"."""


class MOBSTERSearcher(GaussianProcessSearcher):
    """The configuration with the largest expected improvement at one level, under one process over all levels.

    All values at the milestones count, each at its own level. A running trial counts with the model's own expectation at its
    next milestone; one that was paused, has ended or failed does not.

    Without `min_distance` a search can take one spot for the best hundreds of times: rungs stop what is tried there, so that the
    model never sees it at the level where it expects so much. On three LCBench tasks (seed 100) regret at the end was
    .311 / .013 / .048 with 0, .271 / .012 / .055 with 0.02 and .244 / .019 / .043 with 0.05; on another seed half a run
    started 1,056 trials with 0 and 185 with 0.02. Of the kernels "freeze-thaw" was ahead of "exp-decay" in the one run of each
    task on seed 100 and behind it on seed 0, so that the paper's stayed.

    Args:
        space, objective, points_to_evaluate, allow_duplicates, num_init_random, transform, max_size_data, backend, deadline:
            see `GaussianProcessSearcher`; num_init_random counts trials that have a value at any milestone.
        milestones: the rungs and max_t, rising; None: max_t alone.
        first_milestones: at which of them trials are looked at first, by bracket; None: a bracket skips one more each.
        kernel: over resources, see `surrogates.resources`.
        refit_evidence: the hyperparameters stay as they are while the step that would improve them promises less than this
            much log posterior, in nats: a score test on what has come in since the fit. 0: a fit at every proposal.
        acquisition_level: where improvement is expected: "bohb", the highest level that has 3 values, else the lowest;
            "first", the first milestone; "final", max_t.
        min_distance: a configuration differs from all that were tried by more than this in some hyperparameter, whose range
            is 1 (a categorical differs by 1). 0: it has to be another one, no more.

    Raises InvalidArgument, MissingExtra.
    """

    def __init__(
        self,
        space: Space,
        objective: Objective,
        *,
        milestones: Sequence[int] | None = None,
        first_milestones: Sequence[int] | None = None,
        points_to_evaluate: Sequence[Mapping[str, Any]] | None = None,
        allow_duplicates: bool = False,
        num_init_random: int = 6,
        kernel: Kernel = "exp-decay",
        refit_evidence: float = 1.0,
        acquisition_level: Level = "bohb",
        min_distance: float = 0.02,
        transform: str = "standardise",
        max_size_data: int = 500,
        backend: Arithmetic = "auto",
        deadline: float = 120.0,
    ) -> None:
        for name, value, valid in (
            ("kernel", kernel, KERNELS),
            ("acquisition_level", acquisition_level, LEVELS),
        ):
            if value not in valid:
                raise InvalidArgument(f"{name}={value!r} is not valid. {nearest(str(value), valid)}")
        super().__init__(
            space,
            objective,
            points_to_evaluate=points_to_evaluate,
            allow_duplicates=allow_duplicates,
            num_init_random=num_init_random,
            by_level=True,
            transform=transform,
            max_size_data=max_size_data,
            backend=backend,
            deadline=deadline,
        )
        if milestones is None and objective.max_t is None:
            raise InvalidArgument("MOBSTERSearcher needs milestones=: the rungs and the highest level, rising.")
        self._milestones = tuple(milestones or (objective.max_t or 1,))
        self._first_milestones = tuple(first_milestones or self._milestones)
        self._level: Level = acquisition_level
        require_evidence(refit_evidence)
        if isinstance(min_distance, bool) or not isinstance(min_distance, int | float) or not 0 <= min_distance < 1:
            raise InvalidArgument(f"min_distance={min_distance!r}: give a number from 0, below 1; 0.02 is a fiftieth.")
        self._options = {
            **self._options,
            "resource": kernel,
            "min_distance": float(min_distance),
            "evidence": float(refit_evidence),
        }
        #: Trials of brackets that skip rungs -> their first milestone.
        self._first: dict[TrialId, int] = {}

    def observe(self, event: Event, ledger: LedgerView) -> None:
        """Takes in an event."""
        super().observe(event, ledger)
        if type(event) is Suggested and event.kind == "start" and (bracket := int(event.tags.get("bracket", 0))):
            self._first[event.trial] = self._first_milestones[bracket]

    def running(self, context: SchedulerContext) -> AbstractAsyncContextManager[None]:
        """The model's process; it compiles while the first trials run."""
        few = np.random.Generator(np.random.Philox(0)).random((4, self._space.width)).tolist()
        codes = self._at(self._coding.encode([self._space.from_units(us) for us in few]), self._milestones[0])
        warm_up = self._question(codes, np.arange(4.0), codes[:3], [0], None, level=codes[0, -1])
        return self._thinking.running(context, warm_up)

    def learned(self) -> Learned:
        """All values at all levels, a row for each; until enough trials have one, those of the level that has most."""
        trials = self._trials
        found = [trials.at_level(level) for level in trials.levels]
        rows = np.concatenate([np.empty(0, dtype=np.intp), *(rows for rows, _ in found)])
        if len(np.unique(rows)) < self._least:
            return highest_level(trials, self._least)
        return Learned(rows, np.concatenate([values for _, values in found]))

    def prefer(
        self,
        request: ProposalRequest,
        measured: NDArray[np.intp],
        values: NDArray[np.float64],
        rng: Generator,
    ) -> Preference | Awaitable[Preference]:
        """The process's choice. Raises ModelFailed, or the awaitable does."""
        codes, top = self._codes.of(self._trials.configs), self._milestones[-1]
        counts = {level: len(self._trials.at_level(level)[0]) for level in self._trials.levels}
        levels = np.repeat(list(counts), list(counts.values()))
        waiting = self._trials.pending
        ahead = np.array([self._next_milestone(row) for row in waiting.tolist()], dtype=float)
        level = self._acquisition_level(counts)
        question = self._question(
            self._at(codes[measured], levels),
            values,
            self._at(codes[waiting], ahead),
            rng.integers(2**32, size=4).tolist(),
            self.state_before(request),
            level=min(level / top, 1.0),
        )
        many = f"{len(values)} results of {len(np.unique(measured))} trials"
        why = f"{self.aim(level, counts)}, {many}" + (f" and {len(waiting)} running" if len(waiting) else "")
        return self._thinking.then(question, lambda answer: self._preference(answer, why))

    def aim(self, level: int, counts: Mapping[int, int]) -> str:
        """What is looked for at an acquisition level, in words; `counts` are values at each level."""
        return f"expected improvement at level {level}"

    def _at(self, codes: NDArray[np.float64], levels: Any) -> NDArray[np.float64]:
        """Rows with the resource over the largest one as last column; beyond max_t it counts as max_t."""
        shares = np.minimum(np.broadcast_to(levels, len(codes)) / self._milestones[-1], 1.0)
        return np.column_stack([codes, shares])

    def _next_milestone(self, row: int) -> int:
        trial = self._trials.trials[row]
        reached = max((level for level in self._trials.levels if self._trials.is_at(row, level)), default=0)
        place = min(bisect_right(self._milestones, reached), len(self._milestones) - 1)
        return max(self._milestones[place], self._first.get(trial, 0))

    def _acquisition_level(self, counts: Mapping[int, int]) -> int:
        if self._level == "first":
            return self._milestones[0]
        if self._level == "final":
            return self._milestones[-1]
        return max((level for level, count in counts.items() if count >= FEWEST_AT_LEVEL), default=min(counts))


def require_evidence(value: object) -> None:
    """Raises InvalidArgument unless the value can be a `refit_evidence`."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < inf:
        raise InvalidArgument(f"refit_evidence={value!r}: give a number of nats from 0, a fit each time.")

"""The model behind DyHPO: improvement by one more step, of trials that wait and of new ones (Wistuba et al. 2022).

"Supervising the Multi-Fidelity Race of Hyperparameter Configurations" (arXiv:2202.09774).
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Mapping
from typing import Any, Final, Literal, TypeAlias

import numpy as np

from offbeat.decisions import Fitted, Resume, Start
from offbeat.errors import InvalidArgument, nearest
from offbeat.protocols import LedgerView, Objective, ProposalRequest
from offbeat.space import Space
from offbeat.trial import TrialId
from offbeat_plugins.modelling.thinking import Thinking
from offbeat_plugins.modelling.worker import ModelFailed
from offbeat_plugins.searchers.dyhpo_model import FUNCTION
from offbeat_plugins.searchers.gp import MODEL
from offbeat_plugins.searchers.learning_curves import LearningCurveSearcher

Horizon: TypeAlias = Literal["step", "end"]

HORIZONS: Final = ("step", "end")


class DyHPOSearcher(LearningCurveSearcher):
    """A `LearningCurveSearcher` that can be asked who is worth the next step.

    Args:
        space: what to choose from.
        objective: of one metric, with max_t.
        horizon: "step" or "end", see `dyhpo_model.decided`.
        **options: see `LearningCurveSearcher`.

    Raises InvalidArgument.
    """

    def __init__(self, space: Space, objective: Objective, *, horizon: Horizon = "end", **options: Any) -> None:
        if horizon not in HORIZONS:
            raise InvalidArgument(f"horizon={horizon!r} is not valid. {nearest(str(horizon), HORIZONS)}")
        super().__init__(space, objective, **options)
        self._horizon = horizon
        self._thinking = Thinking(FUNCTION, deadline=float(options.get("deadline", 120.0)))

    def decide(
        self, request: ProposalRequest, ledger: LedgerView, waiting: Mapping[TrialId, int], first: int
    ) -> Resume | Start | Awaitable[Resume | Start | None] | None:
        """A trial to resume or a new one to start.

        Without enough values, or without an answer of the model, it is a random new one as `suggest` has it.

        Args:
            request: whose proposal it is; where it may not start a trial, one is resumed or the answer is None.
            ledger: as `propose` gets it.
            waiting: paused trials and the level that each would be trained to.
            first: the level that a new trial would be trained to.
        """
        learned = self.learned()
        known = learned.values
        few = self._trials.proposed < self._initial or len(known) < self._least or bool((known == known[0]).all())
        if few:
            return self.suggest(request, ledger) if request.may_start else None
        rows = learned.rows
        codes = self._codes.of(self._trials.configs)
        levels, curves = self.curves(rows)
        kept = self._kept(codes[rows], levels, curves)
        trials = [self._trials.trials[row] for row in rows[kept].tolist()]
        question = {
            "space": self._space_text, "codes": codes[rows][kept], "values": curves[kept], "levels": levels,
            "pending": codes[np.setdiff1d(self._trials.pending, rows)],
            "ahead": np.array([waiting.get(trial, np.nan) for trial in trials], dtype=float) / self._top,
            "first": min(first / self._top, 1.0) if request.may_start else 0.0,
            "horizon": self._horizon, "seed": request.rng(type(self).__name__).integers(2**32, size=4).tolist(),
            "state": self.state_before(request), "options": self._options,
        }  # fmt: skip
        try:
            answer = self._thinking(question)
        except ModelFailed as error:
            return self._random_instead(request, error)
        if inspect.isawaitable(answer):
            return self._when_decided(answer, request, trials, waiting)
        return self._decided(answer, request, trials, waiting)

    async def _when_decided(
        self,
        answer: Awaitable[dict[str, Any]],
        request: ProposalRequest,
        trials: list[TrialId],
        waiting: Mapping[TrialId, int],
    ) -> Resume | Start | None:
        try:
            return self._decided(await answer, request, trials, waiting)
        except ModelFailed as error:
            return self._random_instead(request, error)

    def _random_instead(self, request: ProposalRequest, error: ModelFailed) -> Start | None:
        return self._without_model(request, error) if request.may_start else None

    def _decided(
        self, answer: dict[str, Any], request: ProposalRequest, trials: list[TrialId], waiting: Mapping[TrialId, int]
    ) -> Resume | Start | None:
        state, row = answer["state"], int(answer["row"])
        fitted = None if state is None else Fitted(MODEL, state)
        if row >= 0:
            level = waiting[trials[row]]
            why = f"model: most improvement by a step to level {level}, {len(trials)} curves"
            return Resume(trial=trials[row], until=level, why=why, fitted=fitted)
        for code in answer["codes"]:
            config = self._coding.decode(code[None])[0]
            if not self._distinct or config not in self._trials.seen:
                why = f"model: a new one promises more than {len(waiting)} that wait, {len(trials)} curves"
                return Start(config=config, why=why, fitted=fitted)
        if not request.may_start:
            return None
        return self._at_random(request, "random: the model prefers only what was tried before")

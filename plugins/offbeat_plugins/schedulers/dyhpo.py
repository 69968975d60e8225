"""DyHPO: every step goes to the trial, paused or new, that promises the largest improvement by it (Wistuba et al. 2022).

"Supervising the Multi-Fidelity Race of Hyperparameter Configurations" (arXiv:2202.09774).
"""

from __future__ import annotations

from collections.abc import Awaitable, Mapping, Sequence
from inspect import isawaitable
from typing import Any

from offbeat.arguments import explained
from offbeat.decisions import Proposal, Resume, Start
from offbeat.describe import described
from offbeat.errors import InvalidArgument
from offbeat.protocols import LedgerView, Mode, NonFinite, Objective, ProposalRequest
from offbeat.space import Space
from offbeat.trial import Status
from offbeat_plugins.schedulers.asha import ASHA
from offbeat_plugins.schedulers.multi_fidelity import required_level
from offbeat_plugins.searchers.dyhpo import DyHPOSearcher, Horizon


@described
@explained
class DyHPO(ASHA):
    """Trials pause after every step; a free worker goes on with the one that is expected to improve most by one more.

    With horizon="end" improvement is on the lowest value of all, by what the curve is expected to reach at max_t; with "step", the
    paper's, on the lowest value at the level that the step leads to. New configurations take part with their first step. Now and
    then the best paused trial is promoted as in `ASHA`, which keeps a model that errs from starving good ones.

    Differs from the paper: the process is one over configuration and learning curve in closed form (freeze-thaw, see
    `surrogates.learning_curves`), where the paper learns a deep kernel of the configuration, the budget and a convolution of the
    curve so far. Both see the curve; this one believes that curves decay, and needs no training of a network. Where values at
    the first level hardly differ, "step" starts new trials too often: each promises to be the best at that level.

    Args:
        config_space: hyperparameters by name, or a Space.
        metric, mode: name of the reported metric; "min" or "max".
        resource_attr: name under which the script reports its progress, counted from 1; `time_attr` is the same.
        max_resource_attr: name of the constant in `config_space` that tells the script how far to run.
        max_t: highest resource level; else the constant `max_resource_attr`, else "epochs", "max_t" or "max_epochs".
        grace_period: level of the first step; rung_increment: length of the others, None: as long as the first.
        horizon: where improvement counts, "end" or "step"; see above.
        probability_sh: share of the proposals that are a promotion as in `ASHA`, if there is one to be made.
        points_to_evaluate: configurations to begin with, maybe partial; None: the middle of the space; []: none.
        allow_duplicates: a configuration may come again; otherwise none is started once a finite space is exhausted.
        num_init_random, refit_evidence, max_size_data, deadline: see `LearningCurveSearcher`. The evidence is looked at when
            there are a tenth more values than at the last look.
        random_seed: None chooses one, which the journal keeps.
        nonfinite: what NaN or an infinite value means: "fail", "worst" or "ignore".

    Raises InvalidArgument, InvalidSpace.
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
        grace_period: int = 1,
        rung_increment: int | None = None,
        horizon: Horizon = "end",
        probability_sh: float = 0.25,
        points_to_evaluate: Sequence[Mapping[str, Any]] | None = None,
        allow_duplicates: bool = False,
        num_init_random: int = 6,
        refit_evidence: float = 1.0,
        max_size_data: int = 300,
        deadline: float = 120.0,
        random_seed: int | None = None,
        nonfinite: NonFinite | Mapping[str, NonFinite] = "fail",
    ) -> None:
        space = Space.of(config_space)
        if (
            isinstance(probability_sh, bool)
            or not isinstance(probability_sh, int | float)
            or not 0 <= probability_sh <= 1
        ):
            raise InvalidArgument(f"probability_sh={probability_sh!r}: give a share from 0 to 1.")
        top = required_level("DyHPO", space, max_t, max_resource_attr)
        self._model = DyHPOSearcher(
            space,
            Objective.of(metric, mode, max_t=top),
            points_to_evaluate=points_to_evaluate,
            allow_duplicates=allow_duplicates,
            num_init_random=num_init_random,
            refit_evidence=refit_evidence,
            max_size_data=max_size_data,
            deadline=deadline,
            horizon=horizon,
        )
        super().__init__(
            space,
            metric,
            mode,
            resource_attr=resource_attr,
            time_attr=time_attr,
            max_resource_attr=max_resource_attr,
            max_t=max_t,
            type="promotion",
            grace_period=grace_period,
            rung_increment=grace_period if rung_increment is None else rung_increment,
            searcher=self._model,
            searcher_data="all",
            random_seed=random_seed,
            nonfinite=nonfinite,
        )
        self._probability = probability_sh
        # Asked ahead of a free worker it would decide before the result that frees the worker is in.
        self.prefetch = 0

    def propose(self, request: ProposalRequest, ledger: LedgerView) -> Proposal | Awaitable[Proposal | None] | None:
        """The next step of a paused trial, or the first one of a new trial."""
        if request.rng("successive-halving").random() < self._probability:
            promoted = self._promotion(ledger)
            if promoted is not None:
                return promoted
        waiting = {
            trial: rung.next_level
            for trial, (rung, _) in self._waiting.items()
            if ledger[trial].status is Status.PAUSED
        }
        answer = self._model.decide(request, ledger, waiting, self._milestones[0])
        if isawaitable(answer):
            return self._later(answer, request, ledger)
        return self._made(answer, request, ledger)

    async def _later(
        self, answer: Awaitable[Resume | Start | None], request: ProposalRequest, ledger: LedgerView
    ) -> Proposal | None:
        return self._made(await answer, request, ledger)

    def _made(self, answer: Resume | Start | None, request: ProposalRequest, ledger: LedgerView) -> Proposal | None:
        if isinstance(answer, Resume):
            return answer
        if request.may_start:
            return self._start(answer, request, ledger)
        return self._promotion(ledger)

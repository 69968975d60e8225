"""An Optuna sampler and pruner in which an offbeat scheduler decides."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping, Sequence
from typing import Any, Final

from offbeat.asktell import AskedTrial, AskTell
from offbeat.errors import InvalidArgument, MissingExtra, OffbeatError
from offbeat.protocols import Scheduler

try:
    from optuna.pruners import BasePruner
    from optuna.samplers import (
        BaseSampler,
        RandomSampler,
    )
    from optuna.study import StudyDirection
    from optuna.trial import TrialState
except ImportError:
    raise MissingExtra("OffbeatSampler", "spaces") from None

TRIAL: Final = "offbeat:trial"
"""System attribute of Optuna's trials: number and attempt of the trial that the scheduler knows them as."""


class NothingToTry(OffbeatError, RuntimeError):
    """The scheduler has no configuration (left) for a new trial."""


class OffbeatSampler(BaseSampler):  # type: ignore[misc]
    """Asks a scheduler for the parameters of each trial, and tells it what came of them.

        sampler = OffbeatSampler(ASHA(space, metric="loss", resource_attr="step", max_t=27))
        study = optuna.create_study(sampler=sampler, pruner=OffbeatPruner(sampler))
        study.optimize(objective, n_trials=50)

    The space is the scheduler's: what the objective suggests has to contain the values that it draws. A parameter that
    the space does not have, or that is inactive, is drawn at random.

    With a resource, an intermediate value of step s is a result at level s - first_step + 1, and the objective's own value
    counts where there is none. Without one it alone counts, or the last intermediate one of a trial that a pruner of
    Optuna's has ended. A trial that the scheduler pauses is pruned; if it goes on later, that is a new trial of Optuna's
    with the same parameters, whose steps up to there count as repeated.

    Threads (`n_jobs`) are fine; each process has a search of its own, whatever storage they share.

    Args:
        scheduler: as for `Tuner`; its metrics and modes are the study's values and directions, in this order.
        experiment: name of an experiment that keeps it all on the disk, see `AskTell`; by default it stays in memory.
        first_step: number of the first step that the objective reports.
        seed: for parameters that the space does not have.
        options: further arguments of `AskTell`.

    Attributes:
        search: the AskTell.

    Raises InvalidArgument and what AskTell raises; while it runs, NothingToTry, and InvalidArgument for directions or
    ranges that do not fit the scheduler.
    """

    def __init__(
        self,
        scheduler: Scheduler,
        *,
        experiment: str | os.PathLike[str] | None = None,
        first_step: int = 0,
        seed: int | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        if isinstance(first_step, bool) or not isinstance(first_step, int):
            raise InvalidArgument(f"first_step={first_step!r}: give the number of the first step, 0 or 1.")
        self.search = AskTell(scheduler, experiment, **(options or {}))
        self._objective = scheduler.objective
        self._space = scheduler.space
        self._first_step = first_step
        self._independent = RandomSampler(seed)
        #: By Optuna's trial id: what the scheduler handed out, and the last step that it was told.
        self._out: dict[int, AskedTrial] = {}
        self._told: dict[int, int] = {}
        self._lock = threading.Lock()

    # --- asking

    def before_trial(self, study: Any, trial: Any) -> None:
        """Called by Optuna: asks the scheduler."""
        self._check_directions(study)
        asked = self.search.ask()
        if asked is None:
            why = self.search.reason or "it waits for results of the trials that run"
            raise NothingToTry(f"The scheduler has nothing to try: {why}.")
        self._out[trial._trial_id] = asked
        study._storage.set_trial_system_attr(trial._trial_id, TRIAL, [asked.id, asked.attempt])

    def infer_relative_search_space(self, study: Any, trial: Any) -> dict[str, Any]:
        """Called by Optuna: every parameter is answered by name."""
        return {}

    def sample_relative(self, study: Any, trial: Any, search_space: Mapping[str, Any]) -> dict[str, Any]:
        """Called by Optuna: see `infer_relative_search_space`."""
        return {}

    def sample_independent(self, study: Any, trial: Any, param_name: str, param_distribution: Any) -> Any:
        """Called by Optuna: the value that the scheduler has drawn."""
        config = self._out[trial._trial_id].config
        if param_name not in config:
            return self._independent.sample_independent(study, trial, param_name, param_distribution)
        value = config[param_name]
        try:
            fits = param_distribution._contains(param_distribution.to_internal_repr(value))
        except (TypeError, ValueError):
            fits = False
        if not fits:
            raise InvalidArgument(
                f"The scheduler has drawn {param_name}={value!r}, which is not in the {param_distribution} that the "
                f"objective suggests. Suggest what its space has: {self._space.to_json()[param_name]}."
            )
        return value

    def reseed_rng(self) -> None:
        """Called by Optuna before it starts threads."""
        self._independent.reseed_rng()

    # --- telling

    def pruned(self, trial: Any) -> bool:
        """Tells the scheduler the steps that it has not heard of; whether it stops or pauses the trial before its end.

        Raises InvalidArgument for a step before `first_step`.
        """
        with self._lock:
            asked, most = self._out.get(trial._trial_id), self._objective.max_t
            if asked is None or self._objective.resource_attr is None or self._is_another(asked, trial):
                return False
            for step in sorted(trial.intermediate_values):
                if step <= self._told.get(trial._trial_id, self._first_step - 1):
                    if step < self._first_step:
                        raise InvalidArgument(f"Step {step} was reported, but first_step={self._first_step}.")
                    continue
                self._told[trial._trial_id] = step
                level = step - self._first_step + 1
                if self._tell(asked, [trial.intermediate_values[step]], level) != "continue":
                    del self._out[trial._trial_id], self._told[trial._trial_id]
                    # At the highest level a trial has not been cut short, it is complete.
                    return most is None or level < most
            return False

    def after_trial(self, study: Any, trial: Any, state: TrialState, values: Sequence[float] | None) -> None:
        """Called by Optuna: tells the scheduler how the trial ended."""
        self.pruned(trial)
        with self._lock:
            asked = self._out.pop(trial._trial_id, None)
            reported = self._told.pop(trial._trial_id, None) is not None
            if asked is None:
                return
            if self._is_another(asked, trial):
                self.search.fail(asked, f"it was run with parameters of somebody else's: {trial.params}")
            elif reported and state in (TrialState.COMPLETE, TrialState.PRUNED):
                self.search.complete(asked)
            elif (found := _found(trial, state, values)) is not None:
                level = asked.until or self._objective.max_t or 1
                if self._tell(asked, found, level) == "continue":
                    self.search.complete(asked)
            else:
                self.search.fail(asked, f"the trial ended as {state.name}")

    def _is_another(self, asked: AskedTrial, trial: Any) -> bool:
        """Whether a trial was enqueued or fixed by the user: what it reports is not about what was asked for."""
        return any(asked.config.get(name, value) != value for name, value in trial.params.items())

    def _tell(self, asked: AskedTrial, values: Sequence[float], level: int) -> str:
        metrics: dict[str, Any] = dict(zip((one.name for one in self._objective.metrics), values, strict=True))
        if self._objective.resource_attr is not None:
            metrics[self._objective.resource_attr] = level
        return self.search.tell(asked, **metrics)

    def _check_directions(self, study: Any) -> None:
        modes = ["min" if one == StudyDirection.MINIMIZE else "max" for one in study.directions]
        ours = [metric.mode for metric in self._objective.metrics]
        if modes != ours:
            named = ", ".join(f"{metric.name} ({metric.mode})" for metric in self._objective.metrics)
            wanted = [{"min": "minimize", "max": "maximize"}[mode] for mode in ours]
            raise InvalidArgument(
                f"The scheduler optimises {named}, the study's directions are {modes}: create_study(directions={wanted})."
            )


def _found(trial: Any, state: TrialState, values: Sequence[float] | None) -> Sequence[float] | None:
    """What a trial has come to: its values, or the last of the intermediate ones if a pruner of Optuna's ended it."""
    if state == TrialState.PRUNED and trial.intermediate_values:
        return [trial.intermediate_values[max(trial.intermediate_values)]]
    return values if state == TrialState.COMPLETE else None


class OffbeatPruner(BasePruner):  # type: ignore[misc]
    """Prunes the trials that the scheduler behind a sampler stops or pauses.

    Args:
        sampler: the study's OffbeatSampler; its scheduler needs a `resource_attr`.

    Raises InvalidArgument.
    """

    def __init__(self, sampler: OffbeatSampler) -> None:
        if not isinstance(sampler, OffbeatSampler):
            raise InvalidArgument(f"sampler={sampler!r}: give the study's OffbeatSampler, which has the scheduler.")
        if sampler._objective.resource_attr is None:
            raise InvalidArgument(
                "This scheduler does not look at intermediate results, so nothing would be pruned: give it a resource_attr "
                "(ASHA(..., resource_attr='step')), or leave the pruner out."
            )
        self._sampler = sampler

    def prune(self, study: Any, trial: Any) -> bool:
        """Called by Optuna, by `trial.should_prune()`."""
        return self._sampler.pruned(trial)

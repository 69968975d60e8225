"""The conformance suite for schedulers: subclass it in your tests and override `make`.

    from offbeat.testing.scheduler_suite import SchedulerContract

    class TestMine(SchedulerContract):
        def make(self, *, config_space, metric, mode, random_seed):
            return Mine(config_space, metric=metric, mode=mode, random_seed=random_seed)

Nothing runs but your scheduler, the engine's own conductor and simulated trials: no process, no disk, no waiting. What
is checked and why is said by each check in `offbeat.testing.scheduler_checks`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from offbeat.protocols import Scheduler
from offbeat.testing import scheduler_checks as checks
from offbeat.testing.scheduler_case import SMALL_SPACE, SPACE, Case


class SchedulerContract:
    """What the engine relies on, one test each.

    Attributes:
        config_space: what most runs search; small_space: a finite one, None if your scheduler cannot search any.
        metric: passed to `make`; several names for a multi-objective scheduler.
        trials, n_workers: size of the runs; enough trials for your scheduler to get past its random beginning.
        allows_duplicates: it may propose a configuration twice.
        mirrors: mode="max" on mirrored values decides exactly like mode="min"; False where rounding prevents that.
        ends_by_itself: it may have nothing more to propose while the space is not exhausted.
        crash_stride: break the run off, and compare with one rebuilt from the journal, after every event (1), or after every
            n-th where proposals take long.
    """

    config_space: Mapping[str, Any] = SPACE
    small_space: Mapping[str, Any] | None = SMALL_SPACE
    metric: str | Sequence[str] = "loss"
    trials: int = 12
    n_workers: int = 3
    allows_duplicates: bool = False
    mirrors: bool = True
    ends_by_itself: bool = False
    crash_stride: int = 1

    def make(self, *, config_space: Mapping[str, Any], metric: Any, mode: Any, random_seed: int) -> Scheduler:
        """A fresh scheduler. Override this."""
        raise NotImplementedError(f"{type(self).__name__} has to override make")

    @property
    def case(self) -> Case:
        """The attributes together."""
        return Case(
            make=self.make,
            config_space=self.config_space,
            small_space=self.small_space,
            metric=self.metric,
            trials=self.trials,
            n_workers=self.n_workers,
            allows_duplicates=self.allows_duplicates,
            mirrors=self.mirrors,
            ends_by_itself=self.ends_by_itself,
        )

    def test_is_a_scheduler(self) -> None:
        checks.check_is_a_scheduler(self.case)

    def test_answers_are_typed_and_in_the_space(self) -> None:
        checks.check_answers_are_typed_and_in_the_space(self.case)

    def test_repeats(self) -> None:
        checks.check_repeats(self.case)

    def test_replay_rebuilds_the_state(self) -> None:
        checks.check_replay_rebuilds_the_state(self.case, self.crash_stride)

    def test_survives_a_crash_at_every_event(self) -> None:
        checks.check_survives_a_crash_at_every_event(self.case, self.crash_stride)

    def test_survives_a_crash_that_loses_trials(self) -> None:
        checks.check_survives_a_crash_that_loses_trials(self.case, 5 * self.crash_stride)

    def test_late_double_and_shuffled_reports_change_nothing(self) -> None:
        checks.check_late_double_and_shuffled_reports_change_nothing(self.case)

    def test_lives_with_failures(self) -> None:
        checks.check_lives_with_failures(self.case)

    def test_lives_when_every_trial_fails(self) -> None:
        checks.check_lives_when_every_trial_fails(self.case)

    def test_obeys_limits(self) -> None:
        checks.check_obeys_limits(self.case)

    def test_works_in_batches(self) -> None:
        checks.check_works_in_batches(self.case)

    def test_exhausts_a_small_space(self) -> None:
        self._skip_if(checks.ruled_out(self.case, "check_exhausts_a_small_space"))
        checks.check_exhausts_a_small_space(self.case)

    def test_ignores_what_is_not_its_business(self) -> None:
        checks.check_ignores_what_is_not_its_business(self.case)

    def test_mirrors(self) -> None:
        self._skip_if(checks.ruled_out(self.case, "check_mirrors"))
        checks.check_mirrors(self.case)

    def test_reads_no_global_state(self) -> None:
        checks.check_reads_no_global_state(self.case)

    def test_describes_itself(self) -> None:
        self._skip_if(checks.check_describes_itself(self.case))

    @staticmethod
    def _skip_if(reason: str) -> None:
        if reason:
            import pytest

            pytest.skip(reason)

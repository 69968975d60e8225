"""What scripts and users get wrong about resources, for every method: an error that names it, or a stated policy."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from math import isfinite
from typing import Any

import pytest

from offbeat import StoppingCriterion
from offbeat import events as ev
from offbeat.config_space import randint, uniform
from offbeat.errors import InvalidArgument, InvalidResource, MetricMismatch
from offbeat.signals import Ended, PauseTrial, Reported, StartTrial, StopTrial
from offbeat.testing.histories import curves
from offbeat.testing.rehearsal import Rehearsal
from offbeat.testing.scripted import End, Report
from offbeat.trial import Status

SPACE: dict[str, Any] = {"rate": uniform(0, 1), "layers": randint(1, 1000), "epochs": 9}

NAN = float("nan")


def rung_table(scheduler: Any) -> list[dict[str, Any]]:
    table: list[dict[str, Any]] = getattr(scheduler, "rung_table", list)()
    return table


def rehearsed(method: Any, script: Any, trials: int = 0, **options: Any) -> tuple[Any, Rehearsal]:
    """A whole run; `script(steps, trial)` makes of a trial's proper reports, up to the maximum, what it does instead."""
    scheduler = method.make({"rate": uniform(0, 1), "layers": randint(1, 1000)}, max_t=9, **options)
    proper = curves(scheduler.objective)

    def changed(start: StartTrial) -> Iterator[Any]:
        return script(proper(start), start.trial)

    stop = StoppingCriterion(max_num_trials_started=trials or (8 if method.model else 24))
    return scheduler, Rehearsal(scheduler, changed, stop_criterion=stop).run()


# --- arguments


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"max_t": 3, "grace_period": 4}, "grace_period=4 leaves no rung below max_t=3"),
        ({"max_t": 3, "grace_period": 3}, "grace_period=3 leaves no rung below max_t=3"),
        ({"max_t": 9, "grace_period": 0}, "grace_period=0"),
        ({"max_t": 9, "grace_period": 1.5}, r"grace_period=1\.5"),
        ({"max_t": 9, "reduction_factor": 1}, "reduction_factor=1"),
        ({"max_t": 9, "reduction_factor": 0.5}, r"reduction_factor=0\.5"),
        ({"max_t": 9, "reduction_factor": NAN}, "reduction_factor=nan"),
    ],
)
def test_rungs_that_cannot_be(rung_method: Any, options: dict[str, Any], says: str) -> None:
    with pytest.raises(InvalidArgument, match=says):
        rung_method.make({"rate": uniform(0, 1)}, **options)


@pytest.mark.parametrize("brackets", [0, 4, 1.5])
def test_brackets_that_cannot_be(rung_method: Any, brackets: Any) -> None:
    says = "has no argument 'brackets'" if rung_method.name == "pasha" else f"brackets={brackets}"
    with pytest.raises(InvalidArgument, match=says):
        rung_method.make({"rate": uniform(0, 1)}, max_t=9, reduction_factor=3, brackets=brackets)


def test_a_maximum_that_is_nowhere(method: Any) -> None:
    with pytest.raises(InvalidArgument, match="max_resource_attr='steps' is not in config_space"):
        method.make({"rate": uniform(0, 1)}, max_resource_attr="steps")
    with pytest.raises(InvalidArgument, match=r"config_space\['epochs'\]=0"):
        method.make({"rate": uniform(0, 1), "epochs": 0})
    with pytest.raises(InvalidArgument, match=r"config_space\['epochs'\]=2\.5"):
        method.make({"rate": uniform(0, 1), "epochs": 2.5})


def test_a_comparison_beyond_the_maximum() -> None:
    from offbeat.optimizer.baselines import PopulationBasedTraining

    with pytest.raises(InvalidArgument, match="perturbation_interval=9 is not below max_t=9"):
        PopulationBasedTraining(SPACE, "loss", resource_attr="epoch", perturbation_interval=9)


# --- reports

WRONG: tuple[tuple[dict[str, Any], Any, str], ...] = (
    ({"loss": 1.0}, MetricMismatch, "resource 'epoch' is missing"),
    ({"loss": 1.0, "epochs": 1}, MetricMismatch, "resource 'epoch' is missing. Did you mean 'epochs'?"),
    ({"loss": 1.0, "epoch": 2.5}, InvalidResource, "epoch=2.5 is not a whole number from 1 up"),
    ({"loss": 1.0, "epoch": "3"}, InvalidResource, "epoch='3' is not"),
    ({"loss": 1.0, "epoch": True}, InvalidResource, "epoch=True is not"),
    ({"loss": 1.0, "epoch": NAN}, InvalidResource, "is not a whole number"),
    ({"loss": 1.0, "epoch": 0}, InvalidResource, "epoch=0 is not"),
    ({"loss": 1.0, "epoch": -1}, InvalidResource, "epoch=-1 is not"),
)


def test_a_first_report_without_a_proper_resource_ends_the_run_by_a_named_error(lab: Any, method: Any) -> None:
    for metrics, error, _ in WRONG:
        game = lab.Game(method.make(SPACE)).begin()
        game.signal(Reported(game.ledger[0].id, 0, 0, metrics))
        assert isinstance(game.conductor.error, error), metrics
        assert not rung_entries(game)


def rung_entries(game: Any) -> list[Any]:
    return [row["entries"] for row in rung_table(game.conductor.scheduler) if row["entries"]]


def test_later_ones_are_rejected_named_and_shown_to_nobody(lab: Any, method: Any) -> None:
    game = lab.Game(method.make(SPACE)).begin()
    game.report(1, 1, loss=5.0)
    before = rung_entries(game)
    for seq, (metrics, _, says) in enumerate(WRONG):
        game.signal(Reported(game.ledger[0].id, 0, seq, metrics))
        assert says in game.of(ev.ReportRejected)[-1].reason
    assert game.conductor.error is None
    assert rung_entries(game) == before
    assert game.ledger[0].status is Status.RUNNING
    game.report(0, 1, loss=1.0)
    assert game.ledger[0].resource == 1


def test_a_resource_that_goes_back_is_rejected(lab: Any, method: Any) -> None:
    options = {"median": {}, "population": {"perturbation_interval": 9}}.get(method.kind, {"grace_period": 9})
    game = lab.Game(method.make({**SPACE, "epochs": 81}, **options)).begin()
    game.report(0, 5, loss=1.0)
    before = rung_entries(game)
    game.report(0, 3, loss=0.5)
    game.report(0, 5, loss=0.5)
    reasons = [event.reason for event in game.of(ev.ReportRejected)]
    assert reasons == ["epoch went back from 5 to 3", "epoch went back from 5 to 5"]
    assert rung_entries(game) == before
    assert game.ledger[0].resource == 5


def test_what_is_reported_beyond_the_maximum_ends_the_trial(lab: Any, method: Any) -> None:
    game = lab.Game(method.make(SPACE)).begin()
    game.report(0, 13, loss=1.0)
    assert game.conductor.error is None
    told = [one for one in game.commands if isinstance(one, StopTrial) and one.trial == 0]
    # The rule stops nobody at the highest level: with random search such a script ends by itself, whenever it does.
    assert bool(told) == (method.kind != "median")


@pytest.mark.parametrize("stride", [2, 4, 7])
def test_a_script_that_jumps_over_rungs_is_never_credited_with_a_later_value(method: Any, stride: int) -> None:
    """A value stands at the level where it was reported, or at the highest one that the trial had passed then."""

    def sparse(steps: Any, trial: int) -> Iterator[Any]:
        return (step for step in steps if step.metrics["epoch"] % stride == 0 or step.metrics["epoch"] == 9)

    scheduler, run = rehearsed(method, sparse, **({"running_average": False} if method.kind == "median" else {}))
    assert run.outcome[0] == "done"
    reported = {
        (e.trial, e.metrics["loss"]): e.resource
        for e in run.events
        if isinstance(e, ev.TrialResult) and e.verdict != "late"
    }
    table = rung_table(scheduler)
    assert method.model or method.kind == "population" or any(row["entries"] for row in table)
    for system in {row.get("system", 0) for row in table}:
        rows = [row for row in table if row.get("system", 0) == system]
        above = [*(row["level"] for row in rows[1:]), 10]
        for row, following in zip(rows, above, strict=True):
            for value, trial in row["entries"]:
                assert row["level"] <= reported[trial, value] < following


def test_trials_that_complete_early_hold_up_nothing(method: Any) -> None:
    """At once, before their level, exactly at one, just before the end."""

    def early(steps: Any, trial: int) -> Iterator[Any]:
        last = (0, 1, 2, 3, 8, 9)[trial % 6] if trial > 2 else 9
        for step in steps:
            if step.metrics["epoch"] > last:
                return
            yield step

    scheduler, run = rehearsed(method, early)
    assert run.outcome[0] == "done"
    for row in rung_table(scheduler):
        assert all(isfinite(value) for value, _ in row["entries"])
        assert not any(run.conductor.ledger[trial].status is Status.FINISHED for trial in row.get("waiting", ()))


@pytest.mark.parametrize("policy", ["fail", "worst", "ignore"])
def test_nan_at_a_rung_takes_the_metrics_policy(method: Any, policy: str) -> None:
    def spoiled(steps: Any, trial: int) -> Iterator[Any]:
        for step in steps:
            bad = trial % 3 == 2 and step.metrics["epoch"] in (1, 3)
            yield Report({**step.metrics, "loss": NAN}, step.seconds) if bad else step

    scheduler, run = rehearsed(method, spoiled, nonfinite=policy)
    assert run.outcome[0] == "done"
    spoilt = [record for record in run.conductor.ledger if record.id % 3 == 2]
    assert spoilt
    if policy == "fail":
        assert all(record.status is Status.FAILED for record in spoilt if record.rejected)
    else:
        assert not any(record.status is Status.FAILED for record in spoilt)
    counted = {
        (e.trial, e.resource): e
        for e in run.events
        if isinstance(e, ev.TrialResult) and e.verdict not in ("late", "repeat")
    }
    assert all(isfinite(event.metrics["loss"]) for event in counted.values())
    for row in rung_table(scheduler):
        for value, trial in row["entries"]:
            assert isfinite(value)
            if policy != "worst" and row["level"] in (1, 3) and trial % 3 == 2:
                # Nothing was counted there; what stands at the rung was reported before the next one.
                assert (trial, row["level"]) not in counted


def test_late_results_of_a_trial_that_was_told_to_end_change_nothing(lab: Any, method: Any) -> None:
    game = lab.Game(method.make(SPACE), n_workers=5).begin()
    told: Any = None
    for epoch in range(1, 10):
        for trial in range(len(game.ledger)):
            if told is None and game.ledger[trial].status is Status.RUNNING:
                game.report(trial, epoch, loss=10.0 - epoch + trial)
                told = next((c for c in game.commands if isinstance(c, StopTrial | PauseTrial)), None)
    assert told is not None, "nobody was told to end"
    before = rung_entries(game)
    started = [one for one in game.commands if isinstance(one, StartTrial)]
    record = game.ledger[told.trial]
    for late in range(1, 4):
        game.report(told.trial, record.resource + late, loss=-100.0)
    assert [event.verdict for event in game.of(ev.TrialResult)[-3:]] == ["late"] * 3
    assert rung_entries(game) == before
    assert [one for one in game.commands if isinstance(one, StartTrial)] == started
    game.signal(Ended(record.id, record.attempt, "ended"))
    assert record.status in (Status.STOPPED, Status.PAUSED, Status.QUEUED, Status.RUNNING)
    assert game.conductor.error is None


def test_a_trial_that_fails_at_every_attempt_holds_up_nothing(method: Any) -> None:
    def failing(steps: Any, trial: int) -> Iterator[Any]:
        for step in steps:
            if trial % 4 == 3 and step.metrics["epoch"] == 2:
                yield End("failed", "exit status 1")
                return
            yield step

    scheduler, run = rehearsed(method, failing)
    assert run.outcome[0] == "done"
    assert any(record.status is Status.FAILED for record in run.conductor.ledger)
    for row in rung_table(scheduler):
        assert not any(run.conductor.ledger[trial].status is Status.FAILED for trial in row.get("waiting", ()))
        values = [value for value, _ in row["entries"]]
        assert all(one <= other for one, other in pairwise(values))

"""The tuner: resuming with other limits, components passed again, names that are free or taken."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from offbeat import StoppingCriterion, Tuner
from offbeat import events as ev
from offbeat.config_space import uniform
from offbeat.errors import ExperimentExists, InvalidArgument, JournalError, WatchedMetricMissing
from offbeat.home import ExperimentFolder
from offbeat.journal import Journal
from offbeat.optimizer.baselines import ASHA
from offbeat.testing.scripted import ScriptedBackend, curve


def resume(lab: Any, **options: Any) -> Tuner:
    settings = {"home": lab.home, "trial_backend": ScriptedBackend(lab.script()), "observers": []}
    return Tuner.resume("run", **{**settings, **options})


def test_other_limits_are_recorded_and_hold(lab: Any) -> None:
    lab.run(lab.tuner(lab.home, lab.asha(), stop_criterion=StoppingCriterion(max_num_trials_started=5)))
    more = StoppingCriterion(max_num_trials_started=9)
    lab.run(resume(lab, stop_criterion=more, n_workers=2, max_failures=3, max_retries=1))
    events = lab.events(lab.home)
    (changed,) = [e for e in events if isinstance(e, ev.LimitsChanged)]
    assert (changed.limits.n_workers, changed.limits.max_failures, changed.limits.max_retries) == (2, 3, 1)
    assert len([e for e in events if isinstance(e, ev.TrialStarted) and e.attempt == 0]) == 9
    lab.check_closed(lab.home)
    # The changed ones are those in force from here on.
    lab.run(resume(lab))
    assert len([e for e in lab.events(lab.home) if isinstance(e, ev.LimitsChanged)]) == 1
    assert lab.events(lab.home)[-1].reason == "max_num_trials_started=9 reached: 9 trials started"


def test_the_same_limits_are_no_change(lab: Any) -> None:
    lab.run(lab.tuner(lab.home, lab.asha()))
    lab.run(resume(lab, n_workers=4))
    tail = [type(e).__name__ for e in lab.events(lab.home)[-2:]]
    assert tail == ["ExperimentOpened", "ExperimentClosed"]


def test_a_criterion_on_another_metric_reads_the_past(lab: Any) -> None:
    lab.run(lab.tuner(lab.home, lab.asha(), stop_criterion=StoppingCriterion(max_num_trials_started=5)))
    outcome = lab.run(resume(lab, stop_criterion=StoppingCriterion(min_metric_value={"loss": 1000.0})))
    assert "min_metric_value of loss=1000.0 reached" in outcome.reason
    assert [type(e).__name__ for e in lab.events(lab.home)[-3:]] == [
        "ExperimentOpened", "LimitsChanged", "ExperimentClosed",
    ]  # fmt: skip


def test_a_recorded_criterion_that_watches_a_metric_goes_on_counting_everything(lab: Any) -> None:
    criterion = StoppingCriterion(max_num_trials_started=12, min_metric_value={"loss": -1.0})

    async def interrupted() -> None:
        async with lab.tuner(lab.home, lab.random_search(), stop_criterion=criterion).session() as session:
            session.stop()

    asyncio.run(interrupted())
    outcome = lab.run(resume(lab))
    assert outcome.reason == "max_num_trials_started=12 reached: 12 trials started"


def test_what_the_journal_cannot_describe_has_to_be_passed_again(lab: Any) -> None:
    lab.run(lab.tuner(lab.home, lab.Toy(limit=1)))
    with pytest.raises(InvalidArgument, match="Pass it as trial_backend"):
        Tuner.resume("run", home=lab.home)
    with pytest.raises(InvalidArgument, match="Pass it as scheduler"):
        resume(lab)
    with pytest.raises(InvalidArgument, match=r"was recorded with 'tests.conftest:Toy', not 'asha'"):
        resume(lab, scheduler=lab.asha())


def test_a_run_that_died_before_its_first_event_leaves_the_name_free(lab: Any) -> None:
    with Journal.create(ExperimentFolder(lab.home / "run")):
        pass
    with pytest.raises(JournalError, match="Run it under this name again"):
        resume(lab, scheduler=lab.Toy())
    lab.run(lab.tuner(lab.home, lab.Toy(limit=1)))
    lab.check_closed(lab.home)
    with pytest.raises(ExperimentExists):
        lab.run(lab.tuner(lab.home, lab.Toy(limit=1)))


def test_cancelled_while_the_journal_is_read_it_frees_the_lock(lab: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import threading

    lab.run(lab.tuner(lab.home, lab.Toy(limit=1)))
    reading, go_on = threading.Event(), threading.Event()
    original = Journal.open

    def slow(*arguments: Any, **options: Any) -> Journal:
        reading.set()
        go_on.wait()
        return original(*arguments, **options)

    async def main() -> None:
        monkeypatch.setattr(Journal, "open", slow)
        task = asyncio.create_task(resume(lab, scheduler=lab.Toy(limit=1)).arun())
        while not reading.is_set():
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.sleep(0)
        go_on.set()
        with pytest.raises(asyncio.CancelledError):
            await task
        monkeypatch.setattr(Journal, "open", original)

    asyncio.run(main())
    assert lab.run(resume(lab, scheduler=lab.Toy(limit=1))).outcome == "done"


def test_metadata_is_kept(lab: Any) -> None:
    lab.run(lab.tuner(lab.home, lab.Toy(limit=1), metadata={"paper": [1, 2], "who": "é"}))
    assert lab.events(lab.home)[0].spec.metadata == {"paper": [1, 2], "who": "é"}


def test_a_name_by_default_is_the_script_s_with_date_and_time(lab: Any) -> None:
    from offbeat.clock import ManualClock

    tuner = lab.tuner(lab.home, lab.Toy(), name=None, clock=ManualClock(wall=1_700_000_000.25))
    assert tuner.name == "experiment-20231114-221320-250"


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"config_space": {"x": uniform(5, 6), "epochs": 9}}, "the space"),
        ({"random_seed": 77}, "random_seed"),
        ({"grace_period": 2}, "grace_period"),
    ],
)
def test_a_scheduler_that_could_not_have_made_the_journal_is_refused(lab: Any, changes: Any, what: str) -> None:
    arguments = {"config_space": {"x": uniform(0, 1), "epochs": 9}, "random_seed": 1}
    same = {"metric": "loss", "resource_attr": "epoch", "max_resource_attr": "epochs"}
    script = curve(lambda config, epoch: {"loss": config["x"] + 1 / epoch}, 9)
    stop = StoppingCriterion(max_num_trials_started=3)
    backend = ScriptedBackend(script)
    first = Tuner(backend, ASHA(**arguments, **same), stop, name="run", home=lab.home, observers=[])
    lab.run(first)
    with pytest.raises(InvalidArgument, match=f"differs from the recorded one in {what}"):
        resume(lab, scheduler=ASHA(**{**arguments, **same, **changes}))
    lab.run(resume(lab, scheduler=ASHA(**arguments, **same), trial_backend=ScriptedBackend(script)))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"grace": "x"}, "grace='x'"),
        ({"metadata": 3}, "metadata=3: give a mapping"),
        ({"observers": "csv"}, "give a list"),
    ],
)
def test_options_of_the_wrong_kind_are_named(lab: Any, options: Any, message: str) -> None:
    with pytest.raises(InvalidArgument, match=message):
        lab.run(Tuner(ScriptedBackend(lab.script()), lab.asha(), home=lab.home, **options))


def test_a_criterion_on_a_metric_that_is_never_reported_ends_the_run(lab: Any) -> None:
    wrong = StoppingCriterion(max_metric_value={"acuracy": 0.5})
    with pytest.raises(WatchedMetricMissing, match="waits for the metric 'acuracy'"):
        lab.run(lab.tuner(lab.home, lab.asha(), stop_criterion=wrong))

"""What users get wrong: each an early, specific error, or a policy that is stated."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from offbeat import StoppingCriterion, Tuner
from offbeat import events as ev
from offbeat.config_space import choice, loguniform, randint
from offbeat.errors import (
    ExperimentNotFound,
    InvalidArgument,
    InvalidConfig,
    InvalidResource,
    InvalidSpace,
    JournalUnwritable,
    MetricMismatch,
    PluginFailed,
    TooManyFailures,
)
from offbeat.testing.scripted import End, Report, ScriptedBackend


def reporting(*reports: dict[str, Any]) -> Any:
    return lambda start: [Report(metrics) for metrics in reports]


def test_a_misspelt_metric_is_named_at_the_first_report(lab: Any) -> None:
    with pytest.raises(MetricMismatch) as caught:
        lab.run(lab.tuner(lab.home, lab.asha(), reporting({"epoch": 1, "los": 0.5})))
    text = str(caught.value)
    assert "has 'epoch', 'los'" in text
    assert "expects the metric 'loss'. Did you mean 'los'?" in text
    lab.check_closed(lab.home)


def test_a_misspelt_resource_is_named_at_the_first_report(lab: Any) -> None:
    with pytest.raises(MetricMismatch, match=r"the resource 'epochs'. Did you mean 'epoch'\?"):
        lab.run(lab.tuner(lab.home, lab.asha(resource_attr="epochs"), reporting({"epoch": 1, "loss": 0.5})))


def test_a_metric_never_reported_ends_the_run_before_the_money_is_gone(lab: Any) -> None:
    with pytest.raises(TooManyFailures, match=r"4 of 4 trials failed.*call report\(loss=\.\.\.\)"):
        lab.run(lab.tuner(lab.home, lab.asha(), lambda start: []))
    assert len([e for e in lab.events(lab.home) if isinstance(e, ev.TrialStarted)]) <= 8


def test_a_script_that_always_crashes_ends_the_run_with_its_traceback(lab: Any) -> None:
    with pytest.raises(TooManyFailures, match=r"(?s)exit status 1.*ModuleNotFoundError: No module named 'torhc'"):
        lab.run(
            lab.tuner(
                lab.home,
                lab.asha(),
                lambda s: [End("failed", "exit status 1", "ModuleNotFoundError: No module named 'torhc'")],
            )
        )


@pytest.mark.parametrize("value", [0, -1, 1.5, "one", float("nan"), float("inf"), True, 10**400])
def test_a_resource_that_is_no_whole_number_from_one_is_named(lab: Any, value: Any) -> None:
    with pytest.raises(InvalidResource) as caught:
        lab.run(lab.tuner(lab.home, lab.asha(), reporting({"epoch": value, "loss": 0.5})))
    assert "a whole number from 1 up" in str(caught.value)
    assert ("report(epoch=epoch + 1, ...)" in str(caught.value)) == (value == 0)


def test_a_whole_resource_written_as_a_fraction_is_taken(lab: Any) -> None:
    lab.run(lab.tuner(lab.home, lab.Toy(limit=1), reporting({"epoch": 1.0, "loss": 0.5})))
    assert [e.resource for e in lab.events(lab.home) if isinstance(e, ev.TrialResult)] == [1]


@pytest.mark.parametrize(
    "config", [{"rate": 2.0}, {"rate": "a"}, {"rate": None}, {"rat": 0.5}, {}, {"rate": float("nan")}]
)
def test_a_proposed_value_outside_its_domain_is_named_with_what_is_valid(lab: Any, config: Any) -> None:
    from offbeat import Start

    with pytest.raises(PluginFailed, match=r"InvalidConfig: .*(0.001|'rate')"):
        lab.run(lab.tuner(lab.home, lab.Toy(propose=lambda r, ledger: Start(config=config))))
    lab.check_closed(lab.home)


def test_an_initial_point_outside_the_space_is_refused_before_the_run(lab: Any) -> None:
    with pytest.raises(InvalidConfig, match="layers"):
        lab.asha(points_to_evaluate=[{"layers": 99}])


def test_an_empty_space_is_refused(lab: Any) -> None:
    from offbeat_plugins.schedulers.random_search import RandomSearch

    for space in ({}, {"epochs": 9}):
        with pytest.raises(InvalidSpace):
            RandomSearch(space, "loss")


def test_a_space_with_one_point_is_tried_once(lab: Any) -> None:
    from offbeat_plugins.schedulers.random_search import RandomSearch

    scheduler = RandomSearch({"rate": choice([0.5])}, "loss", random_seed=1)
    outcome = lab.run(lab.tuner(lab.home, scheduler, reporting({"loss": 1.0}), stop_criterion=None))
    assert outcome.reason == "the scheduler has nothing more to propose (search space exhausted)"
    assert len([e for e in lab.events(lab.home) if isinstance(e, ev.TrialStarted)]) == 1


@pytest.mark.parametrize("limit", ["max_wallclock_time", "max_num_evaluations", "max_num_trials_started", "max_cost"])
def test_a_budget_of_nothing_is_refused(limit: str) -> None:
    with pytest.raises(InvalidArgument, match=f"{limit}=0 would end the run before it has begun"):
        StoppingCriterion(**{limit: 0})


@pytest.mark.parametrize("workers", [0, -1, True, 1.5, "4", None])
def test_a_number_of_workers_that_cannot_be_is_refused(lab: Any, workers: Any) -> None:
    with pytest.raises(InvalidArgument, match=r"n_workers=.*a whole number from 1 up"):
        lab.tuner(lab.home, lab.asha(), n_workers=workers)


@pytest.mark.parametrize(("argument", "value"), [
    ("max_failures", -1), ("max_failures", 1.0), ("max_failures", True), ("max_failures", float("nan")), ("max_failures", "3"),
    ("max_retries", -1), ("max_retries", 0.5), ("max_retries", True), ("grace", -1.0), ("grace", float("nan")),
    ("metadata", {"x": object()}), ("stop_criterion", StoppingCriterion), ("stop_criterion", 30),
])  # fmt: skip
def test_settings_that_cannot_be_are_refused(lab: Any, argument: str, value: Any) -> None:
    with pytest.raises(InvalidArgument, match=argument):
        lab.tuner(lab.home, lab.asha(), **{argument: value})


@pytest.mark.parametrize(
    "name", ["my run", "../run", "a/b", 'say "x"', "it's", "", ".", "..", "-x", "x" * 101, "x.", "é", "a\nb", "a\0b"]
)
def test_a_name_that_is_no_folder_everywhere_is_refused_with_one_that_is(lab: Any, name: str) -> None:
    with pytest.raises(InvalidArgument, match="is not usable") as caught:
        lab.tuner(lab.home, lab.asha(), name=name)
    from offbeat.home import checked_name

    example = str(caught.value).rpartition("for example ")[2].rstrip(".").strip("'")
    assert checked_name(example) == example
    assert list(lab.home.iterdir()) == []


def test_an_experiment_that_is_not_there_is_named_with_the_nearest(lab: Any) -> None:
    lab.run(lab.tuner(lab.home, lab.Toy(limit=1), name="digits"))
    with pytest.raises(ExperimentNotFound, match="Did you mean 'digits'"):
        Tuner.resume("digit", home=lab.home)


POLICIES = {
    "fail": (["TrialFailed"], [0.5]),
    "worst": (["TrialFinished"], [0.5, 0.5, 0.25]),
    "ignore": (["TrialFinished"], [0.5, 0.25]),
}


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf"), "nan"])
def test_a_value_that_is_not_finite_meets_the_declared_policy(lab: Any, policy: str, value: Any) -> None:
    reports = reporting({"epoch": 1, "loss": 0.5}, {"epoch": 2, "loss": value}, {"epoch": 3, "loss": 0.25})
    lab.run(lab.tuner(lab.home, lab.Toy(limit=1, nonfinite=policy), reports))
    events = lab.events(lab.home)
    ends, losses = POLICIES[policy]
    assert [type(e).__name__ for e in events if type(e).__name__ in ("TrialFailed", "TrialFinished")] == ends
    counted = [e for e in events if isinstance(e, ev.TrialResult) and e.verdict == "continue"]
    assert [e.metrics["loss"] for e in counted] == losses
    if policy == "worst":
        assert counted[1].raw == {"epoch": 2, "loss": str(value)}


def test_a_home_that_cannot_be_written_is_named_before_anything_starts(
    lab: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: Path, *_: Any, **__: Any) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(Path, "mkdir", refuse)
    backend = ScriptedBackend(reporting())
    with pytest.raises(JournalUnwritable, match=r"Read-only file system.*set OFFBEAT_HOME to another disk"):
        lab.run(lab.tuner(lab.home / "new", lab.asha(), backend=backend))
    assert backend.session is None


def test_a_file_in_the_place_of_the_home_is_named(lab: Any) -> None:
    (lab.home / "file").write_text("")
    with pytest.raises(JournalUnwritable, match="Not a directory"):
        lab.run(lab.tuner(lab.home / "file", lab.asha()))


@pytest.mark.parametrize("durability", ["commit", "batch", "end"])
def test_a_disk_that_is_full_is_named_and_the_run_resumes_when_there_is_room(
    lab: Any, monkeypatch: pytest.MonkeyPatch, durability: Any
) -> None:
    write, room = os.write, 6000

    def full(fd: int, data: Any) -> int:
        nonlocal room
        if room < len(data) and len(data) > 100:
            raise OSError(errno.ENOSPC, "No space left on device")
        room -= len(data)
        return write(fd, data)

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        with pytest.raises(JournalUnwritable, match="No space left on device"):
            lab.run(lab.tuner(lab.home, lab.asha(), durability=durability))
    if lab.events(lab.home):
        resumed = Tuner.resume("run", home=lab.home, trial_backend=ScriptedBackend(lab.script()), observers=[])
    else:
        resumed = lab.tuner(lab.home, lab.asha())
    assert lab.run(resumed).outcome == "done"
    lab.check_closed(lab.home)
    lab.run(lab.tuner(lab.home, lab.asha(), name="other"))
    assert lab.digest(lab.home) == lab.digest(lab.home, "other")


def test_an_argument_of_another_library_is_explained(lab: Any) -> None:
    from offbeat_plugins.schedulers.asha import ASHA

    space = {"rate": loguniform(1e-3, 1.0), "layers": randint(1, 3), "epochs": 9}
    with pytest.raises((TypeError, InvalidArgument), match="mode"):
        ASHA(space, metric="loss", direction="minimize", resource_attr="epoch", max_t=9)  # type: ignore[call-arg]

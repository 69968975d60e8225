"""F1: the engine dies at any write; what was acknowledged is there, and the resumed run is the uninterrupted one."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from offbeat import StoppingCriterion, Tuner
from offbeat.testing.scripted import ScriptedBackend


def run_through_crash(
    lab: Any, crashes: Any, home: Path, make: Callable[[], Any], script: Any, at: int, how: str, options: dict[str, Any]
) -> None:
    crashes.die(lambda: lab.run(lab.tuner(home, make(), script, **options)), at, how)
    found = lab.events(home) if (home / "run").exists() else []
    if not found:
        lab.run(lab.tuner(home, make(), script, **options))
    elif type(found[-1]).__name__ != "ExperimentClosed":
        lab.run(
            Tuner.resume("run", home=home, trial_backend=ScriptedBackend(script), observers=[], durability="commit")
        )


def strange(config: dict[str, Any], epoch: int) -> dict[str, Any]:
    """NaN now and then: policies take part in the crash too."""
    return {"loss": float("nan") if config["layers"] % 3 == 0 and epoch == 2 else config["rate"] / epoch}


CASES: dict[str, tuple[Callable[[Any], Any], dict[str, Any], Any]] = {
    "stopping": (lambda lab: lab.asha("stopping"), {"stop_criterion": StoppingCriterion(max_num_trials_started=40)}, None),
    "promotion": (lambda lab: lab.asha("promotion"), {}, None),
    "brackets": (lambda lab: lab.asha("promotion", brackets=2, rule="paper"), {}, None),
    "random": (lambda lab: lab.random_search(), {}, None),
    "nan": (lambda lab: lab.asha("stopping"), {"max_retries": 1}, strange),
    "batches": (lambda lab: lab.random_search(), {"asynchronous_scheduling": False}, None),
    "waiting": (
        lambda lab: lab.random_search(),
        {"stop_criterion": StoppingCriterion(max_num_evaluations=60), "wait_trial_completion_when_stopping": True},
        None,
    ),
    "time": (lambda lab: lab.asha("promotion"), {"stop_criterion": StoppingCriterion(max_wallclock_time=33.3)}, None),
}  # fmt: skip


EVERYWHERE = ("stopping", "promotion", "random")


def campaign(lab: Any, crashes: Any, case: str, every: int) -> None:
    build, extra, function = CASES[case]

    def make() -> Any:
        return build(lab)

    script = lab.script(function=function) if function else lab.script()
    options = {"durability": "commit", **extra}
    clean = lab.home / "clean"
    total = crashes.writes(lambda: lab.run(lab.tuner(clean, make(), script, **options)))
    expected, table = lab.digest(clean), lab.table(clean, make())
    assert total > 60
    for at in range(0, total, every):
        for how in crashes.WAYS if every == 1 else (crashes.WAYS[at // every % 3],):
            home = lab.home / f"{at}-{how}"
            run_through_crash(lab, crashes, home, make, script, at, how, options)
            assert lab.digest(home) == expected, (at, how)
            assert lab.table(home, make()) == table, (at, how)
            lab.check_closed(home)
            shutil.rmtree(home)


@pytest.mark.parametrize("case", CASES)
def test_a_crash_at_some_writes_changes_nothing(lab: Any, crashes: Any, case: str) -> None:
    campaign(lab, crashes, case, every=10)


@pytest.mark.faults
@pytest.mark.timeout(600)
@pytest.mark.parametrize("case", CASES)
def test_a_crash_at_any_write_changes_nothing(lab: Any, crashes: Any, case: str) -> None:
    campaign(lab, crashes, case, every=1 if case in EVERYWHERE else 4)


def kills(lab: Any, engine: Any, points: list[int]) -> None:
    """Real processes: after each kill nothing that was acknowledged is gone, and the resumed run ends in good order."""
    import signal

    for point in points:
        one = engine(fresh=True, trials=8)
        if one.until(point):
            one.process.send_signal(signal.SIGKILL)
        one.end()
        events = lab.events(one.home) if (one.home / "run" / "journal").is_dir() else []
        assert len(events) >= one.acknowledged
        if events and type(events[-1]).__name__ == "ExperimentClosed":
            continue
        again = engine(resume=bool(events), trials=8)
        assert again.end() == 0, again.error()
        found = lab.events(one.home)
        assert found[: len(events)] == events
        lab.check_closed(one.home)
        started = [e for e in found if type(e).__name__ == "TrialStarted" and e.attempt == 0]  # type: ignore[attr-defined]
        assert len(started) == 8
        again.nobody_left()


def test_engines_killed_at_a_few_points(lab: Any, engine: Any) -> None:
    kills(lab, engine, [1, 13, 47, 80, 111])


@pytest.mark.faults
@pytest.mark.timeout(600)
def test_engines_killed_at_many_points(lab: Any, engine: Any) -> None:
    import random

    kills(lab, engine, [random.Random(1).randrange(150) for _ in range(50)])

"""The decision digest: blind to clocks, hosts, versions and how often a run was cut; to nothing else."""

import msgspec
from msgspec.structs import replace

from offbeat.events import (
    ComponentDescription,
    Event,
    ExperimentClosed,
    ExperimentOpened,
    ExperimentSpec,
    Host,
    Limits,
    LimitsChanged,
    MetricSpec,
    PluginFailed,
    Suggested,
    TrialFailed,
    TrialResult,
    TrialStarted,
)
from offbeat.journal import decision_digest
from offbeat.trial import TrialId


def component(name: str, version: str = "1") -> ComponentDescription:
    return ComponentDescription("offbeat.schedulers", name, "offbeat", version, {"a": 1, "b": 2})


def spec(**changes: object) -> ExperimentSpec:
    fields = {
        "name": "e", "seed": 1, "metrics": (MetricSpec("loss"),), "scheduler": component("asha"),
        "backend": component("local"), "limits": Limits(n_workers=4, stop_criterion=component("criterion")),
    }  # fmt: skip
    return ExperimentSpec(**{**fields, **changes})  # type: ignore[arg-type]


T = TrialId(0)
RUN: list[Event] = [
    ExperimentOpened(0.0, 0, spec(), Host(wall_time=1.0, hostname="a")),
    Suggested(0.1, 0, "start", T, {"x": 1, "y": 2.0}, tags={"p": 1, "q": 2}),
    TrialStarted(0.2, T, 0, 0),
    TrialResult(0.3, T, 0, 0, 1, {"loss": 0.5, "st_worker_time": 0.1}),
    LimitsChanged(0.4, Limits(n_workers=2, stop_criterion=component("criterion"))),
    TrialFailed(0.5, T, 0, "exit status 1", "Traceback in /home/a"),
    PluginFailed(0.6, "offbeat.schedulers", "asha", "observe", "boom", "Traceback"),
    ExperimentClosed(0.7, 0, "done", "enough"),
]

OTHER: list[Event] = [
    ExperimentOpened(
        9.0, 0,
        spec(name="f", metadata={"who": "b"}, scheduler=component("asha", "2"), backend=component("local", "3"),
             limits=Limits(n_workers=4, stop_criterion=component("criterion", "4"))),
        Host(wall_time=2.0, hostname="b", pid=7),
    ),
    Suggested(9.1, 0, "start", T, {"y": 2.0, "x": 1}, tags={"q": 2, "p": 1}),
    TrialStarted(9.2, T, 0, 0),
    ExperimentClosed(9.3, 0, "interrupted", "Ctrl-C"),
    ExperimentOpened(9.4, 1, None, Host(pid=8)),
    TrialResult(9.5, T, 0, 0, 1, {"loss": 0.5, "st_worker_time": 7.0}),
    PluginFailed(9.5, "offbeat.reporters", "csv", "handle", "disk full"),
    LimitsChanged(9.6, Limits(n_workers=2, stop_criterion=component("criterion", "8"))),
    TrialFailed(9.7, T, 0, "exit status 1", "Traceback in /home/b"),
    PluginFailed(9.8, "offbeat.schedulers", "asha", "observe", "boom", "another traceback"),
]  # fmt: skip


def test_runs_that_decide_alike_have_one_digest():
    assert decision_digest(RUN) == decision_digest(OTHER)
    assert decision_digest(RUN, simulated=True) != decision_digest(OTHER, simulated=True)


def test_each_event_and_their_order_count():
    digests = {decision_digest(RUN[:n]) for n in range(len(RUN))}
    assert len(digests) == len(RUN)
    assert decision_digest([*RUN[:2], RUN[3], RUN[2], *RUN[4:]]) != decision_digest(RUN)


def test_each_field_that_decides_counts():
    changed = [
        (0, replace(RUN[0], spec=spec(seed=2))),
        (0, replace(RUN[0], spec=spec(scheduler=component("pbt")))),
        (0, replace(RUN[0], spec=spec(space={"x": 1}))),
        (1, replace(RUN[1], config={"x": 1.0, "y": 2.0})),
        (1, replace(RUN[1], why="model")),
        (3, replace(RUN[3], metrics={"loss": 0.5000000000000001})),
        (3, replace(RUN[3], verdict="stop")),
        (4, replace(RUN[4], limits=Limits(n_workers=3, stop_criterion=component("criterion")))),
        (5, replace(RUN[5], retry=True)),
    ]
    digests = {decision_digest([*RUN[:i], event, *RUN[i + 1 :]]) for i, event in changed}
    assert len(digests | {decision_digest(RUN)}) == len(changed) + 1


def test_the_digest_of_a_recorded_run_changes_on_purpose_only():
    assert decision_digest(RUN) == "62e437afe4d442f13fe185f3b605f9a6"
    assert decision_digest(RUN, simulated=True) == "c6a3b78945817d8e56c7c11f3b4ef083"


def test_fields_that_hold_their_defaults_are_not_in_the_digest():
    """Otherwise a later version, which has more of them, would give old journals other digests."""
    text = msgspec.json.encode(spec())
    assert b"null" not in text
    assert b"prefetch" not in text

"""The decision digest: blind to clocks, hosts, versions and how often a run was cut; to nothing else."""

from hashlib import blake2b
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st
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
    ProposalRequested,
    Suggested,
    TrialFailed,
    TrialFinished,
    TrialLost,
    TrialPaused,
    TrialResult,
    TrialResumed,
    TrialStarted,
    TrialStopped,
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


# --- against the definition: fields, one by one, without what is left out

TEXT = st.text(st.characters(codec="utf-8"), max_size=4)
NAMES = TEXT | st.sampled_from(["loss", "st_worker_time", "st_worker_", "a,b", '"', "é"])
PLAIN = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT
VALUES = st.dictionaries(NAMES, PLAIN | st.lists(st.dictionaries(NAMES, PLAIN, max_size=2), max_size=2), max_size=4)
AT = st.floats(0, 1e9) | st.integers(0, 10)
EVENTS = st.one_of(
    st.builds(
        TrialResult, AT, st.just(T), st.just(0), st.just(0), st.just(1), VALUES, st.just("stop"), TEXT,
        st.just(((T, "pause", "a,b"),)), st.none() | VALUES,
    ),
    st.builds(Suggested, AT, st.just(0), st.just("start"), st.just(T), st.none() | VALUES, why=TEXT, tags=VALUES),
    st.builds(TrialStopped, AT, st.just(T), st.just(0), st.just("user"), TEXT),
    *(st.builds(kind, AT, st.just(T), st.just(3)) for kind in (TrialPaused, TrialFinished, TrialLost)),
    *(st.builds(kind, AT, st.just(T), st.just(3), st.just(1)) for kind in (TrialStarted, TrialResumed)),
)  # fmt: skip


def defined(events: list[Event], *, simulated: bool) -> str:
    encode = msgspec.json.Encoder(order="deterministic").encode
    digest = bytes(16)
    for event in events:
        fields: list[Any] = msgspec.json.decode(msgspec.json.encode(event))
        if not simulated:
            if isinstance(event, TrialResult):
                for place in (6, 10):
                    kept = {k: v for k, v in (fields[place] or {}).items() if not k.startswith("st_worker_")}
                    fields[place] = None if fields[place] is None else kept
            del fields[1]
        digest = blake2b(digest + encode(fields), digest_size=16).digest()
    return digest.hex()


@given(st.lists(EVENTS, max_size=3), st.booleans())
def test_it_is_what_its_definition_says(events: list[Event], simulated: bool):
    assert decision_digest(events, simulated=simulated) == defined(events, simulated=simulated)


def test_the_place_of_a_request_does_not_count():
    one, other = (ProposalRequested(0.0, 3, 1, prefix, True) for prefix in (7, 8))
    assert decision_digest([one], simulated=True) == decision_digest([other], simulated=True)

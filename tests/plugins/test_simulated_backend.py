"""The simulated backend by itself: order and times of signals, stops, checkpoints, faults, and what is wrong with curves."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from offbeat.backend import BlackboxRepositoryBackend, SimulatedBackend
from offbeat.blackbox import FunctionBlackbox
from offbeat.config_space import uniform
from offbeat.errors import InvalidArgument, UnknownPlugin
from offbeat.home import ExperimentFolder
from offbeat.protocols import Backend, BackendContext, Blackbox
from offbeat.signals import DeleteCheckpoints, Ended, PauseTrial, Reported, Signal, StartTrial, StopTrial
from offbeat.testing.backend_checks import Behaviour
from offbeat.testing.backend_suite import BackendContract
from offbeat.trial import TrialId
from offbeat_plugins.backends.simulation.curves import HEAD
from offbeat_plugins.backends.simulation.faults import FaultProfile

SPACE = {"lr": uniform(0, 1)}


def blackbox(times: Callable[[float], Sequence[float]], levels: int = 3, **options: Any) -> FunctionBlackbox:
    """Curves 1 / level + lr whose times are a function of lr."""

    def whole(config: Mapping[str, Any], levels: Any, seed: int) -> dict[str, Any]:
        return {"loss": [config["lr"] + 1 / n for n in levels.tolist()], "elapsed": list(times(config["lr"]))}

    return FunctionBlackbox(whole, SPACE, levels=levels, objectives=["loss"], whole_curve=True, **options)


def even(levels: int = 9, **options: Any) -> FunctionBlackbox:
    """A second for each level."""
    return blackbox(lambda lr: [float(n) for n in range(1, levels + 1)], levels, **options)


def start(
    trial: int = 0, attempt: int = 0, *, slot: int = 0, lr: float = 0.5, seed: int = 0, **more: Any
) -> StartTrial:
    config = {"lr": lr, **more.pop("config", {})}
    return StartTrial(trial=TrialId(trial), attempt=attempt, config=config, slot=slot, seed=seed, **more)


@asynccontextmanager
async def opened(backend: Backend, folder: Path) -> AsyncIterator[Any]:
    async with backend.open(BackendContext(experiment="x", folder=ExperimentFolder(folder), n_workers=4)) as session:
        yield session


def drain(session: Any, until: float = math.inf) -> list[Signal]:
    found = []
    while (signal := session.next_signal(until)) is not None:
        found.append(signal)
    return found


def short(signal: Any) -> tuple[Any, ...]:
    if isinstance(signal, Reported):
        return (signal.at, int(signal.trial), signal.metrics["epoch"])
    return (signal.at, int(signal.trial), signal.how)


async def alone(backend: Backend, folder: Path, one: StartTrial) -> list[Signal]:
    async with opened(backend, folder) as session:
        session.submit(one)
        return drain(session)


# --- order and times


@pytest.mark.asyncio
async def test_golden_event_order(tmp_path: Path) -> None:
    """The facts "Simulator event order": starts at 1; reports of 0 at 2, 2, 3, of 1 at 2.5, 2.6, 3.5."""
    times = {0.0: [1.0, 1.0, 2.0], 1.0: [1.5, 1.6, 2.5]}
    async with opened(SimulatedBackend(blackbox(times.__getitem__)), tmp_path) as session:
        assert session.next_signal(1.0) is None
        assert session.now == 1.0
        session.submit(start(0, lr=0.0))
        session.submit(start(1, lr=1.0))
        assert list(map(short, drain(session, 2.2))) == [(2.0, 0, 1), (2.0, 0, 2)]
        assert session.now == 2.2
        rest = [(2.5, 1, 1), (2.6, 1, 2), (3.0, 0, 3), (3.0, 0, "finished"), (3.5, 1, 3), (3.5, 1, "finished")]
        assert list(map(short, drain(session))) == rest


@pytest.mark.asyncio
async def test_equal_times_come_first_in_first_out(tmp_path: Path) -> None:
    async with opened(SimulatedBackend(even(2)), tmp_path) as session:
        for trial in (2, 0, 1):
            session.submit(start(trial))
        order = [short(s)[1:] for s in drain(session)]
    assert order[:3] == [(2, 1), (0, 1), (1, 1)]
    # The ends of the same moment come behind the last reports, in their order.
    assert order[3:] == [(2, 2), (0, 2), (1, 2), (2, "finished"), (0, "finished"), (1, "finished")]


@pytest.mark.asyncio
async def test_one_signal_at_a_time_and_nothing_without_trials(tmp_path: Path) -> None:
    async with opened(SimulatedBackend(even()), tmp_path) as session:
        assert session.receive_nowait() == ()
        session.submit(start())
        assert len(session.receive_nowait()) == 1
        with pytest.raises(RuntimeError, match="does not wait"):
            await session.receive()


@pytest.mark.asyncio
async def test_delays(tmp_path: Path) -> None:
    backend = SimulatedBackend(
        even(2), delay_start=10, delay_on_trial_result=1, delay_complete_after_final_report=3, delay_stop=0.5,
        delay_complete_after_stop=4,
    )  # fmt: skip
    async with opened(backend, tmp_path) as session:
        session.submit(start(0))
        assert list(map(short, drain(session))) == [(12.0, 0, 1), (13.0, 0, 2), (15.0, 0, "finished")]
        session.submit(start(1))
        assert short(session.next_signal()) == (27.0, 1, 1)
        session.submit(StopTrial(TrialId(1), 0))
        assert list(map(short, drain(session))) == [(31.5, 1, "ended")]


@pytest.mark.asyncio
async def test_reports_until_a_stop_takes_effect_still_arrive(tmp_path: Path) -> None:
    async with opened(SimulatedBackend(even(), delay_stop=2.0), tmp_path) as session:
        session.submit(start())
        session.next_signal()
        session.submit(PauseTrial(TrialId(0), 0))
        session.submit(PauseTrial(TrialId(0), 0))
        assert list(map(short, drain(session))) == [(2.0, 0, 2), (3.0, 0, "ended")]


@pytest.mark.asyncio
async def test_an_attempt_that_is_done_before_its_stop_takes_effect_has_finished(tmp_path: Path) -> None:
    async with opened(SimulatedBackend(even(1), delay_stop=2.0), tmp_path) as session:
        session.submit(start())
        session.next_signal()
        session.submit(StopTrial(TrialId(0), 0))
        assert list(map(short, drain(session))) == [(1.0, 0, "finished")]


@pytest.mark.asyncio
async def test_stops_of_strangers_and_the_dead_are_harmless(tmp_path: Path) -> None:
    async with opened(SimulatedBackend(even(1)), tmp_path) as session:
        session.submit(StopTrial(TrialId(7), 0))
        session.submit(start())
        session.submit(StopTrial(TrialId(0), 3))
        session.submit(DeleteCheckpoints(TrialId(9)))
        assert list(map(short, drain(session))) == [(1.0, 0, 1), (1.0, 0, "finished")]
        session.submit(StopTrial(TrialId(0), 0))
        assert drain(session) == []


@pytest.mark.asyncio
async def test_interrupt_ends_everything_now(tmp_path: Path) -> None:
    async with opened(SimulatedBackend(even()), tmp_path) as session:
        session.submit(start(0))
        session.submit(start(1))
        session.next_signal()
        session.interrupt()
        assert [short(s) for s in drain(session)] == [(1.0, 0, "ended"), (1.0, 1, "ended")]


# --- resource levels and checkpoints


@pytest.mark.asyncio
async def test_max_resource_attr_cuts_the_curve(tmp_path: Path) -> None:
    found = await alone(SimulatedBackend(even(), max_resource_attr="epochs"), tmp_path, start(config={"epochs": 4}))
    assert [s.metrics["epoch"] for s in found if isinstance(s, Reported)] == [1, 2, 3, 4]
    assert short(found[-1]) == (4.0, 0, "finished")


@pytest.mark.asyncio
async def test_a_resumed_attempt_does_not_pay_again(tmp_path: Path) -> None:
    backend = SimulatedBackend(even(), max_resource_attr="epochs")
    async with opened(backend, tmp_path) as session:
        session.submit(start(config={"epochs": 3}))
        drain(session)
        session.submit(start(0, 1, resume=True, config={"epochs": 9}))
        found = drain(session)
    reports = [s for s in found if isinstance(s, Reported)]
    assert [(s.seq, s.metrics["epoch"], s.at) for s in reports] == [(i, 4 + i, 4.0 + i) for i in range(6)]
    # Time since the attempt's start.
    assert [s.metrics["elapsed"] for s in reports] == [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]
    assert found[-1].how == "finished"  # type: ignore[union-attr]


@pytest.mark.asyncio
@pytest.mark.parametrize("command", [PauseTrial, StopTrial])
async def test_a_pause_keeps_the_level(tmp_path: Path, command: Any) -> None:
    async with opened(SimulatedBackend(even()), tmp_path) as session:
        session.submit(start())
        drain(session, 2.5)
        session.submit(command(TrialId(0), 0))
        assert short(session.next_signal()) == (2.5, 0, "ended")
        session.submit(start(0, 1, resume=True))
        assert short(session.next_signal()) == (3.5, 0, 3)


@pytest.mark.asyncio
async def test_without_checkpoints_it_begins_again(tmp_path: Path) -> None:
    async with opened(SimulatedBackend(even(), support_checkpointing=False), tmp_path) as session:
        session.submit(start())
        drain(session, 2.0)
        session.submit(PauseTrial(TrialId(0), 0))
        drain(session)
        session.submit(start(0, 1, resume=True))
        assert short(session.next_signal()) == (3.0, 0, 1)


@pytest.mark.asyncio
async def test_deleted_checkpoints_are_gone(tmp_path: Path) -> None:
    async with opened(SimulatedBackend(even(2)), tmp_path) as session:
        session.submit(start())
        drain(session)
        session.submit(DeleteCheckpoints(TrialId(0)))
        session.submit(start(0, 1, resume=True))
        assert short(session.next_signal()) == (3.0, 0, 1)


@pytest.mark.asyncio
async def test_a_donor_s_checkpoint_is_taken_as_it_is_now(tmp_path: Path) -> None:
    async with opened(SimulatedBackend(even(4)), tmp_path) as session:
        session.submit(start(0))
        drain(session, 2.0)
        session.submit(start(1, donor=TrialId(0), lr=0.25))
        found = [s for s in drain(session) if isinstance(s, Reported) and s.trial == 1]
    assert [(s.at, s.metrics["epoch"], s.metrics["loss"]) for s in found] == [(3.0, 3, 0.25 + 1 / 3), (4.0, 4, 0.5)]


@pytest.mark.asyncio
async def test_an_attempt_at_its_end_finishes_at_once(tmp_path: Path) -> None:
    async with opened(SimulatedBackend(even(2), delay_complete_after_final_report=1.0), tmp_path) as session:
        session.submit(start())
        drain(session)
        session.submit(start(0, 1, resume=True))
        assert list(map(short, drain(session))) == [(4.0, 0, "finished")]


# --- replicates, price, thinking


def by_seed(config: Mapping[str, Any], level: int, seed: int) -> dict[str, Any]:
    return {"loss": float(seed), "elapsed": float(level)}


@pytest.mark.asyncio
async def test_each_trial_has_a_replicate_of_its_own_and_keeps_it(tmp_path: Path) -> None:
    box = FunctionBlackbox(by_seed, SPACE, levels=2, objectives=["loss"], seeds=5)
    async with opened(SimulatedBackend(box), tmp_path) as session:
        seen = []
        for trial in range(40):
            session.submit(start(trial, seed=trial * 7919 + 3))
            seen.append({s.metrics["loss"] for s in drain(session) if isinstance(s, Reported)})
        session.submit(start(0, 1, resume=False, seed=3))
        again = {s.metrics["loss"] for s in drain(session) if isinstance(s, Reported)}
    assert all(len(one) == 1 for one in seen)
    assert set.union(*seen) == {0.0, 1.0, 2.0, 3.0, 4.0}
    assert again == seen[0]
    async with opened(SimulatedBackend(box, seed=2), tmp_path) as session:
        session.submit(start(0, seed=1))
        assert {s.metrics["loss"] for s in drain(session) if isinstance(s, Reported)} == {2.0}


@pytest.mark.asyncio
async def test_price(tmp_path: Path) -> None:
    found = await alone(SimulatedBackend(even(2), dollars_per_hour=3600.0), tmp_path, start())
    assert [s.metrics["st_worker_cost"] for s in found if isinstance(s, Reported)] == [1.0, 2.0]


@pytest.mark.asyncio
async def test_thinking_time(tmp_path: Path) -> None:
    def model(number: int) -> float:
        return 10.0 * (number + 1)

    for thinking, expected in (("free", 1.0), (0.5, 1.5), (model, 11.0)):
        found = await alone(SimulatedBackend(even(1), thinking_time=thinking), tmp_path, start())
        assert found[0].at == expected  # type: ignore[union-attr]
    found = await alone(SimulatedBackend(even(1), thinking_time="measured"), tmp_path, start())
    assert 1.0 < found[0].at < 61.0  # type: ignore[operator, union-attr]


# --- what a blackbox may say


async def failure(box: Any, folder: Path, one: StartTrial | None = None, **options: Any) -> str:
    found = await alone(SimulatedBackend(box, **options), folder, one or start())
    assert len(found) == 1
    ended = found[0]
    assert isinstance(ended, Ended)
    assert ended.how == "failed"
    return ended.reason


def answering(**curve: Any) -> Any:
    """A blackbox of three levels with this answer."""
    return FunctionBlackbox(lambda c, n, s: curve, SPACE, levels=3, objectives=["loss"], whole_curve=True)


NAN = math.nan


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("curve", "said"),
    [
        ({"loss": [1, 2], "elapsed": [1, 2, 3]}, "'loss' has shape 2, but there are 3 levels"),
        ({"loss": 1.0, "elapsed": [1, 2, 3]}, "'loss' has shape 1.0"),
        ({"los": [1, 2, 3], "elapsed": [1, 2, 3]}, "no 'loss'. Did you mean 'los'?"),
        ({"loss": [1, 2, "x"], "elapsed": [1, 2, 3]}, "a curve holds 'x'"),
        ({"loss": [[1], [2], [3]], "elapsed": [1, 2, 3]}, r"a curve holds \[1\]"),
        ({"loss": np.ones((3, 1)), "elapsed": [1, 2, 3]}, r"a curve holds \[1\.0\]"),
        ({"loss": {0.1, 0.2, 0.3}, "elapsed": [1, 2, 3]}, "the curve of 'loss' is a set; give a list or an array"),
        ({"loss": dict.fromkeys((1, 2, 3)), "elapsed": [1, 2, 3]}, "'loss' is a dict"),
        ({"loss": "123", "elapsed": [1, 2, 3]}, "'loss' is a str"),
        ({"loss": b"123", "elapsed": [1, 2, 3]}, "'loss' is a bytes"),
        ({"loss": [True, False, True], "elapsed": [1, 2, 3]}, "a curve holds True; each level has one number"),
        ({"loss": np.array([True, False, True]), "elapsed": [1, 2, 3]}, "a curve holds True"),
        ({"loss": [1, None, 3], "elapsed": [1, 2, 3]}, "a curve holds None"),
        ({"loss": [1, 2j, 3], "elapsed": [1, 2, 3]}, "a curve holds 2j"),
        ({"loss": [1, 10**400, 3], "elapsed": [1, 2, 3]}, "whole numbers of 308 digits and more"),
        ({"loss": [1, 2, 3], "elapsed": [1, 3, 2]}, "elapsed falls from 3 to 2 at level 3"),
        ({"loss": [1, 2, 3], "elapsed": [-1, 3, 4]}, "elapsed is -1 at level 1"),
        ({"loss": [1, 2, 3], "elapsed": [1, NAN, 4]}, "elapsed is nan at level 2"),
        ({"loss": [NAN] * 3, "elapsed": [1, 2, 3]}, "no value at any level"),
    ],
)
async def test_malformed_curves_fail_the_trial(tmp_path: Path, curve: dict[str, Any], said: str) -> None:
    import re

    assert re.search(said, await failure(answering(**curve), tmp_path))


@pytest.mark.asyncio
@pytest.mark.parametrize("levels", [3, 100])
async def test_numbers_of_any_library_become_plain_ones(tmp_path: Path, levels: int) -> None:
    kinds: list[Callable[[float], Any]] = [
        np.float64, np.float32, np.int64, np.uint8, np.longdouble, np.array, lambda n: np.array(n, np.longdouble), float,
    ]  # fmt: skip
    for kind in kinds:
        box = FunctionBlackbox(
            lambda c, n, s, kind=kind: {"loss": kind(n), "elapsed": kind(n)}, SPACE, levels=levels, objectives=["loss"]
        )
        for found in await alone(SimulatedBackend(box), tmp_path, start()):
            if isinstance(found, Reported):
                assert {type(one) for one in found.metrics.values()} <= {int, float}
                assert found.metrics["loss"] == found.metrics["epoch"] == found.at


@pytest.mark.asyncio
@pytest.mark.parametrize("kind", [np.array, list, np.longdouble])
async def test_a_curve_is_what_it_was_when_it_was_answered(tmp_path: Path, kind: Callable[[Any], Any]) -> None:
    """Also where one array (or list) is filled again for each trial, and only the beginning of a curve is read at first."""
    buffers = {"loss": kind(np.zeros(40)), "elapsed": kind(np.zeros(40))}

    def reuses(config: Any, levels: Any, seed: int) -> dict[str, Any]:
        buffers["loss"][:] = kind(np.full(40, config["lr"]))
        buffers["elapsed"][:] = kind(levels * (1 + config["lr"]))
        return buffers

    box = FunctionBlackbox(reuses, SPACE, levels=40, objectives=["loss"], whole_curve=True)
    rates = (0.25, 0.75, 0.5)
    async with opened(SimulatedBackend(box), tmp_path) as session:
        for trial, rate in enumerate(rates):
            session.submit(start(trial, lr=rate))
        reports = [s for s in drain(session) if isinstance(s, Reported)]
    assert len(reports) == 3 * 40
    for one in reports:
        assert one.metrics["loss"] == rates[one.trial]
        assert one.at == one.metrics["epoch"] * (1 + rates[one.trial])


@pytest.mark.asyncio
async def test_a_blackbox_that_raises_fails_the_trial(tmp_path: Path) -> None:
    def broken(config: Any, level: int, seed: int) -> dict[str, Any]:
        raise ZeroDivisionError("no luck")

    box = FunctionBlackbox(broken, SPACE, levels=3, objectives=["loss"])
    assert await failure(box, tmp_path) == "ZeroDivisionError: no luck"
    assert "answered a list" in await failure(
        FunctionBlackbox(lambda c, n, s: [1], SPACE, levels=3, objectives=["loss"], whole_curve=True),
        tmp_path,  # type: ignore[arg-type, return-value]
    )


@pytest.mark.asyncio
async def test_configurations_and_resources_that_do_not_fit_fail_the_trial(tmp_path: Path) -> None:
    wrong = StartTrial(trial=TrialId(0), attempt=0, config={"lrr": 0.5})
    assert await failure(even(), tmp_path, wrong) == "the blackbox needs hyperparameter 'lr'. Did you mean 'lrr'?"
    told = {"max_resource_attr": "epochs"}
    past = await failure(even(), tmp_path, start(config={"epochs": 10}), **told)
    assert past == "epochs=10 is past the blackbox's last level, 9"
    for value in (0, 1.5, "3", True):
        said = await failure(even(), tmp_path, start(config={"epochs": value}), **told)
        assert said == f"epochs={value!r} is no resource level: give a whole number from 1 up"
    assert "is not in the configuration" in await failure(even(), tmp_path, **told)


@pytest.mark.asyncio
async def test_falling_time_may_be_repaired(tmp_path: Path) -> None:
    box = answering(loss=[1, 2, 3], elapsed=[1, 3, 2])
    found = await alone(SimulatedBackend(box, falling_time="running-max"), tmp_path, start())
    assert [s.at for s in found if isinstance(s, Reported)] == [1, 3, 3]


@pytest.mark.asyncio
async def test_missing_levels_are_not_reported_and_nan_is(tmp_path: Path) -> None:
    def two(config: Any, levels: Any, seed: int) -> dict[str, Any]:
        inf = math.inf
        return {"loss": [1.0, NAN, NAN, NAN, inf], "error": [5.0, NAN, 3.0, NAN, 2.0], "elapsed": [1, 2, 3, NAN, 5]}

    box = FunctionBlackbox(two, SPACE, levels=5, objectives=["loss", "error"], whole_curve=True)
    async with opened(SimulatedBackend(box, max_resource_attr="epochs"), tmp_path) as session:
        session.submit(start(config={"epochs": 5}))
        found = [(s.at, s.metrics["epoch"], s.metrics["loss"], s.metrics["error"]) for s in drain(session)[:-1]]  # type: ignore[union-attr]
        assert found == [(1.0, 1, 1.0, 5.0), (3.0, 3, "nan", 3.0), (5.0, 5, "inf", 2.0)]
        # Padding behind the end of a curve.
        session.submit(start(1, config={"epochs": 4}))
        assert [short(s)[2] for s in drain(session)] == [1, 3, "finished"]


# --- arguments


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"elapsed_time_attr": "elapsd"}, "Did you mean 'elapsed'"),
        ({"seed": 1}, "replicates 0 to 0"),
        ({"delay_start": -1}, "delay_start=-1"),
        ({"delay_stop": math.nan}, "delay_stop=nan"),
        ({"delay_on_trial_result": 2}, "would come after its end"),
        ({"thinking_time": "fre"}, "Did you mean 'free'"),
        ({"thinking_time": -1}, "thinking_time=-1"),
        ({"faults": "spot-5"}, "NAME-PERCENT%"),
        ({"faults": {"crashes": 1}}, "Did you mean 'crashes_per_hour'"),
        ({"faults": {"slow_workers": 2}}, "from 0 to 1"),
        ({"faults": 3}, "faults=3"),
        ({"faults": {"seed": "x"}}, "seed='x'"),
        ({"faults": {"seed": True}}, "seed=True"),
        ({"faults": "spot-5%", "fault_seed": 1.5}, "fault_seed=1.5"),
        ({"fault_seed": 3}, "fault_seed=3 goes with faults="),
        ({"support_checkpointing": "no"}, "support_checkpointing='no': give True or False"),
        ({"support_checkpointing": None}, "support_checkpointing=None"),
        ({"falling_time": "eror"}, "Did you mean 'error'"),
        ({"dataset": "x"}, "this one is an object"),
        ({"delay_strat": 3}, "delay_start"),
    ],
)
def test_wrong_arguments(options: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidArgument, match=said):
        SimulatedBackend(even(), **options)


def test_wrong_blackboxes() -> None:
    with pytest.raises(UnknownPlugin, match="Did you mean 'digits'"):
        SimulatedBackend("digit")
    with pytest.raises(InvalidArgument, match="no data set 'cifar10'"):
        BlackboxRepositoryBackend("digits", "cifar10")
    with pytest.raises(InvalidArgument, match="has no 'space'"):
        SimulatedBackend(object())  # type: ignore[arg-type]
    with pytest.raises(InvalidArgument, match="elapsed_time_attr= is needed"):
        SimulatedBackend(even(elapsed_attr=None))
    with pytest.raises(InvalidArgument, match="no objective beside"):
        SimulatedBackend(FunctionBlackbox(by_seed, SPACE, levels=2, objectives=["elapsed"]))
    with pytest.raises(InvalidArgument, match="stands twice"):
        SimulatedBackend(even(resource_attr="loss"))
    box = even(2)
    box.levels = (3, 2)
    with pytest.raises(InvalidArgument, match="increasing whole numbers"):
        SimulatedBackend(box)
    assert isinstance(even(), Blackbox)


# --- faults


async def fates(profile: FaultProfile, folder: Path, trials: int = 400, **options: Any) -> list[Ended]:
    box = blackbox(lambda lr: [1800.0, 3600.0], 2)
    async with opened(SimulatedBackend(box, faults=profile, **options), folder) as session:
        for trial in range(trials):
            session.submit(start(trial, slot=trial % 50))
        return [s for s in drain(session) if isinstance(s, Ended)]


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("field", "how", "reason"),
    [
        ("crashes_per_hour", "failed", "crashed (simulated fault)"),
        ("preemptions_per_hour", "lost", "preempted (simulated fault)"),
        ("hangs_per_hour", "failed", "silent for 600 s (simulated fault)"),
    ],
)
async def test_faults_come_as_often_as_they_should(tmp_path: Path, field: str, how: str, reason: str) -> None:
    ends = await fates(FaultProfile(**{field: 0.5}), tmp_path)
    struck = [one for one in ends if one.how != "finished"]
    # An hour at 0.5 an hour: 1 - exp(-0.5) = 0.393 of the trials, with a standard deviation of 0.024.
    assert abs(len(struck) / len(ends) - 0.393) < 0.1
    assert {(one.how, one.reason) for one in struck} == {(how, reason)}
    assert [(e.trial, e.at) for e in ends] == [
        (e.trial, e.at) for e in await fates(FaultProfile(**{field: 0.5}), tmp_path)
    ]
    other = await fates(FaultProfile(**{field: 0.5}, seed=1), tmp_path)
    assert [e.at for e in other] != [e.at for e in ends]


@pytest.mark.asyncio
async def test_a_hang_without_a_limit_never_ends_by_itself(tmp_path: Path) -> None:
    box = blackbox(lambda lr: [1.0, 1e7], 2)
    profile = FaultProfile(hangs_per_hour=3600.0, max_silence=None)
    async with opened(SimulatedBackend(box, faults=profile), tmp_path) as session:
        session.submit(start())
        assert all(isinstance(signal, Reported) for signal in drain(session))
        session.submit(StopTrial(TrialId(0), 0))
        assert [s.how for s in drain(session)] == ["ended"]  # type: ignore[union-attr]


@pytest.mark.asyncio
async def test_slow_workers_stay_slow(tmp_path: Path) -> None:
    ends = await fates(FaultProfile(slow_workers=0.3, slowness=4.0), tmp_path)
    slow = {one.trial % 50 for one in ends if one.at == 4 * 3600.0}
    assert {one.trial % 50 for one in ends if one.at == 3600.0} == set(range(50)) - slow
    assert 5 <= len(slow) <= 25


@pytest.mark.asyncio
async def test_a_preempted_trial_goes_on_from_its_last_level(tmp_path: Path) -> None:
    box = blackbox(lambda lr: [float(60 * n) for n in range(1, 101)], 100)
    profile = FaultProfile.of("spot-300%")
    assert profile == FaultProfile(preemptions_per_hour=3.0)
    async with opened(SimulatedBackend(box, faults="spot-300%"), tmp_path) as session:
        epochs: list[int] = []
        for attempt in range(100):
            session.submit(start(0, attempt, resume=attempt > 0))
            found = drain(session)
            epochs += [s.metrics["epoch"] for s in found if isinstance(s, Reported)]
            if found[-1].how == "finished":  # type: ignore[union-attr]
                break
        assert attempt > 0
        assert epochs == list(range(1, 101))


def test_profiles_as_text() -> None:
    assert FaultProfile.of("crash-2%, slow-10%,hang-0.5%") == FaultProfile(
        crashes_per_hour=0.02, slow_workers=0.1, hangs_per_hour=0.005
    )
    assert FaultProfile.of("spot-5%", 7) == FaultProfile(preemptions_per_hour=0.05, seed=7)
    assert FaultProfile.of(None) is None


# --- properties


Step = tuple[str, int]
steps = st.lists(
    st.tuples(st.sampled_from(["start", "stop", "pause", "resume", "take"]), st.integers(0, 5)), max_size=60
)


def played(script: Sequence[Step], names: Sequence[int], folder: Path, **options: Any) -> list[Any]:
    """Plays commands to trials called by `names`; answers the signals with the first names."""

    async def play() -> list[Any]:
        attempts: dict[int, int] = {}
        found: list[Signal] = []
        box = blackbox(lambda lr: [float(1 + n // 2) for n in range(6)], 6)
        async with opened(SimulatedBackend(box, **options), folder) as session:
            for what, trial in script:
                name = TrialId(names[trial])
                if what == "take":
                    if (signal := session.next_signal()) is not None:
                        found.append(signal)
                elif what == "start" and trial not in attempts:
                    attempts[trial] = 0
                    session.submit(start(name, lr=trial / 10))
                elif what == "resume" and trial in attempts and name not in session._alive:
                    attempts[trial] += 1
                    session.submit(start(name, attempts[trial], resume=True, lr=trial / 10))
                elif what in ("stop", "pause") and trial in attempts:
                    session.submit((StopTrial if what == "stop" else PauseTrial)(name, attempts[trial]))
            found += drain(session)
        return [
            (s.at, names.index(s.trial), s.attempt, getattr(s, "seq", None), getattr(s, "metrics", None)) for s in found
        ]  # type: ignore[union-attr]

    return asyncio.run(play())


@settings(max_examples=60, deadline=None)
@given(script=steps, names=st.permutations(range(6)), stop=st.sampled_from([0.0, 0.5, 2.0]))
def test_names_of_trials_mean_nothing(
    tmp_path_factory: pytest.TempPathFactory, script: Any, names: Any, stop: float
) -> None:
    folder = tmp_path_factory.getbasetemp()
    assert played(script, list(range(6)), folder, delay_stop=stop) == played(script, names, folder, delay_stop=stop)


@settings(max_examples=60, deadline=None)
@given(script=steps, stop=st.sampled_from([0.0, 0.5]), checkpoints=st.booleans())
def test_time_never_goes_back_and_reports_are_counted(
    tmp_path_factory: pytest.TempPathFactory, script: Any, stop: float, checkpoints: bool
) -> None:
    found = played(
        script, list(range(6)), tmp_path_factory.getbasetemp(), delay_stop=stop, support_checkpointing=checkpoints
    )
    assert [at for at, *_ in found] == sorted(at for at, *_ in found)
    levels: dict[int, list[int]] = {}
    seqs: dict[tuple[int, int], list[int]] = {}
    for _, trial, attempt, seq, metrics in found:
        if metrics is not None:
            levels.setdefault(trial, []).append(metrics["epoch"])
            seqs.setdefault((trial, attempt), []).append(seq)
    assert all(one == list(range(len(one))) for one in seqs.values())
    if checkpoints:
        assert all(one == list(range(1, len(one) + 1)) for one in levels.values())


def by_hand(script: Sequence[Step], times: Sequence[Sequence[float]], *, checkpoints: bool) -> list[Any]:
    """What must come, by the plainest means: all of an attempt's signals listed at its start, struck out at a stop."""
    now, due, found = 0.0, list[Any](), list[Any]()
    attempts: dict[int, int] = {}
    level: dict[int, int] = {}

    def take() -> None:
        nonlocal now
        if due:
            first = min(due, key=lambda entry: entry[0])
            due.remove(first)
            found.append(first)
            now, trial, _, what = first
            if isinstance(what, int):
                level[trial] = what

    for what, trial in script:
        alive = any(entry[1] == trial for entry in due)
        if what == "take":
            take()
        elif (what == "start" and trial not in attempts) or (what == "resume" and trial in attempts and not alive):
            attempts[trial] = attempts.get(trial, -1) + 1
            done = level.get(trial, 0) if checkpoints else 0
            paid = times[trial][done - 1] if done else 0.0
            row = [(now + (t - paid), trial, attempts[trial], n + 1) for n, t in enumerate(times[trial])][done:]
            due += [*row, (row[-1][0] if row else now, trial, attempts[trial], "finished")]
        elif what in ("stop", "pause") and alive and not any(e[1] == trial and e[3] == "ended" for e in due):
            due[:] = [entry for entry in due if entry[1] != trial]
            due.append((now, trial, attempts[trial], "ended"))
    while due:
        take()
    return found


@settings(max_examples=100, deadline=None)
@given(script=steps, checkpoints=st.booleans())
def test_it_does_what_the_plainest_simulator_does(
    tmp_path_factory: pytest.TempPathFactory, script: Any, checkpoints: bool
) -> None:
    paces = [math.sqrt(n) for n in (2, 3, 5, 7, 11, 13)]  # so that no two trials meet

    async def play() -> list[Any]:
        attempts: dict[int, int] = {}
        found: list[Any] = []
        box = blackbox(lambda lr: [n * paces[round(lr * 10)] for n in range(1, 41)], 40)
        backend = SimulatedBackend(box, support_checkpointing=checkpoints)
        async with opened(backend, tmp_path_factory.getbasetemp()) as session:
            for what, trial in script:
                if what == "take":
                    if (signal := session.next_signal()) is not None:
                        found.append(signal)
                elif (what == "start" and trial not in attempts) or (
                    what == "resume" and trial in attempts and trial not in session._alive
                ):
                    attempts[trial] = attempts.get(trial, -1) + 1
                    session.submit(start(trial, attempts[trial], resume=attempts[trial] > 0, lr=trial / 10))
                elif what in ("stop", "pause") and trial in attempts:
                    session.submit((StopTrial if what == "stop" else PauseTrial)(TrialId(trial), attempts[trial]))
            found += drain(session)
        return found

    expected = by_hand(script, [[n * pace for n in range(1, 41)] for pace in paces], checkpoints=checkpoints)
    found = [(short(s)[0], s.trial, s.attempt, short(s)[2]) for s in asyncio.run(play())]
    assert [entry[1:] for entry in found] == [entry[1:] for entry in expected]
    assert [entry[0] for entry in found] == pytest.approx([entry[0] for entry in expected])


@pytest.mark.asyncio
async def test_what_is_wrong_far_along_a_long_curve_ends_the_trial_there(tmp_path: Path) -> None:
    """Of a long curve only the beginning is read at first."""
    times = [float(n) for n in range(1, 101)]
    times[60] = 1.0
    async with opened(SimulatedBackend(blackbox(lambda lr: times, 100)), tmp_path) as session:
        session.submit(start())
        found = drain(session)
    assert [s.metrics["epoch"] for s in found[:-1]] == list(range(1, HEAD + 1))  # type: ignore[union-attr]
    assert found[-1].how == "failed"  # type: ignore[union-attr]
    assert "falls from 60.0 to 1.0 at level 61" in found[-1].reason  # type: ignore[union-attr]
    repaired = SimulatedBackend(blackbox(lambda lr: times, 100), falling_time="running-max")
    found = await alone(repaired, tmp_path, start())
    assert [s.at for s in found[58:62]] == [59.0, 60.0, 60.0, 62.0]  # type: ignore[union-attr]


@pytest.mark.asyncio
@pytest.mark.parametrize("last", [1, 15, 16, 17, 32, 33, 99, 100])
@pytest.mark.parametrize("pause", [1, 7, 15, 16, 17, 40])
async def test_long_curves_have_no_seam(tmp_path: Path, last: int, pause: int) -> None:
    box = blackbox(lambda lr: [0.5 * n for n in range(1, 101)], 100)
    async with opened(SimulatedBackend(box, max_resource_attr="epochs"), tmp_path) as session:
        session.submit(start(config={"epochs": last}))
        found = drain(session, 0.5 * pause)
        session.submit(PauseTrial(TrialId(0), 0))
        found += drain(session)
        session.submit(start(0, 1, resume=True, config={"epochs": last}))
        found += drain(session)
    reports = [s for s in found if isinstance(s, Reported)]
    assert [s.metrics["epoch"] for s in reports] == list(range(1, last + 1))
    assert [s.at for s in reports] == [0.5 * n for n in range(1, last + 1)]
    assert [s.metrics["loss"] for s in reports] == [0.5 + 1 / n for n in range(1, last + 1)]


# --- the suite that strangers use


class TestContract(BackendContract):
    def make(self, behaviour: Behaviour, folder: Path) -> Backend | None:
        if behaviour == "garbage":
            return None  # a blackbox has no lines
        options: dict[str, Any] = {}
        if behaviour == "missing":
            return SimulatedBackend(FunctionBlackbox(lambda c, n, s: {}[0], SPACE, levels=3, objectives=["loss"]))
        if behaviour == "counts":
            options["max_resource_attr"] = "epochs"
        if behaviour == "crashes":
            options["faults"] = FaultProfile(crashes_per_hour=3600.0)
        hangs = behaviour in ("crashes", "hangs")

        def whole(config: Mapping[str, Any], levels: Any, seed: int) -> dict[str, Any]:
            seconds = [1e-9, *[1e12] * (len(levels) - 1)] if hangs else levels / 50
            return {"loss": 1 / levels, "elapsed": seconds}

        box = FunctionBlackbox(whole, SPACE, levels=1000, objectives=["loss"], whole_curve=True)
        return SimulatedBackend(box, **options)

"""What must not matter to a run in simulated time: names, crashes, observers, the machine's load, when it is written down."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from offbeat import StoppingCriterion
from offbeat.backend import SimulatedBackend
from offbeat.blackbox import FunctionBlackbox
from offbeat.errors import TooManyFailures
from offbeat.events import ExperimentClosed, ExperimentOpened, TrialResult, TrialStarted
from offbeat.foresight import Foresight
from offbeat.plain import Plain
from offbeat.signals import Reported
from offbeat.testing.recording import LatestRecordingObserver, RecordingObserver
from offbeat_plugins.backends.simulation.session import SimulatedSession

KINDS = ("random", "stopping", "promotion")

FAULTS = {"preemptions_per_hour": 600.0, "crashes_per_hour": 200.0, "hangs_per_hour": 100.0, "max_silence": 7.0,
          "slow_workers": 0.3}  # fmt: skip


class Workload(NamedTuple):
    """What is searched, and how."""

    kind: str
    seed: int
    times: str
    levels: int
    workers: int
    stop: dict[str, Any]
    backend: dict[str, Any]
    tuner: dict[str, Any]

    def make(self, simulation: Any, **changes: Any) -> Any:
        return simulation.backend(self.times, levels=self.levels, nan=True, **{**self.backend, **changes})

    def options(self, backend: Any) -> dict[str, Any]:
        stop = StoppingCriterion(**self.stop)
        return {"backend": backend, "stop_criterion": stop, "n_workers": self.workers, **self.tuner}

    def scheduler(self, simulation: Any) -> Any:
        return simulation.scheduler(self.kind, self.seed, levels=self.levels, nonfinite="ignore")


seconds = st.sampled_from([0.0, 0.0, 0.5, 2.0])

delays = st.fixed_dictionaries(
    dict.fromkeys(
        (
            "delay_start",
            "delay_stop",
            "delay_complete_after_stop",
            "delay_complete_after_final_report",
            "thinking_time",
        ),
        seconds,
    )
)

limits = st.one_of(
    st.builds(lambda n: {"max_num_trials_started": n}, st.integers(1, 25)),
    st.builds(lambda n: {"max_num_evaluations": n}, st.integers(1, 80)),
    st.builds(lambda t: {"max_wallclock_time": t / 2}, st.integers(1, 60)),
)


def workloads(*, faults: bool = True) -> st.SearchStrategy[Workload]:
    extra = st.fixed_dictionaries({
        "support_checkpointing": st.booleans(),
        "faults": st.sampled_from([None, FAULTS]) if faults else st.none(),
    })  # fmt: skip
    return st.builds(
        Workload,
        kind=st.sampled_from(KINDS),
        seed=st.integers(0, 1000),
        times=st.sampled_from(["tied", "apart", "bursts"]),
        levels=st.sampled_from([9, 48]),
        workers=st.integers(1, 8),
        stop=limits,
        backend=st.builds(lambda a, b: {**a, **b}, delays, extra),
        tuner=st.fixed_dictionaries({
            "max_retries": st.integers(0, 2),
            "asynchronous_scheduling": st.booleans(),
            "wait_trial_completion_when_stopping": st.booleans(),
        }),
    )  # fmt: skip


def counts(some: int, many: int) -> pytest.MarkDecorator:
    """Some examples with every run of the tests, many among the campaigns."""
    campaign = [pytest.mark.faults, pytest.mark.timeout(600)]
    return pytest.mark.parametrize(
        "count", [pytest.param(some, id="some"), pytest.param(many, id="many", marks=campaign)]
    )


def run(lab: Any, simulation: Any, workload: Workload, **changes: Any) -> Path:
    """A whole run; its home. That too many trials fail is an end as good as any."""
    home: Path = simulation.fresh()
    options = {**workload.options(workload.make(simulation)), **changes}
    with suppress(TooManyFailures):
        lab.run(lab.tuner(home, workload.scheduler(simulation), **options))
    lab.check_closed(home)
    return home


def same(lab: Any, simulation: Any, workload: Workload, other: Callable[[], Path]) -> None:
    """Another way to run the workload decides alike."""
    expected = lab.digest(run(lab, simulation, workload))
    assert lab.digest(other()) == expected


# --- how it is run


class Failing:
    """Raises on its n-th batch."""

    def __init__(self, at: int) -> None:
        self.left = at

    def handle(self, events: Sequence[Any]) -> None:
        self.left -= 1
        if self.left < 0:
            raise RuntimeError("the tracker is down")


class Gate(RecordingObserver):
    """Lets another observer go on once the run is over."""

    def __init__(self) -> None:
        super().__init__()
        self.opened = threading.Event()

    async def handle(self, events: Sequence[Any]) -> None:
        await super().handle(events)
        if any(isinstance(recorded.event, ExperimentClosed) for recorded in events):
            self.opened.set()


class Slow:
    """Is not done with its first batch before the run is over."""

    def __init__(self, gate: Gate) -> None:
        self.gate = gate
        self.seen = 0

    def handle(self, events: Sequence[Any]) -> None:
        self.gate.opened.wait()
        self.seen += len(events)


@counts(10, 200)
def test_observers_change_nothing(lab: Any, simulation: Any, count: int) -> None:
    @settings(max_examples=count)
    @given(workload=workloads(), failing=st.lists(st.integers(0, 3), max_size=3))
    def check(workload: Workload, failing: list[int]) -> None:
        gate = Gate()
        slow = Slow(gate)
        observers = [gate, slow, LatestRecordingObserver(), *map(Failing, failing)]
        found: list[Path] = []
        same(
            lab,
            simulation,
            workload,
            lambda: found.append(run(lab, simulation, workload, observers=observers)) or found[0],
        )
        assert gate.events == lab.events(found[0])[: len(gate.events)]
        assert slow.seen == len(gate.events)

    check()


@counts(25, 400)
def test_short_ways_change_nothing(lab: Any, simulation: Any, count: int) -> None:
    @settings(max_examples=count)
    @given(workload=workloads(), to_the_end=st.booleans())
    def check(workload: Workload, to_the_end: bool) -> None:
        backend = partial(workload.make, simulation, **({"max_resource_attr": None} if to_the_end else {}))
        expected = lab.events(run(lab, simulation, workload, backend=backend()))
        for owner, name, nothing in (
            (SimulatedSession, "_passes", lambda *_: False),
            (Foresight, "answer", lambda *_: None),
            (Plain, "_start_foreseen", lambda *_: False),
        ):
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(owner, name, nothing)
                found = lab.events(run(lab, simulation, workload, backend=backend()))
            # Host and wall time stand in the first event alone.
            assert found[1:] == expected[1:]

    check()


def test_a_longer_session_over_another_table_rejects_what_goes_back(lab: Any, simulation: Any) -> None:
    """The table that the next session brings has its levels elsewhere; what it says again is no result there."""
    first = simulation.blackbox("apart")
    home = simulation.fresh()
    lab.run(lab.tuner(home, simulation.scheduler("random"), backend=SimulatedBackend(first, max_resource_attr="epochs"),
                      stop_criterion=StoppingCriterion(max_num_evaluations=40), n_workers=3))  # fmt: skip
    events = lab.events(home)
    cut = next(i for i, e in enumerate(events) if isinstance(e, TrialResult) and e.resource == 5) + 1

    def coarse(config: Any, levels: Any, seed: int) -> dict[str, Any]:
        return {"loss": [config["rate"]] * len(levels), "elapsed": levels * 1.0}

    other = FunctionBlackbox(coarse, first.space, levels=[1, 2, 3, 9], objectives=["loss"],
                             whole_curve=True)  # fmt: skip
    found = []
    for may in (True, False):
        with pytest.MonkeyPatch.context() as patch:
            if not may:
                patch.setattr(SimulatedSession, "_passes", lambda *_: False)
            again = simulation.fresh()
            simulation.resumed(lab, again, events[:cut], trial_backend=SimulatedBackend(other, max_resource_attr="epochs"),
                               stop_criterion=StoppingCriterion(max_num_evaluations=40))  # fmt: skip
            found.append([event for event in lab.events(again) if not isinstance(event, ExperimentOpened)])
    assert found[0] == found[1]


def test_a_lost_attempt_is_no_result_to_the_criterion(lab: Any, simulation: Any) -> None:
    """What happens between results in another way leaves the count of those to come as it was."""
    backend = {"support_checkpointing": True, "faults": FAULTS}
    for seed in range(12):
        workload = Workload("random", seed, "apart", 9, 1, {"max_num_evaluations": 9}, backend, {"max_retries": 0})
        found = lab.events(run(lab, simulation, workload))
        assert len(simulation.counted(found)) <= 9


@pytest.mark.parametrize("kind", ["random", "stopping"])
def test_short_ways_are_taken(lab: Any, simulation: Any, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    signals, answers, passed = [], [], []

    def noted(owner: Any, name: str, into: list[Any]) -> None:
        inner = getattr(owner, name)

        def outer(*args: Any) -> Any:
            into.append(inner(*args))
            return into[-1]

        monkeypatch.setattr(owner, name, outer)

    noted(SimulatedSession, "pass_on", signals)
    noted(Foresight, "answer", answers)
    noted(Plain, "_counted", passed)
    workload = Workload(kind, 3, "apart", 48, 3, {"max_num_evaluations": 500}, {}, {})
    backend = simulation.backend("apart", levels=48, max_resource_attr=None)
    home = run(lab, simulation, workload, backend=backend)
    results = sum(isinstance(event, TrialResult) for event in lab.events(home))
    started = sum(isinstance(event, TrialStarted) for event in lab.events(home))
    reported = sum(isinstance(signal, Reported) for signal in signals)
    assert passed
    assert results > 450
    # Until all workers are busy, and where the criterion has to be asked.
    assert reported < 10
    decided = sum(isinstance(signal, TrialResult) for signal in signals)
    assert decided < (10 if kind == "random" else 0.7 * results)
    assert sum(answer is not None for answer in answers) > started - 10


@counts(10, 200)
@pytest.mark.parametrize("durability", ["end", "commit"])
def test_when_it_is_written_down_changes_nothing(lab: Any, simulation: Any, durability: str, count: int) -> None:
    @settings(max_examples=count)
    @given(workload=workloads())
    def check(workload: Workload) -> None:
        same(lab, simulation, workload, lambda: run(lab, simulation, workload, durability=durability))

    check()


@contextmanager
def busy(threads: int) -> Iterator[None]:
    """Threads that want the interpreter all the time."""
    over = threading.Event()

    def turn() -> None:
        while not over.is_set():
            sum(range(1000))

    working = [threading.Thread(target=turn) for _ in range(threads)]
    for thread in working:
        thread.start()
    try:
        yield
    finally:
        over.set()
        for thread in working:
            thread.join()


@counts(3, 25)
def test_load_changes_nothing(lab: Any, simulation: Any, count: int) -> None:
    """Beside busy threads, beside other tasks on the same loop, and in a thread of its own."""

    async def among_tasks(tuner: Any) -> None:
        async def turn() -> None:
            while True:
                await asyncio.sleep(0)

        tasks = [asyncio.create_task(turn()) for _ in range(5)]
        try:
            await tuner.arun()
        finally:
            for task in tasks:
                task.cancel()

    @settings(max_examples=count)
    @given(workload=workloads(), way=st.sampled_from(["threads", "tasks", "thread"]))
    def check(workload: Workload, way: str) -> None:
        def loaded() -> Path:
            home: Path = simulation.fresh()
            tuner = lab.tuner(
                home, workload.scheduler(simulation), **workload.options(workload.make(simulation)), durability="commit"
            )
            with suppress(TooManyFailures):
                if way == "threads":
                    with busy(3):
                        lab.run(tuner)
                elif way == "tasks":
                    asyncio.run(among_tasks(tuner))
                else:
                    tuner.run()
            return home

        same(lab, simulation, workload, loaded)

    check()


# --- crashes


@counts(15, 300)
def test_it_may_be_cut_anywhere_and_again(lab: Any, simulation: Any, count: int) -> None:
    """Crash after crash, each behind the last; the journal tells the same in the end, trials and decisions."""

    @settings(max_examples=count)
    @given(workload=workloads(), cuts=st.lists(st.floats(0, 1), min_size=1, max_size=4).map(sorted))
    def check(workload: Workload, cuts: list[float]) -> None:
        home = run(lab, simulation, workload)
        expected, table = lab.digest(home), lab.table(home, workload.scheduler(simulation))
        events = lab.events(home)
        assume(events[-1].outcome == "done")
        kept = 0
        for cut in cuts:
            kept = max(kept, 1 + int(cut * (len(events) - 2)))
            home = simulation.fresh()
            simulation.resumed(
                lab,
                home,
                events[:kept],
                trial_backend=workload.make(simulation),
                scheduler=workload.scheduler(simulation),
            )
            lab.check_closed(home)
            assert lab.digest(home) == expected
            assert lab.table(home, workload.scheduler(simulation)) == table
            events = lab.events(home)

    check()


# --- names and units


@counts(10, 200)
def test_numbers_of_trials_and_workers_mean_nothing(lab: Any, simulation: Any, lines: Any, count: int) -> None:
    """Without faults, which are drawn by them: behind the line every trial and every worker goes by another number."""

    @settings(max_examples=count)
    @given(workload=workloads(faults=False), trials=st.permutations(range(30)), slots=st.permutations(range(8)))
    def check(workload: Workload, trials: list[int], slots: list[int]) -> None:
        def renamed(trials: Sequence[int], slots: Sequence[int]) -> Path:
            line = partial(lines.Renamed, trials=dict(enumerate(trials)), slots=dict(enumerate(slots)))
            return run(lab, simulation, workload, backend=lines.Over(workload.make(simulation), line))

        expected = lab.digest(renamed(range(30), range(8)))
        assert lab.digest(renamed(trials, slots)) == expected

    check()


@counts(10, 200)
def test_time_has_no_unit(lab: Any, simulation: Any, count: int) -> None:
    """Everything takes four times as long: the same is decided, four times as late."""

    @settings(max_examples=count)
    @given(workload=workloads(faults=False))
    def check(workload: Workload) -> None:
        found = lab.events(run(lab, simulation, workload))
        slow = workload._replace(
            times=lambda config, levels: 4 * simulation.TIMES[workload.times](config, levels),
            stop={name: 4 * value if name == "max_wallclock_time" else value for name, value in workload.stop.items()},
            backend={
                name: 4 * value if isinstance(value, float) else value for name, value in workload.backend.items()
            },
        )
        slowed = lab.events(run(lab, simulation, slow))
        assert [told(event, 4.0) for event in found[1:]] == [told(event, 1.0) for event in slowed[1:]]

    check()


def told(event: Any, unit: float) -> tuple[Any, ...]:
    """An event with its times in a unit."""
    fields = {name: getattr(event, name) for name in event.__struct_fields__}
    fields["at"] *= unit
    if "metrics" in fields:
        fields["metrics"] = {**event.metrics, "elapsed": event.metrics["elapsed"] * unit}
    fields.pop("reason", None)
    fields.pop("sample", None)
    return (type(event).__name__, fields)

"""The notebook observer: what its pictures say, that they are few, and what becomes of a display that fails."""

from __future__ import annotations

import asyncio
import gc
import sys
import types
import weakref
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import pytest

from offbeat import audience
from offbeat.errors import InvalidArgument
from offbeat.events import (
    ComponentDescription,
    Event,
    ExperimentClosed,
    ExperimentSpec,
    Limits,
    LimitsChanged,
    MetricSpec,
    Suggested,
    TrialFailed,
    TrialFinished,
    TrialResult,
    TrialStarted,
)
from offbeat.home import ExperimentFolder
from offbeat.protocols import Recorded
from offbeat.trial import Ledger, TrialId
from offbeat_reporters import notebook
from offbeat_reporters.notebook import Notebook


class Experiment:
    """A view whose ledger is the fold of the events that were sent."""

    def __init__(self, *, mode: Any = "min", **criterion: Any) -> None:
        stop = ComponentDescription("offbeat.stoppers", "criterion", options=criterion) if criterion else None
        self.folder = ExperimentFolder("/nowhere/digits")
        self.spec = ExperimentSpec(
            name="<digits>",
            seed=1,
            metrics=(MetricSpec("error", mode),),
            resource_attr="epoch",
            space={"lr": {"domain": "loguniform"}, "epochs": {"constant": 27}},
            scheduler=ComponentDescription("offbeat.schedulers", "asha"),
            backend=ComponentDescription("offbeat.backends", "local"),
            limits=Limits(n_workers=2, stop_criterion=stop),
        )
        self.limits = self.spec.limits
        self.ledger = Ledger("error", minimise=mode == "min")
        self.elapsed = 0.0
        self.seq = 0

    def record(self, *events: Event) -> list[Recorded]:
        recorded = []
        for event in events:
            self.ledger.apply(event)
            self.elapsed = event.at
            if isinstance(event, LimitsChanged):
                self.limits = event.limits
            recorded.append(Recorded(self.seq, event))
            self.seq += 1
        return recorded

    def started(self, number: int, at: float = 0.0) -> list[Recorded]:
        trial = TrialId(number)
        config = {"lr": 0.123456, "epochs": 27}
        return self.record(Suggested(at, number, "start", trial, config, 9), TrialStarted(at, trial, 0, number))

    def result(self, number: int, epoch: int, error: float, at: float, verdict: Any = "continue") -> list[Recorded]:
        metrics = {"epoch": epoch, "error": error}
        return self.record(TrialResult(at, TrialId(number), 0, epoch - 1, epoch, metrics, verdict))


class Screen:
    """Keeps the pictures; `seen` is set with each."""

    def __init__(self) -> None:
        self.pictures: list[Mapping[str, str]] = []
        self.again: list[bool] = []
        self.wanted = 0
        self.seen: Any = None

    def __call__(self, pictures: Mapping[str, str], again: bool) -> None:
        self.pictures.append(dict(pictures))
        self.again.append(again)
        if self.seen is not None and len(self.pictures) >= self.wanted:
            self.seen()

    @property
    def words(self) -> str:
        tree = ElementTree.fromstring(f"<root>{self.pictures[-1]['text/html']}</root>")
        return " ".join(" ".join(tree.itertext()).split())

    @property
    def text(self) -> str:
        return self.pictures[-1]["text/plain"]


def watch(experiment: Experiment, *steps: Callable[[], list[Recorded]], screen: Screen | None = None) -> Screen:
    """An observer sees a whole session, in which the steps happen one after the other."""
    screen = screen or Screen()

    async def play() -> None:
        observer = Notebook(screen)
        await observer.start(experiment)
        for step in steps:
            await observer.handle(step())
        await observer.finish()

    asyncio.run(play())
    return screen


def test_what_the_last_picture_says() -> None:
    experiment = Experiment(max_num_trials_started=8)
    screen = watch(
        experiment,
        lambda: experiment.started(0),
        lambda: experiment.started(1),
        lambda: experiment.result(0, 1, 0.9, 1.0),
        lambda: experiment.result(1, 1, 0.25, 2.0),
        lambda: experiment.result(1, 2, 0.5, 3.0),
        lambda: experiment.record(TrialFinished(4.0, TrialId(0), 0)),
    )
    assert screen.again == [False, True]
    words = screen.words
    assert words.startswith("<digits> asha on local, 2 workers 2 of 8 trials best error 0.25 , trial 1")
    assert "lr=0.1235" in words
    assert "epochs" not in words
    assert "1 running, 1 finished; 3 results" in words
    assert "trial epoch error lr 1 2/9 0.5 0.1235" in words
    assert "0.9" in words  # the plot begins there
    assert screen.text == ("<digits> [4.0 s] 1 running, 1 finished; 3 results\nbest error 0.25, trial 1 (lr=0.1235)")


def test_the_best_so_far_is_drawn_from_events_that_count() -> None:
    experiment = Experiment(mode="max")
    screen = watch(
        experiment,
        lambda: experiment.started(0),
        lambda: experiment.result(0, 1, 1.0, 1.0),
        lambda: experiment.result(0, 2, 3.0, 2.0),
        lambda: experiment.result(0, 3, 9.0, 3.0, "repeat"),
        lambda: experiment.result(0, 4, 2.0, 4.0),
    )
    tree = ElementTree.fromstring(screen.pictures[-1]["text/html"])
    (line,) = [node for node in tree.iter() if node.tag.endswith("polyline")]
    assert len(line.attrib["points"].split()) == 4  # up once, and on to the end


def test_before_the_first_result_and_without_a_limit() -> None:
    screen = watch(Experiment())
    assert "0.0 s" in screen.words
    assert "no result yet (error, min)" in screen.words
    assert screen.text.endswith("no result yet")


def test_limits_in_force_and_a_bar_of_time() -> None:
    experiment = Experiment(max_wallclock_time=30)
    changed = Limits(n_workers=7, stop_criterion=experiment.limits.stop_criterion)
    screen = watch(
        experiment, lambda: experiment.started(0, 3.0), lambda: experiment.record(LimitsChanged(15.0, changed))
    )
    assert "7 workers" in screen.words
    assert "15.0 of 30 s" in screen.words
    assert "width:50.0%" in screen.pictures[-1]["text/html"]


def test_troubles_are_told_a_few_times_and_then_counted() -> None:
    experiment = Experiment()
    batches: list[Any] = []
    for number in range(9):
        failed = TrialFailed(1.0, TrialId(number), 0, "exit status 1", "Traceback\n<b>oops</b>\n")
        batches += [partial(experiment.started, number), partial(experiment.record, failed)]
    words = watch(experiment, *batches).words
    assert words.count("exit status 1: <b>oops</b>") == 5
    assert "and 4 further troubles" in words


@pytest.mark.parametrize(("outcome", "hint"), [("done", False), ("interrupted", True), ("failed", True)])
def test_how_it_ended_and_how_to_go_on(outcome: Any, hint: bool) -> None:
    experiment = Experiment()
    closed = ExperimentClosed(9.0, 0, outcome, "a\nb")
    screen = watch(experiment, lambda: experiment.started(0), lambda: experiment.record(closed))
    assert f"{outcome}: a" in screen.words
    assert ("Tuner.resume('<digits>').run()" in screen.words) == hint
    assert screen.text.endswith(f"{outcome}: a")


def test_only_so_many_running_trials_are_listed() -> None:
    experiment = Experiment()
    words = watch(experiment, *(partial(experiment.started, number) for number in range(20))).words
    assert words.endswith("and 12 more")


def test_many_events_are_few_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notebook, "BEAT", 3600.0)
    experiment = Experiment()
    experiment.started(0)
    batches = [partial(experiment.result, 0, epoch, 1.0 / epoch, float(epoch)) for epoch in range(1, 2000)]
    assert len(watch(experiment, *batches).pictures) == 2


def test_it_goes_on_drawing_while_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notebook, "BEAT", 0.0)
    experiment, screen = Experiment(), Screen()

    async def play() -> None:
        observer, seen, loop = Notebook(screen), asyncio.Event(), asyncio.get_running_loop()
        screen.wanted, screen.seen = 5, lambda: loop.call_soon_threadsafe(seen.set)
        await observer.start(experiment)
        await seen.wait()
        await observer.finish()

    asyncio.run(play())
    assert screen.again[:5] == [False, True, True, True, True]


def test_a_run_that_is_cut_off_does_not_leave_it_drawing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notebook, "BEAT", 0.0)

    async def play() -> None:
        observer = Notebook(Screen())
        await observer.start(Experiment())
        beats, alive = observer._beats, weakref.ref(observer)
        del observer
        while alive() is not None:
            await asyncio.sleep(0)
            gc.collect()
        await asyncio.wait([beats])
        assert beats.exception() is None

    asyncio.run(play())


def test_a_display_that_fails_ends_the_observer_and_nothing_else() -> None:
    class Broken(Screen):
        def __call__(self, pictures: Mapping[str, str], again: bool) -> None:
            raise ConnectionError("the front end is gone")

    with pytest.raises(ConnectionError):
        watch(Experiment(), screen=Broken())


def test_without_a_kernel_it_says_what_to_use(monkeypatch: pytest.MonkeyPatch) -> None:
    for ipython in (None, types.SimpleNamespace(get_ipython=lambda: None)):
        monkeypatch.setitem(sys.modules, "IPython", ipython)  # type: ignore[arg-type]
        with pytest.raises(InvalidArgument, match="use 'console' here"):
            Notebook()


def test_who_watches_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "IPython", raising=False)
    assert not audience.in_notebook()
    assert (audience.of_run(), audience.of_arun(), audience.of_session()) == (("console", "csv"), ("csv",), ("csv",))
    terminal = types.SimpleNamespace(get_ipython=object)
    monkeypatch.setitem(sys.modules, "IPython", terminal)  # type: ignore[arg-type]
    assert not audience.in_notebook()
    shell = types.SimpleNamespace(kernel=object())
    monkeypatch.setitem(sys.modules, "IPython", types.SimpleNamespace(get_ipython=lambda: shell))  # type: ignore[arg-type]
    assert audience.in_notebook()
    assert (audience.of_run(), audience.of_arun(), audience.of_session()) == (
        ("notebook", "csv"), ("notebook", "csv"), ("csv",)
    )  # fmt: skip

"""What every observer has to hold to, as plain functions that raise an AssertionError which says what to mend.

Observers are fed by the engine's own bus, from a real journal in an experiment's folder, on a loop of their own. The
author supplies a function that makes one (called with the experiment's folder, for those that need to know it) and, for
recorders, one that answers which results an observer has written down.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import anyio
import anyio.lowlevel
import msgspec

from offbeat import events as ev
from offbeat.bus import Bus
from offbeat.errors import BrokenPlugin
from offbeat.home import ExperimentFolder
from offbeat.journal import Journal
from offbeat.lane import validate_observer
from offbeat.protocols import Recorded
from offbeat.testing.histories import event_history
from offbeat.trial import Ledger, TrialId

_encode: Final = msgspec.json.Encoder().encode


class StrangersNote(ev.Event, frozen=True, gc=False, array_like=True, tag="strangers-plugin/note"):
    """An event that no observer can know: plugins may put their own into the journal."""

    text: str
    detail: dict[str, Any] = msgspec.field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Case:
    """An observer to check; see `ObserverContract`.

    Attributes:
        make: a fresh one, as after a restart; called with the experiment's folder.
        recorded: sequence numbers of the results that were written down, in order, None if the observer keeps none.
        patience: seconds after which something that should have returned counts as hanging.
    """

    make: Callable[[Path], Any]
    recorded: Callable[[Path], Sequence[int] | None] = lambda folder: None
    quiet: bool = True
    patience: float = 60.0


class View:
    """The experiment as an observer is shown it."""

    def __init__(self, folder: ExperimentFolder, spec: ev.ExperimentSpec) -> None:
        self.folder = folder
        self.spec = spec
        self.limits = spec.limits
        first = spec.metrics[0]
        self.ledger = Ledger(
            first.name,
            minimise=first.mode == "min",
            constraints=[one for one in spec.metrics if one.role == "constraint"],
        )
        self.elapsed = 0.0


class Stand:
    """An experiment whose journal grows, session by session, while observers watch.

    Attributes:
        events: all of them; folder: where the journal lies; said: what was written to standard output meanwhile.
    """

    def __init__(self, case: Case, folder: Path, events: Sequence[ev.Event]) -> None:
        first = events[0]
        assert isinstance(first, ev.ExperimentOpened)
        assert first.spec is not None
        self.case = case
        self.events = events
        self.home = ExperimentFolder(folder / "experiment")
        self.said = ""
        self._view = View(self.home, first.spec)
        self._journal = Journal.create(self.home)
        self._done = 0

    def session(self, until: int, batch: int, *, killed: bool = False) -> None:
        """A fresh observer sees the events up to `until`, published in groups.

        Args:
            until: number of the first event that it is not shown.
            batch: size of the groups.
            killed: the process ends before `finish`.
        """
        out = io.StringIO()
        failures: list[ev.PluginFailed] = []
        errors: list[BaseException] = []

        def play() -> None:
            try:
                asyncio.run(self._play(until, batch, killed, failures))
            except BaseException as error:
                errors.append(error)

        # A thread, so that an observer which blocks its loop for ever can be told from one that works.
        with contextlib.redirect_stdout(out):
            thread = threading.Thread(target=play, daemon=True)
            thread.start()
            thread.join(self.case.patience)
        assert not thread.is_alive(), f"it did not come back within {self.case.patience:g} s: it hangs or blocks"
        if errors:
            error = errors[0]
            while isinstance(error, BaseExceptionGroup):
                error = error.exceptions[0]
            raise error
        assert not failures, f"it raised in {failures[0].where}: {failures[0].error}\n{failures[0].traceback}"
        self.said += out.getvalue()

    async def _play(self, until: int, batch: int, killed: bool, failures: list[ev.PluginFailed]) -> None:
        bus = Bus(self._read_back, failures.append)
        bus.begin(self._done)
        bus.open([("observer", self.case.make(self.home.path))])
        async with anyio.create_task_group() as lanes:
            for lane in bus.lanes:
                lanes.start_soon(bus.drain, lane, self._view)
            while self._done < until:
                events = self.events[self._done : min(until, self._done + batch)]
                self._journal.commit(events, sync=False)
                for event in events:
                    self._view.ledger.apply(event)
                    self._view.elapsed = event.at
                self._done += len(events)
                bus.publish(events)
                shown = await bus.since(self._done - len(events))
                kept = [_encode(one.event) for one in shown]
                for lane in bus.lanes:
                    while not lane.off and lane.cursor < self._done:
                        await anyio.lowlevel.checkpoint()
                for before, one in zip(kept, shown, strict=True):
                    assert _encode(one.event) == before, f"it changed an event: {before.decode()} became {one.event}"
            if killed:
                lanes.cancel_scope.cancel()
            bus.close()

    async def _read_back(self, first: int, count: int) -> Sequence[Recorded]:
        return [Recorded(seq, self.events[seq]) for seq in range(first, min(first + count, self._done))]

    def close(self) -> None:
        """Closes the journal."""
        self._journal.close()

    def check_records(self) -> None:
        """What was written down is every result once, in order."""
        found = self.case.recorded(self.home.path)
        if found is None:
            return
        expected = [seq for seq, event in enumerate(self.events[: self._done]) if isinstance(event, ev.TrialResult)]
        missing, double = sorted(set(expected) - set(found)), sorted(seq for seq, n in Counter(found).items() if n > 1)
        assert not missing, f"{len(missing)} of {len(expected)} results are missing, the first is event {missing[0]}"
        assert not double, f"results are written down twice, the first is event {double[0]}"
        assert list(found) == expected, f"results are out of order or made up: {list(found)[:20]} ..."


def check_is_an_observer(case: Case, folder: Path) -> None:
    """It has `handle`, and no method that is nearly called like a hook."""
    observer = case.make(folder)
    try:
        validate_observer(observer, type(observer).__name__)
    except BrokenPlugin as error:
        raise AssertionError(str(error)) from error
    assert getattr(observer, "api_version", 1) == 1, "api_version has to be 1"


def _whole(case: Case, folder: Path, events: Sequence[ev.Event], batch: int) -> Stand:
    stand = Stand(case, folder, events)
    try:
        stand.session(len(events), batch)
        stand.check_records()
    finally:
        stand.close()
    return stand


def check_sees_everything(case: Case, folder: Path) -> None:
    """Every kind of event, one by one and in batches of odd sizes; each result is recorded once and in order."""
    for seed, batch in ((1, 1), (2, 7), (3, 100_000)):
        place = folder / str(seed)
        place.mkdir()
        stand = _whole(case, place, event_history(seed), batch)
        assert not (case.quiet and stand.said), (
            f"it wrote to standard output, which belongs to the user: {stand.said!r}"
        )


def check_survives_a_huge_batch(case: Case, folder: Path) -> None:
    """Ten thousand events at once."""
    events = event_history(4)
    last = max(seq for seq, event in enumerate(events) if isinstance(event, ev.TrialStarted))
    started = events[last]
    assert isinstance(started, ev.TrialStarted)
    flood = [
        ev.TrialResult(started.at, started.trial, started.attempt, seq, 0, {"loss": 1.0 / (seq + 1), "epoch": 1})
        for seq in range(10_000)
    ]
    _whole(case, folder, [*events[: last + 1], *flood], 100_000)


def check_survives_odd_events(case: Case, folder: Path) -> None:
    """Plugins' own events, values that are no finite numbers (as text), odd names and nested values."""
    events = event_history(5)
    at, trial = events[-1].at, TrialId(0)
    odd: dict[str, Any] = {
        "loss": "nan", "epoch": "inf", "": "-inf", "näme, with \"quotes\"\n": [1, {"deep": None}], "flag": True,
        "long": "x" * 2000, "config_lr": 1, "trial_id": "not ours",
    }  # fmt: skip
    strange = [
        StrangersNote(at, "hello", {"any": ["thing"]}),
        ev.TrialResult(at, trial, 0, 99, 0, odd, "late"),
        ev.TrialResult(at, trial, 0, 100, 0, {}, "late"),
        ev.ReportRejected(at, trial, 0, "line longer than 64 KiB", "\x1b[2J" + "x" * 190, 1_000_000),
        StrangersNote(at, "bye"),
    ]
    _whole(case, folder, [*events, *strange], 3)


def check_survives_a_failed_experiment(case: Case, folder: Path) -> None:
    """An experiment that fails before any result, and one whose scheduler fails."""
    opened = event_history(6)[0]
    assert isinstance(opened, ev.ExperimentOpened)
    failed = ev.PluginFailed(0.0, "offbeat.schedulers", "acme", "observe(trial-result)", "KeyError: 3", "Traceback ...")
    _whole(case, folder, [opened, failed, ev.ExperimentClosed(0.0, 0, "failed", "no luck")], 1)


def check_goes_on_after_a_crash(case: Case, folder: Path) -> None:
    """Killed at any point and made again: nothing is missing or there twice, also of what happened in its absence."""
    events = event_history(7)
    for number, cut in enumerate(range(2, len(events), max(1, len(events) // 8))):
        place = folder / str(number)
        place.mkdir()
        stand = Stand(case, place, events)
        try:
            stand.session(cut, 5, killed=number % 2 == 0)
            # The engine had written down more than the observer has seen.
            for event in events[cut : cut + 4]:
                stand._view.ledger.apply(event)
            stand._journal.commit(events[cut : cut + 4], sync=False)
            stand._done = min(cut + 4, len(events))
            stand.session(len(events), 11)
            stand.check_records()
        finally:
            stand.close()


CHECKS: Final[Sequence[Callable[[Case, Path], None]]] = (
    check_is_an_observer, check_sees_everything, check_survives_a_huge_batch, check_survives_odd_events,
    check_survives_a_failed_experiment, check_goes_on_after_a_crash,
)  # fmt: skip

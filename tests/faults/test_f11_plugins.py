"""F11: bad plugins of every kind in every place; the run goes on or ends by name, and a mended plugin resumes it."""

from __future__ import annotations

import asyncio
import contextlib
import random
import threading
from collections.abc import Callable
from typing import Any

import pytest

import offbeat.driver as driver
from offbeat import Continue, Start, Stop, StoppingCriterion, Tuner
from offbeat import events as ev
from offbeat.errors import BrokenPlugin, OffbeatError, PluginFailed
from offbeat.testing.scripted import Report, ScriptedBackend
from offbeat.trial import TrialId


def script(start: Any) -> Any:
    return [Report({"epoch": e, "loss": 1.0 / e}, 1 + start.trial % 3 / 4) for e in range(1, 4)]


def raising(error: BaseException) -> Callable[..., Any]:
    def bad(*_: Any) -> Any:
        raise error

    return bad


def cancelling(*_: Any) -> Any:
    raise asyncio.CancelledError


def recursing(*arguments: Any) -> Any:
    return recursing(*arguments)


async def hanging(*_: Any) -> Any:
    await asyncio.sleep(3600)


async def refusing_to_end(*_: Any) -> Any:
    """Not at the first cancellation; at the second, with which a host's loop ends what is left."""
    with contextlib.suppress(asyncio.CancelledError):
        await asyncio.sleep(3600)
    await asyncio.sleep(3600)


leaked: list[Any] = []


def leaking(*_: Any) -> Any:
    """Leaves threads that end by themselves, files and memory; its answer is empty, which is right."""
    thread = threading.Thread(target=len, args=("x",), daemon=True)
    thread.start()
    leaked.append(bytearray(1000))
    return ()


def spoiling(event: Any, ledger: Any) -> Any:
    """Changes what it was given to look at."""
    if isinstance(event, ev.TrialResult):
        event.metrics.clear()
        event.metrics["loss"] = float("nan")
    return ()


def unsteady(event: Any, ledger: Any) -> Any:
    """Decides by chance: what it decided stands in the journal."""
    if isinstance(event, ev.TrialResult) and random.random() < 0.3:
        return [Stop(event.trial, "by chance")]
    return ()


def later(function: Callable[..., Any]) -> Callable[..., Any]:
    async def bad(*arguments: Any) -> Any:
        return function(*arguments)

    return bad


#: name -> (what it does instead of its work, whether it does so in `observe` without harm)
BAD: dict[str, tuple[Callable[..., Any], bool]] = {
    "raises": (raising(ValueError("no")), False),
    "raises its own error": (raising(type("Own", (Exception,), {"__str__": lambda self: 1 / 0})()), False),
    "exits": (raising(SystemExit(3)), False),
    "interrupts": (raising(KeyboardInterrupt()), False),
    "cancels": (cancelling, False),
    "recurses": (recursing, False),
    "stops iterating": (raising(StopIteration()), False),
    "hangs": (hanging, False),
    "refuses to end": (refusing_to_end, False),
    "answers a number": (lambda *_: 7, False),
    "answers a text": (lambda *_: "stop", False),
    "answers a generator": (lambda *_: (x for x in [Continue(TrialId(0))]), False),
    "answers for a trial that is not": (lambda *_: [Stop(TrialId(10**6))], False),
    "leaks": (leaking, True),
    "changes its input": (spoiling, True),
    "decides by chance": (unsteady, True),
}
PLACES = ("observe", "propose", "later", "some proposals")


@pytest.fixture(autouse=True)
def short_farewell(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(driver, "FAREWELL", 0.1)
    monkeypatch.setattr("offbeat.contained.PATIENCE", 0.02)


def resumed(lab: Any) -> None:
    """A mended plugin of the same name goes on from whatever is in the journal."""
    again = Tuner.resume(
        "run", home=lab.home, trial_backend=ScriptedBackend(script), scheduler=lab.Toy(limit=5), observers=[],
        stop_criterion=StoppingCriterion(max_num_trials_started=5),
    )  # fmt: skip
    assert lab.run(again).outcome == "done"
    lab.check_closed(lab.home)
    started = {e.trial for e in lab.events(lab.home) if isinstance(e, ev.TrialStarted)}
    assert started == set(range(5))


@pytest.mark.filterwarnings("ignore:coroutine .* was never awaited:RuntimeWarning")
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("name", BAD)
def test_a_bad_scheduler(lab: Any, name: str, place: str) -> None:
    bad, harmless = BAD[name]
    if place == "later" and not asyncio.iscoroutinefunction(bad):
        bad = later(bad)
    calls = 0

    def propose(request: Any, ledger: Any) -> Any:
        nonlocal calls
        calls += 1
        if place == "later" or (place == "propose" and calls > 2) or (place == "some proposals" and calls % 2):
            return bad(request, ledger)
        return Start(config={"rate": 0.5}) if len(ledger) < 5 else None

    scheduler = lab.Toy(bad, None, 5) if place == "observe" else lab.Toy(None, propose)
    tuner = lab.tuner(
        lab.home, scheduler, script, proposal_deadline=0.02, stop_criterion=StoppingCriterion(max_num_trials_started=5)
    )
    if (place == "observe" and harmless) or place == "some proposals":
        assert lab.run(tuner).outcome == "done"
    else:
        with pytest.raises(PluginFailed) as caught:
            lab.run(tuner)
        noted = [e for e in lab.events(lab.home) if isinstance(e, ev.PluginFailed)]
        assert noted[0].group == "offbeat.schedulers"
        assert len(noted) == (1 if place == "observe" else 3)
        assert caught.value.where.startswith(place if place == "observe" else "propose")
    lab.check_closed(lab.home)
    resumed(lab)


@pytest.mark.filterwarnings("ignore:coroutine .* was never awaited:RuntimeWarning")
@pytest.mark.parametrize("hook", ["start", "handle", "finish"])
@pytest.mark.parametrize("coroutine", [False, True])
@pytest.mark.parametrize("name", [name for name in BAD if name not in ("changes its input", "decides by chance")])
def test_a_bad_observer_changes_nothing(lab: Any, name: str, hook: str, coroutine: bool) -> None:
    bad, _ = BAD[name]
    if coroutine and not asyncio.iscoroutinefunction(bad):
        bad = later(bad)

    class Observer:
        def handle(self, events: Any) -> None: ...

    observer = Observer()
    setattr(observer, hook, bad)
    outcome = lab.run(lab.tuner(lab.home, lab.asha(), observers=[observer]))
    assert outcome.outcome == "done"
    lab.check_closed(lab.home)
    lab.run(lab.tuner(lab.home, lab.asha(), name="alone"))
    assert lab.digest(lab.home) == lab.digest(lab.home, "alone")


@pytest.mark.parametrize("place", ["propose", "observe"])
def test_a_bad_searcher_is_the_scheduler_s_failure(lab: Any, place: str) -> None:
    class Searcher:
        def propose(self, request: Any, ledger: Any) -> Any:
            if place == "propose":
                raise ValueError("no idea")
            return {"rate": 0.5, "layers": 3}

        def observe(self, event: Any, ledger: Any) -> None:
            raise ValueError("no idea")

    with pytest.raises(PluginFailed, match="no idea"):
        lab.run(lab.tuner(lab.home, lab.asha(searcher=Searcher())))
    lab.check_closed(lab.home)


def test_a_bad_criterion_ends_the_run_by_name(lab: Any) -> None:
    def criterion(usage: Any) -> bool:
        return usage.results < 1 / 0

    with pytest.raises(PluginFailed, match="stopping criterion"):
        lab.run(lab.tuner(lab.home, lab.asha(), stop_criterion=criterion))
    lab.check_closed(lab.home)


@pytest.mark.parametrize("missing", ["observe", "propose", "objective", "space", "seed"])
def test_a_scheduler_that_lacks_a_part_is_refused_at_once(lab: Any, missing: str) -> None:
    members = {"observe": print, "propose": print, "objective": 1, "space": 2, "seed": 3, "observ": 1}
    members.pop(missing)
    with pytest.raises(BrokenPlugin, match=f"it has no {missing!r}"):
        lab.tuner(lab.home, type("Half", (), members)())


def test_a_scheduler_class_in_the_place_of_an_object_is_refused_at_once(lab: Any) -> None:
    with pytest.raises(OffbeatError, match=r"pass an object: Toy\(...\)"):
        lab.tuner(lab.home, lab.Toy)

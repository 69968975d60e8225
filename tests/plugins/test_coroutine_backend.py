"""Trials as coroutines: what a report is told, how a trial ends, and what is left when the session is over."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import logging
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from offbeat import Pause, Resume, Start, Stop, StoppingCriterion, Tuner
from offbeat import events as ev
from offbeat.arguments import UnknownArgument
from offbeat.backend import CoroutineBackend
from offbeat.describe import build, describe
from offbeat.errors import InvalidArgument, TooManyFailures
from offbeat.events import TrialResult
from offbeat.journal import Journal
from offbeat.results import load
from offbeat.trial import Status
from offbeat_plugins.backends.coroutine import Trial


def tuner(lab: Any, objective: Any, scheduler: Any = None, **options: Any) -> Tuner:
    scheduler = scheduler or lab.Toy(limit=1)
    settings: dict[str, Any] = {"name": "run", "home": lab.home, "observers": [], "n_workers": 2, "grace": 5.0}
    return Tuner(CoroutineBackend(objective), scheduler, **{**settings, **options})


async def finish(lab: Any, objective: Any, scheduler: Any = None, **options: Any) -> list[ev.Event]:
    """Runs to the end; answers the events. No task is left behind."""
    before = asyncio.all_tasks()
    await tuner(lab, objective, scheduler, **options).arun()
    assert asyncio.all_tasks() == before
    lab.check_closed(lab.home)
    return list(lab.events(lab.home))


def only(events: list[ev.Event], kind: type) -> Any:
    found = [event for event in events if isinstance(event, kind)]
    assert len(found) == 1, found
    return found[0]


def stops(trial: int, epoch: int, answer: Any = Stop) -> Any:
    """A scheduler that stops (pauses) one trial at one epoch."""

    def observe(event: Any, ledger: Any) -> Any:
        if isinstance(event, TrialResult) and (event.trial, event.resource) == (trial, epoch):
            return [answer(event.trial, "as the test says")]
        return ()

    return observe


# --- reports and their decisions


@pytest.mark.asyncio
@pytest.mark.parametrize("durability", ["commit", "batch", "end"])
async def test_a_report_returns_for_continue_alone(lab: Any, durability: Any) -> None:
    returned: set[tuple[int, int]] = set()
    cancelled: set[tuple[int, int]] = set()
    answers: set[str] = set()

    async def objective(trial: Trial) -> None:
        for epoch in range(1, trial.config["epochs"] + 1):
            try:
                answers.add(await trial.report(epoch=epoch, **lab.loss(trial.config, epoch)))
            except asyncio.CancelledError:
                cancelled.add((trial.id, epoch))
                raise
            returned.add((trial.id, epoch))

    criterion = StoppingCriterion(max_num_trials_started=30)
    events = await finish(lab, objective, lab.asha(), stop_criterion=criterion, n_workers=4, durability=durability)
    results = [event for event in events if isinstance(event, TrialResult)]
    assert answers == {"continue"}
    assert returned == {(one.trial, one.resource) for one in results if one.verdict == "continue"}
    assert cancelled == {(one.trial, one.resource) for one in results if one.verdict == "stop"}
    assert len(cancelled) > 5
    assert not [one for one in results if one.verdict == "late"]


@pytest.mark.asyncio
async def test_a_stop_is_told_when_its_reason_is_on_the_disk(lab: Any) -> None:
    found: list[str] = []

    async def objective(trial: Trial) -> None:
        try:
            await trial.report(epoch=1, loss=1.0)
        except asyncio.CancelledError:
            found.extend(e.verdict for e in lab.events(lab.home) if isinstance(e, TrialResult))
            raise

    await finish(lab, objective, lab.Toy(observe=stops(0, 1), limit=1))
    assert found == ["stop"]


@pytest.mark.asyncio
async def test_a_continue_does_not_wait_for_the_disk_and_no_stop_is_mistaken_for_one(
    lab: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the disk hangs, trial 1 gets its answers; trial 0, whose stop waits, gets none until the disk is back."""
    hang, hung, back = threading.Event(), asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()
    commit = Journal.commit

    def slow(self: Any, events: Any, *, sync: bool) -> None:
        if hang.is_set():
            loop.call_soon_threadsafe(hung.set)
            assert back.wait(30)
        commit(self, events, sync=sync)

    monkeypatch.setattr(Journal, "commit", slow)
    story: list[str] = []

    async def objective(trial: Trial) -> None:
        if trial.id == 0:
            while not story:
                await asyncio.sleep(0)
            story.append("0 reports")
            try:
                await trial.report(epoch=1, loss=1.0)
                story.append("0 goes on")
            except asyncio.CancelledError:
                story.append("0 is cancelled")
                raise
            return
        await trial.report(epoch=1, loss=1.0)
        hang.set()
        await trial.report(epoch=2, loss=1.0)
        await hung.wait()
        story.append("the disk hangs")
        for epoch in range(3, 50):
            await trial.report(epoch=epoch, loss=1.0)
        story.append("1 has gone on")
        hang.clear()
        back.set()

    await finish(lab, objective, lab.Toy(observe=stops(0, 1), limit=2))
    assert story == ["the disk hangs", "0 reports", "1 has gone on", "0 is cancelled"]


@pytest.mark.asyncio
async def test_another_trial_s_report_may_end_a_trial_wherever_it_waits(lab: Any) -> None:
    waiting = asyncio.Event()

    def observe(event: Any, ledger: Any) -> Any:
        if isinstance(event, TrialResult) and event.trial == 1:
            return [Stop(ledger[0].id, "1 is better")]
        return ()

    async def objective(trial: Trial) -> None:
        if trial.id == 0:
            await trial.report(epoch=1, loss=1.0)
            waiting.set()
            await asyncio.Event().wait()
        await waiting.wait()
        await trial.report(epoch=1, loss=0.5)

    events = await finish(lab, objective, lab.Toy(observe=observe, limit=2))
    assert only(events, ev.TrialStopped).trial == 0
    assert only(events, ev.TrialFinished).trial == 1


@pytest.mark.asyncio
async def test_a_paused_trial_goes_on_from_its_checkpoint_as_its_next_attempt(lab: Any) -> None:
    seen: list[tuple[int, int, int, int]] = []

    def propose(request: Any, ledger: Any) -> Any:
        if len(ledger) == 0:
            return Start(config={"rate": 0.5})
        return Resume(trial=ledger[0].id) if ledger[0].status is Status.PAUSED else None

    async def objective(trial: Trial) -> None:
        saved = trial.checkpoint_dir / "epoch"
        epoch = int(saved.read_text()) if saved.exists() else 0
        seen.append((trial.id, trial.attempt, epoch, trial.seed))
        while epoch < 5:
            epoch += 1
            saved.write_text(str(epoch))
            await trial.report(epoch=epoch, loss=1 / epoch)

    events = await finish(lab, objective, lab.Toy(observe=stops(0, 3, Pause), propose=propose))
    assert [one[:3] for one in seen] == [(0, 0, 0), (0, 1, 3)]
    assert seen[0][3] == seen[1][3], "the seed is the trial's, not the attempt's"
    assert [event.resource for event in events if isinstance(event, TrialResult)] == [1, 2, 3, 4, 5]


@pytest.mark.asyncio
async def test_several_reports_of_one_trial_may_be_on_their_way(lab: Any) -> None:
    async def objective(trial: Trial) -> None:
        found = await asyncio.gather(*(trial.report(epoch=epoch, loss=1.0) for epoch in range(1, 6)))
        assert found == ["continue"] * 5

    events = await finish(lab, objective)
    assert [event.resource for event in events if isinstance(event, TrialResult)] == [1, 2, 3, 4, 5]
    only(events, ev.TrialFinished)


@pytest.mark.asyncio
async def test_the_objective_sees_the_caller_s_context_and_its_trial(lab: Any) -> None:
    variable = contextvars.ContextVar("variable", default="nothing")
    variable.set("the caller's")
    seen: list[Any] = []

    async def objective(trial: Trial) -> None:
        seen.append((variable.get(), trial.id, trial.attempt, trial.slot, trial.config, repr(trial)))
        await trial.report(epoch=1, loss=1.0)

    await finish(lab, objective)
    assert seen == [("the caller's", 0, 0, 0, {"rate": 0.5}, "<trial 0 attempt=0>")]
    assert not (lab.home / "run" / "trials").exists(), "no folder is made that nobody asked for"


# --- ends that are no good ones


async def says_nothing(trial: Trial) -> None:
    pass


async def returns_it(trial: Trial) -> Any:
    return {"loss": 0.25}


async def raises(trial: Trial) -> None:
    await trial.report(epoch=1, loss=1.0)
    raise ValueError("the loss went up")


async def exits(trial: Trial) -> None:
    sys.exit("no data")


async def cancels_itself(trial: Trial) -> None:
    task = asyncio.current_task()
    assert task is not None
    task.cancel()
    await trial.report(epoch=1, loss=1.0)


async def awaits_what_was_cancelled(trial: Trial) -> None:
    future = asyncio.get_running_loop().create_future()
    future.cancel()
    await future


async def reports_a_list(trial: Trial) -> None:
    await trial.report(epoch=1, loss=[1.0])


async def reports_a_reserved_name(trial: Trial) -> None:
    await trial.report(epoch=1, loss=1.0, st_worker_time=3.0)


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("objective", "reason", "detail"),
    [
        (says_nothing, "returned without a report: the objective has to `await trial.report(name=value, ...)`", ""),
        (returns_it, "returned {'loss': 0.25} instead of reporting it: `await trial.report(name=value, ...)`", ""),
        (raises, "raised ValueError: the loss went up", 'raise ValueError("the loss went up")'),
        (exits, "raised SystemExit: no data", 'sys.exit("no data")'),
        (cancels_itself, "was cancelled, but not by the engine", ""),
        (awaits_what_was_cancelled, "was cancelled, but not by the engine", ""),
        (reports_a_list, "raised TypeError: The value of 'loss' is a list", "await trial.report(epoch=1, loss=[1.0])"),
        (reports_a_reserved_name, "raised ValueError: The name 'st_worker_time' cannot be reported", ""),
    ],
)
async def test_a_trial_that_ends_badly_says_why(lab: Any, objective: Any, reason: str, detail: str) -> None:
    failed = only(await finish(lab, objective), ev.TrialFailed)
    assert failed.reason.startswith(reason)
    assert detail in failed.detail


@pytest.mark.asyncio
async def test_a_report_that_nobody_awaits_is_no_report(lab: Any) -> None:
    async def objective(trial: Trial) -> None:
        trial.report(epoch=1, loss=1.0)  # type: ignore[unused-coroutine]

    with pytest.warns(RuntimeWarning, match=r"'Trial\.report' was never awaited"):
        failed = only(await finish(lab, objective), ev.TrialFailed)
    assert failed.reason.startswith("returned without a report: the objective has to `await")


@pytest.mark.asyncio
async def test_a_refused_value_is_recorded_even_if_the_objective_goes_on(lab: Any) -> None:
    async def objective(trial: Trial) -> None:
        with pytest.raises(TypeError):
            await trial.report(epoch=1, loss=None or {})
        await trial.report(epoch=1, loss=float("nan"), note="x")
        await trial.report(epoch=1, loss=1.0)

    events = await finish(lab, objective, lab.Toy(limit=1, nonfinite="ignore"))
    rejected = [event for event in events if isinstance(event, ev.ReportRejected)]
    assert [event.seq for event in rejected] == [-1, 0]
    assert "'loss' is a dict" in rejected[0].reason
    assert rejected[0].sample == "{'epoch': 1, 'loss': {}}"
    assert "loss is nan" in rejected[1].reason
    only(events, ev.TrialFinished)


@pytest.mark.asyncio
async def test_failures_count_and_retries_begin_again(lab: Any) -> None:
    attempts: list[int] = []

    async def objective(trial: Trial) -> None:
        attempts.append(trial.attempt)
        if trial.attempt == 0:
            raise OSError("no connection")
        await trial.report(epoch=1, loss=1.0)

    events = await finish(lab, objective, max_retries=1)
    assert attempts == [0, 1]
    only(events, ev.TrialFinished)
    lab.home = lab.home / "other"
    with pytest.raises(TooManyFailures, match="raised ValueError: the loss went up"):
        await finish(lab, raises, lab.Toy(), max_failures=0)


# --- ending: grace, refusal, the session's end


@pytest.mark.asyncio
async def test_cleaning_up_within_the_grace_is_waited_for(lab: Any) -> None:
    cleaned: list[int] = []

    async def objective(trial: Trial) -> None:
        try:
            await trial.report(epoch=1, loss=1.0)
        finally:
            for _ in range(20):
                await asyncio.sleep(0)
            cleaned.append(trial.id)

    events = await finish(lab, objective, lab.Toy(observe=stops(0, 1), limit=1))
    assert cleaned == [0]
    only(events, ev.TrialStopped)


@pytest.mark.asyncio
@pytest.mark.parametrize("way", ["waits", "reports", "spins"])
async def test_one_that_swallows_its_cancellation_is_closed_by_force(
    lab: Any, way: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Its slot goes to the next trial, what it still says is not taken, and no task of it is left."""
    closed: list[int] = []

    async def objective(trial: Trial) -> None:
        try:
            while True:
                try:
                    await trial.report(epoch=1, loss=1.0)
                    return
                except asyncio.CancelledError:
                    if way == "waits":
                        await asyncio.Event().wait()
                    while way == "spins":
                        await asyncio.sleep(0)
        finally:
            closed.append(trial.id)

    scheduler = lab.Toy(observe=stops(0, 1), limit=2)
    with caplog.at_level(logging.WARNING, "offbeat"):
        events = await finish(lab, objective, scheduler, n_workers=1, grace=0.05)
    assert closed == [0, 1]
    assert only(events, ev.TrialStopped).trial == 0
    assert only(events, ev.TrialFinished).trial == 1
    assert [event.trial for event in events if isinstance(event, TrialResult)] == [0, 1]
    assert "trial=0" in caplog.text
    assert "did not end within 0.05 s after its cancellation and was closed by force" in caplog.text


@pytest.mark.asyncio
async def test_one_that_nothing_can_end_is_named_and_left_behind(lab: Any, caplog: pytest.LogCaptureFixture) -> None:
    let_go = asyncio.Event()
    told: list[BaseException] = []

    async def objective(trial: Trial) -> None:
        await trial.report(epoch=1, loss=1.0)
        while not let_go.is_set():
            try:
                await let_go.wait()
            except BaseException:  # GeneratorExit too
                continue
        try:
            await trial.report(epoch=2, loss=1.0)
        except BaseException as error:
            told.append(error)

    before = asyncio.all_tasks()
    async with tuner(lab, objective, grace=0.05).session() as session:
        async for recorded in session.events(0):
            if isinstance(recorded.event, TrialResult):
                session.stop()
        outcome = await session.wait()
    assert outcome.outcome == "interrupted"
    failed = only(lab.events(lab.home), ev.TrialFailed)
    assert failed.reason == "did not end within 0.05 s after its cancellation, nor by force, and is left behind"
    assert "left behind" in caplog.text
    left = asyncio.all_tasks() - before
    assert [task.get_name() for task in left] == ["offbeat trial 0.0"]
    let_go.set()
    await asyncio.wait(left)
    assert [type(error) for error in told] == [asyncio.CancelledError]


@pytest.mark.asyncio
@pytest.mark.parametrize("times", [1, 2])
async def test_cancelling_the_run_ends_its_trials_and_it_can_be_resumed(lab: Any, times: int) -> None:
    running, ended = asyncio.Event(), []

    async def objective(trial: Trial) -> None:
        try:
            await trial.report(epoch=trial.attempt + 1, loss=1.0)
            if trial.attempt == 0:
                running.set()
                await asyncio.Event().wait()
        finally:
            ended.append((trial.id, trial.attempt))

    before = asyncio.all_tasks()
    task = asyncio.create_task(tuner(lab, objective).arun())
    await running.wait()
    for _ in range(times):
        task.cancel()
        await asyncio.sleep(0)
    with pytest.raises(asyncio.CancelledError):
        await task
    assert asyncio.all_tasks() == before
    assert ended == [(0, 0)]
    assert load("run", lab.home).counts() == {"interrupted": 1}
    again = Tuner.resume("run", home=lab.home, trial_backend=CoroutineBackend(objective), scheduler=lab.Toy(limit=1))
    await again.arun()
    assert load("run", lab.home).counts() == {"finished": 1}
    assert asyncio.all_tasks() == before


@pytest.mark.asyncio
async def test_a_task_that_an_objective_leaves_behind_is_told_that_its_trial_is_over(lab: Any) -> None:
    go, found = asyncio.Event(), []

    async def straggler(trial: Trial) -> None:
        await go.wait()
        try:
            await trial.report(epoch=2, loss=1.0)
        except RuntimeError as error:
            found.append(str(error))

    left: list[asyncio.Task[None]] = []

    async def objective(trial: Trial) -> None:
        left.append(asyncio.create_task(straggler(trial)))
        await trial.report(epoch=1, loss=1.0)

    await tuner(lab, objective).arun()
    go.set()
    await left[0]
    assert found == ["Trial 0 has ended: nothing that it reports is taken any more."]


@pytest.mark.asyncio
async def test_a_report_that_a_left_task_waits_for_is_cancelled_with_the_trial(lab: Any) -> None:
    found: list[str] = []
    left: list[asyncio.Task[None]] = []

    async def straggler(trial: Trial) -> None:
        try:
            await trial.report(epoch=1, loss=1.0)
        except asyncio.CancelledError:
            found.append("cancelled")

    async def objective(trial: Trial) -> None:
        left.append(asyncio.create_task(straggler(trial)))
        await asyncio.Event().wait()

    await finish_with(lab, objective, left)
    assert found == ["cancelled"]


async def finish_with(lab: Any, objective: Any, left: list[asyncio.Task[None]]) -> None:
    await tuner(lab, objective, lab.Toy(observe=stops(0, 1), limit=1)).arun()
    await asyncio.wait(left)


# --- checkpoints


@pytest.mark.asyncio
async def test_a_donor_s_checkpoint_is_there_at_the_start_and_nobody_else_s(lab: Any) -> None:
    def propose(request: Any, ledger: Any) -> Any:
        if len(ledger) == 2 or (len(ledger) == 1 and ledger[0].status is not Status.FINISHED):
            return None
        return Start(config={"rate": 0.5}, donor=ledger[0].id if len(ledger) else None)

    found: list[list[str]] = []

    async def objective(trial: Trial) -> None:
        found.append(sorted(path.name for path in trial.checkpoint_dir.iterdir()))
        (trial.checkpoint_dir / f"of-{trial.id}").write_text("x")
        await trial.report(epoch=1, loss=1.0)

    stale = lab.home / "run" / "trials" / "0" / "checkpoints"
    stale.mkdir(parents=True)
    (stale / "of-another-life").write_text("x")
    await finish(lab, objective, lab.Toy(propose=propose))
    assert found == [[], ["of-0"]]


@pytest.mark.asyncio
async def test_checkpoints_of_stopped_trials_may_be_deleted(lab: Any) -> None:
    async def objective(trial: Trial) -> None:
        (trial.checkpoint_dir / "model").write_text("x")
        await trial.report(epoch=1, loss=1.0 - 0.5 * trial.id)

    scheduler = lab.Toy(observe=stops(0, 1), limit=2)
    backend = CoroutineBackend(objective, delete_checkpoints=True)
    # A deletion that waits for the disk at the session's end is made up for by the next session.
    await Tuner(backend, scheduler, name="run", home=lab.home, observers=[], durability="batch").arun()
    assert not (lab.home / "run" / "trials" / "0" / "checkpoints").exists()
    assert (lab.home / "run" / "trials" / "1" / "checkpoints" / "model").exists()


# --- making one


def plain(trial: Any) -> None: ...


async def no_argument() -> None: ...


async def two_arguments(trial: Any, data: Any) -> None: ...


async def generator(trial: Any) -> Any:
    yield 1


class Callable_:
    async def __call__(self, trial: Trial) -> None:
        await trial.report(epoch=1, loss=1.0)

    async def method(self, trial: Trial) -> None:
        await trial.report(epoch=1, loss=1.0)


@pytest.mark.parametrize(
    ("objective", "fragment"),
    [
        (plain, "objective=plain is no coroutine function: define it with `async def`"),
        (lambda trial: None, "objective=<lambda> is no coroutine function"),
        (no_argument, "objective=no_argument has to take one argument, the trial: too many positional arguments."),
        (
            two_arguments,
            "objective=two_arguments has to take one argument, the trial: missing a required argument: 'data'.",
        ),
        (generator, "objective=generator yields: report by `await trial.report(...)` instead."),
        (3, "objective=3 is no function: pass an `async def` function of one argument."),
        (Callable_, "is no function"),
        ("nowhere", "objective='nowhere' is not valid: give 'module:function', or the function itself."),
        ("no_such_module_here:f", "cannot be imported: ModuleNotFoundError"),
        ("offbeat.report:chekced", "offbeat.report has no 'chekced'. Did you mean 'checked'?"),
        ("offbeat.report:checked", "objective=checked is no coroutine function"),
    ],
)
def test_what_is_no_objective_is_refused_at_once(objective: Any, fragment: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        CoroutineBackend(objective)
    assert fragment in str(caught.value)


def test_a_call_in_place_of_the_function_is_refused() -> None:
    with pytest.raises(InvalidArgument, match="was called already: pass the function itself, objective=says_nothing"):
        CoroutineBackend(says_nothing(None))  # type: ignore[arg-type]


def test_unknown_arguments_are_told_the_nearest() -> None:
    with pytest.raises(UnknownArgument, match="Did you mean 'delete_checkpoints'"):
        CoroutineBackend(says_nothing, delete_checkpoint=True)  # type: ignore[call-arg]


@pytest.mark.asyncio
@pytest.mark.parametrize("make", [Callable_, lambda: Callable_().method, lambda: functools.partial(two_reports, 1.0)])
async def test_whatever_is_a_coroutine_function_will_do(lab: Any, make: Any) -> None:
    only(await finish(lab, make()), ev.TrialFinished)


async def two_reports(loss: float, trial: Trial) -> None:
    await trial.report(epoch=1, loss=loss)
    await trial.report(epoch=2, loss=loss)


def test_an_importable_objective_is_resumed_by_name(lab: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my_objectives.py").write_text(
        "async def simple(trial):\n    await trial.report(epoch=trial.id + 1, loss=trial.config['rate'])\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    from my_objectives import simple  # type: ignore[import-not-found]

    for given in (simple, "my_objectives:simple"):
        description = describe(CoroutineBackend(given), "offbeat.backends")
        assert description.name == "coroutine"
        assert description.options == {"objective": "my_objectives:simple"}
        assert build(description).objective is simple
    lab.run(Tuner(CoroutineBackend(simple), lab.random_search(), StoppingCriterion(max_num_trials_started=2),
                  name="run", home=lab.home, observers=[]))  # fmt: skip
    again = Tuner.resume("run", home=lab.home, stop_criterion=StoppingCriterion(max_num_trials_started=4), observers=[])
    lab.run(again)
    assert load("run", lab.home).counts() == {"finished": 4}
    local = describe(CoroutineBackend(Callable_()), "offbeat.backends")
    assert local.options is None, "an object has to be passed again"


# --- run() from a script, and from a running loop


def test_run_gives_the_coroutines_a_loop_of_their_own(lab: Any) -> None:
    assert tuner(lab, raises, lab.Toy(limit=2)).run().outcome == "done"


def test_run_inside_a_running_loop_says_what_to_do(lab: Any) -> None:
    async def cell() -> None:
        with pytest.raises(InvalidArgument, match=r"use `await tuner\.arun\(\)`"):
            tuner(lab, raises).run()
        await tuner(lab, raises).arun()

    asyncio.run(cell())
    assert load("run", lab.home).counts() == {"failed": 1}

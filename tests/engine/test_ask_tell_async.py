"""Ask and tell by several clients of one event loop: group commit, waiting, cancellation, and what is left behind."""

from __future__ import annotations

import asyncio
import functools
import shutil
import threading
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from offbeat import AskTell, AsyncAskTell, Start, Stop, StoppingCriterion
from offbeat import events as ev
from offbeat.asktell import StudyClosed, TrialNotOut
from offbeat.config_space import choice, loguniform
from offbeat.errors import InvalidArgument, JournalUnwritable, PluginFailed
from offbeat.journal import Journal
from offbeat.optimizer.baselines import ASHA, RandomSearch
from offbeat.results import load
from offbeat.testing.backend_checks import resources

SPACE = {"lr": loguniform(1e-4, 1.0), "epochs": 9}


def asha(**options: Any) -> ASHA:
    return ASHA(SPACE, "loss", resource_attr="epoch", max_resource_attr="epochs", **{"random_seed": 3, **options})


async def client(study: AsyncAskTell) -> int:
    """Asks until nothing is left; answers how many trials it had."""
    had = 0
    while (trial := await study.ask()) is not None:
        had += 1
        decision = "continue"
        for epoch in range(trial.resource + 1, trial.config["epochs"] + 1):
            decision = await study.tell(trial, epoch=epoch, loss=trial.config["lr"] / epoch)
            if decision != "continue":
                break
        if decision == "continue":
            await study.complete(trial)
    return had


def leaves_no_task(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., Coroutine[Any, Any, None]]:
    """Run on an event loop, the test leaves no task behind."""

    @functools.wraps(test)
    async def checked(*args: Any, **options: Any) -> None:
        before = asyncio.all_tasks()
        await test(*args, **options)
        assert asyncio.all_tasks() == before

    return pytest.mark.asyncio(checked)


class HeldDisk:
    """A disk whose syncs wait until they are let go; `busy` is set when one waits."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.go = threading.Event()
        self.go.set()
        self.busy = asyncio.Event()
        self.groups: list[int] = []
        self.error: Exception | None = None
        loop, commit = asyncio.get_running_loop(), Journal.commit

        def held(journal: Any, events: Any, *, sync: bool) -> None:
            if not self.go.is_set():
                loop.call_soon_threadsafe(self.busy.set)
                assert self.go.wait(30)
            if self.error is not None:
                raise self.error
            commit(journal, events, sync=sync)
            self.groups.append(len(events))

        monkeypatch.setattr(Journal, "commit", held)

    def hold(self) -> None:
        self.busy.clear()
        self.go.clear()


# --- several clients


@pytest.mark.parametrize("kind", ["stopping", "promotion"])
@pytest.mark.parametrize("named", [True, False])
@leaves_no_task
async def test_clients_share_the_trials(lab: Any, kind: Any, named: bool) -> None:
    criterion = StoppingCriterion(max_num_trials_started=40)
    async with AsyncAskTell(
        asha(type=kind), "study" if named else None, home=lab.home, n_workers=4, stop_criterion=criterion
    ) as study:
        had = await asyncio.gather(*(client(study) for _ in range(6)))
        assert study.done
        assert len(study.ledger) == 40
        assert sum(had) == sum(record.attempt + 1 for record in study.ledger)
        assert study.out == []
        best = study.best()
    assert best is not None
    if named:
        lab.check_closed(lab.home, "study")
        found = load("study", lab.home)
        assert found.sessions[0].reason == "max_num_trials_started=40 reached: 40 trials started"
        assert found.best().value == best.value  # type: ignore[union-attr]


@leaves_no_task
async def test_what_gathers_while_the_disk_is_busy_is_one_group(lab: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = HeldDisk(monkeypatch)
    async with AsyncAskTell(asha(grace_period=3), "study", home=lab.home) as study:
        trials = [await study.ask() for _ in range(10)]
        disk.hold()
        first = asyncio.create_task(study.tell(trials[0], epoch=1, loss=1.0))
        await disk.busy.wait()
        others = [asyncio.create_task(study.tell(trial, epoch=1, loss=1.0)) for trial in trials[1:]]
        for _ in range(5):
            await asyncio.sleep(0)
        assert not any(task.done() for task in (first, *others)), "no answer before the disk has it"
        groups = len(disk.groups)
        disk.go.set()
        assert [await task for task in (first, *others)] == ["continue"] * 10
        assert disk.groups[groups:] == [1, 9]


@leaves_no_task
async def test_an_answer_is_on_the_disk(lab: Any) -> None:
    async with AsyncAskTell(asha(), "study", home=lab.home) as study:
        for loss in (1.0, 2.0):
            trial = await study.ask()
            assert trial is not None
            assert isinstance(lab.events(lab.home, "study")[-1], ev.TrialStarted)
            decision = await study.tell(trial, epoch=1, loss=loss)
            results = [e for e in lab.events(lab.home, "study") if isinstance(e, ev.TrialResult)]
            assert results[-1].verdict == decision
    assert [record.status.value for record in study.ledger] == ["interrupted", "stopped"]


@leaves_no_task
async def test_errors_are_those_of_the_plain_form(lab: Any) -> None:
    async with AsyncAskTell(asha()) as study:
        trial = await study.ask()
        with pytest.raises(InvalidArgument, match="Did you mean 'los'"):
            await study.tell(trial, epoch=1, los=1.0)
        with pytest.raises(TrialNotOut, match="There is no trial 7"):
            await study.lost(7)
        await study.fail(trial, "x")
        with pytest.raises(TrialNotOut, match=r"Trial 0 has ended: failed \(x\)"):
            await study.complete(trial)
    with pytest.raises(StudyClosed, match="The study was closed"):
        await study.ask()
    unopened = AsyncAskTell(asha())
    with pytest.raises(StudyClosed, match="not open yet: `async with` opens it"):
        await unopened.tell(0, epoch=1, loss=1.0)
    await unopened.close()


# --- waiting for a trial


@leaves_no_task
async def test_asking_waits_for_a_worker_to_be_free() -> None:
    async with AsyncAskTell(asha(), n_workers=1) as study:
        first = await study.ask()
        waiting = [asyncio.create_task(study.ask()) for _ in range(2)]
        for _ in range(5):
            await asyncio.sleep(0)
        assert not any(task.done() for task in waiting)
        await study.complete(first, epoch=1, loss=1.0)
        second = await waiting[0]
        assert second is not None
        assert second.id == 1
        assert not waiting[1].done()
        await study.fail(second, "x")
        assert (await waiting[1]).id == 2  # type: ignore[union-attr]


@leaves_no_task
async def test_asking_waits_for_what_a_result_may_bring_and_ends_when_nothing_can_come() -> None:
    async with AsyncAskTell(RandomSearch({"kind": choice(["a", "b"])}, "loss", random_seed=0)) as study:
        first, second = await study.ask(), await study.ask()
        waiting = [asyncio.create_task(study.ask()) for _ in range(3)]
        await study.complete(first, loss=1.0)
        for _ in range(5):
            await asyncio.sleep(0)
        assert not any(task.done() for task in waiting)
        await study.complete(second, loss=1.0)
        assert [await task for task in waiting] == [None] * 3
        assert study.done


@leaves_no_task
async def test_closing_ends_the_waiting(lab: Any) -> None:
    async with AsyncAskTell(asha(), "study", home=lab.home, n_workers=1) as study:
        await study.ask()
        waiting = asyncio.create_task(study.ask())
        await asyncio.sleep(0)
    with pytest.raises(StudyClosed):
        await waiting
    lab.check_closed(lab.home, "study")


# --- proposals that take their time


class Slow(RandomSearch):
    """Waits for `go` before each proposal."""

    def __init__(self) -> None:
        super().__init__(SPACE, "loss", resource_attr="epoch", random_seed=3)
        self.go = asyncio.Event()
        self.asked = 0

    async def propose(self, request: Any, ledger: Any) -> Any:  # type: ignore[override]
        self.asked += 1
        await self.go.wait()
        return super().propose(request, ledger)


@leaves_no_task
async def test_results_are_taken_in_while_a_proposal_takes_its_time() -> None:
    scheduler = Slow()
    scheduler.go.set()
    async with AsyncAskTell(scheduler) as study:
        first = await study.ask()
        scheduler.go.clear()
        waiting = asyncio.create_task(study.ask())
        await asyncio.sleep(0)
        assert await study.tell(first, epoch=1, loss=1.0) == "continue"
        assert not waiting.done()
        scheduler.go.set()
        assert (await waiting).id == 1  # type: ignore[union-attr]


@leaves_no_task
async def test_a_proposal_is_not_lost_with_whoever_asked_for_it() -> None:
    scheduler = Slow()
    async with AsyncAskTell(scheduler) as study:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await study.ask()
        waiting = asyncio.create_task(study.ask())
        await asyncio.sleep(0)
        scheduler.go.set()
        trial = await waiting
        assert trial is not None
        assert (trial.id, trial.attempt) == (0, 0)
        assert scheduler.asked == 1


@leaves_no_task
async def test_closing_while_a_proposal_takes_its_time(lab: Any) -> None:
    scheduler = Slow()
    async with AsyncAskTell(scheduler, "study", home=lab.home) as study:
        waiting = asyncio.create_task(study.ask())
        while not scheduler.asked:
            await asyncio.sleep(0)
    with pytest.raises(StudyClosed):
        await waiting
    lab.check_closed(lab.home, "study")


@leaves_no_task
async def test_a_scheduler_that_fails_ends_the_study_for_all(lab: Any) -> None:
    calls: list[int] = []

    async def propose(request: Any, ledger: Any) -> Any:
        calls.append(request.number)
        if len(calls) in (1, 2, 4, 5, 6):
            raise ZeroDivisionError
        return Start(config={"rate": 0.5})

    async with AsyncAskTell(lab.Toy(propose=propose), "study", home=lab.home) as study:
        assert await study.ask() is not None
        both = await asyncio.gather(study.ask(), study.ask(), return_exceptions=True)
        assert [type(error) for error in both] == [PluginFailed, PluginFailed]
    assert calls == [0, 0, 0, 1, 1, 1]
    lab.check_closed(lab.home, "study")
    assert load("study", lab.home).status == "failed"


@leaves_no_task
async def test_a_proposal_that_hangs_has_a_deadline(lab: Any) -> None:
    async def hangs(request: Any, ledger: Any) -> Any:
        await asyncio.Event().wait()

    async with AsyncAskTell(lab.Toy(propose=hangs), proposal_deadline=0.01) as study:
        with pytest.raises(PluginFailed, match=r"no answer within 0\.01 s"):
            await study.ask()


# --- cancellation, and a disk that refuses


@leaves_no_task
async def test_a_trial_that_a_cancelled_ask_was_about_to_answer_is_given_back(
    lab: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = HeldDisk(monkeypatch)
    async with AsyncAskTell(asha(), "study", home=lab.home, n_workers=1) as study:
        disk.hold()
        asking = asyncio.create_task(study.ask())
        await disk.busy.wait()
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        disk.go.set()
        trial = await study.ask()
        assert trial is not None
        assert (trial.id, trial.attempt) == (0, 1)
    lost = next(event for event in lab.events(lab.home, "study") if isinstance(event, ev.TrialLost))
    assert lost.reason == "whoever asked for it went away"


@leaves_no_task
async def test_what_was_told_stays_told_though_nobody_waits_for_the_answer(
    lab: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = HeldDisk(monkeypatch)
    async with AsyncAskTell(asha(), "study", home=lab.home) as study:
        trial = await study.ask()
        disk.hold()
        telling = asyncio.create_task(study.tell(trial, epoch=1, loss=1.0))
        await disk.busy.wait()
        telling.cancel()
        with pytest.raises(asyncio.CancelledError):
            await telling
        disk.go.set()
        assert await study.tell(trial, epoch=2, loss=0.5) == "continue"
    assert load("study", lab.home).n_results == 2


@leaves_no_task
async def test_a_disk_that_refuses_is_told_to_all_who_wait(lab: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = HeldDisk(monkeypatch)
    async with AsyncAskTell(asha(), "study", home=lab.home) as study:
        trials = [await study.ask() for _ in range(3)]
        disk.hold()
        telling = [asyncio.create_task(study.tell(trial, epoch=1, loss=1.0)) for trial in trials]
        await disk.busy.wait()
        disk.error = JournalUnwritable("journal", "no space left on device")
        disk.go.set()
        found = await asyncio.gather(*telling, return_exceptions=True)
        assert [type(error) for error in found] == [JournalUnwritable] * 3
        for _ in range(2):
            with pytest.raises(JournalUnwritable, match="no space left on device"):
                await study.ask()
        with pytest.raises(JournalUnwritable):
            await study.close()
    disk.error = None
    async with AsyncAskTell(experiment="study", home=lab.home) as again:
        assert (await again.ask()).attempt == 1  # type: ignore[union-attr]


@leaves_no_task
async def test_cancelled_while_it_opens_it_frees_the_experiment(lab: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    entered, go = threading.Event(), threading.Event()
    create = Journal.create

    def slow(folder: Any) -> Any:
        entered.set()
        assert go.wait(30)
        return create(folder)

    monkeypatch.setattr(Journal, "create", slow)
    study = AsyncAskTell(asha(), "study", home=lab.home)
    opening = asyncio.create_task(study.__aenter__())
    await asyncio.get_running_loop().run_in_executor(None, entered.wait)
    opening.cancel()
    await asyncio.sleep(0)
    go.set()
    with pytest.raises(asyncio.CancelledError):
        await opening
    monkeypatch.setattr(Journal, "create", create)
    async with AsyncAskTell(asha(), "study", home=lab.home) as again:
        assert await again.ask() is not None


@leaves_no_task
async def test_left_by_an_error_it_is_closed(lab: Any) -> None:
    async def fails() -> None:
        async with AsyncAskTell(asha(), "study", home=lab.home) as study:
            await study.ask()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fails()
    lab.check_closed(lab.home, "study")


@leaves_no_task
async def test_cancelled_while_it_closes_it_is_closed_all_the_same(lab: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = HeldDisk(monkeypatch)
    study = AsyncAskTell(asha(), "study", home=lab.home)
    await study.__aenter__()
    await study.ask()
    disk.hold()
    closing = asyncio.create_task(study.close())
    await disk.busy.wait()
    closing.cancel()
    await asyncio.sleep(0)
    disk.go.set()
    with pytest.raises(asyncio.CancelledError):
        await closing
    lab.check_closed(lab.home, "study")
    AskTell(asha(), "study", home=lab.home).close()


@leaves_no_task
async def test_clients_that_live_on_are_adopted(lab: Any) -> None:
    """What `crash` leaves: the same folder without its lock, copied while the study is open."""
    async with AsyncAskTell(asha(), "study", home=lab.home) as study:
        trial = await study.ask()
        await study.tell(trial, epoch=1, loss=1.0)
        shutil.copytree(lab.home / "study", lab.home / "copy" / "study")
    async with AsyncAskTell(asha(), "study", home=lab.home / "copy", adopt=True) as again:
        assert [one.id for one in again.out] == [0]
        assert await again.tell(trial, epoch=2, loss=0.5) == "continue"
        await again.complete(trial)


def test_leaves_neither_threads_nor_files(lab: Any) -> None:
    async def once(name: str) -> None:
        async with AsyncAskTell(
            asha(), name, home=lab.home, stop_criterion=StoppingCriterion(max_num_trials_started=3)
        ) as study:
            await client(study)

    asyncio.run(once("first"))
    before = resources()
    asyncio.run(once("second"))
    assert {name: len(found) for name, found in resources().items()} == {k: len(v) for k, v in before.items()}


@leaves_no_task
async def test_a_decision_on_another_trial_reaches_its_client_with_its_next_word(lab: Any) -> None:
    def observe(event: Any, ledger: Any) -> Any:
        return [Stop(ledger[0].id, "1 is better")] if isinstance(event, ev.TrialResult) and event.trial == 1 else ()

    async with AsyncAskTell(lab.Toy(observe=observe)) as study:
        await study.ask(), await study.ask()
        assert await study.tell(1, epoch=1, loss=0.5) == "continue"
        assert await study.tell(0, epoch=1, loss=0.9) == "stop"

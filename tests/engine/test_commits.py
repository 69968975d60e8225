"""Group commit: order, what a command waits for, congestion, failures."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import msgspec
import pytest

import offbeat.commits as commits
from offbeat.commits import Committer
from offbeat.errors import JournalUnwritable
from offbeat.events import AnyEvent, TrialFinished
from offbeat.signals import StopTrial
from offbeat.trial import TrialId


def event(n: int) -> TrialFinished:
    return TrialFinished(float(n), TrialId(n), 0)


def command(n: int) -> StopTrial:
    return StopTrial(TrialId(n), 0)


class Disk:
    """A journal whose commits wait until the test lets them, one by one."""

    def __init__(self, *, free: bool = True) -> None:
        self.next_seq = 0
        self.groups: list[list[Any]] = []
        self.syncs: list[bool] = []
        self.gate = threading.Semaphore(10**6 if free else 0)
        self.error: BaseException | None = None

    def commit(self, events: Any, *, sync: bool) -> None:
        self.gate.acquire()
        if self.error is not None:
            raise self.error
        self.groups.append(list(events))
        self.syncs.append(sync)
        self.next_seq += len(events)

    def commit_encoded(self, pieces: Any) -> None:
        self.commit(
            msgspec.json.decode(b"[" + b",".join(piece.text for piece in pieces) + b"]", type=list[AnyEvent]),
            sync=False,
        )


async def until(condition: Any) -> None:
    while not condition():
        await asyncio.sleep(0)


def test_commands_leave_when_their_events_are_written_in_order() -> None:
    async def main() -> None:
        disk, sent = Disk(free=False), []
        committer = Committer(disk, "commit", sent.append)  # type: ignore[arg-type]
        task = asyncio.create_task(committer.run())
        committer.add([event(0)], [command(0)])
        await asyncio.sleep(0)
        committer.add([event(1)], [command(1)])
        committer.add([event(2)], [])
        committer.add([], [command(2)])
        assert sent == []
        assert committer.holding
        disk.gate.release()
        await until(lambda: sent)
        assert sent == [command(0)]
        disk.gate.release()
        await until(lambda: len(sent) == 3)
        assert sent == [command(0), command(1), command(2)]
        # What gathered during the first write made the second group.
        assert [len(group) for group in disk.groups] == [1, 2]
        assert disk.syncs == [True, True]
        committer.finish()
        await task

    asyncio.run(main())


def test_a_command_without_new_events_leaves_at_once_if_all_is_written() -> None:
    async def main() -> None:
        sent: list[Any] = []
        committer = Committer(Disk(), "commit", sent.append)  # type: ignore[arg-type]
        committer.add([], [command(0)])
        assert sent == [command(0)]

    asyncio.run(main())


@pytest.mark.parametrize("durability", ["batch", "end"])
def test_without_commit_commands_do_not_wait(durability: Any) -> None:
    async def main() -> None:
        disk, sent = Disk(), []
        committer = Committer(disk, durability, sent.append)  # type: ignore[arg-type]
        task = asyncio.create_task(committer.run())
        committer.add([event(0)], [command(0)])
        assert sent == [command(0)]
        await asyncio.sleep(0)
        assert disk.groups == []
        assert await committer.progress(0)
        assert disk.groups == [[event(0)]]
        committer.add([event(1)], [])
        committer.finish()
        await task
        assert disk.groups[1:] == [[event(1)]]
        assert disk.syncs == [False, False]

    asyncio.run(main())


def test_batches_are_written_as_they_fill_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commits, "GROUP", 3)

    async def main() -> None:
        disk = Disk()
        committer = Committer(disk, "batch", print)  # type: ignore[arg-type]
        task = asyncio.create_task(committer.run())
        for n in range(2):
            committer.add([event(n)], [])
        await asyncio.sleep(0)
        assert disk.groups == []
        committer.add([event(2)], [])
        await until(lambda: disk.groups)
        assert disk.groups == [[event(0), event(1), event(2)]]
        committer.finish()
        await task

    asyncio.run(main())


def test_plain_events_are_written_among_the_others_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commits, "GROUP", 4)

    async def main() -> None:
        disk = Disk()
        committer = Committer(disk, "end", print)  # type: ignore[arg-type]
        for n, plain in enumerate((False, True, True, True, True, True, False, True)):
            committer.add([event(n)], [], plain=plain)
        committer.finish()
        await committer.run()
        assert [one for group in disk.groups for one in group] == [event(n) for n in range(8)]
        assert [len(group) for group in disk.groups] == [1, 4, 1, 1, 1]
        assert committer.durable == 8

    asyncio.run(main())


def test_what_comes_during_the_last_write_is_written_too() -> None:
    """An observer that fails while the last group of a simulation is on its way."""

    async def main() -> None:
        disk = Disk(free=False)
        committer = Committer(disk, "batch", print)  # type: ignore[arg-type]
        task = asyncio.create_task(committer.run())
        committer.add([event(0)], [])
        committer.finish()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        committer.add([event(1)], [])
        disk.gate.release(2)
        await task
        assert disk.groups == [[event(0)], [event(1)]]

    asyncio.run(main())


def test_congestion_is_relieved(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commits, "BACKLOG", 2)

    async def main() -> None:
        disk = Disk(free=False)
        committer = Committer(disk, "end", print)  # type: ignore[arg-type]
        task = asyncio.create_task(committer.run())
        committer.add([event(n) for n in range(3)], [])
        assert committer.congested
        relief = asyncio.create_task(committer.relief())
        await asyncio.sleep(0)
        assert not relief.done()
        disk.gate.release()
        await relief
        assert not committer.congested
        committer.finish()
        await task

    asyncio.run(main())


def test_a_refusing_disk_ends_it_and_lets_nobody_wait_for_ever() -> None:
    async def main() -> None:
        disk, sent = Disk(), []
        disk.error = JournalUnwritable("x", "full")
        committer = Committer(disk, "commit", sent.append)  # type: ignore[arg-type]
        task = asyncio.create_task(committer.run())
        committer.add([event(0)], [command(0)])
        waiting = asyncio.create_task(committer.progress(0))
        with pytest.raises(JournalUnwritable):
            await task
        assert await waiting is False
        assert await committer.progress(0) is False
        committer.add([event(1)], [command(1)])
        assert sent == []

    asyncio.run(main())


def test_cancelled_it_still_writes_what_was_decided() -> None:
    async def main() -> None:
        disk = Disk()
        committer = Committer(disk, "commit", print)  # type: ignore[arg-type]
        import anyio

        async with anyio.create_task_group() as group:
            group.start_soon(committer.run)
            await asyncio.sleep(0)
            group.cancel_scope.cancel()
            committer.add([event(0)], [])
            committer.finish()
        assert disk.groups == [[event(0)]]

    asyncio.run(main())

"""Commands are announced to a backend that asks for it, before they wait for the disk."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Literal

import pytest

from offbeat.errors import BackendFailed
from offbeat.journal import Journal
from offbeat.signals import Ended, Reported, Signal, StartTrial, StopTrial
from offbeat.tuner import Tuner


class Told:
    """Each trial reports twice, then waits to be stopped. Keeps what it is told, in order."""

    time: Literal["real"] = "real"

    def __init__(self, fault: Exception | None = None) -> None:
        self.story: list[str] = []
        self.fault = fault

    @asynccontextmanager
    async def open(self, context: Any) -> AsyncIterator[Told]:
        self.signals: list[Signal] = []
        self.there = asyncio.Event()
        yield self

    def adopt(self, attempts: Any) -> Sequence[Any]:
        return ()

    def announce(self, commands: Any) -> None:
        if self.fault is not None:
            raise self.fault
        self.story += [f"announced {type(command).__name__} {command.trial}" for command in commands]

    def submit(self, command: Any) -> None:
        self.story.append(f"submitted {type(command).__name__} {command.trial}")
        if isinstance(command, StartTrial):
            self.say(*(Reported(command.trial, 0, n, {"epoch": n + 1, "loss": 1.0}) for n in range(2)))
        elif isinstance(command, StopTrial):
            self.say(Ended(command.trial, 0, "ended"))

    def say(self, *signals: Signal) -> None:
        self.signals += signals
        self.there.set()

    def receive_nowait(self) -> Sequence[Signal]:
        if self.signals:
            self.story.append(f"asked, gives {len(self.signals)}")
        taken, self.signals = self.signals, []
        return taken

    async def receive(self) -> Sequence[Signal]:
        while not self.signals:
            self.there.clear()
            await self.there.wait()
        return self.receive_nowait()

    def interrupt(self) -> None: ...


def stops_at_two(event: Any, ledger: Any) -> Any:
    from offbeat import Stop
    from offbeat.events import TrialResult

    return [Stop(event.trial, "")] if isinstance(event, TrialResult) and event.resource == 2 else ()


def play(lab: Any, backend: Told, **options: Any) -> list[str]:
    scheduler = lab.Toy(observe=stops_at_two, limit=1)
    lab.run(Tuner(backend, scheduler, name="run", home=lab.home, observers=[], **options))
    return backend.story


STORY = [
    "announced StartTrial 0", "submitted StartTrial 0", "asked, gives 2",
    "announced StopTrial 0", "submitted StopTrial 0", "asked, gives 1",
]  # fmt: skip


@pytest.mark.parametrize("durability", ["commit", "batch", "end"])
def test_the_next_batch_is_asked_for_when_the_last_one_s_commands_are_known(lab: Any, durability: Any) -> None:
    assert play(lab, Told(), durability=durability) == STORY


def test_announced_is_what_waits_for_the_disk(lab: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    backend = Told()
    commit = Journal.commit

    def noted(self: Any, events: Any, *, sync: bool) -> None:
        commit(self, events, sync=sync)
        backend.story.append("on the disk")

    monkeypatch.setattr(Journal, "commit", noted)
    story = play(lab, backend, durability="commit")
    for what in ("StartTrial", "StopTrial"):
        announced, submitted = story.index(f"announced {what} 0"), story.index(f"submitted {what} 0")
        assert "on the disk" in story[announced:submitted]


def test_one_that_cannot_take_it_is_a_broken_backend(lab: Any) -> None:
    with pytest.raises(BackendFailed, match="announce failed with ValueError: no"):
        play(lab, Told(ValueError("no")))
    lab.check_closed(lab.home)

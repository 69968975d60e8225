"""The engine dies at a write of its journal; the fixture `crashes` of the folders that need it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Literal

import pytest

import offbeat.journal.writer as writer
from offbeat.commits import Committer

How = Literal["before", "half", "after"]


class Crash(BaseException):
    """The process is gone."""


class Crashes:
    """Counts the journal's writes, or makes one of them the last thing that happens.

    Simulated time waits for the disk after every turn, so that each turn is a point to die at, the same in each run.
    """

    WAYS: tuple[How, ...] = ("before", "half", "after")

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._monkeypatch = monkeypatch
        monkeypatch.setattr(Committer, "holding", property(lambda self: self.durable < self._taken))
        # What a dead process has written is there; only a dead machine needs the sync.
        monkeypatch.setattr(writer, "sync_data", lambda fd: None)

    def writes(self, run: Callable[[], object]) -> int:
        """How many writes a run has."""
        with self._dying(10**9, "before") as count:
            run()
        return count()

    def die(self, run: Callable[[], object], at: int, how: How) -> None:
        """Runs to the write of this number, counted from 0, and no further."""
        with self._dying(at, how), suppress(Crash):
            run()

    @contextmanager
    def _dying(self, at: int, how: How) -> Iterator[Callable[[], int]]:
        original = writer.write_all
        count = 0

        def write_all(fd: int, data: bytes) -> None:
            nonlocal count
            count += 1
            if count - 1 < at:
                original(fd, data)
                return
            if count - 1 == at and how != "before":
                original(fd, data if how == "after" else data[: len(data) // 2])
            raise Crash

        with self._monkeypatch.context() as patch:
            patch.setattr(writer, "write_all", write_all)
            yield lambda: count


@pytest.fixture
def crashes(monkeypatch: pytest.MonkeyPatch) -> Crashes:
    """Built once a test."""
    return Crashes(monkeypatch)

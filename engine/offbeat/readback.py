"""Events that have left the bus's tail, from the journal: what observers and streams that lag are given."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import Final

from offbeat.commits import Committer
from offbeat.home import ExperimentFolder
from offbeat.journal import read_journal
from offbeat.protocols import Recorded

BATCH: Final = 4_096
"""Most events read at once."""


class ReadBack:
    """Reads on where an earlier reading ended, off the loop.

    Args:
        committer: asked to write what is wanted and not in the journal yet.
    """

    def __init__(self, folder: ExperimentFolder, committer: Committer) -> None:
        self._folder = folder
        self._committer = committer
        self._readers: dict[int, Iterator[Recorded]] = {}
        self._thread: ThreadPoolExecutor | None = None
        self._closed = False

    async def __call__(self, first: int, wanted: int) -> Sequence[Recorded]:
        """The first batch of `wanted` events from `first` on; none only if they never came into the journal."""
        if not await self._committer.progress(first):
            return ()
        loop = asyncio.get_running_loop()
        if self._closed:
            # A stream may be read on after the run; its thread lives for one batch, so that none is left.
            with ThreadPoolExecutor(1, thread_name_prefix="offbeat-read-back") as thread:
                return await loop.run_in_executor(thread, self._read, first, wanted)
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, thread_name_prefix="offbeat-read-back")
        return await loop.run_in_executor(self._thread, self._read, first, wanted)

    def _read(self, first: int, wanted: int) -> Sequence[Recorded]:
        reader = self._readers.pop(first, None) or read_journal(self._folder, first)
        events = list(islice(reader, min(wanted, BATCH)))
        if len(events) < wanted:
            # Otherwise the next ones come from the bus's tail, and the file would stay open.
            self._readers[first + len(events)] = reader
        return events

    def close(self) -> None:
        """Ends the thread and closes the files; what is read later costs a thread for each batch."""
        self._closed = True
        if self._thread is not None:
            self._thread.shutdown(wait=True)
        self._readers.clear()

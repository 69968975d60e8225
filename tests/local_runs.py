"""Scripts and opened local backends for tests; the fixture `local` of the folders that need it."""

from __future__ import annotations

import asyncio
import os
import textwrap
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from offbeat.backend import LocalBackend
from offbeat.home import ExperimentFolder
from offbeat.protocols import BackendContext
from offbeat.signals import Ended, Garbled, Reported, Signal, StartTrial


class LocalRuns:
    """A folder with scripts and one experiment, and ways to run and look.

    Attributes:
        marker: stands in the environment of every trial; `alive()` finds the processes that have it there or in argv.
        preload: modules that backends keep loaded for Python scripts; None: none, trials are fresh interpreters.
    """

    def __init__(self, path: Path, preload: Sequence[str] | None = None) -> None:
        self.path = path
        self.preload = preload
        self.folder = ExperimentFolder(path / "experiment")
        self.folder.path.mkdir()
        self.marker = f"offbeat-test-{os.getpid()}-{path.name}-"

    def script(self, text: str, name: str = "train.py", mode: int = 0o644) -> Path:
        file = self.path / name
        file.write_text(textwrap.dedent(text))
        file.chmod(mode)
        return file

    def backend(self, script: Path, **options: Any) -> LocalBackend:
        if Path(script).suffix == ".py" and "binary" not in options:
            options.setdefault("preload", self.preload)
        return LocalBackend(script, env={"TEST_MARKER": self.marker, **options.pop("env", {})}, **options)

    @asynccontextmanager
    async def open(self, backend: LocalBackend, *, grace: float = 5.0, n_workers: int = 4) -> AsyncIterator[Any]:
        context = BackendContext(experiment="test", folder=self.folder, n_workers=n_workers, grace=grace)
        async with backend.open(context) as session:
            yield session

    async def run(self, backend: LocalBackend, starts: Sequence[StartTrial], **context: Any) -> list[Signal]:
        """Everything that these attempts have to say, to their ends."""
        async with self.open(backend, **context) as session:
            for start in starts:
                session.submit(start)
            return await self.until(session, lambda seen: sum(type(s) is Ended for s in seen) == len(starts))

    async def until(self, session: Any, condition: Callable[[list[Signal]], bool]) -> list[Signal]:
        """Receives until the condition holds of everything received by this call."""
        seen: list[Signal] = []
        while not condition(seen):
            seen += await session.receive()
        return seen

    async def pid(self, session: Any, trial: int) -> int:
        """The trial's process id, which comes by another way than its reports and may be behind them."""
        while trial not in session.pids:
            await asyncio.sleep(0)
        return int(session.pids[trial])

    def alive(self, marker: str | None = None) -> list[int]:
        """Processes with the marker in their initial environment or their arguments, zombies left out.

        Fork servers and their shims, which have the environment too and stay while the session is open, are no trials.
        """
        return [pid for pid, guard in self._having(marker) if not guard]

    def guards(self) -> list[int]:
        """Fork servers and the shims that they forked."""
        return [pid for pid, guard in self._having(None) if guard]

    def _having(self, marker: str | None) -> list[tuple[int, bool]]:
        wanted = (marker or self.marker).encode()
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit() and int(entry.name) != os.getpid():
                try:
                    texts = (entry / "environ").read_bytes() + (entry / "cmdline").read_bytes()
                    guard = (entry / "comm").read_text().startswith("offbeat-")
                except OSError:
                    continue
                if wanted in texts:
                    found.append((int(entry.name), guard))
        return found

    @staticmethod
    def reports(signals: Sequence[Signal], trial: int = 0) -> list[Reported]:
        return [s for s in signals if type(s) is Reported and s.trial == trial]

    @staticmethod
    def garbled(signals: Sequence[Signal], trial: int = 0) -> list[Garbled]:
        return [s for s in signals if type(s) is Garbled and s.trial == trial]

    @staticmethod
    def ended(signals: Sequence[Signal]) -> dict[int, Ended]:
        return {s.trial: s for s in signals if type(s) is Ended}


@pytest.fixture
def local(tmp_path: Path, request: pytest.FixtureRequest) -> LocalRuns:
    """Local trials in a temporary folder. Parametrized indirectly it takes `preload`."""
    return LocalRuns(tmp_path, getattr(request, "param", None))

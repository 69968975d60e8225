"""Tells the person at the terminal how it goes: a live table where rich is installed, else now and then a line."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, TextIO

from offbeat.clock import Clock, SystemClock
from offbeat.events import ExperimentClosed, ExperimentSpec, LimitsChanged
from offbeat.protocols import ExperimentView, Recorded
from offbeat_reporters.progress import (
    Gatherer,
    Progress,
    constants,
    counted,
    ended,
    in_force,
    limit,
    number,
    settings,
    trouble,
)

if TYPE_CHECKING:
    from offbeat_reporters.live_table import LiveTable

HEARTBEAT: Final = 10.0
"""Seconds between two lines that only say that the run goes on, on the experiment's clock and on ours."""

NOTICES: Final = 5
"""Troubles told one by one; after that they are only counted, because a broken script fails by the hundred."""


class Console:
    """An observer for people; may skip events, since it shows the ledger and not the events.

    Args:
        stream: where to write, standard error by default.
        live: draw a table that stays in place; by default where the stream is a terminal and rich is installed.
        clock: paces the lines, so that a fast simulation does not flood the screen.
    """

    latest_only = True

    def __init__(self, stream: TextIO | None = None, *, live: bool | None = None, clock: Clock | None = None) -> None:
        self._stream = stream
        self._live = live
        self._clock = clock or SystemClock()
        self._table: LiveTable | None = None

    async def start(self, experiment: ExperimentView) -> None:
        """A session begins."""
        spec: ExperimentSpec = experiment.spec
        self._spec = spec
        self._experiment = experiment
        self._limits = in_force(experiment, spec.limits)
        self._head_is_due = True
        self._constants = constants(spec.space)
        self._metric = spec.metrics[0].name
        self._gatherer = Gatherer(experiment)
        self._progress = self._gatherer.look()
        self._told = self._progress.best
        self._looked_at, self._cost = self._clock.monotonic(), 0.0
        self._line_at, self._line_elapsed = self._clock.monotonic(), self._progress.elapsed
        self._incumbent_at = float("-inf")
        self._troubles = 0
        self._outcome = ""
        stream = self._stream or sys.stderr
        self._out = stream
        if self._live or (self._live is None and stream.isatty()):
            try:
                from offbeat_reporters.live_table import LiveTable
            except ImportError:  # the extra `cli` is not installed
                self._table = None
            else:
                self._table = LiveTable(stream, experiment, self._progress)
                self._table.start()

    async def handle(self, events: Sequence[Recorded]) -> None:
        """Looks at the ledger, as often as that is cheap, and tells what is new."""
        self._follow_limits(events)
        self._head()
        for recorded in events:
            if (text := trouble(recorded.event)) is not None:
                self._trouble(text)
            elif isinstance(recorded.event, ExperimentClosed):
                self._outcome = ended(recorded.event)
        now = self._clock.monotonic()
        # At most a twentieth of the engine's time, however many trials are open.
        if now - self._looked_at < 20 * self._cost:
            return
        self._look(now)
        if self._table is not None:
            return
        progress = self._progress
        if progress.best != self._told and now - self._incumbent_at >= 1.0:
            self._tell_incumbent(now)
        elif min(progress.elapsed - self._line_elapsed, now - self._line_at) >= HEARTBEAT:
            self._tell_progress(now)

    async def finish(self) -> None:
        """The last word: how it ended, and the best."""
        self._follow_limits(())
        self._head()
        self._look(self._clock.monotonic())
        if self._table is not None:
            self._table.stop(self._outcome)
            self._table = None
            return
        if self._progress.best != self._told:
            self._tell_incumbent(self._clock.monotonic())
        self._tell_progress(self._clock.monotonic())
        if self._outcome:
            self._print(self._outcome)

    def _follow_limits(self, events: Sequence[Recorded]) -> None:
        for recorded in events:
            if isinstance(recorded.event, LimitsChanged):
                self._limits = recorded.event.limits
        # The event may have been skipped.
        self._limits = in_force(self._experiment, self._limits)
        if self._table is not None:
            self._table.limits = self._limits

    def _head(self) -> None:
        """Printed with the first events, not at the start: a session that is resumed changes its limits after that."""
        if self._table is not None or not self._head_is_due:
            return
        self._head_is_due = False
        spec = self._spec
        self._print(
            f"{spec.name}: {spec.scheduler.name} on {spec.backend.name}, {self._limits.workers}, "
            f"{'minimising' if spec.metrics[0].mode == 'min' else 'maximising'} {self._metric}"
        )

    def _look(self, now: float) -> None:
        self._progress = self._gatherer.look()
        self._looked_at = self._clock.monotonic()
        self._cost = self._looked_at - now
        if self._table is not None:
            self._table.progress = self._progress

    def _trouble(self, text: str) -> None:
        self._troubles += 1
        if self._troubles > NOTICES:
            return
        if self._troubles == NOTICES:
            text += f" (further ones are only counted; see: offbeat show {self._spec.name})"
        if self._table is not None:
            self._table.notices.append(text)
        else:
            self._print(text)

    def _tell_incumbent(self, now: float) -> None:
        best = self._progress.best
        assert best is not None
        at = f" at {self._spec.resource_attr} {best.resource}" if best.resource else ""
        self._incumbent_at = now
        self._told = best
        config = settings(best.config, self._constants)
        self._print(f"best: {self._metric} {number(best.value)}, trial {best.trial}{at}  ({config})")

    def _tell_progress(self, now: float) -> None:
        progress = self._progress
        self._line_at, self._line_elapsed = now, progress.elapsed
        best = f"; best {self._metric} {number(progress.best.value)}" if progress.best else ""
        rejected = f", {progress.rejected} reports not usable" if progress.rejected else ""
        rate = f", {progress.rate:.1f}/s" if progress.rate else ""
        of_limit = share(progress, limit(self._limits))
        self._print(f"{counted(progress.counts)}; {progress.results} results{rate}{rejected}{best}{of_limit}")

    def _print(self, text: str) -> None:
        print(f"[{self._progress.elapsed:7.1f} s] {text}", file=self._out, flush=True)


def share(progress: Progress, bound: tuple[str, float] | None) -> str:
    """`; 12 s of 30 s`, empty where no limit can be shown."""
    if bound is None:
        return ""
    name, most = bound
    if name == "max_wallclock_time":
        return f"; {progress.elapsed:.0f} s of {most:.0f} s"
    return f"; {progress.trials} of {most:.0f} trials"

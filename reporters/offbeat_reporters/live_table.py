"""The live picture of a run, drawn with rich in a thread of its own from the last `Progress`."""

from __future__ import annotations

import atexit
from typing import Final, TextIO

from rich import box
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from offbeat.events import ExperimentSpec
from offbeat.protocols import ExperimentView
from offbeat_reporters.progress import Progress, constants, counted, in_force, limit, number, settings

MOST_ROWS: Final = 16


class LiveTable:
    """Draws four times a second; the observer replaces `progress` and appends to `notices`.

    Args:
        stream: a terminal.
        experiment: asked for its specification and for the seconds that have passed.
    """

    def __init__(self, stream: TextIO, experiment: ExperimentView, progress: Progress) -> None:
        self.progress = progress
        self.notices: list[str] = []
        self._experiment = experiment
        self._spec: ExperimentSpec = experiment.spec
        self.limits = in_force(experiment, self._spec.limits)
        self._outcome = ""
        # The host's own output is left where it goes: nothing is redirected.
        self._live = Live(
            # Names and values are shown as they are, never read as markup.
            console=Console(file=stream, markup=False, highlight=False, emoji=False),
            get_renderable=self.picture,
            refresh_per_second=4,
            redirect_stdout=False,
            redirect_stderr=False,
        )

    def start(self) -> None:
        """Begins to draw; the cursor comes back even if the run ends without `stop`."""
        atexit.register(self._live.stop)
        self._live.start()

    def stop(self, outcome: str) -> None:
        """Draws the last picture and leaves it on the screen."""
        self._outcome = outcome
        self._live.refresh()
        self._live.stop()
        atexit.unregister(self._live.stop)

    def picture(self) -> RenderableType:
        """The whole picture."""
        facts = Table.grid(padding=(0, 1))
        facts.add_row("best", self._best())
        facts.add_row("trials", self._counts())
        parts: list[RenderableType] = [self._head(), facts]
        if self.progress.running:
            parts.append(self._running())
        parts += [Text(f"! {notice}", style="yellow", overflow="ellipsis", no_wrap=True) for notice in self.notices]
        if self._outcome:
            parts.append(Text(self._outcome, style="bold"))
        return Group(*parts)

    def _head(self) -> RenderableType:
        progress, spec, bound = self.progress, self._spec, limit(self.limits)
        elapsed = progress.elapsed if self._outcome else max(progress.elapsed, self._experiment.elapsed)
        line = Table.grid(padding=(0, 2))
        name = Text.assemble(
            (spec.name, "bold cyan"), f"  {spec.scheduler.name} on {spec.backend.name}, {self.limits.workers}"
        )
        if bound is None:
            line.add_row(name, f"{elapsed:.1f} s")
            return line
        what, most = bound
        done, text = (
            (elapsed, f"{elapsed:.1f} of {most:.0f} s")
            if what == "max_wallclock_time"
            else (float(progress.trials), f"{progress.trials} of {most:.0f} trials")
        )
        line.add_row(name, ProgressBar(total=most, completed=min(done, most), width=24), text)
        return line

    def _best(self) -> RenderableType:
        best, metric = self.progress.best, self._spec.metrics[0]
        if best is None:
            return Text(f"no result yet ({metric.name}, {metric.mode})", style="dim")
        at = f" at {self._spec.resource_attr} {best.resource}" if best.resource else ""
        return Text.assemble(
            (f"{metric.name} {number(best.value)}", "bold green"),
            f"  trial {best.trial}{at}  ",
            (settings(best.config, self._constants()), "dim"),
        )

    def _counts(self) -> RenderableType:
        progress = self.progress
        text = Text(f"{counted(progress.counts)};  {progress.results} results")
        if progress.rate:
            text.append(f", {progress.rate:.1f}/s")
        if progress.rejected:
            text.append(f", {progress.rejected} reports not usable", "yellow")
        return text

    def _running(self) -> RenderableType:
        spec, constants = self._spec, self._constants()
        running = self.progress.running[:MOST_ROWS]
        # Conditional hyperparameters are in some configurations only.
        names = dict.fromkeys(name for row in running for name in row.config if name not in constants)
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
        for head in ("trial", spec.resource_attr or "reports", spec.metrics[0].name):
            table.add_column(head, justify="right", no_wrap=True)
        for name in names:
            table.add_column(name, justify="right", style="dim", overflow="ellipsis", no_wrap=True)
        for row in running:
            until = f"/{row.until}" if row.until else ""
            table.add_row(
                str(row.trial),
                f"{row.resource}{until}",
                "-" if row.value is None else number(row.value),
                *(number(row.config.get(name, "")) for name in names),
            )
        left = len(self.progress.running) - MOST_ROWS
        if left > 0:
            table.add_row("...", f"{left} more", "")
        return table

    def _constants(self) -> frozenset[str]:
        return constants(self._spec.space)

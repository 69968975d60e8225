"""Shows a run in a notebook: one picture in the cell that started it, drawn anew as the run goes on."""

from __future__ import annotations

import asyncio
import uuid
import weakref
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any, Final, TypeAlias

from offbeat.clock import Clock, SystemClock
from offbeat.contained import Raised, Worker
from offbeat.errors import InvalidArgument
from offbeat.events import ExperimentClosed, ExperimentSpec, LimitsChanged, TrialResult
from offbeat.protocols import ExperimentView, Recorded
from offbeat.results import COUNTED
from offbeat_reporters import picture
from offbeat_reporters.progress import Gatherer, ended, in_force, trouble

BEAT: Final = 0.5
"""Seconds between two pictures; more where drawing one takes more than a twentieth of that."""

Display: TypeAlias = Callable[[Mapping[str, str], bool], None]
"""Shows the forms of one picture (MIME type -> text); with True, in the place of the one before."""


class Notebook:
    """An observer for people in notebooks; may skip events, since it shows the ledger and not the events.

    Args:
        display: shows a picture, by default in the running cell of this Jupyter kernel. Called in a thread.
        clock: measures what drawing costs.

    Raises InvalidArgument where there is no kernel to show anything.
    """

    latest_only = True

    def __init__(self, display: Display | None = None, *, clock: Clock | None = None) -> None:
        self._display = display or _cell()
        self._clock = clock or SystemClock()

    async def start(self, experiment: ExperimentView) -> None:
        """Shows the first picture, and begins to draw."""
        spec: ExperimentSpec = experiment.spec
        self._experiment, self._spec = experiment, spec
        self._metric = spec.metrics[0].name
        self._sign = 1.0 if spec.metrics[0].mode == "min" else -1.0
        self._limits = in_force(experiment, spec.limits)
        self._gatherer = Gatherer(experiment)
        self._best: list[tuple[float, float]] = []
        self._troubles: list[str] = []
        self._more = 0
        self._outcome = ""
        self._pause = BEAT
        self._lock = asyncio.Lock()
        self._failed: BaseException | None = None
        await self._show(again=False)
        self._raise()
        self._beats = asyncio.create_task(_beat(weakref.ref(self)))

    async def handle(self, events: Sequence[Recorded]) -> None:
        """Notes what the ledger does not keep; the next picture shows it."""
        self._raise()
        for recorded in events:
            event = recorded.event
            if type(event) is TrialResult:
                if event.verdict in COUNTED:
                    self._compare(event.at, event.metrics[self._metric])
            elif isinstance(event, LimitsChanged):
                self._limits = event.limits
            elif isinstance(event, ExperimentClosed):
                self._outcome = ended(event)
            elif (text := trouble(event)) is not None:
                if len(self._troubles) < picture.NOTICES:
                    self._troubles.append(text)
                else:
                    self._more += 1

    async def finish(self) -> None:
        """Shows the last picture."""
        self._beats.cancel()
        await asyncio.wait([self._beats])
        await self._show()
        self._raise()

    def _compare(self, at: float, value: float) -> None:
        if not self._best or self._sign * value < self._sign * self._best[-1][1]:
            self._best.append((at, value))

    async def _show(self, *, again: bool = True) -> None:
        async with self._lock:
            began = self._clock.monotonic()
            moment = self._moment()
            pictures = {"text/html": picture.html(moment), "text/plain": picture.text(moment)}
            self._pause = max(BEAT, 20 * (self._clock.monotonic() - began))
            worker = Worker("offbeat-display")  # one for each picture: a run that is cut off leaves no thread behind
            try:
                answer = await worker.call(self._display, pictures, again)
            finally:
                worker.close()
        if isinstance(answer, Raised):
            self._failed = answer.error

    def _moment(self) -> picture.Moment:
        progress = self._gatherer.look()
        elapsed = progress.elapsed
        if progress.best is not None:
            # The event may have been skipped.
            self._compare(elapsed, progress.best.value)
        self._limits = in_force(self._experiment, self._limits)
        return picture.Moment(
            self._spec, self._limits, progress, elapsed, self._best, self._troubles, self._more, self._outcome
        )

    def _raise(self) -> None:
        if self._failed is not None:
            raise self._failed


async def _beat(observer: weakref.ref[Notebook]) -> None:
    """Draws until it is cancelled, or nobody holds the observer any more: a run that is cut off does not finish it."""
    pause = BEAT
    while True:
        await asyncio.sleep(pause)
        one = observer()
        if one is None or one._failed is not None:
            return
        await one._show()
        pause = one._pause
        del one


def _cell() -> Display:
    """The running cell of this kernel. Raises InvalidArgument."""
    try:
        ipython: Any = import_module("IPython")
    except ImportError:
        ipython = None
    shell = ipython.get_ipython() if ipython is not None else None
    if getattr(shell, "kernel", None) is None:
        raise InvalidArgument(
            "The observer 'notebook' shows a run in a cell of a Jupyter notebook (pip install ipykernel), and this is none; "
            "use 'console' here."
        )
    name = uuid.uuid4().hex
    display = import_module("IPython.display").display

    def show(pictures: Mapping[str, str], again: bool) -> None:
        display(dict(pictures), raw=True, display_id=name, update=again)

    return show

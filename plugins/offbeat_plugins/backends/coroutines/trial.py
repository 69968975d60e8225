"""What an objective is given: its trial's configuration, its place for checkpoints, and the way to report."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, TypeAlias

from offbeat.home import ExperimentFolder
from offbeat.report import checked
from offbeat.signals import StartTrial

Decision: TypeAlias = Literal["continue"]
"""What a report returns; a trial that is to stop or pause is cancelled instead."""

Send: TypeAlias = Callable[[dict[str, Any]], "asyncio.Future[Decision]"]


class Trial:
    """One attempt at one configuration.

    Attributes:
        id: counts the trials from 0; attempt: which execution of it this is, from 0.
        config: hyperparameters and constants; under the space's `max_resource_attr` how far this attempt is to run.
        seed: a number for the trial's own generators, the same for all its attempts.
        slot: worker number, from 0, below the number of workers.
    """

    __slots__ = ("_folder", "_refuse", "_send", "attempt", "config", "id", "seed", "slot")

    def __init__(
        self, start: StartTrial, folder: ExperimentFolder, send: Send, refuse: Callable[[str, dict[str, Any]], None]
    ) -> None:
        self.id = int(start.trial)
        self.attempt = start.attempt
        self.config = start.config
        self.seed = start.seed
        self.slot = start.slot
        self._folder = folder
        self._send = send
        self._refuse = refuse

    @property
    def checkpoint_dir(self) -> Path:
        """The trial's folder for checkpoints, made when it is first asked for.

        What lies in it was left by an earlier attempt of this trial, or copied from the trial that it goes on from.
        """
        path = self._folder.checkpoints(self.id)
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        return path

    async def report(self, /, **metrics: Any) -> Decision:
        """Reports metrics and waits for the decision; returns "continue", or raises CancelledError for a stop or pause.

        Values are numbers, text or booleans, NumPy scalars and one-element arrays included; NaN and infinities are
        allowed. Raises ValueError or TypeError, naming the key, for anything else (the refusal is recorded), and
        RuntimeError where a task that the objective has left behind reports after the trial's end.
        """
        try:
            values = checked(metrics)
        except (TypeError, ValueError) as error:
            self._refuse(str(error), metrics)
            raise
        return await self._send(values)

    def __repr__(self) -> str:
        return f"<trial {self.id} attempt={self.attempt}>"

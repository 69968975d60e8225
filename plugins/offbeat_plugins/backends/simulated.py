"""Simulated time: trials are looked up in a blackbox instead of being executed, through the same engine as real ones."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from math import inf
from pathlib import Path
from typing import Any, Literal

import anyio
import msgspec

from offbeat.arguments import explained
from offbeat.blackbox import load_blackbox
from offbeat.byte_sizes import byte_count
from offbeat.describe import described
from offbeat.errors import InvalidArgument
from offbeat.protocols import BackendContext, BackendSession, Blackbox
from offbeat_plugins.backends.simulation.curves import CurveReader, FallingTime
from offbeat_plugins.backends.simulation.faults import FaultProfile
from offbeat_plugins.backends.simulation.past import Past
from offbeat_plugins.backends.simulation.run import Timing
from offbeat_plugins.backends.simulation.session import SimulatedSession
from offbeat_plugins.backends.simulation.thinking import Thinking, ThinkingTime, checked


@described
@explained
class SimulatedBackend:
    """Replays the curves of a blackbox in simulated time, exactly and repeatably.

    A run is a function of its arguments and seeds: it repeats bit by bit, also if it was killed at any event and resumed.
    Signals of equal time come first-in-first-out. A trial whose configuration the blackbox does not know, whose curve is
    malformed, or that is to run past the table's end fails and says why. The end of the run ends its trials in that moment,
    without delays.

    Args:
        blackbox: name of a plugin in `offbeat.blackboxes` ("digits"), or an object, which has to be passed again on resume.
        dataset: which data set of a blackbox given by name.
        repository: folder of blackbox folders in which a name is looked for; see `offbeat.blackbox.load_blackbox`.
        elapsed_time_attr: the objective that holds the seconds of training; None: the one that the blackbox names. It is
            reported as time since the attempt's start.
        max_resource_attr: entry of the configuration that says up to which resource level an attempt runs; None: to the
            table's end. Give the scheduler's.
        seed: which replicate of the blackbox all trials see; None: each trial its own, drawn by experiment seed and trial
            and kept when it is resumed.
        support_checkpointing: an attempt goes on behind the last level that its trial (or its donor) has reported; False:
            it begins again and pays again.
        checkpoint_size: bytes of each trial's checkpoint, or "35 MB", for experiments with a budget for them.
        delay_start: seconds from the command to the attempt's beginning.
        delay_stop: until a stop or pause takes effect; reports until then arrive late.
        delay_on_trial_result: until a report arrives.
        delay_complete_after_final_report, delay_complete_after_stop: until the attempt's end is known.
            All delays are 0 by default (Syne Tune 0.13 has 0.05 for each).
        thinking_time: what a scheduler's computing costs, as a delay of the start that came of it, one start after the
            other: "free"; "measured": the real seconds since the last signal, which makes a run unrepeatable; seconds; or a
            function from the number of starts before to seconds.
        faults: what goes wrong: "spot-5%", a `FaultProfile` or its fields; see there. fault_seed: in place of its seed.
        dollars_per_hour: price of a worker; reports then carry `st_worker_cost`.
        falling_time: an elapsed time that falls fails the trial ("error") or is replaced by its "running-max".

    Raises InvalidArgument, UnknownPlugin, MissingExtra.
    """

    time: Literal["real", "simulated"] = "simulated"
    suspends = True

    def __init__(
        self,
        blackbox: str | Blackbox,
        *,
        dataset: str | None = None,
        repository: str | os.PathLike[str] | None = None,
        elapsed_time_attr: str | None = None,
        max_resource_attr: str | None = None,
        seed: int | None = None,
        support_checkpointing: bool = True,
        checkpoint_size: int | str | None = None,
        delay_start: float = 0.0,
        delay_stop: float = 0.0,
        delay_on_trial_result: float = 0.0,
        delay_complete_after_final_report: float = 0.0,
        delay_complete_after_stop: float = 0.0,
        thinking_time: ThinkingTime = "free",
        faults: str | Mapping[str, Any] | FaultProfile | None = None,
        fault_seed: int | None = None,
        dollars_per_hour: float | None = None,
        falling_time: FallingTime = "error",
    ) -> None:
        if isinstance(blackbox, str):
            self.default_name = f"{blackbox}-{dataset}" if dataset is not None else blackbox
            blackbox = load_blackbox(blackbox, dataset, repository=repository)
        elif dataset is not None or repository is not None:
            given = f"dataset={dataset!r}" if dataset is not None else f"repository={str(repository)!r}"
            raise InvalidArgument(f"{given} goes with a blackbox given by name; this one is an object.")
        else:
            self.default_name = "simulated"
        self.blackbox = blackbox
        self._reader = CurveReader(blackbox, elapsed_attr=elapsed_time_attr, falling_time=falling_time)
        if seed is not None and (isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < blackbox.seeds):
            raise InvalidArgument(
                f"seed={seed!r}: the blackbox has replicates 0 to {blackbox.seeds - 1}; None gives each trial its own."
            )
        self._seed = seed
        self._timing = Timing(
            _seconds("delay_start", delay_start),
            _seconds("delay_stop", delay_stop),
            _seconds("delay_on_trial_result", delay_on_trial_result),
            _seconds("delay_complete_after_final_report", delay_complete_after_final_report),
            _seconds("delay_complete_after_stop", delay_complete_after_stop),
        )
        if delay_on_trial_result > delay_complete_after_final_report:
            raise InvalidArgument(
                f"delay_on_trial_result={delay_on_trial_result!r} is longer than delay_complete_after_final_report="
                f"{delay_complete_after_final_report!r}: a trial's last report would come after its end."
            )
        self._thinking_time: ThinkingTime = checked(thinking_time)
        self._max_resource_attr = max_resource_attr
        if not isinstance(support_checkpointing, bool):
            raise InvalidArgument(f"support_checkpointing={support_checkpointing!r}: give True or False.")
        self._checkpoints = support_checkpointing
        self._checkpoint_size = None if checkpoint_size is None else byte_count(checkpoint_size, "checkpoint_size")
        if checkpoint_size is not None and not support_checkpointing:
            raise InvalidArgument(
                f"checkpoint_size={checkpoint_size!r}: with support_checkpointing=False there are no checkpoints; leave one out."
            )
        self.measures_checkpoints = checkpoint_size is not None
        self.faults = FaultProfile.of(faults, fault_seed)
        if dollars_per_hour is not None:
            _seconds("dollars_per_hour", dollars_per_hour)
        self._price = dollars_per_hour
        self.recorded_arguments = {} if self.faults is None else {"faults": msgspec.to_builtins(self.faults)}
        if repository is not None:
            self.recorded_arguments["repository"] = os.fspath(Path(repository).expanduser().absolute())

    @asynccontextmanager
    async def open(self, context: BackendContext) -> AsyncIterator[BackendSession]:
        """A session at `context.now`; the journal of earlier ones is read for checkpoints and the order of equal times."""
        thinking = Thinking.of(self._thinking_time)
        past = await anyio.to_thread.run_sync(
            lambda: Past.read(context.folder, checkpoints=self._checkpoints, thinking=thinking)
        )
        yield SimulatedSession(
            self._reader,
            past,
            context.now,
            timing=self._timing,
            max_resource_attr=self._max_resource_attr,
            seed=self._seed,
            checkpoints=self._checkpoints,
            checkpoint_size=self._checkpoint_size if context.checkpoint_sizes else None,
            thinking=thinking,
            faults=self.faults,
            dollars_per_hour=self._price,
        )


def _seconds(name: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < inf:
        raise InvalidArgument(f"{name}={value!r}: give a number, 0 or more.")
    return float(value)

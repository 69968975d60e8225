"""From report to decision, and from decision to command.  python benchmarks/latency.py

Report to decision: a trial reports every 20 ms and sends its clock reading along; the scheduler looks at the same clock
when it is asked. Goals: p50 0.3 ms, p95 1.5 ms.
Decision to command: every trial is stopped at its third report; the time from the scheduler's answer to the stop's
arrival at the backend is set against an fdatasync of one line beside the journal, measured in the same run on the same
core. Goal: 1 ms + 1.2 x that fdatasync.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from measure import machine, pin, quantile, say, scratch

from offbeat import Objective, ProposalRequest, Space, Start, Stop, StoppingCriterion, Tuner
from offbeat.backend import LocalBackend
from offbeat.config_space import uniform
from offbeat.events import Event, TrialResult
from offbeat.signals import StopTrial

TRIALS = Path(__file__).parent / "trials"


class Watching:
    """Random search that notes when it was told of a report, and stops each trial at its third if asked to."""

    seed = 0

    def __init__(self, stop_at: int, epochs: int, interval: float) -> None:
        self.space = Space({"lr": uniform(0, 1), "epochs": epochs, "interval": interval})
        self.objective = Objective.of("loss", resource_attr="epoch")
        self.delays: list[float] = []
        self.decided: dict[int, float] = {}
        self._stop_at = stop_at

    def observe(self, event: Event, ledger: Any) -> Sequence[Stop]:
        if isinstance(event, TrialResult):
            now = time.monotonic()
            self.delays.append(now - event.metrics["sent"])
            if event.resource == self._stop_at:
                self.decided[event.trial] = now
                return (Stop(event.trial, "for the benchmark"),)
        return ()

    def propose(self, request: ProposalRequest, ledger: Any) -> Start:
        return Start(config={"lr": request.rng("lr").random()})


class Noting(LocalBackend):
    """The local backend with a note of when a stop reached it."""

    reached: dict[int, float]

    def open(self, context: Any) -> Any:
        manager = super().open(context)
        notes = self.reached

        class Opened:
            async def __aenter__(self) -> Any:
                session = await manager.__aenter__()
                submit = session.submit

                def noting(command: Any) -> None:
                    if isinstance(command, StopTrial):
                        notes[command.trial] = time.monotonic()
                    submit(command)

                session.submit = noting  # type: ignore[method-assign]
                return session

            async def __aexit__(self, *error: Any) -> Any:
                return await manager.__aexit__(*error)

        return Opened()


def run(home: str, *, stop_at: int, epochs: int, interval: float, trials: int) -> tuple[Watching, dict[int, float]]:
    scheduler, backend = Watching(stop_at, epochs, interval), Noting(TRIALS / "reporting.py")
    backend.reached = {}
    Tuner(
        backend, scheduler, StoppingCriterion(max_num_trials_started=trials), n_workers=2, observers=[], home=home
    ).run()
    return scheduler, backend.reached


def fdatasync(folder: str, times: int = 200) -> list[float]:
    """Seconds to append a line and sync it, as a group of the journal does."""
    fd = os.open(Path(folder) / "probe", os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    taken = []
    for _ in range(times):
        began = time.monotonic()
        os.write(fd, b"x" * 300)
        os.fdatasync(fd)
        taken.append(time.monotonic() - began)
    os.close(fd)
    return taken


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=3)
    runs = parser.parse_args().runs
    pin()
    say(benchmark="latency", machine=machine(), runs=runs)
    with scratch() as home:
        p50s, p95s, p99s = [], [], []
        for _ in range(runs):
            scheduler, _ = run(home, stop_at=0, epochs=250, interval=0.02, trials=2)
            delays = scheduler.delays[10:]
            p50s.append(quantile(delays, 0.5))
            p95s.append(quantile(delays, 0.95))
            p99s.append(quantile(delays, 0.99))
        say(
            what="report to decision", reports=len(delays), p50_ms=1e3 * statistics.median(p50s),
            p95_ms=1e3 * statistics.median(p95s), p99_ms=1e3 * statistics.median(p99s),
        )  # fmt: skip
        waits, syncs = [], []
        for _ in range(runs):
            syncs += fdatasync(home)
            scheduler, reached = run(home, stop_at=3, epochs=1000, interval=0.02, trials=30)
            waits += [reached[trial] - at for trial, at in scheduler.decided.items() if trial in reached]
            syncs += fdatasync(home)
        sync, wait = statistics.median(syncs), statistics.median(waits)
        say(
            what="decision to command", stops=len(waits), p50_ms=1e3 * wait, p95_ms=1e3 * quantile(waits, 0.95),
            fdatasync_p50_ms=1e3 * sync, fdatasync_p95_ms=1e3 * quantile(syncs, 0.95), goal_p50_ms=1 + 1.2e3 * sync,
        )  # fmt: skip


if __name__ == "__main__":
    main()

"""A service that tunes itself while it serves: plain asyncio, no web framework, nothing installed beyond offbeat.

    python -m offbeat.demo.service
    curl localhost:8765/          the settings in use, and how the search stands
    curl localhost:8765/events    what happens, a line of JSON each, as it happens

The service answers requests in batches. Two settings matter: how many requests it takes at most, and how long it waits for
more of them. While it serves, trials replay an hour of recorded traffic after the other with other settings and report the
mean latency; they are coroutines of the same event loop. Whenever one that ran to its end was better than all before, the
service goes on with its settings.
"""

from __future__ import annotations

import argparse
import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from offbeat.demo.http import Answer, listening, port_of

if TYPE_CHECKING:
    from offbeat.session import Session
    from offbeat.tuner import Tuner

HOURS: Final = 9
REQUESTS: Final = 4000
"""Requests of an hour of traffic."""

DEFAULTS: Final = {"batch": 64, "window": 50.0}


def latencies(config: dict[str, Any], hour: int) -> Iterator[float]:
    """Milliseconds that each request of an hour takes: waiting for its batch to fill, then for the batch to be answered."""
    from offbeat.seeds import generator

    arrivals = generator(0, "traffic", hour).exponential(2.0, REQUESTS).cumsum().tolist()
    free = 0.0
    first = 0
    while first < len(arrivals):
        closes = max(arrivals[first] + config["window"], free)
        full = arrivals[first : first + config["batch"]]
        taken = [at for at in full if at <= closes]
        starts = max(free, closes if len(taken) < config["batch"] else taken[-1])
        free = starts + 5.0 + 0.5 * len(taken)
        yield from (free - at for at in taken)
        first += len(taken)


async def objective(trial: Any) -> None:
    """Replays the hours, and reports the mean so far after each."""
    found: list[float] = []
    for hour in range(1, HOURS + 1):
        found += latencies(trial.config, hour)
        await trial.report(hour=hour, latency=sum(found) / len(found))


def tuner(*, trials: int = 60, name: str | None = None, home: str | os.PathLike[str] | None = None) -> Tuner:
    """The search, ready to run beside the service."""
    from offbeat.backend import CoroutineBackend
    from offbeat.config_space import lograndint, loguniform
    from offbeat.optimizer.baselines import ASHA
    from offbeat.stopping import StoppingCriterion
    from offbeat.tuner import Tuner

    space = {"batch": lograndint(1, 256), "window": loguniform(0.1, 200.0), "hours": HOURS}
    scheduler = ASHA(space, metric="latency", resource_attr="hour", max_resource_attr="hours", random_seed=0)
    stop = StoppingCriterion(max_num_trials_started=trials)
    # By its place: so the journal can describe it, and `offbeat resume` find it again.
    backend = CoroutineBackend("offbeat.demo.service:objective")
    return Tuner(backend, scheduler, stop, n_workers=4, name=name, observers=[], home=home)


class Service:
    """Answers HTTP requests, and goes on with better settings as they are found.

    Attributes:
        settings: in use; latency: what their trial reported, None for the ones that it began with.
        port: where it listens, once `serving` is set.
    """

    def __init__(self, tuner: Tuner, port: int = 8765) -> None:
        self.settings: dict[str, Any] = dict(DEFAULTS)
        self.latency: float | None = None
        self.port = port
        self.serving = asyncio.Event()
        self.outcome = "searching"
        self._tuner = tuner
        self._session: Session | None = None

    async def run(self) -> None:
        """Serves until it is cancelled; then the search stops too, resumable."""
        async with self._tuner.session() as session:
            self._session = session
            async with listening(self._answer, self.port) as server:
                self.port = port_of(server)
                self.serving.set()
                await self._follow(session)
                self.outcome = (await session.wait()).reason
                await server.serve_forever()

    async def _follow(self, session: Session) -> None:
        from offbeat.events import TrialFinished

        async for recorded in session.events(0):
            if isinstance(recorded.event, TrialFinished):
                trial = session.ledger[recorded.event.trial]
                latency = (trial.last or {})["latency"]
                if self.latency is None or latency < self.latency:
                    self.settings, self.latency = {name: trial.config[name] for name in DEFAULTS}, latency

    async def _answer(self, request: str, _body: Any) -> Answer:
        if request == "GET /":
            return 200, self.status()
        if request == "GET /events":
            return 200, self._events()
        return 404, {"error": "There are GET / and GET /events."}

    async def _events(self) -> AsyncIterator[dict[str, Any]]:
        from offbeat.events import wire_name

        assert self._session is not None
        async for recorded in self._session.events(0):
            event = recorded.event
            trial = getattr(event, "trial", None)
            yield {"seq": recorded.seq, "at": event.at, "event": wire_name(event), "trial": trial}

    def status(self) -> dict[str, Any]:
        """What `GET /` answers."""
        assert self._session is not None
        ledger = self._session.ledger
        running = sum(trial.status.occupies_slot for trial in ledger)
        return {
            "settings": self.settings, "latency": self.latency, "search": self.outcome, "experiment": self._session.name,
            "trials": len(ledger), "running": running,
        }  # fmt: skip


async def serve(port: int, trials: int) -> None:
    """What the module does as a script."""
    service = Service(tuner(trials=trials), port)
    task = asyncio.create_task(service.run())
    serving = asyncio.create_task(service.serving.wait())
    await asyncio.wait([task, serving], return_when=asyncio.FIRST_COMPLETED)
    if service.serving.is_set():
        print(f"http://127.0.0.1:{service.port}", flush=True)
    serving.cancel()
    await task


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="A service that tunes itself while it serves.")
    parser.add_argument("--port", type=int, default=8765)
    parser.add_argument("--trials", type=int, default=60)
    arguments = parser.parse_args()
    with suppress(KeyboardInterrupt):
        asyncio.run(serve(arguments.port, arguments.trials))

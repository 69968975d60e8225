"""How many events a second does the bus carry, with no observer and with ten?  python benchmarks/bus.py

Goals: 300k events/s without observers, 100k with ten. Turns of one event each, as real trials make them; the observers
are coroutine methods that count. The floor is a list append per event.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import time
from collections.abc import Sequence

from measure import machine, pin, say

from offbeat.bus import Bus
from offbeat.events import Event, PluginFailed, TrialResult
from offbeat.protocols import Recorded
from offbeat.trial import TrialId


class Counting:
    """The least an observer can do."""

    def __init__(self) -> None:
        self.count = 0

    async def handle(self, events: Sequence[Recorded]) -> None:
        self.count += len(events)


async def read_back(first: int, count: int) -> Sequence[Recorded]:
    raise AssertionError("nothing leaves the tail here")


def failed(event: PluginFailed) -> None:
    raise AssertionError(event.error)


async def rate(events: Sequence[Event], observers: int) -> float:
    bus = Bus(read_back, failed)
    bus.begin(0)
    watching = [Counting() for _ in range(observers)]
    bus.open([(f"counting-{i}", one) for i, one in enumerate(watching)])
    async with asyncio.TaskGroup() as group:
        for lane in bus.lanes:
            group.create_task(bus.drain(lane, None))  # type: ignore[arg-type]
        began = time.perf_counter()
        for i, event in enumerate(events):
            bus.publish((event,))
            if i % 200 == 0:
                await asyncio.sleep(0)
        bus.close()
    seconds = time.perf_counter() - began
    assert all(one.count == len(events) for one in watching)
    return len(events) / seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=200_000)
    parser.add_argument("--runs", type=int, default=7)
    arguments = parser.parse_args()
    pin()
    events = [TrialResult(float(i), TrialId(i % 50), 0, i, 1, {"loss": 0.5}) for i in range(arguments.events)]
    say(benchmark="bus", machine=machine(), events=arguments.events, runs=arguments.runs)
    for observers in (0, 1, 10):
        rates = [asyncio.run(rate(events, observers)) for _ in range(arguments.runs)]
        say(observers=observers, events_per_s=statistics.median(rates))


if __name__ == "__main__":
    main()

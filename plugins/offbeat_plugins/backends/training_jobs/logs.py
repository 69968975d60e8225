"""Results out of CloudWatch: report lines of all jobs of an experiment, each once, in the order of its job.

CloudWatch takes lines in late and out of order, so every reading begins some time before the end of the last one, and what
was seen already is known by its event's id.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import Any, Final

import msgspec

from offbeat.signals import Garbled, Reported
from offbeat.trial import TrialId
from offbeat_plugins.backends.training_jobs.calls import Refused
from offbeat_plugins.backends.wire import Rejection, parse

GROUP: Final = "/aws/sagemaker/TrainingJobs"
MARK: Final = "[tune-metric]:"
PATTERN: Final = '"[tune-metric]"'

OVERLAP: Final = 120_000
"""Milliseconds by which a reading reaches back behind the newest line of the one before."""

_STREAM: Final = re.compile(r"([^/]+)/(?:algo-(\d+)|[^/]*?)(?:-\d+)?")


class Line(msgspec.Struct, frozen=True, gc=False):
    """A report line: job and stream it came from, milliseconds since 1970, its text behind the mark."""

    job: str
    stream: str
    at: int
    text: str


class Log:
    """The experiment's part of the log.

    Args:
        call: of the service `logs`.
        prefix: that all its streams' names begin with.
        since: milliseconds since 1970 before which nothing is looked for; None: no limit.
    """

    def __init__(self, call: Callable[..., Awaitable[dict[str, Any]]], prefix: str, since: int | None = None) -> None:
        self._call = call
        self._prefix = prefix
        self._since = since
        self._newest = 0
        self._seen: dict[str, int] = {}

    async def read(self) -> list[Line]:
        """Lines that were not there at the last reading, by time; all of them or, where that fails, none."""
        wanted: dict[str, Any] = {
            "logGroupName": GROUP,
            "logStreamNamePrefix": self._prefix,
            "filterPattern": PATTERN,
        }
        start = max(self._since or 0, self._newest - OVERLAP)
        if start > 0:
            wanted["startTime"] = start
        found: list[dict[str, Any]] = []
        token: str | None = None
        while True:
            more = {"nextToken": token} if token else {}
            try:
                page = await self._call("filter_log_events", **wanted, **more)
            except Refused as refused:
                if refused.code == "ResourceNotFoundException":  # the first job has not said anything yet
                    return []
                raise
            found += page.get("events", ())
            token = page.get("nextToken")
            if not token:
                break
        fresh = {event["eventId"]: event for event in found if event["eventId"] not in self._seen}
        for name, event in fresh.items():
            self._seen[name] = event["timestamp"]
            self._newest = max(self._newest, event["timestamp"])
        limit = self._newest - OVERLAP
        if len(self._seen) > 2 * len(found) + 1000:
            self._seen = {name: at for name, at in self._seen.items() if at >= limit}
        # Ids grow with time, so they order the lines of one millisecond.
        ordered = sorted(fresh.values(), key=lambda event: (event["timestamp"], event["eventId"]))
        return [line for event in ordered if (line := _line(event)) is not None]


def _line(event: dict[str, Any]) -> Line | None:
    stream, message = event["logStreamName"], event["message"]
    name = _STREAM.fullmatch(stream)
    start = message.find(MARK)
    # Of several machines the first one speaks for the trial.
    if start < 0 or (name is not None and name[2] not in (None, "1")):
        return None
    return Line(stream.partition("/")[0], stream, event["timestamp"], message[start + len(MARK) :].strip())


class Numbered:
    """One attempt's report lines as numbered reports.

    The reporter counts its reports in `st_worker_iter`, so that a late line finds its place. A container that SageMaker
    restarts (spot) counts from 0 again, in a stream of its own: its numbers go on behind those of the stream before.
    """

    def __init__(self, trial: TrialId, attempt: int) -> None:
        self._trial, self._attempt = trial, attempt
        self._bases: dict[str, int] = {}
        self._next = 0

    def take(self, line: Line) -> Reported | Garbled:
        """The signal that a line stands for."""
        base = self._bases.setdefault(line.stream, self._next)
        raw = f'{{"v":1,"trial":{int(self._trial)},"attempt":{self._attempt},"seq":0,"metrics":{line.text}}}'
        parsed: Reported | Rejection = parse(raw.encode(), self._trial, self._attempt, self._next)
        if not isinstance(parsed, Reported):
            return Garbled(self._trial, self._attempt, parsed[0], line.text[:200])
        count = parsed.metrics.get("st_worker_iter")
        seq = base + count if type(count) is int and count >= 0 else self._next
        self._next = max(self._next, seq + 1)
        return Reported(self._trial, self._attempt, seq, parsed.metrics)

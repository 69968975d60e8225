"""How an attempt ended: from what the shim tells to what the engine is told, in words."""

from __future__ import annotations

from typing import Any

from offbeat.signals import Ended
from offbeat_plugins.backends.processes.attempt import Running
from offbeat_plugins.backends.processes.tree import in_words


def end_of(running: Running, message: dict[str, Any], *, interrupted: bool, no_report: str) -> Ended:
    """The signal that is made of a shim's last message about an attempt.

    interrupted: all attempts were told to end at once; no_report: see `Options`.
    """
    trial, attempt = running.start.trial, running.start.attempt
    detail = message.get("detail", "")
    status = message.get("status")
    how_it_ended = "it was not started" if status is None else in_words(status)
    if running.commanded:
        return Ended(trial, attempt, "ended", how_it_ended, detail)
    if message.get("lost"):
        return Ended(trial, attempt, "lost", "the process that watched over it was killed")
    if message.get("error"):
        return Ended(trial, attempt, "failed", message["error"], detail)
    if running.over_limit and message.get("asked"):
        return Ended(trial, attempt, "failed", running.over_limit, detail)
    if interrupted and message.get("asked"):
        return Ended(trial, attempt, "ended", how_it_ended, detail)
    if status == 0:
        # One that goes on from a checkpoint may find that everything was done.
        if no_report and not running.reports and not running.start.resume:
            return Ended(trial, attempt, "failed", no_report, detail)
        return Ended(trial, attempt, "finished")
    return Ended(trial, attempt, "failed", how_it_ended, detail)

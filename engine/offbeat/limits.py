"""Asks the stopping criterion, and no more often than its answer can change."""

from __future__ import annotations

from math import inf

from offbeat.budget import Usage
from offbeat.combining import slack_of
from offbeat.stopping import Stopper, Verdict


class LimitWatch:
    """The criterion's last verdict, and until when it holds.

    Attributes:
        until: time on the experiment's clock at which the criterion has to be asked again, whatever else happens; inf if
            only events can change its mind.
        slack: for how many more steps it need not be asked before then.
    """

    def __init__(self, stopper: Stopper | None, usage: Usage) -> None:
        self.until = inf
        self._stopper = stopper
        self._usage = usage
        self.slack = 0

    def verdict(self) -> Verdict | None:
        """After one more step: what the criterion says, None if it cannot have changed. Raises what it raises."""
        if self.slack > 0 and self._usage.elapsed < self.until:
            self.slack -= 1
            return None
        return self.asked()

    def asked(self) -> Verdict | None:
        """What the criterion says now. Raises what it raises."""
        stopper, usage = self._stopper, self._usage
        if stopper is None:
            self.slack = 1 << 30
            return None
        verdict = stopper.verdict(usage)
        self.slack = slack_of(stopper, usage)
        when = stopper.next_time(usage)
        self.until = inf if when is None else when
        return verdict

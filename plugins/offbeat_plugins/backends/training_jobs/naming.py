"""Names of training jobs: one for each attempt, the same whenever it is made, so that a job is never started twice."""

from __future__ import annotations

import re
from typing import Final

from offbeat.trial import TrialId

LONGEST: Final = 63
TOKEN: Final = 8
TAG: Final = "offbeat:experiment"

_JOB: Final = re.compile(r".*-(\d+)-(\d+)")


class Names:
    """Names of one experiment's jobs, `<experiment>-<token>-<trial>-<attempt>`, and where its objects lie.

    Args:
        experiment: its name; characters that SageMaker forbids become dashes.
        token: `TOKEN` letters and digits of this experiment alone, so that another one of the same name (in another folder,
            by another person) has other jobs.
    """

    def __init__(self, experiment: str, token: str) -> None:
        # Room for the token, a trial number of 9 digits, an attempt of 4 and three dashes.
        plain = re.sub(r"[^a-zA-Z0-9]+", "-", experiment).strip("-")[: LONGEST - TOKEN - 16].rstrip("-")
        self.token = token
        self.prefix = f"{plain or 'offbeat'}-{token}-"

    def job(self, trial: int, attempt: int) -> str:
        """Name of the job of an attempt."""
        return f"{self.prefix}{int(trial)}-{attempt}"

    def attempt(self, job: str) -> tuple[TrialId, int] | None:
        """Trial and attempt of a job of this experiment; None for a foreign one."""
        found = _JOB.fullmatch(job) if job.startswith(self.prefix) else None
        if found is None:
            return None
        trial, attempt = int(found[1]), int(found[2])
        return (TrialId(trial), attempt) if self.job(trial, attempt) == job else None

    def tags(self, trial: int, attempt: int) -> list[dict[str, str]]:
        """The job's tags: whose it is."""
        values = {TAG: self.prefix.rstrip("-"), "offbeat:trial": str(int(trial)), "offbeat:attempt": str(attempt)}
        return [{"Key": key, "Value": value} for key, value in values.items()]

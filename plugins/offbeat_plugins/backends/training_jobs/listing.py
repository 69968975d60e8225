"""What became of an experiment's jobs: one listing for all of them, and a closer look at the few that it does not tell of."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from datetime import datetime, timedelta
from typing import Any, Final, Literal, TypeAlias, cast

import msgspec

from offbeat_plugins.backends.training_jobs.calls import Refused

PAGE: Final = 100
OVERLAP: Final = timedelta(minutes=10)
"""By how much a listing reaches back behind the newest change that was seen: jobs appear in it late."""

Status: TypeAlias = Literal["InProgress", "Completed", "Failed", "Stopping", "Stopped", "Deleting"]
OVER: Final = ("Completed", "Failed", "Stopped")


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """A job as AWS shows it.

    Attributes:
        status, secondary: of the job; reason: AWS's sentence about a failure, only after a closer look.
        created: milliseconds since 1970.
        ours: whether it carries our tag; None where that was not looked at.
        billable: seconds that are paid for, once known.
    """

    name: str
    status: Status
    secondary: str = ""
    reason: str = ""
    created: int = 0
    billable: int | None = None


class Listing:
    """Statuses of all jobs whose names begin with a prefix, as they change.

    Args:
        call: of the service `sagemaker`.
    """

    def __init__(self, call: Callable[..., Awaitable[dict[str, Any]]], prefix: str) -> None:
        self._call = call
        self._prefix = prefix
        self._newest: datetime | None = None

    async def changed(self) -> list[Seen]:
        """Jobs that have changed since the last call, and some more."""
        wanted: dict[str, Any] = {"NameContains": self._prefix, "MaxResults": PAGE}
        if self._newest is not None:
            wanted["LastModifiedTimeAfter"] = self._newest - OVERLAP
        seen: list[Seen] = []
        newest = self._newest
        token: str | None = None
        while True:
            page = await self._call("list_training_jobs", **wanted, **({"NextToken": token} if token else {}))
            for summary in page.get("TrainingJobSummaries", ()):
                name = summary["TrainingJobName"]
                if not name.startswith(self._prefix):
                    continue
                changed = summary.get("LastModifiedTime") or summary["CreationTime"]
                newest = changed if newest is None else max(newest, changed)
                seen.append(_seen(summary))
            token = page.get("NextToken")
            if not token:
                self._newest = newest
                return seen

    async def look(self, name: str) -> Seen | None:
        """One job, closely; None where there is none of this name."""
        try:
            answer = await self._call("describe_training_job", TrainingJobName=name)
        except Refused as refused:
            if unknown(refused):
                return None
            raise
        return _seen(answer)


def unknown(refused: Refused) -> bool:
    """Whether the answer says that there is no such job."""
    return refused.code == "ResourceNotFound" or "not found" in refused.text.lower()


def _seen(answer: dict[str, Any]) -> Seen:
    created = answer.get("CreationTime")
    return Seen(
        name=answer["TrainingJobName"],
        status=cast(Status, answer["TrainingJobStatus"]),
        secondary=answer.get("SecondaryStatus", ""),
        reason=answer.get("FailureReason", ""),
        created=int(created.timestamp() * 1000) if created is not None else 0,
        billable=answer.get("BillableTimeInSeconds"),
    )


async def tagged(call: Callable[..., Awaitable[dict[str, Any]]], arn: str, tags: Collection[tuple[str, str]]) -> bool:
    """Whether something in AWS carries all of these tags."""
    answer = await call("list_tags", ResourceArn=arn)
    return set(tags) <= {(tag["Key"], tag["Value"]) for tag in answer.get("Tags", ())}

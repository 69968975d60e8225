"""AWS in memory, on a loop whose time jumps: jobs, logs and objects with the faults of a script, at thousands of runs a minute."""

from __future__ import annotations

import asyncio
import json
import random
import selectors
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from botocore.exceptions import ClientError, EndpointConnectionError, ReadTimeoutError


class JumpingLoop(asyncio.SelectorEventLoop):
    """A loop without I/O: where nothing is ready, time jumps to the next timer."""

    def __init__(self) -> None:
        super().__init__(_NoWaiting())
        self._now = 1_000.0

    def time(self) -> float:
        return self._now

    def _run_once(self) -> None:
        if not self._ready and self._scheduled:  # type: ignore[attr-defined]
            self._now = max(self._now, self._scheduled[0].when())  # type: ignore[attr-defined]
        super()._run_once()  # type: ignore[misc]


class _NoWaiting(selectors.DefaultSelector):  # type: ignore[misc, valid-type]
    def select(self, timeout: float | None = None) -> Any:
        return super().select(0)


def run(work: Callable[[], Awaitable[Any]]) -> Any:
    """The result of a coroutine, in time that jumps."""
    with asyncio.Runner(loop_factory=JumpingLoop) as runner:

        async def whole() -> Any:
            return await work()

        return runner.run(whole())


def refused(operation: str, code: str, message: str = "", status: int = 400) -> ClientError:
    return ClientError(
        {"Error": {"Code": code, "Message": message or code}, "ResponseMetadata": {"HTTPStatusCode": status}}, operation
    )


class Faults:
    """What goes wrong, by chance.

    Args:
        rate: share of the calls that something happens to.
        outage: (from, to), seconds on the loop's clock, in which every call is throttled.
    """

    KINDS = ("throttle", "5xx", "expired", "drop-before", "drop-after", "quota")

    def __init__(self, seed: int, rate: float = 0.2, outage: tuple[float, float] = (0.0, 0.0)) -> None:
        self.random = random.Random(seed)
        self.rate = rate
        self.outage = outage
        self.met: Counter[str] = Counter()

    @contextmanager
    def around(self, operation: str, now: float) -> Iterator[None]:
        """Raises before the effect, or after it."""
        kind = ""
        if self.outage[0] <= now < self.outage[1]:
            kind = "throttle"
        elif self.random.random() < self.rate:
            kind = self.random.choice(self.KINDS)
        if kind == "quota" and operation != "create_training_job":
            kind = ""
        self.met[kind] += 1
        match kind:
            case "throttle":
                raise refused(operation, "ThrottlingException", "Rate exceeded")
            case "5xx":
                raise refused(operation, "InternalFailure", status=500)
            case "expired":
                raise refused(
                    operation, "ExpiredTokenException", "The security token included in the request is expired"
                )
            case "quota":
                raise refused(operation, "ResourceLimitExceeded", "The account-level service limit is 20 instances")
            case "drop-before":
                raise EndpointConnectionError(endpoint_url="https://aws")
        yield
        if kind == "drop-after":
            raise ReadTimeoutError(endpoint_url="https://aws")


class Job:
    def __init__(self, request: dict[str, Any], created: float) -> None:
        self.request = request
        self.created = self.modified = created
        self.status, self.secondary, self.reason = "InProgress", "Starting", ""
        self.stopping = False


class MemoryAWS:
    """SageMaker, CloudWatch Logs and S3.

    Args:
        script: (request) -> lines of metrics with the seconds before each, and how the job ends ("Completed", or a reason).
        stop_takes: seconds between StopTrainingJob and the end.
        lag: most seconds until a line, or a job in the listing, can be seen.

    Attributes:
        created: names of all jobs that ever cost money, with repetitions.
        calls: times of all calls, by operation.
    """

    def __init__(
        self,
        script: Callable[[dict[str, Any]], tuple[list[tuple[float, dict[str, Any]]], str]],
        faults: Faults,
        *,
        stop_takes: float = 120.0,
        lag: float = 8.0,
    ) -> None:
        self.script, self.faults, self.stop_takes, self.lag = script, faults, stop_takes, lag
        self.jobs: dict[str, Job] = {}
        self.created: list[str] = []
        self.calls: dict[str, list[float]] = {}
        self.lines: list[tuple[float, float, int, str, str]] = []  # visible from, at, number, stream, text
        self.objects: dict[str, bytes] = {}
        self.renewed = 0
        self.tasks: set[asyncio.Task[None]] = set()

    async def call(self, operation: str, **parameters: Any) -> dict[str, Any]:
        now = asyncio.get_running_loop().time()
        self.calls.setdefault(operation, []).append(now)
        await asyncio.sleep(self.faults.random.uniform(0.01, 0.3))
        with self.faults.around(operation, now):
            answer: dict[str, Any] = getattr(self, f"_{operation}")(operation, **parameters)
        return answer

    async def renew(self) -> None:
        self.renewed += 1

    # --- SageMaker

    def _create_training_job(self, operation: str, **request: Any) -> dict[str, Any]:
        name = request["TrainingJobName"]
        if name in self.jobs:
            raise refused(operation, "ResourceInUse", "Training job names must be unique; it already exists")
        now = asyncio.get_running_loop().time()
        job = self.jobs[name] = Job(request, now)
        self.created.append(name)
        task = asyncio.get_running_loop().create_task(self._run(name, job))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        return {"TrainingJobArn": f"arn:{name}"}

    async def _run(self, name: str, job: Job) -> None:
        loop = asyncio.get_running_loop()
        stream = f"{name}/algo-1-{int(job.created)}"
        lines, end = self.script(job.request)
        for count, (pause, metrics) in enumerate(lines):
            stopped = await self._waited(job, pause)
            if stopped:
                break
            text = f"[tune-metric]: {json.dumps({**metrics, 'st_worker_iter': count})}"
            at = loop.time()
            for _ in range(1 + (self.faults.random.random() < self.faults.rate / 4)):
                visible = at + self.faults.random.uniform(0, self.lag)
                self.lines.append((visible, at, len(self.lines), stream, text))
        else:
            stopped = False
        if stopped:
            await asyncio.sleep(self.faults.random.uniform(0.2, 1.0) * self.stop_takes)
            self._over(job, "Stopped", "Stopped")
        elif end == "Completed":
            self._over(job, "Completed", "Completed")
        else:
            self._over(job, "Failed", "Failed", end)

    async def _waited(self, job: Job, pause: float) -> bool:
        end = asyncio.get_running_loop().time() + pause
        while not job.stopping and (left := end - asyncio.get_running_loop().time()) > 0:
            await asyncio.sleep(min(left, 1.0))
        return job.stopping

    def _over(self, job: Job, status: str, secondary: str, reason: str = "") -> None:
        job.status, job.secondary, job.reason = status, secondary, reason
        job.modified = asyncio.get_running_loop().time()

    def _stop_training_job(self, operation: str, **parameters: Any) -> dict[str, Any]:
        job = self.jobs.get(parameters["TrainingJobName"])
        if job is None:
            raise refused(operation, "ValidationException", "Requested resource not found.")
        if job.status != "InProgress":
            raise refused(operation, "ValidationException", "The job is not running")
        job.stopping, job.status = True, "Stopping"
        job.modified = asyncio.get_running_loop().time()
        return {}

    def _describe_training_job(self, operation: str, **parameters: Any) -> dict[str, Any]:
        name = parameters["TrainingJobName"]
        if name not in self.jobs:
            raise refused(operation, "ValidationException", "Requested resource not found.")
        return {**self._summary(name), "FailureReason": self.jobs[name].reason}

    def _list_tags(self, operation: str, **parameters: Any) -> dict[str, Any]:
        return {"Tags": self.jobs[parameters["ResourceArn"].removeprefix("arn:")].request["Tags"]}

    def _list_training_jobs(self, operation: str, **parameters: Any) -> dict[str, Any]:
        now = asyncio.get_running_loop().time()
        after = parameters.get("LastModifiedTimeAfter")
        names = [
            name
            for name, job in sorted(self.jobs.items())
            # Listed late: a change shows after some seconds, the same for all that ask.
            if now >= job.modified + self.lag / 2
            and (after is None or job.modified >= after.timestamp())
            and parameters["NameContains"] in name
        ]
        first = int(parameters.get("NextToken", 0))
        page = names[first : first + parameters["MaxResults"]]
        more = {"NextToken": str(first + len(page))} if first + len(page) < len(names) else {}
        return {"TrainingJobSummaries": [self._summary(name) for name in page], **more}

    def _summary(self, name: str) -> dict[str, Any]:
        job = self.jobs[name]
        return {
            "TrainingJobName": name,
            "TrainingJobArn": f"arn:{name}",
            "TrainingJobStatus": job.status,
            "SecondaryStatus": job.secondary,
            "CreationTime": datetime.fromtimestamp(job.created, UTC),
            "LastModifiedTime": datetime.fromtimestamp(job.modified, UTC),
        }

    # --- CloudWatch Logs

    def _filter_log_events(self, operation: str, **parameters: Any) -> dict[str, Any]:
        now = asyncio.get_running_loop().time()
        start = parameters.get("startTime", 0)
        found = [
            {"eventId": f"{number:09d}", "timestamp": int(at * 1000), "logStreamName": stream, "message": text}
            for visible, at, number, stream, text in self.lines
            if visible <= now and at * 1000 >= start and stream.startswith(parameters["logStreamNamePrefix"])
        ]
        first = int(parameters.get("nextToken", 0))
        page = found[first : first + 50]
        # Pages may be empty and yet not the last.
        more = {"nextToken": str(first + len(page))} if first + len(page) < len(found) else {}
        return {"events": page, **more}

    # --- S3

    def _list_objects_v2(self, operation: str, **parameters: Any) -> dict[str, Any]:
        keys = sorted(key for key in self.objects if key.startswith(parameters["Prefix"]))
        first = int(parameters.get("ContinuationToken", 0))
        page = keys[first : first + 3]
        more = {"NextContinuationToken": str(first + 3)} if first + 3 < len(keys) else {}
        return {"Contents": [{"Key": key, "Size": len(self.objects[key])} for key in page], **more}

    def _copy_object(self, operation: str, **parameters: Any) -> dict[str, Any]:
        source = parameters["CopySource"]["Key"]
        if source not in self.objects:
            raise refused(operation, "NoSuchKey", status=404)
        self.objects[parameters["Key"]] = self.objects[source]
        return {}

    def _put_object(self, operation: str, **parameters: Any) -> dict[str, Any]:
        self.objects[parameters["Key"]] = bytes(parameters["Body"])
        return {}

    def _get_object(self, operation: str, **parameters: Any) -> dict[str, Any]:
        if parameters["Key"] not in self.objects:
            raise refused(operation, "NoSuchKey", status=404)
        return {"Body": self.objects[parameters["Key"]]}

    def _delete_object(self, operation: str, **parameters: Any) -> dict[str, Any]:
        self.objects.pop(parameters["Key"], None)
        return {}

    def _delete_objects(self, operation: str, **parameters: Any) -> dict[str, Any]:
        for one in parameters["Delete"]["Objects"]:
            self.objects.pop(one["Key"], None)
        return {}

"""The real services: aiobotocore's clients on the engine's loop, and boto3 for the one thing that has to work without it."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Final

from offbeat.errors import InvalidArgument, MissingExtra, nearest
from offbeat.seeds import generator
from offbeat_plugins.backends.training_jobs.calls import Pace, Redacted, Refused, Service, classified, short
from offbeat_plugins.backends.training_jobs.session import Services

RATES: Final = {
    "sagemaker": {"list_training_jobs": 2.0, "create_training_job": 1.0, "stop_training_job": 2.0},
    "logs": {"filter_log_events": 2.0},
    "s3": {},
}
"""Calls a second, well within what accounts have by default; creating one job a second is the start ramp too."""

DEFAULT_RATES: Final = {"sagemaker": 2.0, "logs": 2.0, "s3": 50.0}

CONNECTIONS: Final = 32


class Clients:
    """Three clients, which can be made anew from what the environment says about credentials now."""

    def __init__(self, region: str | None) -> None:
        self._region = region
        self._stack = AsyncExitStack()
        self._clients: dict[str, Any] = {}

    async def open(self) -> None:
        """Makes the clients; those that there were are closed."""
        from aiobotocore.config import AioConfig
        from aiobotocore.session import get_session

        await self.close()
        session = get_session()
        # Repeating is our own business: botocore gives up after some tries.
        config = AioConfig(
            retries={"total_max_attempts": 1}, connect_timeout=10, read_timeout=60, max_pool_connections=CONNECTIONS
        )
        for name in RATES:
            client = session.create_client(name, region_name=self._region, config=config)
            self._clients[name] = await self._stack.enter_async_context(client)

    async def close(self) -> None:
        """Closes them."""
        await self._stack.aclose()
        self._stack = AsyncExitStack()

    def service(self, name: str, redacted: Redacted) -> Service:
        """One of them, paced and patient."""

        async def call(operation: str, **parameters: Any) -> dict[str, Any]:
            answer: dict[str, Any] = await getattr(self._clients[name], operation)(**parameters)
            body = answer.get("Body")
            if body is not None:
                async with body as stream:
                    answer["Body"] = await stream.read()
            return answer

        pace = {operation: Pace(rate) for operation, rate in RATES[name].items()}
        number = generator(os.getpid(), f"aws {name}", 0).random
        return Service(
            call=call, renew=self.open, pace=pace, default=Pace(DEFAULT_RATES[name]), redacted=redacted, number=number
        )


@asynccontextmanager
async def services(region: str | None, checkpoints: str, secrets: Sequence[str]) -> AsyncIterator[Services]:
    """The services, after a look at whether they can be used at all. Raises InvalidArgument, MissingExtra."""
    try:
        from botocore.exceptions import NoCredentialsError, NoRegionError, PartialCredentialsError
    except ImportError:
        raise MissingExtra("SageMakerBackend", "aws") from None
    _check_region(region)
    clients = Clients(region)
    redacted = Redacted(secrets)
    try:
        await clients.open()
        found = Services(**{name: clients.service(name, redacted) for name in RATES})
        bucket = checkpoints.removeprefix("s3://").partition("/")[0]
        await _check_bucket(found.s3, bucket)
        yield found
    except (NoCredentialsError, PartialCredentialsError) as error:
        raise InvalidArgument(
            f"AWS credentials are missing ({short(error)}): set AWS_PROFILE, or run `aws configure` or `aws sso login`."
        ) from None
    except NoRegionError:
        raise InvalidArgument("No AWS region is set: pass region='us-east-1', or set AWS_DEFAULT_REGION.") from None
    finally:
        await clients.close()


def _check_region(region: str | None) -> None:
    if region is None:
        return
    from botocore.session import get_session

    session = get_session()
    known = [
        name for part in session.get_available_partitions() for name in session.get_available_regions("sagemaker", part)
    ]
    if region not in known:
        raise InvalidArgument(f"region={region!r} has no SageMaker. {nearest(region, known)}")


async def _check_bucket(s3: Service, bucket: str) -> None:
    """Raises InvalidArgument where there is no such bucket, or it may not be used."""
    try:
        await s3("head_bucket", Bucket=bucket)
    except Refused as refused:
        if refused.code in ("404", "NoSuchBucket"):
            raise InvalidArgument(f"There is no S3 bucket {bucket!r}: make it, or pass another s3_path.") from None
        if refused.code == "NoCredentialsError":
            raise InvalidArgument(
                "AWS credentials are missing: set AWS_PROFILE, or run `aws configure` or `aws sso login`."
            ) from None
        raise InvalidArgument(f"The S3 bucket {bucket!r} cannot be used with these credentials: {refused}.") from None


def stop_now(jobs: Sequence[str]) -> None:
    """Stops jobs by a client of the calling thread; what fails is passed over, since nobody is there to repeat it."""
    import boto3
    from botocore.config import Config

    client = boto3.client("sagemaker", config=Config(retries={"mode": "adaptive", "total_max_attempts": 8}))
    for job in jobs:
        try:
            client.stop_training_job(TrainingJobName=job)
        except Exception as error:
            if classified(error) == "credentials":
                return

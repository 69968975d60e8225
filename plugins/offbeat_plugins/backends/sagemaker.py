"""Trials as SageMaker training jobs. Entry point `sagemaker` of `offbeat.backends`."""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any, Final, Literal

import anyio

from offbeat.arguments import explained
from offbeat.errors import InvalidArgument
from offbeat.protocols import BackendContext, BackendSession
from offbeat_plugins.backends.training_jobs.naming import TOKEN, Names
from offbeat_plugins.backends.training_jobs.requests import MAX_METRICS, Request, Template, checked

__all__ = ["SageMakerBackend"]

_S3: Final = re.compile(r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/.*)?")


@explained
class SageMakerBackend:
    """Runs each attempt of a trial as a SageMaker training job, which is named after it and so never started twice.

        backend = SageMakerBackend(
            sm_estimator=ModelTrainer(training_image=..., source_code=..., compute=..., role=...),
            metrics_names=["val_loss"],
            s3_path="s3://bucket/searches",
        )

    Hyperparameters go to the container as SageMaker passes them; the script reports by `offbeat.Reporter` (offbeat's
    `report.py` alone, as package `offbeat` beside the script, is enough) or prints `[tune-metric]: {json}` lines, which are
    read from CloudWatch. Its checkpoints belong into `/opt/ml/checkpoints`, or where `offbeat.report.checkpoint_dir()` says.
    `st_instance_type` and `st_instance_count` in the search space choose the machines of each trial.

    A killed engine leaves the jobs running; `resume` takes them up again, and reads what they have reported meanwhile. An
    engine that ends in any other way stops them.

    Args:
        sm_estimator: a `ModelTrainer` of SageMaker's SDK 3, an estimator of SDK 2, or the parameters of CreateTrainingJob as
            a dict. It has to be passed again on resume: the journal has its fingerprint only, never its environment.
        metrics_names: metrics for SageMaker's own charts, at most 40.
        s3_path: where checkpoints are kept, `s3://bucket/key`; default: beside the template's output.
        region: default: as the AWS configuration says.
        poll_interval: seconds between two listings of the jobs, and two readings of their logs: no result is seen later than
            this and the log's own delay.
        settle: seconds that the last lines of an ended job may take to arrive in the log.
        prices: dollars per hour by instance type; the reporter then counts `st_worker_cost`, which `max_cost` limits.
        delete_checkpoints: delete the checkpoints of a trial once it was stopped or has failed for good.

    Raises InvalidArgument: the template lacks a field, or has one that CreateTrainingJob does not take.
    """

    time: Literal["real"] = "real"
    api_version = 1

    def __init__(
        self,
        sm_estimator: Any,
        metrics_names: Sequence[str] = (),
        s3_path: str | None = None,
        *,
        region: str | None = None,
        poll_interval: float = 5.0,
        settle: float = 15.0,
        prices: Mapping[str, float] | None = None,
        delete_checkpoints: bool = False,
    ) -> None:
        from offbeat_plugins.backends.training_jobs.sdk import is_sdk_object

        if isinstance(metrics_names, str) or len(metrics_names) > MAX_METRICS:
            raise InvalidArgument(
                f"metrics_names={metrics_names!r} is not valid: give a list of at most {MAX_METRICS} names."
            )
        if s3_path is not None and not _S3.fullmatch(s3_path):
            raise InvalidArgument(f"s3_path={s3_path!r} is not valid: use 's3://<bucket>/<key>'.")
        for name, seconds in (("poll_interval", poll_interval), ("settle", settle)):
            if not 0 < seconds < 3600:
                raise InvalidArgument(f"{name}={seconds!r} is not valid: give seconds, more than 0 and less than 3600.")
        for machine, price in (prices or {}).items():
            if not machine.startswith("ml.") or not price >= 0:
                raise InvalidArgument(
                    f"prices: {machine!r}: {price!r} is not valid: 'ml.<type>.<size>' and dollars per hour."
                )
        if not isinstance(sm_estimator, Mapping) and not is_sdk_object(sm_estimator):
            raise InvalidArgument(
                f"sm_estimator={sm_estimator!r} is not valid: pass a ModelTrainer, an estimator, or CreateTrainingJob's "
                "parameters as a dict."
            )
        self.delete_checkpoints = delete_checkpoints
        self.default_name = "sagemaker"
        self._given = sm_estimator
        self._request: Request | None = checked(sm_estimator) if isinstance(sm_estimator, Mapping) else None
        self._metrics = tuple(metrics_names)
        self._s3_path = s3_path
        self._region = region
        self._poll, self._settle = float(poll_interval), float(settle)
        self._prices = dict(prices or {})

    @property
    def fingerprint(self) -> str:
        """What has to be equal on resume: the template without the values of its environment."""
        if self._request is None:
            kind = type(self._given)
            return f"{kind.__module__}:{kind.__qualname__}"
        return self._template(self._request, "").fingerprint()

    def open(self, context: BackendContext) -> AbstractAsyncContextManager[BackendSession]:
        """A session of paced calls.

        Raises InvalidArgument: no credentials, an unknown region, no bucket, an SDK object that makes no request.
        """
        return self._open(context)

    @asynccontextmanager
    async def _open(self, context: BackendContext) -> AsyncIterator[BackendSession]:
        from offbeat_plugins.backends.training_jobs.clients import services
        from offbeat_plugins.backends.training_jobs.sdk import template_of
        from offbeat_plugins.backends.training_jobs.session import JobSession, Timing

        if self._request is None:
            self._request = checked(await anyio.to_thread.run_sync(template_of, self._given))
        token = await anyio.to_thread.run_sync(_token, Path(context.folder.path) / "trials" / "token")
        names = Names(context.experiment, token)
        template = self._template(self._request, names.prefix.rstrip("-"))
        async with (
            services(self._region, template.checkpoints, template.secrets()) as found,
            JobSession(template, names, found, Timing(poll=self._poll, settle=self._settle), context.grace) as session,
        ):
            yield session

    def _template(self, request: Request, folder: str) -> Template:
        base = self._s3_path or request["OutputDataConfig"]["S3OutputPath"]
        return Template(
            request=request,
            checkpoints=f"{base.rstrip('/')}/{folder}",
            metrics=self._metrics,
            prices=self._prices,
        )


def _token(path: Path) -> str:
    """Letters and digits that no other experiment has; made once, and kept in the experiment's folder."""
    try:
        return path.read_text().strip()
    except FileNotFoundError:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        token = secrets.token_hex(TOKEN // 2)
        partial = path.with_suffix(".new")
        partial.write_text(token)
        with partial.open("rb") as file:
            os.fsync(file.fileno())
        partial.replace(path)
        return token

"""The request template out of an object of SageMaker's SDK: the SDK makes its request in a child process, and does not send it.

The child is a fork, since the object cannot be sent anywhere; there the first CreateTrainingJob that botocore is about to
sign is taken instead. What the SDK does before it (uploading the source folder to S3) is done once an experiment.
"""

from __future__ import annotations

import json
import os
import select
import signal
import sys
import time
from contextlib import suppress
from typing import Any, Final

from offbeat.errors import InvalidArgument
from offbeat_plugins.backends.training_jobs.requests import Request

PATIENCE: Final = 300.0
"""Seconds that the SDK gets, the upload included."""


class _Taken(BaseException):
    """Not an Exception, so that the SDK's own handlers let it through."""

    def __init__(self, request: Request) -> None:
        self.request = request


def is_sdk_object(value: object) -> bool:
    """Whether this is an estimator (v2) or a ModelTrainer (v3), by what it can do; nothing is imported."""
    return callable(getattr(value, "fit", None)) or callable(getattr(value, "train", None))


def template_of(value: Any) -> Request:
    """The request that the object would start its job with. Blocks for seconds. Raises InvalidArgument."""
    sys.stdout.flush()
    sys.stderr.flush()
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        _child(value, writing)
    os.close(writing)
    try:
        answer = _received(reading, child)
    finally:
        os.close(reading)
    if "error" in answer:
        raise InvalidArgument(f"The SDK could not make a training job of sm_estimator: {answer['error']}")
    request: Request = answer["request"]
    return request


def _received(reading: int, child: int) -> dict[str, Any]:
    data = b""
    deadline = time.monotonic() + PATIENCE
    while True:
        ready, _, _ = select.select([reading], [], [], max(0.0, deadline - time.monotonic()))
        if not ready:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            return {"error": f"it took more than {PATIENCE:g} s."}
        part = os.read(reading, 65536)
        if not part:
            break
        data += part
    os.waitpid(child, 0)
    try:
        answer: dict[str, Any] = json.loads(data)
    except ValueError:
        return {"error": "its process died."}
    return answer


def _child(value: Any, writing: int) -> None:
    """Never returns."""
    try:
        answer: dict[str, Any] = {"request": _captured(value)}
    except BaseException as error:
        answer = {"error": f"{type(error).__name__}: {error}"}
    with suppress(BaseException):
        data = json.dumps(answer).encode()
        while data:
            data = data[os.write(writing, data) :]
    os._exit(0)


def _captured(value: Any) -> Request:
    from botocore.client import BaseClient

    original = BaseClient._make_api_call

    def take(self: Any, operation_name: str, api_params: Any) -> Any:
        if operation_name == "CreateTrainingJob":
            raise _Taken(api_params)
        return original(self, operation_name, api_params)

    BaseClient._make_api_call = take
    train = getattr(value, "train", None)
    start = train if callable(train) else value.fit
    try:
        start(wait=False)
    except _Taken as taken:
        return taken.request
    raise InvalidArgument("it made no CreateTrainingJob request.")

"""Calls to AWS: at a pace that the service allows, and repeated until there is an answer that repeating cannot change.

Throttling, errors of the service, broken connections, expired credentials and exhausted quotas are waited out, however long
they last, so that no trial ever fails for one of them; everything else is an answer and raised as `Refused`.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Any, Final, Literal, TypeAlias

import msgspec

from offbeat.errors import OffbeatError
from offbeat.log import get_logger

Trouble: TypeAlias = Literal["throttled", "quota", "credentials", "service"]
Call: TypeAlias = Callable[..., Awaitable[dict[str, Any]]]

THROTTLED: Final = frozenset({
    "BandwidthLimitExceeded", "PriorRequestNotComplete", "ProvisionedThroughputExceededException", "RequestLimitExceeded",
    "RequestThrottled", "RequestThrottledException", "SlowDown", "ThrottledException", "Throttling", "ThrottlingException",
    "TooManyRequestsException",
})  # fmt: skip
QUOTA: Final = frozenset({"ResourceLimitExceeded"})
EXPIRED: Final = frozenset({"ExpiredToken", "ExpiredTokenException", "RequestExpired", "RequestTimeTooSkewed"})
TRANSIENT: Final = frozenset(
    {"InternalError", "InternalFailure", "RequestTimeout", "RequestTimeoutException", "ServiceUnavailable"}
)

SHORTEST: Final = 0.5
"""Seconds before the first repetition; each further one waits twice as long, up to `LONGEST`, less up to a half by chance."""
LONGEST: Final = 30.0
QUOTA_WAIT: Final = 60.0
"""Seconds between tries while a quota is used up: nothing but the end of another job changes that."""

WORDS: Final[Mapping[Trouble, str]] = {
    "throttled": "AWS asks for fewer calls; slowing down and trying again",
    "quota": "a quota of the account is used up; waiting until a job ends, or the quota is raised",
    "credentials": "the credentials have expired; trying again with what the environment gives",
    "service": "AWS or the connection to it fails; trying again",
}


class Refused(OffbeatError):
    """AWS has answered no, and would do so again.

    Attributes:
        operation: name of the API's operation; code: AWS's name of the error; text: its message, without secrets.
    """

    def __init__(self, operation: str, code: str, text: str) -> None:
        super().__init__(operation, code, text)
        self.operation, self.code, self.text = operation, code, text

    def __str__(self) -> str:
        return f"{self.operation}: {self.text} ({self.code})"


class Pace:
    """At most `rate` calls a second, evenly spaced; half as many after a refusal, and slowly more again after answers."""

    def __init__(self, rate: float) -> None:
        self.rate = rate
        self._current = rate
        self._next = 0.0

    async def turn(self) -> None:
        """Waits for the caller's turn; turns are given in the order in which they are asked for."""
        now = asyncio.get_running_loop().time()
        at = max(now, self._next)
        self._next = at + 1.0 / self._current
        if at > now:
            await asyncio.sleep(at - now)

    def refused(self) -> None:
        """The service has throttled a call."""
        self._current = max(self._current / 2, self.rate / 32)

    def answered(self) -> None:
        """The service has answered one."""
        self._current = min(self.rate, self._current + self.rate / 16)


def _halves() -> float:
    return 0.5


class Redacted:
    """Called with a text that people or files are shown, it answers the text without the secrets."""

    def __init__(self, secrets: Collection[str] = ()) -> None:
        # The longest first: one secret may be the beginning of another.
        known = sorted({secret for secret in secrets if len(secret) >= 4}, key=len, reverse=True)
        self._pattern = re.compile("|".join(map(re.escape, known))) if known else None

    def __call__(self, text: str) -> str:  # noqa: D102 - see the class
        return self._pattern.sub("***", text) if self._pattern is not None else text


class Service(msgspec.Struct, kw_only=True):
    """How one AWS service is called.

    Attributes:
        call: does one call, `call(operation, **parameters)`, operation in snake case; raises botocore's errors.
        pace: of the service's operations, by name; `default` for the others.
        renew: gets new credentials.
        redacted: takes secrets out of messages.
        number: random numbers in [0, 1), so that many callers do not repeat at the same moment; they decide nothing else.
    """

    call: Call
    renew: Callable[[], Awaitable[None]]
    pace: dict[str, Pace]
    default: Pace
    redacted: Redacted = Redacted()
    number: Callable[[], float] = _halves

    async def __call__(self, operation: str, **parameters: Any) -> dict[str, Any]:
        """The answer, after as many tries as it takes. Raises Refused."""
        pace = self.pace.get(operation, self.default)
        wait, told = SHORTEST, ""
        while True:
            await pace.turn()
            try:
                answer = await self.call(operation, **parameters)
            except Exception as error:
                trouble = classified(error)
                if trouble is None:
                    raise self._refused(operation, error) from None
                if trouble == "throttled":
                    pace.refused()
                if trouble != told:
                    told = trouble
                    # Its message names the parameters only where repeating cannot help.
                    get_logger().warning(WORDS[trouble], operation=operation, error=self.redacted(short(error)))
                if trouble == "credentials":
                    await self.renew()
            else:
                pace.answered()
                if told:
                    get_logger().info("AWS answers again", operation=operation)
                return answer
            floor = QUOTA_WAIT if trouble == "quota" else 0.0
            await asyncio.sleep(max(wait, floor) * (1.0 - 0.5 * self.number()))
            wait = min(2 * wait, LONGEST)

    def _refused(self, operation: str, error: Exception) -> Refused:
        response = getattr(error, "response", None)
        told = response.get("Error", {}) if isinstance(response, Mapping) else {}
        code = told.get("Code") or type(error).__name__
        text = told.get("Message") or str(error)
        return Refused(operation, str(code), self.redacted(str(text).strip()))


def classified(error: Exception) -> Trouble | None:
    """What kind of trouble will pass by itself; None for an answer that stays as it is."""
    from botocore.exceptions import (
        ConnectionError as NoConnection,
    )
    from botocore.exceptions import (
        CredentialRetrievalError,
        HTTPClientError,
        ResponseStreamingError,
    )

    response = getattr(error, "response", None)
    if isinstance(response, Mapping):
        code = str(response.get("Error", {}).get("Code", ""))
        status = response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        if code in QUOTA:
            return "quota"
        if code in THROTTLED or status == 429:
            return "throttled"
        if code in EXPIRED:
            return "credentials"
        return "service" if code in TRANSIENT or status >= 500 else None
    if isinstance(error, CredentialRetrievalError):
        return "credentials"
    if isinstance(error, NoConnection | HTTPClientError | ResponseStreamingError | ConnectionError | TimeoutError):
        return "service"
    return None


def short(error: Exception, limit: int = 200) -> str:
    """One line of an error's text."""
    return " ".join(str(error).split())[:limit]

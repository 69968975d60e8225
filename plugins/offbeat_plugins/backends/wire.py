"""From the bytes of a report pipe to signals. Whatever a script writes there, nothing here raises.

A usable line is a JSON object `{v, trial, attempt, seq, metrics}` of at most 64 KiB, metrics being a flat table from
names to numbers, text and booleans. All else is counted and shown as `Garbled`; the lines before and after are kept.
"""

from __future__ import annotations

import json
import re
from typing import Any, Final

import msgspec

from offbeat.signals import Garbled, Reported
from offbeat.trial import TrialId

VERSION: Final = 1
LINE_LIMIT: Final = 64 * 1024
"""Bytes of a line, newline included; no more than this is ever kept of a line that does not end."""
DEPTH_LIMIT: Final = 16
SAMPLE: Final = 200

Rejection = tuple[str, str]
"""(reason, sample). The reasons are a closed set, so that a flood of garbage can be counted by reason."""

CUT_OFF: Final = "cut off: the script ended in the middle of a line"
DEEP: Final = f"nested deeper than {DEPTH_LIMIT} levels"
EMPTY: Final = "an empty line"
NAMES: Final = "a metric name is empty or not valid Unicode"
NESTED: Final = "a metric is a list or an object: report one name for each number"
NOT_A_REPORT: Final = "not a report: it needs v, trial, attempt, seq and metrics"
NOT_JSON: Final = "not JSON"
NOT_UTF8: Final = "not UTF-8"
NULL: Final = "a metric is null"
TEXT: Final = "a metric's text is not valid Unicode"
TOO_LONG: Final = f"longer than {LINE_LIMIT} bytes"
UNKNOWN_VERSION: Final = f"its version is not {VERSION}"
WRONG_TRIAL: Final = "it names another trial or attempt"


class _Line(msgspec.Struct, gc=False):
    v: int
    trial: int
    attempt: int
    seq: int
    metrics: dict[str, str | bool | int | float]


_decode: Final = msgspec.json.Decoder(_Line).decode
_INF: Final = float("inf")
_BRACKETS: Final = re.compile(rb"[\[\]{}]")


def parse(line: bytes, trial: TrialId, attempt: int, seq: int) -> Reported | Rejection:
    """One line without its newline. `seq` is the number that the report gets."""
    try:
        decoded = _decode(line)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError, ValueError):
        return _parse_slowly(line, trial, attempt, seq)
    if decoded.v != VERSION:
        return UNKNOWN_VERSION, sample(line)
    if decoded.trial != trial or decoded.attempt != attempt:
        return WRONG_TRIAL, sample(line)
    metrics = decoded.metrics
    if "" in metrics:
        return NAMES, sample(line)
    for name, value in metrics.items():
        kind = type(value)
        if (kind is float or kind is int) and not -9.2e18 < value < 9.2e18:  # type: ignore[operator]
            metrics[name] = _finite(value)
    return Reported(trial, attempt, seq, metrics)


def _finite(value: Any) -> int | float | str:
    """A number that the journal can hold, a text where it is not finite."""
    if isinstance(value, int):
        if -(2**63) <= value < 2**64:
            return value
        try:
            value = float(value)
        except OverflowError:
            value = _INF if value > 0 else -_INF
    if value - value == 0:
        return float(value)
    return "inf" if value > 0 else "-inf" if value < 0 else "nan"


def _parse_slowly(line: bytes, trial: TrialId, attempt: int, seq: int) -> Reported | Rejection:
    """For what strict JSON refuses: the tokens NaN and Infinity are welcome, the rest gets its reason."""
    if not line.strip():
        return EMPTY, ""
    shown = sample(line)
    if _too_deep(line):
        return DEEP, shown
    try:
        loaded = json.loads(line.decode())
    except UnicodeDecodeError:
        return NOT_UTF8, shown
    except (ValueError, RecursionError):
        return NOT_JSON, shown
    if not isinstance(loaded, dict) or any(
        type(loaded.get(name)) is not int for name in ("v", "trial", "attempt", "seq")
    ):
        return NOT_A_REPORT, shown
    metrics = loaded.get("metrics")
    if not isinstance(metrics, dict):
        return NOT_A_REPORT, shown
    if loaded["v"] != VERSION:
        return UNKNOWN_VERSION, shown
    if loaded["trial"] != trial or loaded["attempt"] != attempt:
        return WRONG_TRIAL, shown
    clean: dict[str, Any] = {}
    for name, value in metrics.items():
        if not name or not _encodable(name):
            return NAMES, shown
        if value is None:
            return NULL, shown
        if isinstance(value, list | dict):
            return NESTED, shown
        if isinstance(value, str) and not _encodable(value):
            return TEXT, shown
        clean[name] = value if isinstance(value, bool | str) else _finite(value)
    return Reported(trial, attempt, seq, clean)


def _too_deep(line: bytes) -> bool:
    """Counts brackets, those in texts too: a report refused for them alone has 17 unmatched ones in its texts."""
    if line.count(b"[") + line.count(b"{") <= DEPTH_LIMIT:
        return False
    depth = 0
    for bracket in _BRACKETS.finditer(line):
        depth += 1 if bracket[0] in b"[{" else -1
        if depth > DEPTH_LIMIT:
            return True
    return False


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def sample(line: bytes) -> str:
    """The first characters of a line, safe to journal and to print."""
    text = line[: SAMPLE * 4].decode(errors="replace")
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text[:SAMPLE])


def _too_long(line: bytes) -> Rejection:
    return TOO_LONG, sample(line)


class LineReader:
    """Cuts one attempt's stream into lines and parses them; keeps at most one line's length.

    Good reports are numbered in the order in which they arrive: a pipe neither repeats nor swaps anything, and several
    processes of one trial may have reported one after the other, each counting from 0.
    """

    def __init__(self, trial: TrialId, attempt: int) -> None:
        self.seq = 0
        self._trial = trial
        self._attempt = attempt
        self._rest = bytearray()
        self._skipping = False

    def feed(self, data: bytes) -> list[Reported | Rejection]:
        """Takes in the next bytes; returns what they completed."""
        if self._rest or self._skipping:
            head, newline, tail = data.partition(b"\n")
            if not newline:
                return self._append(data)
            if self._skipping:
                self._skipping = False
                return self._whole(tail)
            self._rest += head
            first = bytes(self._rest)
            self._rest.clear()
            return self._whole(first + b"\n") + self._whole(tail)
        return self._whole(data)

    def finish(self) -> list[Reported | Rejection]:
        """The stream has ended; a line without its end may still be a whole report."""
        if not self._rest:
            return []
        last = bytes(self._rest)
        self._rest.clear()
        outcome = self._whole(last + b"\n")
        return outcome if isinstance(outcome[0], Reported) else [(CUT_OFF, sample(last))]

    def _whole(self, data: bytes) -> list[Reported | Rejection]:
        lines = data.split(b"\n")
        rest = lines.pop()
        outcome: list[Reported | Rejection] = []
        for line in lines:
            # Most reports come one by one: this is the way of each, written out.
            one = parse(line, self._trial, self._attempt, self.seq) if len(line) < LINE_LIMIT else _too_long(line)
            if type(one) is Reported:
                self.seq += 1
            outcome.append(one)
        return outcome + self._append(rest) if rest else outcome

    def _append(self, data: bytes) -> list[Reported | Rejection]:
        if self._skipping or not data:
            return []
        self._rest += data
        if len(self._rest) < LINE_LIMIT:
            return []
        shown = sample(bytes(self._rest[: SAMPLE * 4]))
        self._rest.clear()
        self._skipping = True
        return [(TOO_LONG, shown)]


class Garbage:
    """Counts one attempt's rejections, so that a flood of them becomes a few signals a second."""

    def __init__(self, trial: TrialId, attempt: int) -> None:
        self._trial = trial
        self._attempt = attempt
        self._counts: dict[str, tuple[str, int]] = {}

    def __bool__(self) -> bool:
        return bool(self._counts)

    def add(self, rejection: Rejection) -> None:
        """Counts one; the first sample of each reason is kept."""
        reason, shown = rejection
        first, count = self._counts.get(reason, (shown, 0))
        self._counts[reason] = (first, count + 1)

    def flush(self) -> list[Garbled]:
        """One signal for each reason counted since the last call."""
        signals = [
            Garbled(self._trial, self._attempt, reason, shown, count) for reason, (shown, count) in self._counts.items()
        ]
        self._counts.clear()
        return signals

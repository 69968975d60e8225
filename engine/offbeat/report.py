"""What a training script calls: `report = Reporter()`, then `report(epoch=1, loss=0.3)`.

This file needs the standard library alone and may be copied into a container as the only file of a package `offbeat`.

A report is one line, `{"v": 1, "trial": .., "attempt": .., "seq": .., "metrics": {..}}`, UTF-8 JSON of at most 64 KiB,
written to the pipe that the backend names in the environment. Where only standard output leads back to the backend, the
line is `[tune-metric]: {..}`, which any language can print. Without an engine the report is printed for people.
"""

from __future__ import annotations

import _thread  # threading's own locks, without its import
import os
import sys
import time

TYPE_CHECKING = False  # typing.TYPE_CHECKING costs the import of typing, more than all of this file
if TYPE_CHECKING:
    from typing import Any, Final

LINE_LIMIT: Final = 64 * 1024
"""Bytes of a report line, newline included."""

RANK_VARIABLES: Final = (
    "RANK",
    "SLURM_PROCID",
    "OMPI_COMM_WORLD_RANK",
    "PMIX_RANK",
    "PMI_RANK",
    "MV2_COMM_WORLD_RANK",
    "LOCAL_RANK",
)
"""The first of these that is set tells which process of a distributed training this is; only rank 0 reports."""

# A pipe that polls as writable takes this much without blocking, and in one piece.
_ATOMIC: Final = 4096
_CLAIM: Final = "OFFBEAT_REPORTER"


class _Process:
    """What all reporters of this process share.

    Attributes:
        lock: held while a report is sent; re-entrant, as a signal handler may report in the middle of a report.
        made: whether there has been a Reporter; forked: whether this is a forked child of a process that had one.
    """

    def __init__(self) -> None:
        self.lock = _thread.RLock()
        self.made = False
        self.forked = False

    def after_fork(self) -> None:
        # Another thread of the parent may have held it, and does not exist here.
        self.lock = _thread.RLock()
        self.forked = self.forked or self.made


_process: Final = _Process()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_process.after_fork)


class Reporter:
    """Sends metrics of a training script to the engine that started it.

    Every report is completed with `st_worker_timestamp` (seconds since 1970), `st_worker_iter` (counts from 0),
    `st_worker_time` (seconds since this object was made) and, where a price is known, `st_worker_cost` (dollars so far:
    price per hour, times instances, times `st_worker_time`).

    Only one process of a trial reports: rank 0 of a distributed training, never the forked child of a process that has
    made a Reporter, and of several processes the one that reported first. All threads of that process may.

    Args:
        add_time, add_cost: leave these fields out by False.
        timeout: seconds that a report waits for an engine that does not read; then the report is dropped.
        price_per_hour: dollars for one instance, default `$OFFBEAT_PRICE_PER_HOUR`; without either there is no cost.
        instance_count: default `$OFFBEAT_INSTANCE_COUNT`, else 1.

    Attributes:
        blocked: reports that had to wait for the engine; dropped: reports given up after `timeout`.

    Raises ValueError for a price, count or timeout that is not a number from 0 up.
    """

    def __init__(
        self,
        add_time: bool = True,
        add_cost: bool = True,
        timeout: float = 60.0,
        *,
        price_per_hour: float | None = None,
        instance_count: int | None = None,
    ) -> None:
        self.blocked = 0
        self.dropped = 0
        self._add_time = add_time
        self._timeout = _amount("timeout", timeout)
        price = _amount("price_per_hour", price_per_hour, "OFFBEAT_PRICE_PER_HOUR") if add_cost else None
        count = _amount("instance_count", instance_count, "OFFBEAT_INSTANCE_COUNT") if price is not None else None
        self._price_per_second = None if price is None else price * (1.0 if count is None else count) / 3600.0
        self._trial = _whole_number(os.environ.get("OFFBEAT_TRIAL"))
        self._attempt = _whole_number(os.environ.get("OFFBEAT_ATTEMPT")) or 0
        self._pid = os.getpid()
        self._silent = _rank() > 0 or (_process.forked and self._trial is not None)
        _process.made = True
        self._channel: _Channel | None = None
        self._sending = False
        self._waiting: list[dict[str, Any]] = []
        self._iteration = 0
        self._started = time.perf_counter()

    def __call__(self, /, **metrics: Any) -> None:
        """Sends one report; returns when it is written. Never raises because of the engine.

        Values are numbers, text or booleans, NumPy scalars and one-element arrays included; NaN and infinities are
        allowed. Raises ValueError or TypeError, naming the key, for anything else, for names that begin with `st_`, and
        for a line of more than 64 KiB.
        """
        values = checked(metrics)
        if self._silent or os.getpid() != self._pid:
            return
        with _process.lock:
            self._waiting.append(values)
            if self._sending:
                # A signal handler came in the middle of a report of this thread, which sends this one afterwards.
                return
            try:
                self._send_waiting()
            except BaseException:
                # An exception of that handler ends the report that it came into, not the one that it made.
                self._send_waiting()
                raise

    def _send_waiting(self) -> None:
        while self._waiting:
            self._sending = True
            try:
                self._complete(self._waiting.pop(0))
            finally:
                self._sending = False

    def _complete(self, values: dict[str, Any]) -> None:
        if self._silent:
            return
        metrics = dict(values)
        now = time.time()
        elapsed = time.perf_counter() - self._started
        values["st_worker_timestamp"] = now
        values["st_worker_iter"] = self._iteration
        if self._add_time:
            values["st_worker_time"] = elapsed
        if self._price_per_second is not None:
            values["st_worker_cost"] = self._price_per_second * elapsed
        if self._trial is None:
            self._iteration += 1
            _print(_for_people(metrics, elapsed))
            return
        text = _encoded(values)
        head = f'{{"v":1,"trial":{self._trial},"attempt":{self._attempt},"seq":{self._iteration},"metrics":'
        line = f"{head}{text}}}\n".encode()
        if len(line) > LINE_LIMIT:
            raise _too_long(metrics, len(line))
        self._send(line, text)

    def _send(self, line: bytes, text: str) -> None:
        if self._channel is None:
            channel = _claim()
            if channel is None:
                self._silent = True
                return
            self._channel = channel
        if self._channel.fd < 0:
            _print(f"[tune-metric]: {text}")
            self._iteration += 1
            return
        try:
            sent, waited = self._channel.write(line, self._timeout)
        except OSError:
            # The engine is gone, or the script closed our descriptor: training goes on without us.
            self._silent = True
            return
        self.blocked += waited
        self.dropped += not sent
        self._iteration += sent


class _Channel:
    """The write end of the report pipe; fd -1: there is none, standard output has to do."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self._torn = False
        self._poll: Any = None
        if fd >= 0 and os.name != "nt":
            import select

            self._poll = select.poll()
            self._poll.register(fd, select.POLLOUT)

    def write(self, line: bytes, timeout: float) -> tuple[bool, bool]:
        """Returns (written, had to wait). Raises OSError if the pipe is broken."""
        poll = self._poll
        if poll is None or (len(line) <= _ATOMIC and not self._torn and poll.poll(0)):
            os.write(self.fd, line)
            return True, False
        deadline = time.monotonic() + timeout
        waited = False
        # After a line that was given up in its middle, the next one has to begin a line of its own.
        rest = memoryview(b"\n" + line if self._torn else line)
        while rest:
            ready = poll.poll(0)
            if not ready:
                waited = True
                ready = poll.poll(max(0.0, deadline - time.monotonic()) * 1000)
                if not ready:
                    return False, True
            # Torn until its last byte is out: a signal handler may raise at any point.
            self._torn = True
            rest = rest[os.write(self.fd, rest[:_ATOMIC]) :]
        self._torn = False
        return True, waited


def _claim() -> _Channel | None:
    """The channel, if this process is the one of its trial that may report; None: another one does."""
    owner = os.environ.get(_CLAIM)
    if owner is not None and owner != str(os.getpid()):
        return None
    fd = _pipe()
    if fd >= 0 and os.name != "nt":
        import fcntl

        try:
            # Record locks belong to a process, so they tell apart those that share the pipe, and end with their owner.
            fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):
            return None
        except OSError:
            pass
    os.environ[_CLAIM] = str(os.getpid())
    return _Channel(fd)


def _pipe() -> int:
    """A descriptor of the report pipe: the inherited one, else opened anew, else -1.

    Launchers close inherited descriptors when they start workers, and the number may then stand for another file: the
    pipe is recognised by its inode.
    """
    inode = _whole_number(os.environ.get("OFFBEAT_REPORT_INODE"))
    fd = _whole_number(os.environ.get("OFFBEAT_REPORT_FD"))
    if fd is not None:
        try:
            if inode is None or os.fstat(fd).st_ino == inode:
                return fd
        except OSError:
            pass
    path = os.environ.get("OFFBEAT_REPORT_PATH")
    if path:
        try:
            opened = os.open(path, os.O_WRONLY)
        except OSError:
            return -1
        if os.fstat(opened).st_ino == inode:
            return opened
        os.close(opened)
    return -1


def made() -> bool:
    """Whether a Reporter has been made in this process or, before its fork, in its parent."""
    return _process.made


def checkpoint_dir() -> str | None:
    """The trial's checkpoint directory, made if need be; whatever lies there is this trial's own or its donor's.

    None without an engine.
    """
    path = os.environ.get("OFFBEAT_CHECKPOINT_DIR")
    if not path:
        return None
    os.makedirs(path, exist_ok=True)  # noqa: PTH103 - pathlib would double the import time of this file
    return path


def seed(default: int = 0) -> int:
    """A number for the script's generators, another one for each trial; `default` without an engine."""
    value = _whole_number(os.environ.get("OFFBEAT_SEED"))
    return default if value is None else value


def config() -> dict[str, Any]:
    """The trial's configuration, as the engine wrote it; empty without an engine."""
    path = os.environ.get("OFFBEAT_CONFIG")
    if not path:
        return {}
    import json

    with open(path, encoding="utf-8") as file:  # noqa: PTH123 - as above
        loaded: dict[str, Any] = json.load(file)
    return loaded


def checked(metrics: dict[str, Any]) -> dict[str, Any]:
    """Metrics as they are reported: numbers, text or booleans, NumPy scalars as such, NaN and infinities as text.

    Raises ValueError or TypeError, naming the key, for anything else, for names that begin with `st_`, and for more text
    than a report may have.
    """
    size = 0
    values = {}
    for name, value in metrics.items():
        plain = values[name] = _plain(name, value)
        size += len(name) + (len(plain) if isinstance(plain, str) else 8)
    if size > LINE_LIMIT:
        raise _too_long(metrics, size)
    return values


def _too_long(metrics: dict[str, Any], size: int) -> ValueError:
    longest = max(metrics, key=lambda name: len(str(metrics[name])) + len(name))
    return ValueError(
        f"A report of {size} bytes is too long: {LINE_LIMIT} are allowed. Its longest entry is {longest[:60]!r}; write big "
        "values to a file in the checkpoint directory instead."
    )


def _plain(name: str, value: Any) -> float | int | str:
    if name.startswith("st_"):
        raise ValueError(
            f"The name {name!r} cannot be reported: names that begin with 'st_' are offbeat's own. Choose another."
        )
    if not name or not name.isascii():
        if not name:
            raise ValueError("A metric with an empty name cannot be reported.")
        _text(name, name)
    kind = type(value)
    if kind is not float and kind is not int and kind is not str and kind is not bool:
        value = _converted(name, value)
    if isinstance(value, float):
        if value - value == 0:
            return value
        return "inf" if value > 0 else "-inf" if value < 0 else "nan"
    if isinstance(value, int):
        if not -(2**63) <= value < 2**64:
            raise ValueError(f"The value of {name!r} does not fit into 64 bits; report float({name}).")
        return value
    return _text(name, str(value))


def _converted(name: str, value: Any) -> Any:
    if value is None:
        raise ValueError(f"The value of {name!r} is None. Leave the name out of this report, or report float('nan').")
    item = getattr(value, "item", None)
    if callable(item) and not isinstance(value, dict):
        try:
            value = item()
        except (TypeError, ValueError, RuntimeError) as error:
            raise TypeError(
                f"The value of {name!r} is a {type(value).__name__} that is not a single number ({error})."
            ) from None
    if isinstance(value, str):
        return str.__str__(value)  # an enumeration's own str() would give its name
    for base in (bool, int, float):
        if isinstance(value, base):
            return base(value)
    raise TypeError(
        f"The value of {name!r} is a {type(value).__name__}; report numbers, text or booleans, one name each."
    )


def _text(name: str, value: str) -> str:
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ValueError(f"The text of {name!r} is not valid Unicode (a lone surrogate) and cannot be sent.") from None
    return value


def _encoded(values: dict[str, Any]) -> str:
    """A flat table as JSON; the json module is loaded only for text that has to be escaped."""
    parts: list[str] = []
    for name, value in values.items():
        kind = type(value)
        if kind is bool:
            text = "true" if value else "false"
        elif kind is float or kind is int:
            text = repr(value)
        else:
            text = _quoted(value)
        parts.append(f"{_quoted(name)}:{text}")
    return f"{{{','.join(parts)}}}"


def _quoted(text: str) -> str:
    if text.isascii() and text.isprintable() and '"' not in text and "\\" not in text:
        return f'"{text}"'
    import json

    return json.dumps(text)


def _amount(name: str, value: float | None, variable: str = "") -> Any:
    """A number from 0 up from an argument, else from the environment; None if neither is there."""
    origin = name
    raw: Any = value
    if raw is None and variable:
        origin, raw = f"${variable}", os.environ.get(variable)
    if raw is None or raw == "":
        return None
    try:
        number = float(raw)
    except (TypeError, ValueError):
        number = -1.0
    if not 0 <= number < float("inf"):
        raise ValueError(f"{origin}={raw!r} is not valid: give a number from 0 up.")
    return number


def _whole_number(text: str | None) -> int | None:
    return int(text) if text is not None and text.isascii() and text.isdigit() else None


def _rank() -> int:
    for variable in RANK_VARIABLES:
        rank = _whole_number(os.environ.get(variable))
        if rank is not None:
            return rank
    return 0


def _for_people(metrics: dict[str, Any], elapsed: float) -> str:
    parts = (
        f"{name}={value:.6g}" if isinstance(value, float) else f"{name}={value}" for name, value in metrics.items()
    )
    return f"report {' '.join(parts)} ({elapsed:.1f} s)"


def _print(line: str) -> None:
    """One line in one piece; a closed or full standard output is nobody's problem but its own."""
    try:
        sys.stdout.write(line + "\n")
        sys.stdout.flush()
    except (OSError, ValueError, AttributeError):
        pass

"""Small files that are whole or not there: JSON and, on a second line, its hash."""

from __future__ import annotations

import os
from hashlib import blake2b
from pathlib import Path
from typing import TypeVar

import msgspec

from offbeat.errors import OffbeatError

T = TypeVar("T")


class FileDamaged(OffbeatError):
    """A file of results is not what was written.

    Attributes:
        path: the file; reason: what does not fit.
    """

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(path, reason)
        self.path, self.reason = path, reason

    def __str__(self) -> str:
        return f"{self.path} is damaged or no file of offbeat bench: {self.reason}. Remove it; what it held is computed again."


def write_sealed(path: Path, value: object) -> None:
    """Writes a value so that a reader finds all of it, or, after a crash at any moment, what was there before."""
    text = msgspec.json.encode(value)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.new")
    try:
        with temporary.open("wb") as file:
            file.write(text + b"\n" + _seal(text) + b"\n")
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def read_sealed(path: Path, kind: type[T]) -> T:
    """What was written. Raises FileDamaged."""
    text, _, rest = path.read_bytes().partition(b"\n")
    if rest.strip() != _seal(text):
        raise FileDamaged(str(path), "its hash does not fit")
    try:
        return msgspec.json.decode(text, type=kind)
    except msgspec.MsgspecError as error:
        raise FileDamaged(str(path), str(error)) from None


def _seal(text: bytes) -> bytes:
    return blake2b(text, digest_size=16).hexdigest().encode()

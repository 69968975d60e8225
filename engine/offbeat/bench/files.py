"""Small files that are whole or not there: JSON and, on a second line, its hash."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
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


class FolderUnwritable(OffbeatError):
    """Results cannot be written.

    Attributes:
        path: what was to be written; reason: why not.
    """

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(path, reason)
        self.path, self.reason = path, reason

    def __str__(self) -> str:
        return (
            f"Cannot write {self.path}: {self.reason}. Make room or name another folder (-o); what lies in the folder already "
            "is not computed again."
        )


@contextmanager
def told(path: Path) -> Iterator[None]:
    """What goes wrong with the disk while the path is written, as FolderUnwritable."""
    try:
        yield
    except OSError as error:
        raise FolderUnwritable(str(path), error.strerror or str(error)) from error


def write_sealed(path: Path, value: object) -> None:
    """Writes a value so that a reader finds all of it, or, after a crash at any moment, what was there before.

    Raises FolderUnwritable.
    """
    text = msgspec.json.encode(value)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.new")
    with told(path):
        path.parent.mkdir(parents=True, exist_ok=True)
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

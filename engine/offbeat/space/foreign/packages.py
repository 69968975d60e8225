"""The other libraries, loaded when they are used; and names in errors."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

from offbeat.errors import InvalidSpace, MissingExtra
from offbeat.space.checks import shown


def package(name: str) -> Any:
    """The imported package. Raises MissingExtra."""
    try:
        return import_module(name)
    except ImportError:
        raise MissingExtra(f"Exchanging spaces with {name.partition('.')[0]}", "spaces") from None


@contextmanager
def entry(name: object) -> Iterator[None]:
    """Puts the name of an entry before an InvalidSpace about it."""
    try:
        yield
    except InvalidSpace as error:
        raise InvalidSpace(f"{shown(name)}: {error}") from None

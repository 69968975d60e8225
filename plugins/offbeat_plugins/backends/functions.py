"""A training function on its way to its trials: what it has to be like, and the bytes that are sent.

A module that a trial can import by name is imported there; everything else (functions of the script or notebook itself,
lambdas, closures, modules that are not on `sys.path`) travels by value. Nothing is ever unpickled on this side.
"""

from __future__ import annotations

import functools
import importlib
import importlib.machinery
import inspect
import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from hashlib import blake2b
from types import FunctionType, ModuleType
from typing import Any, Final, NamedTuple

from offbeat.errors import InvalidArgument, MissingExtra, nearest
from offbeat_plugins.backends.fingerprints import captured

DEPTH: Final = 5
"""How far a search for what cannot be sent goes."""


class Packed(NamedTuple):
    """A function as its trials get it.

    Attributes:
        content: a line of JSON (name, sys.path) and the pickle behind it.
        digest: of the content; the trial unpickles nothing of another one.
        path: `sys.path` of this process, which the trial gets.
        module: what the trial imports to have the function; empty: it is sent by value.
    """

    content: bytes
    digest: str
    path: tuple[str, ...]
    module: str


def name_of(function: object) -> str:
    """What a function is called in messages."""
    if isinstance(function, functools.partial):
        return name_of(function.func)
    return str(getattr(function, "__name__", None) or type(function).__name__)


def check_kind(function: Any) -> None:
    """Raises InvalidArgument for what does nothing, or not here, when it is called."""
    if not callable(function):
        hint = "; LocalBackend(entry_point=...) runs scripts" if isinstance(function, str | os.PathLike) else ""
        raise InvalidArgument(f"tune_function={function!r} is not a function: pass the function itself{hint}.")
    name = name_of(function)
    inner = function if inspect.isroutine(function) or isinstance(function, functools.partial) else function.__call__
    if inspect.iscoroutinefunction(inner):
        raise InvalidArgument(
            f"tune_function={name!r} is a coroutine function: called in a trial's process it would do nothing. Use the "
            "CoroutineBackend, or pass a plain function that calls asyncio.run(...)."
        )
    if inspect.isgeneratorfunction(inner) or inspect.isasyncgenfunction(inner):
        raise InvalidArgument(
            f"tune_function={name!r} is a generator: called, it would do nothing. Call report(...) instead of `yield`."
        )


def check_parameters(function: Any, names: Iterable[str]) -> None:
    """Raises InvalidArgument for a function that cannot be called with exactly these names."""
    name = name_of(function)
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError) as error:
        if isinstance(function, functools.partial):
            raise InvalidArgument(f"tune_function={name!r}: {error}.") from None
        return  # written in C; what is wrong with it is seen in the first trial
    _check_signature(name, signature, list(names))


def check_defaults(function: Any, conditional: Iterable[str]) -> None:
    """Raises InvalidArgument for a function without defaults for hyperparameters that a configuration may not have."""
    try:
        parameters = inspect.signature(function).parameters
    except (TypeError, ValueError):
        return  # see check_parameters
    for one in conditional:
        if one in parameters and parameters[one].default is inspect.Parameter.empty:
            raise InvalidArgument(
                f"tune_function={name_of(function)!r} needs a default for {one!r}, such as {one}=None: where its condition does "
                "not hold, a configuration does not have it."
            )


def _check_signature(name: str, signature: inspect.Signature, names: list[str]) -> None:
    parameters = signature.parameters.values()
    by_name = {one.name: one for one in parameters if one.kind in (one.POSITIONAL_OR_KEYWORD, one.KEYWORD_ONLY)}
    shown = f"tune_function={name!r}"
    if not any(one.kind is one.VAR_KEYWORD for one in parameters):
        for unknown in (one for one in names if one not in by_name):
            raise InvalidArgument(
                f"{shown} does not take {unknown!r}, which config_space has. {nearest(unknown, by_name)} Give it a "
                f"parameter of this name, or **kwargs: it is called as {name}({', '.join(f'{n}=...' for n in names)})."
            )
    for one in parameters:
        if one.kind is one.POSITIONAL_ONLY and one.default is one.empty:
            raise InvalidArgument(
                f"{shown} takes {one.name!r} by position only; it is called with names: remove the '/'."
            )
    for one in by_name.values():
        if one.default is one.empty and one.name not in names:
            raise InvalidArgument(
                f"{shown} needs {one.name!r}, which config_space does not have. {nearest(one.name, names)} Add it there (a "
                "constant will do), or give the parameter a default."
            )


def pack(function: Callable[..., Any]) -> Packed:
    """The bytes that are sent. Raises InvalidArgument naming what cannot be, MissingExtra."""
    try:
        cloudpickle = importlib.import_module("cloudpickle")
    except ImportError:
        raise MissingExtra("PythonBackend", "functions") from None
    module, has_it = _home_of(function)
    known = module is not None and module.__name__ != "__main__" and can_be_imported(module)
    with nullcontext() if known or module is None else _by_value(cloudpickle, module):
        try:
            pickled: bytes = cloudpickle.dumps(function)
        except Exception as error:
            raise InvalidArgument(_complaint(cloudpickle.dumps, function, error)) from error
    # In full, as it means the same in another folder.
    path = [os.path.abspath(entry) for entry in sys.path if isinstance(entry, str)]  # noqa: PTH100 - "" is the current one
    content = json.dumps({"name": name_of(function), "path": path}).encode() + b"\n" + pickled
    digest = blake2b(content, digest_size=16).hexdigest()
    return Packed(content, digest, tuple(path), module.__name__ if known and has_it and module is not None else "")


def _home_of(function: Any) -> tuple[ModuleType | None, bool]:
    """The module that a function, or the class of a callable object, was defined in; and whether it has it by name."""
    while isinstance(function, functools.partial):
        function = function.func
    if inspect.ismethod(function):
        function = function.__self__
    named = function if isinstance(function, FunctionType | type) else type(function)
    module = sys.modules.get(getattr(named, "__module__", None) or "")
    found: Any = module
    for name in named.__qualname__.split("."):
        found = getattr(found, name, None)
    return module, found is named


@contextmanager
def _by_value(cloudpickle: ModuleType, module: ModuleType) -> Iterator[None]:
    """While this lasts, a module is sent along; those of scripts and notebooks always are."""
    if module.__name__ == "__main__" or module.__name__ in cloudpickle.list_registry_pickle_by_value():
        yield
        return
    cloudpickle.register_pickle_by_value(module)
    try:
        yield
    finally:
        cloudpickle.unregister_pickle_by_value(module)


def can_be_imported(module: ModuleType) -> bool:
    """Whether another process with this `sys.path` finds the same module under its name."""
    parent, _, _ = module.__name__.rpartition(".")
    path = getattr(sys.modules.get(parent), "__path__", None) if parent else None
    if parent and path is None:
        return False
    for finder in sys.meta_path:
        find: Callable[..., importlib.machinery.ModuleSpec | None] | None = getattr(finder, "find_spec", None)
        spec = find(module.__name__, path) if find is not None else None
        if spec is not None:
            return spec.origin in ("built-in", "frozen") or spec.origin == getattr(module, "__file__", None)
    return False


def _complaint(dumps: Callable[[Any], bytes], function: Any, error: Exception) -> str:
    trail, value = _culprit(dumps, function, DEPTH)
    name = name_of(function)
    if not trail:
        return (
            f"tune_function={name!r} cannot be sent to a trial: {error}. Put it into a module of its own and import it."
        )
    kind = type(value)
    what = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    return (
        f"tune_function={name!r} cannot be sent to a trial because of its {' -> '.join(trail)}, a {what}, which cannot be "
        "pickled. Make it inside the function, or put the function into a module of its own and import it."
    )


def _culprit(dumps: Callable[[Any], bytes], value: Any, depth: int) -> tuple[list[str], Any]:
    """(the way to what cannot be pickled, it): as far in as names lead."""
    parts: Mapping[str, Any] = captured(value) if callable(value) and not isinstance(value, type) else {}
    if isinstance(value, dict):
        parts = {f"entry {name!r}": item for name, item in value.items()}
    elif isinstance(value, list | tuple):
        parts = {f"item {i}": item for i, item in enumerate(value)}
    elif not callable(value):
        parts = {f"attribute {name!r}": item for name, item in getattr(value, "__dict__", {}).items()}
    for name, part in parts.items():
        try:
            dumps(part)
        except Exception:
            trail, found = _culprit(dumps, part, depth - 1) if depth else ([], part)
            return [name, *trail], found
    return [], value

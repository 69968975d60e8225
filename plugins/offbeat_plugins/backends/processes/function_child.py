"""What the process of a function trial does: checks the digest, unpickles, calls, and looks at what comes back."""

# pathlib would cost a fifth of a warm trial.
# ruff: noqa: PTH123
from __future__ import annotations

import functools
import json
import os
import pickle
import sys
from collections.abc import Mapping
from hashlib import blake2b
from typing import Any

from offbeat.report import Reporter, config


def main(argv: list[str]) -> None:
    """Runs one trial. Ends this process with status 1 and one sentence, or the function's own traceback."""
    function = _load(argv[1], argv[2])
    _publish(function)
    sys.argv[1:] = []
    try:
        result = function(**config())
    except Exception as error:
        # From the function's frame on: what is above it is nobody's code.
        inner = error.__traceback__.tb_next if error.__traceback__ is not None else None
        sys.excepthook(type(error), error.with_traceback(inner), inner)
        sys.exit(1)
    # Set by the first report of this process.
    if isinstance(result, Mapping) and result and os.environ.get("OFFBEAT_REPORTER") != str(os.getpid()):
        Reporter()(**result)


def _load(path: str, digest: str) -> Any:
    try:
        with open(path, "rb") as file:
            content = file.read()
    except OSError as problem:
        sys.exit(f"offbeat: the function cannot be read: {problem}")
    found = blake2b(content, digest_size=16).hexdigest()
    if found != digest:
        sys.exit(
            f"offbeat: {path} is not what the engine wrote (digest {found} instead of {digest}); nothing of it was "
            "unpickled. Find out who changed it, then resume."
        )
    head, _, pickled = content.partition(b"\n")
    sys.path[:] = json.loads(head)["path"]
    return pickle.loads(pickled)  # noqa: S301 - the engine's own, as the digest says


def _publish(function: Any) -> None:
    """Makes `__main__` hold what the function's own `__main__` did, so that objects of its classes can be pickled."""
    while isinstance(function, functools.partial):
        function = function.func
    namespace = getattr(function, "__globals__", None)
    if namespace is not None and getattr(function, "__module__", "") == "__main__":
        main = vars(sys.modules["__main__"])
        main.update({name: value for name, value in namespace.items() if not name.startswith("__")})

"""Programs of JAX that are traced once on a machine: their StableHLO lies in a file beside what XLA made of it.

JAX's persistent cache spares a new process the compiling; tracing and lowering a suggestion's program would still take it
most of what a first suggestion takes. A file's name says for what it holds: the versions of JAX, this source, the kind of
device, the program's constants, and shapes and types of its arguments. Nothing in it is unpickled.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, Final

from offbeat_plugins.acquisition import criterion, hypervolume, program, search
from offbeat_plugins.surrogates import hyperparameters, process

SOURCES: Final = (Path(__file__).parent, Path(process.__file__).parent)
"""Folders whose modules the programs are written in."""

TREES: Final = (
    program.Model, program.Observations, program.Start, program.Question, program.Fits, program.Answer,
    process.Columns, process.Posterior, hyperparameters.Bounds, criterion.Aim, search.Found,
    hypervolume.Boxes, hypervolume.Scalarisation,
)  # fmt: skip
"""What arguments and answers are made of."""


def exported(traced: Any, constants: object, arguments: Sequence[Any], folder: str) -> Callable[..., Any]:
    """A jitted function that computes what `traced`, also a jitted one, does; traced only if no file of `folder` has it.

    Args:
        traced: of trees of TREES and arrays.
        constants: what it is specialised to beside its arguments, with a `repr` that says all of it.
        arguments: of the first call; others of the same shapes and types may follow.
        folder: of the files. One that is damaged is replaced; one that cannot be written is done without.
    """
    import jax
    import jaxlib.version
    from jax import export

    _registered()
    leaves, tree = jax.tree.flatten(tuple(arguments))
    shapes = [(leaf.shape, str(leaf.dtype)) for leaf in leaves]
    told = (
        jax.__version__,
        jaxlib.version.__version__,
        jax.default_backend(),
        _source(),
        repr(constants),
        repr((tree, shapes)),
    )
    file = Path(folder) / f"{hashlib.blake2b(repr(told).encode(), digest_size=20).hexdigest()}.stablehlo"
    with suppress(Exception):  # missing, cut short, foreign: whatever it is, the program can be traced
        return _jitted(export.deserialize(bytearray(file.read_bytes())))
    try:
        made = export.export(traced)(*arguments)
        _written(file, bytes(made.serialize()))
    except ValueError:  # a device whose operations JAX does not promise to keep
        traces: Callable[..., Any] = traced
        return traces
    return _jitted(made)


def _jitted(made: Any) -> Callable[..., Any]:
    import jax

    call: Callable[..., Any] = jax.jit(made.call)
    return call


def _written(file: Path, data: bytes) -> None:
    """The whole file or none: other processes may be reading, or writing the same."""
    with suppress(OSError):
        handle, name = tempfile.mkstemp(dir=file.parent, suffix=".part")
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
        Path(name).replace(file)


@cache
def _source() -> str:
    """A digest of the modules that programs are written in: an older source's programs are others."""
    digest = hashlib.blake2b(digest_size=20)
    for folder in SOURCES:
        for path in sorted(folder.glob("*.py")):
            digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


@cache
def _registered() -> None:
    from jax import export

    for kind in TREES:
        export.register_namedtuple_serialization(kind, serialized_name=f"offbeat.{kind.__name__}")

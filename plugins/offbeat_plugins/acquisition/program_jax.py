"""The suggestion's program compiled by JAX: one for each bucket of padded rows, fit and search in one.

Rows are padded to the next bucket and masked, so that 1,000 observations one after the other compile 8 programs at most,
and padding wastes little: from 520 to 1,024 it would cost seven times. A fit without a search runs the same program
with the search switched off. Numbers are float64 by `jax.enable_x64`, entered here, where the computing happens, and
nowhere set for the process.
"""

from __future__ import annotations

from functools import cache, partial
from typing import Any, Final

import numpy as np

from offbeat_plugins.acquisition.exported import exported
from offbeat_plugins.acquisition.hypervolume import Boxes
from offbeat_plugins.acquisition.program import (
    Answer,
    Fits,
    Model,
    Observations,
    Question,
    Shape,
    Start,
    answer,
    fits,
    setting_of,
)
from offbeat_plugins.acquisition.search import Found
from offbeat_plugins.surrogates.arithmetic_jax import jax_arithmetic
from offbeat_plugins.surrogates.process import Posterior

BUCKETS: Final = (64, 128, 256, 384, 512, 640, 768, 1024)
"""Rows that programs are compiled for."""

PENDING: Final = (8, 64, 512)
"""Pending points are padded to these."""

BOXES: Final = (64, 256, 1024, 2048)
"""Boxes of a hypervolume improvement are padded to these."""

TRACES: Final[dict[tuple[int, ...], int]] = {}
"""How often a program was traced, by (rows, columns, pending, candidates); for tests and diagnostics."""


def bucket(count: int, sizes: tuple[int, ...]) -> int:
    """The smallest of `sizes` that is at least `count`; beyond the last its next multiple."""
    return next((size for size in sizes if size >= count), -(-count // sizes[-1]) * sizes[-1])


@cache
def _compiled(shape: Shape) -> Any:
    import jax

    ar = jax_arithmetic()

    def program(model: Model, seen: Observations, start: Start, question: Question, searching: Any) -> Any:
        key = (*seen.x.shape, len(question.pending), len(question.candidates))
        TRACES[key] = TRACES.get(key, 0) + 1
        found, processes = fits(ar, model, seen, start, shape)
        run = partial(answer, setting_of(ar, model, shape), seen, processes, question, shape)
        empty = _nothing(jax.numpy, processes, question, shape)
        return found, jax.lax.cond(searching, run, lambda: empty)

    return jax.jit(program)


def _nothing(xp: Any, processes: list[Posterior], question: Question, shape: Shape) -> Answer:
    """Zeros of the shapes of an answer, written out: asking JAX for them would trace the search a second time."""
    more, width = question.normals.shape
    starts, d = shape.effort.starts, question.candidates.shape[1]

    def grown(process: Posterior) -> Posterior:
        n = process.z.shape[0] + more
        return Posterior(
            xp.zeros_like(process.theta),
            xp.zeros((n, d)),
            xp.zeros(n),
            xp.zeros((n, width)),
            xp.zeros((n, n)),
            xp.zeros_like(process.constant),
            xp.zeros_like(process.noise),
        )

    aim = question.aim._replace(best=xp.zeros(width))
    found = Found(xp.zeros(question.candidates.shape[0]), xp.zeros((starts, d)), xp.zeros(starts))
    return Answer(tuple(grown(process) for process in processes), aim, found)


class JaxSolver:
    """Runs the compiled program; see `Solver`.

    Args:
        folder: where compiled programs are kept between processes; None: not.
    """

    name = "jax"

    def __init__(self, folder: str | None = None) -> None:
        jax_arithmetic()
        self._folder = folder
        if folder is not None:
            keep_compiled(folder)

    def fit(self, model: Model, seen: Observations, start: Start, question: Question, shape: Shape) -> Fits:
        """See `Solver`."""
        return self._run(model, seen, start, question, shape, searching=False)[0]

    def __call__(
        self, model: Model, seen: Observations, start: Start, question: Question, shape: Shape
    ) -> tuple[Fits, Answer]:
        """See `Solver`."""
        return self._run(model, seen, start, question, shape, searching=True)

    def _run(
        self, model: Model, seen: Observations, start: Start, question: Question, shape: Shape, *, searching: bool
    ) -> tuple[Fits, Answer]:
        import jax

        # Arrays throughout: a number of Python's would be another type, and another program.
        arguments = jax.tree.map(np.asarray, (model, padded(seen), start, with_room(question), searching))
        with jax.enable_x64(True):
            arrays: tuple[Fits, Answer] = jax.tree.map(np.asarray, self._program(shape, arguments)(*arguments))
            return arrays

    def _program(self, shape: Shape, arguments: tuple[Any, ...]) -> Any:
        """The compiled program for arguments of these shapes."""
        if self._folder is None:
            return _compiled(shape)
        import jax

        leaves, tree = jax.tree.flatten(arguments)
        key = (self._folder, shape, tree, *((leaf.shape, leaf.dtype) for leaf in leaves))
        if key not in _KEPT:
            _KEPT[key] = exported(_compiled(shape), shape, arguments, self._folder)
        return _KEPT[key]


_KEPT: Final[dict[tuple[Any, ...], Any]] = {}
"""Programs of this process by folder, constants and shapes."""


@cache
def keep_compiled(folder: str) -> None:
    """What XLA makes of the programs of this process goes to `folder` and is taken from there: JAX's persistent cache.

    JAX has one such folder a process; asking again for one that was asked for before changes nothing.
    """
    import jax

    jax.config.update("jax_compilation_cache_dir", folder)
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)


def padded(seen: Observations) -> Observations:
    """Rows of zeros up to the bucket; the mask says which."""
    return Observations(*(_rows(part, bucket(len(seen.x), BUCKETS)) for part in seen))


def with_room(question: Question) -> Question:
    """Pending points and boxes padded to their buckets. No pending point at all gets one too: their number changes no program."""
    size = bucket(len(question.pending), PENDING)
    several = question.aim.several
    if isinstance(several, Boxes):
        # Copies of one box, without weight: what is computed of them is finite.
        rows = np.arange(bucket(len(several.lower), BOXES))
        real = rows < len(several.lower)
        rows[~real] = 0
        weight = np.where(real, several.log_weight[rows], -np.inf)
        question = question._replace(
            aim=question.aim._replace(several=Boxes(several.lower[rows], several.upper[rows], weight))
        )
    return question._replace(
        pending=_rows(question.pending, size), mask=_rows(question.mask, size), normals=_rows(question.normals, size)
    )


def _rows(array: Any, size: int) -> Any:
    return np.concatenate([array, np.zeros((size - len(array), *array.shape[1:]))])

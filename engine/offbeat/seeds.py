"""Counted randomness: every number is a function of (seed, purpose, number), so a crash loses and repeats nothing.

Philox (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3") is a counter-based generator: the key comes
from seed and purpose, the counter from the number, and any position can be computed without those before it.
"""

from __future__ import annotations

from functools import lru_cache
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from numpy.random import Generator
    from numpy.typing import NDArray

BLOCK: Final = 64
"""Rows drawn at once: making a generator costs as much as drawing some hundred numbers."""


def key(seed: int, purpose: str) -> int:
    """128-bit Philox key of a purpose under a seed."""
    return int.from_bytes(blake2b(f"{seed}/{purpose}".encode(), digest_size=16).digest(), "little")


def child_seed(seed: int, purpose: str, number: int) -> int:
    """A 31-bit seed for somebody else's generator, e.g. a training script's."""
    state = _prefix(seed, purpose).copy()
    state.update(b"%d" % number)
    return int.from_bytes(state.digest(), "little") & 0x7FFFFFFF


@lru_cache(maxsize=64)
def _prefix(seed: int, purpose: str) -> blake2b:
    """The hash of a stream's name, to go on from: the same for each of its numbers."""
    return blake2b(f"{seed}/{purpose}/".encode(), digest_size=16)


def generator(seed: int, purpose: str, number: int) -> Generator:
    """A NumPy generator of its own for the number-th use of a purpose."""
    from numpy.random import Generator, Philox

    return Generator(Philox(key=key(seed, purpose), counter=[0, 0, 0, number]))


class Rows:
    """Rows of uniform numbers in [0, 1), addressed by number and retry; each is the same however it is reached.

    Args:
        seed, purpose: name the stream.
        width: numbers in a row.
    """

    __slots__ = ("_block", "_further", "_generator", "_index", "_key", "_state", "_width")

    def __init__(self, seed: int, purpose: str, width: int) -> None:
        self._key = key(seed, purpose)
        self._width = width
        self._generator: Generator | None = None
        self._state: Any = None
        self._index = -1
        self._block: list[list[float]] = []
        self._further: tuple[tuple[int, int], list[list[float]]] = ((-1, 0), [])

    def row(self, number: int, retry: int = 0) -> list[float]:
        """The row of a number; `retry` gives further rows for the same number (redraws)."""
        index, offset = divmod(number, BLOCK)
        if retry == 0:
            if index != self._index:
                self._index, self._block = index, self._drawn(index, 0)
            return self._block[offset]
        # Retries of one number come in sequence and are few; their rows are kept apart from the main sequence.
        if self._further[0] != (index, retry):
            self._further = ((index, retry), self._drawn(index, retry))
        return self._further[1][offset]

    def block(self, number: int) -> tuple[int, NDArray[Any]]:
        """The rows of the `BLOCK` numbers that this one lies among, as an array, and the first of these numbers."""
        index = number // BLOCK
        return index * BLOCK, self._array(index, 0)

    def _drawn(self, index: int, retry: int) -> list[list[float]]:
        rows: list[list[float]] = self._array(index, retry).tolist()
        return rows

    def _array(self, index: int, retry: int) -> NDArray[Any]:
        if self._generator is None:
            from numpy.random import Generator, Philox

            self._generator = Generator(Philox(key=self._key))
            self._state = self._generator.bit_generator.state
        # The same as a Philox made with this counter, which would ask the system for entropy first and not use it.
        state = self._state
        state["state"]["counter"][:] = (0, 0, retry, index)
        self._generator.bit_generator.state = state
        return self._generator.random((BLOCK, self._width))

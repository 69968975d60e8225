"""A random order of very many things, one place at a time: no list of them is made, and any place can be looked up."""

from __future__ import annotations

from hashlib import blake2b

from offbeat.seeds import key

_ROUNDS = 10


class Shuffle:
    """A permutation of 0..n-1 that follows from seed and purpose.

    A Feistel network (Luby & Rackoff 1988) over the next power of four, walked along its cycle until the number is below
    n (Black & Rogaway 2002, "Ciphers with Arbitrary Finite Domains"): fewer than four steps on average. Four rounds
    would do for large n; ten make small ones even too.
    """

    __slots__ = ("_half", "_key", "_mask", "_n")

    def __init__(self, n: int, seed: int, purpose: str) -> None:
        self._n = n
        self._half = max(1, ((n - 1).bit_length() + 1) // 2)
        self._mask = (1 << self._half) - 1
        self._key = key(seed, purpose).to_bytes(16, "little")

    def __getitem__(self, place: int) -> int:
        """What stands at a place, 0 <= place < n."""
        number = self._moved(place)
        while number >= self._n:
            number = self._moved(number)
        return number

    def _moved(self, number: int) -> int:
        left, right = number >> self._half, number & self._mask
        size = (self._half + 7) // 8
        for i in range(_ROUNDS):
            text = bytes((i,)) + right.to_bytes(size, "little")
            mixed = int.from_bytes(blake2b(text, digest_size=size, key=self._key).digest(), "little")
            left, right = right, left ^ (mixed & self._mask)
        return left << self._half | right

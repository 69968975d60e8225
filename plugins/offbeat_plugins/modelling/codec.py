"""Arguments and answers of models as bytes: JSON's values, and NumPy arrays as they lie in memory. Nothing is unpickled."""

from __future__ import annotations

from typing import Any, Final

import msgspec
import numpy as np

ARRAY: Final = 1
"""Code of an array among MessagePack's extensions."""

_KINDS: Final = frozenset("biuf")


def _packed(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray) and value.dtype.kind in _KINDS:
        # Little-endian and C order, whatever the array was.
        plain = np.ascontiguousarray(value, value.dtype.newbyteorder("<"))
        head = msgspec.msgpack.encode((plain.dtype.str, value.shape))
        return msgspec.msgpack.Ext(ARRAY, len(head).to_bytes(4, "little") + head + plain.tobytes())
    raise TypeError(f"A {type(value).__name__} cannot be sent: use numbers, text, lists, dicts and arrays of numbers.")


def _unpacked(code: int, data: memoryview) -> Any:
    if code != ARRAY:
        raise ValueError(f"unknown extension {code}")
    size = int.from_bytes(data[:4], "little")
    kind, shape = msgspec.msgpack.decode(data[4 : 4 + size], type=tuple[str, tuple[int, ...]])
    dtype = np.dtype(kind)
    if dtype.kind not in _KINDS:
        raise ValueError(f"an array of {kind} is not one of numbers")
    # A copy: the bytes belong to the message, and callers may write into what they get.
    return np.frombuffer(data, dtype, offset=4 + size).reshape(shape).copy()


_ENCODER: Final = msgspec.msgpack.Encoder(enc_hook=_packed)
_DECODER: Final = msgspec.msgpack.Decoder(ext_hook=_unpacked)


def dump(value: Any) -> bytes:
    """The value as bytes. Raises TypeError for what is not JSON or an array of numbers."""
    return _ENCODER.encode(value)


def load(data: bytes) -> Any:
    """What `dump` was given; tuples come back as lists. Raises ValueError."""
    return _DECODER.decode(data)

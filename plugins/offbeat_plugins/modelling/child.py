"""The process of a model: calls functions by name with what comes in, and answers what they return.

Started as `python -m offbeat_plugins.modelling.child BYTES`, the limit on its memory. Frames: four bytes of length, then
`codec` bytes; a request is (number, "module:function", keyword arguments), an answer (number, "" or what went wrong, value).
"""

from __future__ import annotations

import os
import queue
import resource
import signal
import sys
import threading
import traceback
from typing import Any, BinaryIO, Final

LONGEST: Final = 2**31
"""Bytes of a frame, at most."""


def read(stream: BinaryIO) -> bytes | None:
    """The next frame; None at the end of the stream, also in the middle of a frame."""
    head = stream.read(4)
    if len(head) < 4:
        return None
    size = int.from_bytes(head, "little")
    data = stream.read(size)
    return data if len(data) == size else None


def write(stream: BinaryIO, data: bytes) -> None:
    """One frame."""
    stream.write(len(data).to_bytes(4, "little") + data)
    stream.flush()


def _frames(stream: BinaryIO) -> queue.SimpleQueue[bytes]:
    """Frames as they come. A thread reads, so that the process ends with its parent also while it computes."""
    frames: queue.SimpleQueue[bytes] = queue.SimpleQueue()

    def pump() -> None:
        while (frame := read(stream)) is not None:
            frames.put(frame)
        os._exit(0)

    threading.Thread(target=pump, daemon=True).start()
    return frames


def _limit(size: int) -> None:
    """No more private memory than this: an allocation beyond it fails here instead of making the machine swap."""
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    if hard != resource.RLIM_INFINITY:
        size = min(size, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (size, hard))


def main() -> None:
    """Serves until its input ends."""
    # Ctrl-C is for the engine, which ends this process in good order.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    answers = os.fdopen(os.dup(1), "wb")
    # What models print must not get between the answers.
    os.dup2(2, 1)
    frames = _frames(os.fdopen(os.dup(0), "rb"))
    _limit(int(sys.argv[1]))
    from importlib import import_module

    from offbeat_plugins.modelling import codec

    while True:
        number, name, arguments = codec.load(frames.get())
        value: Any = None
        try:
            module, _, function = name.partition(":")
            value = getattr(import_module(module), function)(**arguments)
            data = codec.dump((number, "", value))
        except Exception as error:  # whatever a model raises is an answer
            told = "".join(traceback.format_exception(error))[-4000:]
            data = codec.dump((number, f"{type(error).__name__}: {error}"[:1000] + "\n" + told, None))
        write(answers, data)


if __name__ == "__main__":
    main()

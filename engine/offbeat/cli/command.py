"""The command line as a whole: which commands there are, what becomes of errors, and the exit status."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from offbeat.cli import (
    bench,
    blackboxes,
    check,
    demo,
    doctor,
    explain,
    export,
    fork,
    import_,
    look,
    plot,
    plugins,
    replay,
    resume,
    run,
    sim,
    status,
    verify,
)

DONE: Final = 0
FAILED: Final = 1
USAGE: Final = 2

_FAMILIES: Final = (
    demo, check, run, sim, bench, resume, status, look, explain, plot, verify, replay, fork, export, import_, blackboxes, plugins, doctor,
)  # fmt: skip


def parser() -> argparse.ArgumentParser:
    """The whole command line."""
    from offbeat import __version__

    top = argparse.ArgumentParser(
        prog="offbeat",
        description="Tune hyperparameters and architectures: many trials at once, every fact in a journal.",
        epilog="Exit status: 0 done, 1 failed, 2 wrong usage, 130 or 143 interrupted (offbeat resume NAME goes on). "
        "OFFBEAT_HOME says where experiments lie (default ~/offbeat); OFFBEAT_TRACE=1 shows tracebacks.",
        allow_abbrev=False,
    )
    top.add_argument("--version", action="version", version=f"offbeat {__version__}")
    commands = top.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for family in _FAMILIES:
        family.add(commands)
    return top


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command and returns the exit status; wrong usage ends in SystemExit(2), as argparse does it."""
    args = parser().parse_args(argv)
    try:
        with _warnings():
            status: int = args.handler(args)
            sys.stdout.flush()
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # The reader (head, less) has seen enough; Python would complain once more when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except Exception as error:
        if os.environ.get("OFFBEAT_TRACE"):
            raise
        from offbeat.errors import OffbeatError

        if isinstance(error, OffbeatError | OSError):
            print(f"offbeat: {error}", file=sys.stderr)
            return USAGE if _is_usage(error) else FAILED
        raise
    return status


@contextmanager
def _warnings() -> Iterator[None]:
    """The engine's warnings on stderr, as long as the command runs."""
    logger = logging.getLogger("offbeat")
    handler = logging.StreamHandler(sys.stderr)
    handler.setLevel(logging.WARNING)
    handler.setFormatter(logging.Formatter("offbeat: %(message)s"))
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)


def _is_usage(error: Exception) -> bool:
    """Whether the command line names something that is not there or cannot be, so that trying again will not help."""
    from offbeat import errors

    return isinstance(
        error,
        errors.InvalidArgument
        | errors.InvalidSpace
        | errors.InvalidConfig
        | errors.UnknownPlugin
        | errors.AmbiguousPlugin
        | errors.ExperimentNotFound
        | errors.ExperimentExists,
    )

"""How a trial's process begins: as a new program. Standard library only; `forked` has the other way."""

from __future__ import annotations

import subprocess

TYPE_CHECKING = False  # typing.TYPE_CHECKING would cost the import of typing, a third of the supervisor's start
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeAlias

    Launch: TypeAlias = Callable[[list[str], str, dict[str, str], int, int, int], int]
    """(argument list, working directory, environment, standard output, standard error, report pipe) -> process id.

    Raises OSError, ValueError or subprocess.SubprocessError where that is not possible. The process has a session of its
    own, an empty standard input, and of the caller's descriptors only the three that were passed.
    """


def run_program(  # noqa: PLR0917 - a Launch
    argv: list[str], cwd: str, env: dict[str, str], stdout: int, stderr: int, report: int
) -> int:
    """A fresh process. See `Launch`."""
    process = subprocess.Popen(
        argv,
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=stderr,
        cwd=cwd,
        env=env,
        pass_fds=(report,),
        start_new_session=True,
    )
    # The exit status is collected together with that of every other child of the shim.
    process.returncode = 0
    return process.pid

"""How a trial's process begins where modules are kept loaded: as a fork that becomes like a fresh interpreter.

The fork has its own session, standard streams, environment, signals, arguments, `__main__` and random numbers; modules are
as the fork server imported them. It ends as forked processes of `multiprocessing` do, without taking the interpreter
apart, which would cost more than everything else: threads are waited for, exit handlers run, what the script holds is
let go, files are flushed.
"""

# As in the supervisor.
# ruff: noqa: PTH113, PTH208
from __future__ import annotations

import atexit
import builtins
import contextlib
import ctypes
import errno
import gc
import io
import os
import signal
import sys
import traceback
from importlib.machinery import SourceFileLoader
from types import ModuleType

from offbeat_plugins.backends.processes import tree

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from types import CodeType, TracebackType
    from typing import Any, NoReturn


class Launcher:
    """Begins trials in forks of this process; a `launch.Launch`.

    Args:
        keep: descriptors that the modules opened, which their trials may need; files: the objects to them.
        dispositions: what signals did before this process began to handle them.
    """

    def __init__(self, keep: Collection[int], files: Sequence[io.IOBase], dispositions: Mapping[int, Any]) -> None:
        self._keep = frozenset(keep)
        self._files = files
        self._dispositions = dispositions

    def __call__(  # noqa: PLR0917 - a Launch
        self, argv: list[str], cwd: str, env: dict[str, str], stdout: int, stderr: int, report: int
    ) -> int:
        """Runs a script, the second of the arguments. Raises OSError."""
        # Here, not in the fork, so that what has gone is told as for a program that cannot be run.
        os.chdir(cwd)
        script = argv[1]
        if not os.path.isfile(script):
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), script)
        # A SIGTERM that comes before the fork has its own handlers must find those, not be ignored.
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        try:
            pid = os.fork()
            if pid:
                return pid
            try:
                self._become(argv[1:], env, stdout, stderr, report)
                leave(run(script), self._files)
            except BaseException:
                traceback.print_exc()
            os._exit(70)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, ())

    def _become(self, argv: list[str], env: dict[str, str], stdout: int, stderr: int, report: int) -> None:
        os.setsid()
        tree.set_name(f"trial {env['OFFBEAT_TRIAL']}")
        null = os.open(os.devnull, os.O_RDONLY)
        for target, source in enumerate((null, stdout, stderr)):
            os.dup2(source, target)
        os.set_inheritable(report, True)
        for name in os.listdir("/proc/self/fd"):
            if (fd := int(name)) > 2 and fd != report and fd not in self._keep:
                with contextlib.suppress(OSError):  # the listing's own
                    os.close(fd)
        for name in os.environ.keys() - env.keys():
            del os.environ[name]
        os.environ.update(env)
        sys.argv[:] = argv
        sys.orig_argv[:] = [sys.executable, *argv]
        signal.set_wakeup_fd(-1)
        for number, disposition in self._dispositions.items():
            signal.signal(number, signal.SIG_DFL if disposition is None else disposition)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        refresh()
        gc.enable()


def refresh() -> None:
    """Makes this process's own what forks would share unseen: random numbers, and temporary folders to be deleted."""
    # CPython seeds `random` anew in each fork by itself.
    numpy_random = sys.modules.get("numpy.random")
    if numpy_random is not None:
        with contextlib.suppress(TypeError):  # another bit generator than the one that can be seeded was put in
            numpy_random.seed()
    weakref = sys.modules.get("weakref")
    if weakref is not None:
        for finalizer in list(weakref.finalize._registry):
            finalizer.atexit = False


class _Script(SourceFileLoader):
    """Compiles anew each time and caches nothing, as `python script.py` does."""

    def get_code(self, fullname: str) -> CodeType:
        return self.source_to_code(self.get_data(self.path), self.path)


def run(script: str) -> int:
    """Runs a script as `__main__`; returns its exit status, or the number of a signal to end by, negative."""
    main = ModuleType("__main__")
    main.__file__ = script
    main.__loader__ = loader = _Script("__main__", script)
    main.__builtins__ = builtins  # type: ignore[attr-defined]
    sys.modules["__main__"] = main
    try:
        loader.exec_module(main)
    except SystemExit as exit_:
        return _status_of(exit_.code)
    except BaseException as error:
        inner = _from(script, error.__traceback__)
        sys.excepthook(type(error), error.with_traceback(inner), inner)
        return -signal.SIGINT if isinstance(error, KeyboardInterrupt) else 1
    return 0


def _status_of(code: object) -> int:
    if code is None:
        return 0
    if isinstance(code, int):
        return code & 0xFF
    print(code, file=sys.stderr)
    return 1


def _from(script: str, trace: TracebackType | None) -> TracebackType | None:
    """The traceback from the script's own frame on; all of it if the script had none (a syntax error)."""
    inner = trace
    while inner is not None and inner.tb_frame.f_code.co_filename != script:
        inner = inner.tb_next
    return inner


def leave(status: int, inherited: Sequence[io.IOBase]) -> NoReturn:
    """Ends this process: other threads, exit handlers, what the script still holds, files, C's buffers.

    status: from `run`; inherited: files of preloaded modules, which the script may have written to.
    """
    try:
        threading = sys.modules.get("threading")
        if threading is not None:
            threading._shutdown()
        atexit._run_exitfuncs()
        # Before the collector, which may close a file before the one that holds back for it.
        flush(inherited)
        # Nobody holds its namespace any more but its own functions, and threads that are still in them.
        del sys.modules["__main__"]
        gc.collect()
        flush(inherited)
    except BaseException:
        traceback.print_exc()
    try:
        if sys.stdout is not None and not sys.stdout.closed:
            sys.stdout.flush()
    except Exception:
        status = status or 120  # as the interpreter does
    with contextlib.suppress(Exception):
        sys.stderr.flush()
    with contextlib.suppress(Exception):
        ctypes.CDLL(None).fflush(None)
    if status < 0:
        signal.signal(-status, signal.SIG_DFL)
        os.kill(os.getpid(), -status)
    os._exit(status)


def open_files() -> list[io.IOBase]:
    """Files that this process has made objects for, those of frozen objects left out."""
    # type(), as looking at an unknown object's class may run its code.
    return [found for found in gc.get_objects() if issubclass(type(found), io.IOBase)]


def flush(inherited: Sequence[io.IOBase]) -> None:
    """Writes what open files hold back, those of preloaded modules and those that were opened since."""
    opened = open_files()
    # Twice: one may hold back for another.
    for file in (*opened, *opened, *inherited, *inherited):
        with contextlib.suppress(Exception):  # closed, or for reading
            file.flush()

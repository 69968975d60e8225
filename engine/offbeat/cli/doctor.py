"""`offbeat doctor`: what works here, what is missing and how to get it; with a name, whether that journal is whole."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

from offbeat.cli.output import add_home, add_json, print_json

MARKS: Final = {"ok": "ok  ", "note": "-   ", "warn": "!   ", "fail": "FAIL"}

ROOM: Final = 1 << 30
"""Bytes below which a warning is given: checkpoints are large, a full disk stops a run."""

_REQUIREMENT: Final = re.compile(r"\s*([A-Za-z0-9][A-Za-z0-9._-]*)[^;]*(?:;.*extra\s*==\s*['\"]([^'\"]+)['\"])?")

_SCRIPT: Final = "from offbeat.report import Reporter\nReporter()(answer=42)\n"


class Check(NamedTuple):
    """One line of the answer; `level` is "ok", "note" (nothing to mend), "warn" or "fail"."""

    level: str
    subject: str
    text: str


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the command."""
    parser = commands.add_parser(
        "doctor",
        help="check this installation, or an experiment's journal",
        description="Check this installation; with NAME, every line of that experiment's journal.",
        allow_abbrev=False,
    )
    parser.add_argument("name", metavar="NAME", nargs="?")
    parser.add_argument(
        "--repair",
        action="store_true",
        help="keep what lies before the first damage of NAME's journal, move the rest aside (nothing is deleted)",
    )
    add_home(parser)
    add_json(parser)
    parser.set_defaults(handler=doctor)


def doctor(args: argparse.Namespace) -> int:
    """Handles the command."""
    from offbeat.errors import InvalidArgument

    if args.repair and args.name is None:
        raise InvalidArgument("--repair needs the NAME of an experiment.")
    found: list[Check] = []
    for check in _journal(args) if args.name is not None else _installation(args.home):
        found.append(check)
        if not args.json:
            print(f"{MARKS[check.level]} {check.subject}: {check.text}", flush=True)
    if args.json:
        print_json([check._asdict() for check in found])
    return int(any(check.level == "fail" for check in found))


def _installation(home: str | None) -> Iterator[Check]:
    import platform

    from offbeat import __file__ as origin
    from offbeat import __version__

    version = platform.python_version()
    yield Check("ok" if sys.version_info >= (3, 11) else "fail", "Python", f"{version} at {sys.executable}")
    yield Check("ok", "offbeat", f"{__version__} at {Path(origin or '').parent}")
    if sys.platform != "linux":
        yield Check("warn", "platform", f"{sys.platform} is not tested; Linux is")
    yield from _packages()
    yield _home(home)
    yield _trial()
    yield _gpus()
    yield from _plugins()


def _packages() -> Iterator[Check]:
    """What is needed, then each extra with the line that installs it."""
    from importlib.metadata import PackageNotFoundError, requires, version

    wanted: dict[str, list[str]] = {}
    for text in requires("offbeat") or ():
        found = _REQUIREMENT.match(text)
        if found is not None:
            wanted.setdefault(found[2] or "", []).append(found[1])
    for extra, names in sorted(wanted.items()):
        if extra == "all":
            continue
        present, missing = [], []
        for name in names:
            try:
                present.append(f"{name} {version(name)}")
            except PackageNotFoundError:
                missing.append(name)
        if not extra:
            yield Check(
                "fail" if missing else "ok", "needed", ", ".join(present + [f"{name} MISSING" for name in missing])
            )
        elif missing:
            yield Check(
                "note", f"extra {extra}", f"not installed ({', '.join(missing)}): pip install 'offbeat[{extra}]'"
            )
        else:
            yield Check("ok", f"extra {extra}", ", ".join(present))


def _home(home: str | None) -> Check:
    """Whether experiments can be written, how much room there is, and how long the disk takes to be sure."""
    import os
    import shutil
    import tempfile

    from offbeat.clock import SystemClock
    from offbeat.home import root

    base = root(home)
    existing = next(path for path in (base, *base.parents) if path.is_dir())
    try:
        with tempfile.TemporaryFile(dir=existing) as file:
            file.write(b"x" * 4096)
            file.flush()
            clock = SystemClock()
            began = clock.monotonic()
            os.fsync(file.fileno())
            took = clock.monotonic() - began
    except OSError as error:
        return Check(
            "fail", "experiments", f"{base} cannot be written: {error.strerror}; set OFFBEAT_HOME to another folder"
        )
    free = shutil.disk_usage(existing).free
    text = f"{base}, {free / 1e9:.1f} GB free, one fsync {took * 1000:.1f} ms"
    return Check("ok" if free > ROOM else "warn", "experiments", text)


def _trial() -> Check:
    """A real experiment with one trial, in a folder that is thrown away: supervisor, pipe, journal and all."""
    import tempfile

    from offbeat.cli import experiment_file
    from offbeat.errors import OffbeatError

    with tempfile.TemporaryDirectory(prefix="offbeat-doctor-") as folder:
        script = Path(folder) / "answer.py"
        script.write_text(_SCRIPT, encoding="utf-8")
        tables = {
            "experiment": {"name": "doctor", "workers": 1, "observers": []},
            "backend": {"plugin": "local", "entry_point": str(script)},
            "scheduler": {"plugin": "random-search", "metric": "answer"},
            "space": {"x": {"domain": "choice", "values": [1]}},
            "stop": {"max_num_trials_started": 1},
        }
        try:
            experiment_file.build(tables, base=Path(folder), home=folder).run()
            from offbeat.results import load

            best = load("doctor", folder).best()
        except OffbeatError as error:
            return Check("fail", "local trials", str(error))
    if best is None or best.value != 42:
        return Check("fail", "local trials", "a trial was run, but its report did not arrive")
    return Check("ok", "local trials", "a trial was started, reported and ended")


def _gpus() -> Check:
    import os
    import shutil
    import subprocess

    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    limited = f" (CUDA_VISIBLE_DEVICES={visible})" if visible is not None else ""
    program = shutil.which("nvidia-smi")
    if program is None:
        return Check("note", "GPUs", f"none: nvidia-smi is not on PATH{limited}")
    try:
        done = subprocess.run([program, "-L"], capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return Check("warn", "GPUs", f"nvidia-smi does not answer: {error}")
    names = [line.split(" (UUID")[0] for line in done.stdout.splitlines() if line.startswith("GPU ")]
    if done.returncode != 0 or not names:
        return Check("note", "GPUs", f"none seen by nvidia-smi{limited}")
    return Check("ok", "GPUs", "; ".join(names) + limited)


def _plugins() -> Iterator[Check]:
    from offbeat.registry import available, health

    found = {info: health(info) for info in available()}
    broken = {info: text for info, text in found.items() if text != "ok"}
    yield Check("ok", "plugins", f"{len(found) - len(broken)} of {len(found)} usable (offbeat plugins lists them)")
    for info, text in broken.items():
        yield Check("warn", f"plugin {info.name}", text)


def _journal(args: argparse.Namespace) -> Iterator[Check]:
    """Reads every line of a journal; with --repair mends it first."""
    from offbeat.errors import JournalDamaged, OffbeatError
    from offbeat.home import find
    from offbeat.journal import read_journal, repair
    from offbeat.results import load

    folder = find(args.name, args.home)
    if args.repair:
        report = repair(folder)
        if report.damage:
            moved = (
                f"{report.moved} bytes are now in {', '.join(report.aside)}"
                if report.aside
                else "nothing had to be moved"
            )
            yield Check("ok", "repaired", f"{report.damage}; {report.kept} events kept, {moved}")
        else:
            yield Check("ok", "repair", "nothing to mend; nothing was changed")
    count = 0
    try:
        for _ in read_journal(folder):
            count += 1
        yield Check("ok", "journal", f"{count} events, every line whole and in its place")
    except JournalDamaged as error:
        yield Check("fail", "journal", f"{count} events are good; {error}")
        return
    yield _outcome("events", lambda: f"fit each other; {len(load(folder).ledger)} trials", OffbeatError)


def _outcome(subject: str, look: Callable[[], str], error: type[Exception]) -> Check:
    try:
        return Check("ok", subject, look())
    except error as problem:
        return Check("fail", subject, str(problem))

"""`offbeat status`: the live view of a run from another terminal, by following its journal."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any, Final

from offbeat.cli.output import add_home, add_json, print_json

if TYPE_CHECKING:
    from offbeat.clock import Clock
    from offbeat.events import Limits
    from offbeat.home import ExperimentFolder
    from offbeat.protocols import Recorded

PAUSE: Final = 0.25
"""Seconds between two looks at the journal: another process cannot be waited for."""


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the command."""
    parser = commands.add_parser(
        "status",
        help="watch a run from another terminal",
        description="Watch a run, live until it ends or Ctrl-C (which leaves the run alone).",
        allow_abbrev=False,
    )
    parser.add_argument("name", metavar="NAME", nargs="?", help="default: the experiment that was written to last")
    parser.add_argument("--once", action="store_true", help="print how it stands, and end")
    add_home(parser)
    add_json(parser)
    parser.set_defaults(handler=status)


def status(args: argparse.Namespace) -> int:
    """Handles the command."""
    import asyncio

    from offbeat.home import find
    from offbeat.results import load

    folder = _latest(args.home) if args.name is None else find(args.name, args.home)
    if args.json:
        print_json(load(folder).summary())
        return 0
    following = Following(folder)
    try:
        asyncio.run(_watch(following, once=args.once or not following.live))
    except KeyboardInterrupt:
        return 0
    if not following.live and not following.outcome:
        print(f"The engine died or was killed; go on with: {load(folder).goes_on_with}")
    return 0


def _latest(home: str | None) -> ExperimentFolder:
    """The experiment that was written to last. Raises InvalidArgument where there is none."""
    from offbeat.errors import InvalidArgument
    from offbeat.home import experiments, root

    def written(folder: ExperimentFolder) -> float:
        return max((file.stat().st_mtime for file in folder.journal.iterdir()), default=0.0)

    found = max(experiments(home), key=written, default=None)
    if found is None:
        raise InvalidArgument(f"There is no experiment in {root(home)} yet; start one: offbeat demo")
    return found


async def _watch(following: Following, *, once: bool) -> None:
    """Feeds the observer that `run` uses too, by its name like any other."""
    import asyncio

    from offbeat.registry import load

    console: Any = load("offbeat.reporters", "console")(sys.stdout)
    await console.start(following)
    try:
        await console.handle(following.last)
        while not once and following.live:
            await asyncio.sleep(PAUSE)
            if new := following.refresh():
                await console.handle(new)
    finally:
        await console.finish()


class Following:
    """An experiment with a growing journal, in the shape in which observers see a running one.

    Attributes:
        last: the last event, as it would be handed to an observer.
    """

    def __init__(self, folder: ExperimentFolder, *, clock: Clock | None = None) -> None:
        from offbeat.clock import SystemClock
        from offbeat.journal import read_journal
        from offbeat.results import load

        self.folder = folder
        self._experiment = load(folder)
        self.spec = self._experiment.spec
        self.ledger = self._experiment.ledger
        self.last = list(read_journal(folder, self._experiment.events - 1))[:1]
        self._clock = clock or SystemClock()
        self._looked = self._clock.monotonic()

    def refresh(self) -> list[Recorded]:
        """Folds what has come since, and gives it."""
        new = self._experiment.news()
        if new:
            self.last = new[-1:]
            self._looked = self._clock.monotonic()
        return new

    @property
    def limits(self) -> Limits:
        """Those in force."""
        return self._experiment.limits

    @property
    def outcome(self) -> str:
        """How the last session ended, empty while it is open."""
        return self._experiment.sessions[-1].outcome

    @property
    def live(self) -> bool:
        """Whether a session is open and its engine alive."""
        from offbeat.journal import holder

        return not self.outcome and holder(self.folder) is not None

    @property
    def elapsed(self) -> float:
        """Seconds on the experiment's clock; it goes on between two events while an engine runs."""
        return self._experiment.elapsed + (self._clock.monotonic() - self._looked if not self.outcome else 0.0)

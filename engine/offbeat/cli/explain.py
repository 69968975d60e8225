"""`offbeat explain`: why a trial was suggested, promoted and stopped.

The reasons stand in the journal. Who the rivals were is found by folding the journal into the scheduler again, up to
the event in question, and asking it for its `rung_table()`; a scheduler without one is explained by its reasons alone.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from offbeat.cli.output import add_home, add_json, print_json, print_table, shown_exactly
from offbeat.text import printable, shown

if TYPE_CHECKING:
    from offbeat.events import Event
    from offbeat.protocols import Scheduler
    from offbeat.replay.refold import Refold
    from offbeat.results import Experiment

RIVALS: Final = 3
"""Entries shown on either side of the cut and of the trial."""


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the command."""
    parser = commands.add_parser("explain", help="why a trial was suggested, promoted, stopped", allow_abbrev=False)
    parser.add_argument("name", metavar="NAME")
    parser.add_argument("trial", metavar="TRIAL", type=int)
    add_home(parser)
    add_json(parser)
    parser.set_defaults(handler=explain)


def explain(args: argparse.Namespace) -> int:
    """Handles the command."""
    from offbeat.results import load

    experiment = load(args.name, args.home)
    trial = experiment.trials[args.trial]
    steps = list(story(experiment, args.trial))
    if args.json:
        line = lineage(experiment, args.trial)
        print_json(
            {"trial": trial.id, "status": trial.status.value, "config": trial.config, "lineage": line, "steps": steps}
        )
        return 0
    print(f"{experiment.name}, trial {trial.id}: {trial.status.value}")
    for name, value in trial.config.items():
        print(f"  {name} = {printable(shown_exactly(value))}")
    if len(line := lineage(experiment, args.trial)) > 1:
        print(f"Lineage: trial {' <- trial '.join(map(str, line))} (each began with the checkpoint of the next)")
    for step in steps:
        print(f"\n[{step['at']:.1f} s] {printable(step['text'])}")
        if step.get("rung"):
            _print_rung(step["rung"], args.trial, experiment.spec.metrics[0].name)
    if steps:
        print(f"\nAll that was going on then: offbeat replay {experiment.name} --at {steps[-1]['seq']}")
    return 0


def lineage(experiment: Experiment, number: int) -> list[int]:
    """The trial, the one that it began as a copy of, that one's, and so on: those whose checkpoints it goes back to."""
    from offbeat.events import Suggested
    from offbeat.journal import read_journal

    donors: dict[int, int] = {}
    for recorded in read_journal(experiment.folder):
        if recorded.seq >= experiment.events:
            break
        event = recorded.event
        if isinstance(event, Suggested) and event.donor is not None:
            donors[int(event.trial)] = int(event.donor)
    line = [number]
    while (donor := donors.get(line[-1])) is not None:
        line.append(donor)
    return line


def story(experiment: Experiment, number: int) -> Iterator[dict[str, Any]]:
    """What happened to the trial, oldest first: {"at", "seq", "event", "text"}, and "rung" where rivals were compared."""
    from offbeat.events import ProposalRequested, Suggested, TrialResult, wire_name
    from offbeat.journal import read_journal
    from offbeat.replay.refold import SchedulerRaised

    refold = _refold(experiment)
    knew: int | None = None
    level = 0
    for recorded in read_journal(experiment.folder):
        if recorded.seq >= experiment.events:
            return
        event = recorded.event
        scheduler = None
        if refold is not None:
            # Asked for before: at a fork's border the next one takes over.
            scheduler = refold.scheduler
            try:
                refold.take_in(event, recorded.seq)
            except SchedulerRaised:  # the reasons are still there
                refold = scheduler = None
        if isinstance(event, ProposalRequested):
            knew = event.prefix
        text = _told(event, number, experiment, knew)
        if not text:
            continue
        step: dict[str, Any] = {"at": event.at, "seq": recorded.seq, "event": wire_name(event), "text": text}
        rung = _rung(scheduler, number) if isinstance(event, Suggested | TrialResult) else None
        if rung is not None and (rung["level"] > level or isinstance(event, Suggested)):
            step["rung"] = rung
            level = rung["level"]
        yield step


def _refold(experiment: Experiment) -> Refold | None:
    """The engine's state with its schedulers, to be folded again; None where the journal cannot build them."""
    from offbeat.replay.origin import authors
    from offbeat.replay.rebuilding import rebuilt
    from offbeat.replay.refold import Refold, Turn

    turns = []
    for author in authors(experiment.spec):
        found = rebuilt(author.scheduler, experiment.spec)
        if found.problem:
            return None
        turns.append(Turn(found.scheduler, author.last))
    return Refold(experiment.spec, turns) if any(hasattr(one.scheduler, "rung_table") for one in turns) else None


def _told(event: Event, number: int, experiment: Experiment, knew: int | None) -> str:
    """The event in words, empty if it is not about the trial or says nothing new."""
    from offbeat import events as ev
    from offbeat.replay.telling import DONE, because, sentence

    if isinstance(event, ev.TrialResult):
        if event.trial != number:
            for other, what, why in event.others:
                if other == number:
                    return f"{DONE[what]} on a report of trial {event.trial}{because(why)}"
            return ""
        if event.verdict in ("late", "repeat") or (event.verdict == "continue" and not event.why):
            return ""
    return sentence(event, experiment.spec, knew) if getattr(event, "trial", None) == number else ""


def _rung(scheduler: Scheduler | None, number: int) -> dict[str, Any] | None:
    """The highest rung that the trial has reached, as the scheduler had it then; None without rungs."""
    table: Sequence[Mapping[str, Any]] = getattr(scheduler, "rung_table", tuple)()
    reached = [rung for rung in table if any(trial == number for _, trial in rung["entries"])]
    if not reached:
        return None
    rung = max(reached, key=lambda one: one["level"])
    told = {"level": rung["level"], "cut": rung["cut"], "entries": [list(entry) for entry in rung["entries"]]}
    return told | ({"ranked_by": rung["ranked_by"]} if "ranked_by" in rung else {})


def _print_rung(rung: Mapping[str, Any], number: int, metric: str) -> None:
    """The rung's ranking around the cut and around the trial."""
    entries, cut = rung["entries"], rung["cut"]
    place = next(i for i, (_, trial) in enumerate(entries) if trial == number)
    wanted = {i for middle in (cut, place) for i in range(middle - RIVALS, middle + RIVALS)} | {0}
    rows: list[tuple[object, ...]] = []
    previous = -1
    for i in sorted(index for index in wanted if 0 <= index < len(entries)):
        if i > previous + 1:
            rows.append(("", "...", "", ""))
        value, trial = entries[i]
        note = "<- this trial" if trial == number else ""
        last = "(the last that is good enough)" if i == cut - 1 else ""
        # Equal values share a rank, as in the recorded reason.
        rank = next(better for better, (other, _) in enumerate(entries, 1) if other == value)
        rows.append((f"{rank}.", f"trial {trial}", shown(value), f"{note} {last}".strip()))
        previous = i
    print_table(("rank", f"at rung {rung['level']}", rung.get("ranked_by", metric), ""), rows, indent="    ")

"""Operators that make well-behaved scripts misbehave: each takes a script and answers another.

    script = apply(curves(objective), duplicated(seed=1), crashing(seed=2, share=0.1))

What they do depends on the seed, the trial and the attempt alone, so that a run with faults repeats exactly, and goes
on after a crash as it would have without. `duplicated`, `stale` and `shuffled` (on top of `bursts`) must not change any
decision: the engine sorts these faults out. The others are what schedulers have to live with.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, TypeAlias

import msgspec
from numpy.random import Generator

from offbeat.seeds import generator
from offbeat.signals import StartTrial
from offbeat.testing.scripted import End, Garbage, Report, Script, Step

Operator: TypeAlias = Callable[[Script], Script]

Rule: TypeAlias = Callable[[StartTrial, Iterable[Step], Generator], Iterable[Step]]

UNUSABLE: Final[Sequence[Any]] = ("nan", "inf", "-inf", None, True, "much", [1.0], {"value": 1.0})
"""What scripts have been seen to report in a metric's place, as it arrives; a missing one comes on top."""


def apply(script: Script, *operators: Operator) -> Script:
    """The script with faults, the first operator innermost."""
    for operator in operators:
        script = operator(script)
    return script


def _operator(purpose: str, seed: int, rule: Rule) -> Operator:
    def operator(script: Script) -> Script:
        def faulty(start: StartTrial) -> Iterable[Step]:
            return rule(start, script(start), generator(seed, f"fault/{purpose}/{start.trial}", start.attempt))

        return faulty

    return operator


def _numbered(steps: Iterable[Step]) -> Iterator[Step]:
    """Steps whose reports state their numbers, so that others may be put between them."""
    seq = 0
    for step in steps:
        if isinstance(step, Report):
            if step.seq is None:
                step = msgspec.structs.replace(step, seq=seq)  # noqa: PLW2901
            assert step.seq is not None
            seq = max(seq, step.seq + 1)
        yield step


def _falsified(metrics: Mapping[str, Any]) -> dict[str, Any]:
    # A copy that is counted by mistake has to be noticed: it would be the best trial of all, in either direction.
    return {name: -1e12 if isinstance(value, float) else value for name, value in metrics.items()}


def duplicated(seed: int, share: float = 0.5) -> Operator:
    """Reports come twice, at once or behind later ones; the copies hold other values, which must not count."""

    def rule(start: StartTrial, steps: Iterable[Step], rng: Generator) -> Iterator[Step]:
        sent: list[Report] = []
        for step in _numbered(steps):
            yield step
            if isinstance(step, Report):
                sent.append(step)
                while rng.random() < share:
                    copied = sent[int(rng.integers(len(sent)))]
                    yield msgspec.structs.replace(copied, metrics=_falsified(copied.metrics), seconds=0.0)

    return _operator("duplicated", seed, rule)


def stale(seed: int, share: float = 0.5) -> Operator:
    """Attempts after the first are disturbed by reports that an earlier attempt left on the way."""

    def rule(start: StartTrial, steps: Iterable[Step], rng: Generator) -> Iterator[Step]:
        for step in _numbered(steps):
            if isinstance(step, Report) and start.attempt > 0 and rng.random() < share:
                earlier = int(rng.integers(start.attempt))
                yield msgspec.structs.replace(step, metrics=_falsified(step.metrics), attempt=earlier)
                step = msgspec.structs.replace(step, seconds=0.0)  # noqa: PLW2901
            yield step

    return _operator("stale", seed, rule)


def bursts(size: int = 3) -> Operator:
    """Reports arrive in groups, all of a group at the moment of its last."""

    def rule(start: StartTrial, steps: Iterable[Step], rng: Generator) -> Iterator[Step]:
        for group in _groups(steps, lambda gathered, step: len(gathered) < size):
            yield from _at_once(group)

    return _operator("bursts", 0, rule)


def shuffled(seed: int) -> Operator:
    """Reports that arrive at one moment (see `bursts`) come in any order, with the numbers that they had."""

    def rule(start: StartTrial, steps: Iterable[Step], rng: Generator) -> Iterator[Step]:
        for group in _groups(_numbered(steps), lambda gathered, step: step.seconds == 0):
            yield from _at_once([group[place] for place in rng.permutation(len(group))])

    return _operator("shuffled", seed, rule)


def _groups(steps: Iterable[Step], belongs: Callable[[list[Step], Report], bool]) -> Iterator[list[Step]]:
    group: list[Step] = []
    for step in steps:
        if isinstance(step, Report) and (not group or belongs(group, step)):
            group.append(step)
            continue
        if group:
            yield group
        group = [step] if isinstance(step, Report) else []
        if not group:
            yield [step]
    if group:
        yield group


def _at_once(group: Sequence[Step]) -> Iterator[Step]:
    if not isinstance(group[0], Report):
        yield from group
        return
    together = sum(step.seconds for step in group if isinstance(step, Report))
    for place, step in enumerate(group):
        yield msgspec.structs.replace(step, seconds=0.0 if place else together)


def delayed(seed: int, share: float = 0.3, seconds: float = 64.0) -> Operator:
    """Some reports take long: other trials overtake this one."""

    def rule(start: StartTrial, steps: Iterable[Step], rng: Generator) -> Iterator[Step]:
        for step in steps:
            slow = isinstance(step, Report) and rng.random() < share
            yield msgspec.structs.replace(step, seconds=step.seconds + seconds) if slow else step  # type: ignore[union-attr]

    return _operator("delayed", seed, rule)


def dropped(seed: int, share: float = 0.2) -> Operator:
    """Some reports are lost on the way; those behind them arrive with the numbers that they had."""

    def rule(start: StartTrial, steps: Iterable[Step], rng: Generator) -> Iterator[Step]:
        passed = 0.0
        for step in _numbered(steps):
            if isinstance(step, Report):
                passed += step.seconds
                if rng.random() < share:
                    continue
                step = msgspec.structs.replace(step, seconds=passed)  # noqa: PLW2901
                passed = 0.0
            yield step

    return _operator("dropped", seed, rule)


def spoiled(seed: int, names: Sequence[str], share: float = 0.2, spare: int = 0) -> Operator:
    """Some values of the named metrics become `UNUSABLE` or are missing; the first `spare` trials stay as they are."""

    def rule(start: StartTrial, steps: Iterable[Step], rng: Generator) -> Iterator[Step]:
        for step in steps:
            if isinstance(step, Report) and start.trial >= spare and rng.random() < share:
                metrics = dict(step.metrics)
                name, what = names[int(rng.integers(len(names)))], int(rng.integers(len(UNUSABLE) + 1))
                if what == len(UNUSABLE):
                    metrics.pop(name, None)
                else:
                    metrics[name] = UNUSABLE[what]
                step = msgspec.structs.replace(step, metrics=metrics)  # noqa: PLW2901
            yield step

    return _operator("spoiled", seed, rule)


def garbled(seed: int, share: float = 0.3) -> Operator:
    """Unusable lines between the reports."""

    def rule(start: StartTrial, steps: Iterable[Step], rng: Generator) -> Iterator[Step]:
        for step in steps:
            if rng.random() < share:
                yield Garbage(seconds=0.0)
            yield step

    return _operator("garbled", seed, rule)


def _ending(purpose: str, seed: int, share: float, spare: int, end: End) -> Operator:
    def rule(start: StartTrial, steps: Iterable[Step], rng: Generator) -> Iterator[Step]:
        fate = rng.random() < share and start.trial >= spare
        for step in steps:
            if fate and rng.random() < 0.3:
                yield end
                return
            yield step

    return _operator(purpose, seed, rule)


def crashing(seed: int, share: float = 0.3, spare: int = 0) -> Operator:
    """Some attempts fail at some point, maybe before their first report; not those of the first `spare` trials."""
    return _ending("crashing", seed, share, spare, End("failed", "exit status 1", "Traceback: none", 0.5))


def silenced(seed: int, share: float = 0.2, spare: int = 0, seconds: float = 1000.0) -> Operator:
    """Some attempts say nothing more until the backend ends them after `seconds` (its `max_silence`)."""
    return _ending("silenced", seed, share, spare, End("failed", f"silent for {seconds:g} s", "", seconds))


def lost(seed: int, share: float = 0.3, spare: int = 0) -> Operator:
    """Contact to some attempts is lost (a node went away); the engine starts the next attempt."""

    def rule(start: StartTrial, steps: Iterable[Step], rng: Generator) -> Iterable[Step]:
        # Third attempts are safe, so that a trial does not go on for ever by bad luck.
        return steps if start.attempt >= 2 else _losing(steps, rng, start.trial >= spare and rng.random() < share)

    return _operator("lost", seed, rule)


def _losing(steps: Iterable[Step], rng: Generator, fate: bool) -> Iterator[Step]:
    for step in steps:
        if fate and rng.random() < 0.3:
            yield End("lost", "the node went away", "", 0.25)
            return
        yield step

"""What an importer answers: an experiment of another tool, in words of neither."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b
from pathlib import Path
from typing import Any, Literal, TypeAlias

import msgspec

from offbeat.errors import InvalidArgument, nearest
from offbeat.events import Metrics
from offbeat.space import Space

Outcome: TypeAlias = Literal["finished", "stopped", "failed", "paused", "open"]
"""How an execution ended. `stopped`: cut off by the tool's scheduler or pruner; `open`: it had not ended."""

Modes: TypeAlias = tuple[Literal["min", "max"], ...]


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What the user said beside the source; None: what the source says.

    Attributes:
        study: which experiment, where the source holds several.
        metrics, modes: objectives and their senses.
        resource_attr: what counts the progress of a trial.
        space: instead of the recorded or the inferred one.
    """

    study: str | None = None
    metrics: tuple[str, ...] | None = None
    modes: Modes | None = None
    resource_attr: str | None = None
    space: Space | None = None

    def objectives(
        self, recorded: tuple[str, ...] | None, modes: Modes | None, reported: Iterable[str]
    ) -> dict[str, Literal["min", "max"]]:
        """The objectives with their senses, from what was said and what is recorded.

        Args:
            recorded: names as the source has them, None where it does not say.
            modes: their senses, likewise.
            reported: metrics that trials have reported.

        Raises InvalidArgument that says which option is missing, or the nearest name.
        """
        known = list(dict.fromkeys(reported))
        names = self.metrics or recorded
        if not names:
            raise InvalidArgument(f"The source does not say what was optimised: pass metric=, {_one_of(known)}.")
        for name in names:
            if name not in known:
                raise InvalidArgument(f"No trial has reported metric {name!r}. {nearest(name, known)}")
        given = self.modes or (modes if not self.metrics or self.metrics == recorded else None)
        if given is None:
            which = ", ".join(map(repr, names))
            raise InvalidArgument(
                f"The source does not say in which sense {which} is better: pass mode='min' or 'max'."
            )
        if len(given) == 1:
            given = given * len(names)
        if len(given) != len(names):
            raise InvalidArgument(f"{len(given)} modes for {len(names)} metrics: give one, or one for each.")
        for mode in given:
            if mode not in ("min", "max"):
                raise InvalidArgument(f"mode={mode!r} is not valid. {nearest(str(mode), ('min', 'max'))}")
        return dict(zip(names, given, strict=True))


class ForeignResult(msgspec.Struct, frozen=True):
    """A report.

    Attributes:
        at: seconds on the tool's clock.
        metrics: as reported; the resource is among them where the experiment has one.
        raw: the values as reported, where `metrics` has others.
    """

    at: float
    metrics: Metrics
    raw: Metrics | None = None


class Stretch(msgspec.Struct, frozen=True, kw_only=True):
    """One execution, from a start to an end.

    Attributes:
        started, ended: seconds on the tool's clock.
        why: one clause for people on why it ended so.
    """

    started: float
    ended: float
    results: tuple[ForeignResult, ...] = ()
    how: Outcome = "finished"
    why: str = ""


class ForeignTrial(msgspec.Struct, frozen=True, kw_only=True):
    """A trial.

    Attributes:
        origin: what the tool calls it.
        config: hyperparameters, in the space.
        stretches: oldest first; several where it was paused, or started again.
        about: JSON to keep with it.
    """

    origin: int | str
    config: dict[str, Any]
    stretches: tuple[Stretch, ...]
    about: dict[str, Any] = {}


class Foreign(msgspec.Struct, frozen=True, kw_only=True):
    """An experiment.

    Attributes:
        tool, version: what wrote it, as its distribution is called; "" where the version is not known.
        source, digest: where it was read, and what `digest_of` says of the files.
        name: what the tool calls it.
        objectives: name -> sense; the first one ranks trials.
        max_t: the highest resource level that a trial may reach, None if unknown.
        epoch: seconds since 1970 at which the tool's clock stood at 0, None if unknown.
        notes: what was assumed or left out, one sentence each.
    """

    tool: str
    version: str
    source: str
    digest: str
    name: str
    space: Space
    objectives: dict[str, Literal["min", "max"]]
    trials: tuple[ForeignTrial, ...]
    resource_attr: str | None = None
    max_t: int | None = None
    epoch: float | None = None
    notes: tuple[str, ...] = ()


def digest_of(paths: Iterable[Path]) -> str:
    """BLAKE2b-128 over the names and contents of files, in the order of their names."""
    whole = blake2b(digest_size=16)
    for path in sorted(paths):
        with path.open("rb") as file:
            own = blake2b(digest_size=16)
            while piece := file.read(1 << 20):
                own.update(piece)
        whole.update(path.name.encode("utf-8", "surrogateescape") + b"\0" + own.digest())
    return whole.hexdigest()


def _one_of(names: list[str]) -> str:
    return f"one of {', '.join(map(repr, names))}" if names else "though no trial has reported any number"

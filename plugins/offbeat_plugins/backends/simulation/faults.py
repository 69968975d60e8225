"""What goes wrong in a simulated run, drawn from counted randomness: the same faults for the same seed, trial and attempt."""

from __future__ import annotations

import re
from collections.abc import Mapping
from math import log1p
from typing import Any, Final, Literal, NamedTuple

import msgspec

from offbeat.errors import InvalidArgument, nearest
from offbeat.seeds import key
from offbeat.signals import StartTrial

NAMES: Final[Mapping[str, str]] = {
    "crash": "crashes_per_hour",
    "hang": "hangs_per_hour",
    "spot": "preemptions_per_hour",
    "slow": "slow_workers",
}
"""Name in a profile's text -> the field that its percentage goes to."""

_PART: Final = re.compile(r"([a-z]+)-(\d+(?:\.\d+)?)%")


Kind = Literal["crash", "hang", "preemption"]


class Strike(NamedTuple):
    """What befalls an attempt, so many seconds after its beginning."""

    seconds: float
    what: Kind


class FaultProfile(msgspec.Struct, frozen=True, kw_only=True):
    """How often what goes wrong. Times are exponentially distributed; the first of the three ends an attempt.

    Attributes:
        crashes_per_hour: of training time, for each worker: the attempt fails.
        hangs_per_hour: the attempt says nothing more and keeps its worker busy.
        preemptions_per_hour: the machine is taken away; the attempt is lost and its trial is started again.
        slow_workers: share of the workers that take `slowness` times as long.
        max_silence: seconds after which a hanging attempt is ended as failed; None: never.
        seed: of all this.

    Raises InvalidArgument.
    """

    crashes_per_hour: float = 0.0
    hangs_per_hour: float = 0.0
    preemptions_per_hour: float = 0.0
    slow_workers: float = 0.0
    slowness: float = 3.0
    max_silence: float | None = 600.0
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("crashes_per_hour", "hangs_per_hour", "preemptions_per_hour"):
            _require(name, getattr(self, name), 0.0, 1e6)
        _require("slow_workers", self.slow_workers, 0.0, 1.0)
        _require("slowness", self.slowness, 1.0, 1e6)
        if self.max_silence is not None:
            _require("max_silence", self.max_silence, 0.0, 1e12)
        if isinstance(self.seed, bool) or not isinstance(self.seed, int):
            raise InvalidArgument(f"faults: seed={self.seed!r}: give a whole number.")

    @staticmethod
    def of(faults: str | Mapping[str, Any] | FaultProfile | None, seed: int | None = None) -> FaultProfile | None:
        """A profile from its text (`spot-5%`, `crash-2%,slow-10%`), its fields, or as it is; None for none.

        `spot-5%` preempts each worker 0.05 times an hour, `crash-` and `hang-` likewise; `slow-10%` makes a tenth of the
        workers slow. Raises InvalidArgument with the nearest name, and for a seed of nothing.
        """
        if seed is not None and (isinstance(seed, bool) or not isinstance(seed, int)):
            raise InvalidArgument(f"fault_seed={seed!r}: give a whole number, or None for the profile's own.")
        if faults is None:
            if seed is not None:
                raise InvalidArgument(f"fault_seed={seed!r} goes with faults=, as in faults='spot-5%'; there are none.")
            return None
        if isinstance(faults, str):
            faults = _parsed(faults)
        if isinstance(faults, Mapping):
            for name in faults:
                if name not in FaultProfile.__struct_fields__:
                    raise InvalidArgument(
                        f"faults: there is no {name!r}. {nearest(str(name), FaultProfile.__struct_fields__)}"
                    )
            faults = FaultProfile(**faults)
        if not isinstance(faults, FaultProfile):
            raise InvalidArgument(f"faults={faults!r}: give a text such as 'spot-5%', a mapping, or a FaultProfile.")
        return faults if seed is None else msgspec.structs.replace(faults, seed=seed)

    def slowdown(self, slot: int) -> float:
        """By how much a worker's trainings take longer."""
        if self.slow_workers == 0:
            return 1.0
        return self.slowness if _uniforms(self.seed, "slow-worker", slot, 0)[0] < self.slow_workers else 1.0

    def strike(self, start: StartTrial) -> Strike | None:
        """What befalls an attempt if it runs for long enough; None: nothing ever."""
        rates = (self.crashes_per_hour, self.hangs_per_hour, self.preemptions_per_hour)
        if not any(rates):
            return None
        drawn = _uniforms(self.seed, "fault", start.trial, start.attempt)
        # Rounded, so that a last digit in which mathematical libraries differ does not count.
        kinds: tuple[Kind, ...] = ("crash", "hang", "preemption")
        strikes = [
            Strike(round(-log1p(-u) * 3600 / rate, 6), what)
            for u, rate, what in zip(drawn, rates, kinds, strict=True)
            if rate > 0
        ]
        return min(strikes)


def _parsed(text: str) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for part in text.split(","):
        match = _PART.fullmatch(part.strip())
        if match is None or match[1] not in NAMES:
            kind = part.strip().partition("-")[0]
            raise InvalidArgument(
                f"faults={text!r}: write NAME-PERCENT%, joined by commas, such as 'spot-5%'. {nearest(kind, NAMES)}"
            )
        fields[NAMES[match[1]]] = float(match[2]) / 100
    return fields


def _require(name: str, value: object, low: float, high: float) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise InvalidArgument(f"faults: {name}={value!r}: give a number from {low:g} to {high:g}.")


def _uniforms(seed: int, purpose: str, number: int, attempt: int) -> list[float]:
    from numpy.random import Generator, Philox

    drawn: list[float] = Generator(Philox(key=key(seed, purpose), counter=[0, 0, attempt, number])).random(3).tolist()
    return drawn

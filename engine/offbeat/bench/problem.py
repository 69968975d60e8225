"""A benchmark with its blackbox at hand: nothing is left open, and equal problems have equal fingerprints."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from hashlib import blake2b
from typing import Any, Final

import msgspec

from offbeat.bench.benchmark import Benchmark
from offbeat.bench.view import View
from offbeat.errors import InvalidArgument, nearest
from offbeat.seeds import Rows
from offbeat.space import Space

_SEEN: Final = ("metric", "mode", "elapsed_attr", "perfect", "factor", "levels", "max_t", "judged")

PROBES: Final = 32
"""Configurations whose curves go into a fingerprint."""


class Problem:
    """A benchmark that can be run.

    Args:
        benchmark: what it leaves to the blackbox (metric, mode, elapsed time, max_t) is filled in.

    Attributes:
        benchmark: with metric, mode, elapsed time and max_t; budget, best and median as given.
        blackbox: its view; space: with the constant `max_resource_attr`, which says how far to run.

    Raises InvalidArgument with the nearest name, and what `Benchmark.load` raises.
    """

    def __init__(self, benchmark: Benchmark) -> None:
        found = benchmark.load()
        self.blackbox = View(found, benchmark.levels)
        metric, mode = _objective(benchmark, self.blackbox)
        elapsed = benchmark.elapsed_attr or self.blackbox.elapsed_attr
        if elapsed is None or elapsed not in self.blackbox.objectives:
            known = self.blackbox.objectives
            raise InvalidArgument(
                f"Benchmark {benchmark.name!r}: elapsed_attr={elapsed!r}: name the objective with the seconds of training. "
                f"{nearest(str(elapsed), known)}"
            )
        last = int(self.blackbox.levels[-1])
        top = benchmark.max_t or last
        if top > last or (benchmark.levels == "last" and top != last):
            raise InvalidArgument(f"Benchmark {benchmark.name!r}: max_t={top}, but the curves end at level {last}.")
        self.benchmark = msgspec.structs.replace(
            benchmark, metric=metric, mode=mode, elapsed_attr=elapsed, max_t=top, options=dict(benchmark.options)
        )
        constants = self.blackbox.space.constants
        resource = self.blackbox.resource_attr
        name = next((name for name, value in constants.items() if value == last), f"max_{resource}")
        while name in self.blackbox.space.domains:
            name = f"max_{name}"
        self.max_resource_attr = name
        self.space = Space.from_json({**self.blackbox.space.to_json(), name: {"constant": top}})

    @property
    def n_levels(self) -> int:
        """Resource levels that a trial can report."""
        top = self.benchmark.max_t
        return sum(1 for level in self.blackbox.levels if top is None or level <= top)

    @cached_property
    def fingerprint(self) -> str:
        """32 hexadecimal digits, equal where a run sees the same.

        From what of the definition a run depends on beside budget and workers, the space, and the blackbox's own
        `fingerprint` or else the curves of `PROBES` configurations to four digits.
        """
        definition = [getattr(self.benchmark, name) for name in _SEEN]
        own = self.blackbox.fingerprint
        values = own if isinstance(own, str) else [self._probed(config) for config in self.drawn(PROBES, "fingerprint")]
        whole = [definition, self.space.to_json(), list(self.blackbox.levels), self.blackbox.seeds, values]
        return blake2b(msgspec.json.encode(whole, order="deterministic"), digest_size=16).hexdigest()

    def drawn(self, count: int, purpose: str) -> list[dict[str, Any]]:
        """Random configurations of the space, the same ones for each purpose."""
        rows = Rows(0, f"bench/{purpose}", self.space.width)
        return [self.space.from_units(rows.row(number)) for number in range(count)]

    def _probed(self, config: Mapping[str, Any]) -> Any:
        try:
            found = self.blackbox.curve(config, 0)
        except InvalidArgument as error:
            return str(error)
        names = (self.benchmark.metric, self.benchmark.elapsed_attr)
        return [[f"{float(value):.4g}" for value in found[name]] for name in names if name is not None]


def _objective(benchmark: Benchmark, blackbox: View) -> tuple[str, Any]:
    ranked = {
        name: mode for name, mode in blackbox.objectives.items() if mode is not None and name != blackbox.elapsed_attr
    }
    metric = benchmark.metric or next(iter(ranked), None)
    if metric is None:
        raise InvalidArgument(
            f"Benchmark {benchmark.name!r}: the blackbox does not say which of {', '.join(map(repr, blackbox.objectives))} "
            "is to be optimised: give metric and mode."
        )
    if metric not in blackbox.objectives:
        raise InvalidArgument(
            f"Benchmark {benchmark.name!r}: metric={metric!r} is no objective. {nearest(metric, blackbox.objectives)}"
        )
    mode = benchmark.mode or blackbox.objectives[metric]
    if mode is None:
        raise InvalidArgument(
            f"Benchmark {benchmark.name!r}: is less or more of {metric!r} better? Give mode = 'min' or 'max'."
        )
    return metric, mode

"""A blackbox as a benchmark shows it: at its end only where that is wanted, and with the cost of looking up apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from offbeat.clock import process_cpu
from offbeat.protocols import Blackbox


class View:
    """Answers what the blackbox answers.

    Args:
        blackbox: the recorded trainings.
        levels: "all", or "last": the end of each training alone.

    Attributes:
        spent: CPU seconds that `curve` has taken so far; they are no scheduler's.
    """

    def __init__(self, blackbox: Blackbox, levels: Literal["all", "last"] = "all") -> None:
        self._blackbox = blackbox
        self._end = levels == "last" and len(blackbox.levels) > 1
        self.space = blackbox.space
        self.levels: Sequence[int] = tuple(blackbox.levels)[-1:] if self._end else tuple(blackbox.levels)
        self.resource_attr = blackbox.resource_attr
        self.objectives = blackbox.objectives
        self.elapsed_attr = blackbox.elapsed_attr
        self.seeds = blackbox.seeds
        #: The recorded configurations of a table, None where there are more than can be listed.
        self.configs: Sequence[Mapping[str, Any]] | None = getattr(blackbox, "configs", None)
        #: What a blackbox says of itself instead of being looked at.
        self.fingerprint: str | None = getattr(blackbox, "fingerprint", None)
        self.spent = 0.0

    def curve(self, config: Mapping[str, Any], seed: int) -> Mapping[str, Any]:
        """As the blackbox's."""
        began = process_cpu()
        found = self._blackbox.curve(config, seed)
        if self._end:
            found = {name: values[-1:] for name, values in found.items()}
        self.spent += process_cpu() - began
        return found

    def curves(self, configs: Sequence[Mapping[str, Any]], seeds: Sequence[int]) -> Sequence[Mapping[str, Any]]:
        """As the blackbox's."""
        found = self._blackbox.curves(configs, seeds)
        return [{name: values[-1:] for name, values in one.items()} for one in found] if self._end else found

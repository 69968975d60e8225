"""What stands in for training in simulated time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from offbeat.protocols.objective import Mode

if TYPE_CHECKING:
    from offbeat.space import Space


@runtime_checkable
class Blackbox(Protocol):
    """Recorded or modelled trainings, which a simulated backend looks up instead of training. Immutable.

    Entry-point group: `offbeat.blackboxes`; the entry point is a callable with one optional argument, the name of the data
    set, that answers the blackbox and raises InvalidArgument with the nearest name for one that it does not know.
    Group `offbeat.blackbox_types`: classes and functions that make one of their own arguments, or find one in files.

    Attributes:
        space: configurations that it answers for.
        levels: resource levels of every curve, increasing, from 1 up; (1,) where nothing but the end is known.
        resource_attr: name of the resource in reports.
        objectives: name -> "min", "max" or, where neither is better, None; `elapsed_attr` may be among them.
        elapsed_attr: the objective that holds the seconds of training up to each level; None where no time is known.
        seeds: how many replicates there are, numbered from 0.
    """

    @property
    def space(self) -> Space: ...
    @property
    def levels(self) -> Sequence[int]: ...
    @property
    def resource_attr(self) -> str: ...
    @property
    def objectives(self) -> Mapping[str, Mode | None]: ...
    @property
    def elapsed_attr(self) -> str | None: ...
    @property
    def seeds(self) -> int: ...

    def curve(self, config: Mapping[str, Any], seed: int) -> Mapping[str, Any]:
        """The whole curve of a configuration: for each objective an array or list with a number for each level.

        NaN in every objective but the elapsed time says that the level is missing; in one alone, that the training
        reported NaN. Entries of the config that the space does not have are passed over. What it raises fails the trial.
        """
        ...

    def curves(self, configs: Sequence[Mapping[str, Any]], seeds: Sequence[int]) -> Sequence[Mapping[str, Any]]:
        """One curve for each pair of a configuration and a seed, at once where that is cheaper."""
        ...

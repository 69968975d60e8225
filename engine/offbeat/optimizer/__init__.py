"""Schedulers by name: those of this distribution in `offbeat.optimizer.baselines`, strangers' by `load_scheduler`."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from offbeat.protocols import Scheduler


def load_scheduler(name: str) -> Callable[..., Scheduler]:
    """The scheduler class that an installed distribution registers under a name, as `offbeat plugins` lists it.

    `distribution:name` where two use the same name. Raises what `offbeat.registry.load` raises.
    """
    from offbeat.registry import load

    found: Callable[..., Scheduler] = load("offbeat.schedulers", name)
    return found


__all__ = ["load_scheduler"]

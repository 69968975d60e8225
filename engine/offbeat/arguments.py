"""Arguments that schedulers share: helpful errors for unknown names, the random seed, the highest resource level."""

from __future__ import annotations

import functools
import inspect
import os
from collections.abc import Callable, Iterable
from math import inf
from typing import TYPE_CHECKING, Any, Final, TypeVar

from offbeat.errors import InvalidArgument, nearest

if TYPE_CHECKING:
    from offbeat.space import Space

T = TypeVar("T")

_MODE: Final = ("mode", "mode='min' or mode='max'")
_METRIC: Final = ("metric", "metric= (one name; a list of names where several are optimised)")
_RESOURCE: Final = ("resource_attr", "resource_attr=")
_MAX_T: Final = ("max_t", "max_t=")
_GRACE: Final = ("grace_period", "grace_period=")
_SPACE: Final = ("config_space", "config_space=")
_POINTS: Final = ("points_to_evaluate", "points_to_evaluate=")
_SEED: Final = ("random_seed", "random_seed=")
_TIME: Final = ("max_wallclock_time", "max_wallclock_time= (seconds)")
_INITIAL: Final = (
    "num_init_random",
    "num_init_random= (how many trials have to be measured before the model is asked)",
)
_STARTED: Final = ("max_num_trials_started", "max_num_trials_started=")

FOREIGN_NAMES: Final[dict[str, tuple[str, str]]] = {
    **dict.fromkeys(("direction", "directions", "do_minimize", "goal", "maximize", "minimize", "modes"), _MODE),
    **dict.fromkeys(("metrics", "metric_name", "objective", "objective_name"), _METRIC),
    **dict.fromkeys(("time_attr", "budget_attr", "resource", "fidelity"), _RESOURCE),
    **dict.fromkeys(("max_resource", "max_budget", "max_epochs", "max_iter", "max_resource_level"), _MAX_T),
    **dict.fromkeys(("min_resource", "min_budget", "min_t", "grace"), _GRACE),
    **dict.fromkeys(("configspace", "param_space", "search_space", "space"), _SPACE),
    **dict.fromkeys(("initial_configs", "initial_points"), _POINTS),
    **dict.fromkeys(("rng", "random_state", "seed"), _SEED),
    **dict.fromkeys(("max_wallclock", "timeout", "wallclock_time"), _TIME),
    **dict.fromkeys(("max_trials", "n_trials", "num_samples"), _STARTED),
    **dict.fromkeys(
        ("init_random", "n_startup_trials", "num_init_random_draws", "num_min_data_points", "min_points_in_model"),
        _INITIAL,
    ),
    "random_prob": ("random_fraction", "random_fraction="),
    "eta": ("reduction_factor", "reduction_factor="),
    "num_brackets": ("brackets", "brackets="),
}
"""Name used by a peer -> (argument that has to exist for the hint to fit, what to write)."""

ELSEWHERE: Final[dict[str, str]] = {
    "search_options": "Pass its entries as arguments of their own, such as allow_duplicates=.",
    "scheduler_options": "Pass its entries as arguments of their own.",
    "searcher_kwargs": "Pass its entries as arguments of their own.",
    "n_workers": "It belongs to Tuner(n_workers=...).",
    "max_concurrent": "It belongs to Tuner(n_workers=...).",
    "max_failures": "It belongs to Tuner(max_failures=...).",
}
"""Names that no argument replaces -> what to do."""

MAX_T_NAMES: Final = ("epochs", "max_t", "max_epochs")
"""Constants of a search space that are taken for the highest resource level, in this order."""


class UnknownArgument(InvalidArgument, TypeError):
    """A constructor was given an argument that it does not have.

    Attributes:
        owner: name of the class; argument: the unknown name; known: those that there are.
    """

    def __init__(self, owner: str, argument: str, known: Iterable[str]) -> None:
        self.owner, self.argument, self.known = owner, argument, tuple(known)
        super().__init__(owner, argument, self.known)

    def __str__(self) -> str:
        target, advice = FOREIGN_NAMES.get(self.argument, ("", ""))
        hint = f"Use {advice}." if target in self.known else ELSEWHERE.get(self.argument)
        hint = hint or nearest(self.argument, self.known)
        return f"{self.owner} has no argument {self.argument!r}. {hint}"


def explained(cls: type[T]) -> type[T]:
    """Class decorator: an argument that the constructor does not have raises UnknownArgument, which says what to use.

    Stands below `@described`. The constructor's signature stays as it is, for type checkers and for `inspect`.
    """
    original: Callable[..., None] = cls.__init__
    known = tuple(inspect.signature(original).parameters)[1:]

    @functools.wraps(original)
    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:  # noqa: N807 - it becomes the class's constructor
        for name in kwargs:
            if name not in known:
                raise UnknownArgument(cls.__name__, name, known)
        original(self, *args, **kwargs)

    cls.__init__ = __init__  # type: ignore[method-assign]
    return cls


def seed_or_fresh(random_seed: int | None) -> int:
    """The seed as given, or a random 31-bit one for None. Raises InvalidArgument for what is no whole number.

    A component that was given None keeps the answer in `recorded_arguments`, so that the journal holds the number.
    """
    if random_seed is None:
        return int.from_bytes(os.urandom(4), "little") >> 1
    if isinstance(random_seed, bool) or not isinstance(random_seed, int):
        raise InvalidArgument(f"random_seed={random_seed!r}: give a whole number, or None for a random one.")
    return random_seed


def require_count(name: str, value: object) -> None:
    """Raises InvalidArgument unless the value is a whole number from 1 up."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise InvalidArgument(f"{name}={value!r}: give a whole number from 1 up.")


def require_seconds(name: str, value: object) -> None:
    """Raises InvalidArgument unless the value is a finite number above 0."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < inf:
        raise InvalidArgument(f"{name}={value!r}: give seconds, a number above 0.")


def one_name(value: str | None, alias: str | None, *, name: str, alias_name: str) -> str | None:
    """The value of an argument with a second name. Raises InvalidArgument if both are given, or for an empty name."""
    if value is not None and alias is not None and value != alias:
        raise InvalidArgument(f"{name}={value!r} and {alias_name}={alias!r} mean the same argument: give one of them.")
    chosen = alias if value is None else value
    if chosen is not None and (not isinstance(chosen, str) or not chosen):
        raise InvalidArgument(f"{name}={chosen!r}: give the name under which the training script reports it.")
    return chosen


def highest_level(space: Space, max_t: int | None, max_resource_attr: str | None) -> int | None:
    """The highest resource level: `max_t`, else the space's constant `max_resource_attr`, else one of `MAX_T_NAMES`.

    None if there is neither. Raises InvalidArgument for a level that is no whole number from 1 up, and for a
    `max_resource_attr` that the space does not have.
    """
    constants, domains = space.constants, space.domains
    if max_resource_attr is not None and max_resource_attr not in constants and max_resource_attr not in domains:
        hint = nearest(max_resource_attr, [*constants, *domains])
        raise InvalidArgument(
            f"max_resource_attr={max_resource_attr!r} is not in config_space. {hint} It names the constant by which "
            f"the training script is told how far to run, as in config_space = {{..., {max_resource_attr!r}: 81}}."
        )
    if max_t is not None:
        require_count("max_t", max_t)
        return max_t
    names = MAX_T_NAMES if max_resource_attr is None else (max_resource_attr,)
    for name in names:
        if name in constants:
            require_count(f"config_space[{name!r}]", constants[name])
            return int(constants[name])
    return None

"""Configurations as they are given: names looked up, values cast and checked, constants compared."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any, final

from offbeat.errors import InvalidConfig, nearest
from offbeat.space.checks import shown
from offbeat.space.domain import Domain
from offbeat.space.entries import exact


@final
class Reader:
    """Reads configurations of a space.

    Args:
        domains, constants: of the space, by name.
        constraints: names that are neither.
    """

    __slots__ = ("_constants", "_constraints", "_domains")

    def __init__(
        self, domains: Mapping[str, Domain], constants: Mapping[str, Any], constraints: Collection[str]
    ) -> None:
        self._domains = domains
        self._constants = constants
        self._constraints = constraints

    def cast(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """The hyperparameters that a config has, in their own types. Raises InvalidConfig."""
        return {
            name: _named(name, domain.cast, config[name]) for name, domain in self._domains.items() if name in config
        }

    def partial(self, config: object) -> dict[str, Any]:
        """The hyperparameters that a config has, cast and checked, sorted by name. Raises InvalidConfig."""
        if not isinstance(config, Mapping):
            raise InvalidConfig(f"A configuration is a mapping from names to values, not {shown(config)}.")
        for name, value in config.items():
            if name not in self._domains:
                self._check_other(name, value)
        return {
            name: _named(name, domain.checked, config[name]) for name, domain in self._domains.items() if name in config
        }

    def _check_other(self, name: object, value: object) -> None:
        """Raises InvalidConfig unless this is a constant with its own value."""
        if name in self._constraints:
            raise InvalidConfig(f"{name!r} is a constraint of this space and has no value; leave it out.")
        if not isinstance(name, str) or name not in self._constants:
            hint = nearest(str(name), [*self._domains, *self._constants])
            raise InvalidConfig(f"The space has no {shown(name)} (value {shown(value)}). {hint}")
        if exact(value) != exact(self._constants[name]):
            raise InvalidConfig(
                f"{name!r} is constant in this space: {shown(self._constants[name])}, not {shown(value)}."
            )


def _named(name: str, check: Callable[[object], Any], value: object) -> Any:
    try:
        return check(value)
    except InvalidConfig as error:
        raise InvalidConfig(f"Hyperparameter {name!r}: {error}") from None

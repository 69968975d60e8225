"""The search space: named domains and constants."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from operator import call, itemgetter, mod
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from offbeat.errors import InvalidArgument, InvalidConfig, InvalidSpace, nearest
from offbeat.space.checks import checked_constant, checked_name, shown
from offbeat.space.constructors import domain_from_json
from offbeat.space.domain import Domain

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

_call: Any = call
_format: Callable[[str, Any], str] = mod


class Space:
    """Named domains, of which a configuration has one value each, and constants, which scripts are handed as well.

    A configuration is a dict with one value per hyperparameter, in its domain's plain type; constants are never in it.
    Immutable, hashable, pickles; two spaces are equal if they have equal domains and constants, in any order.

    Attributes:
        domains: by name, sorted.
        constants: by name, in the user's order.
        size: number of configurations, None if infinite.
        width: number of hyperparameters, i.e. of uniform numbers for one configuration.
        dimension: coordinates of an encoded configuration.
        columns: which coordinates belong to a name.

    Raises:
        InvalidSpace: no hyperparameter, an unusable name, or an entry that is neither a domain nor JSON.
    """

    __slots__ = (
        "_blank", "_checks", "_config_space", "_decoders", "_draws", "_encoders", "_names", "_template", "_text",
        "_values", "columns", "constants", "dimension", "domains", "size", "width",
    )  # fmt: skip

    domains: Mapping[str, Domain]
    constants: Mapping[str, Any]
    columns: Mapping[str, slice]
    size: int | None
    width: int
    dimension: int

    def __init__(self, config_space: Mapping[str, Any]) -> None:
        if not isinstance(config_space, Mapping):
            raise InvalidSpace(f"A space is a mapping from names to domains and constants, not {shown(config_space)}.")
        entries = {
            checked_name(name): entry if isinstance(entry, Domain) else checked_constant(name, entry)
            for name, entry in config_space.items()
        }
        domains = {name: entry for name, entry in sorted(entries.items()) if isinstance(entry, Domain)}
        if not domains:
            what = f"only constants ({', '.join(map(repr, entries))})" if entries else "nothing"
            raise InvalidSpace(
                f"The space has {what} to search; add a hyperparameter, such as 'lr': loguniform(1e-6, 1e-1)."
            )
        self._config_space = entries
        self.domains = MappingProxyType(domains)
        self.constants = MappingProxyType({name: entry for name, entry in entries.items() if name not in domains})
        sizes = [domain.size for domain in domains.values()]
        self.size = None if None in sizes else math.prod(size for size in sizes if size is not None)
        self.width = len(domains)
        self._names = tuple(domains)
        self._draws = tuple(domain.sampler() for domain in domains.values())
        self._checks = tuple(domain.checker() for domain in domains.values())
        self._values = _getter(self._names)
        # Copying a dict and updating it keeps the order of its names, and is faster than building one.
        self._blank: dict[str, Any] = dict.fromkeys(domains)
        plain = all(type(entry) not in (dict, list) for entry in self.constants.values())
        self._template = {name: self.constants.get(name) for name in entries} if plain else None
        self._text = "|".join(domain.key_format for domain in domains.values())
        self._encoders = tuple((name, domain.encoder()) for name, domain in domains.items())
        columns, start = {}, 0
        for name, domain in domains.items():
            columns[name] = slice(start, start + domain.width)
            start += domain.width
        self.columns = MappingProxyType(columns)
        self.dimension = start
        self._decoders = tuple((name, domain.decoder(), columns[name]) for name, domain in domains.items())

    @staticmethod
    def of(config_space: Mapping[str, Any] | Space) -> Space:
        """The space itself, or one made of a mapping."""
        return config_space if isinstance(config_space, Space) else Space(config_space)

    def from_units(self, us: Sequence[float]) -> dict[str, Any]:
        """The configuration at the quantiles us, `width` numbers in [0, 1), in the order of the sorted names.

        The same on every machine. Raises InvalidArgument for too few or too many numbers.
        """
        if len(us) != self.width:
            raise InvalidArgument(f"{len(us)} numbers do not make a configuration; this space needs {self.width}.")
        return dict(zip(self._names, map(_call, self._draws, us)))  # noqa: B905 - checked above; `strict` costs a tenth

    def key(self, config: Mapping[str, Any]) -> str:
        """A text that equal configurations share, floats to 12 digits; the config has to be complete and valid."""
        return _format(self._text, self._values(config))

    def cast(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """The hyperparameters that the config has, in their own types, without a look at bounds; nothing else of it.

        Raises InvalidConfig for a value that cannot be converted.
        """
        return {
            name: _named(name, domain.cast, config[name]) for name, domain in self.domains.items() if name in config
        }

    def validate(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """The complete configuration, cast; constants in it have to agree and are left out.

        Raises InvalidConfig that names the hyperparameter, the value and what is valid.
        """
        # One pass over what nearly always is valid; whatever is not is looked at again, with an explanation.
        if type(config) is dict and len(config) == self.width:
            try:
                valid = all(map(_call, self._checks, self._values(config)))
            except KeyError:
                valid = False
            if valid:
                own = self._blank.copy()
                own.update(config)
                return own
        own = self._partial(config)
        for name, domain in self.domains.items():
            if name not in own:
                raise InvalidConfig(f"Hyperparameter {name!r} has no value; give {domain.valid}.")
        return own

    def full(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """What a script is handed: hyperparameters of a complete configuration and constants, in the user's order."""
        if self._template is not None and len(config) == self.width:
            self._values(config)  # raises KeyError for a name that is missing, so that nothing else is in the config
            full = self._template.copy()
            full.update(config)
            return full
        return {
            name: config[name] if isinstance(entry, Domain) else deepcopy(entry)
            for name, entry in self._config_space.items()
        }

    def default(self) -> dict[str, Any]:
        """Every domain's default: mid-points, the first category of a choice."""
        return {name: domain.default for name, domain in self.domains.items()}

    def complete(self, partial: Mapping[str, Any]) -> dict[str, Any]:
        """The configuration with missing hyperparameters at their default. Raises InvalidConfig."""
        own = self._partial(partial)
        return {name: own.get(name, domain.default) for name, domain in self.domains.items()}

    def initial_configs(self, points_to_evaluate: Sequence[Mapping[str, Any]] | None = None) -> list[dict[str, Any]]:
        """Configurations to begin with: None gives the default, partial ones are completed, later duplicates dropped.

        Raises InvalidConfig that names the index.
        """
        if points_to_evaluate is None:
            return [self.default()]
        if isinstance(points_to_evaluate, Mapping | str) or not isinstance(points_to_evaluate, Sequence):
            raise InvalidConfig(
                f"points_to_evaluate={shown(points_to_evaluate)} is not a list; write [{{...}}, ...], or [] for none."
            )
        chosen: dict[str, dict[str, Any]] = {}
        for i, point in enumerate(points_to_evaluate):
            try:
                config = self.complete(point)
            except InvalidConfig as error:
                raise InvalidConfig(f"points_to_evaluate[{i}]: {error}") from None
            chosen.setdefault(self.key(config), config)
        return list(chosen.values())

    def encode(self, configs: Sequence[Mapping[str, Any]]) -> NDArray[Any]:
        """Codes in the unit cube, (len(configs), dimension) float64; names sorted, `columns` says where each one lies.

        The configs are complete and valid.
        """
        import numpy as np

        codes = np.empty((len(configs), self.dimension))
        for name, encode in self._encoders:
            if configs:
                codes[:, self.columns[name]] = [encode(config[name]) for config in configs]
        return codes

    def decode(self, codes: ArrayLike) -> list[dict[str, Any]]:
        """The configurations nearest to codes (n, dimension); coordinates outside [0, 1] are clipped.

        Gives back exactly what was encoded. Raises InvalidArgument for another shape or a number that is not finite.
        """
        import numpy as np

        array = np.asarray(codes, dtype=np.float64)
        if array.ndim != 2 or array.shape[1] != self.dimension:
            raise InvalidArgument(f"Codes have shape {array.shape}; this space needs (n, {self.dimension}).")
        if not np.isfinite(array).all():
            raise InvalidArgument("Codes hold a number that is not finite; clean them first.")
        return [{name: decode(row[columns]) for name, decode, columns in self._decoders} for row in array.tolist()]

    def to_json(self) -> dict[str, Any]:
        """JSON types only, in the user's order; read by `from_json` without any loss.

        For example {"lr": {"domain": "loguniform", "lower": 1e-6, "upper": 1e-4}, "epochs": {"constant": 100}}.
        """
        return {
            name: entry.to_json() if isinstance(entry, Domain) else {"constant": deepcopy(entry)}
            for name, entry in self._config_space.items()
        }

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> Space:
        """The space that `to_json` wrote. Raises InvalidSpace that names the entry."""
        if not isinstance(data, Mapping):
            raise InvalidSpace(f"{shown(data)} describes no space; give an object with an entry per name.")
        entries: dict[str, Any] = {}
        for name, entry in data.items():
            if isinstance(entry, Mapping) and set(entry) == {"constant"}:
                entries[name] = entry["constant"]
                continue
            try:
                entries[name] = domain_from_json(entry)
            except InvalidSpace as error:
                raise InvalidSpace(f"{shown(name)}: {error}") from None
        return Space(entries)

    def _partial(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """The hyperparameters that a config has, cast and checked, sorted by name."""
        if not isinstance(config, Mapping):
            raise InvalidConfig(f"A configuration is a mapping from names to values, not {shown(config)}.")
        for name, value in config.items():
            if name in self.domains:
                continue
            if name not in self.constants:
                raise InvalidConfig(
                    f"The space has no {shown(name)} (value {shown(value)}). {nearest(str(name), self._config_space)}"
                )
            if _exact(value) != _exact(self.constants[name]):
                raise InvalidConfig(
                    f"{name!r} is constant in this space: {shown(self.constants[name])}, not {shown(value)}."
                )
        return {
            name: _named(name, domain.checked, config[name]) for name, domain in self.domains.items() if name in config
        }

    def __eq__(self, other: object) -> bool:
        return _exact(self.to_json()) == _exact(other.to_json()) if isinstance(other, Space) else NotImplemented

    def __hash__(self) -> int:
        return hash(_exact(self.to_json()))

    def __reduce__(self) -> tuple[type[Space], tuple[dict[str, Any]]]:
        return Space, (self._config_space,)

    def __repr__(self) -> str:
        return f"Space({self._config_space!r})"


def _getter(names: tuple[str, ...]) -> Callable[[Mapping[str, Any]], tuple[Any, ...]]:
    """The values of a mapping under the names, as a tuple also if it is one; raises KeyError."""
    if len(names) == 1:
        (name,) = names
        return lambda mapping: (mapping[name],)
    return itemgetter(*names)


def _named(name: str, check: Callable[[object], Any], value: object) -> Any:
    try:
        return check(value)
    except InvalidConfig as error:
        raise InvalidConfig(f"Hyperparameter {name!r}: {error}") from None


def _exact(value: object) -> str:
    """A text that is equal for equal JSON values only; Python's == takes 1, 1.0 and True for equal."""
    return json.dumps(value, sort_keys=True, default=shown)

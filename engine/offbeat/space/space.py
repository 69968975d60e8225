"""The search space: named domains and constants, conditions and constraints."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import deepcopy
from operator import call, itemgetter
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from offbeat.errors import InvalidArgument, InvalidConfig, InvalidSpace
from offbeat.space.checks import shown
from offbeat.space.coding import Coder
from offbeat.space.columns import Sampler, column_sampler
from offbeat.space.domain import Domain
from offbeat.space.entries import checked_entries, entries_from_json, entry_to_json, exact, sorted_out
from offbeat.space.expressions import Expression
from offbeat.space.listing import values_of
from offbeat.space.reading import Reader
from offbeat.space.search import Search
from offbeat.space.structure import Structure

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

_call: Any = call
_UNCOUNTED: Final = -1


class Space:
    """Named domains, of which a configuration has one value each, and constants, which scripts are handed as well.

    A configuration is a dict with one value per active hyperparameter, in its domain's plain type, sorted by name;
    inactive ones (see `when`) are absent, constants are never in it. Constraints (see `require`) hold for every
    configuration that comes from here. Immutable, hashable, pickles; two spaces are equal if they have equal entries,
    in any order.

    Attributes:
        domains: by name, sorted.
        constants: by name, in the user's order.
        conditions: by the name of the hyperparameter that has one, sorted.
        constraints: by name, in the user's order.
        width: number of hyperparameters, active or not, i.e. of uniform numbers for one configuration.
        dimension: coordinates of an encoded configuration.
        columns: which coordinates belong to a name.

    Raises:
        InvalidSpace: no hyperparameter, an unusable name, an entry that is neither a domain nor JSON, conditions in a
            circle, an expression that makes no sense here, or constraints that nothing fulfils: proved where the
            hyperparameters that expressions name have at most 100,000 combinations, else found by 100,000 draws.
    """

    __slots__ = (
        "_blank", "_checks", "_checks_by_name", "_coder", "_columns", "_config_space", "_draws", "_flat", "_free", "_keyers",
        "_names", "_reader", "_search", "_size", "_structure", "_template", "_text", "_values", "columns", "conditions",
        "constants", "constraints", "dimension", "domains", "width",
    )  # fmt: skip

    domains: Mapping[str, Domain]
    constants: Mapping[str, Any]
    conditions: Mapping[str, Expression]
    constraints: Mapping[str, Expression]
    columns: Mapping[str, slice]
    width: int
    dimension: int

    def __init__(self, config_space: Mapping[str, Any]) -> None:
        entries = checked_entries(config_space)
        domains, conditions, constraints, constants = sorted_out(entries)
        if not domains:
            what = f"only constants ({', '.join(map(repr, constants))})" if constants else "nothing"
            raise InvalidSpace(
                f"The space has {what} to search; add a hyperparameter, such as 'lr': loguniform(1e-6, 1e-1)."
            )
        self._config_space = entries
        self.domains = MappingProxyType(domains)
        self.constants = MappingProxyType(constants)
        self.conditions = MappingProxyType(conditions)
        self.constraints = MappingProxyType(constraints)
        self.width = len(domains)
        self._coder = Coder(domains, conditions)
        self.columns, self.dimension = self._coder.columns, self._coder.dimension
        self._names = tuple(domains)
        self._reader = Reader(domains, constants, constraints)
        self._draws = tuple(domain.sampler() for domain in domains.values())
        self._structure = Structure(domains, constants, conditions, constraints)
        self._search = Search(self._structure, self._drawn, self.width, self._coder.values)
        self._size: int | None = _UNCOUNTED
        self._prepare_fast_ways()
        if constraints:
            self._search.check_not_empty()

    def _prepare_fast_ways(self) -> None:
        """For spaces without conditions and constraints, through which simulation sends thousands of trials a second.

        The methods that use them leave comprehensions to others: these would make a cell of every argument they read.
        """
        domains, constants = self.domains, self.constants
        self._free = not self.conditions and not self.constraints
        self._checks_by_name = {name: domain.checker() for name, domain in domains.items()}
        self._checks = tuple(self._checks_by_name.values())
        self._values = _getter(self._names)
        # Copying a dict and updating it keeps the order of its names, and is faster than building one.
        self._blank: dict[str, Any] = dict.fromkeys(domains)
        self._columns: tuple[Sampler, ...] | None = None
        self._flat = self._free and not any(domain.value_type is list for domain in domains.values())
        mutable = any(type(entry) in (dict, list) for entry in constants.values())
        self._template = (
            {name: constants.get(name) for name in self._config_space} if self._flat and not mutable else None
        )
        formats = [domain.key_format for domain in domains.values() if domain.key_format is not None]
        self._text = "|".join(formats) if self._free and len(formats) == self.width else None
        self._keyers = tuple((name, domain.keyer()) for name, domain in domains.items())

    @staticmethod
    def of(config_space: Mapping[str, Any] | Space) -> Space:
        """The space itself, or one made of a mapping."""
        return config_space if isinstance(config_space, Space) else Space(config_space)

    @property
    def size(self) -> int | None:
        """Number of configurations, None if there are infinitely many, or too many to be counted.

        With conditions or constraints they are counted where the hyperparameters that expressions name have at most
        100,000 combinations.
        """
        if self._size == _UNCOUNTED:
            self._size = self._structure.count()
        return self._size

    def from_units(self, us: Sequence[float]) -> dict[str, Any]:
        """The configuration at the quantiles us, `width` numbers in [0, 1), in the order of the sorted names.

        The same on every machine. A configuration that breaks a constraint is drawn again with further numbers, which
        follow from us alone. Raises InvalidArgument for too few or too many numbers, InvalidSpace if nothing that
        fulfils the constraints is found in 100,000 draws.
        """
        if len(us) != self.width:
            raise InvalidArgument(f"{len(us)} numbers do not make a configuration; this space needs {self.width}.")
        config = dict(zip(self._names, map(_call, self._draws, us)))  # noqa: B905 - checked above; `strict` costs a tenth
        if self._free or self._structure.settle(config):
            return config
        return self._search.after(us)

    @property
    def flat(self) -> bool:
        """Whether every configuration is one plain value for each name: there are no conditions, constraints or lists."""
        return self._flat

    def from_rows(self, rows: NDArray[Any]) -> list[dict[str, Any]]:
        """`from_units` of each row of an array (n, width); hyperparameter by hyperparameter where the space is `flat`."""
        if not self._flat or rows.shape[1:] != (self.width,):
            return [self.from_units(us) for us in rows.tolist()]
        if self._columns is None:
            self._columns = tuple(map(column_sampler, self.domains.values()))
        columns = map(_call, self._columns, rows.T)
        return [dict(zip(self._names, values, strict=True)) for values in zip(*columns, strict=True)]

    def key(self, config: Mapping[str, Any]) -> str:
        """A text that equal configurations share, floats to 12 digits; the config has to be complete and valid."""
        text = self._text
        if text is not None:
            return text % self._values(config)
        return self._key_by_parts(config)

    def _key_by_parts(self, config: Mapping[str, Any]) -> str:
        absent = self.conditions.keys() - config.keys()
        return "|".join(["-" if name in absent else key(config[name]) for name, key in self._keyers])

    def cast(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """The hyperparameters that the config has, in their own types, without a look at bounds; nothing else of it.

        Raises InvalidConfig for a value that cannot be converted.
        """
        return self._reader.cast(config)

    def validate(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """The complete configuration, cast; constants in it have to agree and are left out.

        Raises InvalidConfig that names the hyperparameter, the value and what is valid, or the constraint.
        """
        # One pass over what nearly always is valid; whatever is not is looked at again, with an explanation.
        if self._free and type(config) is dict and len(config) == self.width:
            try:
                valid = all(map(_call, self._checks, self._values(config)))
            except KeyError:
                valid = False
            if valid:
                own = self._blank.copy()
                own.update(config)
                return own
        elif not self._free and type(config) is dict and self._fits(config):
            return self._sorted(config)
        own = self._reader.partial(config)
        self._structure.check(own)
        return own

    def _sorted(self, config: Mapping[str, Any]) -> dict[str, Any]:
        return {name: config[name] for name in self._names if name in config}

    def _fits(self, config: dict[str, Any]) -> bool:
        """Whether a config is valid as it is."""
        checks = self._checks_by_name
        for name, value in config.items():
            if name not in checks or not checks[name](value):
                return False
        return self._structure.fits(config)

    def full(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """What a script is handed: hyperparameters of a complete configuration and constants, in the user's order."""
        if self._template is not None and len(config) == self.width:
            self._values(config)  # raises KeyError for a name that is missing, so that nothing else is in the config
            full = self._template.copy()
            full.update(config)
            return full
        return self._full_copy(config)

    def _full_copy(self, config: Mapping[str, Any]) -> dict[str, Any]:
        return {
            name: deepcopy(self.constants[name] if name in self.constants else config[name])
            for name in self._config_space
            if name not in self.constraints and (name in config or name not in self.conditions)
        }

    def default(self) -> dict[str, Any]:
        """Every domain's default: mid-points, the first category of a choice; or as near to it as constraints allow."""
        return self.complete({})

    def complete(self, partial: Mapping[str, Any]) -> dict[str, Any]:
        """The configuration with missing hyperparameters at their default.

        Where those break a constraint, or leave a given hyperparameter inactive, some of the missing ones take other
        values: drawn near to their defaults first, then further away. Raises InvalidConfig.
        """
        own = self._reader.partial(partial)
        values = {name: own.get(name, domain.default) for name, domain in self.domains.items()}
        if self._free:
            return values
        self._structure.check_given(own)
        config = dict(values)
        if self._structure.settle(config) and own.keys() <= config.keys():
            return config
        return self._search.near(values, self._coder.code(values), own)

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

    def grid(self, values: Mapping[str, Sequence[Any]] | None = None) -> Iterator[dict[str, Any]]:
        """Every configuration that the values make, each once; conditions and constraints are honoured.

        Names are taken in sorted order, but parents before children; the last one varies fastest.

        Args:
            values: of each hyperparameter, of the domain's own types; None: all that it has.

        Raises InvalidArgument if `values` lacks a name, or is None and a domain has more than a million values.
        """
        if values is None:
            values = {name: values_of(domain) for name, domain in self.domains.items()}
        for name in self._names:
            if name not in values:
                raise InvalidArgument(f"The grid has no values for {name!r}; give some for every hyperparameter.")
        lists = [name for name, domain in self.domains.items() if domain.value_type is list]
        for config in self._structure.combinations(values, self._structure.order):
            for name in lists:
                if name in config:
                    config[name] = deepcopy(config[name])
            yield self._sorted(config)

    def encode(self, configs: Sequence[Mapping[str, Any]]) -> NDArray[Any]:
        """Codes in the unit cube, (len(configs), dimension) float64; names sorted, `columns` says where each one lies.

        The coordinates of an inactive hyperparameter are 0.5. The configs are complete and valid.
        """
        return self._coder.encode(configs)

    def decode(self, codes: ArrayLike) -> list[dict[str, Any]]:
        """The configurations nearest to codes (n, dimension); coordinates outside [0, 1] are clipped.

        Gives back exactly what was encoded. Where the nearest one breaks a constraint, some of its values are drawn from
        growing boxes around the code until it does not; the draws follow from the code alone. Raises InvalidArgument
        for another shape or a number that is not finite.
        """
        return [self._nearest(row) for row in self._coder.rows(codes)]

    def decode_valid(self, codes: ArrayLike) -> list[dict[str, Any] | None]:
        """As `decode`, but None where the nearest configuration breaks a constraint: much faster where many do."""
        found: list[dict[str, Any] | None] = []
        for row in self._coder.rows(codes):
            config = self._coder.values(row)
            found.append(config if self._free or self._structure.settle(config) else None)
        return found

    def _nearest(self, code: Sequence[float]) -> dict[str, Any]:
        config = self._coder.values(code)
        if self._free or self._structure.settle(config):
            return config
        return self._search.near(self._coder.values(code), [min(max(c, 0.0), 1.0) for c in code], {})

    def _drawn(self, us: Sequence[float]) -> dict[str, Any]:
        """A value for every hyperparameter, active or not."""
        return dict(zip(self._names, map(_call, self._draws, us), strict=True))

    def to_json(self) -> dict[str, Any]:
        """JSON types only, in the user's order; read by `from_json` without any loss.

        For example {"lr": {"domain": "loguniform", "lower": 1e-6, "upper": 1e-4}, "epochs": {"constant": 100}}; a
        conditional hyperparameter has "when" beside, a constraint is {"require": expression}.
        """
        return {name: entry_to_json(entry) for name, entry in self._config_space.items()}

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> Space:
        """The space that `to_json` wrote. Raises InvalidSpace that names the entry."""
        return Space(entries_from_json(data))

    @staticmethod
    def from_configspace(space: Any) -> Space:
        """The space of a `ConfigSpace.ConfigurationSpace`; see `offbeat.space.foreign`, which has `to_configspace` too.

        Raises MissingExtra, InvalidArgument, InvalidSpace that names the entry which has no counterpart.
        """
        from offbeat.space.foreign import from_configspace

        return from_configspace(space)

    @staticmethod
    def from_optuna(distributions: Mapping[str, Any]) -> Space:
        """The space of Optuna's distributions by name; see `offbeat.space.foreign`, which has `to_optuna` too.

        Raises MissingExtra, InvalidArgument, InvalidSpace that names the entry which has no counterpart.
        """
        from offbeat.space.foreign import from_optuna

        return from_optuna(distributions)

    def __eq__(self, other: object) -> bool:
        return exact(self.to_json()) == exact(other.to_json()) if isinstance(other, Space) else NotImplemented

    def __hash__(self) -> int:
        return hash(exact(self.to_json()))

    def __reduce__(self) -> tuple[type[Space], tuple[dict[str, Any]]]:
        return Space, (self._config_space,)

    def __repr__(self) -> str:
        return f"Space({self._config_space!r})"

    def _repr_html_(self) -> str:
        from offbeat.space.table import html_table

        return html_table(self._config_space, self.size)


def _getter(names: tuple[str, ...]) -> Callable[[Mapping[str, Any]], tuple[Any, ...]]:
    """The values of a mapping under the names, as a tuple also if it is one; raises KeyError."""
    if len(names) == 1:
        (name,) = names
        return lambda mapping: (mapping[name],)
    return itemgetter(*names)

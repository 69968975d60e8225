"""What every domain of a hyperparameter offers: one value from one uniform number, a code in the unit cube, JSON."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from offbeat.errors import InvalidConfig
from offbeat.space.checks import as_number, as_whole, shown

Scalar: TypeAlias = bool | int | float | str

Value: TypeAlias = Scalar | list[Any] | None
"""A hyperparameter's value: always of one of these plain types, which JSON has too."""


class Domain(ABC):
    """The set of values of one hyperparameter. Immutable, hashable, equal if written equally; pickles.

    The domains are a closed set (`Float`, `Integer`, `Quantized`, `FiniteRange`, `Choice`, `ListChoice`, `Ordinal`,
    `Nullable`): each is a final class that says how it draws and encodes; what follows from that is written here once.
    """

    __slots__ = ()

    @property
    @abstractmethod
    def value_type(self) -> type[Any]:
        """Type of every value that is not None."""

    @property
    @abstractmethod
    def size(self) -> int | None:
        """Number of values, None if infinite."""

    @property
    def width(self) -> int:
        """One coordinate, but one per value for a choice among more than two."""
        return len(self.encoder()(self.default))

    @property
    @abstractmethod
    def default(self) -> Any:
        """The middle on the domain's own scale, the first category of a choice."""

    @property
    @abstractmethod
    def valid(self) -> str:
        """What is valid, as the object of "give ..."."""

    @property
    @abstractmethod
    def written(self) -> tuple[str, dict[str, Any]]:
        """Constructor and arguments, from which repr and JSON are made and an equal domain can be built."""

    @property
    @abstractmethod
    def key_format(self) -> str | None:
        """printf-style format that gives equal texts for values that count as equal; None: `keyer` knows how."""

    def keyer(self) -> Callable[[Any], str]:
        """A text that values share if they count as equal, for repeated use."""
        form = self.key_format
        assert form is not None, "a domain without a format has a keyer of its own"
        return lambda value: form % (value,)

    @abstractmethod
    def cast(self, value: object) -> Any:
        """The value in the domain's own type; bounds are not looked at. Raises InvalidConfig if there is no such value.

        Numbers are read from text and converted without loss; where values are listed, the one that is meant is found.
        """

    @abstractmethod
    def contains(self, value: object) -> bool:
        """Whether the value could stand in a config as it is."""

    def checker(self) -> Callable[[object], bool]:
        """Whether a value is in the domain and of its very type, so that no cast is needed; for repeated use."""
        kind, contains = self.value_type, self.contains
        return lambda value: type(value) is kind and contains(value)

    @abstractmethod
    def sampler(self) -> Callable[[float], Any]:
        """`from_unit` as a function of its own, for repeated use."""

    @abstractmethod
    def encoder(self) -> Callable[[Any], tuple[float, ...]]:
        """`encode` as a function of its own, for repeated use."""

    def decoder(self) -> Callable[[Sequence[float]], Any]:
        """`decode` as a function of its own, for repeated use."""
        draw = self.sampler()
        return lambda code: draw(min(max(code[0], 0.0), 1.0))

    def from_unit(self, u: float) -> Any:
        """The value at quantile u, 0 <= u < 1, of the domain's own distribution.

        Continuous values are rounded to 12 digits. The same on every machine: see `offbeat.space.scales`.
        """
        return self.sampler()(u)

    def encode(self, value: Any) -> tuple[float, ...]:
        """The value's `width` coordinates in the unit cube."""
        return self.encoder()(value)

    def decode(self, code: Sequence[float]) -> Any:
        """The value with the nearest code, exactly what was encoded; coordinates outside [0, 1] are clipped."""
        return self.decoder()(code)

    def checked(self, value: object) -> Any:
        """The value, cast. Raises InvalidConfig unless it lies in the domain."""
        if type(value) is self.value_type and self.contains(value):
            return value
        own = self.cast(value)
        if not self.contains(own):
            raise self.refusal(value)
        return own

    def refusal(self, value: object) -> InvalidConfig:
        """The error for a value that is not in the domain."""
        return InvalidConfig(f"{shown(value)} is not in {shown_domain(self)}; give {self.valid}.")

    def to_json(self) -> dict[str, Any]:
        """`{"domain": constructor, argument: value, ...}`, JSON types only; `domain_from_json` reads it."""
        name, arguments = self.written
        return {"domain": name} | {key: _json(argument) for key, argument in arguments.items()}

    def __repr__(self) -> str:
        name, arguments = self.written
        shown_as = {key: repr(list(v) if isinstance(v, tuple) else v) for key, v in arguments.items()}
        parts = [text if key in _PLAIN else f"{key}={text}" for key, text in shown_as.items()]
        return f"{name}({', '.join(parts)})"

    # repr tells 1, 1.0 and True apart, which == on the fields does not.
    def __eq__(self, other: object) -> bool:
        return repr(self) == repr(other) if isinstance(other, Domain) else NotImplemented

    def __hash__(self) -> int:
        return hash(repr(self))


_PLAIN = frozenset({"lower", "upper", "values", "size", "q", "of"})


def _json(argument: Any) -> Any:
    if isinstance(argument, Domain):
        return argument.to_json()
    return list(argument) if isinstance(argument, tuple) else argument


def shown_domain(domain: Domain) -> str:
    """`repr` of a domain, cut to what fits into a message."""
    text = repr(domain)
    return text if len(text) <= 100 else f"{text[:99]}…"


def parsed(value: object) -> float | int | None:
    """A finite number given as a number or as text, else None; whole numbers as int."""
    if isinstance(value, str):
        for read in (int, float):
            try:
                value = read(value)
                break
            except ValueError:
                continue
    whole = as_whole(value)
    return whole if whole is not None else as_number(value)

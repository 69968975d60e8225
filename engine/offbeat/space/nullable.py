"""A domain with None beside its values: no clipping, no scheduler, no limit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, final

from offbeat.errors import InvalidConfig, InvalidSpace
from offbeat.space.checks import as_number, shown
from offbeat.space.domain import Domain


@final
@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Nullable(Domain):
    """None, or a value of another domain.

    Encoded by one coordinate more than that domain: 0.25 for None, 0.75 for a value; the others are 0.5 for None.

    Attributes:
        of: the domain of the values.
        none: share of the draws that are None, 0 < none < 1.
    """

    of: Domain
    none: float = 0.5

    def __post_init__(self) -> None:
        if not isinstance(self.of, Domain):
            raise InvalidSpace(f"optional: {shown(self.of)} is no domain; write optional(uniform(0, 1)).")
        if self.of.checker()(None):
            raise InvalidSpace(f"optional: {self.of!r} has None already.")
        share = as_number(self.none)
        if share is None or not 0.0 < share < 1.0:
            raise InvalidSpace(
                f"optional: none={shown(self.none)} is no share; give a number between 0 and 1, such as 0.5."
            )
        object.__setattr__(self, "none", share)

    @property
    def value_type(self) -> type[Any]:
        """That of the domain."""
        return self.of.value_type

    @property
    def size(self) -> int | None:
        """One more than the domain."""
        return None if self.of.size is None else self.of.size + 1

    @property
    def default(self) -> Any:
        """That of the domain, not None."""
        return self.of.default

    @property
    def valid(self) -> str:
        """What the domain says, or None."""
        return f"{self.of.valid}, or None"

    @property
    def written(self) -> tuple[str, dict[str, Any]]:
        """See `Domain`."""
        return "optional", {"of": self.of, "none": self.none}

    @property
    def key_format(self) -> None:
        """No format does None and numbers."""
        return

    def keyer(self) -> Callable[[Any], str]:
        """That of the domain, and "None", which no value of a domain is written as."""
        key = self.of.keyer()
        return lambda value: "None" if value is None else key(value)

    def cast(self, value: object) -> Any:
        """See `Domain`; None stays."""
        if value is None:
            return None
        try:
            return self.of.cast(value)
        except InvalidConfig:
            raise self.refusal(value) from None

    def contains(self, value: object) -> bool:
        """Whether the value is None or in the domain."""
        return value is None or self.of.contains(value)

    def checker(self) -> Callable[[object], bool]:
        """See `Domain`."""
        check = self.of.checker()
        return lambda value: value is None or check(value)

    def sampler(self) -> Callable[[float], Any]:
        """None for u < none, else the domain's own draw from what is left."""
        draw, none = self.of.sampler(), self.none
        left = 1.0 - none
        return lambda u: None if u < none else draw((u - none) / left)

    def encoder(self) -> Callable[[Any], tuple[float, ...]]:
        """See class."""
        encode = self.of.encoder()
        absent = (0.25,) + (0.5,) * self.of.width
        return lambda value: absent if value is None else (0.75, *encode(value))

    def decoder(self) -> Callable[[Sequence[float]], Any]:
        """None below 0.5, else what the other coordinates mean."""
        decode = self.of.decoder()
        return lambda code: None if code[0] < 0.5 else decode(code[1:])

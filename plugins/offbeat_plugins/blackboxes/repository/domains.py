"""Domains of hyperparameters as Syne Tune writes them in JSON, there and back.

`{"domain_cls": ..., "domain_kwargs": {...}, "sampler_cls": ..., "sampler_kwargs": {...}}`; constants stand bare. The
format cannot tell log from reverse-log, and has no quantized, nullable or conditional hyperparameters: where it says less
than we know, a domain has our own description beside it, under a key that other readers pass over.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from offbeat.errors import DamagedBlackbox, InvalidArgument, InvalidSpace, nearest
from offbeat.space import Space, entry_from_json
from offbeat.space.constructors import (
    choice,
    finrange,
    logfinrange,
    lograndint,
    loguniform,
    ordinal,
    randint,
    reverseloguniform,
    uniform,
)
from offbeat.space.domain import Domain
from offbeat.space.entries import when
from offbeat.space.finite import Choice, FiniteRange, Ordinal
from offbeat.space.nullable import Nullable
from offbeat.space.numeric import Float, Integer
from offbeat.space.quantized import Quantized
from offbeat_plugins.blackboxes.repository.metadata import OWN

CLASSES: Final = ("Float", "Integer", "Categorical", "Ordinal", "OrdinalNearestNeighbor", "FiniteRange")

E: Final = math.e


def entries_from_json(data: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """Entries of a space by name, constants bare. Raises DamagedBlackbox that names the entry."""
    entries = {}
    for name, entry in data.items():
        try:
            entries[name] = _entry(entry)
        except InvalidSpace as error:
            raise DamagedBlackbox(str(path), f"hyperparameter {name!r}: {str(error).rstrip('.')}") from None
    return entries


def _entry(data: Any) -> Any:
    if not isinstance(data, Mapping):
        return data
    if OWN in data:
        return entry_from_json(data[OWN])
    return domain_from_json(data)


def domain_from_json(data: Mapping[str, Any]) -> Domain:
    """The domain of a description.

    LogUniform stands for log and for reverse-log. It is read as reverse-log where log is impossible (lower 0), or means
    little while reverse-log does not: upper below 1 and less than twice lower, and (1 - lower) / (1 - upper) larger than
    upper / lower; as log everywhere else.

    Raises InvalidSpace.
    """
    kind, given = data.get("domain_cls"), data.get("domain_kwargs")
    if kind not in CLASSES:
        raise InvalidSpace(f"domain_cls {kind!r} is not known. {nearest(str(kind), CLASSES)}")
    if not isinstance(given, Mapping):
        raise InvalidSpace(f"domain_kwargs is {given!r}; an object with arguments is needed.")
    sampler = data.get("sampler_cls")
    if sampler not in (None, "Uniform", "LogUniform"):
        raise InvalidSpace(f"sampler_cls {sampler!r} has no counterpart here; Uniform and LogUniform have.")
    try:
        return _domain(kind, given, sampler == "LogUniform")
    except KeyError as error:
        raise InvalidSpace(f"domain_kwargs of {kind} lacks {error}.") from None


def _domain(kind: str, given: Mapping[str, Any], log: bool) -> Domain:
    if kind == "Float":
        lower, upper = given["lower"], given["upper"]
        if not log:
            return uniform(lower, upper)
        return (reverseloguniform if _is_reverse(lower, upper) else loguniform)(lower, upper)
    if kind == "Integer":
        return (lograndint if log else randint)(given["lower"], given["upper"])
    if kind == "FiniteRange":
        make = logfinrange if given.get("log_scale") else finrange
        return make(given["lower"], given["upper"], given["size"], bool(given.get("cast_int")))
    categories = _of_one_type(given["categories"])
    if kind == "Categorical":
        return choice(categories)
    if kind == "Ordinal":
        return ordinal(categories, kind="equal")
    return ordinal(categories, kind="nn-log" if given.get("log_scale") else "nn")


def _is_reverse(lower: float, upper: float) -> bool:
    if lower <= 0:
        return lower == 0 and upper < 1
    return upper < 1 and upper < 2 * lower and (1 - lower) / (1 - upper) > upper / lower


def _of_one_type(categories: Any) -> list[Any]:
    """Categories of several types as text, since a choice here has one; each once."""
    if not isinstance(categories, list):
        raise InvalidSpace(f"categories is {categories!r}; a list is needed.")
    kinds = {
        bool if isinstance(one, bool) else str if isinstance(one, str) else float
        for one in categories
        if one is not None
    }
    if len(kinds) > 1 and not any(isinstance(one, list) for one in categories):
        categories = [None if one is None else as_text(one) for one in categories]
    return [one for i, one in enumerate(categories) if one not in categories[:i]]


def as_text(value: Any) -> str:
    """A value among texts: whole numbers without a decimal point."""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def entries_to_json(space: Space) -> dict[str, Any]:
    """The hyperparameters of a space in the user's order, without constants: other readers count them.

    Raises InvalidArgument for a constraint, which has no place there.
    """
    if space.constraints:
        raise InvalidArgument(
            f"The layouts have no place for the constraint {next(iter(space.constraints))!r}. Leave it out: what a table "
            "holds says what is allowed."
        )
    written: dict[str, Any] = {}
    for name in space.to_json():
        if name in space.domains:
            condition = space.conditions.get(name)
            written[name] = domain_to_json(space.domains[name], None if condition is None else condition.text)
    return written


def domain_to_json(domain: Domain, condition: str | None = None) -> dict[str, Any]:
    """The description of a domain; ours beside it where the format says less. Raises InvalidArgument."""
    written, exact = _written(domain)
    if condition is not None:
        return {**written, OWN: when(domain, condition).to_json()}
    return written if exact else {**written, OWN: domain.to_json()}


def _written(domain: Domain) -> tuple[dict[str, Any], bool]:
    """The description, and whether reading it gives the domain again."""
    if isinstance(domain, Nullable):
        return _written(domain.of)[0], False
    if isinstance(domain, Float | Integer):
        kind = type(domain).__name__
        log = domain.scale != "linear"
        written = _plain(kind, {"lower": domain.lower, "upper": domain.upper}, log)
        return written, domain_from_json(written) == domain
    if isinstance(domain, Quantized):
        bounds = {"lower": domain.lower, "upper": domain.upper}
        return _plain("Integer" if domain.whole else "Float", bounds, domain.scale == "log"), False
    if isinstance(domain, FiniteRange):
        given = {
            "lower": domain.lower, "upper": domain.upper, "log_scale": domain.scale == "log",
            "cast_int": domain.cast_int, "size": domain.points,
        }  # fmt: skip
        return {"domain_cls": "FiniteRange", "domain_kwargs": given}, True
    if isinstance(domain, Choice):
        return _plain("Categorical", {"categories": list(domain.values)}, False), True
    if isinstance(domain, Ordinal):
        members: dict[str, Any] = {"categories": list(domain.values), "log_scale": domain.kind == "nn-log"}
        if domain.kind == "equal":
            return _plain("Ordinal", {"categories": list(domain.values)}, False), True
        return {"domain_cls": "OrdinalNearestNeighbor", "domain_kwargs": members}, True
    raise InvalidArgument(f"{domain!r} has lists for values, which the layouts' columns cannot hold; name each list.")


def _plain(kind: str, given: dict[str, Any], log: bool) -> dict[str, Any]:
    sampler = (
        {"sampler_cls": "LogUniform", "sampler_kwargs": {"base": E}}
        if log
        else {"sampler_cls": "Uniform", "sampler_kwargs": {}}
    )
    return {"domain_cls": kind, "domain_kwargs": given, **sampler}

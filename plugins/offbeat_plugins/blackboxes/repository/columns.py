"""Recorded values against the domains that are said to hold them: both brought together, and every mending told.

Tables and their descriptions disagree in known ways: numbers stored as text, whole-number domains with fractions, defaults
outside the bounds, values that are missing. What is recorded wins, since it is what was run; the domain is widened to it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from offbeat.errors import DamagedBlackbox, InvalidConfig, InvalidSpace
from offbeat.space import Space
from offbeat.space.checks import shown
from offbeat.space.constructors import choice, ordinal
from offbeat.space.domain import Domain, parsed
from offbeat.space.entries import Conditional
from offbeat.space.finite import Choice, FiniteRange, Ordinal
from offbeat.space.nullable import Nullable
from offbeat.space.numeric import Float, Integer
from offbeat.space.quantized import Quantized
from offbeat_plugins.blackboxes.configurations import Configurations
from offbeat_plugins.blackboxes.repository.domains import as_text, entries_from_json
from offbeat_plugins.blackboxes.repository.files import read_columns, read_json, require


class Recorded(NamedTuple):
    """The configurations of a table, and what was mended to read them, a sentence each."""

    configs: Configurations
    notes: tuple[str, ...]


def read_recorded(space_path: Path, configs_path: Path, constants: str) -> Recorded:
    """The configurations in a file, in a space with constants given as JSON.

    Kept for files that did not change, since the tasks of a shared table ask for the same ones. Raises DamagedBlackbox.
    """
    return _read(space_path, configs_path, constants, _stamp(space_path), _stamp(configs_path))


@lru_cache(maxsize=4)
def _read(space_path: Path, configs_path: Path, constants: str, *_stamps: object) -> Recorded:
    entries = entries_from_json(read_json(space_path), space_path) | json.loads(constants)
    return configurations(entries, read_columns(configs_path, entries), configs_path)


def _stamp(path: Path) -> object:
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def configurations(entries: Mapping[str, Any], columns: Mapping[str, Sequence[Any]], path: Path) -> Recorded:
    """The configurations that columns hold, by row, in a space that holds their values.

    Columns that no entry names (an index that was left over) are passed over. Raises DamagedBlackbox.
    """
    names = sorted(name for name, entry in entries.items() if isinstance(entry, Domain | Conditional))
    fitted, notes, lists = dict(entries), [], []
    for name in names:
        require(path, name, columns, "column for the hyperparameter")
        entry = entries[name]
        conditional = isinstance(entry, Conditional)
        domain = entry.domain if isinstance(entry, Conditional) else entry
        try:
            domain, values, mended = fit(domain, columns[name], absent=conditional)
        except (InvalidSpace, InvalidConfig) as error:
            raise DamagedBlackbox(str(path), f"hyperparameter {name!r}: {str(error).rstrip('.')}") from None
        fitted[name] = Conditional(domain, entry.condition) if isinstance(entry, Conditional) else domain
        notes += [f"{name}: {note}" for note in mended]
        lists.append(values)
    conditions = {name for name in names if isinstance(entries[name], Conditional)}
    rows = [dict(zip(names, row, strict=True)) for row in zip(*lists, strict=True)]
    if conditions:
        rows = [{name: v for name, v in row.items() if v is not None or name not in conditions} for row in rows]
    try:
        return Recorded(Configurations(Space(fitted), rows), tuple(notes))
    except (InvalidSpace, InvalidConfig) as error:
        raise DamagedBlackbox(str(path), str(error).rstrip(".")) from None


def fit(domain: Domain, column: Sequence[Any], *, absent: bool = False) -> tuple[Domain, list[Any], list[str]]:
    """The domain widened to a column, the column's values as the domain's own, and what was mended.

    Args:
        domain: as described.
        column: values as they were read.
        absent: None says that the hyperparameter is inactive, not that it has no value.

    Raises InvalidSpace, InvalidConfig for a value that cannot be meant.
    """
    plain = [_plain(value) for value in column]
    different = list(dict.fromkeys(plain))
    given = [value for value in different if value is not None]
    inner = domain.of if isinstance(domain, Nullable) else domain
    if isinstance(inner, Float | Integer | Quantized):
        inner, values, notes = _numbers(inner, given)
    else:
        inner, values, notes = _members(inner, given)
    nullable = isinstance(domain, Nullable) or (isinstance(inner, Choice) and None in inner.values)
    if None in different and not nullable and not absent:
        notes.append("some values are missing and read as None")
        inner = choice([*inner.values, None]) if isinstance(inner, Choice) else Nullable(inner)
    elif isinstance(domain, Nullable):
        inner = Nullable(inner, domain.none)
    values[None] = None
    return inner, [values[value] for value in plain], notes


def _plain(value: Any) -> Any:
    """A value that a dictionary can tell apart: bytes as text, NaN as None."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if type(value) is float and value != value:  # noqa: PLR0124 - NaN; a call would take three times as long
        return None
    # 1, 1.0 and True are equal to a dictionary, and so they are here: a column has one type.
    return value


def _number(value: Any) -> float | int:
    """The number that is meant. Raises InvalidConfig."""
    if type(value) in (float, int) and value - value == 0:
        return value  # type: ignore[no-any-return]
    if isinstance(value, bool):
        return int(value)
    found = parsed(value)
    if found is None and isinstance(value, str) and value in ("True", "False"):
        found = int(value == "True")
    if found is None:
        raise InvalidConfig(f"{shown(value)} is no number.")
    return found


def _numbers(domain: Float | Integer | Quantized, given: Sequence[Any]) -> tuple[Domain, dict[Any, Any], list[str]]:
    notes = []
    numbers = {value: _number(value) for value in given}
    if not {type(value) for value in given} <= {int, float}:
        notes.append("numbers were stored as text or truth values")
    result: Domain = domain
    if isinstance(domain, Quantized) and not all(map(domain.contains, numbers.values())):
        notes.append(f"values beside the steps of {domain!r}; read without steps")
        domain = (Integer if domain.whole else Float)(domain.lower, domain.upper, domain.scale)  # type: ignore[arg-type]
        result = domain
    if isinstance(domain, Integer) and not all(float(number).is_integer() for number in numbers.values()):
        notes.append("a whole-number domain with fractions; read as float")
        result = domain = Float(domain.lower, domain.upper, domain.scale)
    if isinstance(domain, Float | Integer) and numbers:
        lower, upper = min(domain.lower, *numbers.values()), max(domain.upper, *numbers.values())
        if (lower, upper) != (domain.lower, domain.upper):
            scale = domain.scale
            if (scale == "log" and lower <= 0) or (scale == "reverse-log" and not 0 <= lower <= upper < 1):
                scale = "linear"
            notes.append(f"values from {lower!r} to {upper!r} outside of {domain!r}; widened to them")
            result = type(domain)(lower, upper, scale)  # type: ignore[arg-type]
    if isinstance(result, Float | Integer):
        kind = result.value_type
        return result, {value: kind(number) for value, number in numbers.items()}, notes
    return result, {value: result.cast(number) for value, number in numbers.items()}, notes


def _members(domain: Any, given: Sequence[Any]) -> tuple[Domain, dict[Any, Any], list[str]]:
    found: dict[Any, Any] = {}
    others = []
    for value in given:
        try:
            found[value] = _member(domain, value)
        except InvalidConfig:
            others.append(value)
    if not others:
        return domain, found, []
    if isinstance(domain, Choice):
        kind = domain.value_type
        added = [as_text(value) if kind is str else value for value in others]
        wide: Domain = choice([*domain.values, *added])
    elif isinstance(domain, FiniteRange | Ordinal) and domain.value_type in (int, float):
        numbers = [_number(value) for value in others]
        added = [int(number) if float(number).is_integer() else number for number in numbers]
        log = domain.scale == "log" if isinstance(domain, FiniteRange) else domain.kind == "nn-log"
        values: list[Any] = sorted({*domain.values, *added})
        wide = ordinal(values, kind="nn-log" if log and values[0] > 0 else "nn")
    else:
        raise InvalidConfig(f"{shown(others[0])} is not in {domain!r}, which has an order; write the space again.")
    notes = [f"{', '.join(map(shown, added[:4]))} not in {domain!r}; added to it"]
    return wide, {value: _member(wide, value) for value in given}, notes


def _member(domain: Any, value: Any) -> Any:
    """The member that is meant. Raises InvalidConfig."""
    if domain.value_type is not str:
        return domain.cast(value)
    for text in (str(value), as_text(value)):
        if text in domain.values:
            return text
    number = parsed(value) if not isinstance(value, bool) else None
    for member in domain.values:
        if number is not None and isinstance(member, str) and parsed(member) == number:
            return member
    return domain.cast(value)

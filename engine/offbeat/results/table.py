"""Tables of an experiment: which columns there are and what they are called, rows on demand, columns with a kind.

Names never clash: `result_row` and `trial_row` say which prefix sets metrics and hyperparameters apart.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, TypeAlias

import msgspec

from offbeat.errors import InvalidArgument

if TYPE_CHECKING:
    from offbeat.events import TrialResult
    from offbeat.trial import TrialRecord

COLUMNS: Final = ("seq", "at", "trial", "attempt", "resource", "verdict")
"""Columns of every row of results, before the metrics and the configuration."""

COST: Final = "st_cost"
"""Dollars that the trial has cost up to this result, all attempts together; in tables, where a cost is reported."""

TRIAL_COLUMNS: Final = (
    "trial", "status", "reason", "attempts", "resource", "reports", "rejected", "failures", "started", "ended",
    "seconds", "cost",
)  # fmt: skip
"""Columns of every row of trials, before metrics and configuration; times in seconds of the experiment's clock."""

NONFINITE: Final[Mapping[str, float]] = {"nan": float("nan"), "inf": float("inf"), "-inf": float("-inf")}
"""How reported numbers that are not finite stand in a journal, and what they are in a column of numbers."""

Kind: TypeAlias = Literal["integer", "number", "boolean", "text", "other"]
"""`integer`: 64 bits with a sign; `other`: lists, dictionaries, larger integers, or values of several kinds."""

_TAKEN: Final = frozenset({*COLUMNS, COST})
_PREFIX: Final = "metric_"


class Column(NamedTuple):
    """One column of a table; missing values are None, and `nan` in a column of numbers."""

    name: str
    kind: Kind
    values: list[Any]

    @property
    def complete(self) -> bool:
        """Whether no value is missing."""
        return None not in self.values


class Table:
    """Rows with named columns. They are read from the journal when they are asked for and are always the same ones.

    Args:
        rows: makes an iterator over the rows; a row may lack columns.
        first: columns that stand first, and are there without any row too.
        space: names of the hyperparameters, in order.
        reported: whether a column holds what trials reported, where the texts "nan", "inf" and "-inf" are numbers
            if all others are. In all other columns a text is a text.

    Attributes:
        name: "results" or "trials".
    """

    def __init__(
        self,
        name: str,
        rows: Callable[[], Iterator[dict[str, Any]]],
        first: Sequence[str],
        space: Sequence[str],
        reported: Callable[[str], bool],
    ) -> None:
        self.name = name
        self._rows = rows
        self._first = tuple(first)
        self._place = {f"config_{name}": place for place, name in enumerate(space)}
        self._reported = reported
        self._names: tuple[str, ...] | None = None

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return self._rows()

    def __repr__(self) -> str:
        return f"<table of {self.name}>"

    @property
    def names(self) -> tuple[str, ...]:
        """Columns in order: those that every row has, what was reported, then hyperparameters as the space has them."""
        if self._names is None:
            self._names = self._ordered(dict.fromkeys(name for row in self for name in row))
        return self._names

    def columns(self) -> list[Column]:
        """All values, column by column, from one pass over the rows."""
        found: dict[str, list[Any]] = {name: [] for name in self._first}
        count = 0
        for count, row in enumerate(self, 1):
            for name, value in row.items():
                values = found.get(name)
                if values is None:
                    values = found[name] = []
                if len(values) < count - 1:
                    values.extend([None] * (count - 1 - len(values)))
                values.append(value)
        for values in found.values():
            values.extend([None] * (count - len(values)))
        self._names = self._ordered(found)
        return [_column(name, found[name], reported=self._reported(name)) for name in self._names]

    def to(self, form: str) -> Any:
        """The table in another form in memory, by the name of a plugin in `offbeat.exporters` ("pandas", "arrow").

        Raises UnknownPlugin, MissingExtra, InvalidArgument.
        """
        return _exporter(form, "convert").convert(self)

    def encode(self, form: str) -> Iterator[bytes]:
        """The bytes of a file with the table ("csv", "jsonl", "parquet"), piece by piece; raises as `to`."""
        pieces: Iterator[bytes] = _exporter(form, "encode").encode(self)
        return pieces

    def _ordered(self, names: Mapping[str, Any]) -> tuple[str, ...]:
        found = dict.fromkeys((*self._first, *names))
        hyperparameters = [name for name in found if name.startswith("config_")]
        hyperparameters.sort(key=lambda name: self._place.get(name, len(self._place)))
        return (*(name for name in found if not name.startswith("config_")), *hyperparameters)


def _exporter(form: str, method: str) -> Any:
    from offbeat.registry import load

    exporter = load("offbeat.exporters", form)()
    if not hasattr(exporter, method):
        other = "a format of files; write it with save()" if method == "convert" else "held in memory, not in a file"
        raise InvalidArgument(f"{form!r} is {other}.")
    return exporter


def result_row(seq: int, event: TrialResult, config: Mapping[str, Any]) -> dict[str, Any]:
    """A result as a flat row: COLUMNS, each metric under its name, each hyperparameter as `config_<name>`.

    `seq` is the result's place in the journal. A metric whose name is that of another column, begins with `config_`,
    or would be either without a `metric_` in front, becomes `metric_<name>`: no two columns ever share a name.
    """
    row: dict[str, Any] = dict(
        zip(COLUMNS, (seq, float(event.at), event.trial, event.attempt, event.resource, event.verdict), strict=True)
    )
    for name, value in event.metrics.items():
        row[_metric_column(name)] = value
    for name, value in config.items():
        row[f"config_{name}"] = value
    return row


def cell(value: Any) -> str:
    """A value as a cell of a text: nothing for None, floats with all their digits, lists and dictionaries as JSON."""
    if value is None:
        return ""
    if isinstance(value, float):
        return repr(value)
    return msgspec.json.encode(value).decode() if isinstance(value, dict | list | tuple) else str(value)


def trial_row(record: TrialRecord, best: Mapping[str, Any]) -> dict[str, Any]:
    """A trial as a flat row: TRIAL_COLUMNS, `best_<objective>`, `last_<metric>` of the last counted result, `config_<name>`.

    Args:
        record: the trial.
        best: the trial's best value of each objective that it has reported.
    """
    values = (
        record.id, record.status.value, record.reason, record.attempt + 1, record.resource, record.reports,
        record.rejected, record.failures, _moment(record.started_at), _moment(record.ended_at), record.active,
        record.cost,
    )  # fmt: skip
    row: dict[str, Any] = dict(zip(TRIAL_COLUMNS, values, strict=True))
    row |= {f"best_{name}": value for name, value in best.items()}
    row |= {f"last_{name}": value for name, value in (record.last or {}).items()}
    row |= {f"config_{name}": value for name, value in record.config.items()}
    return row


def is_metric(name: str) -> bool:
    """Whether a column of results holds a metric."""
    return name not in _TAKEN and not name.startswith("config_")


def _metric_column(name: str) -> str:
    bare = name
    while bare.startswith(_PREFIX):
        bare = bare.removeprefix(_PREFIX)
    return f"{_PREFIX}{name}" if bare in _TAKEN or bare.startswith("config_") else name


def _moment(at: float) -> float | None:
    return at if at >= 0 else None


def _column(name: str, values: list[Any], *, reported: bool) -> Column:
    kinds = {type(value) for value in values if value is not None}
    if reported and str in kinds and kinds <= {int, float, str}:
        texts = {value for value in values if type(value) is str}
        if texts <= NONFINITE.keys():
            values = [NONFINITE[value] if type(value) is str else value for value in values]
            kinds = {type(value) for value in values if value is not None}
    if kinds <= {int} and kinds:
        small = all(-(2**63) <= value < 2**63 for value in values if value is not None)
        return Column(name, "integer" if small else "other", values)
    if kinds <= {int, float}:  # a column without any value too: it is one of missing numbers
        try:
            return Column(name, "number", [None if value is None else float(value) for value in values])
        except OverflowError:
            return Column(name, "other", values)
    if kinds <= {bool}:
        return Column(name, "boolean", values)
    return Column(name, "text" if kinds <= {str} else "other", values)

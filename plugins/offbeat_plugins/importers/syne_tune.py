"""Experiment folders of Syne Tune (Salinas et al. 2022), versions 0.3 to 0.16: `metadata.json` and `results.csv.zip`.

Read without Syne Tune; `tuner.dill`, a pickle, is never opened. The table of results knows no trials without a result, and
no ends: a trial that has reached the highest level has finished, one that was not stopped before it is left open.
"""

from __future__ import annotations

import csv
import io
import json
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from math import isfinite
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

from offbeat.errors import InvalidArgument, InvalidSpace, nearest
from offbeat.importing import Foreign, ForeignResult, ForeignTrial, Stretch, Wanted, digest_of
from offbeat.importing.spaces import conditional, flat, inferred, within
from offbeat.space import Space, choice, finrange, logfinrange, lograndint, loguniform, ordinal, randint, uniform
from offbeat.space.domain import Domain

METADATA: Final = "metadata.json"
RESULTS: Final = "results.csv.zip"
LARGEST: Final = 4 << 30
"""Bytes of an unpacked table beyond which it is taken for no table."""

_OWN: Final = ("st_", "config_")
_CLOCK: Final = "st_tuner_time"
_WORKER: Final = "st_worker_time"


class SyneTuneImporter:
    """Reads one experiment folder.

    The resource is the one column of whole numbers that grows with each report of a trial, unless it is named. A report
    after a pause begins another execution. An execution is taken to have begun when the
    tuner saw its first report, less what the worker had worked by then.
    """

    def read(self, source: str, wanted: Wanted) -> Foreign:
        """The experiment. Raises InvalidArgument, InvalidSpace."""
        folder = Path(source).expanduser().absolute()
        metadata = _metadata(folder)
        rows = list(_rows(folder))
        if not rows:
            raise InvalidArgument(f"{folder} has no result: there is nothing to import.")
        notes: list[str] = []
        recorded = _texts(metadata.get("metric_names", metadata.get("metric_name", metadata.get("metric"))))
        modes = _texts(metadata.get("metric_mode", metadata.get("mode")))
        columns = list(dict.fromkeys(name for row in rows for name in row.values))
        numbers = [name for name in columns if any(isinstance(row.values.get(name), int | float) for row in rows)]
        objectives = wanted.objectives(recorded, modes, numbers)  # type: ignore[arg-type]
        resource = wanted.resource_attr or _resource(rows, [name for name in numbers if name not in objectives])
        if resource is not None and resource not in columns:
            raise InvalidArgument(f"No trial has reported resource {resource!r}. {nearest(resource, columns)}")
        levels = [row.values[resource] for row in rows if resource in row.values] if resource is not None else []
        highest = max((level for level in levels if isinstance(level, int)), default=None)
        trials: dict[str, list[_Row]] = {}
        for row in rows:
            trials.setdefault(row.trial, []).append(row)
        first = [flat(one[0].config) for one in trials.values()]
        space = wanted.space or _space(metadata, first, notes)
        configs = within(space, first, notes)
        return Foreign(
            tool="syne-tune",
            version=str(metadata.get("syne_tune_version", "")),
            source=str(folder),
            digest=digest_of([folder / METADATA, folder / RESULTS]),
            name=folder.name,
            space=space,
            objectives=objectives,
            resource_attr=resource,
            max_t=highest,
            epoch=float(metadata.get("st_tuner_start_timestamp", metadata.get("st_tuner_creation_timestamp", 0.0))),
            trials=tuple(
                ForeignTrial(
                    origin=int(name) if name.isdigit() else name,
                    config=config,
                    stretches=_stretches(own, highest, resource),
                )
                for (name, own), config in zip(trials.items(), configs, strict=True)
            ),
            notes=tuple(notes),
        )


_DAMAGE: Final = (
    zipfile.BadZipFile, zlib.error, EOFError, OSError, UnicodeDecodeError, csv.Error, NotImplementedError, RuntimeError,
)  # fmt: skip
"""What reading a damaged, encrypted or otherwise compressed archive raises."""


class _Row(NamedTuple):
    """A report: the trial's, at a time on the tuner's clock, `worked` seconds after the start of its execution."""

    trial: str
    at: float
    worked: float
    decision: str
    values: dict[str, Any]
    config: dict[str, Any]


def _metadata(folder: Path) -> Mapping[str, Any]:
    if not folder.is_dir():
        raise InvalidArgument(f"There is no folder {folder}.")
    path = folder / METADATA
    if not path.is_file():
        raise InvalidArgument(f"{folder} is no experiment of Syne Tune: it has no {METADATA}.")
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InvalidArgument(f"{path} is no JSON: {error}.") from None
    if not isinstance(found, dict):
        raise InvalidArgument(f"{path} is no JSON object.")
    return found


def _rows(folder: Path) -> Iterator[_Row]:
    path = folder / RESULTS
    if not path.is_file():
        raise InvalidArgument(f"{folder} has no {RESULTS}: its experiment has reported nothing, or was cut off.")
    try:
        with zipfile.ZipFile(path) as archive:
            inside = [info for info in archive.infolist() if info.filename.endswith(".csv")]
            if len(inside) != 1 or inside[0].file_size > LARGEST:
                raise InvalidArgument(f"{path} does not hold one table.")
            with archive.open(inside[0]) as binary:
                table = csv.DictReader(io.TextIOWrapper(binary, encoding="utf-8", newline=""))
                for number, line in enumerate(table, 2):
                    yield _row(path, number, line)
    except _DAMAGE as error:
        kind = "its table is no CSV in UTF-8" if isinstance(error, ValueError | csv.Error) else "it is no whole archive"
        raise InvalidArgument(
            f"{path} cannot be read: {kind}. Copy it again from where the experiment ran, once that has ended."
        ) from None


def _row(path: Path, number: int, line: Mapping[str | None, Any]) -> _Row:
    if None in line or "trial_id" not in line or _CLOCK not in line or None in line.values():
        raise InvalidArgument(f"{path}, line {number}: not a table of Syne Tune; `trial_id` and `{_CLOCK}` are needed.")
    cells = {str(name): _value(text) for name, text in line.items()}
    at = cells[_CLOCK]
    if not isinstance(at, int | float) or not isfinite(at):
        raise InvalidArgument(f"{path}, line {number}: {_CLOCK}={line[_CLOCK]!r} is no time.")
    worked = cells.get(_WORKER)
    values = {name: value for name, value in cells.items() if not name.startswith(_OWN) and name != "trial_id"}
    cost = cells.get("st_worker_cost")
    if isinstance(cost, int | float):
        values["st_worker_cost"] = cost
    return _Row(
        trial=str(line["trial_id"]),
        at=float(at),
        worked=float(worked) if isinstance(worked, int | float) and isfinite(worked) and worked > 0 else 0.0,
        decision=str(line.get("st_decision") or "CONTINUE"),
        values={name: value for name, value in values.items() if value is not None},
        config={
            name.removeprefix("config_"): value
            for name, value in cells.items()
            if name.startswith("config_") and value is not None
        },
    )


def _value(text: str) -> Any:
    """A cell as a number, a truth value or a text; None for an empty one."""
    if text == "":
        return None
    if text in ("True", "False"):
        return text == "True"
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _texts(value: object) -> tuple[str, ...] | None:
    if isinstance(value, str):
        return (value,)
    if isinstance(value, list) and value and all(isinstance(one, str) for one in value):
        return tuple(value)
    return None


def _resource(rows: Sequence[_Row], names: Sequence[str]) -> str | None:
    """The column that counts reports: whole numbers from 1 up which grow within each execution; None if there is none."""
    fitting = [name for name in names if _counts(name, rows)]
    if len(fitting) > 1:
        raise InvalidArgument(
            f"{' and '.join(map(repr, fitting))} all count the progress of trials: say resource_attr=."
        )
    return fitting[0] if fitting else None


def _counts(name: str, rows: Sequence[_Row]) -> bool:
    last: dict[str, int] = {}
    grew = False
    for row in rows:
        value = row.values.get(name)
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            return False
        before = last.get(row.trial, 0)
        if value <= before:
            return False
        grew |= before > 0
        last[row.trial] = 0 if row.decision == "PAUSE" else value
    return grew


def _stretches(rows: Sequence[_Row], highest: int | None, resource: str | None) -> tuple[Stretch, ...]:
    """The executions of a trial: one ends with each pause. At the highest level it had come to its end."""
    found = []
    own: list[_Row] = []
    for row in rows:
        own.append(row)
        if row.decision == "PAUSE":
            found.append(_stretch(own))
            own = []
    if own:
        found.append(_stretch(own))
    last = found[-1]
    if resource is not None and last.how in ("stopped", "finished"):
        if rows[-1].values.get(resource) == highest:
            found[-1] = msgspec.structs.replace(last, how="finished", why="")
        elif last.how == "finished":
            found[-1] = msgspec.structs.replace(last, how="open", why="reported no more")
    return tuple(found)


def _stretch(rows: Sequence[_Row]) -> Stretch:
    last = rows[-1]
    how, why = {"STOP": ("stopped", "stopped by its scheduler"), "PAUSE": ("paused", "paused by its scheduler")}.get(
        last.decision, ("finished", "")
    )
    began = max(0.0, rows[0].at - rows[0].worked)
    return Stretch(
        started=began,
        ended=last.at,
        # The tuner looks now and then: the worker's own time is finer.
        results=tuple(ForeignResult(began + row.worked if row.worked else row.at, row.values) for row in rows),
        how=how,  # type: ignore[arg-type]
        why=why,
    )


# --- the space


def _space(metadata: Mapping[str, Any], configs: Sequence[Mapping[str, Any]], notes: list[str]) -> Space:
    """What the metadata say; without them, what the values suggest."""
    text = metadata.get("config_space")
    if not text:
        space, guessed = inferred(configs)
        notes += [f"{METADATA} has no space", *guessed]
        return space
    try:
        described = json.loads(text) if isinstance(text, str) else text
    except ValueError as error:
        raise InvalidArgument(f"{METADATA}: config_space is no JSON: {error}. Say space=.") from None
    entries: dict[str, Any] = {}
    for name, entry in _entries(described):
        if not isinstance(entry, Mapping):
            entries[name] = entry
            continue
        try:
            entries[name] = _domain(entry)
        except (KeyError, TypeError, InvalidSpace) as error:
            raise InvalidSpace(f"{METADATA}: {name!r} cannot be read as a domain: {error}. Say space=.") from None
    return conditional(entries, configs, notes)


def _entries(described: object) -> Iterator[tuple[str, Any]]:
    """Names and entries of a space as Syne Tune writes it. Raises InvalidArgument."""
    if not isinstance(described, Mapping):
        raise InvalidArgument(f"{METADATA}: config_space is no object. Say space=.")
    for name, entry in described.items():
        yield next(iter(flat({name: None}))), entry


def _domain(entry: Mapping[str, Any]) -> Domain:
    kind, options = entry["domain_cls"], entry["domain_kwargs"]
    sampler = str(entry.get("sampler_cls", "Uniform"))
    log = options.get("log_scale", sampler == "LogUniform")
    match kind:
        case "Float":
            return (loguniform if log else uniform)(options["lower"], options["upper"])
        case "Integer":
            return (lograndint if log else randint)(options["lower"], options["upper"])
        case "Categorical":
            return choice(options["categories"])
        case "Ordinal":
            return ordinal(options["categories"], "equal")
        case "OrdinalNearestNeighbor":
            return ordinal(options["categories"], "nn-log" if log else "nn")
        case "FiniteRange":
            make = logfinrange if log else finrange
            return make(options["lower"], options["upper"], options["size"], bool(options.get("cast_int")))
        case _:
            raise InvalidSpace(f"domain_cls={kind!r} is not known")

"""Studies of Optuna (Akiba et al. 2019), through its own storage classes: databases and journal files.

Nothing is written: a database file is opened read-only. Optuna does not keep when a trial reported its steps; they are
taken to be spread evenly from its start to its end.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from offbeat.errors import InvalidArgument, InvalidSpace, MissingExtra, nearest
from offbeat.importing import Foreign, ForeignResult, ForeignTrial, Modes, Outcome, Stretch, Wanted, digest_of
from offbeat.importing.spaces import conditional, flat, within
from offbeat.space import Space
from offbeat.text import counted

PATIENCE: Final = 5.0
"""Seconds that a database may be locked by somebody who writes."""

_HOW: Final[Mapping[str, Outcome]] = {"COMPLETE": "finished", "PRUNED": "stopped", "FAIL": "failed", "RUNNING": "open"}
_SQLITE: Final = "sqlite:///"


class OptunaImporter:
    """Reads one study.

    The objective is called `value` (several: `value_0` ...) unless the study names its metrics, the resource `step`; steps
    that count from 0 count from 1 here. A trial's final value stands in its last step's place, where the two differ.
    Trials that failed or still run without all of their hyperparameters, and waiting ones, are left out.
    """

    def read(self, source: str, wanted: Wanted) -> Foreign:
        """The study. Raises MissingExtra, InvalidArgument, InvalidSpace."""
        try:
            import optuna
        except ImportError:
            raise MissingExtra("Reading a study of Optuna", "spaces") from None
        with _quiet(optuna), _opened(optuna, source) as (storage, files):
            study = _study(optuna, storage, source, wanted.study)
            trials = study.trials
            notes: list[str] = []
            return Foreign(
                tool="optuna",
                version=optuna.__version__,
                source=_address(source),
                digest=digest_of(files),
                name=study.study_name,
                epoch=0.0,
                **_found(study, trials, wanted, notes),
                notes=tuple(notes),
            )


def _found(study: Any, trials: Sequence[Any], wanted: Wanted, notes: list[str]) -> dict[str, Any]:
    """Space, objectives and trials of a study."""
    begun = [trial for trial in trials if trial.datetime_start is not None and trial.state.name != "WAITING"]
    _note(notes, len(trials) - len(begun), "left out: not started yet")
    complete = [t for t in begun if t.state.name == "COMPLETE" or t.intermediate_values] or begun
    names = {name for trial in complete for name in trial.params}
    configs = {trial.number: flat(trial.params) for trial in begun}
    if wanted.space is not None:
        space = wanted.space
    elif not names:
        raise InvalidArgument(
            f"No trial of study {study.study_name!r} has hyperparameters: there is nothing to import."
        )
    else:
        space = conditional(_domains(complete, notes), [configs[trial.number] for trial in complete], notes)
    kept = []
    for trial, config in zip(begun, within(space, configs.values(), notes), strict=True):
        if trial in complete or _whole(space, config):
            kept.append((trial, config))
    _note(
        notes,
        len(begun) - len(kept),
        "left out: failed, or still running, before all hyperparameters were chosen",
    )
    recorded = _names(study)
    senses: Modes = tuple("min" if one.name == "MINIMIZE" else "max" for one in study.directions)
    if wanted.metrics is not None and len(wanted.metrics) != len(recorded):
        raise InvalidArgument(
            f"metric={list(wanted.metrics)!r}: the study has {len(recorded)} values a trial; name as many."
        )
    named = wanted.metrics or recorded  # Optuna's values have places: a name given by the user is for the place
    objectives = Wanted(modes=wanted.modes or senses).objectives(named, None, named)
    reader = _Reader([trial for trial, _ in kept], named, wanted.resource_attr or "step", notes)
    return {
        "space": space,
        "objectives": objectives,
        "resource_attr": reader.resource,
        "max_t": reader.highest or None,
        "trials": tuple(reader.trial(trial, config) for trial, config in kept),
    }


class _Reader:
    """Trials of one study: which steps and names they have is known only when all have been seen."""

    def __init__(self, trials: Sequence[Any], names: Sequence[str], resource: str, notes: list[str]) -> None:
        steps = {step for trial in trials for step in trial.intermediate_values}
        if steps and min(steps) < 0:
            raise InvalidArgument(f"A trial has reported at step {min(steps)}; steps have to count from 0 or 1.")
        self.names = names
        self.resource = resource if steps else None
        self._first = 1 if 0 in steps else 0
        self.highest = max(steps) + self._first if steps else 0
        if resource in names:
            raise InvalidArgument(
                f"The resource cannot be called {resource!r} as the objective is: pass resource_attr=."
            )
        ends = [moment for trial in trials for moment in (trial.datetime_start, trial.datetime_complete) if moment]
        self._latest = max(map(_seconds, ends), default=0.0)
        if steps:
            notes.append("Optuna does not keep when steps were reported: they are spread evenly over each trial")
        if self._first:
            notes.append("steps counted from 0 in the study; here they count from 1")
        unlike = sum(_differs(trial) for trial in trials)
        _note(notes, unlike, "with another value than at the last step: it stands there, the reported one as `raw`")

    def trial(self, trial: Any, config: dict[str, Any]) -> ForeignTrial:
        """One trial with its one execution."""
        began = _seconds(trial.datetime_start)
        over = trial.datetime_complete is not None
        ended = max(began, _seconds(trial.datetime_complete) if over else self._latest)
        how = _HOW[trial.state.name]
        why = "pruned" if how == "stopped" else str(trial.system_attrs.get("fail_reason") or "failed in the study")
        stretch = Stretch(
            started=began,
            ended=ended,
            results=tuple(self._results(trial, began, ended)),
            how=how,
            why=why if how in ("stopped", "failed") else "",
        )
        about = {"user_attrs": dict(trial.user_attrs)} if trial.user_attrs else {}
        return ForeignTrial(origin=trial.number, config=config, stretches=(stretch,), about=about)

    def _results(self, trial: Any, began: float, ended: float) -> Iterator[ForeignResult]:
        steps = sorted(trial.intermediate_values.items())
        final = trial.values if trial.state.name == "COMPLETE" else None
        if final is not None and not steps:
            level = {self.resource: self.highest} if self.resource else {}
            yield ForeignResult(ended, {**level, **dict(zip(self.names, final, strict=True))})
            return
        for number, (step, value) in enumerate(steps, 1):
            reported = {str(self.resource): step + self._first, self.names[0]: value}
            at = began + (ended - began) * number / len(steps)
            if number == len(steps) and _differs(trial):
                yield ForeignResult(at, {**reported, self.names[0]: trial.value}, reported)
            else:
                yield ForeignResult(at, reported)


def _differs(trial: Any) -> bool:
    """Whether a complete trial's value is another one than its last step's."""
    steps = trial.intermediate_values
    return bool(steps) and trial.state.name == "COMPLETE" and trial.value != steps[max(steps)]


def _domains(trials: Sequence[Any], notes: list[str]) -> dict[str, Any]:
    """One domain for each name; ranges that changed between trials become the widest one."""
    from optuna.distributions import CategoricalDistribution

    merged: dict[str, Any] = {}
    changed: set[str] = set()
    for trial in trials:
        for name, distribution in trial.distributions.items():
            known = merged.setdefault(name, distribution)
            if known == distribution:
                continue
            if type(known) is not type(distribution) or isinstance(distribution, CategoricalDistribution):
                raise InvalidSpace(f"{name!r} was {known} in one trial and {distribution} in another: say space=.")
            if (known.log, known.step) != (distribution.log, distribution.step):
                raise InvalidSpace(f"{name!r} was {known} in one trial and {distribution} in another: say space=.")
            widest = (min(known.low, distribution.low), max(known.high, distribution.high))
            merged[name] = type(known)(*widest, log=known.log, step=known.step)
            changed.add(name)
    _note(notes, len(changed), f"with ranges that changed, of which the widest is taken: {sorted(changed)}", "name")
    space = Space.from_optuna(merged)
    return {next(iter(flat({name: None}))): space.domains[name] for name in merged}


def _whole(space: Space, config: Mapping[str, Any]) -> bool:
    from offbeat.errors import InvalidConfig

    try:
        space.validate(config)
    except InvalidConfig:
        return False
    return True


def _names(study: Any) -> tuple[str, ...]:
    named = study.metric_names
    if named is not None:
        return tuple(named)
    count = len(study.directions)
    return ("value",) if count == 1 else tuple(f"value_{i}" for i in range(count))


def _seconds(moment: datetime) -> float:
    """Optuna keeps local time without a zone."""
    return moment.timestamp()


def _note(notes: list[str], count: int, what: str, of: str = "trial") -> None:
    if count:
        notes.append(f"{counted(count, of)} {what}")


# --- storages


@contextmanager
def _quiet(optuna: Any) -> Iterator[None]:
    """Without Optuna's own remarks on what is read."""
    level = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        yield
    finally:
        optuna.logging.set_verbosity(level)


def _address(source: str) -> str:
    """The source without a password, as a path where it is one."""
    if source.startswith(_SQLITE):
        return str(Path(source.removeprefix(_SQLITE)).absolute())
    if "://" not in source:
        return str(Path(source).absolute())
    scheme, _, rest = source.partition("://")
    return f"{scheme}://{rest.rpartition('@')[2]}"


@contextmanager
def _opened(optuna: Any, source: str) -> Iterator[tuple[Any, Iterable[Path]]]:
    """A storage, and the files that it lies in. Raises InvalidArgument for what is none, or cannot be read now."""
    if "://" in source and not source.startswith(_SQLITE):
        with _told(source):
            yield optuna.storages.RDBStorage(source, skip_table_creation=True), ()
        return
    path = Path(source.removeprefix(_SQLITE)).absolute()
    if not path.is_file():
        raise InvalidArgument(f"{source}: there is no file {path}.")
    with _told(source):
        if path.read_bytes()[:16] == b"SQLite format 3\0" or source.startswith(_SQLITE):
            _check(path)
            url = f"{_SQLITE}file:{quote(str(path))}?mode=ro&uri=true"
            settings = {"connect_args": {"timeout": PATIENCE}}
            storage = optuna.storages.RDBStorage(url, engine_kwargs=settings, skip_table_creation=True)
            try:
                yield storage, [path]
            finally:
                storage.remove_session()
                storage.engine.dispose()
        else:
            from optuna.storages.journal import JournalFileBackend

            yield optuna.storages.JournalStorage(JournalFileBackend(str(path))), [path]


def _check(path: Path) -> None:
    """Looks whether a database holds studies, before Optuna tries to write its version into it."""
    with closing(sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True, timeout=PATIENCE)) as database:
        tables = {name for (name,) in database.execute("select name from sqlite_master where type = 'table'")}
    if not {"studies", "trials", "version_info"} <= tables:
        raise InvalidArgument(f"{path} is a database, but not one of Optuna.")


@contextmanager
def _told(source: str) -> Iterator[None]:
    """What a storage raises, in one sentence that names the source."""
    from offbeat.errors import OffbeatError

    try:
        yield
    except OffbeatError:
        raise
    except Exception as error:
        cause: BaseException = error
        while cause.__cause__ is not None:
            cause = cause.__cause__
        text = (str(cause) or type(cause).__name__).splitlines()[0]
        hint = " Try again when nobody writes to it." if "locked" in text else ""
        raise InvalidArgument(f"{_address(source)} cannot be read as a storage of Optuna: {text}.{hint}") from error


def _study(optuna: Any, storage: Any, source: str, name: str | None) -> Any:
    known = [study.study_name for study in storage.get_all_studies()]
    if not known:
        raise InvalidArgument(f"{_address(source)} holds no study.")
    if name is None and len(known) > 1:
        raise InvalidArgument(
            f"{_address(source)} holds {len(known)} studies: say which by study= (--study). {nearest('', known)}"
        )
    chosen = known[0] if name is None else name
    if chosen not in known:
        raise InvalidArgument(f"{_address(source)} holds no study {chosen!r}. {nearest(chosen, known)}")
    return optuna.load_study(study_name=chosen, storage=storage)

"""One experiment as its journal tells it: the fold of all events, read without an engine, while one writes too."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias, overload

from offbeat.errors import InvalidArgument, JournalError, nearest
from offbeat.events import (
    ASK_TELL,
    ExperimentClosed,
    ExperimentOpened,
    ExperimentSpec,
    Limits,
    LimitsChanged,
    MetricSpec,
    TrialResult,
)
from offbeat.home import ExperimentFolder
from offbeat.journal import Holder, JournalFollower, holder, read_journal
from offbeat.protocols import Recorded
from offbeat.results.records import Best, Incumbent, Point, Session, Summary, brief
from offbeat.results.table import COLUMNS, COST, TRIAL_COLUMNS, Table, is_metric, result_row, trial_row
from offbeat.results.trials import Trials
from offbeat.trial import IllegalMove, Ledger, TrialId

if TYPE_CHECKING:
    from offbeat.results.pareto import Hypervolume, ParetoPoint

COUNTED: Final = frozenset({"continue", "stop", "pause"})
"""Verdicts of results that count; `late` and `repeat` are recorded only."""

TableName: TypeAlias = Literal["results", "trials"]

BATCH: Final = 8_192
"""Events that are folded at once."""

_MISFITS: Final = (IllegalMove, LookupError, TypeError, ValueError, AttributeError, ArithmeticError)
"""What a fold raises for events that do not fit each other."""


class Experiment:
    """An experiment as its journal told it when it was loaded or last refreshed.

    Attributes:
        folder, spec: where it lies and what it is.
        limits: as last changed.
        ledger: all trials, as the engine keeps them; `trials` is made for people.
        sessions: oldest first.
        incumbents: results that were better than all before them, by the first objective, oldest first.
        events: how many the journal had; elapsed: time of the last one in seconds of the experiment's clock.
        n_results: counted results, as in `Usage.results`; n_late: late and repeated ones, which are recorded only.
        running: the engine that is writing to it, or None.

    Raises JournalError: the folder holds no experiment (yet), or its journal is damaged or too new.
    """

    def __init__(self, folder: ExperimentFolder) -> None:
        self.folder = folder
        self.running: Holder | None = None
        self.sessions: list[Session] = []
        self.incumbents: list[Incumbent] = []
        self.events = 0
        self.elapsed = 0.0
        self.n_results = 0
        self.n_late = 0
        self._follower = JournalFollower(folder)
        self._misfit: JournalError | None = None
        self.spec = spec_of(folder)
        self.limits: Limits = self.spec.limits
        objective = self.spec.metrics[0] if self.spec.metrics else MetricSpec("")
        self._constraints = [metric for metric in self.spec.metrics if metric.role == "constraint"]
        self.ledger = Ledger(objective.name or None, minimise=objective.mode == "min", constraints=self._constraints)
        optimised = [metric for metric in self.spec.metrics if metric.role == "objective"]
        self._best: dict[str, dict[TrialId, tuple[float, int, float]]] = {m.name: {} for m in optimised}
        self._signs = {metric.name: 1 if metric.mode == "min" else -1 for metric in optimised}
        self.refresh()

    def refresh(self) -> Experiment:
        """Takes in what was written since the last look, and gives itself; tables made before stay as they are.

        Raises JournalError for a damaged journal.
        """
        for _ in self._advance():
            pass
        return self

    def news(self) -> list[Recorded]:
        """As `refresh`, but gives the events that were new."""
        return [recorded for batch in self._advance() for recorded in batch]

    @property
    def name(self) -> str:
        """The folder's name: an experiment may have been copied or moved."""
        return self.folder.name

    @property
    def status(self) -> str:
        """`running`, what the last session ended with, or `crashed` if it ended without saying so."""
        if self.running is not None:
            return "running"
        return self.sessions[-1].outcome or "crashed"

    @property
    def goes_on_with(self) -> str:
        """The command, or for an experiment of ask and tell the call, that resumes it."""
        if self.spec.backend.name == ASK_TELL:
            return f"offbeat.AskTell(experiment={self.name!r})"
        return f"offbeat resume {self.name}"

    @property
    def trials(self) -> Trials:
        """All trials, by number."""
        return Trials(self)

    def counts(self) -> dict[str, int]:
        """Trials by status, those that occur."""
        return dict(Counter(record.status.value for record in self.ledger))

    def results(self, *, late: bool = False) -> Table:
        """One row for each counted result, oldest first; columns as in `result_row`, and `st_cost` where there is a cost.

        Args:
            late: late and repeated results too, which no scheduler has seen; `verdict` tells them apart.
        """
        events = self.events
        return Table("results", lambda: self._result_rows(events, late), COLUMNS, list(self.spec.space), is_metric)

    def _trials_table(self) -> Table:
        """One row for each trial; columns as in `trial_row`."""
        rows = []
        for record in self.ledger:
            best = {name: found[record.id][0] for name, found in self._best.items() if record.id in found}
            rows.append(trial_row(record, best))
        first = (*TRIAL_COLUMNS, *(f"best_{name}" for name in self._best))
        return Table(
            "trials", lambda: iter(rows), first, list(self.spec.space), lambda name: name.startswith(("best_", "last_"))
        )

    def table(self, name: TableName = "results") -> Table:
        """The counted results, or the trials. Raises InvalidArgument for another name."""
        if name == "results":
            return self.results()
        if name == "trials":
            return self._trials_table()
        raise InvalidArgument(f"table={name!r} is not valid. {nearest(str(name), ('results', 'trials'))}")

    def to_pandas(self, table: TableName = "results") -> Any:
        """The counted results or the trials as a pandas DataFrame, typed column by column.

        Raises MissingExtra without pandas, InvalidArgument for an unknown table.
        """
        return self.table(table).to("pandas")

    def to_arrow(self, table: TableName = "results") -> Any:
        """The counted results or the trials as an Arrow table; raises as `to_pandas`."""
        return self.table(table).to("arrow")

    def to_csv(self, path: str | PathLike[str], table: TableName = "results") -> Path:
        """Writes the counted results or the trials as CSV and gives the path; `save` knows other formats."""
        return self.save(path, table, form="csv")

    def save(self, path: str | PathLike[str], table: TableName = "results", *, form: str | None = None) -> Path:
        """Writes a table into a file, which is replaced as a whole or not at all.

        Args:
            path: the file.
            table: "results" or "trials".
            form: "csv", "jsonl", "parquet" or another plugin in `offbeat.exporters`; by default what the file's name
                ends with.

        Raises UnknownPlugin with the nearest name, MissingExtra, InvalidArgument, OSError.
        """
        from offbeat.results.saving import save

        return save(self.table(table), Path(path), form)

    def curve(self, trial: int, metric: str | None = None) -> list[Point]:
        """The trial's counted results that have the metric (default: the first objective), oldest first.

        Raises:
            InvalidArgument: there is no such trial.
        """
        number = self.trials[trial].id
        name = metric or self.spec.metrics[0].name
        points = []
        for event in self._counted(self.events):
            if event.trial == number and (value := event.metrics.get(name)) is not None:
                points.append(Point(event.resource, value, event.at, event.attempt))
        return points

    @overload
    def best(self, metric: str | None = None, *, mode: Literal["min", "max"] | None = None) -> Best | None: ...
    @overload
    def best(self, metric: str | None = None, *, mode: Literal["min", "max"] | None = None, n: int) -> list[Best]: ...
    def best(
        self, metric: str | None = None, *, mode: Literal["min", "max"] | None = None, n: int | None = None
    ) -> Best | list[Best] | None:
        """The trial with the best counted value of a metric, None if there is no result.

        Where the scheduler has constraints, only results in which all of them hold count for its objectives.

        Args:
            metric: the first objective if not given. Of equal trials the one that was first to report the value is
                better.
            mode: "min" or "max"; an objective has its own, every other metric needs one.
            n: answer a list of the n best trials, fewer if there are fewer.

        Raises:
            InvalidArgument: the metric is no objective and there is no mode, or nobody has reported it as a number.
        """
        name = metric or self.spec.metrics[0].name
        if mode not in (None, "min", "max"):
            raise InvalidArgument(f"mode={mode!r} is not valid. {nearest(str(mode), ('min', 'max'))}")
        sign = self._signs.get(name)
        if sign is not None and mode in (None, "min" if sign == 1 else "max"):
            values = self._best[name]
        else:
            if mode is None:
                raise InvalidArgument(
                    f"metric={name!r} is not an objective of {self.name}. {nearest(name, self._best)} For another "
                    "reported metric say mode='min' or mode='max'."
                )
            sign = 1 if mode == "min" else -1
            values = self._best_of(name, sign)
        ranked = sorted(values.items(), key=lambda item: (sign * item[1][0], item[1][2], item[0]))
        found = [self._as_best(trial, name, *where) for trial, where in ranked[: 1 if n is None else n]]
        if n is not None:
            return found
        return found[0] if found else None

    def pareto(self) -> list[ParetoPoint]:
        """Counted results that no other one beats in all objectives, by the first objective, best first.

        Where the scheduler has constraints, only results in which all of them hold count. One result beats another if it is
        as good in each objective and better in one; of a trial's equal results the first one is given. Results that lack
        an objective, or have one that is no finite number, are left out. Raises JournalDamaged.
        """
        from offbeat.results.pareto import pareto_set

        return pareto_set(self)

    def hypervolume(self, reference: Mapping[str, float] | None = None) -> Hypervolume:
        """How much the Pareto set dominates, over time; larger is better.

        Args:
            reference: for each objective a value that is just not acceptable any more; what is not better in all of them
                adds nothing. Experiments are comparable only with the same one. By default a little worse than the worst
                values in this experiment's Pareto set, by a tenth of their range.

        Raises InvalidArgument, JournalDamaged.
        """
        from offbeat.results.pareto import hypervolume_over_time

        return hypervolume_over_time(self, reference)

    def summary(self) -> Summary:
        """The experiment in one line of a listing."""
        best = self.best() if self.spec.metrics else None
        objective = self.spec.metrics[0] if self.spec.metrics else None
        return Summary(
            name=self.name,
            path=str(self.folder.path),
            status=self.status,
            reason=self.sessions[-1].reason,
            holder=self.running,
            started=self.sessions[0].started,
            latest=self.sessions[-1].started,
            sessions=len(self.sessions),
            elapsed=self.elapsed,
            events=self.events,
            scheduler=self.spec.scheduler.name,
            backend=self.spec.backend.name,
            seed=self.spec.seed,
            n_workers=self.limits.n_workers,
            metric=objective.name if objective else None,
            mode=objective.mode if objective else None,
            trials=len(self.ledger),
            counts=self.counts(),
            results=self.n_results,
            late=self.n_late,
            best=None if best is None else brief(best),
        )

    def __repr__(self) -> str:
        return f"<experiment {self.name}: {self.status}, {len(self.ledger)} trials, {self.n_results} results>"

    def _repr_html_(self) -> str:
        from offbeat.results.cards import experiment_card

        return experiment_card(self)

    def _advance(self) -> Iterator[Sequence[Recorded]]:
        if self._misfit is not None:
            raise self._misfit
        self.running = holder(self.folder)
        while batch := self._follower.poll(BATCH):
            try:
                for recorded in batch:
                    self._fold(recorded.event)
            except _MISFITS as error:
                self._misfit = JournalError(
                    f"{self.folder.path}: event {self.events} does not fit those before it: {error}."
                )
                raise self._misfit from error
            yield batch

    def _fold(self, event: Any) -> None:
        if type(event) is TrialResult:
            self.ledger.apply(event)
            if event.verdict in COUNTED:
                self.n_results += 1
                self._rank(event)
            else:
                self.n_late += 1
        else:
            self.ledger.apply(event)
            if isinstance(event, ExperimentOpened):
                self.sessions.append(Session(number=event.session, opened=event.at, started=event.host.wall_time))
            elif isinstance(event, ExperimentClosed):
                session = self.sessions[-1]
                session.closed, session.outcome, session.reason = event.at, event.outcome, event.reason
            elif isinstance(event, LimitsChanged):
                self.limits = event.limits
        self.events += 1
        self.elapsed = event.at

    def _rank(self, event: TrialResult) -> None:
        metrics = event.metrics
        if not all(spec.holds(metrics) for spec in self._constraints):
            return
        for number, (name, sign) in enumerate(self._signs.items()):
            value = metrics.get(name)
            if value is None or not _improve(self._best[name], event, value, sign):
                continue
            if number == 0 and (not self.incumbents or sign * value < sign * self.incumbents[-1].value):
                self.incumbents.append(Incumbent(event.at, event.trial, value))

    def _best_of(self, metric: str, sign: int) -> dict[TrialId, tuple[float, int, float]]:
        found: dict[TrialId, tuple[float, int, float]] = {}
        seen: set[str] = set()
        for event in self._counted(self.events):
            seen |= event.metrics.keys()
            value = event.metrics.get(metric)
            if isinstance(value, int | float) and not isinstance(value, bool):
                _improve(found, event, value, sign)
        if not found and seen:
            what = "as a number" if metric in seen else "at all"
            raise InvalidArgument(f"metric={metric!r} was not reported {what} in {self.name}. {nearest(metric, seen)}")
        return found

    def _counted(self, events: int) -> Iterator[TrialResult]:
        for record in islice(read_journal(self.folder), events):
            if isinstance(record.event, TrialResult) and record.event.verdict in COUNTED:
                yield record.event

    def _result_rows(self, events: int, late: bool) -> Iterator[dict[str, Any]]:
        costs: dict[TrialId, dict[int, float]] = {}
        for record in islice(read_journal(self.folder), events):
            event = record.event
            if not isinstance(event, TrialResult):
                continue
            cost = event.metrics.get("st_worker_cost")
            if event.verdict != "late" and isinstance(cost, int | float) and not isinstance(cost, bool):
                # A worker counts from 0 in each attempt.
                costs.setdefault(event.trial, {})[event.attempt] = cost
            if not late and event.verdict not in COUNTED:
                continue
            row = result_row(record.seq, event, self.ledger[event.trial].config)
            if event.trial in costs:
                row[COST] = sum(costs[event.trial].values())
            yield row

    def _as_best(self, trial: TrialId, metric: str, value: float, resource: int, at: float) -> Best:
        one = self.trials[trial]
        return Best(
            trial=one.record,
            metric=metric,
            value=value,
            resource=resource,
            at=at,
            config=one.config,
            checkpoints=one.checkpoints,
        )


def spec_of(folder: ExperimentFolder) -> ExperimentSpec:
    """What the experiment is, from the head of its journal alone. Raises JournalError."""
    first = next(read_journal(folder), None)
    if first is None or not isinstance(first.event, ExperimentOpened) or first.event.spec is None:
        raise JournalError(f"{folder.path} holds no experiment: its journal does not begin with one.")
    return first.event.spec


def _improve(best: dict[TrialId, tuple[float, int, float]], event: TrialResult, value: float, sign: int) -> bool:
    before = best.get(event.trial)
    if before is not None and not sign * value < sign * before[0]:
        return False
    best[event.trial] = (value, event.resource, event.at)
    return True

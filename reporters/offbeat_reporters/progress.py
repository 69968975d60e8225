"""What a person wants to know about a running experiment, gathered from the public view at little cost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from offbeat.events import Event, ExperimentClosed, ExperimentSpec, Limits, PluginFailed, ReportRejected, TrialFailed
from offbeat.protocols import ExperimentView, TrialView
from offbeat.text import printable
from offbeat.trial import Status, TrialId


@dataclass(frozen=True, slots=True)
class Incumbent:
    """The best result so far; `resource` is 0 where trials do not count one."""

    trial: TrialId
    value: float
    resource: int
    config: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Row:
    """A trial that occupies a worker; `value` is its last result, None before the first."""

    trial: TrialId
    status: Status
    resource: int
    until: int | None
    value: float | None
    best: float | None
    config: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Progress:
    """One moment of an experiment.

    Attributes:
        elapsed: seconds on the experiment's clock.
        counts: trials by status; results, rejected: reports counted, and reports that were not usable.
        rate: results a second since the observer looked first.
        running: one row for each occupied worker, by trial.
    """

    elapsed: float
    counts: Mapping[Status, int]
    results: int
    rejected: int
    rate: float
    best: Incumbent | None
    running: tuple[Row, ...]

    @property
    def trials(self) -> int:
        """How many trials there are."""
        return sum(self.counts.values())


class Gatherer:
    """Makes a `Progress` of the live ledger. Trials that ended are counted once, so a look costs O(open trials)."""

    def __init__(self, experiment: ExperimentView) -> None:
        self._experiment = experiment
        spec: ExperimentSpec = experiment.spec
        self._metric = spec.metrics[0].name
        self._sign = 1.0 if spec.metrics[0].mode == "min" else -1.0
        self._resource = spec.resource_attr
        self._open: list[TrialId] = []
        self._known = 0
        self._ended: Counter[Status] = Counter()
        self._results = self._rejected = 0
        self._best: Incumbent | None = None
        self._since: tuple[float, int] | None = None

    def look(self) -> Progress:
        """The moment as it is; call it from the event loop."""
        ledger = self._experiment.ledger
        self._open += [TrialId(number) for number in range(self._known, len(ledger))]
        self._known = len(ledger)
        counts = Counter(self._ended)
        results, rejected = self._results, self._rejected
        still_open: list[TrialId] = []
        running: list[Row] = []
        for number in self._open:
            trial = ledger[number]
            status = trial.status
            counts[status] += 1
            results += trial.reports
            rejected += trial.rejected
            self._compare(trial)
            if status.ended:
                self._ended[status] += 1
                self._results += trial.reports
                self._rejected += trial.rejected
                continue
            still_open.append(number)
            if status.occupies_slot:
                running.append(self._row(trial))
        self._open = still_open
        elapsed = self._experiment.elapsed
        since, before = self._since = self._since or (elapsed, results)
        rate = (results - before) / (elapsed - since) if elapsed > since else 0.0
        return Progress(elapsed, counts, results, rejected, rate, self._best, tuple(running))

    def _compare(self, trial: TrialView) -> None:
        metrics = trial.best
        if metrics is None:
            return
        value = metrics[self._metric]
        if self._best is None or self._sign * value < self._sign * self._best.value:
            resource = metrics.get(self._resource, 0) if self._resource else 0
            self._best = Incumbent(trial.id, value, int(resource), trial.config)

    def _row(self, trial: TrialView) -> Row:
        last, best = trial.last, trial.best
        return Row(
            trial.id,
            trial.status,
            trial.resource,
            trial.until,
            last[self._metric] if last else None,
            best[self._metric] if best else None,
            trial.config,
        )


ORDER: Final = (
    Status.RUNNING, Status.STOPPING, Status.PAUSING, Status.QUEUED, Status.PAUSED, Status.INTERRUPTED, Status.FINISHED,
    Status.STOPPED, Status.FAILED,
)  # fmt: skip


def counted(counts: Mapping[Status, int]) -> str:
    """`4 running, 12 finished, 61 stopped`; statuses without a trial are left out."""
    return ", ".join(f"{counts[status]} {status.value}" for status in ORDER if counts.get(status)) or "no trial yet"


def number(value: object) -> str:
    """A value as people read it: four significant digits, long texts cut in the middle."""
    if isinstance(value, float):
        return f"{value:.4g}"
    text = printable(str(value))
    return text if len(text) <= 24 else f"{text[:10]}...{text[-11:]}"


def settings(config: Mapping[str, Any], constants: frozenset[str] = frozenset()) -> str:
    """`learning_rate=0.051, momentum=0.92`, without the constants."""
    return ", ".join(f"{name}={number(value)}" for name, value in config.items() if name not in constants)


def constants(space: Mapping[str, Any]) -> frozenset[str]:
    """Names in a recorded space whose value is fixed."""
    return frozenset(name for name, entry in space.items() if isinstance(entry, Mapping) and "constant" in entry)


def in_force(experiment: ExperimentView, otherwise: Limits) -> Limits:
    """The limits that the view says are in force now, if it says so."""
    limits = getattr(experiment, "limits", None)
    return limits if isinstance(limits, Limits) else otherwise


def limit(limits: Limits) -> tuple[str, float] | None:
    """The limit that shows how far the experiment is: ("max_wallclock_time", seconds) or a count of trials, or None."""
    criterion = limits.stop_criterion
    options: dict[str, Any] = dict((criterion.options if criterion is not None else None) or {})
    if options.get("how") == "any":
        # Of criteria that were combined with `|`, the limits of each hold for the whole.
        for part in options.get("criteria", ()):
            component = part.get("$component", {}) if isinstance(part, Mapping) else {}
            options |= component.get("options") or {} if component.get("name") == "criterion" else {}
    for name in ("max_wallclock_time", "max_num_trials_started", "max_num_trials_finished", "max_num_trials_completed"):
        value = options.get(name)
        if isinstance(value, int | float) and value > 0:
            return name, float(value)
    return None


def trouble(event: Event) -> str | None:
    """What people should be told of an event because something is wrong; None for all others."""
    match event:
        case TrialFailed():
            last_line = event.detail.strip().rpartition("\n")[2].strip()
            again = ", starting it again" if event.retry else ""
            return printable(f"trial {event.trial} failed: {event.reason}{': ' * bool(last_line)}{last_line}{again}")
        case ReportRejected():
            return printable(f"trial {event.trial}: report not usable: {event.reason}")
        case PluginFailed():
            return printable(f"plugin {event.name!r} failed in {event.where}: {event.error}")
        case _:
            return None


def ended(event: ExperimentClosed) -> str:
    """How a session ended, in one line."""
    return printable(f"{event.outcome}: {event.reason.partition(chr(10))[0]}")

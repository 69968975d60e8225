"""The family of errors: one root, each class writes its message from its fields and says what to do."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import get_close_matches


def nearest(name: str, known: Iterable[str]) -> str:
    """Half a sentence that helps after a misspelling: the nearest known name, else all of them."""
    options = sorted(set(known))
    near = get_close_matches(name, options, n=1, cutoff=0.5)
    if near:
        return f"Did you mean {near[0]!r}?"
    return f"Known: {', '.join(map(repr, options))}." if options else "None is known."


class OffbeatError(Exception):
    """Root of every error that offbeat raises on purpose."""


class InvalidArgument(OffbeatError, ValueError):
    """An argument has a value that cannot work; the message names the value and what is valid."""


class InvalidSpace(OffbeatError, ValueError):
    """A search space or one of its domains is contradictory or empty."""


class InvalidConfig(OffbeatError, ValueError):
    """A configuration does not lie in its search space."""


class MissingExtra(OffbeatError, ImportError):
    """A feature needs packages that are not installed.

    Attributes:
        feature: what was asked for, as the subject of a sentence.
        extra: the pip extra that brings the packages.
    """

    def __init__(self, feature: str, extra: str) -> None:
        super().__init__(feature, extra)
        self.feature, self.extra = feature, extra

    def __str__(self) -> str:
        return f"{self.feature} needs more packages: pip install 'offbeat[{self.extra}]'"


class NothingToPlot(OffbeatError, ValueError):
    """A plot was asked for that these experiments have nothing for (yet); the message says what it needs."""


class MissingPackage(OffbeatError, ImportError):
    """Something that works inside another library was asked for, and that library is not installed."""

    def __init__(self, feature: str, package: str) -> None:
        super().__init__(feature, package)
        self.feature, self.package = feature, package

    def __str__(self) -> str:
        return f"{self.feature} works inside {self.package}, which is not installed: pip install {self.package}"


class UnknownPlugin(OffbeatError, LookupError):
    """No installed distribution offers a plugin of this name."""

    def __init__(self, group: str, name: str, known: Sequence[str]) -> None:
        super().__init__(group, name, known)
        self.group, self.name, self.known = group, name, known

    def __str__(self) -> str:
        return f"No plugin in {self.group!r} is called {self.name!r}. {nearest(self.name, self.known)}"


class UnknownBlackbox(UnknownPlugin):
    """No plugin, no folder of the repository and no known folder of the hub is a blackbox of this name.

    Attributes:
        root: folder of the repository that was looked into.
        choices: what there is, in words, for a name that is like none.
    """

    def __init__(self, name: str, known: Sequence[str], root: str, choices: str = "") -> None:
        super().__init__("offbeat.blackboxes", name, known)
        self.root, self.choices = root, choices

    def __str__(self) -> str:
        return (
            f"There is no blackbox {self.name!r}: no plugin, no folder of {self.root} (repository= or OFFBEAT_BLACKBOXES "
            f"says another) and no known folder of the hub is called so. {self._hint()}"
        )

    def _hint(self) -> str:
        near = get_close_matches(self.name, self.known, n=1, cutoff=0.5)
        return f"Did you mean {near[0]!r}?" if near else self.choices


class DamagedBlackbox(OffbeatError):
    """A file of a blackbox repository is cut off, foreign, or contradicts its neighbours.

    Attributes:
        path: the file or folder; reason: what does not fit; advice: what to do.
    """

    def __init__(self, path: str, reason: str, advice: str = "Restore it, or write the folder again.") -> None:
        super().__init__(path, reason, advice)
        self.path, self.reason, self.advice = path, reason, advice

    def __str__(self) -> str:
        return f"{self.path} cannot be used: {self.reason}. {self.advice}"


class HubUnavailable(OffbeatError, ConnectionError):
    """A folder of the hub is not here and cannot be fetched."""

    def __init__(self, what: str, reason: str, advice: str) -> None:
        super().__init__(what, reason, advice)
        self.what, self.reason, self.advice = what, reason, advice

    def __str__(self) -> str:
        return f"{self.what} cannot be fetched: {self.reason}. {self.advice}"


class AmbiguousPlugin(OffbeatError, LookupError):
    """Two distributions offer a plugin under one name."""

    def __init__(self, group: str, name: str, distributions: Sequence[str]) -> None:
        super().__init__(group, name, distributions)
        self.group, self.name, self.distributions = group, name, distributions

    def __str__(self) -> str:
        choices = " or ".join(repr(f"{d}:{self.name}") for d in self.distributions)
        return f"{self.name!r} in {self.group!r} is offered by {len(self.distributions)} distributions; say {choices}."


class BrokenPlugin(OffbeatError):
    """A plugin was found but cannot be loaded or breaks its contract."""

    def __init__(self, group: str, name: str, reason: str) -> None:
        super().__init__(group, name, reason)
        self.group, self.name, self.reason = group, name, reason

    def __str__(self) -> str:
        return f"Plugin {self.name!r} of {self.group!r} cannot be used: {self.reason}"


class PluginFailed(OffbeatError):
    """A scheduler failed while the run depended on it; the experiment can be resumed once it is mended."""

    def __init__(self, group: str, name: str, where: str, error: str) -> None:
        super().__init__(group, name, where, error)
        self.group, self.name, self.where, self.error = group, name, where, error

    def __str__(self) -> str:
        return (
            f"The {self.group} plugin {self.name!r} failed in {self.where}: {self.error}. Its traceback is in the "
            "journal; mend the plugin, then resume."
        )


class MetricMismatch(OffbeatError, ValueError):
    """The first report of an experiment lacks a name that the scheduler needs."""

    def __init__(self, expected: str, role: str, reported: Sequence[str]) -> None:
        super().__init__(expected, role, reported)
        self.expected, self.role, self.reported = expected, role, reported

    def __str__(self) -> str:
        names = ", ".join(map(repr, self.reported)) or "nothing"
        return (
            f"The first report has {names}, but the scheduler expects the {self.role} {self.expected!r}. "
            f"{nearest(self.expected, self.reported)} Report {self.expected}=... in the training script or pass "
            f"the reported name to the scheduler."
        )


class WatchedMetricMissing(OffbeatError, ValueError):
    """A stopping criterion waits for a metric that a whole trial did not report."""

    def __init__(self, expected: str, reported: Sequence[str]) -> None:
        super().__init__(expected, reported)
        self.expected, self.reported = expected, reported

    def __str__(self) -> str:
        names = ", ".join(map(repr, self.reported))
        return (
            f"The stopping criterion waits for the metric {self.expected!r}, but a trial has run to its end and reported "
            f"{names} only: the run would have no end. {nearest(self.expected, self.reported)}"
        )


class InvalidResource(OffbeatError, ValueError):
    """The first report counts its resource wrongly (from 0, in fractions, as text)."""

    def __init__(self, name: str, value: object) -> None:
        super().__init__(name, value)
        self.name, self.value = name, value

    def __str__(self) -> str:
        hint = f" Count from 1: report({self.name}={self.name} + 1, ...)." if self.value == 0 else ""
        return (
            f"The first report says {self.name}={self.value!r}; the resource has to be a whole number from 1 up.{hint}"
        )


class TooManyFailures(OffbeatError, RuntimeError):
    """More trials failed than `max_failures` allows, or no trial ever reported anything."""

    def __init__(self, failed: int, ended: int, last: str) -> None:
        super().__init__(failed, ended, last)
        self.failed, self.ended, self.last = failed, ended, last

    def __str__(self) -> str:
        return f"{self.failed} of {self.ended} trials failed, the last one with: {self.last}"


class ExperimentExists(OffbeatError, FileExistsError):
    """A new experiment would be written over an old one.

    Attributes:
        name: of both; advice: what to do.
    """

    def __init__(self, name: str, advice: str = "") -> None:
        super().__init__(name, advice)
        self.name, self.advice = name, advice or f"resume it (offbeat resume {name}) or choose another name"

    def __str__(self) -> str:
        return f"Experiment {self.name!r} exists already: {self.advice}."


class ExperimentNotFound(OffbeatError, FileNotFoundError):
    """No experiment of this name lies in the experiments' folder."""

    def __init__(self, name: str, root: str, known: Sequence[str]) -> None:
        super().__init__(name, root, known)
        self.name, self.root, self.known = name, root, known

    def __str__(self) -> str:
        return f"No experiment {self.name!r} in {self.root}. {nearest(self.name, self.known)}"


class ExperimentLocked(OffbeatError, RuntimeError):
    """Another engine writes to this experiment."""

    def __init__(self, name: str, holder: str) -> None:
        super().__init__(name, holder)
        self.name, self.holder = name, holder

    def __str__(self) -> str:
        return f"Experiment {self.name!r} is being run by {self.holder}. Stop that engine first, or read with `offbeat status`."


class JournalError(OffbeatError):
    """Root of what can be wrong with a journal."""


class JournalDamaged(JournalError):
    """Bytes inside a journal are not what was written.

    Attributes:
        path: the segment; offset: first byte of the damaged line; reason: what does not fit.
    """

    def __init__(self, path: str, offset: int, reason: str) -> None:
        super().__init__(path, offset, reason)
        self.path, self.offset, self.reason = path, offset, reason

    def __str__(self) -> str:
        return (
            f"Journal damaged at byte {self.offset} of {self.path}: {self.reason}. Nothing was changed; restore the file "
            "from a copy, or keep the records before the damage with `offbeat doctor --repair`."
        )


class JournalTooNew(JournalError):
    """A journal was written by a version of offbeat that this one does not know."""

    def __init__(self, path: str, version: object, supported: int) -> None:
        super().__init__(path, version, supported)
        self.path, self.version, self.supported = path, version, supported

    def __str__(self) -> str:
        return (
            f"{self.path} has journal version {self.version!r}; this offbeat reads up to {self.supported}: "
            "pip install -U offbeat"
        )


class JournalUnwritable(JournalError, OSError):
    """The disk refuses the journal (full, read-only, failing): the engine stops before it acts on what it cannot record."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(path, reason)
        self.path, self.reason = path, reason

    def __str__(self) -> str:
        return f"Cannot write the journal {self.path}: {self.reason}. Make room or set OFFBEAT_HOME to another disk, then resume."


class BackendFailed(OffbeatError, RuntimeError):
    """A backend can no longer work (its supervisor died, its service refuses); trials are requeued on resume."""


class EngineBlocked(OffbeatError, RuntimeError):
    """A plugin did not give the event loop back in time; the message holds the plugin's stack."""

    def __init__(self, where: str, seconds: float, stack: str) -> None:
        super().__init__(where, seconds, stack)
        self.where, self.seconds, self.stack = where, seconds, stack

    def __str__(self) -> str:
        return f"{self.where} blocked the engine for {self.seconds:.1f} s; trials were ended at their checkpoints.\n{self.stack}"

"""Which checkpoints are kept: what the journal says of them, and which one has to go next.

A checkpoint is never deleted while an attempt is alive or waits to be started that may need it, while a trial that is to
begin with a copy has not shown yet that it has it, and while its trial has the best result. Of the others those go that
nobody needs any more; where a budget is exceeded, those whose loss is expected to cost least: the chance that their trial
goes on, times the seconds of training that would be repeated then.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final, cast

from offbeat import events as ev
from offbeat.byte_sizes import in_words
from offbeat.protocols import LedgerView
from offbeat.signals import DeleteCheckpoints, Saved
from offbeat.trial import Ledger, Status, TrialId

if TYPE_CHECKING:
    from offbeat.conductor import Conductor

_LOOSE: Final = frozenset((Status.PAUSED, Status.STOPPED, Status.FINISHED, Status.FAILED))
"""No attempt is alive, and none is queued."""

_UNWANTED: Final = frozenset((Status.PAUSED, Status.STOPPED, Status.FAILED))
"""Whose checkpoints go once nobody needs them: what a trial that ran to its end has left is its result."""

_UNSETTLING: Final = frozenset((
    ev.TrialStarted, ev.TrialResumed, ev.TrialPaused, ev.TrialStopped, ev.TrialFinished, ev.TrialFailed, ev.TrialLost,
    ev.CheckpointSaved, ev.LimitsChanged,
))  # fmt: skip
"""Events after which a checkpoint may have to go; so are results that decided on other trials."""

_LEAVING: Final = frozenset((ev.CheckpointDeleted, ev.ExperimentOpened))
"""Events that do not change whether one has to."""


class Kept:
    """The fold of the journal over checkpoints.

    Attributes:
        sizes: bytes of each trial's checkpoint as last measured, before that those of its donor's, or 0; trials that were
            started and whose checkpoint was not deleted since, in the order of their starts.
        deleted: trials whose checkpoint was deleted, and that were not started again.
        largest: bytes of the largest checkpoint so far.
        paid: seconds that each trial had been active when its checkpoint was deleted: they are lost already.
        unsettled: whether the last event read again is one after which a checkpoint may have to go.
    """

    def __init__(self, ledger: Ledger) -> None:
        self.sizes: dict[TrialId, int] = {}
        self.deleted: set[TrialId] = set()
        self.largest = 0
        self.paid: dict[TrialId, float] = {}
        self.unsettled = False
        self._ledger = ledger
        self.handlers: dict[type[ev.Event], Callable[..., None]] = {
            ev.TrialStarted: self._started,
            ev.TrialResumed: self._started,
            ev.CheckpointSaved: self._saved,
            ev.CheckpointDeleted: self._deleted,
        }

    def _started(self, event: ev.TrialStarted | ev.TrialResumed) -> None:
        record = self._ledger[event.trial]
        # A copy is as large as what it is of, even if its trial fails before it has said anything.
        donor = record.donor if record.reports == 0 else None
        copied = 0 if donor is None else self.sizes.get(donor, 0)
        self.sizes.setdefault(event.trial, copied)
        self.deleted.discard(event.trial)

    def _saved(self, event: ev.CheckpointSaved) -> None:
        self.sizes[event.trial] = event.size
        self.largest = max(self.largest, event.size)

    def _deleted(self, event: ev.CheckpointDeleted) -> None:
        self.sizes.pop(event.trial, None)
        self.deleted.add(event.trial)
        self.paid[event.trial] = self._ledger[event.trial].active

    def read_again(self, event: ev.Event) -> None:
        """An event of an earlier session: had its engine come to deciding on checkpoints, another one would follow."""
        kind = type(event)
        if kind in _UNSETTLING or (type(event) is ev.TrialResult and event.others):
            self.unsettled = True
        elif kind not in _LEAVING:
            self.unsettled = False

    def to_repeat(self, trial: TrialId) -> float:
        """Seconds of training behind a trial's checkpoint, which would be repeated without it."""
        return self._ledger[trial].active - self.paid.get(trial, 0.0)


class Checkpoints:
    """The part of one conductor that decides which checkpoints go. Each is journaled before it is deleted."""

    def __init__(self, conductor: Conductor) -> None:
        self._conductor = conductor

    @property
    def managed(self) -> bool:
        """Whether any checkpoint is ever deleted."""
        conductor = self._conductor
        return conductor.delete_checkpoints or conductor.state.limits.checkpoint_budget is not None

    def begin(self, at: float) -> None:
        """A session begins: what the last one may not have come to is done."""
        conductor = self._conductor
        conductor.commands += [DeleteCheckpoints(trial) for trial in sorted(conductor.state.kept.deleted)]
        if conductor.state.kept.unsettled:
            self.tidy(at)

    def saved(self, signal: Saved, at: float) -> None:
        """The backend has measured a checkpoint."""
        conductor = self._conductor
        record, kept = conductor.ledger.trials.get(signal.trial), conductor.state.kept
        if record is None or record.attempt != signal.attempt or conductor.closed or record.id in kept.deleted:
            return
        if signal.size != kept.sizes.get(record.id):
            conductor.record(ev.CheckpointSaved(at, record.id, record.attempt, signal.size))
            self.tidy(at)

    def tidy(self, at: float) -> None:
        """Deletes what nobody needs, and what the budget has no room for; called after whatever may have changed that."""
        if not self.managed or self._conductor.closed:
            return
        pinned = self._pinned()
        if self._conductor.delete_checkpoints:
            self._delete_unneeded(pinned, at)
        self._keep_the_budget(pinned, at)

    def _delete_unneeded(self, pinned: set[TrialId], at: float) -> None:
        ledger, kept = self._conductor.ledger, self._conductor.state.kept
        for trial in list(kept.sizes):
            if trial not in pinned and ledger[trial].status in _UNWANTED and self._chance(trial, at) == 0:
                self._delete(trial, "nothing will go on from it", at)

    def _keep_the_budget(self, pinned: set[TrialId], at: float) -> None:
        conductor = self._conductor
        budget, kept = conductor.state.limits.checkpoint_budget, conductor.state.kept
        if budget is None or (used := self._used()) <= budget:
            return
        losses = []
        for trial, size in kept.sizes.items():
            if size and trial not in pinned and conductor.ledger[trial].status in _LOOSE:
                chance, seconds = self._chance(trial, at), kept.to_repeat(trial)
                losses.append((chance * seconds, trial, chance, seconds, size))
        for _, trial, chance, seconds, size in sorted(losses):
            if used <= budget:
                return
            why = (
                f"{in_words(used)} are in use of {in_words(budget)}; chance to go on {chance:.3g}, "
                f"{seconds:.3g} s to repeat then"
            )
            self._delete(trial, why, at)
            used -= size

    def _used(self) -> int:
        """Bytes in use; an attempt that is alive counts with what it is about to write."""
        conductor = self._conductor
        kept, alive = conductor.state.kept, set(conductor.ledger.slots.values())
        return sum(max(size, kept.largest) if trial in alive else size for trial, size in kept.sizes.items())

    def _pinned(self) -> set[TrialId]:
        """Trials whose checkpoints must not be deleted now."""
        conductor = self._conductor
        ledger = conductor.ledger
        pinned = {*ledger.slots.values(), *conductor.state.queue}
        for trial in tuple(pinned):
            record = ledger[trial]
            # Only its first report shows that the copy is there: the engine may die while it is made.
            if record.donor is not None and record.reports == 0:
                pinned.add(record.donor)
        if (best := self._best()) is not None:
            pinned.add(best)
        return pinned

    def _best(self) -> TrialId | None:
        """The trial with the best result by the first metric, the earliest of equal ones."""
        conductor = self._conductor
        metric = conductor.scheduler.objective.metrics[0]
        sign = 1.0 if metric.mode == "min" else -1.0
        values = (
            (sign * best[metric.name], trial)
            for trial in conductor.state.kept.sizes
            if (best := conductor.ledger[trial].best) is not None
        )
        return min(values, default=(0.0, None))[1]

    def _chance(self, trial: TrialId, at: float) -> float:
        """The scheduler's answer; what it raises ends the session."""
        conductor = self._conductor
        asked = getattr(conductor.scheduler, "checkpoint_chance", None)
        if asked is None:
            return float(conductor.ledger[trial].status is Status.PAUSED)
        try:
            chance = float(asked(trial, cast(LedgerView, conductor.ledger)))
        except Exception as error:  # a scheduler may be anybody's
            conductor.scheduler_failed(at, "checkpoint_chance", error)
            return 1.0
        if 0.0 <= chance <= 1.0:
            return chance
        wrong = ValueError(f"it answered {chance!r} for trial {trial}; it has to be a number from 0 to 1")
        conductor.scheduler_failed(at, "checkpoint_chance", wrong)
        return 1.0

    def _delete(self, trial: TrialId, why: str, at: float) -> None:
        self._conductor.record(ev.CheckpointDeleted(at, trial, why))
        self._conductor.commands.append(DeleteCheckpoints(trial))

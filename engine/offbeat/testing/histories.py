"""Histories to test with, all functions of a seed.

Curves that depend on the configuration alone, the same with every fault, and legal journals with every kind of event.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Final

from offbeat import events as ev
from offbeat.decisions import Continue, Decision, Pause, Proposal, Resume, Start, Stop
from offbeat.protocols import LedgerView, Objective, ProposalRequest
from offbeat.seeds import generator
from offbeat.signals import StartTrial
from offbeat.space import Space, choice, loguniform, randint
from offbeat.stopping import StoppingCriterion
from offbeat.testing import faults
from offbeat.testing.rehearsal import Rehearsal
from offbeat.testing.scripted import Report, Script
from offbeat.trial import Status, TrialId

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy

EPOCHS: Final = 9
"""How long trials run where neither the scheduler nor the configuration says it."""


def unit(*parts: object) -> float:
    """A number in [0, 1) that depends on the parts alone, the same on every machine."""
    digest = blake2b("/".join(map(str, parts)).encode(), digest_size=6).digest()
    return int.from_bytes(digest, "big") / 2**48


def curves(objective: Objective) -> Script:
    """A script that suits an objective: each configuration has a level and a pace of its own, and improves.

    Metrics and resource are reported under the objective's names; those to be maximised have the opposite sign. No two
    values are equal, and epochs take between 1 and 2 simulated seconds, so that trials overtake each other.
    """
    resource, last_name = objective.resource_attr, objective.max_resource_attr

    def script(start: StartTrial) -> Iterator[Report]:
        config = repr(sorted((name, value) for name, value in start.config.items() if name != last_name))
        told = start.config.get(last_name) if last_name is not None else None
        last = int(told if isinstance(told, int) else objective.max_t or EPOCHS)
        for epoch in range(1, last + 1):
            metrics: dict[str, Any] = {}
            for spec in objective.metrics:
                value = unit("level", config, spec.name) + (1 + unit("noise", config, epoch, spec.name)) / epoch
                metrics[spec.name] = value if spec.mode == "min" else -value
            if resource is not None:
                metrics[resource] = epoch
            yield Report(metrics, 1.0 + int(8 * unit("pace", config)) / 8)

    return script


def adversarial(objective: Objective, seed: int, *, spare: int = 3) -> Script:
    """The same with every fault at once; the first `spare` trials report properly, so that the script works at all."""
    names = [spec.name for spec in objective.metrics]
    if objective.resource_attr is not None:
        names.append(objective.resource_attr)
    return faults.apply(
        curves(objective),
        faults.delayed(seed),
        faults.dropped(seed, 0.1),
        faults.spoiled(seed, names, 0.1, spare),
        faults.garbled(seed),
        faults.duplicated(seed, 0.3),
        faults.stale(seed),
        faults.crashing(seed, 0.2, spare),
        faults.silenced(seed, 0.1, spare),
        faults.lost(seed, 0.2, spare),
    )


class Whimsical:
    """A scheduler that starts, pauses, resumes and stops at random: for histories that no sensible one would cause.

    Its whims follow from the seed and what it has seen, like everybody's.
    """

    def __init__(self, seed: int, config_space: Mapping[str, Any] | None = None) -> None:
        self.space = Space(
            config_space
            or {"lr": loguniform(1e-4, 1.0), "layers": randint(1, 9), "kind": choice(["a, b", 'c"d', "ä\n"])}
        )
        self.objective = Objective.of("loss", nonfinite="worst", resource_attr="epoch", max_t=5)
        self.seed = seed
        self._results = 0

    def observe(self, event: ev.Event, ledger: LedgerView) -> Sequence[Decision]:
        """Decides by lot, sometimes on another trial than the one that reported."""
        if not isinstance(event, ev.TrialResult):
            return ()
        self._results += 1
        rng = generator(self.seed, "whim", self._results)
        others = [view.id for view in ledger.having(Status.RUNNING, Status.PAUSED)]
        lot, other = rng.random(), others[int(rng.integers(len(others)))]
        if lot < 0.1:
            return (Stop(event.trial, "a whim"),)
        if lot < 0.25:
            return (Pause(event.trial, "a whim"),)
        return (Continue(event.trial, "why not"), Stop(other, "envy")) if lot < 0.3 else ()

    def propose(self, request: ProposalRequest, ledger: LedgerView) -> Proposal | None:
        """Resumes or starts by lot, now and then with a donor."""
        rng = request.rng("whim")
        paused = [view.id for view in ledger.having(Status.PAUSED)]
        if paused and (rng.random() < 0.5 or not request.may_start):
            return Resume(trial=paused[int(rng.integers(len(paused)))], why="by lot")
        if not request.may_start:
            return None
        donor = TrialId(int(rng.integers(len(ledger)))) if len(ledger) and rng.random() < 0.2 else None
        config = self.space.from_units(rng.random(self.space.width).tolist())
        return Start(config=config, donor=donor, why="by lot", tags={"lot": float(rng.random())})


def event_history(seed: int, trials: int = 12) -> list[ev.Event]:
    """A legal journal of one experiment in two sessions, with every kind of event in it."""
    criterion = StoppingCriterion(max_num_trials_started=trials)
    scheduler = Whimsical(seed)
    script = adversarial(scheduler.objective, seed)
    first = Rehearsal(scheduler, script, stop_criterion=criterion, max_retries=1)
    while first.step() and len(first.events) < 5 * trials:
        pass
    events = first.events
    if not first.conductor.closed:
        at = first.now
        limits = first.conductor.state.limits
        over = first.conductor.ledger.having(Status.FINISHED, Status.STOPPED, Status.FAILED)
        events = [
            *events,
            ev.PluginFailed(at, "offbeat.reporters", "acme:board", "handle", "OSError: no network"),
            ev.ModelFitted(at, 0, "none", {"weights": [0.5, 1.5]}),
            ev.LimitsChanged(at, limits),
            ev.Instructed(at, "enqueue", TrialId(-1), scheduler.space.default(), "a hunch"),
            *(ev.CheckpointSaved(at, view.id, view.attempt, 1000) for view in over[:2]),
            *(ev.CheckpointDeleted(at, view.id, "no room") for view in over[:1]),
        ]
        second = Rehearsal(
            Whimsical(seed), script, journal=events, stop_criterion=criterion, max_retries=1, n_workers=3
        )
        events = second.run().events
    return events


def histories(trials: int = 12) -> SearchStrategy[list[ev.Event]]:
    """A hypothesis strategy over `event_history`; needs hypothesis."""
    from hypothesis import strategies

    return strategies.integers(0, 2**31 - 1).map(lambda seed: event_history(seed, trials))

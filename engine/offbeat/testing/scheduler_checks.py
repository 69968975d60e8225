"""What every scheduler has to hold to, as plain functions that raise an AssertionError which says what to mend.

`offbeat.testing.scheduler_suite` turns them into a pytest class; without pytest, `check_scheduler(case)` runs them all.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence
from inspect import getattr_static
from typing import Any, Final

import msgspec
import numpy as np

from offbeat import events as ev
from offbeat.decisions import Continue, Nothing, Pause, Resume, Start, Stop
from offbeat.describe import build, describe
from offbeat.errors import OffbeatError
from offbeat.protocols import Objective, ProposalRequest, Scheduler
from offbeat.space import Space
from offbeat.testing import faults
from offbeat.testing.elsewhere import elsewhere
from offbeat.testing.guards import no_clock, no_global_randomness
from offbeat.testing.histories import adversarial, curves
from offbeat.testing.rehearsal import Rehearsal, assert_same, decisions
from offbeat.testing.scheduler_case import Case, ends_properly, folded, ledger_text, probe, refolded, replayed, verdicts
from offbeat.testing.scripted import ScriptedBackend


def check_is_a_scheduler(case: Case) -> None:
    """It has the five members of the protocol, of the right types, and states what it was asked for."""
    scheduler = case.scheduler("max")
    for member in ("objective", "space", "seed", "observe", "propose"):
        assert hasattr(scheduler, member), (
            f"{type(scheduler).__name__} has no {member!r}, see offbeat.protocols.Scheduler"
        )
    assert isinstance(scheduler.objective, Objective), f"objective is {scheduler.objective!r}: use Objective.of(...)"
    assert isinstance(scheduler.space, Space), f"space is {type(scheduler.space).__name__}: use Space.of(config_space)"
    assert type(scheduler.seed) is int, f"seed is {scheduler.seed!r}: keep an int, chosen by you if None was passed"
    names = [case.metric] if isinstance(case.metric, str) else list(case.metric)
    stated = [(spec.name, spec.mode) for spec in scheduler.objective.optimised]
    assert stated == [(name, "max") for name in names], f"the objective is {stated}, but metric={names}, mode='max'"
    assert scheduler.space.domains == Space.of(dict(case.config_space)).domains, "space is not the one that was passed"
    assert scheduler.seed == case.seed, f"random_seed={case.seed} was passed, seed is {scheduler.seed}"
    version = getattr_static(type(scheduler), "api_version", 1)
    assert version == 1, f"api_version is {version!r}; this offbeat has 1"


def check_answers_are_typed_and_in_the_space(case: Case) -> None:
    """`observe` answers Continue, Stop, Pause on results, `propose` Start, Resume, Nothing, None; configs lie in the space."""
    run = case.rehearsal().run()
    for event, given in run.scheduler.decided:
        assert all(isinstance(one, Continue | Stop | Pause) for one in given), f"observe({event}) answered {given!r}"
    for request, proposal in run.scheduler.proposed:
        assert proposal is None or isinstance(proposal, Start | Resume | Nothing), (
            f"propose({request}) answered {proposal!r}"
        )
        if isinstance(proposal, Start):
            run.scheduler.space.validate(proposal.config)
            msgspec.json.encode((proposal.config, proposal.tags))


def check_repeats(case: Case) -> None:
    """Same seed and same history: same proposals and decisions."""
    first, second = (decisions(case.rehearsal().run().events) for _ in range(2))
    assert_same(first, second, "two runs with the same seed differ; take randomness from request.rng(purpose) alone")


def check_replay_rebuilds_the_state(case: Case, stride: int = 1) -> None:
    """After every prefix of a run, reading the journal gives the scheduler that lived through it: same next proposals.

    Also shows that `propose` changes nothing: one of the two is asked after every event, the other only once. With a
    stride, that is done after every n-th event and after the last one.
    """
    events = case.rehearsal(adversarial(case.scheduler().objective, case.seed), max_retries=1).run().events
    asked = case.scheduler()
    for count, (_, state) in enumerate(replayed(asked, events), 1):
        if count % stride and count < len(events):
            continue
        kept = ledger_text(state.ledger)
        for number in (state.next_number, state.next_number + 5):
            first, again = probe(asked, state, number), probe(asked, state, number)
            assert first == again, (
                f"propose(number={number}) answered {first}, and asked again {again}: it changes state"
            )
        assert ledger_text(state.ledger) == kept, "propose changed the ledger, which it may only read"
        fresh = case.scheduler()
        rebuilt = refolded(fresh, events[:count])[1]
        other = probe(fresh, rebuilt, number)
        assert first == other, (
            f"after event {count - 1} ({events[count - 1]}) the scheduler that was asked before proposes {first}, one "
            f"that was rebuilt from the journal {other}: change state in observe alone, and all of it from events"
        )


def check_survives_a_crash_at_every_event(case: Case, stride: int = 1) -> None:
    """Broken off after any event and taken up by a fresh object, the run goes on as if nothing had happened."""
    whole = case.rehearsal().run().events
    expected = decisions(whole)
    for count in range(1, len(whole), stride):
        events = case.rehearsal(journal=whole[:count]).run().events
        assert_same(expected, decisions(events), f"the run was broken off after event {count - 1} and resumed")


def check_survives_a_crash_that_loses_trials(case: Case, stride: int = 5) -> None:
    """The same where the running trials are lost in the crash: the run ends properly, within its limits."""
    objective = case.scheduler().objective
    whole = case.rehearsal().run().events
    for count in range(1, len(whole), stride):
        backend = ScriptedBackend(curves(objective), adopts=False)
        ends_properly(case, case.rehearsal(backend, journal=whole[:count]).run())


def check_late_double_and_shuffled_reports_change_nothing(case: Case) -> None:
    """Copies, stragglers and leftovers of earlier attempts are the engine's business; decisions stay as they were."""
    base = faults.apply(curves(case.scheduler().objective), faults.bursts(2))
    for n_workers, operators in (
        (case.n_workers, (faults.duplicated(1), faults.stale(1))),
        (case.n_workers, (faults.duplicated(2, 0.7),)),
        # Two results that become known in one turn cause one request, not two; one worker asks for none between them.
        (1, (faults.shuffled(1),)),
        (1, (faults.shuffled(2), faults.duplicated(2), faults.stale(2))),
    ):
        clean, noisy = (
            decisions(case.rehearsal(script, n_workers=n_workers).run().events)
            for script in (base, faults.apply(base, *operators))
        )
        assert_same(clean, noisy, "reports came doubled, in disorder or late")


def check_lives_with_failures(case: Case) -> None:
    """Failing, silent, lost trials and unusable values: results shown are clean, the run uses its budget and ends."""
    objective = case.scheduler().objective
    for seed in range(5):
        run = case.rehearsal(adversarial(objective, seed, spare=case.n_workers), max_retries=seed % 2)
        for event, _ in ends_properly(case, run.run()).scheduler.decided:
            if isinstance(event, ev.TrialResult):
                numbers = [event.metrics[spec.name] for spec in objective.metrics]
                assert np.isfinite(numbers).all(), f"{event} was shown to the scheduler"


def check_lives_when_every_trial_fails(case: Case) -> None:
    """After the first trials nothing ever works again: no deadlock, no error of the scheduler's."""
    script = faults.crashing(1, 1.0, case.n_workers)(curves(case.scheduler().objective))
    ends_properly(case, case.rehearsal(script).run())


def check_obeys_limits(case: Case) -> None:
    """Once `request.may_start` is False, `propose` answers Resume or None."""
    run = ends_properly(case, case.rehearsal().run())
    wrong = [one for one in run.scheduler.proposed if isinstance(one[1], Start) and not one[0].may_start]
    assert not wrong, f"propose answered a Start although request.may_start is False: {wrong[0]}"
    for event_count in range(1, len(run.events), 7):
        watched, state = refolded(case.scheduler(), run.events[:event_count])
        given = watched.propose(ProposalRequest(999, 0, case.seed, may_start=False), state.ledger)
        assert given is None or isinstance(given, Resume | Nothing), f"propose(may_start=False) answered {given}"


def check_works_in_batches(case: Case) -> None:
    """With synchronous scheduling, and with one worker, runs end properly too."""
    ends_properly(case, case.rehearsal(asynchronous=False).run())
    ends_properly(case, case.rehearsal(n_workers=1).run())


def check_exhausts_a_small_space(case: Case) -> None:
    """No configuration comes twice; when a finite space is used up, the run ends by itself."""
    assert case.small_space is not None
    scheduler = case.scheduler(space=case.small_space)
    run = case.rehearsal(scheduler=scheduler, stop_criterion=None).run()
    keys = [
        scheduler.space.key(e.config or {}) for e in run.events if isinstance(e, ev.Suggested) and e.kind == "start"
    ]
    twice = [key for key in set(keys) if keys.count(key) > 1]
    assert not twice, f"configuration {twice[0]} was proposed twice (set allows_duplicates = True if that is meant)"


def check_ignores_what_is_not_its_business(case: Case) -> None:
    """Decisions depend neither on recorded verdicts nor on trials' numbers, other metrics, their order, or times."""
    events = case.rehearsal().run().events
    expected = folded(case.scheduler(), events)
    assert_same(
        expected,
        _with_verdicts(case.scheduler(), events),
        "decisions change when recorded verdicts are shown: do not read verdict, why or others",
    )
    disordered = folded(case.scheduler(), [_disordered(event) for event in events])
    assert_same(expected, disordered, "decisions depend on other metrics or on the order of names in event.metrics")
    later = [msgspec.structs.replace(event, at=event.at * 1000 + 1e6) for event in events]
    assert_same(expected, folded(case.scheduler(), later), "decisions depend on event.at")
    renumbered = folded(case.scheduler(), [_renumbered(event) for event in events])
    back = [
        ((trial - 100) // 3, resource, tuple(_original(one) for one in given)) for trial, resource, given in renumbered
    ]
    assert_same(expected, back, "decisions depend on the numbers of trials beyond their order")


def _with_verdicts(scheduler: Scheduler, events: Iterable[ev.Event]) -> list[Any]:
    run = Rehearsal(scheduler, lambda start: ())
    state = run.conductor.state
    for event in events:
        if isinstance(event, ev.TrialResult):
            state.ledger.count(event)
            if event.verdict not in ("late", "repeat"):
                run.scheduler.observe(event, state.ledger)
            state.ledger.decide(event)
        else:
            state.fold(event)
    return verdicts(run.scheduler)


def _disordered(event: ev.Event) -> ev.Event:
    if not isinstance(event, ev.TrialResult):
        return event
    return msgspec.structs.replace(event, metrics={"zz": -1.0, **dict(reversed(event.metrics.items())), "aa": 1e9})


def _renumbered(event: ev.Event) -> ev.Event:
    changes: dict[str, Any] = {}
    for name in ("trial", "donor"):
        number = getattr(event, name, None)
        if number is not None and number >= 0:
            changes[name] = 3 * number + 100
    if isinstance(event, ev.TrialResult):
        changes["others"] = tuple((3 * trial + 100, what, why) for trial, what, why in event.others)
    return msgspec.structs.replace(event, **changes) if changes else event


def _original(decision: Any) -> Any:
    return msgspec.structs.replace(decision, trial=(decision.trial - 100) // 3)


def check_mirrors(case: Case) -> None:
    """mode="max" on the same values with the opposite sign does what mode="min" does."""
    down = case.rehearsal().run().events
    up = case.rehearsal(scheduler=case.scheduler("max")).run().events
    assert_same(_unspoken(down), _unspoken(up), 'mode="max" on mirrored values decides otherwise than mode="min"')


def _unspoken(events: Iterable[ev.Event]) -> list[Any]:
    return [one[:4] if one[0] == "result" else one[:-1] for one in decisions(events)]


def check_reads_no_global_state(case: Case) -> None:
    """The global generators of `random` and NumPy are not touched and do not matter; the clock is not read."""
    found = []
    for seed in (1, 2):
        kept = random.getstate(), np.random.get_state()
        random.seed(seed)
        np.random.seed(seed)
        try:
            with no_global_randomness(), no_clock():
                found.append(decisions(case.rehearsal().run().events))
        finally:
            random.setstate(kept[0])
            np.random.set_state(kept[1])
    assert_same(found[0], found[1], "the run depends on random.seed or numpy.random.seed; use request.rng(purpose)")


def check_describes_itself(case: Case) -> str:
    """Built again from the journal's description it does the same, in another process with other hashes too.

    Answers why it is not describable, "" if it is.
    """
    scheduler = case.scheduler()
    description = describe(scheduler, "offbeat.schedulers")
    if description.options is None:
        return (
            f"{description.name} is not described in the journal and has to be passed again on resume: put @described "
            "on it, declare it as an entry point, and take only JSON, domains and described components as arguments"
        )
    expected = decisions(case.rehearsal(scheduler=scheduler).run().events)
    text = msgspec.json.encode(description)
    try:
        again = build(msgspec.json.decode(text, type=ev.ComponentDescription))
    except OffbeatError as error:
        raise AssertionError(f"the description {text.decode()} does not build the scheduler again: {error}") from error
    found = decisions(case.rehearsal(scheduler=again).run().events)
    assert_same(expected, found, "the scheduler that was built from its description decides otherwise")
    found = elsewhere(description, case.trials, case.n_workers)
    plain = msgspec.json.decode(msgspec.json.encode(expected))
    assert_same(plain, found, "in a process with another PYTHONHASHSEED it decides otherwise; do not iterate over sets")
    return ""


CHECKS: Final[Sequence[Callable[[Case], Any]]] = (
    check_is_a_scheduler,
    check_answers_are_typed_and_in_the_space,
    check_repeats,
    check_replay_rebuilds_the_state,
    check_survives_a_crash_at_every_event,
    check_survives_a_crash_that_loses_trials,
    check_late_double_and_shuffled_reports_change_nothing,
    check_lives_with_failures,
    check_lives_when_every_trial_fails,
    check_obeys_limits,
    check_works_in_batches,
    check_exhausts_a_small_space,
    check_ignores_what_is_not_its_business,
    check_mirrors,
    check_reads_no_global_state,
    check_describes_itself,
)


def check_scheduler(case: Case) -> None:
    """All checks that the case does not rule out. Raises AssertionError."""
    for check in CHECKS:
        if not ruled_out(case, check.__name__):
            check(case)


def ruled_out(case: Case, check: str) -> str:
    """Why a check does not apply to a case; "" if it does."""
    if check == "check_mirrors" and not case.mirrors:
        return "mirrors = False"
    if check == "check_exhausts_a_small_space" and (case.allows_duplicates or case.small_space is None):
        return "allows_duplicates = True, or no small_space"
    return ""

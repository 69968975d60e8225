"""What holds for the rule of every method that compares trials: ids, ties, the order of arrival; and references of rungs."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from offbeat import StoppingCriterion
from offbeat import events as ev
from offbeat.config_space import randint, uniform
from offbeat.decisions import Resume, Start
from offbeat.events import TrialFailed
from offbeat.optimizer.baselines import ASHA, PASHA
from offbeat.protocols import ProposalRequest
from offbeat.testing.histories import adversarial, curves
from offbeat.testing.rehearsal import Rehearsal, answered
from offbeat.testing.scripted import Report
from offbeat.trial import TrialId
from offbeat_plugins.schedulers.soft_ranking import agree, noise

SPACE: dict[str, Any] = {"rate": uniform(0, 1), "layers": randint(1, 1000), "epochs": 9}


def rehearsed(method: Any, script: Any, trials: int) -> Rehearsal:
    scheduler = method.make(SPACE)
    chosen = script(scheduler.objective)
    return Rehearsal(scheduler, chosen, stop_criterion=StoppingCriterion(max_num_trials_started=trials)).run()


# --- ids


def renamed(event: ev.Event, names: Sequence[int]) -> ev.Event:
    changes: dict[str, Any] = {}
    for name in ("trial", "donor"):
        number = getattr(event, name, None)
        if number is not None and number >= 0:
            changes[name] = TrialId(names[number])
    if isinstance(event, ev.Suggested) and "parent" in event.tags:
        changes["tags"] = {**event.tags, "parent": names[event.tags["parent"]]}
    return msgspec.structs.replace(event, **changes) if changes else event


def read_to(scheduler: Any, events: Sequence[ev.Event]) -> tuple[list[Any], list[Any]]:
    """What a scheduler decides as these events are read to it, and what it would propose then."""
    run = Rehearsal(scheduler, lambda start: ())
    state = run.conductor.state
    for event in events:
        state.fold(event)
    results = [(e.trial, given) for e, given in run.scheduler.decided if isinstance(e, ev.TrialResult)]
    requests = [ProposalRequest(900 + i, 0, scheduler.seed, may_start) for i, may_start in enumerate((True, False))]
    return results, [answered(scheduler.propose(request, state.ledger)) for request in requests]


def test_decisions_and_proposals_permute_with_the_ids_of_trials(method: Any) -> None:
    """With names that are not in the order in which the trials began."""
    events = rehearsed(method, lambda objective: adversarial(objective, 5), 8 if method.model else 24).events
    dice = random.Random(1)
    for part in (len(events) // 2, 3 * len(events) // 4, len(events)):
        expected, proposed = read_to(method.make(SPACE), events[:part])
        names = dice.sample(range(40), 40)
        found, other = read_to(method.make(SPACE), [renamed(event, names) for event in events[:part]])
        assert found == [
            (names[trial], tuple(msgspec.structs.replace(one, trial=names[one.trial]) for one in given))
            for trial, given in expected
        ]
        for one, two in zip(proposed, other, strict=True):
            assert type(one) is type(two)
            if isinstance(one, Resume):
                assert (names[one.trial], one.until) == (two.trial, two.until)
            elif isinstance(one, Start):
                donor = None if one.donor is None else names[one.donor]
                assert (one.config, one.until, donor) == (two.config, two.until, two.donor)


# --- ties


def equal(objective: Any) -> Any:
    proper = curves(objective)

    def script(start: Any) -> Any:
        for step in proper(start):
            yield Report({**step.metrics, "loss": 1.0}, step.seconds)

    return script


def test_among_equals_nobody_is_stopped_and_whoever_came_first_goes_on(method: Any) -> None:
    run = rehearsed(method, equal, 8 if method.model else 24)
    ledger = run.conductor.ledger
    if method.kind in ("stopping", "median", "population"):
        assert {record.resource for record in ledger} == {9}
        return
    # At each level those are resumed who came there first; of a synchronous rung, those of the first slots.
    arrived: dict[int, list[int]] = {}
    resumed: dict[int, list[int]] = {}
    level: dict[int, int] = {}
    for event in run.events:
        if isinstance(event, ev.TrialResult) and event.verdict == "pause":
            level[event.trial] = event.resource
            arrived.setdefault(event.resource, []).append(event.trial)
        elif isinstance(event, ev.Suggested) and event.kind == "resume":
            resumed.setdefault(level[event.trial], []).append(event.trial)
    assert resumed
    for at, trials in resumed.items():
        if method.kind == "promotion":
            assert trials == arrived[at][: len(trials)]
            continue
        for bracket in {ledger[TrialId(trial)].tags["bracket"] for trial in trials}:
            own, there = (
                [trial for trial in some if ledger[TrialId(trial)].tags["bracket"] == bracket]
                for some in (trials, arrived[at])
            )
            assert own == sorted(own)
            assert own[0] == min(there)


# --- the order of arrival


VALUES = (3.0, 5.0, 1.0, 4.0, 9.0, 6.0, 2.0, 7.0, 8.0)


@settings(max_examples=10)
@given(orders=st.lists(st.permutations(range(9)), min_size=2, max_size=2))
def test_who_goes_on_does_not_depend_on_the_order_of_arrival(
    bracket_game: Any, rung_method: Any, orders: list[list[int]]
) -> None:
    found = []
    for order in orders:
        play = bracket_game(lambda space, metric, mode, **o: rung_method.make(space, metric, mode=mode, **o))
        for _ in range(9):
            play.ask()
        if rung_method.kind == "stopping":
            for trial in order[:8] if 8 not in order[:8] else [one for one in order if one != 8]:
                play.report(trial, 1, VALUES[trial])
            found.append([play.report(8, 1, VALUES[8])])
            continue
        for trial in order:
            play.report(trial, 1, VALUES[trial])
        answers = []
        while (answer := play.ask(may_start=False)) != "-":
            answers.append(answer)
        found.append(answers)
    assert found[0] == found[1] != []


# --- references of the rungs of promotion, in NumPy on plain lists


class Reference:
    """ASHA's promotion, and PASHA's with a limit: rows of (value, arrival, trial) by level."""

    def __init__(self, levels: Sequence[int], max_t: int, rule: str, limit: int) -> None:
        self.levels, self.tops, self.rule, self.limit = levels, [*levels[1:], max_t], rule, limit
        self.rows: dict[int, list[tuple[float, int, int]]] = {level: [] for level in levels}
        self.waiting: dict[int, int] = {}

    def arrive(self, trial: int, level: int, value: float) -> None:
        self.rows[level].append((value, sum(map(len, self.rows.values())), trial))
        self.waiting[trial] = level

    def promoted(self) -> tuple[int, int] | None:
        """The trial that is to be resumed, and up to where."""
        for level, above in reversed(list(zip(self.levels, self.tops, strict=True))):
            rows = sorted(self.rows[level])
            if above > self.limit or not rows:
                continue
            if self.rule == "paper":
                good = rows[: len(rows) * level // above]
            else:
                cut = np.quantile([value for value, _, _ in rows], level / above)
                good = [row for row in rows if row[0] <= cut] if len(rows) > 1 else []
            for _, _, trial in good:
                if self.waiting.get(trial) == level:
                    return trial, above
        return None


@settings(max_examples=60)
@given(seed=st.integers(0, 10_000), rule=st.sampled_from(["quantile", "paper"]), method=st.sampled_from([ASHA, PASHA]))
def test_promotions_are_those_of_the_reference(bracket_game: Any, seed: int, rule: str, method: Any) -> None:
    rng = np.random.default_rng(seed)
    options = {"type": "promotion"} if method is ASHA else {}
    play = bracket_game(method, max_t=27, rule=rule, random_seed=seed, **options)
    reference = Reference((1, 3, 9), 27, rule, 27 if method is ASHA else 3)
    curves_so_far: dict[int, dict[int, float]] = {}
    running: dict[int, int] = {}
    resumptions = 0
    for _ in range(150):
        if len(running) < 3:
            answer = play.ask()
            trial, level = map(int, answer.lstrip("+").split("@"))
            expected = reference.promoted()
            assert answer == (f"+{len(play.ledger) - 1}@1" if expected is None else "{}@{}".format(*expected))
            resumptions += expected is not None
            reference.waiting.pop(trial, None)
            running[trial] = level
            continue
        trial = sorted(running)[rng.integers(len(running))]
        level = running.pop(trial)
        if rng.random() < 0.1:
            play.end(trial, TrialFailed, "exit status 1")
            continue
        # Curves that are parallel but for a little noise, with ties.
        value = float(trial % 7 + rng.integers(0, 3)) / level
        verdict = play.report(trial, level, value)
        curves_so_far.setdefault(trial, {})[level] = value
        assert verdict == ("S" if level == 27 else "P")
        if level == 27:
            continue
        reference.arrive(trial, level, value)
        places = {1: 0, 3: 1, 9: 2, 27: 3}
        place = places[reference.limit]
        if method is PASHA and place < 3:
            above, below = (
                {t: v for v, _, t in sorted(reference.rows[reference.levels[k]])} for k in (place, place - 1)
            )
            both = [trial for trial in below if trial in above]
            tops, previous = [above[t] for t in both], [below[t] for t in both]
            if not agree(tops, previous, noise([curves_so_far[t] for t in both])):
                reference.limit = reference.tops[place]
    assert resumptions > 5


@given(st.lists(st.integers(-3, 3), max_size=40), st.sampled_from([2, 3, 4]))
def test_the_papers_rule_of_stopping_is_the_references(values: list[int], eta: int) -> None:
    """Of n entries the best floor(n / eta) go on; nobody is judged while that is none; equals of the worst of them are not
    better than it, and go on."""
    from offbeat.trial import Ledger

    options: dict[str, Any] = {"resource_attr": "epoch", "max_t": eta, "rule": "paper", "reduction_factor": eta}
    scheduler, ledger = ASHA(SPACE, "loss", **options), Ledger("loss")
    entries: list[int] = []
    for number, value in enumerate(values):
        trial = TrialId(number)
        for event in (
            ev.Suggested(0.0, number, "start", trial, {"rate": 0.5, "layers": 1}, tags={"bracket": 0}),
            ev.TrialStarted(0.0, trial, 0, number),
        ):
            ledger.apply(event)
            scheduler.observe(event, ledger)
        (decision,) = scheduler.observe(ev.TrialResult(0.0, trial, 0, 0, 1, {"loss": float(value)}), ledger)
        entries.append(value)
        allowed = len(entries) // eta
        goes_on = allowed == 0 or sum(one < value for one in entries) < allowed
        assert type(decision).__name__ == ("Continue" if goes_on else "Stop")


@pytest.mark.parametrize("workers", [1, 3, 20])
def test_no_worker_is_idle_while_another_bracket_can_be_served(lab: Any, rung_method: Any, workers: int) -> None:
    """Every free worker has a trial at once, whoever is waited for."""
    if rung_method.model and workers == 20:
        pytest.skip("as with 3 workers, and slow")
    game = lab.Game(rung_method.make(SPACE), n_workers=workers).begin()
    dice = random.Random(workers)
    for turn in range(40 if rung_method.model else 200):
        assert len(game.ledger.slots) == workers, turn
        record = game.ledger[dice.choice(list(game.ledger.slots.values()))]
        if record.status.value in ("stopping", "pausing"):
            game.end(record.id, "ended")
        elif record.resource >= (record.until or 9):
            game.end(record.id, "finished")
        elif dice.random() < 0.03:
            game.end(record.id, "failed")
        else:
            game.report(record.id, record.resource + 1, loss=dice.random())

"""ASHA against golden sequences, an independent NumPy reference, and the rules that hold for every method."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from offbeat.arguments import UnknownArgument
from offbeat.config_space import choice, randint, uniform
from offbeat.decisions import Continue, Decision, Fitted, Pause, Resume, Start, Stop
from offbeat.describe import build, describe
from offbeat.errors import InvalidArgument, UnknownPlugin
from offbeat.events import (
    Event,
    Limits,
    LimitsChanged,
    Suggested,
    TrialFailed,
    TrialFinished,
    TrialLost,
    TrialPaused,
    TrialResult,
    TrialResumed,
    TrialStarted,
    TrialStopped,
)
from offbeat.protocols import LedgerView, ProposalRequest, Scheduler, SchedulerContext, Searcher
from offbeat.trial import Ledger, Status, TrialId
from offbeat_plugins.schedulers.asha import ASHA, ordinal
from offbeat_plugins.schedulers.random_search import RandomSearch

SPACE: dict[str, Any] = {"lr": uniform(0, 1), "layers": randint(1, 1000)}


class Play:
    """The engine in miniature: applies events to a ledger, shows them to the scheduler, carries decisions out."""

    def __init__(self, scheduler: Any, mode: str = "min") -> None:
        self.scheduler = scheduler
        self.ledger = Ledger("loss", minimise=mode == "min")
        self.events: list[Event] = []
        self.number = 0
        self.why = ""

    def show(self, event: Event) -> Sequence[Decision]:
        self.events.append(event)
        if isinstance(event, TrialResult):
            self.ledger.count(event)
        else:
            self.ledger.apply(event)
        return self.scheduler.observe(event, self.ledger)

    def ask(self, may_start: bool = True) -> Start | Resume | None:
        request = ProposalRequest(self.number, 0, 7, may_start)
        proposal = self.scheduler.propose(request, self.ledger)
        assert proposal == self.scheduler.propose(request, self.ledger), "a proposal changes nothing"
        self.number += 1
        if isinstance(proposal, Start):
            trial = TrialId(len(self.ledger))
            self.start(trial, proposal.config, proposal.until, proposal.tags)
        elif isinstance(proposal, Resume):
            trial = proposal.trial
            self.show(Suggested(0.0, self.number, "resume", trial, None, proposal.until, None, proposal.why))
            self.show(TrialResumed(0.0, trial, self.ledger[trial].attempt + 1, len(self.ledger.slots)))
        else:
            self.show(Suggested(0.0, self.number, "nothing"))
        return proposal

    def start(self, trial: int, config: Any = None, until: int | None = None, tags: Any = None) -> None:
        config = config or {"lr": 0.1, "layers": 5}
        self.show(Suggested(0.0, self.number, "start", TrialId(trial), config, until, None, "", tags or {"bracket": 0}))
        self.show(TrialStarted(0.0, TrialId(trial), 0, trial))

    def report(self, trial: int, resource: int, loss: float) -> str:
        record = self.ledger[TrialId(trial)]
        event = TrialResult(0.0, TrialId(trial), record.attempt, record.next_seq, resource, {"loss": loss})
        decisions = self.show(event)
        assert len(decisions) <= 1
        if not decisions:
            return "-"
        assert decisions[0].trial == trial
        self.why = decisions[0].why
        if isinstance(decisions[0], Stop):
            self.ledger[TrialId(trial)].move("stop")
            self.show(TrialStopped(0.0, TrialId(trial), record.attempt))
            return "S"
        if isinstance(decisions[0], Pause):
            self.ledger[TrialId(trial)].move("pause")
            self.show(TrialPaused(0.0, TrialId(trial), record.attempt))
            return "P"
        return "C"

    def end(self, trial: int, kind: Callable[..., Event], *rest: Any) -> None:
        self.show(kind(0.0, TrialId(trial), self.ledger[TrialId(trial)].attempt, *rest))

    def status(self, trial: int) -> Status:
        return self.ledger[TrialId(trial)].status


def asha(mode: Any = "min", **options: Any) -> ASHA:
    defaults: dict[str, Any] = {
        "resource_attr": "epoch", "max_t": 9, "random_seed": 7, "points_to_evaluate": [],
    }  # fmt: skip
    return ASHA(SPACE, "loss", mode, **{**defaults, **options})


def verdicts(scheduler: ASHA, level: int, values: Sequence[float], ids: Sequence[int] | None = None) -> str:
    play = Play(scheduler)
    order = ids or range(len(values))
    for trial in order:
        play.start(trial)
    return "".join(play.report(trial, level, value) for trial, value in zip(order, values, strict=True))


# --- golden sequences

ARRIVALS = (5, 4, 6, 4, 3, 3.5, 2, 9, 1, 2)


@pytest.mark.parametrize(("mode", "expected"), [("min", "CCSCCCCSCC"), ("max", "CSCSSSSCSS")])
def test_golden_sequence_at_one_rung(mode: str, expected: str) -> None:
    assert verdicts(asha(mode, max_t=3), 1, ARRIVALS) == expected


def test_golden_sequence_with_a_grace_period() -> None:
    scheduler = asha(grace_period=3, max_t=27)
    play = Play(scheduler)
    for trial, value in enumerate((1.0, 0.9, 0.8)):
        play.start(trial)
        assert play.report(trial, 1, value) == "-"
        assert play.report(trial, 2, value) == "-"
        assert play.report(trial, 3, value) == "C"
    play.start(3)
    assert play.report(3, 3, 1.2) == "S"
    assert play.why == "rung 3: 4th of 4, cut at 2"


def test_the_papers_rule_judges_nothing_before_eta_entries() -> None:
    assert verdicts(asha(rule="paper", max_t=3), 1, (5, 6, 7, 4, 5, 4, 3)) == "CCSCSCC"


def test_reasons_name_rung_rank_and_cut() -> None:
    play = Play(asha(max_t=3))
    for trial in range(5):
        play.start(trial)
    play.report(0, 1, 5.0)
    assert play.why == "rung 1: 1st of 1, too few to judge"
    play.report(1, 1, 5.0)
    assert play.why == "rung 1: 1st of 2, cut at 2"
    play.report(2, 1, 6.0)
    assert play.why == "rung 1: 3rd of 3, cut at 2"
    assert [ordinal(n) for n in (1, 2, 3, 4, 11, 12, 13, 21, 102, 111)] == [
        "1st", "2nd", "3rd", "4th", "11th", "12th", "13th", "21st", "102nd", "111th",
    ]  # fmt: skip


def test_max_t_ends_a_trial_whatever_its_value() -> None:
    play = Play(asha(max_t=3))
    play.start(0)
    assert play.report(0, 1, 1.0) == "C"
    assert play.report(0, 2, 1.0) == "-"
    assert play.report(0, 3, 0.0) == "S"
    assert play.why == "reached max_t"


def test_promotion_golden_two_entries_promote_one() -> None:
    play = Play(asha(type="promotion", max_t=9))
    assert isinstance(first := play.ask(), Start)
    assert first.until == 1
    assert play.report(0, 1, 5.0) == "P"
    assert isinstance(play.ask(), Start), "one entry alone is not promoted"
    assert play.report(1, 1, 4.0) == "P"
    promoted = play.ask()
    assert isinstance(promoted, Resume)
    assert (promoted.trial, promoted.until, promoted.why) == (1, 3, "rung 1: 1st of 2, cut at 1")
    assert isinstance(play.ask(), Start), "the next best does not meet the cut"
    assert play.report(1, 2, 3.0) == "-"
    assert play.report(1, 3, 3.0) == "P"


def test_promotion_by_the_papers_rule_needs_eta_entries() -> None:
    play = Play(asha(type="promotion", rule="paper", max_t=9))
    for trial, value in enumerate((3.0, 2.0)):
        assert isinstance(play.ask(), Start)
        play.report(trial, 1, value)
    assert isinstance(play.ask(), Start)
    play.report(2, 1, 4.0)
    promoted = play.ask()
    assert isinstance(promoted, Resume)
    assert promoted.trial == 1
    assert isinstance(play.ask(), Start)


def test_promotion_prefers_the_highest_rung() -> None:
    play = Play(asha(type="promotion", max_t=27))
    for trial in range(4):
        play.start(trial)
    for trial, level in ((0, 1), (1, 3), (2, 3), (3, 1)):
        play.report(trial, level, float(trial))
    untils = [play.ask(may_start=False).until for _ in range(2)]  # type: ignore[union-attr]
    assert untils == [9, 3]


def test_promotion_of_many_trials_ends_at_max_t() -> None:
    play = Play(asha(type="promotion", max_t=9))
    trials = 0
    seen: list[tuple[int, int | None]] = []
    for _ in range(60):
        proposal = play.ask()
        trial = trials if isinstance(proposal, Start) else proposal.trial  # type: ignore[union-attr]
        trials += isinstance(proposal, Start)
        assert proposal is not None
        seen.append((trial, proposal.until))
        play.report(trial, proposal.until or 0, float(trial % 7))
    at_top = [trial for trial, until in seen if until == 9]
    assert at_top
    assert all(play.status(trial) is Status.STOPPED for trial in at_top)
    # Two entries at rung 3 promote one at the very next request.
    threes = [i for i, (_, until) in enumerate(seen) if until == 3]
    assert seen[threes[1] + 1][1] == 9


# --- an independent reference: the whole rule in NumPy, on a plain list of (trial, level, value)


def reference(levels: Sequence[int], max_t: int, reports: Sequence[tuple[int, int, float]], sign: int) -> str:
    recorded: dict[int, list[float]] = {level: [] for level in levels}
    done: dict[int, int] = {}
    gone: set[int] = set()
    answers = ""
    for trial, resource, value in reports:
        passed = [level for level in levels if done.get(trial, 0) < level <= resource]
        if trial in gone or not (passed or resource >= max_t):
            answers += "x" if trial in gone else "-"
            continue
        good = True
        if passed:
            done[trial] = passed[-1]
            rung = recorded[passed[-1]]
            rung.append(sign * value)
            following = [*levels, max_t][levels.index(passed[-1]) + 1]
            good = len(rung) < 2 or bool(rung[-1] <= np.quantile(rung, passed[-1] / following))
        good = good and resource < max_t
        gone |= set() if good else {trial}
        answers += "C" if good else "S"
    return answers


@st.composite
def runs(draw: st.DrawFn) -> list[tuple[int, int, float]]:
    """Reports of up to 12 trials, interleaved, with gaps, ties and max_t = 10."""
    steps = draw(st.lists(st.tuples(st.integers(0, 11), st.integers(1, 4), st.integers(-3, 3)), max_size=60))
    at: Counter[int] = Counter()
    reports = []
    for trial, gap, value in steps:
        if at[trial] < 10:
            at[trial] = min(10, at[trial] + gap)
            reports.append((trial, at[trial], value / 3))
    return reports


def replayed(scheduler: ASHA, reports: Sequence[tuple[int, int, float]], rename: Callable[[int], int]) -> str:
    play = Play(scheduler)
    answers = ""
    for trial, resource, value in reports:
        own = rename(trial)
        if own not in play.ledger.trials:
            play.start(own)
        answers += "x" if play.status(own) is not Status.RUNNING else play.report(own, resource, value)
    return answers


@given(runs())
def test_stopping_equals_the_numpy_reference(reports: list[tuple[int, int, float]]) -> None:
    expected = reference((1, 3, 9), 10, reports, 1)
    assert replayed(asha(max_t=10), reports, lambda t: t) == expected


@given(runs())
def test_max_mirrors_min(reports: list[tuple[int, int, float]]) -> None:
    mirrored = [(trial, resource, -value) for trial, resource, value in reports]
    for options in ({}, {"rule": "paper"}, {"type": "promotion"}, {"type": "promotion", "rule": "paper"}):
        straight = replayed(asha("min", max_t=10, **options), reports, lambda t: t)
        assert replayed(asha("max", max_t=10, **options), mirrored, lambda t: t) == straight


@given(runs(), st.permutations(range(12)))
def test_decisions_do_not_depend_on_ids(reports: list[tuple[int, int, float]], ids: list[int]) -> None:
    for options in ({}, {"rule": "paper"}):
        plain = replayed(asha(max_t=10, **options), reports, lambda t: t)
        assert replayed(asha(max_t=10, **options), reports, lambda t: ids[t]) == plain


@given(st.permutations(range(9)), st.permutations(range(9)))
def test_promotions_permute_with_ids_and_break_ties_by_arrival(ids: list[int], ranks: list[int]) -> None:
    def promoted(rename: Callable[[int], int], rule: str) -> list[int]:
        play = Play(asha(type="promotion", rule=rule, max_t=9))
        for trial in range(9):
            play.start(rename(trial))
        for trial in range(9):
            play.report(rename(trial), 1, float(ranks[trial] // 2))
        found = []
        while isinstance(proposal := play.ask(may_start=False), Resume):
            found.append(int(proposal.trial))
        return found

    for rule in ("quantile", "paper"):
        plain = promoted(lambda t: t, rule)
        assert promoted(lambda t: ids[t], rule) == [ids[t] for t in plain]
        assert plain == sorted(plain, key=lambda t: (ranks[t] // 2, t))
        assert len(plain) == 3 if rule == "paper" else len(plain) >= 3


@given(st.permutations(range(8)))
def test_the_order_of_arrival_does_not_matter_to_the_next_one(order: list[int]) -> None:
    for newcomer, expected in ((2.0, "C"), (2.5, "S")):
        play = Play(asha(max_t=3))
        for trial in range(9):
            play.start(trial)
        for trial in order:
            play.report(trial, 1, float(trial))
        assert play.report(8, 1, newcomer) == expected


# --- sparse reports


def test_a_sparse_report_counts_at_the_highest_rung_passed_only() -> None:
    scheduler = asha(max_t=100)
    play = Play(scheduler)
    play.start(0)
    assert play.report(0, 5, 1.0) == "C"
    assert play.report(0, 8, 0.9) == "-"
    assert play.report(0, 30, 0.5) == "C"
    filled = {row["level"]: row["entries"] for row in scheduler.rung_table()}
    assert filled == {1: [], 3: [(1.0, 0)], 9: [], 27: [(0.5, 0)], 81: []}
    assert play.report(0, 100, 0.4) == "S"
    assert {row["level"]: row["entries"] for row in scheduler.rung_table()}[81] == [(0.4, 0)]


def test_a_sparse_report_moves_a_paused_trial_past_the_rungs_it_skipped() -> None:
    play = Play(asha(type="promotion", max_t=27))
    for trial in (0, 1):
        play.ask()
        assert play.report(trial, 4, float(trial)) == "P"
    proposal = play.ask()
    assert isinstance(proposal, Resume)
    assert (proposal.trial, proposal.until) == (0, 9)


# --- brackets


def test_a_bracket_skips_the_lowest_rungs_of_a_shared_system() -> None:
    scheduler = asha(max_t=9, brackets=3)
    play = Play(scheduler)
    for trial, bracket in enumerate((0, 1, 2)):
        play.start(trial, tags={"bracket": bracket})
    assert [play.report(trial, 1, 1.0) for trial in range(3)] == ["C", "-", "-"]
    assert [play.report(trial, 3, 1.0) for trial in range(3)] == ["C", "C", "-"]
    assert [play.report(trial, 9, 1.0) for trial in range(3)] == ["S", "S", "S"]
    assert [len(row["entries"]) for row in scheduler.rung_table()] == [1, 2]


def test_brackets_may_have_rungs_of_their_own() -> None:
    scheduler = asha(max_t=9, brackets=2, rung_system_per_bracket=True)
    play = Play(scheduler)
    for trial, bracket in enumerate((0, 1)):
        play.start(trial, tags={"bracket": bracket})
        play.report(trial, 3, 1.0 + trial)
    table = [(row["system"], row["level"], len(row["entries"])) for row in scheduler.rung_table()]
    assert table == [(0, 1, 0), (0, 3, 1), (1, 1, 0), (1, 3, 1)]


def test_brackets_are_drawn_with_their_shares() -> None:
    scheduler = asha(max_t=100, brackets=4)
    drawn = Counter(
        scheduler.propose(ProposalRequest(n, 0, 7), Ledger("loss")).tags["bracket"]  # type: ignore[union-attr]
        for n in range(4000)
    )
    assert [drawn[b] / 4000 for b in range(4)] == pytest.approx((0.6095, 0.2438, 0.1016, 0.0451), abs=0.02)
    assert asha(type="promotion", max_t=9, brackets=3)._milestones == (1, 3, 9)


def test_promotion_starts_each_bracket_at_its_own_rung() -> None:
    play = Play(asha(type="promotion", max_t=9, brackets=3))
    untils = {(p.tags["bracket"], p.until) for _ in range(60) if isinstance(p := play.ask(), Start)}
    assert untils == {(0, 1), (1, 3), (2, 9)}


# --- trials that fail, are lost, or are stopped by somebody else


def test_a_failed_trial_keeps_its_entries_and_is_never_promoted() -> None:
    scheduler = asha(type="promotion", max_t=9)
    play = Play(scheduler)
    for trial in (0, 1, 2):
        play.ask()
        play.report(trial, 1, float(trial))
        if trial == 1:
            # Trial 0 is promoted and dies on its way to rung 3.
            assert isinstance(resumed := play.ask(), Resume)
            assert resumed.trial == 0
            play.end(0, TrialFailed, "killed by SIGKILL")
    assert [trial for _, trial in scheduler.rung_table()[0]["entries"]] == [0, 1, 2]
    assert isinstance(play.ask(), Start), "1st of 3 is gone, the 2nd of 3 misses the cut"


def test_a_paused_trial_that_somebody_stops_is_not_resumed() -> None:
    play = Play(asha(type="promotion", max_t=9))
    for trial in (0, 1):
        play.ask()
        play.report(trial, 1, float(trial))
    assert play.scheduler.rung_table()[0]["waiting"] == [0, 1]
    play.end(0, TrialStopped, "user")
    assert play.scheduler.rung_table()[0]["waiting"] == [1]
    assert isinstance(play.ask(), Start)


def test_a_trial_whose_process_is_still_ending_waits_for_a_later_request() -> None:
    play = Play(asha(type="promotion", max_t=9))
    for trial in (0, 1):
        play.start(trial)
    play.report(1, 1, 2.0)
    play.ledger[TrialId(0)].next_seq = 0
    assert isinstance(play.show(TrialResult(0.0, TrialId(0), 0, 0, 1, {"loss": 1.0}))[0], Pause)
    play.ledger[TrialId(0)].move("pause")
    assert play.status(0) is Status.PAUSING
    assert isinstance(play.ask(), Start)
    play.end(0, TrialPaused)
    proposal = play.ask()
    assert isinstance(proposal, Resume)
    assert proposal.trial == 0


def test_a_lost_or_retried_attempt_changes_nothing() -> None:
    scheduler = asha(max_t=9)
    play = Play(scheduler)
    play.start(0)
    play.report(0, 1, 1.0)
    before = scheduler.rung_table()
    for kind, rest in ((TrialLost, ("node gone",)), (TrialFailed, ("exit status 1", "", True))):
        play.end(0, kind, *rest)
        play.show(TrialStarted(0.0, TrialId(0), play.ledger[TrialId(0)].attempt + 1, 0))
    play.show(LimitsChanged(0.0, Limits(n_workers=3)))
    assert scheduler.rung_table() == before
    assert play.report(0, 3, 1.0) == "C"
    play.end(0, TrialFinished)


# --- liveness: as long as there is budget a trial runs, or something is awaited


@pytest.mark.parametrize("rule", ["quantile", "paper"])
def test_a_small_space_is_worked_through_and_never_ends_with_paused_trials(rule: str) -> None:
    scheduler = ASHA(
        {"a": randint(1, 3), "b": choice(["x", "y"])}, "loss", resource_attr="epoch", max_t=9, type="promotion",
        rule=rule, random_seed=1,  # type: ignore[arg-type]
    )  # fmt: skip
    play = Play(scheduler)
    order: list[int] = []
    for _ in range(100):
        proposal = play.ask()
        if proposal is None:
            break
        trial = len(play.ledger) - 1 if isinstance(proposal, Start) else int(proposal.trial)
        assert play.ask(may_start=False) is None or not play.ledger.having(Status.PAUSED)
        play.report(trial, proposal.until or 0, float(trial))
        order.append(trial)
    assert len(play.ledger) == 6
    assert {record.status for record in play.ledger} == {Status.STOPPED}
    assert all(record.resource == 9 for record in play.ledger)


def test_a_drained_run_resumes_only_what_deserves_it() -> None:
    play = Play(asha(type="promotion", max_t=9))
    for trial in (0, 1):
        play.ask()
        play.report(trial, 1, float(trial))
    assert isinstance(play.ask(may_start=False), Resume)
    assert play.ask(may_start=False) is None


def test_an_exhausted_space_waits_for_trials_that_are_alive() -> None:
    play = Play(ASHA({"a": randint(1, 2)}, "loss", resource_attr="epoch", max_t=9, type="promotion", random_seed=1))
    play.ask()
    play.report(0, 1, 2.0)
    play.ask()
    assert play.ask() is None
    play.report(1, 1, 3.0)
    assert isinstance(play.ask(), Resume)


@settings(max_examples=40)
@given(st.integers(0, 10_000), st.sampled_from(["stopping", "promotion"]), st.sampled_from(["quantile", "paper"]))
def test_every_run_goes_on_and_its_fold_can_be_read_again(seed: int, kind: Any, rule: Any) -> None:
    rng = np.random.default_rng(seed)
    options: dict[str, Any] = {"type": kind, "rule": rule, "brackets": int(rng.integers(1, 4)), "max_t": 20}
    scheduler = asha(**options)
    play = Play(scheduler)
    running: dict[int, int] = {}
    for _ in range(150):
        if len(running) < 3:
            proposal = play.ask()
            assert proposal is not None
            trial = len(play.ledger) - 1 if isinstance(proposal, Start) else int(proposal.trial)
            running[trial] = play.ledger[TrialId(trial)].resource
        else:
            trial = sorted(running)[rng.integers(len(running))]
            running[trial] += int(rng.integers(1, 3))
            chance = rng.random()
            if chance < 0.05:
                play.end(trial, TrialFailed, "exit status 1")
            elif play.report(trial, running[trial], float(np.round(rng.random(), 1))) not in "SP":
                continue
            del running[trial]
    again = asha(**options)
    replay = Play(again)
    for event in play.events:
        if isinstance(event, TrialResult):
            # The engine decides between the two halves of a result; here the recorded status moves are repeated.
            decisions = replay.show(event)
            for decision in decisions:
                if isinstance(decision, Stop | Pause):
                    replay.ledger[event.trial].move("stop" if isinstance(decision, Stop) else "pause")
        else:
            replay.show(event)
    assert again.rung_table() == scheduler.rung_table()
    replay.number = play.number
    assert replay.ask() == play.ask()


# --- arguments


def test_max_t_comes_from_the_argument_then_from_constants_in_order() -> None:
    def top(constants: dict[str, Any], **options: Any) -> int | None:
        return ASHA({**SPACE, **constants}, "loss", resource_attr="epoch", **options).objective.max_t

    constants = {"max_epochs": 10, "max_t": 20, "epochs": 30, "steps": 40}
    assert top(constants, max_t=50) == 50
    assert top(constants, max_resource_attr="steps") == 40
    assert top(constants) == 30
    assert top({"max_epochs": 10, "max_t": 20}) == 20
    assert top({"max_epochs": 10}) == 10


@pytest.mark.parametrize(
    ("options", "fragment"),
    [
        ({}, "needs the highest resource level: pass max_t="),
        ({"max_t": 0}, "max_t=0"),
        ({"max_t": 9.5}, "max_t=9.5"),
        ({"max_resource_attr": "layer", "max_t": 9}, "Did you mean 'layers'?"),
        ({"max_resource_attr": "layers"}, "needs the highest resource level"),
        ({"max_t": 9, "type": "stoping"}, "Did you mean 'stopping'?"),
        ({"max_t": 9, "rule": "papers"}, "Did you mean 'paper'?"),
        ({"max_t": 9, "grace_period": 9}, "leaves no rung below max_t=9"),
        ({"max_t": 9, "brackets": 4}, "at most 3"),
        ({"max_t": 9, "metric": ["loss", "latency"]}, "MOASHA takes several"),
        ({"max_t": 9, "resource_attr": None}, "ASHA needs resource_attr="),
        ({"max_t": 9, "time_attr": "step"}, "mean the same argument"),
        ({"max_t": 9, "random_seed": 1.5}, "random_seed=1.5"),
        ({"max_t": 9, "mode": "minimum"}, "mode='minimum' is not valid"),
    ],
)
def test_bad_arguments_are_refused_with_what_to_do(options: dict[str, Any], fragment: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        ASHA(SPACE, **{"metric": "loss", "resource_attr": "epoch", **options})
    assert fragment in str(caught.value)


@pytest.mark.parametrize(
    ("argument", "hint"),
    [
        ("do_minimize", "Use mode='min' or mode='max'."),
        ("metrics", "Use metric="),
        ("seed", "Use random_seed=."),
        ("search_options", "as arguments of their own"),
        ("eta", "Use reduction_factor=."),
        ("max_epochs", "Use max_t=."),
        ("n_workers", "It belongs to Tuner(n_workers=...)."),
        ("reduction_facter", "Did you mean 'reduction_factor'?"),
    ],
)
def test_foreign_names_get_told_what_to_use(argument: str, hint: str) -> None:
    with pytest.raises(UnknownArgument) as caught:
        ASHA(SPACE, "loss", **{argument: 1})
    assert hint in str(caught.value)
    assert isinstance(caught.value, TypeError)


def test_an_unknown_searcher_is_told_the_nearest() -> None:
    with pytest.raises(UnknownPlugin, match="Did you mean 'random'"):
        asha(searcher="randon")


def test_time_attr_is_an_alias() -> None:
    assert ASHA(SPACE, "loss", time_attr="step", max_t=9).objective.resource_attr == "step"


def test_the_seed_that_was_chosen_is_described() -> None:
    scheduler = ASHA(SPACE, "loss", resource_attr="epoch", max_t=9)
    description = describe(scheduler, "offbeat.schedulers")
    assert description.options is not None
    assert description.options["random_seed"] == scheduler.seed
    again = build(description)
    request = ProposalRequest(3, 0, scheduler.seed)
    assert again.propose(request, Ledger("loss")) == scheduler.propose(request, Ledger("loss"))
    assert ASHA(SPACE, "loss", resource_attr="epoch", max_t=9).seed != scheduler.seed


def test_the_script_is_told_how_far_to_run() -> None:
    def untils(kind: Any) -> int | None:
        scheduler = ASHA(
            {**SPACE, "epochs": 9}, "loss", resource_attr="epoch", max_resource_attr="epochs", type=kind, random_seed=1
        )
        proposal = scheduler.propose(ProposalRequest(0, 0, 1), Ledger("loss"))
        assert isinstance(proposal, Start)
        return proposal.until

    assert untils("promotion") == 1
    assert untils("stopping") == 9


async def _slow(config: dict[str, Any] | None) -> dict[str, Any] | None:
    return config


class Scripted:
    """A searcher with a list of answers, as a coroutine."""

    def __init__(self, configs: list[dict[str, Any]]) -> None:
        self.configs, self.events = configs, list[Event]()

    def observe(self, event: Event, ledger: LedgerView) -> None:
        self.events.append(event)

    def propose(self, request: ProposalRequest, ledger: LedgerView) -> Any:
        return _slow(self.configs[request.number] if request.number < len(self.configs) else None)


@pytest.mark.asyncio
async def test_a_searcher_may_take_its_time_and_sees_what_was_judged() -> None:
    searcher = Scripted([{"lr": 0.5, "layers": 3}])
    assert isinstance(searcher, Searcher)
    scheduler = asha(max_t=9, searcher=searcher)
    play = Play(scheduler)
    answer = await scheduler.propose(ProposalRequest(0, 0, 7), play.ledger)  # type: ignore[misc]
    assert answer == Start(config={"lr": 0.5, "layers": 3}, tags={"bracket": 0})
    assert await scheduler.propose(ProposalRequest(1, 0, 7), play.ledger) is None  # type: ignore[misc]
    play.start(0)
    for resource in (1, 2, 3, 4):
        play.report(0, resource, 1.0)
    assert [event.resource for event in searcher.events if isinstance(event, TrialResult)] == [1, 3]


class Reasoning(Scripted):
    """One that tells why, wants to be asked ahead, and has something that lives with the session."""

    prefetch = 2

    def __init__(self, answer: Start) -> None:
        super().__init__([])
        self.answer = answer
        self.lives: list[Any] = []

    def suggest(self, request: ProposalRequest, ledger: LedgerView) -> Any:
        return self.answer

    @asynccontextmanager
    async def running(self, context: SchedulerContext) -> AsyncIterator[None]:
        self.lives.append(context)
        yield
        self.lives.append("gone")


@pytest.mark.parametrize("kind", ["stopping", "promotion"])
def test_what_a_searcher_says_of_its_proposal_is_kept(kind: Literal["stopping", "promotion"]) -> None:
    fitted = Fitted("toy", {"a": 1})
    said = Start(config={"lr": 0.5, "layers": 3}, why="model: because", tags={"parent": 7, "bracket": 5}, fitted=fitted)
    scheduler = ASHA(SPACE, "loss", resource_attr="epoch", max_t=9, type=kind, searcher=Reasoning(said))
    proposal = scheduler.propose(ProposalRequest(0, 0, 7), Ledger("loss"))
    assert isinstance(proposal, Start)
    assert (proposal.config, proposal.why, proposal.fitted) == (said.config, said.why, fitted)
    assert proposal.tags == {"parent": 7, "bracket": 0}, "which bracket it is, only ASHA knows"
    assert proposal.until == (1 if kind == "promotion" else None)


@pytest.mark.asyncio
async def test_a_searcher_lives_with_the_session_and_is_asked_ahead() -> None:
    searcher = Reasoning(Start(config={"lr": 0.5, "layers": 3}))
    scheduler = asha(max_t=9, searcher=searcher)
    context = SchedulerContext(time="real", n_workers=2)
    async with scheduler.running(context):
        assert searcher.lives == [context]
    assert searcher.lives == [context, "gone"]
    assert (scheduler.prefetch, asha(max_t=9).prefetch) == (2, 0)
    async with asha(max_t=9).running(context):
        pass  # one that needs nothing


def test_both_are_schedulers() -> None:
    assert isinstance(asha(), Scheduler)
    assert isinstance(RandomSearch(SPACE, "loss"), Scheduler)


@pytest.mark.parametrize("kind", ["stopping", "promotion"])
def test_a_script_that_knows_its_maximum_is_not_stopped_there(kind: Literal["stopping", "promotion"]) -> None:
    """It ends by itself, perhaps while saving its model; one that goes on beyond it is stopped."""
    space = {"x": uniform(0, 1), "epochs": 3}
    told = ASHA(
        space, "loss", resource_attr="epoch", max_resource_attr="epochs", type=kind, rung_levels=[1, 2], random_seed=0
    )
    untold = ASHA(space, "loss", resource_attr="epoch", max_t=3, type=kind, rung_levels=[1, 2], random_seed=0)
    start = Suggested(0.0, 0, "start", TrialId(0), {"x": 0.5}, tags={"bracket": 0})
    for scheduler in (told, untold):
        scheduler.observe(start, Ledger())
    last = TrialResult(3.0, TrialId(0), 0, 2, 3, {"loss": 0.5, "epoch": 3})
    assert [type(one) for one in told.observe(last, Ledger())] == [Continue]
    beyond = TrialResult(4.0, TrialId(0), 0, 3, 4, {"loss": 0.5, "epoch": 4})
    assert [type(one) for one in told.observe(beyond, Ledger())] == [Stop]
    assert [type(one) for one in untold.observe(last, Ledger())] == [Stop]

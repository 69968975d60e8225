"""From which level models learn: the highest with enough values, never several; BOHB, ASHABORE and ASHACQR with it."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offbeat.arguments import UnknownArgument
from offbeat.config_space import choice, randint, uniform
from offbeat.decisions import Start
from offbeat.describe import build, describe
from offbeat.errors import InvalidArgument
from offbeat.events import Event, Suggested, TrialFailed, TrialPaused, TrialResult, TrialStarted, TrialStopped
from offbeat.optimizer.baselines import ASHABORE, ASHACQR, BOHB
from offbeat.protocols import Objective, ProposalRequest
from offbeat.space import Space
from offbeat.trial import Ledger, TrialId
from offbeat_plugins.searchers.levels import highest_level
from offbeat_plugins.searchers.observations import Observations

SPACE: dict[str, Any] = {"x": uniform(0, 1), "n": randint(1, 1000), "kind": choice(["a", "b", "c"])}

needs_trees = pytest.mark.skipif(
    find_spec("sklearn") is None, reason="needs scikit-learn: pip install 'offbeat[trees]'"
)
METHODS = pytest.mark.parametrize(
    "method", [BOHB, pytest.param(ASHABORE, marks=needs_trees), pytest.param(ASHACQR, marks=needs_trees)]
)


def quick(method: Any, **options: Any) -> Any:
    """Rungs at 1 and 3 below 9; a level counts with 6 values; no random share."""
    own = {"min_points": 3} if method is BOHB else {"num_init_random": 6}
    defaults = {
        "resource_attr": "epoch", "max_t": 9, "random_seed": 5, "num_candidates": 20, "random_fraction": 0.0,
        "points_to_evaluate": [], **own,
    }  # fmt: skip
    return method(SPACE, "loss", **{**defaults, **options})


class Table:
    """A scheduler and trials that report what they are told to; the engine in miniature."""

    def __init__(self, scheduler: Any) -> None:
        self.scheduler, self.ledger, self.number = scheduler, Ledger("loss"), 0
        self.events: list[Event] = []

    def show(self, event: Event) -> None:
        self.events.append(event)
        (self.ledger.count if isinstance(event, TrialResult) else self.ledger.apply)(event)  # type: ignore[arg-type]
        for decision in self.scheduler.observe(event, self.ledger):
            kind = type(decision).__name__
            if kind in ("Stop", "Pause"):
                record = self.ledger[decision.trial]
                record.move(kind.lower())  # type: ignore[arg-type]
                ended = TrialStopped if kind == "Stop" else TrialPaused
                self.show(ended(0.0, decision.trial, record.attempt))

    def ask(self) -> Start:
        answer = self.scheduler.propose(ProposalRequest(self.number, 0, 5), self.ledger)
        assert isinstance(answer, Start)
        return answer

    def start(self) -> TrialId:
        found, trial = self.ask(), TrialId(len(self.ledger))
        self.show(Suggested(0.0, self.number, "start", trial, found.config, tags=found.tags))
        self.show(TrialStarted(0.0, trial, 0, trial))
        self.number += 1
        return trial

    def report(self, trial: int, level: int, loss: float) -> None:
        record = self.ledger[TrialId(trial)]
        self.show(TrialResult(0.0, TrialId(trial), record.attempt, record.next_seq, level, {"loss": loss}))

    def fill(self, low: Sequence[float], high: Sequence[float]) -> Table:
        """Trials that report `low` at level 1; the first of them `high` at level 3. `low` has to fall, so all go on."""
        for value in low:
            self.report(self.start(), 1, value)
        for trial, value in enumerate(high):
            self.report(trial, 3, value)
        return self


FALLING = [9.0, 8.0, 7.0, 6.0, 5.0, 4.0, 3.0]


@METHODS
def test_random_until_a_level_has_enough_values_then_the_highest_that_has(method: Any) -> None:
    table = Table(quick(method)).fill(FALLING[:5], [])
    assert table.ask().why == "random: 5 of 6 results at level 1 are in"
    table.fill(FALLING[5:], [5.0, 4.0, 3.0, 2.0, 1.0])
    assert table.ask().why.startswith("model: ")
    assert table.ask().why.endswith(", at level 1")
    table.report(5, 3, 0.5)
    assert table.ask().why.endswith(", at level 3")


@METHODS
def test_values_of_lower_levels_change_nothing_once_a_higher_one_counts(method: Any) -> None:
    high = [0.6, 0.5, 0.4, 0.3, 0.2, 0.1]
    plain = Table(quick(method)).fill(FALLING[:6], high)
    shifted = Table(quick(method))
    # The same trials, whose values at level 1 lie far below or above all others and change their order in time alone.
    shifted.fill([value * 1e6 - 5e6 for value in FALLING[:6]], high)
    assert plain.ask().why.endswith(", at level 3")
    assert plain.ask() == shifted.ask()


@METHODS
def test_constant_values_at_the_highest_level_leave_it_to_the_one_below(method: Any) -> None:
    table = Table(quick(method)).fill(FALLING, [1.0] * 7)
    assert table.ask().why.endswith(", at level 1")
    flat = Table(quick(method)).fill([1.0] * 7, [1.0] * 7)
    assert flat.ask().why == "random: all results are equal, so there is nothing to learn"


@METHODS
def test_failed_trials_do_not_count(method: Any) -> None:
    table = Table(quick(method)).fill(FALLING[:6], [])
    table.show(TrialFailed(0.0, TrialId(2), 0, "exit status 1"))
    assert table.ask().why == "random: 5 of 6 results at level 1 are in"


@METHODS
def test_asked_twice_it_answers_the_same_and_the_fold_is_all_it_reads(method: Any) -> None:
    table = Table(quick(method)).fill([5.0, 4.0, 6.0, 3.0, 7.0, 2.0, 8.0], [])
    assert table.ask().why.startswith("model: ")
    again = Table(build(describe(table.scheduler, "offbeat.schedulers")))
    for event in table.events:
        (again.ledger.count if isinstance(event, TrialResult) else again.ledger.apply)(event)  # type: ignore[arg-type]
        again.scheduler.observe(event, again.ledger)
    request = ProposalRequest(table.number, 0, 5)
    first = table.scheduler.propose(request, table.ledger)
    assert first == table.scheduler.propose(request, table.ledger) == again.scheduler.propose(request, again.ledger)


def test_bohb_has_as_many_good_ones_as_it_says() -> None:
    assert " the best 3 of 6 trials" in Table(quick(BOHB)).fill(FALLING[:6], []).ask().why
    assert " the best 3 of 7 trials" in Table(quick(BOHB, top_n_most=1)).fill(FALLING, []).ask().why
    # Of 3 hyperparameters: 4 in either density, so 8 values.
    table = Table(quick(BOHB, min_points=None)).fill(FALLING, [])
    assert table.ask().why == "random: 7 of 8 results at level 1 are in"


@METHODS
def test_trials_on_their_way_to_the_level_are_pending_and_no_others(method: Any) -> None:
    table = Table(quick(method)).fill(FALLING, [6.0, 5.0, 4.0, 3.0, 2.0, 1.0])
    searcher = table.scheduler._searcher
    trials = searcher._trials
    rows = highest_level(trials, 6).rows
    assert rows.tolist() == [0, 1, 2, 3, 4, 5]
    running = [t for t in range(7) if not table.ledger[TrialId(t)].status.ended]
    assert searcher.pending(rows).tolist() == [t for t in running if t > 5] == [6]


levels = st.dictionaries(
    st.tuples(st.integers(0, 7), st.sampled_from([1, 3, 9])), st.sampled_from([0.0, 1.0, 2.0]), max_size=24
)


@given(levels, st.integers(2, 4), st.sets(st.integers(0, 7)), st.randoms(use_true_random=False))
def test_the_level_is_that_of_a_plain_search_in_any_order(
    values: dict[tuple[int, int], float], enough: int, failed: set[int], random: Any
) -> None:
    def observed(order: list[tuple[int, int]]) -> Observations:
        trials, ledger = Observations(Space.of(SPACE), Objective.of("loss", "max"), by_level=True), Ledger("loss")
        for trial in range(8):
            started = (
                Suggested(0.0, trial, "start", TrialId(trial), {"x": trial / 9, "n": 1, "kind": "a"}),
                TrialStarted(0.0, TrialId(trial), 0, trial),
            )
            for event in started:
                ledger.apply(event)
                trials.observe(event, ledger)
        for trial, level in order:
            trials.observe(TrialResult(0.0, TrialId(trial), 0, 0, level, {"loss": values[trial, level]}), ledger)
        for trial in failed:
            ended = TrialFailed(0.0, TrialId(trial), 0, "exit status 1")
            ledger.apply(ended)
            trials.observe(ended, ledger)
        return trials

    def reference() -> tuple[int | None, dict[int, float]]:
        by_level = {
            level: {t: -v for (t, at), v in sorted(values.items()) if at == level and t not in failed}
            for level in (9, 3, 1)
        }
        full = [level for level in by_level if len(by_level[level]) >= enough]
        telling = [level for level in full if len(set(by_level[level].values())) > 1]
        for level in telling + full:
            return level, by_level[level]
        most = max((len(found) for found in by_level.values()), default=0)
        level = next(level for level in by_level if len(by_level[level]) == most) if most else None
        return level, by_level[level] if level else {}

    order = sorted(values)
    shuffled = random.sample(order, len(order))
    for trials in (observed(order), observed(shuffled)):
        found = highest_level(trials, enough)
        assert (found.level, dict(zip(found.rows.tolist(), found.values[:, 0].tolist(), strict=True))) == reference()


@pytest.mark.parametrize(
    ("method", "arguments", "message"),
    [
        (BOHB, {"resource_attr": None}, "ASHA needs resource_attr="),
        (BOHB, {"max_t": None}, "highest resource level"),
        (BOHB, {"max_t": 3, "grace_period": 3}, "grace_period=3 leaves no rung"),
        (BOHB, {"reduction_factor": 1}, "reduction_factor=1"),
        (BOHB, {"max_resource_attr": "epochs"}, "not in config_space"),
        (BOHB, {"min_points": 0}, "min_points=0"),
        (BOHB, {"metric": ["a", "b"]}, "one metric"),
        (BOHB, {"top_n_percent": 100}, "top_n_percent=100"),
        pytest.param(ASHABORE, {"gamma": 0}, "gamma=0", marks=needs_trees),
        pytest.param(ASHABORE, {"num_init_random": 1.5}, "num_init_random=1.5", marks=needs_trees),
        pytest.param(ASHACQR, {"num_init_random": 1}, "2 measured trials", marks=needs_trees),
    ],
)
def test_bad_arguments(method: Any, arguments: dict[str, Any], message: str) -> None:
    defaults = {"config_space": SPACE, "metric": "loss", "resource_attr": "epoch", "max_t": 9}
    with pytest.raises(InvalidArgument, match=message):
        method(**{**defaults, **arguments})


def test_foreign_names_get_ours() -> None:
    with pytest.raises(UnknownArgument, match="reduction_factor="):
        BOHB(SPACE, "loss", resource_attr="epoch", max_t=9, eta=3)  # type: ignore[call-arg]


@needs_trees
def test_bore_waits_for_one_over_gamma_values() -> None:
    table = Table(quick(ASHABORE, gamma=0.1)).fill(FALLING, [])
    assert table.ask().why == "random: 7 of 10 results at level 1 are in"

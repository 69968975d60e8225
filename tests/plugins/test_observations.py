"""The shared fold of model-based searchers, against a plain bookkeeping by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from offbeat.config_space import choice, loguniform, randint, uniform, when
from offbeat.events import (
    Event,
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
from offbeat.protocols import Objective
from offbeat.space import Space
from offbeat.trial import Ledger, TrialId
from offbeat_plugins.searchers.observations import Encoded, Grown, Observations

SPACE = Space({"lr": loguniform(1e-4, 1.0), "layers": randint(1, 9), "kind": choice(["a", "b", "c"])})
LOSS = Objective.of("loss", resource_attr="epoch")


class Story:
    """Events applied to a ledger and to observations, as the engine does; configurations are drawn in order."""

    def __init__(self, space: Space = SPACE, objective: Objective = LOSS, **options: Any) -> None:
        self.space = space
        self.ledger = Ledger(objective.metrics[0].name)
        self.observations = Observations(space, objective, **options)
        self.rng = np.random.default_rng(5)

    def tell(self, event: Event) -> None:
        if isinstance(event, TrialResult):
            self.ledger.count(event)
            self.observations.observe(event, self.ledger)
            self.ledger.decide(event)
            return
        self.ledger.apply(event)
        self.observations.observe(event, self.ledger)

    def start(self, trial: int, **tags: Any) -> None:
        config = self.space.from_units(self.rng.random(self.space.width).tolist())
        self.tell(Suggested(0.0, trial, "start", TrialId(trial), config, tags=tags))
        self.tell(TrialStarted(0.0, TrialId(trial), 0, trial))

    def report(self, trial: int, resource: int, value: float, attempt: int = 0, seq: int | None = None) -> None:
        seq = self.ledger[TrialId(trial)].next_seq if seq is None else seq
        self.tell(TrialResult(0.0, TrialId(trial), attempt, seq, resource, {"loss": value, "other": 7}))

    def state(self) -> tuple[list[int], list[int], list[int]]:
        found = self.observations
        return found.measured.tolist(), found.pending.tolist(), found.failed.tolist()


def test_values_stay_with_their_configuration_whatever_the_order_of_ends() -> None:
    """Peers keep configurations in the order of suggestion and values in the order of completion, and pair them wrongly."""
    story = Story()
    for trial in range(3):
        story.start(trial)
    for trial in (2, 0, 1):
        story.report(trial, 1, 10.0 * trial)
        story.tell(TrialFinished(0.0, TrialId(trial), 0))
    assert story.observations.values[story.observations.measured, 0].tolist() == [0.0, 10.0, 20.0]
    expected = SPACE.encode([story.ledger[TrialId(trial)].config for trial in range(3)])
    assert np.array_equal(story.observations.codes, expected)


def test_a_trial_counts_once_it_has_ended_and_with_its_last_value() -> None:
    story = Story()
    story.start(0)
    assert story.state() == ([], [0], [])
    story.report(0, 1, 5.0)
    story.report(0, 2, 3.0)
    assert story.state() == ([], [0], [])
    story.tell(TrialFinished(0.0, TrialId(0), 0))
    assert story.state() == ([0], [], [])
    assert story.observations.values.tolist() == [[3.0]]


def test_failed_silent_stopped_lost_and_retried_trials() -> None:
    story = Story()
    for trial in range(5):
        story.start(trial)
        if trial != 1:
            story.report(trial, 1, float(trial))
    story.tell(TrialFailed(0.0, TrialId(0), 0, "exit status 1"))
    story.tell(TrialFinished(0.0, TrialId(1), 0))  # never reported
    story.tell(TrialStopped(0.0, TrialId(2), 0, "user"))
    story.tell(TrialLost(0.0, TrialId(3), 0, "preempted"))
    story.tell(TrialFailed(0.0, TrialId(4), 0, "killed", retry=True))
    assert story.state() == ([2], [3, 4], [0, 1])
    story.tell(TrialStarted(0.0, TrialId(4), 1, 0))
    story.report(4, 1, 44.0, attempt=1)
    story.tell(TrialFinished(0.0, TrialId(4), 1))
    assert story.state() == ([2, 4], [3], [0, 1])
    assert story.observations.values[4, 0] == 44.0
    assert all(story.ledger[TrialId(trial)].config in story.observations.seen for trial in range(5))


def test_an_interrupted_trial_is_pending_and_a_paused_one_measured_until_it_is_resumed() -> None:
    story = Story()
    for trial in range(2):
        story.start(trial)
        story.report(trial, 1, 1.0 + trial)
    story.tell(TrialStopped(0.0, TrialId(0), 0, "experiment"))
    story.ledger[TrialId(1)].move("pause")
    story.tell(TrialPaused(0.0, TrialId(1), 0))
    assert story.state() == ([1], [0], [])
    story.tell(Suggested(0.0, 9, "resume", TrialId(1)))
    story.tell(TrialResumed(0.0, TrialId(1), 1, 0))
    assert story.state() == ([], [0, 1], [])
    story.report(1, 3, 0.5, attempt=1)
    story.tell(TrialFinished(0.0, TrialId(1), 1))
    assert story.state() == ([1], [0], [])
    assert story.observations.values[1, 0] == 0.5


def test_max_is_mirrored_and_several_metrics_keep_their_order() -> None:
    objective = Objective.of(["loss", "accuracy"], ["min", "max"])
    story = Story(objective=objective)
    story.start(0)
    story.tell(TrialResult(0.0, TrialId(0), 0, 0, 0, {"accuracy": 0.9, "loss": 0.1}))
    story.tell(TrialFinished(0.0, TrialId(0), 0))
    assert story.observations.values.tolist() == [[0.1, -0.9]]


def test_what_came_from_outside_is_seen_and_measured_but_not_counted_as_proposed() -> None:
    story = Story()
    story.start(0, enqueued=True)
    story.start(1)
    assert (len(story.observations), story.observations.proposed, story.observations.seen.count) == (2, 1, 2)


def test_values_by_level() -> None:
    story = Story(by_level=True)
    for trial, values in enumerate(([3.0, 2.0], [5.0], [4.0, 1.0])):
        story.start(trial)
        for i, value in enumerate(values):
            story.report(trial, 1 + 2 * i, value)
    story.tell(TrialFailed(0.0, TrialId(2), 0, "exit status 1"))
    assert story.observations.levels == (1, 3)
    rows, values = story.observations.at_level(1)
    assert (rows.tolist(), values.tolist()) == ([0, 1], [[3.0], [5.0]])
    rows, values = story.observations.at_level(3)
    assert (rows.tolist(), values.tolist()) == ([0], [[2.0]])
    rows, values = story.observations.at_level(9)
    assert (rows.shape, values.shape) == ((0,), (0, 1))
    story.tell(TrialLost(0.0, TrialId(0), 0, "preempted"))
    story.tell(TrialStarted(0.0, TrialId(0), 1, 0))
    story.report(0, 1, 2.5, attempt=1)
    assert story.observations.at_level(1)[1].tolist() == [[2.5], [5.0]]
    assert Story().observations.levels == ()


def test_conditional_hyperparameters_are_encoded_as_the_space_does() -> None:
    space = Space({"on": choice([True, False]), "rate": when(uniform(0, 1), "on")})
    story = Story(space)
    for trial in range(40):
        story.start(trial)
        if trial % 7 == 0:
            assert len(story.observations.codes) == trial + 1  # grown in steps
    configs = [story.ledger[TrialId(trial)].config for trial in range(40)]
    assert {"rate" in config for config in configs} == {True, False}
    assert np.array_equal(story.observations.codes, space.encode(configs))


@given(st.lists(st.integers(0, 40), max_size=8))
def test_a_grown_matrix_is_the_concatenation_of_its_parts(sizes: list[int]) -> None:
    rng = np.random.default_rng(0)
    parts = [rng.random((size, 3)) for size in sizes]
    grown = Grown(3)
    for part in parts:
        grown.extend(part)
    assert np.array_equal(grown.rows, np.concatenate([np.empty((0, 3)), *parts]))
    assert len(grown) == sum(sizes)


def test_each_configuration_is_encoded_once() -> None:
    calls: list[int] = []

    def encode(configs: Any) -> Any:
        calls.append(len(configs))
        return np.array([[config["x"]] for config in configs], dtype=float)

    configs = [{"x": i} for i in range(100)]
    encoded = Encoded(encode, 1)
    for n in (0, 1, 1, 60, 100):
        assert encoded.of(configs[:n])[:, 0].tolist() == list(range(n))
    assert calls == [1, 59, 40]

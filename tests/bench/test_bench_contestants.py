"""Schedulers as they are typed."""

from __future__ import annotations

from typing import Any

import pytest

from offbeat.bench.contestant import Contestant, contestants, scheduler
from offbeat.bench.problem import Problem
from offbeat.bench.suite import benchmark
from offbeat.errors import InvalidArgument, OffbeatError, UnknownPlugin


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("asha", [("asha", "asha", {})]),
        ("random, asha", [("random", "random-search", {}), ("asha", "asha", {})]),
        (
            "asha:type=promotion,brackets=2,random",
            [("asha:type=promotion,brackets=2", "asha", {"type": "promotion", "brackets": 2}), ("random", "random-search", {})],
        ),
        (
            "asha:brackets=2,asha:type=promotion",
            [("asha:brackets=2", "asha", {"brackets": 2}), ("asha:type=promotion", "asha", {"type": "promotion"})],
        ),
        ("mine=asha:brackets=2", [("mine", "asha", {"brackets": 2})]),
        ("asha:brackets=2,mine=asha", [("asha:brackets=2", "asha", {"brackets": 2}), ("mine", "asha", {})]),
        ("asha:rung_levels=[1,3,9],random", [("asha:rung_levels=[1,3,9]", "asha", {"rung_levels": [1, 3, 9]}),
                ("random", "random-search", {})]),
        ("offbeat:asha:type=promotion", [("offbeat:asha:type=promotion", "offbeat:asha", {"type": "promotion"})]),
        ("x=offbeat:asha", [("x", "offbeat:asha", {})]),
        # `scheduler` is an argument of the rule and no label, although a scheduler is called asha.
        (
            "median-stopping-rule:grace_time=2,scheduler=asha",
            [
                (
                    "median-stopping-rule:grace_time=2,scheduler=asha", "median-stopping-rule",
                    {"grace_time": 2, "scheduler": "asha"},
                ),
            ],
        ),
    ],
)  # fmt: skip
def test_typed(text: str, found: list[tuple[str, str, dict[str, Any]]]) -> None:
    assert [(one.label, one.plugin, one.options) for one in contestants(text)] == found


@pytest.mark.parametrize(
    ("text", "kind", "words"),
    [
        ("ahsa", UnknownPlugin, "Did you mean 'asha'"),
        ("randm", UnknownPlugin, "Did you mean 'random'"),
        ("asha,asha", InvalidArgument, "twice"),
        (
            "asha:brackets",
            InvalidArgument,
            "'asha:brackets': options are written as .* Give it a value: asha:brackets=VALUE",
        ),
        ("asha:typ", InvalidArgument, "'asha:typ': options are written as NAME:KEY=VALUE.*Did you mean 'type'"),
        ("random:seed", InvalidArgument, "'random:seed': options are written as NAME:KEY=VALUE"),
        ("ofbeat:asha", OffbeatError, "offbeat"),
        (
            "asha:brackets=2,grace_perod=3",
            InvalidArgument,
            "asha has no argument 'grace_perod'. Did you mean 'grace_period'",
        ),
        (" , ", InvalidArgument, "No scheduler"),
    ],
)
def test_mistakes_are_named(text: str, kind: type[Exception], words: str) -> None:
    with pytest.raises(kind, match=words):
        contestants(text)


def test_everybody_starts_without_a_first_guess_and_with_the_seed() -> None:
    problem = Problem(benchmark("digits"))
    for text in ("random", "asha", "asha:type=promotion", "median-stopping-rule"):
        made = scheduler(contestants(text)[0], problem, 17)
        assert made.seed == 17
        described = made._described_arguments
        if text == "median-stopping-rule":
            described = made.scheduler._described_arguments
        assert described["points_to_evaluate"] == []
        assert made.objective.metrics[0].name == "val_error"
        assert made.objective.max_t == 27


def test_an_option_that_there_is_not() -> None:
    problem = Problem(benchmark("digits"))
    with pytest.raises(InvalidArgument, match="Did you mean 'brackets'"):
        scheduler(Contestant(label="a", plugin="asha", options={"braket": 2}), problem, 0)

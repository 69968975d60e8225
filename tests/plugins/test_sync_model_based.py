"""SyncBOHB and SyncMOBSTER: what their searchers learn from in which bracket, and which trials they hold for pending."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from offbeat.config_space import randint, uniform
from offbeat.errors import InvalidArgument
from offbeat.events import TrialFailed
from offbeat.optimizer.baselines import SyncBOHB, SyncMOBSTER

SPACE: dict[str, Any] = {"x": uniform(0, 1), "n": randint(1, 50)}


@pytest.fixture
def bohb(bracket_game: Any) -> Any:
    return partial(bracket_game, SyncBOHB, space=SPACE, min_points=2, num_candidates=8, random_fraction=0.0)


@pytest.fixture
def mobster(bracket_game: Any) -> Any:
    """`asked` are the questions to the model."""

    def begin(**options: Any) -> Any:
        play = bracket_game(SyncMOBSTER, space=SPACE, **{"num_init_random": 3, "backend": "numpy", **options})
        play.asked = []
        thinking = play.scheduler._searcher._thinking
        then = thinking.then
        thinking.then = lambda question, made: play.asked.append(question) or then(question, made)
        return play

    return begin


def test_bohb_learns_from_the_highest_level_with_enough_values(bohb: Any) -> None:
    play = bohb()
    for trial in range(9):
        play.ask()
        play.report(trial, 1, float(trial))
    assert play.whys[3] == "random: 3 of 4 results at level 1 are in"
    assert play.whys[-1].startswith("model: ")
    assert play.whys[-1].endswith(", at level 1")
    for trial in range(3):
        assert play.ask() == f"{trial}@3"
        play.report(trial, 3, float(trial))
    play.ask()
    for trial in range(9, 12):
        assert play.ask() == f"+{trial}@3"
        play.report(trial, 3, 1.0)
    assert play.whys[9].endswith(", at level 1")
    assert [why.endswith(", at level 3") for why in play.whys[10:]] == [True, True]


def test_bohb_asks_for_new_configurations_in_first_rungs_only(bohb: Any) -> None:
    play = bohb(brackets=1)
    answers = []
    for _ in range(26):
        answer = play.ask()
        answers.append(answer)
        trial, level = answer.lstrip("+").split("@")
        play.report(int(trial), int(level), float(trial))
    assert [answer.partition("@")[2] for answer in answers] == (["1"] * 9 + ["3"] * 3 + ["9"]) * 2
    assert all(answer.startswith("+") == answer.endswith("@1") for answer in answers)


def test_mobster_holds_running_trials_for_pending_at_the_level_they_are_to_reach(mobster: Any) -> None:
    play = mobster()
    for trial in range(9):
        play.ask()
        if trial < 8:
            play.report(trial, 1, float(trial))
    # Eight pause and are not pending; the ninth runs to level 1; a new one of the next bracket runs to level 3.
    play.ask()
    play.ask()
    assert play.asked[-1]["targets"].tolist() == [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]
    assert (play.asked[-1]["pending"][:, -1] * 9).tolist() == pytest.approx([1, 3])
    play.report(8, 1, 8.0)
    assert [play.ask() for _ in range(3)] == ["0@3", "1@3", "2@3"]
    play.report(0, 3, 0.5)
    play.end(1, TrialFailed, "exit status 1")
    assert play.ask().startswith("+")
    # Resumed ones are pending at their next level; one that pauses again or failed is not, and failed ones are forgotten.
    assert play.asked[-1]["targets"].tolist() == [0.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 0.5]
    assert (play.asked[-1]["pending"][:, -1] * 9).tolist() == pytest.approx([3, 3, 3])


def test_mobster_knows_the_first_level_of_every_bracket_where_levels_coincide(mobster: Any) -> None:
    """From 1 to 3 by steps of 1.25 there are six brackets, and three levels."""
    play = mobster(max_t=3, reduction_factor=1.25, num_init_random=99)
    firsts: dict[int, int] = {}
    plans = play.scheduler._plans
    for _ in range(sum(plan[0].slots for plan in plans)):
        answer = play.ask()
        assert answer.startswith("+")
        trial, level = map(int, answer[1:].split("@"))
        firsts.setdefault(play.ledger[trial].tags["bracket"], level)
        assert play.scheduler._searcher._next_milestone(trial) == level
    assert firsts == {kind: plan[0].level for kind, plan in enumerate(plans)}
    assert len(set(firsts.values())) < len(firsts)


@pytest.mark.parametrize("method", [SyncBOHB, SyncMOBSTER])
@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"resource_attr": None}, "needs resource_attr="),
        ({"max_t": None}, "needs the highest resource level"),
        ({"grace_period": 9}, "grace_period=9 leaves no rung"),
        ({"brackets": 9}, "there are 3"),
        ({"type": "promotion"}, "has no argument 'type'"),
        ({"kernels": "exp-decay"}, "has no argument 'kernels'"),
    ],
)
def test_bad_arguments(bracket_game: Any, method: Any, options: dict[str, Any], says: str) -> None:
    with pytest.raises(InvalidArgument, match=says):
        bracket_game(method, **options)

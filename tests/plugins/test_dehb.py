"""DEHB: golden mutations and crossovers, an independent reference of its evolution, and its brackets."""

from __future__ import annotations

import re
from collections import Counter
from functools import partial
from itertools import permutations
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from offbeat.config_space import choice, loguniform, randint, uniform
from offbeat.errors import InvalidArgument
from offbeat.events import TrialFailed, TrialFinished
from offbeat.optimizer.baselines import DEHB
from offbeat.trial import TrialId
from offbeat_plugins.schedulers.differential_evolution import Member, Population, crossed, mask, mutant, parents

SPACE: dict[str, Any] = {
    "lr": loguniform(1e-4, 1), "width": randint(1, 500), "kind": choice(["a", "b", "c"]), "x": uniform(0, 1),
}  # fmt: skip


@pytest.fixture
def begin(bracket_game: Any) -> Any:
    return partial(bracket_game, DEHB)


# --- golden sequences


@pytest.mark.parametrize(
    ("probability", "us", "forced", "expected"),
    [
        (0.5, [0.45, 0.7], 1, [True, False]),
        (0.2, [0.45, 0.1], 0, [False, True]),
        (0.1, [0.15, 0.55], 0, [True, False]),
        (0.1, [0.15, 0.55], 1, [False, True]),
    ],
)
def test_golden_crossover_masks(probability: float, us: list[float], forced: int, expected: list[bool]) -> None:
    assert mask(us, probability, forced) == expected


def test_golden_mutation_and_what_leaves_the_cube_is_drawn_again() -> None:
    assert mutant([0.5, 0.25], [0.75, 1.0], [0.25, 0.5], 0.5, [9, 9]) == [0.75, 0.5]
    assert mutant([0.5, 0.9, 0.1], [0.5, 1.0, 0.0], [0.5, 0.5, 0.5], 0.5, [0.11, 0.22, 0.33]) == [0.5, 0.22, 0.33]
    assert mutant([0.5, 0.5], [1.0, 0.0], [0.0, 1.0], 0.5, [9, 9]) == [1.0, 0.0]


def test_golden_blocks_of_categoricals_move_together() -> None:
    blocks = (slice(0, 3), slice(3, 4), slice(4, 5))
    mutated, target = (0.1, 0.2, 0.3, 0.4, 0.5), (0.6, 0.7, 0.8, 0.9, 1.0)
    assert crossed(mutated, target, [True, False, False], blocks) == [0.1, 0.2, 0.3, 0.9, 1.0]
    assert crossed(mutated, target, [False, True, True], blocks) == [0.6, 0.7, 0.8, 0.4, 0.5]


# --- populations and parents


def member(number: int, value: float = 0.0) -> Member:
    return Member(TrialId(number), (number / 100,), value)


def test_a_child_takes_its_targets_place_unless_it_is_worse() -> None:
    population = Population(2)
    assert [population.challenged() for _ in range(5)] == [0, 1, 0, 1, 0]
    assert population.offer(0, member(0, 3.0)) is None
    assert population.offer(0, member(1, 3.5)) == member(1, 3.5)
    assert population.offer(0, member(2, 3.0)) == member(0, 3.0)
    assert population.members == [member(2, 3.0)]


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 5)), max_size=20), st.randoms(use_true_random=False))
def test_whoever_is_best_at_a_place_holds_it_whatever_the_order(offers: list[tuple[int, int]], random: Any) -> None:
    held = []
    for order in (offers, random.sample(offers, len(offers))):
        population = Population(4)
        for number, (place, value) in enumerate(order):
            population.offer(place, member(number, value))
        held.append([None if one is None else one.value for one in population.places])
    best = {place: min(v for p, v in offers if p == place) for place, _ in offers}
    assert held[0] == held[1] == [best.get(place) for place in range(4)]


@given(st.permutations(range(6)), st.lists(st.integers(0, 2), min_size=6, max_size=6), st.integers(1, 6))
def test_the_best_are_those_of_lowest_value_and_earliest_place(ids: list[int], values: list[int], count: int) -> None:
    population = Population(6)
    for place, (number, value) in enumerate(zip(ids, values, strict=True)):
        population.offer(place, member(number, value))
    expected = sorted(range(6), key=lambda place: (values[place], place))[:count]
    assert [one.trial for one in population.best(count)] == [ids[place] for place in expected]


THIRDS = [(i + 0.5) / 12 for i in range(12)]
TRIPLES = [(a, b, c) for a in THIRDS for b in THIRDS for c in THIRDS]


@pytest.mark.parametrize(("own", "others"), [(4, 0), (4, 3), (3, 5), (0, 4)])
def test_every_ordered_triple_of_a_pool_is_equally_likely(own: int, others: int) -> None:
    pool, everyone = [member(i) for i in range(own)], [member(i) for i in range(own + others)]
    found = Counter(tuple(int(one.trial) for one in parents(pool, everyone, None, us) or ()) for us in TRIPLES)
    expected = set(permutations(range(own or others), 3))
    assert set(found) == expected
    assert set(found.values()) == {len(TRIPLES) // len(expected)}


def test_a_small_pool_is_completed_and_all_of_it_taken() -> None:
    pool, everyone = [member(0), member(1)], [member(i) for i in range(6)]
    found = Counter(tuple(int(one.trial) for one in parents(pool, everyone, member(5), us) or ()) for us in TRIPLES)
    assert all({0, 1} < set(triple) and 5 not in triple and len(set(triple)) == 3 for triple in found)
    assert set(found) == {t for t in permutations(range(5), 3) if {0, 1} < set(t)}
    assert set(found.values()) == {len(TRIPLES) // len(found)}


@given(st.lists(st.integers(0, 4), max_size=6, unique=True), st.lists(st.integers(0, 6), max_size=8), st.integers(0, 6))
def test_parents_are_three_different_trials_and_never_the_target(pool: list[int], rest: list[int], target: int) -> None:
    everyone = [member(i) for i in pool + rest]
    found = parents([member(i) for i in pool], everyone, member(target), (0.3, 0.9, 0.6))
    there = {*pool, *rest}
    if len(there) < 3:
        assert found is None
    elif len(there - {target}) < 3:
        assert found is not None
        assert {int(one.trial) for one in found} == there
    else:
        assert found is not None
        assert len({one.trial for one in found} - {target}) == 3
        if len(set(pool) - {target}) >= 3:
            assert {int(one.trial) for one in found} <= set(pool)


# --- the scheduler


def test_the_first_bracket_promotes_and_later_ones_are_filled_with_children(begin: Any) -> None:
    play = begin(space=SPACE)
    assert [play.ask() for _ in range(9)] == [f"+{trial}@1" for trial in range(9)]
    assert [play.report(trial, 1, value) for trial, value in enumerate((3, 5, 1, 4, 9, 6, 2, 7, 8))] == ["P"] * 9
    assert [play.ask() for _ in range(3)] == ["2@3", "6@3", "0@3"]
    # The first bracket waits; the populations have three members, so the next one begins with children.
    assert play.ask() == "+9@3"
    assert play.whys[-1].startswith("evolution at level 3: a random point crossed with ")
    assert [play.report(trial, 3, trial) for trial in (2, 6, 0)] == ["P"] * 3
    assert play.ask() == "0@9"
    assert [play.ask() for _ in range(4)] == ["+10@3", "+11@3", "+12@3", "+13@3"]
    # The level's population has the three of the first bracket; the second place is that of trial 6.
    assert play.whys[10].startswith("evolution at level 3: trial 6 crossed with ")
    assert [why.partition(" crossed")[0].rpartition(": ")[2] for why in play.whys[12:14]] == ["a random point"] * 2
    assert play.report(0, 9, 1.0) == "S"
    assert play.why == "reached max_t"
    # A child has nothing to wait for at its level, and its bracket's next rung is for new ones.
    assert [play.report(9, level, 1.0) for level in (1, 2, 3)] == ["-", "-", "S"]
    assert play.why == "level 3: not worse than its target, whose place in the population it takes"
    assert play.report(10, 3, 6.5) == "S"
    assert play.why == "level 3: worse than its target"
    assert play.report(12, 3, 0.5) == "S"
    assert play.why == "level 3: takes an empty place in the population"
    assert play.ask() == "+14@9", "the rung is not complete: another bracket is served"
    play.end(11, TrialFailed, "exit status 1")
    play.end(13, TrialFinished)
    assert [play.ask() for _ in range(4)] == ["+15@9", "+16@9", "+17@9", "+18@9"]
    assert [play.ask() for _ in range(2)] == ["+19@1", "+20@1"]


def test_a_drained_run_ends_with_what_is_there(begin: Any) -> None:
    play = begin(space=SPACE)
    for _ in range(9):
        play.ask()
    for trial in range(9):
        play.report(trial, 1, trial)
    assert [play.ask(may_start=False) for _ in range(4)] == ["0@3", "1@3", "2@3", "-"]
    for trial in range(3):
        play.report(trial, 3, trial)
    assert [play.ask(may_start=False) for _ in range(2)] == ["0@9", "-"]
    play.ask()
    assert play.report(9, 3, 1.0) == "S"
    assert play.ask(may_start=False) == "-"


def test_children_of_a_small_space_come_once_each(begin: Any) -> None:
    play = begin(space={"a": randint(1, 4), "b": choice(["x", "y", "z"])}, max_t=3, brackets=1)
    configs = []
    while (answer := play.ask()) != "-":
        trial = int(answer.lstrip("+").partition("@")[0])
        if answer.startswith("+"):
            configs.append(tuple(play.ledger[TrialId(trial)].config.values()))
        play.report(trial, int(answer.partition("@")[2]), trial)
    assert len(configs) == len(set(configs)) == 12
    assert any(why.startswith("evolution") for why in play.whys)


WHY = re.compile(
    r"evolution at level (\d+): (?:trial (\d+)|a random point) crossed with (\d+) \+ 0.5 \((\d+) - (\d+)\)"
)


@settings(max_examples=25)
@given(st.integers(0, 10_000), st.sampled_from(["min", "max"]))
def test_children_are_those_of_the_reference(bracket_game: Any, seed: int, mode: str) -> None:
    """The reference knows the values that came, in order, and rebuilds populations and mutants with NumPy."""
    rng = np.random.default_rng(seed)
    play = bracket_game(DEHB, space=SPACE, mode=mode, random_seed=seed)
    space = play.scheduler.space
    capacity = {1: 9, 3: 5, 9: 3}
    places: dict[int, dict[int, tuple[float, int]]] = {1: {}, 3: {}, 9: {}}
    turn = Counter[int]()
    place_of: dict[int, tuple[int, int]] = {}
    promoted: dict[int, list[int]] = {1: list(range(9)), 3: [], 9: []}
    running: dict[int, int] = {}
    children = 0

    def code(trial: int) -> Any:
        return space.encode([play.ledger[TrialId(trial)].config])[0]

    for _ in range(90):
        if len(running) < 3:
            answer = play.ask()
            trial, level = map(int, answer.lstrip("+").split("@"))
            running[trial] = level
            if not answer.startswith("+"):
                promoted[level].append(trial)
                continue
            if len(play.ledger) <= 9:
                assert play.whys[-1] == ""
                continue
            place_of[trial] = level, turn[level] % capacity[level]
            turn[level] += 1
            target = places[level].get(place_of[trial][1])
            everyone = {t for one in places.values() for _, t in one.values()}
            if target and len(everyone) > 3:
                everyone.remove(target[1])
            found = WHY.fullmatch(play.whys[-1])
            assert (found is None) == (len(everyone) < 3)
            if found is None:
                continue
            children += 1
            assert int(found[1]) == level
            assert found[2] == (None if target is None else str(target[1]))
            x0, x1, x2 = map(int, found.groups()[2:])
            assert len({x0, x1, x2} & everyone) == 3
            below = [one for t, one in enumerate((1, 3, 9)) if one < level]
            lower = sorted(places[below[-1]].items(), key=lambda item: (item[1][0], item[0])) if below else []
            pools = [{t for _, t in places[level].values()}] + [
                {t for _, (_, t) in lower[:n]} for n in {1: (), 3: (3,), 9: (1, 2)}[level]
            ]
            pools = [pool & everyone for pool in pools]
            assert any(({x0, x1, x2} <= pool) if len(pool) >= 3 else (pool <= {x0, x1, x2}) for pool in pools)
            mutated = code(x0) + 0.5 * (code(x1) - code(x2))
            decoded = space.decode([np.clip(mutated, 0, 1)])[0]
            config, differs = play.ledger[TrialId(trial)].config, 0
            for name, columns in space.columns.items():
                inside = ((mutated[columns] >= 0) & (mutated[columns] <= 1)).all()
                same = target is not None and config[name] == play.ledger[TrialId(target[1])].config[name]
                differs += not same
                # What is neither the target's nor the mutant's was drawn: for a mutant outside, or an empty place.
                assert same or config[name] == decoded[name] or not inside or target is None
            assert differs > 0
        else:
            trial = sorted(running)[rng.integers(len(running))]
            level, value = running.pop(trial), float(rng.integers(0, 6))
            if rng.random() < 0.1:
                play.end(trial, TrialFailed, "exit status 1")
                continue
            play.report(trial, level, value)
            at, place = place_of.get(trial, (level, promoted[level].index(trial) if trial in promoted[level] else 0))
            held = places[at].get(place)
            if held is None or value <= held[0]:
                places[at][place] = value, trial
    assert children > 10


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"mutation_factor": 0}, "mutation_factor=0"),
        ({"mutation_factor": 1.5}, "mutation_factor=1.5"),
        ({"mutation_factor": "a half"}, "mutation_factor='a half'"),
        ({"crossover_probability": 0}, "crossover_probability=0"),
        ({"crossover_probability": 1}, "crossover_probability=1"),
        ({"crossover_probability": float("nan")}, "crossover_probability=nan"),
        ({"max_resource_level": 9}, "max_t="),
    ],
)
def test_bad_arguments(begin: Any, options: dict[str, Any], says: str) -> None:
    with pytest.raises(InvalidArgument, match=says):
        begin(**options)


def test_a_child_that_was_told_its_maximum_ends_by_itself_at_its_level(begin: Any) -> None:
    play = begin(space={**SPACE, "epochs": 9}, max_t=None, max_resource_attr="epochs", grace_period=3)
    for answer in ["+0@3", "+1@3", "+2@3"]:
        assert play.ask() == answer
    for trial in range(3):
        assert play.report(trial, 3, trial) == "P"
    assert [play.ask() for _ in range(5)] == ["0@9", "+3@9", "+4@9", "+5@3", "+6@3"]
    assert [play.report(trial, 9 if trial < 5 else 3, 1.0) for trial in (0, 3, 4, 5, 6)] == ["C"] * 5
    assert play.report(5, 4, 1.0) == "S", "one that does not end by itself is stopped at its next report"

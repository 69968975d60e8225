"""Conditions and constraints: what is active, what is allowed, how an allowed one is found."""

from __future__ import annotations

import json
import pickle
from itertools import product
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from offbeat.config_space import (
    choice,
    lograndint,
    loguniform,
    optional,
    randint,
    require,
    streamline_config_space,
    uniform,
    when,
)
from offbeat.errors import InvalidConfig, InvalidSpace
from offbeat.space import Seen, Space
from offbeat.space.search import MOST_REDRAWS

TREE: dict[str, Any] = {
    "optimizer": choice(["adam", "sgd", "none"]),
    "momentum": when(uniform(0, 1), "optimizer == 'sgd'"),
    "nesterov": when(choice([True, False]), "momentum > 0.5"),
    "beta": when(loguniform(0.1, 1), "optimizer in ['adam', 'sgd'] and layers >= depth"),
    "layers": randint(1, 20),
    "depth": 10,
}
FIT: dict[str, Any] = {
    "batch": lograndint(8, 512),
    "layers": randint(1, 20),
    "lr": loguniform(1e-6, 1e-1),
    "memory": require("batch * layers <= 512"),
    "epochs": 9,
}


def units(n: int) -> st.SearchStrategy[list[float]]:
    return st.lists(st.floats(0, 1, exclude_max=True), min_size=n, max_size=n)


@given(units(5))
def test_inactive_ones_are_absent(us: list[float]) -> None:
    space = Space(TREE)
    config = space.from_units(us)
    assert ("momentum" in config) == (config["optimizer"] == "sgd")
    assert ("nesterov" in config) == (config.get("momentum", 0) > 0.5)
    assert ("beta" in config) == (config["optimizer"] != "none" and config["layers"] >= 10)
    assert list(config) == sorted(config)
    assert list(space.full(config)) == [name for name in TREE if name in config or name == "depth"]
    # What is active has the value that it would have without conditions.
    assert config.items() <= Space({n: getattr(e, "domain", e) for n, e in TREE.items()}).from_units(us).items()


def test_parts() -> None:
    space = Space(TREE)
    assert list(space.domains) == ["beta", "layers", "momentum", "nesterov", "optimizer"]
    assert {name: str(one) for name, one in space.conditions.items()} == {
        "beta": "optimizer in ['adam', 'sgd'] and layers >= depth",
        "momentum": "optimizer == 'sgd'",
        "nesterov": "momentum > 0.5",
    }
    assert space.constraints == {}
    assert (space.width, space.dimension, space.size) == (5, 7, None)
    assert Space(FIT).constraints.keys() == {"memory"}
    assert Space(FIT).constants == {"epochs": 9}


def test_defaults() -> None:
    assert Space(TREE).default() == {"beta": 0.316227766017, "layers": 10, "optimizer": "adam"}
    # 64 and 10 are the middle; one of them gives way, and lr keeps its own.
    near = Space(FIT).default()
    assert near["lr"] == 0.000316227766017
    assert 300 < near["batch"] * near["layers"] <= 512
    assert near == Space(FIT).default() == Space(FIT).initial_configs()[0]


def test_partial_configurations_are_completed() -> None:
    space = Space(TREE)
    assert space.complete({"optimizer": "none"}) == {"layers": 10, "optimizer": "none"}
    assert space.complete({"optimizer": "sgd", "layers": 3}) == {"layers": 3, "momentum": 0.5, "optimizer": "sgd"}
    # A child that is given brings its parents along.
    config = space.complete({"nesterov": True})
    assert config["nesterov"] is True
    assert space.validate(config) == config
    assert Space(FIT).complete({"batch": 512}) == {"batch": 512, "layers": 1, "lr": 0.000316227766017}


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"optimizer": "none", "layers": 3, "momentum": 0.5}, ["'momentum' is inactive", "optimizer='none'", "leave it out"]),
        ({"optimizer": "sgd", "layers": 3}, ["'momentum' has no value", "a number from 0.0 to 1.0"]),
        ({"optimizer": "sgd", "layers": 3, "momentum": 0.6}, ["'nesterov' has no value"]),
        ({"optimizer": "sgd", "layers": 3, "momentum": 0.4, "nesterov": True}, ["'nesterov' is inactive", "momentum=0.4"]),
        ({"optimizer": "adam", "layers": 3, "nesterov": True}, ["'nesterov' is inactive", "momentum is absent"]),
        ({"layers": 3}, ["'optimizer' has no value"]),
        ({"optimizer": "sgd", "layers": 3, "momentum": 4}, ["'momentum'", "4", "from 0.0 to 1.0"]),
    ],
)  # fmt: skip
def test_configurations_that_contradict_conditions(config: dict[str, Any], words: list[str]) -> None:
    with pytest.raises(InvalidConfig) as error:
        Space(TREE).validate(config)
    assert all(word in str(error.value) for word in words), str(error.value)


def test_configurations_that_contradict_constraints() -> None:
    space = Space(FIT)
    assert space.validate({"batch": "64", "layers": 8.0, "lr": 0.1}) == {"batch": 64, "layers": 8, "lr": 0.1}
    message = r"Constraint 'memory' \(batch \* layers <= 512\) is not fulfilled by batch=64, layers=9"
    for check in (space.validate, space.complete):
        with pytest.raises(InvalidConfig, match=message):
            check({"batch": 64, "layers": 9, "lr": 0.1})
    with pytest.raises(InvalidConfig, match=r"points_to_evaluate\[1\]: Constraint 'memory'"):
        space.initial_configs([{}, {"batch": 512, "layers": 2}])
    with pytest.raises(InvalidConfig, match="'memory' is a constraint of this space"):
        space.complete({"memory": True})
    odd = Space(
        {"a": randint(1, 9), "b": randint(1, 9), "c": uniform(0, 1), "odd": require("a * b == 49 or c > 2 * a")}
    )
    assert odd.complete({"c": 0.5}) == {"a": 7, "b": 7, "c": 0.5}
    with pytest.raises(InvalidConfig, match=r"No configuration with \{'a': 3\} was found"):
        odd.complete({"a": 3})


@given(units(3))
def test_draws_fulfil_constraints_and_follow_from_the_row(us: list[float]) -> None:
    space = Space(FIT)
    config = space.from_units(us)
    assert config["batch"] * config["layers"] <= 512
    assert config == Space(FIT).from_units(np.array(us))
    plain = Space({name: entry for name, entry in FIT.items() if name != "memory"}).from_units(us)
    if plain["batch"] * plain["layers"] <= 512:
        assert config == plain


def test_draws_have_the_distribution_of_what_is_allowed() -> None:
    space = Space({"a": randint(1, 6), "b": randint(1, 6), "sum": require("a + b <= 4")})
    rows = np.random.default_rng(3).random((6000, 2))
    counts: dict[str, int] = {}
    for row in rows:
        key = space.key(space.from_units(row))
        counts[key] = counts.get(key, 0) + 1
    assert len(counts) == 6
    assert all(900 < count < 1100 for count in counts.values()), counts


def test_what_is_rarely_allowed_is_found_all_the_same() -> None:
    needle = {**{name: randint(1, 17) for name in "abcd"}, "needle": require("a * b * c * d == 83521")}
    space = Space(needle)
    assert space.size == 1
    assert space.from_units([0.3] * 4) == {"a": 17, "b": 17, "c": 17, "d": 17} == space.default()
    assert space.decode(np.zeros((1, 4))) == [space.default()]


def test_empty_spaces_are_named() -> None:
    with pytest.raises(
        InvalidSpace, match=r"empty: no combination of values fulfils 'small' \(a < 3\) and 'large' \(a > 5\)"
    ):
        Space({"a": randint(1, 9), "x": uniform(0, 1), "small": require("a < 3"), "large": require("a > 5")})
    with pytest.raises(InvalidSpace, match=rf"empty: {MOST_REDRAWS} draws did not fulfil 'never' \(x > y \+ 1\)"):
        Space({"x": uniform(0, 1), "y": uniform(0, 1), "never": require("x > y + 1")})
    # A single point of a continuous space is never drawn.
    with pytest.raises(InvalidSpace, match="draws did not fulfil"):
        Space({"x": uniform(0, 1), "point": require("x == 1")})


def test_a_constraint_on_what_is_inactive_counts_as_fulfilled() -> None:
    space = Space(
        {"on": choice([True, False]), "a": when(randint(1, 4), "on"), "b": randint(1, 4), "same": require("a == b")}
    )
    assert space.size == 4 + 4
    assert space.validate({"on": False, "b": 3}) == {"on": False, "b": 3}
    either = Space({"on": choice([True, False]), "a": when(randint(1, 4), "on"), "rule": require("on and a > 2")})
    assert either.validate({"on": False}) == {"on": False}


def test_a_constraint_that_computes_with_none_counts_as_fulfilled() -> None:
    space = Space({"clip": optional(randint(1, 4)), "b": randint(1, 4), "rule": require("clip < b")})
    assert space.size == 6 + 4
    assert space.validate({"clip": None, "b": 1})
    never = Space(
        {
            "clip": optional(randint(1, 4)),
            "b": when(randint(1, 4), "clip >= 1"),
            "c": when(randint(1, 2), "clip == None"),
        }
    )
    assert never.validate({"clip": None, "c": 1})
    with pytest.raises(InvalidConfig, match="'b' is inactive"):
        never.validate({"clip": None, "c": 1, "b": 1})


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        ({"a": when(randint(1, 3), "b > 1"), "b": when(randint(1, 3), "a > 1")}, ["circle", "'a' needs 'b' needs 'a'"]),
        ({"a": when(randint(1, 3), "a > 1")}, ["circle", "'a' needs 'a'"]),
        (
            {"d": when(randint(1, 3), "c > 1"), "b": when(randint(1, 3), "c > 1"), "c": when(randint(1, 3), "b > 1")},
            ["circle", "'b' needs 'c' needs 'b'"],
        ),
        ({"a": when(randint(1, 3), "bee > 1"), "be": randint(1, 3)}, ["'a'", "has no 'bee'", "Did you mean 'be'"]),
        ({"a": when(randint(1, 3), "b == 'x'"), "b": choice(["y"])}, ["'a'", "b is never 'x'"]),
    ],
)
def test_conditions_that_cannot_be(entries: dict[str, Any], words: list[str]) -> None:
    with pytest.raises(InvalidSpace) as error:
        Space({"x": uniform(0, 1), **entries})
    assert all(word in str(error.value) for word in words), str(error.value)


def test_when_wants_a_domain() -> None:
    with pytest.raises(InvalidSpace, match="3 is no domain"):
        when(3, "a > 1")  # type: ignore[arg-type]
    with pytest.raises(InvalidSpace, match="has a condition already"):
        when(when(randint(1, 3), "a > 1"), "b > 1")  # type: ignore[arg-type]


def brute(space: Space) -> list[dict[str, Any]]:
    """Every configuration of a finite space with two values of anything at most, by trying all of them."""
    found = []
    for values in product(*[[*(domain.from_unit(u) for u in (0.1, 0.9)), ...] for domain in space.domains.values()]):
        config = {name: value for name, value in zip(space.domains, values, strict=True) if value is not ...}
        try:
            found.append(space.validate(config))
        except InvalidConfig:
            continue
    return found


def test_listing_and_counting() -> None:
    two = choice([False, True])
    space = Space(
        {
            "b": two,
            "a": when(two, "c"),
            "c": two,
            "d": when(two, "a or not b"),
            "e": when(randint(1, 2), "d"),
            "f": randint(1, 2),
            "rule": require("not (e == 1 and b) and (f == 1 or c)"),
        }
    )
    listed = list(space.grid())
    assert len(listed) == len({space.key(config) for config in listed}) == space.size
    assert sorted(map(space.key, listed)) == sorted(map(space.key, brute(space)))
    assert all(list(config) == sorted(config) for config in listed)
    seen = Seen(space)
    for config in listed:
        assert not seen.exhausted
        assert seen.add(config)
    assert seen.exhausted


def test_the_order_of_a_grid() -> None:
    space = Space({"b": choice(["x", "y"]), "a": when(randint(1, 2), "b == 'y'"), "c": randint(1, 2), "n": 3})
    assert [tuple(config.values()) for config in space.grid()] == [
        ("x", 1), ("x", 2), (1, "y", 1), (1, "y", 2), (2, "y", 1), (2, "y", 2),
    ]  # fmt: skip
    given_ = list(space.grid({"a": [2], "b": ["y"], "c": [2, 1]}))
    assert given_ == [{"a": 2, "b": "y", "c": 2}, {"a": 2, "b": "y", "c": 1}]
    assert list(Space({"x": randint(1, 2), "y": choice([3, 4])}).grid()) == [
        {"x": 1, "y": 3}, {"x": 1, "y": 4}, {"x": 2, "y": 3}, {"x": 2, "y": 4},
    ]  # fmt: skip


def test_sizes() -> None:
    assert Space({"a": choice(["x", "y"]), "b": when(uniform(0, 1), "a == 'y'")}).size is None
    assert Space({"a": choice(["x", "y"]), "b": when(uniform(3, 3), "a == 'y'")}).size == 2
    assert Space({"a": choice(["x", "y"]), "b": when(randint(1, 10**6), "a == 'y'")}).size == 10**6 + 1
    too_many = {"a": randint(1, 10**4), "b": randint(1, 10**4), "rule": require("a < b")}
    assert Space(too_many).size is None


def test_codes() -> None:
    space = Space(TREE)
    config = {"layers": 3, "optimizer": "adam"}
    row = space.encode([config, {"layers": 3, "momentum": 0.75, "nesterov": False, "optimizer": "sgd"}])
    assert row[0].tolist() == [0.5, 0.125, 0.5, 0.5, 1, 0, 0]
    assert row[1].tolist() == [0.5, 0.125, 0.75, 0.75, 0, 1, 0]
    assert space.decode([[0.9, 0.125, 0.1, 0.9, 1, 0, 0]]) == [config]
    # A parent's new value brings the middle of its children.
    assert space.decode([[0.5, 0.125, 0.5, 0.5, 0, 1, 0]]) == [{"layers": 3, "momentum": 0.5, "optimizer": "sgd"}]


def test_decoding_changes_as_little_as_constraints_allow() -> None:
    space = Space(FIT)
    code = space.encode([{"batch": 8, "layers": 20, "lr": 0.01}])[0]
    assert space.decode([code]) == [{"batch": 8, "layers": 20, "lr": 0.01}]
    code[space.columns["batch"]] = 0.6
    (moved,) = space.decode([code])
    assert moved["lr"] == 0.01
    assert moved["batch"] * moved["layers"] <= 512
    assert space.decode([code]) == [moved]


def test_keys() -> None:
    space = Space({"a": choice(["-", "x"]), "b": when(optional(choice(["-", "None"])), "a == 'x'"), "c": uniform(0, 1)})
    configs = [
        {"a": "-", "c": 0.3}, {"a": "x", "b": "-", "c": 0.3}, {"a": "x", "b": None, "c": 0.3},
        {"a": "x", "b": "None", "c": 0.3}, {"a": "-", "c": 0.4},
    ]  # fmt: skip
    assert len({space.key(config) for config in configs}) == 5
    assert space.key({"a": "-", "c": 0.1 + 0.2}) == space.key(configs[0])


def test_json_pickle_equality_and_repr() -> None:
    space = Space({**TREE, **FIT, "`": choice([1, 2]), "a b": when(randint(1, 2), "epochs > 3")})
    text = json.dumps(space.to_json(), allow_nan=False)
    assert json.loads(text)["momentum"] == {"domain": "uniform", "lower": 0, "upper": 1, "when": "optimizer == 'sgd'"}
    assert json.loads(text)["memory"] == {"require": "batch * layers <= 512"}
    names = {f.__name__: f for f in (choice, lograndint, loguniform, randint, require, uniform, when, Space)}
    for again in (Space.from_json(json.loads(text)), pickle.loads(pickle.dumps(space)), eval(repr(space), names)):
        assert again == space
        assert hash(again) == hash(space)
        assert json.dumps(again.to_json()) == text
        assert repr(again) == repr(space)
    assert Space(dict(reversed(TREE.items()))) == Space(TREE)
    blanks = {**FIT, "memory": require("(batch*layers) <= 512")}
    assert Space(blanks) == Space(FIT)
    assert Space({**FIT, "memory": require("batch * layers <= 511")}) != Space(FIT)
    assert Space({**TREE, "momentum": uniform(0, 1)}) != Space(TREE)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"require": "x >"}, "'bad': 'x >', character 4"),
        ({"require": 3}, "put it in quotes"),
        ({"require": "x > 1", "domain": "uniform"}, "nothing beside"),
        ({"domain": "uniform", "lower": 0, "upper": 1, "when": "x > "}, "'bad'.*character"),
        ({"domain": "uniform", "lower": 0, "when": "x > 0.5"}, "lacks 'upper'"),
    ],
)
def test_json_that_says_nothing(data: Any, message: str) -> None:
    with pytest.raises(InvalidSpace, match=message):
        Space.from_json({"x": {"domain": "uniform", "lower": 0, "upper": 1}, "bad": data})


def test_the_table_for_notebooks() -> None:
    hostile = "<script>alert('&')</script>"
    space = Space(
        {
            "<b>x</b>".replace("/", ""): choice([hostile, "b"]),
            "y": when(randint(1, 3), "z < 2"),
            "z": randint(1, 3),
            "c": hostile,
            "rule": require("z != 3"),
        }
    )
    table = space._repr_html_()
    root = ElementTree.fromstring(table)
    assert [[cell.text or "" for cell in row] for row in root.iter("tr")] == [
        ["name", "values", "if"],
        ["<b>x<b>", f"choice([{hostile!r}, 'b'])", ""],
        ["y", "randint(1, 3)", "z < 2"],
        ["z", "randint(1, 3)", ""],
        ["c", f"always {hostile!r}", ""],
        ["rule", "required: z != 3", ""],
    ]
    assert root.findtext("caption") == "8 configurations"
    plain = ElementTree.fromstring(
        Space({"x": uniform(0, 1), "long": choice([str(i) for i in range(1000)])})._repr_html_()
    )
    assert [cell.text for cell in plain.iter("th")] == ["name", "values"]
    assert max(len(cell.text or "") for cell in plain.iter("td")) <= 100
    assert plain.find("caption") is None


def test_streamlining_leaves_what_expressions_name() -> None:
    space = {
        "width": choice([8, 16, 32]),
        "batch": choice([8, 16, 32]),
        "lr": when(uniform(1e-6, 1), "width == 16"),
        "clip": optional(uniform(1e-6, 1), none=0.25),
        "n": choice([None, 1, 2, 3]),
        "rule": require("width < 32"),
    }
    better = streamline_config_space(space)
    assert better["width"] == space["width"]
    assert better["batch"] != space["batch"]
    assert better["lr"] == when(loguniform(1e-6, 1), "width == 16")
    assert better["clip"] == optional(loguniform(1e-6, 1), none=0.25)
    assert better["n"] == space["n"]
    assert Space(better).conditions == Space(space).conditions

"""Spaces: configurations in and out, codes, JSON, the duplicate filter."""

import json
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from offbeat.config_space import (
    choice,
    finrange,
    lograndint,
    loguniform,
    ordinal,
    quniform,
    randint,
    reverseloguniform,
    uniform,
)
from offbeat.errors import InvalidArgument, InvalidConfig
from offbeat.space import Seen, Space

MIXED = {
    "lr": loguniform(1e-6, 1e-1),
    "epochs": 100,
    "layers": randint(1, 20),
    "act": choice(["relu", "tanh", "no ne"]),
    "dropout": uniform(0, 1),
    "data": {"path": ["a b", None, True], "n": 1.5},
}
EVERY = {
    **MIXED,
    "momentum": reverseloguniform(0.9, 0.999),
    "width": lograndint(1, 512),
    "bias": choice([True, False]),
    "batch": ordinal([8, 16, 64]),
    "grid": finrange(0, 1, 11),
    "q": quniform(0, 1, 0.25),
    "one": uniform(2, 2),
}


def units(n):
    return st.lists(st.floats(0, 1, exclude_max=True), min_size=n, max_size=n)


def test_parts():
    space = Space(MIXED)
    assert list(space.domains) == ["act", "dropout", "layers", "lr"]
    assert dict(space.constants) == {"epochs": 100, "data": MIXED["data"]}
    assert (space.size, space.width, space.dimension) == (None, 4, 6)
    assert space.columns == {"act": slice(0, 3), "dropout": slice(3, 4), "layers": slice(4, 5), "lr": slice(5, 6)}
    assert Space({"a": randint(1, 3), "b": choice(["x", "y"]), "c": uniform(1, 1)}).size == 6
    assert Space.of(space) is space
    assert Space.of(MIXED) == space


def test_a_row_of_numbers_gives_a_config():
    space = Space(MIXED)
    config = space.from_units([0.5, 0.25, 0.0, 0.2])
    assert config == {"act": "tanh", "dropout": 0.25, "layers": 1, "lr": 1e-5}
    for wrong in ([0.5] * 3, [0.5] * 5):
        with pytest.raises(InvalidArgument, match="needs 4"):
            space.from_units(wrong)


@given(units(11), units(11))
def test_keys_tell_configs_apart(us, vs):
    space = Space(EVERY)
    a, b = space.from_units(us), space.from_units(vs)
    assert (space.key(a) == space.key(b)) == (a == b)
    assert space.key(dict(reversed(a.items()))) == space.key(a)


def test_keys_take_twelve_digits_and_no_separator_for_granted():
    space = Space({"x": uniform(0, 1), "s": choice(["a", "a|1", "1|a"])})
    assert space.key({"x": 0.1 + 0.2, "s": "a"}) == space.key({"x": 0.3, "s": "a"})
    assert space.key({"x": 0.3, "s": "a"}) != space.key({"x": 0.30000000001, "s": "a"})
    assert len({space.key({"x": 1.0, "s": s}) for s in ("a", "a|1", "1|a")}) == 3


@given(st.lists(units(11), max_size=5))
def test_encode_and_decode(rows):
    space = Space(EVERY)
    configs = [space.from_units(us) for us in rows]
    codes = space.encode(configs)
    assert codes.shape == (len(rows), space.dimension)
    assert codes.dtype == np.float64
    assert ((codes >= 0) & (codes <= 1)).all()
    assert space.decode(codes) == configs
    for config, row in zip(configs, codes, strict=True):
        for name, columns in space.columns.items():
            assert tuple(row[columns]) == space.domains[name].encode(config[name])


@given(st.lists(st.floats(-1, 2), min_size=13, max_size=13))
def test_any_code_decodes_to_a_valid_config(row):
    space = Space(EVERY)
    config = space.decode([row])[0]
    assert space.validate(config) == config


@pytest.mark.parametrize("codes", [[[0.5] * 5], [0.5] * 6, [[0.5] * 7], [[0.1, 0.2, 0.3, float("nan"), 0.5, 0.5]]])
def test_codes_of_another_shape_or_not_finite(codes):
    with pytest.raises(InvalidArgument):
        Space(MIXED).decode(codes)


def test_validate():
    space = Space(MIXED)
    config = {"lr": "1e-3", "layers": 3.0, "act": "relu", "dropout": 1, "epochs": 100}
    own = space.validate(config)
    assert own == {"act": "relu", "dropout": 1.0, "layers": 3, "lr": 1e-3}
    assert [type(value) for value in own.values()] == [str, float, int, float]
    assert space.cast({"layers": "77", "epochs": 1, "x": 2}) == {"layers": 77}


GOOD = {"lr": 1e-3, "layers": 3, "act": "relu", "dropout": 0.5}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"lr": 5}, ["'lr'", "5", "loguniform(1e-06, 0.1)", "a number from 1e-06 to 0.1"]),
        ({"layers": 2.5}, ["'layers'", "2.5", "a whole number from 1 to 20"]),
        ({"act": "rely"}, ["'act'", "'rely'", "one of 'relu', 'tanh', 'no ne'"]),
        ({"layer": 3}, ["'layer'", "Did you mean 'layers'?"]),
        ({3: 3}, ["no 3", "'act'"]),
        ({"epochs": 99}, ["'epochs'", "constant", "100", "99"]),
        ({"epochs": 100.0}, ["'epochs'", "constant"]),
        ({"lr": None}, ["'lr'", "None"]),
        ({"lr": "x" * 1_000_000}, ["'lr'", "give"]),
    ],
)
def test_invalid_configs(change, words):
    with pytest.raises(InvalidConfig) as error:
        Space(MIXED).validate({**GOOD, **change})
    assert all(word in str(error.value) for word in words), str(error.value)
    assert len(str(error.value)) < 500


def test_missing_values_and_no_mapping():
    space = Space(MIXED)
    with pytest.raises(InvalidConfig, match="'lr' has no value; give a number from"):
        space.validate({"layers": 3, "act": "relu", "dropout": 0.5})
    with pytest.raises(InvalidConfig, match="is a mapping"):
        space.validate([("lr", 1)])


@given(units(4), st.permutations(["lr", "layers", "act", "dropout"]))
def test_valid_configs_come_back_sorted_and_as_copies(us, order):
    space = Space(MIXED)
    drawn = space.from_units(us)
    config = {name: drawn[name] for name in order}
    own = space.validate(config)
    assert list(own.items()) == list(drawn.items())
    assert own is not config
    assert list(config) == order


def test_full_needs_a_complete_config():
    space = Space({"x": uniform(0, 1), "y": randint(1, 3), "epochs": 9})
    assert space.full({"y": 2, "x": 0.5, "epochs": 3}) == {"x": 0.5, "y": 2, "epochs": 9}
    for config in ({"x": 0.5}, {"x": 0.5, "epochs": 9}):
        with pytest.raises(KeyError):
            space.full(config)


def test_full_is_in_the_users_order_and_a_copy():
    space = Space(MIXED)
    full = space.full(space.default())
    assert list(full) == list(MIXED)
    assert full["data"] == MIXED["data"]
    full["data"]["path"].append("mine")
    assert space.full(space.default())["data"] == MIXED["data"]


def test_default_and_complete():
    space = Space(EVERY)
    assert space.default() == {
        "act": "relu",
        "batch": 16,
        "bias": True,
        "dropout": 0.5,
        "grid": 0.5,
        "layers": 10,
        "lr": 0.000316227766017,
        "momentum": 0.99,
        "one": 2.0,
        "q": 0.5,
        "width": 23,
    }
    assert space.complete({"layers": 7, "epochs": 100}) == space.default() | {"layers": 7}
    assert space.validate(space.default()) == space.default()


def test_initial_configs():
    space = Space(MIXED)
    default = space.default()
    assert space.initial_configs() == space.initial_configs(None) == [default]
    assert space.initial_configs([]) == []
    assert space.initial_configs([{"layers": 3}, {}, {"layers": "3"}, {"layers": 10}, {"lr": 1e-3}]) == [
        default | {"layers": 3},
        default,
        default | {"lr": 1e-3},
    ]
    for wrong in ({"lr": 9}, {"lrr": 1e-3}, [1], "lr"):
        with pytest.raises(InvalidConfig, match=r"^points_to_evaluate\[1\]: "):
            space.initial_configs([{}, wrong])
    for wrong in ({"lr": 1e-3}, "lr", 3):
        with pytest.raises(InvalidConfig, match="not a list"):
            space.initial_configs(wrong)


def test_json_form():
    assert Space({"lr": loguniform(1e-6, 1e-4), "epochs": 100}).to_json() == {
        "lr": {"domain": "loguniform", "lower": 1e-6, "upper": 1e-4},
        "epochs": {"constant": 100},
    }


def test_json_and_pickle_round_trip_exactly():
    space = Space(EVERY)
    text = json.dumps(space.to_json(), allow_nan=False)
    for again in (Space.from_json(json.loads(text)), pickle.loads(pickle.dumps(space))):
        assert again == space
        assert hash(again) == hash(space)
        assert repr(again) == repr(space)
        assert json.dumps(again.to_json()) == text
        assert again.from_units([0.3] * 11) == space.from_units([0.3] * 11)


def test_equality_is_exact_and_blind_to_order():
    assert Space(MIXED) == Space(dict(reversed(MIXED.items())))
    assert Space({"x": uniform(0, 1), "c": 1}) != Space({"x": uniform(0, 1), "c": True})
    assert Space({"x": uniform(0, 1), "c": 1}) != Space({"x": uniform(0, 1), "c": 1.0})
    assert Space({"x": uniform(0, 1)}) != Space({"x": uniform(0, 2)})
    assert Space({"x": uniform(0, 1)}) != {"x": uniform(0, 1)}
    assert repr(Space({"x": randint(1, 2), "c": "a"})) == "Space({'x': randint(1, 2), 'c': 'a'})"


def test_later_changes_of_the_mapping_do_not_reach_the_space():
    given_ = {"x": uniform(0, 1), "c": [1, [2]]}
    space = Space(given_)
    given_["c"][1].append(3)
    del given_["x"]
    assert space == Space({"x": uniform(0, 1), "c": [1, [2]]})
    with pytest.raises(TypeError):
        space.domains["x"] = uniform(0, 2)


def test_one_point():
    space = Space({"x": uniform(3, 3), "c": 1})
    assert space.size == 1
    assert space.from_units([0.9]) == space.default() == space.decode(space.encode([{"x": 3.0}]))[0] == {"x": 3.0}
    seen = Seen(space)
    assert not seen.exhausted
    seen.add({"x": 3.0})
    assert seen.exhausted


def test_one_hyperparameter_has_keys_too():
    space = Space({"s": choice(["a", "b"]), "epochs": 3})
    assert space.key({"s": "a"}) != space.key({"s": "b"})
    assert space.validate({"s": "a"}) == {"s": "a"}
    assert space.full({"s": "b"}) == {"s": "b", "epochs": 3}
    with pytest.raises(InvalidConfig, match="'s' has no value"):
        space.validate({"epochs": 3})


def test_seen():
    space = Space({"a": randint(1, 2), "b": choice(["x", "y"]), "c": 5})
    first = {"a": 1, "b": "x"}
    seen = Seen(space, [first])
    assert first in seen
    assert seen.add(first) is False
    assert seen.add({"b": "y", "a": 1}) is True
    assert {"a": 2, "b": "y"} not in seen
    assert (len(seen), seen.count, seen.exhausted) == (2, 2, False)
    for us in ([0.1, 0.1], [0.9, 0.1], [0.1, 0.9], [0.9, 0.9]):
        seen.add(space.from_units(us))
    assert (seen.count, seen.exhausted) == (4, True)
    assert not Seen(Space({"x": uniform(0, 1)}), [{"x": 0.5}]).exhausted


def test_the_talks_space():
    space = Space({"epochs": 100, "num_layers": randint(1, 20), "learning_rate": loguniform(1e-6, 1e-4)})
    assert space.full(space.default()) == {"epochs": 100, "num_layers": 10, "learning_rate": 1e-5}

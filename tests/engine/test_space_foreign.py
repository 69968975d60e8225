"""Spaces from ConfigSpace and Optuna and to them, against the packages themselves."""

from __future__ import annotations

import warnings
from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from offbeat.config_space import (
    choice,
    finrange,
    logfinrange,
    lograndint,
    loguniform,
    optional,
    ordinal,
    qloguniform,
    qrandint,
    quniform,
    randint,
    require,
    reverseloguniform,
    uniform,
    when,
)
from offbeat.errors import InvalidArgument, InvalidSpace, MissingExtra
from offbeat.space import Expression, Space
from offbeat.space.foreign import to_configspace, to_optuna
from offbeat.space.listing import values_of

HINT = "is not installed: pip install 'offbeat[spaces]'"


@pytest.fixture
def cs() -> Any:
    return pytest.importorskip("ConfigSpace", reason=f"ConfigSpace {HINT}")


@pytest.fixture
def optuna() -> Any:
    return pytest.importorskip("optuna", reason=f"optuna {HINT}")


def legal(cs: Any, theirs: Any, values: dict[str, Any]) -> bool:
    """Whether ConfigSpace takes the values for a complete configuration."""
    given_ = {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}
    try:
        cs.Configuration(theirs, values=given_).check_valid_configuration()
    except (ValueError, KeyError):
        return False
    return True


def agree(cs: Any, ours: Space, theirs: Any, count: int = 60) -> None:
    """Each takes what the other draws."""
    for row in np.random.default_rng(1).random((count, ours.width)):
        config = ours.from_units(row)
        assert legal(cs, theirs, {**ours.constants, **config}), config
    theirs.seed(1)
    for one in theirs.sample_configuration(count):
        values = {name: value.item() if hasattr(value, "item") else value for name, value in dict(one).items()}
        assert ours.validate(values).keys() | ours.constants.keys() == values.keys()


def test_from_configspace(cs: Any) -> None:
    theirs = cs.ConfigurationSpace()
    optimizer = cs.CategoricalHyperparameter("opt:kind", ["adam", "sgd", "none"])
    momentum = cs.UniformFloatHyperparameter("momentum", 0.0, 0.99)
    layers = cs.UniformIntegerHyperparameter("layers", 1, 20)
    width = cs.UniformIntegerHyperparameter("width", 8, 512, log=True)
    lr = cs.UniformFloatHyperparameter("lr", 1e-6, 1e-1, log=True)
    size = cs.OrdinalHyperparameter("size", ["s", "m", "l", "xl"])
    deep = cs.UniformFloatHyperparameter("deep", 0.0, 1.0)
    fixed = cs.Constant("fixed", 0.5)
    epochs = cs.Constant("epochs", 27)
    flag = cs.CategoricalHyperparameter("flag", [True, False])
    theirs.add([optimizer, momentum, layers, width, lr, size, deep, fixed, epochs, flag])
    theirs.add(cs.EqualsCondition(momentum, optimizer, "sgd"))
    theirs.add(cs.InCondition(fixed, optimizer, ["adam", "sgd"]))
    theirs.add(cs.GreaterThanCondition(lr, momentum, 0.2))
    either = cs.OrConjunction(cs.LessThanCondition(deep, size, "l"), cs.NotEqualsCondition(deep, flag, True))
    theirs.add(cs.AndConjunction(either, cs.GreaterThanCondition(deep, layers, 3)))
    theirs.add(
        cs.ForbiddenAndConjunction(
            cs.ForbiddenEqualsClause(optimizer, "none"), cs.ForbiddenGreaterThanClause(layers, 10)
        )
    )
    theirs.add(cs.ForbiddenInClause(size, ["xl"]))
    theirs.add(cs.ForbiddenLessThanRelation(width, layers))
    theirs.add(
        cs.ForbiddenOrConjunction(cs.ForbiddenLessThanClause(momentum, 0.1), cs.ForbiddenEqualsClause(width, 100))
    )
    ours = Space.from_configspace(theirs)
    assert ours.domains == {
        "deep": uniform(0, 1), "fixed": choice([0.5]), "flag": choice([True, False]), "layers": randint(1, 20),
        "lr": loguniform(1e-6, 1e-1), "momentum": uniform(0, 0.99), "opt:kind": choice(["adam", "sgd", "none"]),
        "size": ordinal(["s", "m", "l", "xl"], "equal"), "width": lograndint(8, 512),
    }  # fmt: skip
    assert ours.constants == {"epochs": 27}
    assert {name: str(one) for name, one in ours.conditions.items()} == {
        "deep": "(size in ['s', 'm'] or flag != True) and layers > 3",
        "fixed": "`opt:kind` in ['adam', 'sgd']",
        "lr": "momentum > 0.2",
        "momentum": "`opt:kind` == 'sgd'",
    }
    assert set(map(str, ours.constraints.values())) == {
        "not (`opt:kind` == 'none' and layers > 10)", "not size in ['xl']", "not width < layers", "not momentum < 0.1",
        "not width == 100",
    }  # fmt: skip
    agree(cs, ours, theirs)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda cs: cs.NormalFloatHyperparameter("x", 0.0, 1.0, -1, 1), ["'x'", "NormalFloat", "uniform"]),
        (lambda cs: cs.CategoricalHyperparameter("x", ["a", "b"], weights=[1, 2]), ["'x'", "weights"]),
        (lambda cs: cs.CategoricalHyperparameter("x", ["a", 1]), ["'x'", "mixes"]),
        (lambda cs: cs.UniformFloatHyperparameter("st_x", 0, 1), ["'st_x'", "reserved"]),
    ],
)
def test_what_configspace_has_and_we_have_not(cs: Any, make: Any, words: list[str]) -> None:
    theirs = cs.ConfigurationSpace()
    theirs.add(make(cs))
    with pytest.raises(InvalidSpace) as error:
        Space.from_configspace(theirs)
    assert all(word in str(error.value) for word in words), str(error.value)


def test_relations_of_what_is_no_number(cs: Any) -> None:
    theirs = cs.ConfigurationSpace()
    sizes = [cs.OrdinalHyperparameter(name, ["s", "m"]) for name in "ab"]
    theirs.add(sizes)
    theirs.add(cs.ForbiddenLessThanRelation(*sizes))
    with pytest.raises(InvalidSpace, match="'a', which is no number"):
        Space.from_configspace(theirs)


def test_wrong_objects(cs: Any, optuna: Any) -> None:
    with pytest.raises(InvalidArgument, match=r"\{'x': 3\} is no ConfigSpace.ConfigurationSpace"):
        Space.from_configspace({"x": 3})
    with pytest.raises(InvalidArgument, match="is no mapping"):
        Space.from_optuna([3])  # type: ignore[arg-type]
    with pytest.raises(InvalidSpace, match=r"'x': uniform\(0.0, 1.0\) is no distribution of Optuna"):
        Space.from_optuna({"x": uniform(0, 1)})


@pytest.mark.parametrize(
    ("use", "name"),
    [
        (Space.from_configspace, "ConfigSpace"),
        (Space.from_optuna, "optuna"),
        (to_configspace, "ConfigSpace"),
        (to_optuna, "optuna"),
    ],
)
def test_without_the_packages(monkeypatch: pytest.MonkeyPatch, use: Any, name: str) -> None:
    for module in ("ConfigSpace", "optuna", "optuna.distributions"):
        monkeypatch.setitem(__import__("sys").modules, module, None)
    with pytest.raises(MissingExtra, match=rf"{name} needs more packages: pip install 'offbeat\[spaces\]'"):
        use(Space({"x": uniform(0, 1)}))


def test_to_configspace(cs: Any) -> None:
    ours = Space(
        {
            "optimizer": choice(["adam", "sgd", None]),
            "momentum": when(uniform(0, 0.99), "optimizer == 'sgd'"),
            "nesterov": when(choice([True, False]), "momentum >= 0.5 and not depth in [3, 4]"),
            "depth": randint(1, 10),
            "lr": loguniform(1e-6, 1e-1),
            "batch": lograndint(8, 512),
            "sizes": choice([[1, 2], [3]]),
            "grid": when(finrange(0, 1, 5), "nesterov or 2.5 < depth"),
            "steps": qrandint(0, 10, 2),
            "one": uniform(3, 3),
            "order": ordinal(["s", "m", "l"]),
            "epochs": 9,
            "rule 1": require("not (depth > 5 and optimizer == None)"),
            "rule 2": require("depth <= epochs and momentum != 0.5"),
            "rule 3": require("depth < batch or nesterov"),
            "rule 4": require("steps > 2 and depth != 7"),
        }
    )
    theirs = to_configspace(ours)
    assert theirs["lr"].log
    assert theirs["epochs"].value == 9
    agree(cs, ours, theirs)
    again = Space.from_configspace(theirs)
    assert again.domains["lr"] == ours.domains["lr"]
    assert again.conditions["momentum"] == ours.conditions["momentum"]
    agree(cs, again, theirs)


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        ({"x": reverseloguniform(0, 0.9)}, ["'x'", "reverseloguniform", "another scale"]),
        ({"x": qloguniform(1, 8, 1)}, ["'x'", "qloguniform"]),
        ({"x": ordinal([1, 2, 4])}, ["'x'", "kind='equal'"]),
        ({"x": optional(uniform(0, 1))}, ["'x'", "optional", "condition"]),
        ({"x": randint(1, 9), "c": [1, 2]}, ["'c'", "numbers or texts"]),
        ({"x": randint(1, 9), "y": randint(1, 9), "r": require("x * y < 20")}, ["'r'", "x * y < 20", "only single"]),
        ({"x": randint(1, 9), "y": when(randint(1, 9), "x > z"), "z": randint(1, 9)}, ["'y'", "compares two"]),
        ({"x": choice(["a", "b"]), "y": choice(["b"]), "r": require("x != y")}, ["'r'", "two ranges of numbers"]),
        ({"x": randint(1, 9), "y": when(randint(1, 9), "x > 0")}, ["'y'", "holds always"]),
        ({"x": randint(1, 9), "y": when(randint(1, 9), "x > 9")}, ["'y'", "holds never"]),
    ],
)
def test_what_configspace_cannot_say(cs: Any, entries: dict[str, Any], words: list[str]) -> None:
    with pytest.raises(InvalidSpace) as error:
        to_configspace(Space(entries))
    assert all(word in str(error.value) for word in words), str(error.value)


def atoms() -> st.SearchStrategy[str]:
    signs = ["==", "!=", "<", "<=", ">", ">="]
    number = st.tuples(st.sampled_from("abc"), st.sampled_from(signs), st.sampled_from(["1", "2", "3"])).map(" ".join)
    listed = st.tuples(st.sampled_from("abc"), st.sampled_from(["in", "not in"]), st.sampled_from(["[1, 2]", "[3]"]))
    return st.one_of(
        number,
        number.map(lambda text: text.replace(text[-1], "2.5") if "=" not in text.split()[1] else text),
        listed.map(" ".join),
        st.sampled_from(["t == 'u'", "t != 'v'", "t in ['u', 'v']", "g", "not g", "b <= c", "c != b", "2 > b"]),
    )


EXPRESSIONS = st.recursive(
    atoms(),
    lambda part: (
        st.tuples(part, st.sampled_from(["and", "or"]), part).map(lambda t: f"({t[0]}) {t[1]} ({t[2]})")
        | part.map(lambda text: f"not ({text})")
    ),
    max_leaves=4,
)


@settings(max_examples=60)
@given(st.data())
def test_configspace_allows_the_same_configurations(data: st.DataObject) -> None:
    cs = pytest.importorskip("ConfigSpace", reason=f"ConfigSpace {HINT}")
    pool = {
        "a": ordinal([1, 2, 3], "equal"), "b": randint(1, 3), "c": lograndint(1, 3), "t": choice(["u", "v", "w"]),
        "g": choice([True, False]),
    }  # fmt: skip
    entries: dict[str, Any] = dict(pool)
    child = data.draw(st.sampled_from([None, *pool]))
    condition, rules = data.draw(EXPRESSIONS), data.draw(st.lists(EXPRESSIONS, max_size=2))
    if child is not None:
        assume(child not in Expression(condition).names)
        entries[child] = when(pool[child], condition)
    entries |= {f"rule {i}": require(rule) for i, rule in enumerate(rules)}
    try:
        ours = Space(entries)
        theirs = to_configspace(ours)
    except InvalidSpace:  # empty, or without a counterpart
        assume(False)
    listed = {ours.key(config) for config in ours.grid()}
    every = [[*values_of(domain), ...] for domain in ours.domains.values()]
    taken = set()
    for values in product(*every):
        config = {name: value for name, value in zip(ours.domains, values, strict=True) if value is not ...}
        if config.keys() | ours.conditions.keys() == ours.domains.keys() and legal(cs, theirs, config):
            taken.add(ours.key(config))
    assert taken == listed


def test_optuna_there_and_back(optuna: Any) -> None:
    ours = Space(
        {
            "lr": loguniform(1e-6, 1e-1), "x": uniform(-1, 2), "n": randint(1, 20), "m": lograndint(1, 99),
            "kind": choice(["a", "b"]), "mixed": choice([None, True]), "q": quniform(0, 1, 0.1), "w": qrandint(4, 20, 4),
            "g": finrange(0.05, 0.95, 7), "one": uniform(3, 3), "epochs": 9,
        }
    )  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        theirs = to_optuna(ours)
    assert "epochs" not in theirs
    again = Space.from_optuna(theirs)
    assert {name: again.domains[name] for name in again.domains if name != "g"} == {
        name: domain for name, domain in ours.domains.items() if name != "g"
    }
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1))
    for _ in range(30):
        drawn = study.ask(theirs).params
        assert ours.validate(drawn).keys() == drawn.keys()
        assert again.validate(drawn).keys() == drawn.keys()
    for row in np.random.default_rng(1).random((30, ours.width)):
        config = ours.from_units(row)
        for name, distribution in theirs.items():
            assert distribution._contains(distribution.to_internal_repr(config[name])), (name, config[name])


def test_from_optuna(optuna: Any) -> None:
    made = optuna.distributions
    ours = Space.from_optuna(
        {
            "a": made.FloatDistribution(0.1, 0.7, step=0.2), "b": made.FloatDistribution(0.2, 0.8, step=0.2),
            "c": made.IntDistribution(1, 9, step=4), "d": made.IntDistribution(4, 12, step=4),
            "e": made.IntDistribution(3, 3), "f": made.FloatDistribution(1e9 + 0.25, 1e9 + 1.25, step=0.5),
        }
    )  # fmt: skip
    assert ours.domains == {
        "a": finrange(0.1, 0.7, 4), "b": quniform(0.2, 0.8, 0.2), "c": finrange(1, 9, 3, cast_int=True),
        "d": qrandint(4, 12, 4), "e": randint(3, 3), "f": finrange(1e9 + 0.25, 1e9 + 1.25, 3),
    }  # fmt: skip
    with pytest.raises(InvalidSpace, match=r"'x': choice: .* mixes"):
        Space.from_optuna({"x": made.CategoricalDistribution(["a", 1])})


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        ({"x": reverseloguniform(0, 0.9)}, ["'x'", "reverseloguniform"]),
        ({"x": qloguniform(1, 8, 1)}, ["'x'", "qloguniform"]),
        ({"x": logfinrange(1, 8, 4)}, ["'x'", "logfinrange"]),
        ({"x": ordinal([1, 2])}, ["'x'", "ordinal"]),
        ({"x": optional(uniform(0, 1))}, ["'x'", "optional"]),
        ({"x": choice([[1], [2]])}, ["'x'", "[[1], [2]]"]),
        ({"x": finrange(0, 1, 4)}, ["'x'", "finrange", "no decimal"]),
        ({"x": quniform(0, 1, 1 / 3)}, ["'x'", "quniform", "no decimal"]),
        ({"x": randint(1, 2), "y": when(randint(1, 2), "x == 1")}, ["'y'", "x == 1", "decide it in the objective"]),
        ({"x": randint(1, 2), "y": require("x == 1")}, ["'y'", "x == 1"]),
    ],
)
def test_what_optuna_cannot_say(optuna: Any, entries: dict[str, Any], words: list[str]) -> None:
    with pytest.raises(InvalidSpace) as error:
        to_optuna(Space(entries))
    assert all(word in str(error.value) for word in words), str(error.value)

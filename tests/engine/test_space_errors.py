"""Every way to build a domain or a space wrongly, and what the error says."""

import math

import numpy as np
import pytest

from offbeat.config_space import (
    choice,
    finrange,
    logfinrange,
    logordinal,
    lograndint,
    loguniform,
    optional,
    ordinal,
    qlograndint,
    qloguniform,
    qrandint,
    quniform,
    randint,
    reverseloguniform,
    uniform,
)
from offbeat.errors import InvalidSpace
from offbeat.space import Space, domain_from_json

loop: list = []
loop.append(loop)


class Foreign:
    def sample(self):
        return 1


WRONG = [
    (lambda: uniform(1, 0), "swap them"),
    (lambda: uniform(None, 1), "lower=None is not usable; give a finite number"),
    (lambda: uniform(0, True), "upper=True"),
    (lambda: uniform("0", 1), "lower='0'"),
    (lambda: uniform(0, math.inf), "upper=inf"),
    (lambda: uniform(math.nan, 1), "lower=nan"),
    (lambda: uniform(0, 10**400), "finite number"),
    (lambda: uniform(-1e308, 1e308), "too far apart"),
    (lambda: loguniform(0, 1), "raise lower above 0 or use uniform"),
    (lambda: loguniform(-1, 1), "raise lower above 0"),
    (lambda: reverseloguniform(0.5, 1), "0 <= x < 1"),
    (lambda: reverseloguniform(-0.1, 0.5), "0 <= x < 1"),
    (lambda: randint(1.5, 3), "lower=1.5 is not usable; give a whole number"),
    (lambda: randint(5, 3), "swap them"),
    (lambda: randint(0, math.inf), "whole number"),
    (lambda: randint(False, 3), "whole number"),
    (lambda: randint(0, 2**51), "scale the value in the script"),
    (lambda: lograndint(0, 3), "use randint"),
    (lambda: lograndint(1, 2**41), "limited to"),
    (lambda: choice([]), "give one value at least"),
    (lambda: choice("abc"), r"write choice\(\[...\]\)"),
    (lambda: choice(3), "not a list"),
    (lambda: choice({"a": 1}), "not a list"),
    (lambda: choice(["a", 1]), "mixes int and str"),
    (lambda: choice([True, 1]), "mixes bool and int"),
    (lambda: choice([None, "a", 1]), "mixes int and str"),
    (lambda: choice([None, None, "a"]), "None stands in the list twice"),
    (lambda: ordinal([None, 1]), r"write optional\(...\) around"),
    (lambda: ordinal([[1], [2]]), "lists stand in choice"),
    (lambda: choice([math.nan, 1.0]), "finite numbers, text or booleans"),
    (lambda: choice([[1], 2]), "2 is no list; give lists only"),
    (lambda: choice([[1], [1.0]]), "twice"),
    (lambda: choice([[1], (1,)]), "twice"),
    (lambda: choice([[math.nan]]), "finite numbers"),
    (lambda: choice([[{}]]), "cannot stand in a list"),
    (lambda: choice([["a\0"]]), "NUL"),
    (lambda: choice([loop]), "nested more than 20"),
    (lambda: optional(3), "3 is no domain"),
    (lambda: optional(uniform), "no domain"),
    (lambda: optional(optional(uniform(0, 1))), "has None already"),
    (lambda: optional(choice([None, 1])), "has None already"),
    (lambda: optional(uniform(0, 1), 0), "none=0 is no share"),
    (lambda: optional(uniform(0, 1), none=1.0), "between 0 and 1"),
    (lambda: optional(uniform(0, 1), none="half"), "between 0 and 1"),
    (lambda: choice(["a", "a"]), "stands in the list twice"),
    (lambda: choice([1, 1.0, 2.5]), "twice"),
    (lambda: choice(["a\0"]), "NUL"),
    (lambda: choice(["\ud800"]), "surrogate"),
    (lambda: ordinal([]), "ordinal: the list"),
    (lambda: ordinal([1, 2], "nnlog"), "Did you mean 'nn-log'"),
    (lambda: ordinal([2, 1], "nn"), "needs increasing numbers"),
    (lambda: ordinal(["a", "b"], "nn"), "needs increasing numbers"),
    (lambda: logordinal([0, 1]), "has no logarithm"),
    (lambda: logordinal([0]), "has no logarithm"),
    (lambda: finrange(0, 1, 0), "size=0"),
    (lambda: finrange(0, 1, 10**7), "size=10000000"),
    (lambda: finrange(0, 1, 2.5), "whole number"),
    (lambda: finrange(0, 1, 1), "equal bounds go with size=1"),
    (lambda: finrange(1, 1, 2), "equal bounds go with size=1"),
    (lambda: finrange(1, 0, 2), "swap"),
    (lambda: finrange(0, 3, 20, cast_int=True), "rounding leaves 4 different values of 20"),
    (lambda: finrange(0, 3, 2, cast_int="yes"), "give True or False"),
    (lambda: logfinrange(0, 1, 2), "use finrange"),
    (lambda: quniform(0, 1, 0), "not a step"),
    (lambda: quniform(0, 1, -1), "not a step"),
    (lambda: quniform(0, 1, None), "q=None"),
    (lambda: quniform(0.1, 0.2, 1), "no multiple of q=1.0"),
    (lambda: quniform(0, 1e300, 1e-300), "too small"),
    (lambda: quniform(0, 1e20, 1), "limited to"),
    (lambda: qloguniform(0, 1, 0.1), "use quniform"),
    (lambda: qrandint(0, 5, 1.5), "whole number"),
    (lambda: qrandint(4, 5, 3), "no multiple"),
    (lambda: qlograndint(0, 5, 1), "use qrandint"),
]


@pytest.mark.parametrize(("build", "message"), WRONG)
def test_domains(build, message):
    with pytest.raises(InvalidSpace, match=message):
        build()


@pytest.mark.parametrize("make", [uniform, loguniform, randint, lograndint])
def test_equal_bounds_are_one_point(make):
    assert make(3, 3).from_unit(0.7) == 3
    assert make(3, 3).size == 1


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("", "name each entry"),
        (3, "name each entry"),
        (None, "name each entry"),
        ("a\nb", "cannot be printed"),
        ("a\0", "cannot be printed"),
        ("a\ud800", "cannot be printed"),
        ("a=b", "'='"),
        ("-a", "'-' in front"),
        ("--lr", "'-' in front"),
        ("a/b", "path separator"),
        ("a\\b", "path separator"),
        ("../x", "path separator"),
        ("..", r"'\.\.'"),
        (" a", "blank at an end"),
        ("st_lr", "reserved"),
    ],
)
@pytest.mark.parametrize("entry", [uniform(0, 1), 3], ids=["domain", "constant"])
def test_names(name, message, entry):
    with pytest.raises(InvalidSpace, match=message):
        Space({"x": uniform(0, 1), name: entry})


@pytest.mark.parametrize("name", ["learning rate", "l'r", 'say "x"', "größe", "a.b", "a-b", "lr;rm", "$HOME"])
def test_names_that_an_argument_list_can_carry(name):
    assert list(Space({name: uniform(0, 1)}).domains) == [name]


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        (Foreign(), "build it with offbeat.config_space"),
        (loguniform, "Call it with its bounds"),
        ((1, 2), r"choice\(\[...\]\)"),
        ({1, 2}, "choice"),
        (range(3), "choice"),
        (math.nan, "finite"),
        ([1.0, math.inf], "finite"),
        ({1: 2}, "neither"),
        (b"x", "JSON type"),
        (np.int64(3), r"value.item\(\)"),
        (np.float64(3), r"neither"),
        (object(), "JSON type"),
        ("a\0b", "NUL"),
        ({"k": ["\ud800"]}, "surrogate"),
        (loop, "nested more than 50"),
    ],
)
def test_constants(entry, message):
    with pytest.raises(InvalidSpace, match=message) as error:
        Space({"x": uniform(0, 1), "other": entry})
    assert "'other'" in str(error.value)


def test_nothing_to_search():
    with pytest.raises(InvalidSpace, match="nothing to search; add a hyperparameter"):
        Space({})
    with pytest.raises(InvalidSpace, match=r"only constants \('a', 'b'\) to search"):
        Space({"a": 1, "b": 2})
    with pytest.raises(InvalidSpace, match="is a mapping"):
        Space([("a", uniform(0, 1))])


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (3, "describes no domain"),
        ({}, "describes no domain"),
        ({"domain": "unifrom"}, "Did you mean 'uniform'"),
        ({"domain": ["uniform"]}, "No domain"),
        ({"domain": "uniform", "lower": 0}, "lacks 'upper'"),
        ({"domain": "uniform", "lower": 0, "uper": 1}, "Did you mean 'upper'"),
        ({"domain": "uniform", "lower": 1, "upper": 0}, "swap"),
        ({"domain": "choice", "values": "ab"}, "not a list"),
        ({"domain": "optional", "of": 3}, "3 is no domain"),
        ({"domain": "optional", "of": {"domain": "unifrom"}}, "Did you mean 'uniform'"),
    ],
)
def test_json(data, message):
    with pytest.raises(InvalidSpace, match=message):
        domain_from_json(data)
    with pytest.raises(InvalidSpace, match=message) as error:
        Space.from_json({"lr": data})
    assert str(error.value).startswith("'lr': ")


def test_json_of_no_space():
    with pytest.raises(InvalidSpace, match="describes no space"):
        Space.from_json([])


def test_messages_stay_short():
    with pytest.raises(InvalidSpace) as error:
        choice(["x" * 1_000_000, 3])
    assert len(str(error.value)) < 500

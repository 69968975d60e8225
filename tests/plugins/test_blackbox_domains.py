"""Domains in the JSON of blackbox repositories: the table of counterparts, both ways, and what the format cannot say."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offbeat.config_space import (
    choice,
    finrange,
    logfinrange,
    logordinal,
    lograndint,
    loguniform,
    optional,
    ordinal,
    qloguniform,
    qrandint,
    quniform,
    randint,
    reverseloguniform,
    uniform,
    when,
)
from offbeat.errors import InvalidArgument, InvalidSpace
from offbeat.space import Domain, Space
from offbeat_plugins.blackboxes.repository.domains import domain_from_json, entries_from_json, entries_to_json

LOG = {"sampler_cls": "LogUniform", "sampler_kwargs": {"base": math.e}}
UNIFORM: dict[str, Any] = {"sampler_cls": "Uniform", "sampler_kwargs": {}}


def described(kind: str, sampler: dict[str, Any] | None, **arguments: Any) -> dict[str, Any]:
    return {"domain_cls": kind, "domain_kwargs": arguments, **(sampler or {})}


COUNTERPARTS = [
    (uniform(0, 0.5), described("Float", UNIFORM, lower=0.0, upper=0.5)),
    (loguniform(1e-4, 0.1), described("Float", LOG, lower=1e-4, upper=0.1)),
    (reverseloguniform(0.9, 0.999), described("Float", LOG, lower=0.9, upper=0.999)),
    (randint(1, 20), described("Integer", UNIFORM, lower=1, upper=20)),
    (lograndint(8, 512), described("Integer", LOG, lower=8, upper=512)),
    (choice(["relu", "tanh"]), described("Categorical", UNIFORM, categories=["relu", "tanh"])),
    (choice([0.1, 0.2]), described("Categorical", UNIFORM, categories=[0.1, 0.2])),
    (ordinal(["s", "m", "l"], kind="equal"), described("Ordinal", UNIFORM, categories=["s", "m", "l"])),
    (ordinal([1, 2, 5]), described("OrdinalNearestNeighbor", None, categories=[1, 2, 5], log_scale=False)),
    (logordinal([1, 2, 4]), described("OrdinalNearestNeighbor", None, categories=[1, 2, 4], log_scale=True)),
    (
        finrange(0.0, 0.6, 3),
        described("FiniteRange", None, lower=0.0, upper=0.6, log_scale=False, cast_int=False, size=3),
    ),
    (
        logfinrange(8, 64, 4, cast_int=True),
        described("FiniteRange", None, lower=8.0, upper=64.0, log_scale=True, cast_int=True, size=4),
    ),
]


@pytest.mark.parametrize(("domain", "data"), COUNTERPARTS, ids=lambda value: repr(value)[:40])
def test_each_domain_has_its_counterpart(domain: Domain, data: dict[str, Any]) -> None:
    assert entries_to_json(Space({"x": domain})) == {"x": data}
    assert domain_from_json(json.loads(json.dumps(data))) == domain


@pytest.mark.parametrize(
    ("lower", "upper", "reverse"),
    [
        (0.9, 0.999, True), (0.5, 0.99, True), (0.0, 0.99, True),
        (0.1, 0.99, False), (1e-6, 0.1, False), (0.5, 1.0, False), (0.1, 0.15, False), (1.0, 8.0, False),
    ],
)  # fmt: skip
def test_log_stands_for_two_scales_and_a_rule_says_which(lower: float, upper: float, reverse: bool) -> None:
    found = domain_from_json(described("Float", LOG, lower=lower, upper=upper))
    assert found == (reverseloguniform if reverse else loguniform)(lower, upper)


@pytest.mark.parametrize(
    "domain",
    [
        loguniform(0.9, 0.999), reverseloguniform(0.1, 0.9), quniform(0, 1, 0.1), qloguniform(0.1, 1.6, 0.1), qrandint(0, 9, 3),
        optional(uniform(0, 1)), optional(choice([1, 2]), none=0.25), when(uniform(0, 1), "parent == 'a'"),
    ],
    ids=lambda value: repr(value)[:40],
)  # fmt: skip
def test_what_the_format_cannot_say_stands_beside_it(domain: Any, tmp_path: Any) -> None:
    space = Space({"x": domain, "parent": choice(["a", "b"])})
    data = json.loads(json.dumps(entries_to_json(space)))
    assert Space(entries_from_json(data, tmp_path)) == space
    # Another reader finds a domain of its own.
    theirs = {key: value for key, value in data["x"].items() if key != "offbeat"}
    assert isinstance(domain_from_json(theirs), Domain)


BOUND = st.integers(1, 10**6)


@given(
    st.one_of(
        st.tuples(BOUND, BOUND).filter(lambda b: b[0] < b[1]).flatmap(
            lambda b: st.sampled_from([randint(*b), lograndint(*b), uniform(*b), loguniform(*b)])
        ),
        st.tuples(st.floats(0.0, 0.99), st.floats(0.0, 0.99)).filter(lambda b: b[0] + 0.001 < b[1]).flatmap(
            lambda b: st.sampled_from([uniform(*b), reverseloguniform(*b)])
        ),
        st.lists(st.one_of(st.integers(-99, 99)), min_size=1, max_size=6, unique=True).flatmap(
            lambda v: st.sampled_from([choice(v), ordinal(v, kind="equal"), ordinal(sorted(v))])
        ),
        st.lists(st.text("abc1. ", min_size=1), min_size=1, max_size=6, unique=True).map(choice),
        st.lists(st.sampled_from([True, False, None]), min_size=1, unique=True).map(choice),
    )
)  # fmt: skip
def test_every_domain_comes_back(domain: Domain) -> None:
    from pathlib import Path

    space = Space({"x": domain})
    assert Space(entries_from_json(json.loads(json.dumps(entries_to_json(space))), Path("configspace.json"))) == space


def test_constants_stand_bare_or_are_left_to_the_metadata(tmp_path: Any) -> None:
    """Other readers count the entries: there have to be as many as columns."""
    x = described("Float", UNIFORM, lower=0.0, upper=1.0)
    assert entries_from_json({"x": x, "hp_epoch": 9}, tmp_path) == {"x": uniform(0, 1), "hp_epoch": 9}
    assert entries_to_json(Space({"epochs": 9, "x": uniform(0, 1)})) == {"x": x}


def test_categories_of_several_types_become_text_each_once() -> None:
    found = domain_from_json(described("Categorical", UNIFORM, categories=["auto", 1, 2.0, 0.5, True, None, "1"]))
    assert found == choice(["auto", "1", "2", "0.5", "True", None])


def test_what_cannot_be_read_or_written_is_explained() -> None:
    for data, said in (
        ({"domain_cls": "Integr"}, "Did you mean 'Integer'"),
        ({"domain_cls": "Integer"}, "domain_kwargs is None"),
        (described("Categorical", UNIFORM, categories="ab"), "categories is 'ab'; a list is needed"),
        (described("Float", {"sampler_cls": "Quantized"}, lower=0, upper=1), "'Quantized' has no counterpart"),
        (described("Float", LOG, lower=-1, upper=1), "loguniform"),
    ):
        with pytest.raises(InvalidSpace, match=said):
            domain_from_json(data)
    with pytest.raises(InvalidArgument, match="lists for values"):
        entries_to_json(Space({"x": choice([[1], [2, 3]])}))

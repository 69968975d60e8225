"""Spaces made at random, with conditions and constraints: what has to hold for every one of them."""

from __future__ import annotations

import json
import pickle
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from offbeat.config_space import choice, loguniform, optional, ordinal, randint, require, uniform, when
from offbeat.errors import InvalidSpace
from offbeat.events import Suggested
from offbeat.protocols import ProposalRequest
from offbeat.space import Expression, Seen, Space, search
from offbeat.trial import TrialId
from offbeat_plugins.searchers.random import RandomSearcher

FINITE = [
    randint(1, 3), choice(["u", "v", "w"]), choice([True, False]), choice([None, "u"]), choice([[1], [2, 2]]),
    optional(randint(1, 2)), ordinal([1, 2, 4]),
]  # fmt: skip
INFINITE = [uniform(0, 1), loguniform(0.01, 1), optional(uniform(0, 2), none=0.25)]
NAMES = ("a", "b c", "d", "e", "f")


def leaf(name: str, domain: Any) -> st.SearchStrategy[str]:
    """A comparison of one hyperparameter."""
    written = name if name.isidentifier() else f"`{name}`"
    value = st.sampled_from([domain.from_unit(u) for u in (0.05, 0.4, 0.7, 0.95)])
    equal = st.tuples(st.sampled_from(["==", "!="]), value).map(lambda t: f"{written} {t[0]} {t[1]!r}")
    member = st.tuples(st.sampled_from(["in", "not in"]), st.lists(value, min_size=1, max_size=2)).map(
        lambda t: f"{written} {t[0]} {t[1]!r}"
    )
    if domain.value_type in (int, float):
        order = st.tuples(
            st.sampled_from([written, f"{written} * 2 - 0.5", f"-(1 + {written}) / 3"]),
            st.sampled_from(["<", "<=", ">", ">="]),
            st.sampled_from(["0.3", "1", "2", "-0.7"]),
        ).map(" ".join)
        return st.one_of(equal, member, order)
    return equal | member


def expression(domains: dict[str, Any]) -> st.SearchStrategy[str]:
    leaves = st.one_of(*[leaf(name, domain) for name, domain in domains.items()])
    return st.recursive(
        leaves,
        lambda part: st.one_of(
            st.tuples(part, st.sampled_from(["and", "or"]), part).map(lambda t: f"({t[0]}) {t[1]} ({t[2]})"),
            part.map(lambda text: f"not ({text})"),
        ),
        max_leaves=3,
    )


@st.composite
def spaces(draw: st.DrawFn, *, finite: bool = False) -> Space:
    pool = st.sampled_from(FINITE if finite else FINITE + INFINITE)
    names = draw(st.permutations(NAMES))[: draw(st.integers(2, 5))]
    domains = {name: draw(pool) for name in names}
    entries: dict[str, Any] = {"constant": 3, "data": {"x": [1, None]}}
    for i, name in enumerate(names):
        parents = dict(list(domains.items())[:i])
        conditional = parents and draw(st.booleans())
        entries[name] = when(domains[name], draw(expression(parents))) if conditional else domains[name]
    for i in range(draw(st.integers(0, 2))):
        entries[f"rule {i}"] = require(draw(expression(domains)))
    try:
        return Space(entries)
    except InvalidSpace as error:
        assume("is empty" not in str(error))
        raise


@pytest.fixture(scope="module", autouse=True)
def few_redraws() -> Iterator[None]:
    """Empty infinite spaces are part of what is made here; to find that out is to take less time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(search, "MOST_REDRAWS", 5000)
        yield


def rows(space: Space, count: int = 6) -> list[list[float]]:
    drawn: list[list[float]] = np.random.default_rng(5).random((count, space.width)).tolist()
    return drawn


def allowed_by_python(space: Space, config: dict[str, Any]) -> bool:
    """Conditions and constraints by Python's own evaluation, as far as it goes without the rules for what is absent."""
    values = {name.replace(" ", "_"): value for name, value in config.items()}

    def holds(one: Expression, otherwise: bool) -> bool:
        if any(name not in config for name in one.names) or any(config[name] is None for name in one.names):
            return otherwise
        return bool(eval(one.text.replace("`b c`", "b_c"), {}, values))

    active = all(holds(one, name in config) is (name in config) for name, one in space.conditions.items())
    return active and all(holds(one, True) for one in space.constraints.values())


@given(spaces())
def test_every_draw_is_valid_and_repeats(space: Space) -> None:
    again = Space.from_json(json.loads(json.dumps(space.to_json())))
    for row in rows(space):
        config = space.from_units(row)
        assert repr(space.validate(config)) == repr(config)
        assert repr(space.validate(dict(reversed(config.items())))) == repr(config)
        assert list(config) == sorted(config)
        assert set(config) <= set(space.domains)
        assert set(space.domains) - set(config) <= set(space.conditions)
        assert allowed_by_python(space, config)
        assert repr(again.from_units(row)) == repr(config)
        assert repr(pickle.loads(pickle.dumps(space)).from_units(np.array(row))) == repr(config)
        assert set(space.full(config)) == {*config, "constant", "data"}
        assert repr(space.complete(config)) == repr(config)


@given(spaces())
def test_codes_there_and_back(space: Space) -> None:
    configs = [space.from_units(row) for row in rows(space)]
    codes = space.encode(configs)
    assert codes.shape == (len(configs), space.dimension)
    assert ((codes >= 0) & (codes <= 1)).all()
    assert repr(space.decode(codes)) == repr(configs)
    for config, row in zip(configs, codes, strict=True):
        for name in space.domains:
            if name not in config:
                assert (row[space.columns[name]] == 0.5).all()


@given(spaces(), st.integers(0, 100))
def test_any_code_decodes_to_a_valid_configuration(space: Space, seed: int) -> None:
    codes = np.random.default_rng(seed).uniform(-0.5, 1.5, (3, space.dimension))
    for config in space.decode(codes):
        assert repr(space.validate(config)) == repr(config)
    assert repr(space.decode(codes)) == repr(space.decode(codes))


@given(spaces())
def test_keys_are_equal_iff_configurations_are(space: Space) -> None:
    configs = [space.from_units(row) for row in rows(space, 12)]
    for one in configs:
        for other in configs:
            assert (space.key(one) == space.key(other)) == (repr(one) == repr(other))


@given(spaces())
def test_defaults_and_partial_configurations(space: Space) -> None:
    default = space.default()
    assert repr(space.validate(default)) == repr(default)
    for row in rows(space, 3):
        config = space.from_units(row)
        for name in config:
            rest = {other: value for other, value in config.items() if other != name}
            completed = space.complete(rest)
            assert repr(space.validate(completed)) == repr(completed)
            assert {other: completed[other] for other in rest} == rest


@given(spaces())
def test_json_equality_and_repr(space: Space) -> None:
    text = json.dumps(space.to_json(), allow_nan=False)
    again = Space.from_json(json.loads(text))
    assert again == space
    assert hash(again) == hash(space)
    assert (json.dumps(again.to_json()), repr(again)) == (text, repr(space))
    assert again.conditions == space.conditions
    assert again.size == space.size


@settings(max_examples=40)
@given(spaces(finite=True))
def test_finite_spaces_are_listed_counted_and_exhausted(space: Space) -> None:
    listed = list(space.grid())
    keys = {space.key(space.validate(config)) for config in listed}
    assert len(keys) == len(listed) == space.size
    drawn = {space.key(space.from_units(row)) for row in rows(space, 20)}
    assert drawn <= keys
    searcher, seen = RandomSearcher(space), Seen(space)
    for number in range(len(listed) + 1):
        config = searcher.propose(ProposalRequest(number, 0, 7))
        if config is None:
            break
        assert seen.add(config)
        searcher.observe(Suggested(0.0, number, "start", TrialId(number), config))
    assert seen.count == len(listed)
    assert seen.exhausted

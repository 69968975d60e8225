"""None and lists as values: what is drawn, taken, written, and whose list it is."""

from __future__ import annotations

import json
from typing import Any

import pytest

from offbeat.config_space import choice, finrange, loguniform, optional, ordinal, randint, uniform
from offbeat.errors import InvalidConfig
from offbeat.space import ListChoice, Nullable, Space, domain_from_json

SIZES = choice([[64, 64], [128], []])


def test_none_among_the_values_of_a_choice() -> None:
    domain = choice([None, "cosine", "step"])
    assert [domain.from_unit(u) for u in (0.1, 0.5, 0.9)] == [None, "cosine", "step"]
    assert (domain.default, domain.size, domain.width, domain.value_type) == (None, 3, 3, str)
    assert domain.encode(None) == (1.0, 0.0, 0.0)
    assert domain.checked(None) is None
    assert domain.key_format % (None,) != domain.key_format % ("None",)
    assert choice([None, 1, 2.5]).values == (None, 1.0, 2.5)
    assert choice([1, None]).cast("1") == 1
    for wrong in ("None", "", 0, [None]):
        with pytest.raises(InvalidConfig, match="one of None, 'cosine', 'step'"):
            domain.checked(wrong)
    with pytest.raises(InvalidConfig):
        choice([1, 2]).checked(None)
    assert not choice([1, 2]).contains(None)


def test_a_domain_with_none_beside() -> None:
    domain = optional(uniform(0, 1), none=0.25)
    assert isinstance(domain, Nullable)
    assert [domain.from_unit(u) for u in (0.0, 0.2499, 0.25, 0.625)] == [None, None, 0.0, 0.5]
    assert (domain.default, domain.size, domain.width, domain.value_type) == (0.5, None, 2, float)
    assert domain.encode(None) == (0.25, 0.5)
    assert domain.encode(0.3) == (0.75, 0.3)
    assert domain.decode((0.49, 0.3)) is None
    assert domain.decode((0.5, 0.3)) == 0.3
    assert domain.checked("0.5") == 0.5
    assert domain.checked(None) is None
    assert optional(randint(1, 3)).size == 4
    assert optional(choice(["a", "b", "c"])).encode(None) == (0.25, 0.5, 0.5, 0.5)
    with pytest.raises(InvalidConfig, match=r"2 is not in optional\(uniform.*a number from 0.0 to 1.0, or None"):
        domain.checked(2)
    with pytest.raises(InvalidConfig, match="or None"):
        domain.checked("None")


def test_json_of_nested_domains() -> None:
    domain = optional(ordinal([1, 2, 4]), none=0.1)
    data = domain.to_json()
    assert data == {"domain": "optional", "of": {"domain": "ordinal", "values": [1, 2, 4], "kind": "nn"}, "none": 0.1}
    assert domain_from_json(json.loads(json.dumps(data))) == domain
    assert domain_from_json({"domain": "optional", "of": {"domain": "uniform", "lower": 0, "upper": 1}}).none == 0.5
    assert repr(domain) == "optional(ordinal([1, 2, 4], kind='nn'), none=0.1)"
    assert optional(uniform(0, 1)) != optional(uniform(0, 1), none=0.4)


def test_a_choice_among_lists() -> None:
    assert isinstance(SIZES, ListChoice)
    assert [SIZES.from_unit(u) for u in (0.1, 0.5, 0.9)] == [[64, 64], [128], []]
    assert (SIZES.default, SIZES.size, SIZES.width, SIZES.value_type) == ([64, 64], 3, 3, list)
    assert SIZES.encode([128]) == (0.0, 1.0, 0.0)
    assert SIZES.to_json() == {"domain": "choice", "values": [[64, 64], [128], []]}
    assert repr(choice([(1, "a"), [None, [True]]])) == "choice([[1, 'a'], [None, [True]]])"
    assert choice([[1], [2]]).width == 1
    assert choice([[1], [True], ["1"]]).size == 3


@pytest.mark.parametrize("meant", [[64, 64], (64, 64), [64.0, 64], "[64, 64]"])
def test_lists_are_taken_as_they_are_meant(meant: Any) -> None:
    value = SIZES.checked(meant)
    assert repr(value) == "[64, 64]"
    assert SIZES.contains(meant) == (repr(meant) == "[64, 64]")


@pytest.mark.parametrize("wrong", [[64], 64, "64, 64", [64, True], None, {}, [{}], [[64, 64]], object()])
def test_other_lists_are_refused(wrong: Any) -> None:
    for domain in (SIZES, choice([[1, 1], [1]])):
        with pytest.raises(InvalidConfig):
            domain.checked(wrong)
        assert not domain.contains(wrong)


def test_every_configuration_has_a_list_of_its_own() -> None:
    space = Space({"sizes": SIZES, "n": randint(1, 2), "levels": [1, 2]})
    one, other = space.from_units([0.3, 0.1]), space.from_units([0.3, 0.1])
    one["sizes"].append(3)
    assert other["sizes"] == [64, 64]
    handed = space.full(other)
    handed["sizes"].append(3)
    handed["levels"].append(3)
    assert other["sizes"] == [64, 64]
    assert space.full(other)["levels"] == [1, 2]
    listed = list(space.grid())
    listed[0]["sizes"].append(3)
    assert len(listed) == len({space.key(space.validate(config)) for config in listed[1:]}) + 1
    assert space.default()["sizes"] == space.decode(space.encode([other]))[0]["sizes"] == [64, 64]
    checked = space.validate({"n": 1, "sizes": (128,)})
    assert checked == {"n": 1, "sizes": [128]}


def test_values_stay_what_they_are_in_json() -> None:
    space = Space(
        {"sizes": choice([[1, 2.0], ["a", None], None]), "clip": optional(loguniform(0.1, 1)), "g": finrange(0, 1, 3)}
    )
    for u in (0.1, 0.5, 0.9):
        config = space.from_units([u] * 3)
        again = json.loads(json.dumps(config, allow_nan=False))
        assert repr(space.validate(again)) == repr(config)
        assert space.key(again) == space.key(config)


def test_keys_of_spaces_with_none() -> None:
    space = Space({"clip": optional(uniform(0, 1)), "x": uniform(0, 1)})
    assert space.key({"clip": 0.1 + 0.2, "x": 0.5}) == space.key({"clip": 0.3, "x": 0.5})
    assert space.key({"clip": None, "x": 0.5}) != space.key({"clip": 0.5, "x": 0.5})
    with pytest.raises(KeyError):
        space.key({"x": 0.5})

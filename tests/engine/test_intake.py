"""What a report needs before anything decides on it."""

from __future__ import annotations

from math import inf, isfinite, nan
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from offbeat.errors import InvalidResource, MetricMismatch
from offbeat.intake import Intake, Refusal, as_number, plain, short
from offbeat.protocols import Objective

VALUE = st.one_of(
    st.floats(),
    st.integers(),
    st.booleans(),
    st.none(),
    st.text(max_size=5),
    st.sampled_from(["nan", "inf", "-inf", 10**400]),
)


def intake(policy: Any = "fail", mode: Any = "min", resource: str | None = "epoch") -> Intake:
    return Intake(Objective.of("loss", mode, nonfinite=policy, resource_attr=resource))


@given(st.sampled_from(["fail", "worst", "ignore"]), st.lists(st.tuples(VALUE, VALUE, VALUE), max_size=8))
def test_what_passes_is_finite_whole_and_can_be_journaled(policy: str, reports: list[tuple[Any, Any, Any]]) -> None:
    one = intake(policy)
    for value, epoch, other in reports:
        metrics = {"loss": value, "epoch": epoch, "other": other}
        before = dict(metrics)
        checked = one.check(metrics)
        assert metrics == before or str(metrics) == str(before)
        if isinstance(checked, Refusal):
            assert checked.reason
            assert len(checked.reason) < 400
            continue
        clean, resource, _ = checked
        assert type(clean["loss"]) in (int, float)
        assert isfinite(clean["loss"])
        assert type(resource) is int
        assert 1 <= resource <= 2**53
        text = msgspec.json.encode(clean)
        assert msgspec.json.decode(text) == clean
        one.learn(clean)


def test_a_good_report_is_handed_on_as_it_came() -> None:
    metrics = {"loss": 0.5, "epoch": 3, "note": "x"}
    checked = intake().check(metrics)
    assert checked == (metrics, 3, None)
    assert checked[0] is metrics  # type: ignore[index]


def test_other_metrics_that_are_not_finite_become_text() -> None:
    checked = intake().check({"loss": 0.5, "epoch": 1, "grad": nan, "big": 10**400})
    assert checked == ({"loss": 0.5, "epoch": 1, "grad": "nan", "big": "inf"}, 1, None)


def test_the_worst_value_so_far_stands_in_for_nan() -> None:
    one = intake("worst")
    assert isinstance(one.check({"loss": nan, "epoch": 1}), Refusal)
    for value in (0.5, 2.0, 1.0):
        one.learn({"loss": value})
    assert one.check({"loss": nan, "epoch": 2}) == ({"loss": 2.0, "epoch": 2}, 2, {"loss": "nan", "epoch": 2})
    highest = intake("worst", "max")
    for value in (0.5, 2.0, 1.0):
        highest.learn({"loss": value})
    assert highest.check({"loss": -inf, "epoch": 2})[0]["loss"] == 0.5  # type: ignore[index]


def test_refusals_carry_what_ends_the_run_and_what_ends_the_trial() -> None:
    refused: Any = intake().check({"los": 1.0, "epoch": 1})
    assert isinstance(refused.error, MetricMismatch)
    refused = intake().check({"loss": 1.0, "step": 1})
    assert isinstance(refused.error, MetricMismatch)
    refused = intake().check({"loss": 1.0, "epoch": 0})
    assert isinstance(refused.error, InvalidResource)
    refused = intake().check({"loss": nan, "epoch": 1})
    assert (refused.ends_trial, refused.error) == (True, None)
    refused = intake("ignore").check({"loss": nan, "epoch": 1})
    assert (refused.ends_trial, refused.error) == (False, None)


def test_without_a_resource_it_is_nought() -> None:
    assert intake(resource=None).check({"loss": 1}) == ({"loss": 1}, 0, None)


@pytest.mark.parametrize(("value", "number"), [
    (1, 1), (1.5, 1.5), (True, None), ("nan", nan), ("-Infinity", -inf), ("1.5", None), (None, None), (10**400, inf),
    (-(10**400), -inf), ([1], None),
])  # fmt: skip
def test_numbers(value: Any, number: Any) -> None:
    found = as_number(value)
    assert found == number or (found != found and number != number)


def test_numpy_numbers_are_numbers() -> None:
    import numpy as np

    assert intake().check({"loss": np.float32(0.5), "epoch": np.int64(2)}) == ({"loss": 0.5, "epoch": 2}, 2, None)


def test_plain_and_short() -> None:
    assert plain({"a": nan, "b": True, "c": 1}) == {"a": "nan", "b": True, "c": 1}
    assert len(short("x" * 1000)) == 200

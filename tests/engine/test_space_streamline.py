"""Streamlining: which domains are replaced, by what."""

import pytest

from offbeat.config_space import (
    choice,
    finrange,
    logfinrange,
    logordinal,
    lograndint,
    loguniform,
    ordinal,
    randint,
    streamline_config_space,
    uniform,
)
from offbeat.errors import InvalidArgument

REPLACED = [
    (choice([8, 16, 32, 64]), logfinrange(8, 64, 4, cast_int=True)),
    (choice([0, 0.3, 0.6]), finrange(0, 0.6, 3)),
    (choice([0.0005, 0.001, 0.005, 0.01, 0.05, 0.1]), logordinal([0.0005, 0.001, 0.005, 0.01, 0.05, 0.1])),
    (choice([16, 32, 64, 128, 256, 512]), logfinrange(16, 512, 6, cast_int=True)),
    (choice([0.5, 2.0, 1.0, 4.0]), logfinrange(0.5, 4, 4)),
    (choice([0, 1, 2, 30]), ordinal([0, 1, 2, 30], "nn")),
    (choice([1, 2, 3, 4, 5]), finrange(1, 5, 5, cast_int=True)),
    (randint(2, 500), lograndint(2, 500)),
    (uniform(0.01, 10), loguniform(0.01, 10)),
]
KEPT = [
    uniform(0.1, 0.9),
    choice([1, 100]),
    choice(["a", "b", "c"]),
    choice([True, False]),
    randint(0, 500),
    randint(2, 200),
    uniform(-1, 1000),
    loguniform(1, 1e6),
    randint(1, 2**50),
    ordinal([1, 2, 3]),
    17,
    "text",
    None,
]


@pytest.mark.parametrize(("given_", "wanted"), REPLACED, ids=repr)
def test_replaced(given_, wanted):
    assert streamline_config_space({"x": given_}) == {"x": wanted}


@pytest.mark.parametrize("entry", KEPT, ids=repr)
def test_kept(entry):
    assert streamline_config_space({"x": entry})["x"] is entry


def test_a_nearly_regular_grid_is_fitted():
    fitted = streamline_config_space({"x": choice([1, 2, 5, 10, 20, 50])})["x"]
    assert fitted.to_json() == {
        "domain": "logfinrange",
        "lower": pytest.approx(0.9634924839989962, rel=1e-12),
        "upper": pytest.approx(48.17462419994978, rel=1e-12),
        "size": 6,
        "cast_int": True,
    }


def test_a_grid_that_rounding_would_thin_out_becomes_an_ordinal():
    values = [1, 2, 3, 5, 8, 13, 21, 34, 55, 89]
    streamlined = streamline_config_space({"x": choice(values)})["x"]
    assert len({streamlined.from_unit(i / 1000) for i in range(1000)}) == len(values)


def test_order_and_exclusions():
    space = {"b": choice([8, 16, 32]), "a": choice([8, 16, 32]), "epochs": 3}
    got = streamline_config_space(space, exclude_names=["b"])
    assert list(got) == ["b", "a", "epochs"]
    assert got == {"b": choice([8, 16, 32]), "a": logfinrange(8, 32, 3, cast_int=True), "epochs": 3}
    with pytest.raises(InvalidArgument, match="'epochs'"):
        streamline_config_space(space, exclude_names=["epoch"])

"""From a configuration to an argument list: nothing is lost, nothing becomes an option of its own."""

from __future__ import annotations

import argparse
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offbeat_plugins.backends.command import THREAD_VARIABLES, Unpassable, command, flags, thread_limits, variables

names = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,8}", fullmatch=True).filter(lambda name: name not in ("h", "help"))
texts = st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)))
values = texts | st.integers() | st.floats(allow_nan=False) | st.booleans() | st.lists(st.integers(), max_size=3)


@given(st.dictionaries(names, values, max_size=6))
def test_argparse_reads_back_every_value(config):
    parser = argparse.ArgumentParser(allow_abbrev=False)
    for name in config:
        parser.add_argument(f"--{name}", dest=f"_{name}")
    parsed = vars(parser.parse_args(flags(config)))
    for name, value in config.items():
        text = parsed[f"_{name}"]
        assert text == value if isinstance(value, str) else json.loads(text) == value


@given(st.dictionaries(st.text(min_size=1), values, max_size=4))
def test_every_item_is_a_flag_or_a_value(config):
    try:
        items = flags(config)
    except Unpassable:
        return
    position = 0
    for name, value in config.items():
        text = value if isinstance(value, str) else json.dumps(value)
        if items[position] == f"--{name}":
            assert items[position + 1] == text
            assert not text.startswith("-")
            position += 2
        else:
            assert items[position] == f"--{name}={text}"
            position += 1
    assert position == len(items)


@pytest.mark.parametrize("name", ["", "-x", "a=b", "a\0", " a", "\na"])
def test_names_that_are_no_flags(name):
    with pytest.raises(Unpassable, match="config_as='json'"):
        flags({name: 1})


def test_variables_keep_the_name():
    assert variables({"lr": 0.1, "Two Words": "x"}) == {"OFFBEAT_HP_lr": "0.1", "OFFBEAT_HP_Two Words": "x"}
    for bad in ({"a=b": 1}, {"": 1}, {"a": "\0"}):
        with pytest.raises(Unpassable):
            variables(bad)


def test_json_names_the_file_alone():
    assert command(["x"], {"a": "\0"}, "json", "/config.json") == (["x", "--offbeat-config", "/config.json"], {})


def test_threads_are_shared_out_unless_the_user_said_so():
    limits = thread_limits(None, 10**6, {"OMP_NUM_THREADS": "8"})
    assert set(limits) == set(THREAD_VARIABLES) - {"OMP_NUM_THREADS"}
    assert set(limits.values()) == {"1"}
    assert set(thread_limits(3, 1, {}).values()) == {"3"}

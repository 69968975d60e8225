"""Report lines: what is kept, what is refused, and that nothing is read differently for how it is cut."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offbeat.signals import Garbled, Reported
from offbeat_plugins.backends import wire
from offbeat_plugins.backends.wire import Garbage, LineReader, parse

HEAD = '{"v":1,"trial":3,"attempt":2,"seq":0,"metrics":'


def metrics_of(text):
    return parse((HEAD + text + "}").encode(), 3, 2, 0)


@pytest.mark.parametrize(
    ("text", "metrics"),
    [
        ('{"a":1,"b":0.5,"c":"x","d":true}', {"a": 1, "b": 0.5, "c": "x", "d": True}),
        ("{}", {}),
        ('{"a":NaN,"b":Infinity,"c":-Infinity}', {"a": "nan", "b": "inf", "c": "-inf"}),
        ('{"a":1e999,"b":-1e999}', {"a": "inf", "b": "-inf"}),
        ('{"a":1e400,"b":NaN}', {"a": "inf", "b": "nan"}),
        ('{"a":9223372036854775807}', {"a": 2**63 - 1}),
        ('{"a":18446744073709551616}', {"a": float(2**64)}),
        ('{"a":-9223372036854775809}', {"a": float(-(2**63) - 1)}),
        ('{"a":"[[[[[[[[[[[[[[[[[["}', {"a": "[" * 18}),
        ('{"\\u00e9":"\\ud83d\\ude00"}', {"é": "😀"}),
        ('{"a":1,"a":2}', {"a": 2}),
    ],
)
def test_what_is_kept(text, metrics):
    report = metrics_of(text)
    assert report == Reported(3, 2, 0, metrics)
    assert [type(v) for v in report.metrics.values()] == [type(v) for v in metrics.values()]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (HEAD + '{"a":null}}', wire.NULL),
        (HEAD + '{"a":[1]}}', wire.NESTED),
        (HEAD + '{"a":{"b":1}}}', wire.NESTED),
        (HEAD + '{"a":"\\ud800"}}', wire.TEXT),
        (HEAD + '{"\\ud800":1}}', wire.NAMES),
        (HEAD + '{"":1}}', wire.NAMES),
        (HEAD + '{"":NaN}}', wire.NAMES),
        (HEAD + "{1:2}}", wire.NOT_JSON),
        (HEAD + '{"a":' + "9" * 5000 + "}}", wire.NOT_JSON),
        (HEAD + "[1]}", wire.NOT_A_REPORT),
        (HEAD + '{"a":1}', wire.NOT_JSON),
        (HEAD + '{"a":' + "[" * 30_000, wire.DEEP),
        ('{"a":' * 17 + "1" + "}" * 17, wire.DEEP),
        ('{"v":1,"trial":4,"attempt":2,"seq":0,"metrics":{}}', wire.WRONG_TRIAL),
        ('{"v":1,"trial":3,"attempt":1,"seq":0,"metrics":{"a":NaN}}', wire.WRONG_TRIAL),
        ('{"v":2,"trial":3,"attempt":2,"seq":0,"metrics":{}}', wire.UNKNOWN_VERSION),
        ('{"v":true,"trial":3,"attempt":2,"seq":0,"metrics":{}}', wire.NOT_A_REPORT),
        ('{"v":1,"trial":3,"attempt":2,"metrics":{}}', wire.NOT_A_REPORT),
        ("null", wire.NOT_A_REPORT),
        ("loss 0.3", wire.NOT_JSON),
        ("", wire.EMPTY),
        ("  \t", wire.EMPTY),
        (b"\xff\xfe\x00", wire.NOT_UTF8),
        (b"\x00" * 100, wire.NOT_JSON),
    ],
)
def test_what_is_refused_and_why(line, reason):
    raw = line if isinstance(line, bytes) else line.encode()
    got, sample = parse(raw, 3, 2, 0)
    assert got == reason
    assert len(sample) <= 200
    assert sample.isprintable()


lines = st.one_of(
    st.builds(
        lambda m: (HEAD + json.dumps(m) + "}").encode(),
        st.dictionaries(
            st.text(max_size=4), st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
        ),
    ),
    st.binary(max_size=30).map(lambda b: b.replace(b"\n", b" ")),
    st.integers(65_520, 65_560).map(lambda n: b"x" * n),
)


@given(st.lists(lines, max_size=6), st.data())
def test_cuts_do_not_matter(parts, data):
    stream = b"".join(part + b"\n" for part in parts)
    whole = LineReader(3, 2)
    expected = whole.feed(stream) + whole.finish()
    assert len(expected) == len(parts)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    reader, got = LineReader(3, 2), []
    for begin, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        got += reader.feed(stream[begin:end])
    assert got + reader.finish() == expected
    assert [r.seq for r in got if isinstance(r, Reported)] == list(range(reader.seq))


def test_a_megabyte_without_an_end_is_not_kept():
    reader = LineReader(3, 2)
    outcome = []
    for _ in range(16):
        outcome += reader.feed(b"x" * 65536)
        assert len(reader._rest) < wire.LINE_LIMIT
    assert outcome == [(wire.TOO_LONG, "x" * 200)]
    good = (HEAD + '{"a":1}}').encode()
    assert reader.feed(b"xx\n" + good + b"\n") == [Reported(3, 2, 0, {"a": 1})]


def test_the_last_line_may_lack_its_end():
    reader = LineReader(3, 2)
    assert reader.feed((HEAD + '{"a":1}}').encode()) == []
    assert reader.finish() == [Reported(3, 2, 0, {"a": 1})]
    assert reader.finish() == []
    reader.feed((HEAD + '{"a":').encode())
    ((reason, _),) = reader.finish()
    assert reason == wire.CUT_OFF


def test_garbage_is_counted_by_reason():
    garbage = Garbage(3, 2)
    for number in range(1000):
        garbage.add((wire.NOT_JSON, f"sample {number}"))
    garbage.add((wire.EMPTY, ""))
    assert garbage.flush() == [
        Garbled(3, 2, wire.NOT_JSON, "sample 0", 1000),
        Garbled(3, 2, wire.EMPTY, "", 1),
    ]
    assert not garbage
    assert garbage.flush() == []

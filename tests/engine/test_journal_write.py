"""What the journal's writer promises: whole groups, one epoch a writer, nothing half-written, nothing misread later."""

import json
import math
import os
import stat

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from offbeat.errors import (
    ExperimentExists,
    ExperimentLocked,
    InvalidArgument,
    JournalDamaged,
    JournalTooNew,
    JournalUnwritable,
)
from offbeat.events import EVENT_TYPES, AnyEvent, Event, ModelFitted, Suggested, TrialFailed, TrialResult, TrialStarted
from offbeat.home import ExperimentFolder
from offbeat.journal import Journal, UnknownEvent, decision_digest, holder, read_journal
from offbeat.journal import format as journal_format
from offbeat.trial import TrialId


def result(seq: int, **metrics: object) -> TrialResult:
    return TrialResult(float(seq), TrialId(seq % 4), 0, seq, seq + 1, {"loss": 1.0 / (seq + 1), **metrics})


@pytest.fixture
def folder(tmp_path):
    return ExperimentFolder(tmp_path / "some" / "experiment")


def events_of(folder: ExperimentFolder, start: int = 0) -> list[Event]:
    return [record.event for record in read_journal(folder, start)]


class Noted(Event, frozen=True, gc=False, array_like=True, tag="acme/noted"):
    text: str
    values: tuple[float, ...] = ()


class Nameless(Event, frozen=True, gc=False, array_like=True):
    text: str = ""


def test_what_is_committed_is_read_back_in_order(folder):
    groups = [[result(0)], [result(1), result(2)], [result(n) for n in range(3, 20)]]
    with Journal.create(folder) as journal:
        for group in groups:
            journal.commit(group, sync=True)
        assert (journal.next_seq, journal.epoch) == (20, 0)
    seen: list[Event] = []
    with Journal.open(folder, seen.append) as journal:
        assert (journal.next_seq, journal.epoch, journal.torn) == (20, 1, None)
        journal.commit([result(20)], sync=False)
    assert seen == [event for group in groups for event in group]
    assert [record.seq for record in read_journal(folder)] == list(range(21))
    lines = journal.path.read_bytes().splitlines()
    assert [json.loads(line)["n"] for line in lines[1:]] == [1, 2, 17, 1]
    assert [json.loads(line)["epoch"] for line in lines[1:]] == [0, 0, 0, 1]


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
plain_values = (
    st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | st.text()
)
times = st.floats(0, 1e9)
some_events = st.one_of(
    st.builds(
        TrialResult, times, st.integers(0, 99), st.integers(0, 3), st.integers(0), st.integers(0, 10**9),
        st.dictionaries(st.text(), plain_values, max_size=4), st.sampled_from(["continue", "stop", "late"]), st.text(),
        st.just(()), st.none() | st.dictionaries(st.text(), plain_values, max_size=2),
    ),
    st.builds(
        Suggested, times, st.integers(0), st.just("start"), st.integers(0, 99),
        st.dictionaries(st.text(), json_values, max_size=3)),
    st.builds(ModelFitted, times, st.integers(0), st.text(), st.dictionaries(st.text(), json_values, max_size=3)),
    st.builds(TrialFailed, times, st.integers(0, 99), st.integers(0, 3), st.text(), st.text()),
)  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(groups=st.lists(st.lists(some_events, min_size=1, max_size=4), max_size=5))
def test_any_event_comes_back_equal_and_decides_alike(tmp_path_factory, groups):
    folder = ExperimentFolder(tmp_path_factory.mktemp("journal") / "e")
    with Journal.create(folder) as journal:
        for group in groups:
            journal.commit(group, sync=False)
    written = [event for group in groups for event in group]
    assert events_of(folder) == written
    assert decision_digest(events_of(folder)) == decision_digest(written)
    assert decision_digest(events_of(folder), simulated=True) == decision_digest(written, simulated=True)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_number_that_is_not_finite_is_refused_by_name_and_harms_nothing(folder, bad):
    with Journal.create(folder) as journal:
        journal.commit([result(0)], sync=True)
        for event, where in [
            (result(1, loss=bad), r"metrics\['loss'\]"),
            (TrialResult(bad, TrialId(0), 0, 0, 1, {"loss": 1.0}), "at"),
            (TrialResult(1.0, TrialId(0), 0, 0, bad, {"loss": 1.0}), "resource"),  # type: ignore[arg-type]
            (TrialResult(1.0, TrialId(0), 0, 0, 1, {"loss": 1.0}, raw={"loss": bad}), r"raw\['loss'\]"),
            (TrialStarted(bad, TrialId(0), 0, 0), "at"),
            (ModelFitted(1.0, 3, "gp", {"matrix": [[1.0, bad]]}), r"state\['matrix'\]\[0\]\[1\]"),
            (Noted(1.0, "x", (bad,)), r"values\[0\]"),
        ]:
            with pytest.raises(InvalidArgument, match=where):
                journal.commit([result(1), event], sync=True)
        journal.commit([result(1)], sync=True)
    assert events_of(folder) == [result(0), result(1)]


@pytest.mark.parametrize(
    "event",
    [
        result(0, thing=object()),
        result(0, thing="\ud800"),
        Suggested(0.0, 0, "start", TrialId(0), {"x": {(1, 2): 3}}),  # type: ignore[dict-item]
        Nameless(0.0, "no tag"),
        UnknownEvent(0.0, "acme/x", b'["acme/y",0.0]'),
        UnknownEvent(0.0, "acme/x", b'["acme/x",0.0'),
        UnknownEvent(0.0, "acme/x", b'["acme/x",\n0.0]'),
    ],
)
def test_what_is_no_json_or_no_event_is_refused_and_harms_nothing(folder, event):
    with Journal.create(folder) as journal:
        with pytest.raises(InvalidArgument):
            journal.commit([result(0), event], sync=True)
        journal.commit([result(0)], sync=True)
    assert events_of(folder) == [result(0)]


def test_texts_that_look_like_null_are_no_numbers_that_are_missing(folder):
    events = [
        result(0, note='x":null,"y'),
        result(1, note=":null"),
        Suggested(0.0, 0, "start", TrialId(0), {"a": None}),
    ]
    with Journal.create(folder) as journal:
        journal.commit(events, sync=False)
    assert events_of(folder) == events


def test_an_event_of_a_plugin_survives_a_reader_that_does_not_know_it(folder, tmp_path):
    noted = Noted(2.5, "hello", (0.1, 1e300))
    with Journal.create(folder) as journal:
        journal.commit([result(0), noted, result(1)], sync=False)
    first, unknown, last = events_of(folder)
    assert (first, last) == (result(0), result(1))
    assert isinstance(unknown, UnknownEvent)
    assert (unknown.name, unknown.at, unknown.fields) == ("acme/noted", 2.5, [2.5, "hello", [0.1, 1e300]])
    copy = ExperimentFolder(tmp_path / "copy")
    with Journal.create(copy) as journal:
        journal.commit([first, unknown, last], sync=False)
    assert journal.path.read_bytes() == (folder.journal / "00000000.jsonl").read_bytes()
    assert decision_digest([noted]) == decision_digest([unknown])


def test_every_kind_of_event_has_a_decoder():
    assert {cls.__struct_config__.tag for cls in AnyEvent.__args__} == set(EVENT_TYPES)  # type: ignore[attr-defined]


def test_a_group_above_the_limit_becomes_several_lines_and_one_event_above_it_is_refused(folder, monkeypatch):
    monkeypatch.setattr(journal_format, "GROUP_BYTES", 1000)
    monkeypatch.setattr(journal_format, "MAX_LINE", 4000)
    group = [result(n) for n in range(100)]
    with Journal.create(folder) as journal:
        journal.commit(group, sync=True)
        with pytest.raises(InvalidArgument, match="takes 5"):
            journal.commit([result(100, note="x" * 5000)], sync=True)
    assert events_of(folder) == group
    assert max(map(len, journal.path.read_bytes().splitlines())) < 1300


def test_segments_roll_at_group_borders_and_read_as_one(folder):
    groups = [[result(n), result(n + 1)] for n in range(0, 60, 2)]
    with Journal.create(folder, segment_bytes=800) as journal:
        for group in groups:
            journal.commit(group, sync=False)
    with Journal.open(folder, segment_bytes=800) as journal:
        assert journal.next_seq == 60
        journal.commit([result(60)], sync=True)
    assert len(list(folder.journal.glob("*.jsonl"))) > 3
    assert events_of(folder) == [result(n) for n in range(61)]


def test_the_folder_is_the_owners_alone(folder):
    Journal.create(folder).close()
    for path in (folder.path, folder.journal):
        assert stat.S_IMODE(path.stat().st_mode) == 0o700
    for path in (folder.head, folder.lock, folder.journal / "00000000.jsonl"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_an_experiment_is_not_created_twice(folder):
    with Journal.create(folder), pytest.raises(ExperimentExists):
        Journal.create(folder)
    with pytest.raises(ExperimentExists):
        Journal.create(folder)


def test_a_creation_cut_off_before_its_header_is_begun_anew_and_one_after_it_is_opened(folder):
    folder.journal.mkdir(parents=True)
    (folder.journal / "00000000.jsonl").touch()
    with Journal.create(folder) as journal:
        journal.commit([], sync=True)
    folder.head.unlink()
    with pytest.raises(ExperimentExists):
        Journal.create(folder)
    with Journal.open(folder) as journal:
        journal.commit([result(0)], sync=True)
        assert journal.epoch == 0
    folder.head.unlink()
    with pytest.raises(JournalDamaged, match=r"head is missing"):
        Journal.open(folder)


def test_a_second_writer_in_the_same_process_is_refused_by_name(folder):
    with Journal.create(folder):
        held = holder(folder)
        assert held is not None
        assert (held.pid, held.epoch) == (os.getpid(), 0)
        with pytest.raises(ExperimentLocked, match=rf"same process.*{os.getpid()}"):
            Journal.open(folder)
    assert holder(folder) is None
    Journal.open(folder).close()


def test_a_handler_that_raises_frees_the_lock(folder):
    with Journal.create(folder) as journal:
        journal.commit([result(0)], sync=True)

    def refuse(event: Event) -> None:
        raise FileNotFoundError("the handler's own")

    with pytest.raises(FileNotFoundError, match="own"):
        Journal.open(folder, refuse)
    Journal.open(folder).close()


def test_a_closed_journal_takes_nothing_more(folder):
    journal = Journal.create(folder)
    journal.close()
    journal.close()
    with pytest.raises(JournalUnwritable, match="closed"):
        journal.commit([result(0)], sync=True)


@pytest.mark.parametrize("version", [2, 99, 0, None, "x"])
def test_another_version_is_named_and_nothing_is_touched(folder, version):
    Journal.create(folder).close()
    head = json.loads(folder.head.read_text())
    head["version"] = version
    folder.head.write_text(json.dumps(head))
    before = folder.head.read_bytes()
    for attempt in (Journal.open, lambda place: list(read_journal(place))):
        with pytest.raises(JournalTooNew) as caught:
            attempt(folder)
        assert caught.value.version == version
    assert folder.head.read_bytes() == before


def test_a_segment_of_another_version_is_named_too(folder):
    Journal.create(folder).close()
    line, _ = journal_format.header_line(7, journal_format.Position())
    (folder.journal / "00000000.jsonl").write_bytes(line)
    folder.head.unlink()
    with pytest.raises(JournalTooNew):
        Journal.open(folder)


def test_deep_nesting_in_a_forged_line_is_damage_and_no_crash(folder):
    with Journal.create(folder) as journal:
        journal.commit([result(0)], sync=True)
        digest = journal._position.hash
    deep = b"[" * 100_000 + b"]" * 100_000
    line, _ = journal_format.sealed(b'{"seq":1,"n":1,"epoch":0,"events":[["acme/x",1.0,' + deep + b"]]", digest)
    with journal.path.open("ab") as file:
        file.write(line)
    with pytest.raises(JournalDamaged, match="no group"):
        Journal.open(folder)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b'{"seq":0,"n":1,"epoch":0,"events":[["trial-finished",1.0,0,0]]', "where 1 is next"),
        (b'{"seq":1,"n":2,"epoch":0,"events":[["trial-finished",1.0,0,0]]', "2 are announced"),
        (b'{"seq":1,"n":0,"epoch":0,"events":[]', "where 1 is next"),
        (b'{"seq":1,"n":1,"epoch":-1,"events":[["trial-finished",1.0,0,0]]', "writer -1 after writer 0"),
        (b'{"seq":1,"n":1,"epoch":9,"events":[["trial-finished",1.0,0,0]]', "writers up to 0"),
        (b'{"seq":1,"n":1,"epoch":0,"events":[["trial-finished",1.0,"zero",0]]', "no group"),
        (b'{"seq":1,"n":1,"epoch":0,"events":[[]]', "no group"),
        (b'{"seq":1,"n":1,"epoch":0,"events":[["acme/x"]]', "no group"),
    ],
)
def test_a_line_with_a_right_hash_and_wrong_contents_is_damage(folder, body, reason):
    with Journal.create(folder) as journal:
        journal.commit([result(0)], sync=True)
        digest = journal._position.hash
    size = journal.path.stat().st_size
    line, _ = journal_format.sealed(body, digest)
    with journal.path.open("ab") as file:
        file.write(line)
    with pytest.raises(JournalDamaged, match=reason) as caught:
        Journal.open(folder)
    assert caught.value.offset in (size, 0)
    assert msgspec.json.decode(folder.head.read_bytes())["epoch"] == 0


def suggestion(value: object) -> Suggested:
    return Suggested(9.0, 3, "start", TrialId(3), {"lr": value}, None, None, "", {"bracket": 0})


def test_a_group_of_pieces_is_the_group(tmp_path):
    events = [result(0), suggestion(0.5), TrialStarted(9.0, TrialId(3), 0, 1), result(9, note="\u00e9")]
    whole, pieces = ExperimentFolder(tmp_path / "whole"), ExperimentFolder(tmp_path / "pieces")
    with Journal.create(whole) as journal:
        journal.commit(events, sync=False)
    with Journal.create(pieces) as journal:
        journal.commit_encoded([journal_format.encoded_plain(some) for some in (events[:1], events[1:3], events[3:])])
        assert journal.next_seq == 4
        path = journal.path
    assert path.read_bytes() == (whole.journal / path.name).read_bytes()


@pytest.mark.parametrize(
    "event",
    [
        TrialStarted(math.inf, TrialId(0), 0, 0),
        TrialStarted(math.nan, TrialId(0), 0, 0),
        result(1, other=math.nan),
        suggestion(math.inf),
        result(1, other=object()),
        result(1, other="\ud800"),
    ],
)
def test_what_has_to_be_looked_at_is_not_encoded_plainly(event):
    assert journal_format.encoded_plain([event]) is None
    assert journal_format.encoded_plain([result(0)]) is not None

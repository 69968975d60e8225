"""Readers: any start, any pace, beside a writer, and never silently less than was there."""

import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from offbeat.errors import JournalDamaged
from offbeat.events import TrialResult
from offbeat.home import ExperimentFolder
from offbeat.journal import Journal, JournalFollower, read_journal, repair
from offbeat.protocols import Recorded
from offbeat.trial import TrialId


def result(seq: int) -> TrialResult:
    return TrialResult(float(seq), TrialId(seq % 4), 0, seq, seq + 1, {"loss": 1.0 / (seq + 1)})


def recorded(first: int, end: int) -> list[Recorded]:
    return [Recorded(n, result(n)) for n in range(first, end)]


@pytest.fixture
def folder(tmp_path):
    return ExperimentFolder(tmp_path / "experiment")


@pytest.fixture
def filled(folder):
    """60 events in groups of 1, 2, 3 ... and several segments."""
    with Journal.create(folder, segment_bytes=900) as journal:
        size = 1
        while journal.next_seq < 60:
            end = min(60, journal.next_seq + size)
            journal.commit([result(n) for n in range(journal.next_seq, end)], sync=False)
            size += 1
    return folder


def test_reading_may_start_anywhere(filled):
    assert len(list(filled.journal.glob("*.jsonl"))) > 2
    for start in range(62):
        assert list(read_journal(filled, start)) == recorded(start, 60)


def test_reading_does_not_look_at_segments_before_the_start(filled):
    (filled.journal / "00000000.jsonl").write_bytes(b"")
    assert list(read_journal(filled, 59)) == recorded(59, 60)
    with pytest.raises(JournalDamaged):
        list(read_journal(filled, 0))


def test_a_folder_without_a_journal_reads_as_nothing(folder):
    assert list(read_journal(folder)) == []


@settings(max_examples=40, deadline=None)
@given(
    steps=st.lists(st.tuples(st.integers(1, 5), st.integers(0, 7), st.booleans()), max_size=20),
    start=st.integers(0, 10),
)
def test_a_follower_gives_each_event_once_however_it_is_asked(tmp_path_factory, steps, start):
    folder = ExperimentFolder(tmp_path_factory.mktemp("journal") / "e")
    with Journal.create(folder, segment_bytes=700) as journal:
        follower = JournalFollower(folder, start)
        seen: list[Recorded] = []
        for size, limit, ask in steps:
            journal.commit([result(n) for n in range(journal.next_seq, journal.next_seq + size)], sync=False)
            if ask:
                found = follower.poll(limit or None)
                assert not limit or len(found) <= limit
                seen += found
                assert follower.next_seq >= start
        seen += follower.poll()
        assert follower.poll() == []
        assert seen == recorded(start, journal.next_seq)


def test_a_reader_beside_a_writer_sees_a_growing_beginning(folder):
    journal = Journal.create(folder, segment_bytes=4000)
    done = threading.Event()

    def write() -> None:
        for n in range(0, 3000, 3):
            journal.commit([result(n), result(n + 1), result(n + 2)], sync=False)
        done.set()

    writer = threading.Thread(target=write)
    writer.start()
    follower = JournalFollower(folder)
    seen: list[Recorded] = []
    while not done.is_set():
        seen += follower.poll(100)
    writer.join()
    seen += follower.poll()
    journal.close()
    assert seen == recorded(0, 3000)


def test_an_unfinished_last_line_is_not_there_yet(folder):
    journal = Journal.create(folder)
    journal.commit([result(0)], sync=True)
    whole = journal.path.read_bytes()
    journal.commit([result(1)], sync=True)
    more = journal.path.read_bytes()
    follower = JournalFollower(folder)
    for end in range(len(whole), len(more)):
        journal.path.write_bytes(more[:end])
        assert list(read_journal(folder)) == recorded(0, 1)
    assert follower.poll() == recorded(0, 1)
    journal.path.write_bytes(more)
    assert follower.poll() == recorded(1, 2)
    journal.close()


def test_damage_comes_after_what_lies_before_it_and_stays(filled):
    path = filled.journal / "00000001.jsonl"
    data = bytearray(path.read_bytes())
    border = data.index(b"\n", data.index(b"\n") + 1) + 1
    data[border + 40] ^= 1
    path.write_bytes(data)
    seen = []
    with pytest.raises(JournalDamaged) as caught:
        seen.extend(read_journal(filled))
    assert (caught.value.path, caught.value.offset) == (str(path), border)
    assert seen
    assert seen == recorded(0, len(seen))
    follower = JournalFollower(filled)
    for _ in range(2):
        with pytest.raises(JournalDamaged):
            follower.poll()


def test_a_journal_shorter_than_its_head_is_damaged(filled):
    last = max(filled.journal.glob("*.jsonl"))
    data = last.read_bytes()
    last.write_bytes(data[: data.rindex(b"\n", 0, -1) + 1])
    for attempt in (Journal.open, lambda place: list(read_journal(place))):
        with pytest.raises(JournalDamaged, match=r"head\.json says 60"):
            attempt(filled)


@pytest.mark.parametrize("which", [0, 1, -1])
def test_a_missing_segment_is_named(filled, which):
    path = sorted(filled.journal.glob("*.jsonl"))[which]
    path.unlink()
    for attempt in (Journal.open, lambda place: list(read_journal(place))):
        with pytest.raises(JournalDamaged) as caught:
            attempt(filled)
        assert caught.value.path in (str(path), str(path.with_name(f"{int(path.stem) - 1:08d}.jsonl")))


def test_a_torn_line_before_a_later_segment_is_damage(filled):
    with (filled.journal / "00000000.jsonl").open("ab") as file:
        file.write(b'{"seq":')
    with pytest.raises(JournalDamaged, match="before a later segment"):
        Journal.open(filled)


def test_segments_that_changed_places_are_damage(filled):
    first, second = filled.journal / "00000001.jsonl", filled.journal / "00000002.jsonl"
    one, two = first.read_bytes(), second.read_bytes()
    first.write_bytes(two)
    second.write_bytes(one)
    with pytest.raises(JournalDamaged) as caught:
        Journal.open(filled)
    assert (caught.value.path, caught.value.offset) == (str(first), 0)


def test_a_lost_segment_roll_is_finished_at_opening(filled):
    last = max(filled.journal.glob("*.jsonl"))
    for content in (b"", b'{"journal":1,"seg'):
        torn = last.with_name(f"{int(last.stem) + 1:08d}.jsonl")
        torn.write_bytes(content)
        assert list(read_journal(filled)) == recorded(0, 60)
        with Journal.open(filled) as journal:
            assert (journal.torn is not None) == bool(content)
            assert journal.path == torn
        last = torn
    assert list(read_journal(filled)) == recorded(0, 60)


def test_repair_keeps_what_is_before_the_damage_and_loses_no_byte(filled):
    segments = sorted(filled.journal.glob("*.jsonl"))
    before = [path.read_bytes() for path in segments]
    data = bytearray(before[1])
    border = data.index(b"\n", data.index(b"\n") + 1) + 1
    data[border + 40] ^= 1
    segments[1].write_bytes(data)
    report = repair(filled)
    assert "hash" in report.damage
    assert report.moved == len(data) - border + sum(map(len, before[2:]))
    assert segments[1].read_bytes() == data[:border]
    aside = [(filled.journal / name).read_bytes() for name in report.aside]
    assert b"".join(aside) == bytes(data[border:]) + b"".join(before[2:])
    seen: list[object] = []
    with Journal.open(filled, seen.append) as journal:
        assert journal.next_seq == report.kept == len(seen)
        journal.commit([result(report.kept)], sync=True)
    assert list(read_journal(filled)) == recorded(0, report.kept + 1)
    assert repair(filled).damage == ""


def test_repair_of_a_cut_journal_and_of_a_lost_head(filled):
    last = max(filled.journal.glob("*.jsonl"))
    data = last.read_bytes()
    last.write_bytes(data[: data.rindex(b"\n", 0, -1) + 1])
    report = repair(filled)
    assert report.moved == 0
    assert 0 < report.kept < 60
    filled.head.unlink()
    assert repair(filled).kept == report.kept
    filled.head.write_bytes(b"{")
    assert repair(filled).damage == "the head is not JSON"
    with Journal.open(filled) as journal:
        assert journal.next_seq == report.kept


def test_repair_of_a_journal_damaged_in_its_first_line_begins_anew(filled):
    path = filled.journal / "00000000.jsonl"
    path.write_bytes(b"x" + path.read_bytes()[1:])
    assert repair(filled).kept == 0
    with Journal.open(filled) as journal:
        journal.commit([result(0)], sync=True)
    assert list(read_journal(filled)) == recorded(0, 1)


def test_a_follower_notices_that_the_journal_was_cut_behind_it(folder):
    with Journal.create(folder) as journal:
        journal.commit([result(0)], sync=True)
        journal.commit([result(1)], sync=True)
        follower = JournalFollower(folder)
        follower.poll()
        journal.path.write_bytes(journal.path.read_bytes()[:-50])
        with pytest.raises(JournalDamaged, match="shorter than it was"):
            follower.poll()
        journal._lock.release()
        journal._refusal = "test"

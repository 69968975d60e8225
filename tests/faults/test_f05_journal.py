"""F5: torn and damaged journals. Any truncation keeps all complete records and sets the rest aside; no flipped bit
and no exchanged block inside goes unnoticed, and the damaged line's offset is named.

What counts as torn and what as damaged is stated in `offbeat.journal.format`: bytes behind the last newline are a
torn tail unless head.json covers them or they are a whole line but for its last byte; everything else that does not
fit is damage.
"""

import os
import random
import shutil
import tempfile
from pathlib import Path

import pytest

from offbeat.errors import JournalDamaged, JournalTooNew
from offbeat.events import TrialResult
from offbeat.home import ExperimentFolder
from offbeat.journal import Journal, read_journal, repair
from offbeat.trial import TrialId

RECORDS = 200


def result(seq: int) -> TrialResult:
    return TrialResult(
        float(seq), TrialId(seq % 4), 0, seq, seq + 1, {"loss": 1.0 / (seq + 1)}, "continue", "rung 9" * (seq % 3)
    )


@pytest.fixture
def place():
    """A folder in memory where there is one: the campaign is about contents, and syncs would take most of the time."""
    base = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(dir=base) as folder:
        yield Path(folder)


def written(
    folder: ExperimentFolder, *, sizes: tuple[int, ...] = (1,), segment_bytes: int = 1 << 26
) -> dict[str, bytes]:
    """Files of a journal of RECORDS events as a killed writer leaves them: the head is the one of the beginning."""
    journal = Journal.create(folder, segment_bytes=segment_bytes)
    turn = 0
    while journal.next_seq < RECORDS:
        end = min(RECORDS, journal.next_seq + sizes[turn % len(sizes)])
        journal.commit([result(n) for n in range(journal.next_seq, end)], sync=False)
        turn += 1
    files = snapshot(folder)
    journal.close()
    return files


def snapshot(folder: ExperimentFolder) -> dict[str, bytes]:
    paths = [folder.head, *folder.journal.iterdir()]
    return {str(path.relative_to(folder.path)): path.read_bytes() for path in paths}


def restore(folder: ExperimentFolder, files: dict[str, bytes]) -> None:
    shutil.rmtree(folder.journal)
    folder.journal.mkdir()
    for name, data in files.items():
        (folder.path / name).write_bytes(data)


def line_start(data: bytes, offset: int) -> int:
    """First byte of the line that holds the byte at `offset`."""
    return data.rindex(b"\n", 0, offset) + 1 if b"\n" in data[:offset] else 0


def truncations(folder: ExperimentFolder, step: int) -> int:
    files = written(folder)
    name = "journal/00000000.jsonl"
    data = files[name]
    borders = [n + 1 for n, byte in enumerate(data) if byte == 10]
    cuts = sorted({*range(0, len(data) + 1, step), *borders, *(border - 1 for border in borders)})
    for cut in cuts:
        restore(folder, {**files, name: data[:cut]})
        if cut < borders[0]:
            with pytest.raises(JournalDamaged, match=r"head\.json"):
                Journal.open(folder)
            continue
        kept = sum(border <= cut for border in borders) - 1
        rest = data[max(border for border in borders if border <= cut) : cut]
        seen: list[object] = []
        with Journal.open(folder, seen.append) as journal:
            assert seen == [result(n) for n in range(kept)], cut
            assert (journal.torn.read_bytes() if journal.torn else b"") == rest
            journal.commit([result(kept)], sync=True)
        path = folder.path / name
        assert path.read_bytes().count(b"\n") == kept + 2
        if cut % 50 == 0:
            assert [record.event for record in read_journal(folder)] == [result(n) for n in range(kept + 1)]
    return len(cuts)


def test_truncation_at_every_tenth_byte_and_every_border(place):
    truncations(ExperimentFolder(place / "e"), 10)


@pytest.mark.faults
@pytest.mark.timeout(900)
def test_truncation_at_every_byte(place):
    assert truncations(ExperimentFolder(place / "e"), 1) > 30_000


LAYOUTS = {
    "killed": {"sizes": (1,)},
    "groups": {"sizes": (1, 7, 30)},
    "segments": {"sizes": (1, 2, 5), "segment_bytes": 5000},
}


def damages(folder: ExperimentFolder, layout: str, count: int, seed: int) -> None:
    """`count` single flipped bits and exchanged blocks, half of them in a journal whose head covers everything."""
    rng = random.Random(seed)
    open_ended = written(folder, **LAYOUTS[layout])  # type: ignore[arg-type]
    closed = {**open_ended, "head.json": folder.head.read_bytes()}
    names = sorted(name for name in closed if name.endswith(".jsonl"))
    for turn in range(count):
        files = dict(closed if turn % 2 else open_ended)
        name = rng.choice(names)
        data = bytearray(files[name])
        if rng.random() < 0.7:
            data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        else:
            size = rng.randint(1, min(4096, len(data) // 2))
            one = rng.randint(0, len(data) - 2 * size)
            two = rng.randint(one + size, len(data) - size)
            data[one : one + size], data[two : two + size] = data[two : two + size], data[one : one + size]
        if data == files[name]:
            continue
        first = next(n for n, (old, new) in enumerate(zip(files[name], data, strict=True)) if old != new)
        restore(folder, {**files, name: bytes(data)})
        with pytest.raises(JournalDamaged) as caught:
            Journal.open(folder)
        assert (caught.value.path, caught.value.offset) == (str(folder.path / name), line_start(files[name], first))
        assert (folder.path / name).read_bytes() == data
        if turn % 10 == 0:
            seen = []
            with pytest.raises(JournalDamaged) as again:
                seen.extend(record.event for record in read_journal(folder))
            assert again.value.args == caught.value.args
            report = repair(folder)
            assert len(seen) <= report.kept
            with Journal.open(folder) as journal:
                assert journal.next_seq == report.kept
            assert [record.event for record in read_journal(folder)] == [result(n) for n in range(report.kept)]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_flips_and_swaps_are_named(place, layout):
    damages(ExperimentFolder(place / "e"), layout, 170, seed=1)


@pytest.mark.faults
@pytest.mark.timeout(900)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_many_flips_and_swaps_are_named(place, layout):
    damages(ExperimentFolder(place / "e"), layout, 3400, seed=2)


def test_every_bit_of_the_last_line_without_a_head_that_covers_it(place):
    folder = ExperimentFolder(place / "e")
    files = written(folder)
    name = "journal/00000000.jsonl"
    data = files[name]
    start = line_start(data, len(data) - 1)
    for offset in range(start, len(data)):
        for bit in range(8):
            changed = bytearray(data)
            changed[offset] ^= 1 << bit
            restore(folder, {**files, name: bytes(changed)})
            with pytest.raises(JournalDamaged) as caught:
                Journal.open(folder)
            assert caught.value.offset == start


def test_every_bit_of_the_head(place):
    folder = ExperimentFolder(place / "e")
    files = written(folder)
    head = files["head.json"]
    for offset in range(len(head) - 1):
        for bit in range(8):
            changed = bytearray(head)
            changed[offset] ^= 1 << bit
            restore(folder, {**files, "head.json": bytes(changed)})
            with pytest.raises((JournalDamaged, JournalTooNew)) as caught:
                Journal.open(folder)
            assert caught.value.path == str(folder.head)


def test_a_flip_in_a_torn_tail_is_set_aside_with_it_or_named_if_it_makes_a_line(place):
    folder = ExperimentFolder(place / "e")
    files = written(folder)
    name = "journal/00000000.jsonl"
    torn = files[name][:-30]
    start = line_start(torn, len(torn))
    for offset in range(start, len(torn)):
        for bit in range(8):
            changed = bytearray(torn)
            changed[offset] ^= 1 << bit
            restore(folder, {**files, name: bytes(changed)})
            if changed[offset] == 10:
                with pytest.raises(JournalDamaged) as caught:
                    Journal.open(folder)
                assert caught.value.offset == start
            else:
                with Journal.open(folder) as journal:
                    assert journal.next_seq == RECORDS - 1
                    assert journal.torn is not None
                    assert journal.torn.read_bytes() == changed[start:]

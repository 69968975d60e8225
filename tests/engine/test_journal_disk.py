"""A disk that refuses: the journal stops, keeps its evidence, and what it acknowledged is there at the next opening."""

import contextlib
import errno
import os
import shutil
import subprocess

import pytest

from offbeat.errors import JournalUnwritable
from offbeat.events import TrialResult
from offbeat.home import ExperimentFolder
from offbeat.journal import Journal, read_journal
from offbeat.journal import writer as journal_writer
from offbeat.trial import TrialId


def result(seq: int) -> TrialResult:
    return TrialResult(float(seq), TrialId(seq % 4), 0, seq, seq + 1, {"loss": 1.0 / (seq + 1)})


@pytest.fixture
def folder(tmp_path):
    return ExperimentFolder(tmp_path / "experiment")


class Refusing:
    """The k-th call of a function of `os`, counted from 0, fails; a write may have written half of its bytes."""

    def __init__(self, monkeypatch, name: str, k: int, code: int, *, half: bool = False) -> None:
        self.calls = 0
        self.real = getattr(os, name)
        self.k, self.code, self.half = k, code, half
        monkeypatch.setattr(os, name, self)

    def __call__(self, fd, *arguments):
        self.calls += 1
        if self.calls - 1 == self.k:
            if self.half:
                self.real(fd, arguments[0][: len(arguments[0]) // 2])
            raise OSError(self.code, os.strerror(self.code))
        return self.real(fd, *arguments)


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO, errno.EROFS])
@pytest.mark.parametrize(("name", "half"), [("write", False), ("write", True), ("fdatasync", False), ("fsync", False)])
def test_refused_at_every_call_of_a_run(tmp_path, monkeypatch, name, half, code):
    monkeypatch.setattr(journal_writer, "HEAD_EVERY", 3)
    for k in range(100):
        folder = ExperimentFolder(tmp_path / f"{k}")
        with monkeypatch.context() as patch:
            refusing = Refusing(patch, name, k, code, half=half)
            acknowledged, opened, told = 0, False, os.strerror(code)
            journal = None
            try:
                journal = Journal.create(folder, segment_bytes=700)
                opened = True
                for n in range(12):
                    journal.commit([result(n)], sync=True)
                    acknowledged += 1
                journal.close()
            except JournalUnwritable as error:
                told = error.reason
                if opened:
                    assert journal is not None
                    with pytest.raises(JournalUnwritable):
                        journal.commit([result(99)], sync=True)
                    journal.close()
        assert told == os.strerror(code)
        if not opened:
            assert not list(read_journal(folder))
            continue
        seen: list[object] = []
        with Journal.open(folder, seen.append, segment_bytes=700) as journal:
            assert acknowledged <= len(seen) <= acknowledged + 1
            assert seen == [result(n) for n in range(len(seen))]
            journal.commit([result(len(seen))], sync=True)
        assert len(list(read_journal(folder))) == len(seen) + 1
        if refusing.calls <= k:
            assert acknowledged == 12
            return
    raise AssertionError("the run has more calls than were tried")


def test_a_failed_sync_is_not_tried_again(folder, monkeypatch):
    journal = Journal.create(folder)
    refusing = Refusing(monkeypatch, "fdatasync", 0, errno.EIO)
    with pytest.raises(JournalUnwritable):
        journal.commit([result(0)], sync=True)
    for _ in range(3):
        with pytest.raises(JournalUnwritable, match="earlier failure"):
            journal.commit([result(0)], sync=True)
    journal.close()
    assert refusing.calls == 1


def test_a_torn_group_is_set_aside_at_the_next_opening(folder, monkeypatch):
    journal = Journal.create(folder)
    journal.commit([result(0)], sync=True)
    with monkeypatch.context() as patch:
        Refusing(patch, "write", 0, errno.ENOSPC, half=True)
        with pytest.raises(JournalUnwritable):
            journal.commit([result(1)], sync=True)
    data = journal.path.read_bytes()
    journal.close()
    assert journal.path.read_bytes() == data
    with Journal.open(folder) as journal:
        assert journal.torn == folder.journal / "torn-1-0.bin"
        assert journal.path.read_bytes() + journal.torn.read_bytes() == data
        assert journal.next_seq == 1


def test_a_line_added_by_somebody_else_stops_the_writer(folder):
    with Journal.create(folder) as journal:
        journal.commit([result(0)], sync=True)
        with journal.path.open("ab") as file:
            file.write(b"hello\n")
        with pytest.raises(JournalUnwritable, match="somebody else"):
            journal.commit([result(1)], sync=True)


def test_a_removed_lock_file_stops_the_writer(folder):
    with Journal.create(folder) as journal:
        folder.lock.unlink()
        with pytest.raises(JournalUnwritable, match="lock file was removed"):
            journal.commit([result(1)], sync=True)


def test_a_writer_that_was_overtaken_is_stopped_by_the_head(folder, monkeypatch):
    monkeypatch.setattr(journal_writer, "HEAD_EVERY", 1)
    with Journal.create(folder) as journal:
        journal_writer.write_head(folder, journal._position, 5)
        with pytest.raises(JournalUnwritable, match="writer 5 has taken over"):
            journal.commit([result(0)], sync=True)


@pytest.fixture
def tiny_disk(tmp_path):
    """A file system of 64 KiB."""
    place = tmp_path / "tiny"
    place.mkdir()
    if os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("mounting needs root")
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(place)], capture_output=True, check=False
    )
    if done.returncode:
        pytest.skip("no tmpfs can be mounted here")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_a_disk_that_fills_up_and_is_given_room_again(tiny_disk):
    folder = ExperimentFolder(tiny_disk / "experiment")
    journal = Journal.create(folder)
    (ballast := tiny_disk / "ballast").write_bytes(bytes(16384))

    def fill() -> None:
        while True:
            journal.commit([result(journal.next_seq)], sync=True)

    with pytest.raises(JournalUnwritable, match=os.strerror(errno.ENOSPC)):
        fill()
    acknowledged = journal.next_seq
    with contextlib.closing(journal), pytest.raises(JournalUnwritable):
        journal.commit([result(acknowledged)], sync=True)
    assert acknowledged > 10
    assert [record.event for record in read_journal(folder)] == [result(n) for n in range(acknowledged)]
    ballast.unlink()
    with Journal.open(folder) as journal:
        assert journal.next_seq == acknowledged
        journal.commit([result(acknowledged)], sync=True)
    assert len(list(read_journal(folder))) == acknowledged + 1


def test_a_read_only_place_is_refused_early(tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(os, "mkdir", refuse)
    with pytest.raises(JournalUnwritable, match="Read-only"):
        Journal.create(ExperimentFolder(tmp_path / "experiment"))

"""F17, the lock: one writer at any time, the others refused with its name; whatever becomes of it, the next begins."""

import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import textwrap
import warnings
from collections.abc import Callable, Iterator

import pytest

from offbeat.errors import ExperimentLocked, JournalUnwritable
from offbeat.events import TrialFinished
from offbeat.home import ExperimentFolder
from offbeat.journal import Journal, holder, read_journal
from offbeat.trial import TrialId

ENGINE = textwrap.dedent(
    """
    import json, os, sys
    from offbeat.errors import OffbeatError
    from offbeat.events import TrialFinished
    from offbeat.home import ExperimentFolder
    from offbeat.journal import Journal

    folder, journal = ExperimentFolder(sys.argv[1]), None
    for line in sys.stdin:
        word, answer = line.strip(), None
        try:
            if word == "open":
                journal = Journal.open(folder)
                answer = ["opened", journal.epoch]
            elif word == "commit":
                journal.commit([TrialFinished(0.0, os.getpid(), journal.epoch)], sync=True)
                answer = ["committed"]
            elif word == "fork":
                child = os.fork()
                if child == 0:
                    os.read(int(sys.argv[2]), 1)
                    os._exit(0)
                answer = ["forked", child]
            elif word == "copy":
                with open(folder.lock, "rb") as file:
                    file.read()
                answer = ["copied"]
            elif word == "close":
                journal.close()
                answer = ["closed"]
        except OffbeatError as error:
            answer = [type(error).__name__, str(error)]
        print(json.dumps(answer), flush=True)
    """
)


class Engine:
    """A process that opens, commits and closes when told to."""

    def __init__(self, folder: ExperimentFolder, lifeline: int) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", ENGINE, str(folder.path), str(lifeline)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, pass_fds=[lifeline],
        )  # fmt: skip
        self.pid = self.process.pid

    def tell(self, word: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(word + "\n")
        self.process.stdin.flush()

    def hear(self) -> list:
        assert self.process.stdout is not None
        answer = json.loads(self.process.stdout.readline())
        assert isinstance(answer, list)
        return answer

    def ask(self, word: str) -> list:
        self.tell(word)
        return self.hear()

    def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGCONT)
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            with contextlib.suppress(OSError):
                pipe.close()


@pytest.fixture
def folder(tmp_path):
    folder = ExperimentFolder(tmp_path / "experiment")
    Journal.create(folder).close()
    return folder


@pytest.fixture
def start(folder) -> Iterator[Callable[[], Engine]]:
    engines: list[Engine] = []
    # Children that outlive their engine read from this pipe and go when the test ends.
    lifeline, end = os.pipe()

    def begin() -> Engine:
        engines.append(Engine(folder, lifeline))
        return engines[-1]

    yield begin
    for engine in engines:
        engine.kill()
    os.close(end)
    os.close(lifeline)


def races(folder: ExperimentFolder, start: Callable[[], Engine], rounds: int, seed: int) -> None:
    rng = random.Random(seed)
    engines = [start() for _ in range(4)]
    wins = []
    for epoch in range(1, rounds + 1):
        order = rng.sample(engines, 4)
        for engine in order:
            engine.tell("open")
        answers = {engine.pid: engine.hear() for engine in order}
        winners = [engine for engine in engines if answers[engine.pid][0] == "opened"]
        assert len(winners) == 1
        winner = winners[0]
        for engine in engines:
            if engine is not winner:
                name, text = answers[engine.pid]
                assert name == "ExperimentLocked"
                assert f"process {winner.pid}" in text
        assert answers[winner.pid][1] == epoch
        wins.append((winner.pid, epoch))
        assert winner.ask("commit") == ["committed"]
        what = rng.choice(["close", "stop", "kill"])
        if what == "stop":
            os.kill(winner.pid, signal.SIGSTOP)
            other = rng.choice([engine for engine in engines if engine is not winner])
            name, text = other.ask("open")
            assert name == "ExperimentLocked"
            assert f"process {winner.pid}" in text
            os.kill(winner.pid, signal.SIGCONT)
            assert winner.ask("commit") == ["committed"]
            wins.append(wins[-1])
        if what == "kill":
            winner.kill()
            engines[engines.index(winner)] = start()
        else:
            assert winner.ask("close") == ["closed"]
    seen = [(record.event.trial, record.event.attempt) for record in read_journal(folder)]  # type: ignore[attr-defined]
    assert seen == wins


def test_races_of_four_engines(folder, start):
    races(folder, start, 20, seed=3)


@pytest.mark.faults
@pytest.mark.timeout(600)
def test_many_races_of_four_engines(folder, start):
    races(folder, start, 200, seed=4)


def test_the_holder_is_seen_from_outside_and_gone_after_kill_9(folder, start):
    engine = start()
    assert holder(folder) is None
    assert engine.ask("open") == ["opened", 1]
    held = holder(folder)
    assert held is not None
    assert (held.pid, held.epoch) == (engine.pid, 1)
    with pytest.raises(ExperimentLocked, match=str(engine.pid)):
        Journal.open(folder)
    engine.kill()
    assert holder(folder) is None
    with Journal.open(folder) as journal:
        assert journal.epoch == 2


def test_a_child_of_the_host_does_not_keep_the_lock(folder, start):
    engine = start()
    engine.ask("open")
    child = engine.ask("fork")[1]
    engine.kill()
    os.kill(child, 0)  # alive
    Journal.open(folder).close()


def test_a_forked_child_cannot_write_or_open_and_takes_nothing_from_its_parent(folder):
    with Journal.open(folder) as journal:
        with warnings.catch_warnings():
            warnings.simplefilter(
                "ignore", DeprecationWarning
            )  # forking beside a test runner's threads; the child only exits
            child = os.fork()
        if child == 0:
            status = 1
            with contextlib.suppress(BaseException):
                try:
                    journal.commit([TrialFinished(0.0, TrialId(0), 0)], sync=True)
                except JournalUnwritable:
                    journal.close()
                    try:
                        Journal.open(folder)
                    except ExperimentLocked:
                        status = 0
            os._exit(status)
        assert os.waitpid(child, 0)[1] == 0
        held = holder(folder)
        assert held is not None
        assert held.pid == os.getpid()
        journal.commit([TrialFinished(0.0, TrialId(0), 0)], sync=True)
    assert len(list(read_journal(folder))) == 1


def test_a_copy_of_the_folder_by_the_host_does_not_end_the_lock(folder, start, tmp_path):
    engine = start()
    with Journal.open(folder) as journal:
        # The kernel drops a record lock when the process closes any descriptor of the file; the next write takes it
        # again.
        shutil.copytree(folder.path, tmp_path / "copy")
        journal.commit([TrialFinished(0.0, TrialId(0), 0)], sync=True)
        assert engine.ask("open")[0] == "ExperimentLocked"


def test_an_engine_that_lost_its_lock_to_another_cannot_write(folder, start):
    first, second = start(), start()
    first.ask("open")
    assert first.ask("commit") == ["committed"]
    first.ask("copy")
    assert second.ask("open") == ["opened", 2]
    name, text = first.ask("commit")
    assert name == "JournalUnwritable"
    assert "another process has taken the lock" in text
    assert second.ask("commit") == ["committed"]
    assert first.ask("close") == ["closed"]
    assert second.ask("commit") == ["committed"]
    assert second.ask("close") == ["closed"]
    assert [record.event.attempt for record in read_journal(folder)] == [1, 2, 2]  # type: ignore[attr-defined]

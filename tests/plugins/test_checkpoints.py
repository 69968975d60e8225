"""Which checkpoints are kept, deleted, and in which order: a disk by hand beside a conductor without a driver."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.conftest import Game, Toy, asha, epochs_script, random_search

from offbeat import Pause, Resume, Start, Tuner
from offbeat import events as ev
from offbeat.backend import LocalBackend
from offbeat.byte_sizes import byte_count, in_words
from offbeat.errors import InvalidArgument, PluginFailed
from offbeat.signals import DeleteCheckpoints, Saved, StartTrial
from offbeat.testing.scripted import ScriptedBackend
from offbeat.trial import Status, TrialId


class Disk:
    """A game in which every report has a checkpoint behind it; sizes are told when `tell` is called.

    Attributes:
        files: bytes of each trial's checkpoint as they lie on the disk; most: the most there ever were.
    """

    def __init__(self, game: Any) -> None:
        self.game = game
        self.files: dict[int, int] = {}
        self.untold: dict[int, int] = {}
        self.most = 0
        self.largest = 0
        self._done = 0

    def report(self, trial: int, epoch: int, size: int, **metrics: Any) -> None:
        if self.game.ledger[TrialId(trial)].status is not Status.RUNNING:
            return
        self.files[trial] = self.untold[trial] = size
        self.most, self.largest = max(self.most, sum(self.files.values())), max(self.largest, size)
        self.game.report(trial, epoch, **metrics)
        self.obey()

    def tell(self, trial: int) -> None:
        if (size := self.untold.pop(trial, None)) is not None:
            record = self.game.ledger[TrialId(trial)]
            self.game.signal(Saved(record.id, record.attempt, size))
            self.obey()

    def end(self, trial: int, how: str = "ended") -> None:
        if self.game.ledger[TrialId(trial)].status.occupies_slot:
            self.game.end(trial, how)
            self.obey()

    def obey(self) -> None:
        """Carries the commands out, and checks that nobody's checkpoint goes who needs it."""
        for command in self.game.commands[self._done :]:
            if isinstance(command, DeleteCheckpoints):
                assert self.game.ledger[command.trial].status in (
                    Status.PAUSED, Status.STOPPED, Status.FINISHED, Status.FAILED,
                )  # fmt: skip
                self.files.pop(command.trial, None)
                self.untold.pop(command.trial, None)
        self._done = len(self.game.commands)

    def deleted(self) -> list[int]:
        return [event.trial for event in self.game.of(ev.CheckpointDeleted)]


def pausing(**options: Any) -> Any:
    """Pauses every trial at its first report and starts another one."""

    def observe(event: Any, ledger: Any) -> Any:
        return [Pause(event.trial)] if isinstance(event, ev.TrialResult) else ()

    return Toy(observe, **options)


def paused(values: dict[int, float], budget: int, scheduler: Any = None, size: int = 100) -> Disk:
    """Trials that report a value, have it measured, and pause, one after the other, on one worker."""
    disk = Disk(Game(scheduler or pausing(), n_workers=1, checkpoint_budget=budget).begin())
    for trial, value in values.items():
        disk.report(trial, 1, size, loss=value)
        disk.tell(trial)
        disk.end(trial)
    return disk


# --- what goes first


def test_within_the_budget_nothing_is_deleted() -> None:
    # Three that pause, and the fourth that is about to write as much.
    assert paused({0: 1.0, 1: 2.0, 2: 3.0}, budget=400).deleted() == []


def test_what_costs_least_to_repeat_goes_first_and_never_the_best() -> None:
    scheduler = pausing()
    chances = {0: 0.9, 1: 0.2, 2: 0.5, 3: 0.4}
    scheduler.checkpoint_chance = lambda trial, ledger: chances.get(trial, 1.0)
    disk = paused({0: 4.0, 1: 0.5, 2: 2.0, 3: 3.0}, budget=400, scheduler=scheduler)
    # All took equally long. Trial 1 would go first, if its result were not the best; with the fifth one too many are there.
    assert disk.deleted() == [3]
    (event,) = disk.game.of(ev.CheckpointDeleted)
    assert event.why == "500 B are in use of 400 B; chance to go on 0.4, 3 s to repeat then"
    assert disk.files.keys() == {0, 1, 2}


def test_of_equal_chances_the_shorter_training_goes_first() -> None:
    disk = Disk(Game(pausing(), n_workers=1, checkpoint_budget=300).begin())
    for trial, seconds in ((0, 50), (1, 5), (2, 20), (3, 1)):
        disk.game.now += seconds
        disk.report(trial, 1, 100, loss=float(9 - trial))
        disk.tell(trial)
        disk.end(trial)
    # Trial 3 has the best result; the one that runs now counts as much as the largest so far.
    assert disk.deleted() == [1, 2]


def test_without_a_word_of_the_scheduler_ended_ones_go_before_paused_ones() -> None:
    def observe(event: Any, ledger: Any) -> Any:
        return [Pause(event.trial)] if isinstance(event, ev.TrialResult) and event.trial != 1 else ()

    disk = Disk(Game(Toy(observe), n_workers=1, checkpoint_budget=400).begin())
    for trial, how in ((0, "ended"), (1, "finished"), (2, "ended"), (3, "ended")):
        disk.report(trial, 1, 100, loss=float(9 - trial))
        disk.tell(trial)
        disk.end(trial, how)
    assert disk.deleted() == [1]


def test_the_donor_of_a_copy_that_has_to_be_made_again_is_still_there() -> None:
    def propose(request: Any, ledger: Any) -> Any:
        return Start(config={"rate": 0.5}, donor=TrialId(0) if len(ledger) == 1 else None)

    scheduler = pausing(propose=propose)
    scheduler.checkpoint_chance = lambda trial, ledger: 0.0
    disk = Disk(Game(scheduler, n_workers=1).begin())
    disk.report(0, 1, 100, loss=2.0)
    disk.end(0)
    disk.game.conductor.delete_checkpoints = True
    # The engine, or the node, dies while the checkpoint is copied: the copy is started again.
    disk.end(1, "lost")
    assert [command.donor for command in disk.game.commands if isinstance(command, StartTrial)] == [None, 0, 0]
    assert disk.deleted() == []
    disk.report(1, 1, 100, loss=1.0)
    disk.end(1)
    assert disk.deleted() == [0]


def test_a_copy_that_has_reported_never_copies_again() -> None:
    def propose(request: Any, ledger: Any) -> Any:
        if ledger.having(Status.PAUSED) and len(ledger) == 2:
            return Resume(trial=TrialId(1))
        return Start(config={"rate": 0.5}, donor=TrialId(0) if len(ledger) == 1 else None)

    disk = Disk(Game(Toy(pausing()._observe, propose), n_workers=1).begin())
    disk.report(0, 1, 100)
    disk.game.end(0, "finished")
    disk.report(1, 2, 100)
    disk.end(1)
    starts = [command for command in disk.game.commands if isinstance(command, StartTrial)]
    assert [(start.trial, start.attempt, start.donor) for start in starts] == [(0, 0, None), (1, 0, 0), (1, 1, None)]


@pytest.mark.parametrize("answer", [2.0, -0.1, float("nan"), "much", None])
def test_a_chance_that_is_none_ends_the_session(answer: Any) -> None:
    scheduler = pausing()
    scheduler.checkpoint_chance = lambda trial, ledger: answer
    disk = paused({0: 1.0, 1: 2.0}, budget=150, scheduler=scheduler)
    error = disk.game.conductor.error
    assert isinstance(error, PluginFailed)
    assert "checkpoint_chance" in str(error)


# --- the budget


@given(data=st.data(), workers=st.integers(1, 3), room=st.integers(0, 6), resumes=st.booleans())
def test_the_budget_is_exceeded_by_one_checkpoint_at_most(
    data: st.DataObject, workers: int, room: int, resumes: bool
) -> None:
    """Sizes are told late, trials report, pause, end and are resumed in any order."""

    def propose(request: Any, ledger: Any) -> Any:
        waiting = ledger.having(Status.PAUSED)
        return Resume(trial=waiting[0].id) if resumes and len(waiting) > 4 else Start(config={"rate": 0.5})

    scheduler = pausing(propose=propose)
    scheduler._observe = lambda event, ledger: (
        [Pause(event.trial)] if isinstance(event, ev.TrialResult) and event.resource % 2 == 0 else ()
    )
    largest = 100
    # All running ones and the best one have room.
    budget = (workers + 1 + room) * largest
    disk = Disk(Game(scheduler, n_workers=workers, checkpoint_budget=budget).begin())
    for _ in range(data.draw(st.integers(5, 40))):
        alive = sorted(disk.game.ledger.slots.values())
        if not alive:  # as many failures as workers end a run
            break
        trial = data.draw(st.sampled_from(alive))
        what = data.draw(st.sampled_from(["report", "report", "tell", "end"]))
        if what == "report":
            size = data.draw(st.integers(0, largest))
            level = disk.game.ledger[TrialId(trial)].resource + 1
            disk.report(trial, level, size, loss=data.draw(st.sampled_from([1.0, 2.0, 3.0])))
        elif what == "tell":
            disk.tell(trial)
        else:
            disk.tell(trial)
            status = disk.game.ledger[TrialId(trial)].status
            disk.end(trial, "ended" if status is Status.PAUSING else "finished")
        assert sum(disk.files.values()) <= budget + disk.largest
    assert disk.most <= budget + disk.largest


def test_a_journal_read_again_gives_the_same_and_makes_up_for_deletions() -> None:
    disk = paused({trial: 1.0 + trial for trial in range(6)}, budget=300)
    assert len(disk.deleted()) >= 3
    again = Game(pausing(), past=disk.game.events, n_workers=1, checkpoint_budget=300)
    kept, before = again.conductor.state.kept, disk.game.conductor.state.kept
    assert (kept.sizes, kept.deleted, kept.largest, kept.paid) == (
        before.sizes, before.deleted, before.largest, before.paid,
    )  # fmt: skip
    again.take()
    assert [c.trial for c in again.commands if isinstance(c, DeleteCheckpoints)] == sorted(before.deleted)


# --- whole runs


def test_what_is_repeated_without_a_checkpoint_is_not_counted_twice(lab: Any, simulation: Any) -> None:
    def run(home: Path, **options: Any) -> list[ev.Event]:
        backend = simulation.backend("apart", checkpoint_size=1000)
        lab.run(lab.tuner(home, simulation.scheduler("promotion"), backend=backend, **options))
        return list(lab.events(home))

    tight = run(lab.home, checkpoint_budget="6 kB")
    gone = {event.trial for event in tight if isinstance(event, ev.CheckpointDeleted)}
    again = {event.trial for event in tight if isinstance(event, ev.TrialResumed)} & gone
    assert again, "no trial was resumed without its checkpoint: the test shows nothing"
    repeats = [e for e in tight if isinstance(e, ev.TrialResult) and e.verdict == "repeat"]
    assert {event.trial for event in repeats} <= gone
    for trial in again:
        counted = [e.resource for e in simulation.counted(tight) if e.trial == trial]
        assert counted == sorted(set(counted))
    sizes = [event for event in tight if isinstance(event, ev.CheckpointSaved)]
    assert {event.size for event in sizes} == {1000}


@pytest.mark.parametrize("kind", ["stopping", "promotion"])
def test_a_budget_that_is_never_reached_changes_no_decision(lab: Any, simulation: Any, kind: str) -> None:
    found = []
    for name, options in (("plain", {}), ("wide", {"checkpoint_budget": "1 TB"})):
        backend = simulation.backend("apart", checkpoint_size="35 MB")
        lab.run(lab.tuner(lab.home, simulation.scheduler(kind), backend=backend, name=name, **options))
        results = [e for e in lab.events(lab.home, name) if isinstance(e, ev.TrialResult)]
        found.append([(e.at, e.trial, e.resource, e.verdict, e.why) for e in results])
    assert found[0] == found[1]


# --- arguments


@pytest.mark.parametrize(
    ("text", "count"),
    [(5, 5), ("5", 5), ("10 GB", 10**10), ("1.5kB", 1500), (" 2 mib ", 2 * 2**20), (".5 TB", 5 * 10**11), ("3 B", 3)],
)
def test_amounts_of_bytes(text: Any, count: int) -> None:
    assert byte_count(text, "checkpoint_budget") == count


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (0, "checkpoint_budget=0: give a number of bytes above 0"),
        (-5, "checkpoint_budget=-5"),
        (True, "checkpoint_budget=True"),
        (1.5, "checkpoint_budget=1.5"),
        ("much", "checkpoint_budget='much': give a number of bytes"),
        ("10 GT", "'GT' is no unit of bytes. Did you mean"),
        ("0 GB", "give one byte at least"),
    ],
)
def test_wrong_budgets(lab: Any, given: Any, message: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        lab.tuner(lab.home, lab.random_search(), checkpoint_budget=given)
    assert message in str(caught.value)


def test_a_backend_that_does_not_measure_cannot_keep_a_budget(lab: Any) -> None:
    with pytest.raises(InvalidArgument, match="ScriptedBackend does not measure checkpoints"):
        Tuner(ScriptedBackend(epochs_script()), asha(), checkpoint_budget="1 GB", home=lab.home, name="run")
    lab.run(lab.tuner(lab.home, random_search()))
    with pytest.raises(InvalidArgument, match="does not measure checkpoints"):
        Tuner.resume("run", home=lab.home, checkpoint_budget=10, trial_backend=ScriptedBackend(epochs_script()))


def test_the_processes_of_this_machine_are_measured(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text("")
    assert LocalBackend(tmp_path / "train.py").measures_checkpoints


@pytest.mark.parametrize(("count", "words"), [(0, "0 B"), (999, "999 B"), (1234, "1.23 kB"), (35 * 10**9, "35 GB")])
def test_amounts_in_words(count: int, words: str) -> None:
    assert in_words(count) == words


def test_a_session_without_a_budget_cannot_be_given_one() -> None:
    from offbeat.instructions import change

    game = Game(pausing()).begin()
    with pytest.raises(InvalidArgument, match="does not measure checkpoints"):
        change(game.conductor, 1.0, changes={"checkpoint_budget": 100})
    game.take()
    assert game.of(ev.LimitsChanged) == []

"""The file recorders: a row a result, none missing and none twice, whatever happened to the file or the engine."""

import csv
import json
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from offbeat.errors import InvalidArgument
from offbeat.events import Event, Suggested, TrialResult
from offbeat.home import ExperimentFolder
from offbeat.journal import Journal, read_journal
from offbeat.protocols import Recorded
from offbeat.trial import TrialId
from offbeat_reporters.files import CsvResults, JsonLinesResults

BOTH = [CsvResults, JsonLinesResults]


class View:
    """An experiment as an observer sees it."""

    spec = None
    ledger = None
    elapsed = 0.0

    def __init__(self, folder: ExperimentFolder) -> None:
        self.folder = folder


@pytest.fixture
def folder(tmp_path):
    return ExperimentFolder(tmp_path / "e")


def events(count: int) -> list[Event]:
    found: list[Event] = []
    for n in range(count):
        trial = TrialId(n // 10)
        if n % 10 == 0:
            found.append(
                Suggested(float(n), int(trial), "start", trial, {"lr": 0.1 * trial, "name": f'a "b", {trial}\nc'})
            )
        metrics = {"loss": 1.0 / (n + 1), "epoch": n % 10 + 1, "ok": n % 2 == 0, "text": "line\nbreak"}
        found.append(TrialResult(n + 0.5, trial, 0, n % 10, n % 10 + 1, metrics))
    return found


def record(observer, folder: ExperimentFolder, *, until: int | None = None, batch: int = 7) -> int:
    first = observer.start(View(folder))
    records = list(read_journal(folder, first))[: until if until is None else max(0, until - first)]
    for begin in range(0, len(records), batch):
        observer.handle(records[begin : begin + batch])
    observer.finish()
    return first


def rows(folder: ExperimentFolder, kind) -> list[dict]:
    if kind is JsonLinesResults:
        return [json.loads(line) for line in (folder.path / "results.jsonl").read_text().splitlines()]
    with (folder.path / "results.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def path_of(folder: ExperimentFolder, kind):
    return folder.path / ("results.csv" if kind is CsvResults else "results.jsonl")


def write(folder: ExperimentFolder, found: list[Event]) -> None:
    with Journal.create(folder) as journal:
        journal.commit(found, sync=False)


@pytest.mark.parametrize("kind", BOTH)
def test_one_row_a_result(folder, kind):
    write(folder, events(35))
    assert record(kind(), folder) == 1
    expected = [(r.seq, r.event) for r in read_journal(folder) if isinstance(r.event, TrialResult)]
    found = rows(folder, kind)
    assert [int(row["seq"]) for row in found] == [seq for seq, _ in expected]
    assert [float(row["loss"]) for row in found] == [event.metrics["loss"] for _, event in expected]
    assert [float(row["config_lr"]) for row in found] == [0.1 * event.trial for _, event in expected]


def test_csv_columns_and_cells(folder):
    write(folder, events(1))
    record(CsvResults(), folder)
    (row,) = rows(folder, CsvResults)
    assert list(row) == [
        "seq", "at", "trial", "attempt", "resource", "verdict", "loss", "epoch", "ok", "text",
        "config_lr", "config_name",
    ]  # fmt: skip
    assert (row["ok"], row["text"], row["config_name"]) == ("True", r"line\nbreak", r'a "b", 0\nc')
    assert len((folder.path / "results.csv").read_text().splitlines()) == 2


def test_a_metric_that_appears_later_becomes_a_column_of_all_rows(folder):
    found = events(5)
    last = found[-1]
    assert isinstance(last, TrialResult)
    write(folder, [*found, TrialResult(9.0, last.trial, 0, 5, 6, {"loss": 0.0, "extra": [1, 2]})])
    record(CsvResults(), folder, batch=2)
    table = rows(folder, CsvResults)
    assert [row["extra"] for row in table] == [""] * 5 + ["[1,2]"]
    assert all(None not in row for row in table)
    assert list(table[0])[-1] == "extra"
    assert table[-1]["epoch"] == ""


@pytest.mark.parametrize("kind", BOTH)
def test_cut_at_every_byte_it_is_mended_to_the_same_file(folder, kind):
    write(folder, events(24))
    record(kind(), folder)
    path = path_of(folder, kind)
    whole = path.read_bytes()
    for cut in range(0, len(whole) + 1, 1 if len(whole) < 4000 else 3):
        path.write_bytes(whole[:cut])
        first = record(kind(), folder)
        assert path.read_bytes() == whole
        if cut == len(whole):
            assert first == len(list(read_journal(folder)))


@settings(max_examples=30, deadline=None)
@given(stops=st.lists(st.integers(0, 60), max_size=6), seed=st.integers(0, 99))
@pytest.mark.parametrize("kind", BOTH)
def test_however_often_it_is_begun_again_nothing_is_missing_or_doubled(tmp_path_factory, kind, stops, seed):
    folder = ExperimentFolder(tmp_path_factory.mktemp("files") / "e")
    write(folder, events(50))
    rng = random.Random(seed)
    for stop in stops:
        record(kind(), folder, until=stop, batch=rng.randint(1, 9))
    record(kind(), folder)
    interrupted = path_of(folder, kind).read_bytes()
    path_of(folder, kind).unlink()
    record(kind(), folder)
    assert path_of(folder, kind).read_bytes() == interrupted


@pytest.mark.parametrize("kind", BOTH)
def test_rows_that_the_journal_lost_in_a_crash_are_taken_back(folder, kind):
    """Observers may hear of events whose group never reached the disk; after the crash something else happens."""
    found = events(30)
    with Journal.create(folder) as journal:
        journal.commit(found[:15], sync=True)
        observer = kind()
        observer.start(View(folder))
        observer.handle([Recorded(seq, event) for seq, event in enumerate(found)])
    changed = [
        TrialResult(event.at + 100, event.trial, 0, event.seq, event.resource, {"loss": 5.0})
        for event in found[15:]
        if isinstance(event, TrialResult) and event.trial == TrialId(1)
    ]
    with Journal.open(folder) as journal:
        journal.commit(changed, sync=True)
    assert record(kind(), folder) == 15
    table = rows(folder, kind)
    assert [int(row["seq"]) for row in table if float(row["loss"]) == 5.0] == list(range(15, 15 + len(changed)))
    assert len(table) == sum(isinstance(r.event, TrialResult) for r in read_journal(folder))


@pytest.mark.parametrize("kind", BOTH)
def test_events_offered_twice_are_written_once(folder, kind):
    write(folder, events(10))
    observer = kind()
    observer.start(View(folder))
    everything = list(read_journal(folder))
    observer.handle(everything)
    observer.handle(everything)
    observer.handle(everything[3:])
    assert len(rows(folder, kind)) == 10


def test_a_foreign_file_is_moved_aside_not_overwritten(folder):
    write(folder, events(3))
    path = folder.path / "results.csv"
    for n in range(2):
        path.write_text("my,own\n1,2\n")
        record(CsvResults(), folder)
        assert (folder.path / f"results.csv.foreign-{n}").read_text() == "my,own\n1,2\n"
        assert len(rows(folder, CsvResults)) == 3


@pytest.mark.parametrize("file", ["", "..", "a/b.csv", "/etc/x", "lock", "head.json"])
@pytest.mark.parametrize("kind", BOTH)
def test_the_file_stays_in_the_folder(kind, file):
    with pytest.raises(InvalidArgument, match="plain file name"):
        kind(file)

"""Tables of results and trials, against a fold of the journal's lines by hand; live reading; values that are odd."""

from __future__ import annotations

import json
import re
import shutil
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offbeat import load_experiment
from offbeat.errors import InvalidArgument, JournalError, UnknownPlugin
from offbeat.events import (
    ComponentDescription,
    Event,
    ExperimentClosed,
    ExperimentOpened,
    ExperimentSpec,
    Host,
    Limits,
    MetricSpec,
    Suggested,
    TrialFinished,
    TrialLost,
    TrialResult,
    TrialStarted,
)
from offbeat.home import ExperimentFolder
from offbeat.journal import Journal
from offbeat.results import COLUMNS, Table
from offbeat.testing.histories import event_history
from offbeat.trial import TrialId

SPEC = ExperimentSpec(
    name="e",
    seed=3,
    metrics=(MetricSpec("loss"),),
    resource_attr="epoch",
    space={"z": {}, "lr": {}},
    scheduler=ComponentDescription("offbeat.schedulers", "asha"),
    backend=ComponentDescription("offbeat.backends", "local"),
    limits=Limits(n_workers=2),
)
TAKEN = re.compile(r"(metric_)*(seq|at|trial|attempt|resource|verdict|st_cost|config_.*)", re.DOTALL)


def opened() -> Event:
    return ExperimentOpened(0.0, 0, SPEC, Host(wall_time=1000.0))


def written(folder: ExperimentFolder, events: list[Event]) -> Any:
    with Journal.create(folder) as journal:
        journal.commit(events, sync=False)
    return load_experiment(folder.path)


def by_hand(folder: ExperimentFolder) -> list[dict[str, Any]]:
    """Counted results as flat rows, from the journal's lines and nothing else."""
    rows, configs, costs, seq = [], {}, {}, -1
    for line in (folder.journal / "00000000.jsonl").read_text().split("\n")[1:-1]:
        for event in json.loads(line)["events"]:
            seq += 1
            if event[0] == "suggested" and event[3] == "start":
                configs[event[4]] = event[5]
            if event[0] != "trial-result":
                continue
            _, at, trial, attempt, _, resource, metrics, verdict = event[:8]
            if verdict != "late" and type(metrics.get("st_worker_cost")) in (int, float):
                costs.setdefault(trial, {})[attempt] = metrics["st_worker_cost"]
            if verdict in ("late", "repeat"):
                continue
            row = {"seq": seq, "at": at, "trial": trial, "attempt": attempt, "resource": resource, "verdict": verdict}
            row |= {f"metric_{k}" if TAKEN.fullmatch(k) else k: v for k, v in metrics.items()}
            row |= {"st_cost": sum(costs[trial].values())} if trial in costs else {}
            rows.append(row | {f"config_{k}": v for k, v in configs[trial].items()})
    return rows


values = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False),
    st.integers(-(2**63), 2**64 - 1),
    st.booleans(),
    st.none(),
    st.sampled_from(["nan", "inf", "-inf", "relu", ""]),
    st.lists(st.integers(0, 9) | st.text(max_size=3), max_size=3),
    st.dictionaries(st.text(max_size=2), st.integers(0, 9), max_size=2),
    st.text(st.characters(codec="utf-8"), max_size=6),
)
names = st.sampled_from(
    ["accuracy", "time", "trial", "at", "seq", "cost", "config_lr", "metric_trial", "metric_auc", "st_cost", "lr"]
) | st.text(st.characters(codec="utf-8"), min_size=1, max_size=4)
metrics = st.tuples(st.floats(-10, 10), st.dictionaries(names, values, max_size=4), st.none() | st.floats(0, 1e6)).map(
    lambda parts: {**parts[1], "loss": parts[0], **({} if parts[2] is None else {"st_worker_cost": parts[2]})}
)
configs = st.dictionaries(st.sampled_from(["lr", "trial", "time", "at", "z", "config_lr"]), values, max_size=4)


@st.composite
def journals(draw: st.DrawFn) -> list[Event]:
    """Trials whose reports change what they report; attempts that are lost and started again; late and repeated ones."""
    events = [opened()]
    n = draw(st.integers(1, 4))
    for trial in map(TrialId, range(n)):
        events += [Suggested(0.0, trial, "start", trial, draw(configs)), TrialStarted(0.0, trial, 0, trial)]
    attempts = [0] * n
    for step in range(draw(st.integers(0, 12))):
        trial, at = TrialId(draw(st.integers(0, n - 1))), float(step)
        if draw(st.integers(0, 5)) == 0:
            events.append(TrialLost(at, trial, attempts[trial], "gone"))
            attempts[trial] += 1
            events.append(TrialStarted(at, trial, attempts[trial], trial))
        verdict = draw(st.sampled_from(["continue", "continue", "repeat", "late"]))
        attempt = attempts[trial] if verdict != "late" else draw(st.integers(0, attempts[trial]))
        events.append(TrialResult(at, trial, attempt, step, step, draw(metrics), verdict))
    return events


@given(journals())
def test_results_equal_a_fold_by_hand(events: list[Event]) -> None:
    home = Path(tempfile.mkdtemp())
    try:
        folder = ExperimentFolder(home / "e")
        experiment = written(folder, events)
        rows = by_hand(folder)
        table = experiment.results()
        assert list(table) == rows
        assert set(table.names) == {*COLUMNS, *(name for row in rows for name in row)}
        assert len(set(table.names)) == len(table.names)
        assert table.names[: len(COLUMNS)] == COLUMNS
        for column in table.columns():
            assert len(column.values) == len(rows)
            for value, row in zip(column.values, rows, strict=True):
                told = row.get(column.name)
                same = value == told or (column.kind == "number" and value != value and told == "nan")
                assert same or value == float(told), column
        # A trial's cost is what the engine's own ledger says.
        last = {row["trial"]: row["st_cost"] for row in experiment.results(late=True) if "st_cost" in row}
        assert last == {record.id: record.cost for record in experiment.ledger if record.id in last}
    finally:
        shutil.rmtree(home)


@pytest.mark.parametrize("seed", range(6))
def test_every_kind_of_event_folds_into_tables(tmp_path: Path, seed: int) -> None:
    folder = ExperimentFolder(tmp_path / "e")
    experiment = written(folder, event_history(seed))
    assert list(experiment.results()) == by_hand(folder)
    rows = list(experiment.table("trials"))
    assert [row["trial"] for row in rows] == list(range(len(experiment.ledger)))
    name = experiment.spec.metrics[0].name
    for row, trial in zip(rows, experiment.trials, strict=True):
        assert row["status"] == trial.status.value
        assert row.get(f"best_{name}") == trial.value
        assert {k.removeprefix("last_"): v for k, v in row.items() if k.startswith("last_")} == (trial.last or {})
        assert {k.removeprefix("config_"): v for k, v in row.items() if k.startswith("config_")} == trial.config


def simple(*results: dict[str, Any], config: dict[str, Any] | None = None) -> list[Event]:
    trial = TrialId(0)
    return [
        opened(),
        Suggested(0.0, 0, "start", trial, config or {"lr": 0.1}),
        TrialStarted(0.0, trial, 0, 0),
        *(TrialResult(float(i), trial, 0, i, i, {"loss": 1.0, **one}) for i, one in enumerate(results)),
    ]


def kinds(table: Table) -> dict[str, tuple[str, list[Any]]]:
    return {column.name: (column.kind, column.values) for column in table.columns()}


def test_columns_have_the_kind_of_their_values(tmp_path: Path) -> None:
    reports = [
        {"n": 1, "x": 1.5, "ok": True, "note": "a", "list": [1], "mixed": 1, "huge": 2**64 - 1, "bad": "nan"},
        {"n": 2, "x": "inf", "ok": False, "list": [2], "mixed": "one", "bad": "-inf", "word": "nan"},
        {"n": 3, "x": 2, "late": 0.5, "word": "other"},
    ]
    found = kinds(written(ExperimentFolder(tmp_path / "e"), simple(*reports)).results())
    assert found["n"] == ("integer", [1, 2, 3])
    assert found["x"] == ("number", [1.5, float("inf"), 2.0])
    assert found["ok"] == ("boolean", [True, False, None])
    assert found["note"] == ("text", ["a", None, None])
    assert found["list"] == ("other", [[1], [2], None])
    assert found["mixed"] == ("other", [1, "one", None])
    assert found["huge"] == ("other", [2**64 - 1, None, None])
    assert found["late"] == ("number", [None, None, 0.5])
    assert found["word"] == ("text", [None, "nan", "other"])
    assert found["bad"][0] == "number"
    assert found["bad"][1][1:] == [float("-inf"), None]
    assert found["bad"][1][0] != found["bad"][1][0]


def test_a_hyperparameter_that_reads_like_a_number_stays_a_text(tmp_path: Path) -> None:
    config = {"norm": "inf", "trial": "mine", "at": 3, "time": 4.5}
    found = kinds(written(ExperimentFolder(tmp_path / "e"), simple({}, {}, config=config)).results())
    assert found["config_norm"] == ("text", ["inf", "inf"])
    assert found["config_trial"] == ("text", ["mine", "mine"])
    assert (found["trial"], found["at"]) == (("integer", [0, 0]), ("number", [0.0, 1.0]))
    assert found["config_time"] == ("number", [4.5, 4.5])


def test_hyperparameters_stand_as_the_space_has_them(tmp_path: Path) -> None:
    events = simple({}, config={"new": 1, "lr": 0.1, "z": 2})
    table = written(ExperimentFolder(tmp_path / "e"), events).results()
    assert table.names[-3:] == ("config_z", "config_lr", "config_new")


def test_an_experiment_without_results_has_tables_with_heads(tmp_path: Path) -> None:
    experiment = written(ExperimentFolder(tmp_path / "e"), [opened()])
    assert experiment.results().names == COLUMNS
    assert [column.values for column in experiment.table("trials").columns()] == [[]] * 13
    with pytest.raises(InvalidArgument, match="Did you mean 'trials'"):
        experiment.table("trails")


def test_what_was_read_grows_with_the_journal(tmp_path: Path) -> None:
    folder = ExperimentFolder(tmp_path / "e")
    events = simple({"loss": 3.0}, {"loss": 2.0}, {"loss": 4.0}, {"loss": 1.0})
    with Journal.create(folder) as journal:
        journal.commit(events[:4], sync=False)
        experiment = load_experiment(folder.path)
        before = experiment.results()
        assert (experiment.status, len(list(before)), experiment.best().value) == ("running", 1, 3.0)
        journal.commit(events[4:], sync=False)
        assert len(list(before)) == 1
        assert experiment.n_results == 1
        assert experiment.refresh() is experiment
        assert len(list(experiment.results())) == 4
        assert len(list(before)) == 1
        assert experiment.best().value == 1.0
        assert [one.value for one in experiment.incumbents] == [3.0, 2.0, 1.0]
        journal.commit([TrialFinished(5.0, TrialId(0), 0), ExperimentClosed(5.0, 0, "done", "enough")], sync=False)
        assert [recorded.seq for recorded in experiment.news()] == [7, 8]
    assert experiment.refresh().status == "done"
    assert experiment.news() == []
    assert experiment.events == load_experiment(folder.path).events


def test_a_journal_whose_events_do_not_fit_says_so_each_time(tmp_path: Path) -> None:
    folder = ExperimentFolder(tmp_path / "e")
    with Journal.create(folder) as journal:
        journal.commit(simple({}), sync=False)
        experiment = load_experiment(folder.path)
        journal.commit([TrialFinished(5.0, TrialId(7), 0)], sync=False)
        for _ in range(2):
            with pytest.raises(JournalError, match="event 4 does not fit"):
                experiment.refresh()


def test_the_best_by_a_metric_that_is_no_objective(tmp_path: Path) -> None:
    experiment = written(
        ExperimentFolder(tmp_path / "e"), simple({"acc": 0.5}, {"acc": 0.9, "note": "x"}, {"acc": "nan"}, {"acc": 0.7})
    )
    best = experiment.best("acc", mode="max")
    assert (best.value, best.resource, best.metric) == (0.9, 1, "acc")
    assert experiment.best("acc", mode="min").value == 0.5
    assert experiment.best("loss", mode="max").value == 1.0
    with pytest.raises(InvalidArgument, match="say mode="):
        experiment.best("acc")
    with pytest.raises(InvalidArgument, match=r"not reported at all.*Did you mean 'acc'"):
        experiment.best("accc", mode="max")
    with pytest.raises(InvalidArgument, match="as a number"):
        experiment.best("note", mode="max")
    with pytest.raises(InvalidArgument, match="Did you mean 'max'"):
        experiment.best("acc", mode="maxi")


def test_trials_by_number(tmp_path: Path) -> None:
    folder = ExperimentFolder(tmp_path / "e")
    experiment = written(folder, simple({"loss": 2.0}, {"loss": 0.5}, config={"lr": 0.1, "z": 3}))
    trial = experiment.trials[0]
    assert (trial.id, list(trial.config), trial.value, trial.reports, trial.attempts) == (0, ["z", "lr"], 0.5, 2, 1)
    assert [point.value for point in trial.curve()] == [2.0, 0.5]
    assert repr(trial) == "<trial 0 of e: running, best loss 0.5>"
    assert trial.checkpoints is None
    folder.checkpoints(0).mkdir(parents=True)
    assert trial.checkpoints == folder.checkpoints(0)
    assert len(experiment.trials) == 1
    for wrong in (1, -1, "0"):
        with pytest.raises(InvalidArgument, match="0 to 0"):
            experiment.trials[wrong]


def test_saving_by_ending_or_by_name(tmp_path: Path) -> None:
    experiment = written(ExperimentFolder(tmp_path / "e"), simple({"note": 'a,b\n"c"'}, {"bag": [1, None]}))
    assert experiment.to_csv(tmp_path / "a.csv") == tmp_path / "a.csv"
    experiment.save(tmp_path / "b.csv")
    experiment.save(tmp_path / "c.txt", form="csv")
    texts = {(tmp_path / name).read_bytes() for name in ("a.csv", "b.csv", "c.txt")}
    assert len(texts) == 1
    experiment.save(tmp_path / "trials.jsonl", "trials")
    assert [json.loads(line) for line in (tmp_path / "trials.jsonl").read_text().splitlines()] == list(
        experiment.table("trials")
    )
    with pytest.raises(InvalidArgument, match="end the name"):
        experiment.save(tmp_path / "nothing")
    with pytest.raises(UnknownPlugin, match="Did you mean 'csv'"):
        experiment.save(tmp_path / "x.cvs")
    with pytest.raises(InvalidArgument, match="held in memory"):
        experiment.save(tmp_path / "x", form="pandas")
    with pytest.raises(InvalidArgument, match="a format of files"):
        experiment.results().to("csv")


def test_a_file_that_cannot_be_written_as_a_whole_is_left_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("mine")
    folder = ExperimentFolder(tmp_path / "e")
    experiment = written(folder, simple({}, {}))
    segment = folder.journal / "00000000.jsonl"
    segment.write_bytes(segment.read_bytes().replace(b'"loss"', b'"lost"', 1))
    with pytest.raises(JournalError):
        experiment.to_csv(path)
    assert path.read_text() == "mine"
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["a.csv", "e"]

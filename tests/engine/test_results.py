"""Results: what the journal says, as tables; against a plain recount of the events."""

from pathlib import Path

import msgspec
import pytest

from offbeat import home
from offbeat.errors import ExperimentNotFound, InvalidArgument, JournalDamaged, JournalError
from offbeat.events import (
    ComponentDescription,
    Event,
    ExperimentClosed,
    ExperimentOpened,
    ExperimentSpec,
    Host,
    Limits,
    LimitsChanged,
    MetricSpec,
    Suggested,
    TrialFailed,
    TrialFinished,
    TrialResult,
    TrialStarted,
    TrialStopped,
)
from offbeat.home import ExperimentFolder
from offbeat.journal import Journal
from offbeat.results import COLUMNS, load
from offbeat.trial import TrialId

A, B, C = TrialId(0), TrialId(1), TrialId(2)
SPEC = ExperimentSpec(
    name="e",
    seed=3,
    metrics=(MetricSpec("loss"), MetricSpec("accuracy", "max")),
    resource_attr="epoch",
    scheduler=ComponentDescription("offbeat.schedulers", "asha"),
    backend=ComponentDescription("offbeat.backends", "local"),
    limits=Limits(n_workers=2),
)


def result(at: float, trial: TrialId, seq: int, loss: float, accuracy: float, **more: object) -> TrialResult:
    verdict = more.pop("verdict", "continue")
    attempt = more.pop("attempt", 0)
    metrics = {"loss": loss, "accuracy": accuracy, "epoch": seq + 1, **more}
    return TrialResult(at, trial, attempt, seq, seq + 1, metrics, verdict)  # type: ignore[arg-type]


def run() -> list[Event]:
    return [
        ExperimentOpened(0.0, 0, SPEC, Host(wall_time=1000.0)),
        Suggested(0.1, 0, "start", A, {"lr": 0.1, "layers": 2}),
        TrialStarted(0.1, A, 0, 0),
        Suggested(0.2, 1, "start", B, {"lr": 0.2, "layers": 3}),
        TrialStarted(0.2, B, 0, 1),
        result(1.0, A, 0, 0.9, 0.1),
        result(1.1, B, 0, 0.8, 0.2, note="x"),
        result(2.0, A, 1, 0.5, 0.5),
        result(2.1, B, 1, 0.6, 0.6, verdict="stop"),
        result(2.2, B, 2, 0.1, 0.9, verdict="late"),
        TrialStopped(2.3, B, 0),
        result(3.0, A, 2, 0.7, 0.3),
        TrialFinished(3.1, A, 0),
        ExperimentClosed(3.2, 0, "interrupted", "Ctrl-C"),
        ExperimentOpened(3.2, 1, None, Host(wall_time=2000.0)),
        LimitsChanged(3.2, Limits(n_workers=7)),
        Suggested(3.3, 2, "start", C, {"lr": 0.3, "layers": 4}),
        TrialStarted(3.3, C, 0, 0),
        result(4.0, C, 0, 0.5, 0.1),
        TrialFailed(4.1, C, 0, "exit status 1"),
    ]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("OFFBEAT_HOME", str(tmp_path))
    folder = ExperimentFolder(tmp_path / "e")
    with Journal.create(folder) as journal:
        journal.commit(run(), sync=True)
    return folder


def test_an_experiment_is_found_by_name_by_path_and_by_folder(folder, monkeypatch):
    assert {load(how).events for how in ("e", str(folder.path), folder.path, folder)} == {len(run())}
    monkeypatch.chdir(folder.path.parent)
    assert load(Path("e")).name == "e"
    with pytest.raises(ExperimentNotFound, match=r"Did you mean 'e'|Known: 'e'"):
        load("f")


def test_rows_have_the_metrics_and_the_configuration(folder):
    experiment = load(folder)
    rows = list(experiment.results(late=True))
    events = [(seq, event) for seq, event in enumerate(run()) if isinstance(event, TrialResult)]
    assert [row["seq"] for row in rows] == [seq for seq, _ in events]
    for row, (_, event) in zip(rows, events, strict=True):
        assert tuple(row)[: len(COLUMNS)] == COLUMNS
        assert {name: row[name] for name in event.metrics} == event.metrics
        assert row["config_lr"] == experiment.ledger[event.trial].config["lr"]
    assert rows[1] == {
        "seq": 6, "at": 1.1, "trial": 1, "attempt": 0, "resource": 1, "verdict": "continue", "loss": 0.8,
        "accuracy": 0.2, "epoch": 1, "note": "x", "config_lr": 0.2, "config_layers": 3,
    }  # fmt: skip


def test_a_metric_never_takes_the_place_of_another_column(tmp_path):
    metrics = {"loss": 0.9, "accuracy": 0.1, "trial": "mine", "config_lr": "mine"}
    clashing = TrialResult(1.0, A, 0, 0, 1, metrics)
    folder = ExperimentFolder(tmp_path / "e")
    with Journal.create(folder) as journal:
        journal.commit([*run()[:5], clashing], sync=True)
    (row,) = load(folder).results()
    assert (row["trial"], row["config_lr"]) == (0, 0.1)
    assert (row["metric_trial"], row["metric_config_lr"]) == ("mine", "mine")


def test_the_best_is_the_best_counted_result_in_the_objectives_mode(folder):
    experiment = load(folder)
    best = experiment.best()
    assert best is not None
    # Trial C reached the same value later; B's 0.1 was late and does not count.
    assert (best.trial.id, best.value, best.resource, best.at) == (A, 0.5, 2, 2.0)
    assert best.config == {"lr": 0.1, "layers": 2}
    assert best.checkpoints is None
    assert [(item.trial.id, item.value) for item in experiment.best(n=5)] == [(A, 0.5), (C, 0.5), (B, 0.6)]
    assert [(item.trial.id, item.value) for item in experiment.best("accuracy", n=2)] == [(B, 0.6), (A, 0.5)]
    folder.checkpoints(A).mkdir(parents=True)
    best = load(folder).best()
    assert best is not None
    assert best.checkpoints == folder.checkpoints(A)
    with pytest.raises(InvalidArgument, match="Did you mean 'loss'"):
        experiment.best("los")


def test_curves(folder):
    experiment = load(folder)
    assert experiment.curve(0) == [(1, 0.9, 1.0, 0), (2, 0.5, 2.0, 0), (3, 0.7, 3.0, 0)]
    assert [point.value for point in experiment.curve(1, "accuracy")] == [0.2, 0.6]
    assert experiment.curve(1, "nothing") == []
    with pytest.raises(InvalidArgument, match="no trial 9"):
        experiment.curve(9)


def test_sessions_limits_and_counts(folder):
    experiment = load(folder)
    first, second = experiment.sessions
    assert (first.started, first.closed, first.outcome, first.reason) == (1000.0, 3.2, "interrupted", "Ctrl-C")
    assert (second.started, second.opened, second.closed, second.outcome) == (2000.0, 3.2, None, "")
    assert experiment.limits.n_workers == 7
    assert experiment.counts() == {"finished": 1, "stopped": 1, "failed": 1}
    # The late one is a row, but no limit counts it.
    assert (experiment.elapsed, experiment.n_results, experiment.n_late) == (4.1, 6, 1)
    assert experiment.n_results == sum(record.reports for record in experiment.ledger)


def test_the_status_says_who_runs_it_or_how_it_ended(folder):
    assert load(folder).status == "crashed"
    with Journal.open(folder) as journal:
        experiment = load(folder)
        assert experiment.status == "running"
        assert experiment.running is not None
        journal.commit([ExperimentClosed(5.0, 1, "done", "enough")], sync=True)
    assert load(folder).status == "done"
    # What was loaded before stays as it was, while the journal grows.
    assert len(list(experiment.results(late=True))) == 7


def test_the_summary_is_json(folder):
    summary = msgspec.json.decode(msgspec.json.encode(load(folder).summary()))
    assert summary["best"]["config"] == {"lr": 0.1, "layers": 2}
    assert (summary["name"], summary["status"], summary["trials"], summary["n_workers"]) == ("e", "crashed", 3, 7)
    assert (summary["results"], summary["late"]) == (6, 1)


def test_an_experiment_without_results_has_no_best(tmp_path):
    folder = ExperimentFolder(tmp_path / "e")
    with Journal.create(folder) as journal:
        journal.commit(run()[:1], sync=True)
    experiment = load(folder)
    assert (experiment.best(), experiment.best(n=3), list(experiment.results())) == (None, [], [])
    assert experiment.summary().best is None


def test_a_listing_can_skip_what_is_half_written_foreign_or_damaged(folder, tmp_path):
    (tmp_path / "foreign" / "journal").mkdir(parents=True)
    Journal.create(ExperimentFolder(tmp_path / "begun")).close()
    with Journal.create(ExperimentFolder(tmp_path / "misfit")) as journal:
        journal.commit([run()[0], TrialStarted(0.1, A, 0, 0)], sync=True)
    with Journal.create(ExperimentFolder(tmp_path / "headless")) as journal:
        journal.commit([TrialStarted(0.1, A, 0, 0)], sync=True)
    with Journal.create(ExperimentFolder(tmp_path / "damaged")) as journal:
        journal.commit(run(), sync=True)
    journal.path.write_bytes(journal.path.read_bytes().replace(b"0.9", b"0.8", 1))
    good, bad = [], []
    for each in home.experiments(tmp_path):
        try:
            good.append(load(each).name)
        except JournalError:
            bad.append(each.name)
    assert (good, bad) == (["e"], ["begun", "damaged", "foreign", "headless", "misfit"])
    with pytest.raises(JournalDamaged):
        load("damaged")

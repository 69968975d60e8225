"""`offbeat bench --from`: schedulers and worker counts on a model of the user's own experiments."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from offbeat.bench import Benchmark, compare
from offbeat.bench.past import by_workers, past
from offbeat.cli import main
from offbeat.errors import ExperimentNotFound, InvalidArgument

EPOCHS = 4


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Two experiments, imported from folders of another tool; of three trials in four the curve was cut."""
    for name in ("one", "two"):
        for i in range(24):
            folder = tmp_path / name / f"{i:02}"
            folder.mkdir(parents=True)
            lr = (i * 7 % 24 + 1) / 25 if name == "one" else (i * 5 % 24 + 1.5) / 26
            (folder / "params.json").write_text(json.dumps({"lr": lr}))
            last = EPOCHS if abs(lr - 0.4) < 0.15 else 1
            lines = [
                {"loss": 0.1 + (lr - 0.4) ** 2 + 0.2 / e, "training_iteration": e, "timestamp": 100 + 9 * i + e,
                 "time_since_restore": e * (1 + lr), "time_total_s": e * (1 + lr)}
                for e in range(1, last + 1)
            ]  # fmt: skip
            (folder / "result.json").write_text("".join(json.dumps(line) + "\n" for line in lines))
        options = ["--metric", "loss", "--mode", "min", "--space", "lr=uniform(0, 1)", "--home", str(tmp_path / "home")]
        assert main(["import", "ray", str(tmp_path / name), *options]) == 0
    return tmp_path / "home"


def test_benchmarks_of_experiments(home: Path) -> None:
    found = past(["one", str(home / "two")], workers=[2, 4], home=home)
    assert [(one.name, one.n_workers) for one in found.benchmarks] == [("past-2w", 2), ("past-4w", 4)]
    assert found.fit.trials == 48
    assert found.fit.held_out == "experiments"
    assert "fitted to 48 trials of one, two" in found.benchmarks[0].source
    # A definition that another process can read.
    import msgspec

    again = msgspec.json.decode(msgspec.json.encode(found.benchmarks[0]), type=Benchmark)
    box = again.load()
    assert tuple(box.levels) == (1, 2, 3, 4)
    assert box is found.benchmarks[1].load()


def test_schedulers_and_worker_counts_are_compared(home: Path, tmp_path: Path) -> None:
    found = past(["one", "two"], workers=[2, 4], trainings=8, home=home)
    comparison = compare("random,asha", found.benchmarks, seeds=2, folder=tmp_path / "bench")
    assert not comparison.failures
    rows = list(by_workers(comparison, found.benchmarks))
    assert [row["workers"] for row in rows] == [2, 4]
    # Equal total work.
    assert rows[0]["seconds"] == pytest.approx(2 * rows[1]["seconds"])
    assert all(set(row["regret"]) == {"random", "asha"} for row in rows)
    again = compare("random,asha", found.benchmarks, seeds=2, folder=tmp_path / "bench")
    assert [run.true for run in again.runs] == [run.true for run in comparison.runs]


def test_the_command(home: Path, tmp_path: Path, capsys: Any) -> None:
    capsys.readouterr()
    shared = [
        "bench",
        "--home",
        str(home),
        "--schedulers",
        "random,asha",
        "--seeds",
        "1",
        "-o",
        str(tmp_path / "bench"),
    ]
    assert main([*shared, "--from", "one", "two", "--workers", "1,2"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("fitted to 48 trials of one, two: ")
    assert "cut early (censored)" in out
    assert "errors of held-out experiments" in out
    assert "Workers, with equal total work: mean normalised regret at the end" in out
    assert "digits" not in out
    assert main([*shared, "--from", "one", "--from", "two", "--workers", "1,2", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["past"]
    assert found["fit"]["held_out"] == "experiments"
    assert [row["workers"] for row in found["workers"]] == [1, 2]


def test_a_fit_that_knows_no_more_than_the_median_is_warned_of(tmp_path: Path, capsys: Any) -> None:
    """What is good in one experiment is bad in the other."""
    home = ["--home", str(tmp_path / "home")]
    for name in ("one", "two"):
        for i in range(24):
            folder = tmp_path / name / f"{i:02}"
            folder.mkdir(parents=True)
            lr = (i + 1) / 25
            (folder / "params.json").write_text(json.dumps({"lr": lr}))
            loss = lr if name == "one" else 1 - lr
            lines = [
                {"loss": loss, "training_iteration": e, "timestamp": 100 + 9 * i + e, "time_total_s": e}
                for e in range(1, EPOCHS + 1)
            ]
            (folder / "result.json").write_text("".join(json.dumps(line) + "\n" for line in lines))
        options = ["--metric", "loss", "--mode", "min", "--space", "lr=uniform(0, 1)", *home]
        assert main(["import", "ray", str(tmp_path / name), *options]) == 0
    capsys.readouterr()
    shared = ["--schedulers", "random", "--seeds", "1", "-o", str(tmp_path / "bench"), *home]
    assert main(["bench", "--from", "one", "two", "--workers", "1,2", *shared]) == 0
    out = capsys.readouterr().out
    assert "warning: loss: the end of full curves is predicted no better" in out
    assert "Careful with past-1w, past-2w: loss: the end of full curves is predicted no better" in out
    page = (tmp_path / "bench" / "comparison.md").read_text()
    assert "**Careful with past-1w, past-2w:** loss: the end of full curves is predicted no better" in page


def test_one_experiment_is_judged_by_its_own_trials(home: Path) -> None:
    found = past("one", home=home)
    assert found.fit.held_out == "trials"
    # As many workers as it had.
    assert [one.name for one in found.benchmarks] == ["past-1w"]


def test_mistakes_are_named(home: Path, capsys: Any) -> None:
    with pytest.raises(InvalidArgument, match="is given twice"):
        past(["one", "one"], home=home)
    with pytest.raises(ExperimentNotFound, match="Did you mean 'one'"):
        past(["onne"], home=home)
    with pytest.raises(InvalidArgument, match=r"metric='los' is no objective of one.*'loss'"):
        past(["one"], metric="los", home=home)
    for argv, message in (
        (["--workers", "2"], "--workers is about experiments that are given with --from"),
        (["--from", "one", "--workers", "two"], "--workers 'two': write counts, as in 2,4,8"),
        (["--from", "one", "--workers", "2,2"], "give at least one count, each once"),
        (["--from", "one", "--workers", "0"], "n_workers=0 has to be a whole number from 1 up"),
        (["--from", "one", "--max-t", "9"], "max_t=9: no trial has reported at this level"),
    ):
        assert main(["bench", *argv, "--home", str(home)]) == 2
        assert message in capsys.readouterr().err


def test_early_stopping_pays_on_the_fit_as_it_does_in_truth(tmp_path: Path) -> None:
    from offbeat import StoppingCriterion, Tuner
    from offbeat.backend import SimulatedBackend
    from offbeat.blackbox import load_blackbox
    from offbeat.optimizer.baselines import ASHA, RandomSearch

    digits = load_blackbox("digits")
    for name, kind, trials in (("one", ASHA, 80), ("two", RandomSearch, 30)):
        options = {"resource_attr": "epoch", "max_resource_attr": "epochs", "random_seed": 1}
        scheduler = kind(digits.space, "val_error", **options)
        stop = StoppingCriterion(max_num_trials_started=trials)
        Tuner(SimulatedBackend(digits), scheduler, stop, name=name, observers=[], home=tmp_path, durability="end").run()
    # A fifth of the usual budget: later on, both have found what there is.
    fitted = past(["one", "two"], workers=[4], trainings=10, home=tmp_path)
    truth = Benchmark(name="truth", blackbox="digits", metric="val_error", n_workers=4, trainings=10)
    comparison = compare("random,asha", [truth, *fitted.benchmarks], seeds=10, folder=tmp_path / "bench")
    ends = {group.name: [group.score(method, 1.0).mean for method in ("random", "asha")] for group in comparison.groups}
    assert all(asha < 0.8 * random for random, asha in (ends["digits"], ends["past"])), ends


def test_experiments_without_levels_have_schedulers_of_their_own(tmp_path: Path, capsys: Any) -> None:
    """ASHA has nothing to judge there; who names it is told so."""
    home = ["--home", str(tmp_path / "home")]
    for i in range(14):
        folder = tmp_path / "ends" / f"{i:02}"
        folder.mkdir(parents=True)
        (folder / "params.json").write_text(json.dumps({"lr": (i + 1) / 15}))
        line = {
            "loss": (i - 5) ** 2 / 100,
            "training_iteration": 1,
            "timestamp": 100 + 9 * i,
            "time_total_s": 1 + i % 3,
        }
        (folder / "result.json").write_text(json.dumps(line) + "\n")
    options = ["--metric", "loss", "--mode", "min", "--space", "lr=uniform(0, 1)", *home]
    assert main(["import", "ray", str(tmp_path / "ends"), *options]) == 0
    shared = ["bench", "--from", "ends", "--seeds", "1", "-o", str(tmp_path / "bench"), *home]
    capsys.readouterr()
    assert main([*shared, "--json"]) == 0
    (group,) = json.loads(capsys.readouterr().out)["groups"][:1]
    assert {score["method"] for score in group["scores"]} == {"random", "tpe", "rea"}
    assert main([*shared, "--schedulers", "asha"]) == 2
    assert "leaves no rung below max_t=1" in capsys.readouterr().err

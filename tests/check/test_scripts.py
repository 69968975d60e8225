"""The resume linter on real scripts, each with defects of its own, run as processes through the local backend."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from offbeat.check import Report, check, plan
from offbeat.cli import main
from offbeat.config_space import choice, loguniform, uniform, when
from offbeat.demo import SCRIPT

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="what a script does with its files is seen on Linux only"
)

TRAINING = """
import argparse, json, os, signal, subprocess, sys, time
from offbeat.report import Reporter, checkpoint_dir

parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=float)
parser.add_argument("--epochs", type=int)
parser.add_argument("--momentum", type=float)
args = parser.parse_args()
defects = os.environ["DEFECTS"].split()
if "deaf" in defects:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
report = Reporter()
path = os.path.join(checkpoint_dir(), "state.json")
first, x = 1, 1.0
if "no-checkpoint" not in defects and os.path.exists(path):
    with open(path) as file:
        state = json.load(file)
    first, x = state["epoch"] + 1, 1.0 if "forgets" in defects else state["x"]


def save(epoch):
    target = path if "in-place" in defects else path + ".new"
    with open(target, "w") as file:
        json.dump({"epoch": epoch, "x": x}, file)
    os.replace(target, path)


for epoch in range(first, (50 if "endless" in defects else args.epochs) + 1):
    time.sleep(0.055)  # the training
    x -= x * args.lr * (1 - epoch / args.epochs / 2 if "schedule" in defects else 1)
    if "no-checkpoint" not in defects and "late" not in defects:
        save(epoch)
    report(epoch=epoch - ("zero" in defects), **{"vloss" if "name" in defects else "loss": x})
    if "late" in defects:
        time.sleep(0.02)
        save(epoch)
if "child" in defects:
    subprocess.Popen(["sleep", "60"], start_new_session=True)
"""


@pytest.fixture
def script(tmp_path: Path) -> Path:
    path = tmp_path / "train.py"
    path.write_text(TRAINING, encoding="utf-8")
    return path


def linted(script: Path, defects: str = "", **options: Any) -> Report:
    settings: dict[str, Any] = {
        "metrics": ("loss",), "resource_attr": "epoch", "max_resource_attr": "epochs", "grace": 2.0, "patience": 20.0,
        "backend": {"env": {"DEFECTS": defects}}, **options,
    }  # fmt: skip
    return check(plan(script, {"lr": loguniform(1e-2, 0.5), "epochs": 9}, **settings))


def codes(report: Report) -> set[str]:
    return {finding.code for finding in report.findings}


def test_a_good_script_has_no_findings(script: Path) -> None:
    report = linted(script)
    assert not report.findings, report.text()
    assert not report.unchecked
    assert {one.subject for one in report.passed} == {
        "arguments", "reports", "silence", "end", "SIGTERM", "processes", "determinism", "resume after SIGKILL",
        "resume after SIGTERM", "promotion", "half-written checkpoints",
    }  # fmt: skip


def test_names_levels_signals_and_checkpoints(script: Path) -> None:
    report = linted(script, "name zero deaf no-checkpoint")
    assert codes(report) == {"metric-missing", "resource-from-zero", "sigterm-ignored", "no-checkpoint"}, report.text()
    assert "Did you mean 'vloss'?" in report.text()


def test_checkpoints_that_a_kill_tears_and_an_end_that_never_comes(script: Path) -> None:
    report = linted(script, "in-place late endless")
    assert codes(report) == {"checkpoint-not-atomic", "resume-repeats-one", "runs-too-far"}, report.text()
    (torn,) = (finding for finding in report.findings if finding.code == "checkpoint-not-atomic")
    assert "state.json" in torn.seen
    assert "JSONDecodeError" in torn.seen


def test_state_that_is_forgotten_schedules_that_depend_and_children_that_stay(script: Path) -> None:
    report = linted(script, "forgets schedule child")
    assert codes(report) == {"resume-differs", "depends-on-maximum", "processes-left"}, report.text()
    assert "sleep 60" in report.text()


def test_the_shipped_training_script_is_clean() -> None:
    space = {"learning_rate": loguniform(1e-2, 0.1), "hidden_1": 8, "hidden_2": 8, "batch_size": 128, "epochs": 27}
    report = check(
        plan(
            SCRIPT, space, metrics=("val_error", "val_loss"), resource_attr="epoch", max_resource_attr="epochs", steps=2,
            backend={"num_threads": 1},
        )
    )  # fmt: skip
    # So small a network is fast: its pace is this test's doing, and says nothing of the script.
    assert codes(report) <= {"reports-too-frequent"}, report.text()
    assert not report.unchecked, report.text()


def test_a_fast_script_gets_more_steps_and_one_that_reports_at_its_end_is_found_out(tmp_path: Path) -> None:
    start = "import sys, time\nfrom offbeat.report import Reporter\nreport = Reporter()\nepochs = int(sys.argv[2])\n"
    every = "for epoch in range(1, epochs + 1):\n    report(epoch=epoch, loss=1 / epoch)\n"
    fast, late = tmp_path / "fast.py", tmp_path / "late.py"
    fast.write_text(start + every, encoding="utf-8")
    late.write_text(f"{start}time.sleep(epochs * 0.15)  # the training\n{every}", encoding="utf-8")
    options: dict[str, Any] = {"resource_attr": "epoch", "max_resource_attr": "epochs"}
    quick = check(plan(fast, **options))
    assert quick.steps > 3
    assert codes(quick) <= {"no-checkpoint", "reports-too-frequent"}, quick.text()
    assert codes(check(plan(late, steps=1, **options))) - {"reports-too-frequent"} == {"reports-at-the-end"}


def test_a_fast_script_of_few_reports_that_cannot_be_told_its_length_comes_to_an_end(tmp_path: Path) -> None:
    """Too fast asks for more steps, too short for fewer: the two must not take turns for ever."""
    path = tmp_path / "train.py"
    path.write_text(
        "from offbeat.report import Reporter\n\nreport = Reporter()\n"
        "for epoch in range(1, 9):\n    report(epoch=epoch, loss=1 / epoch)\n"
    )
    told: list[str] = []
    asked = plan(path, {"lr": loguniform(1e-2, 0.5)}, metrics=("loss",), resource_attr="epoch", patience=20.0)
    check(asked, told.append)
    assert 1 <= sum("once more with" in line for line in told) <= 4


def test_configurations_with_conditional_hyperparameters_are_tried_too(script: Path) -> None:
    made = plan(script, {"kind": choice(["a", "b"]), "momentum": when(uniform(0, 1), "kind == 'b'"), "epochs": 9})
    assert made.config == {"kind": "a", "epochs": 9}
    assert made.others == ({"kind": "b", "momentum": 0.5, "epochs": 9},)


# --- offbeat check


def test_the_command_says_what_to_do_and_leaves_with_1(
    script: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEFECTS", "")
    monkeypatch.chdir(script.parent)
    status = main(["check", "train.py", "--config", "lr=0.1", "--config", "depth=3", "--metric", "loss"])
    printed = capsys.readouterr()
    assert status == 1
    assert "FAIL  argument-refused" in printed.out
    assert 'parser.add_argument("--depth", type=int)' in printed.out
    assert "1 problem, 0 notes: train.py" in printed.out
    assert "... an uninterrupted run" in printed.err


def test_the_command_reads_an_experiment_toml_and_answers_in_json(
    script: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEFECTS", "")
    (script.parent / "experiment.toml").write_text(
        '[backend]\nplugin = "local"\nentry_point = "train.py"\n[scheduler]\nplugin = "asha"\nmetric = "loss"\n'
        'resource_attr = "epoch"\nmax_resource_attr = "epochs"\n'
        '[space]\nlr = {domain = "loguniform", lower = 0.01, upper = 0.5}\nwidth = 5\nepochs = 27\n',
        encoding="utf-8",
    )
    status = main(["check", str(script.parent / "experiment.toml"), "--json", "--steps", "2"])
    printed = capsys.readouterr()
    found = json.loads(printed.out)
    (finding,) = found["findings"]
    assert (status, found["problems"], found["steps"], printed.err) == (1, 1, 2, "")
    assert (finding["code"], finding["level"]) == ("argument-refused", "problem")
    assert "--lr --width --epochs" in finding["seen"]


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (("trian.py",), "Did you mean 'train.py'?"),
        (("train.py", "--steps", "0"), "steps=0: give a whole number from 1 up"),
        (("train.py", "--grace", "-1"), "grace=-1.0: give a number from 0 up"),
        (("train.py", "--space", "lr=logunifrom(1, 2)"), "Did you mean 'loguniform'?"),
        (("train.py", "--space", "lr=uniform(0, 1)", "--config", "lt=1"), "no 'lt'"),
        (("train.py", "--config", "lr"), "write KEY=VALUE"),
        (("none.toml",), "There is no file 'none.toml'"),
    ],
)
def test_wrong_usage_is_2(
    script: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    argv: tuple[str, ...],
    message: str,
) -> None:
    monkeypatch.chdir(script.parent)
    assert main(["check", *argv, "--quiet"]) == 2
    assert message in capsys.readouterr().err

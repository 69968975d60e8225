"""README's examples do what it says, with what its lines install."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)


def named(language: str, name: str) -> str:
    """The block whose first line is a comment with this file name."""
    return next(block for block in blocks(language) if block.startswith(f"# {name}\n"))


@pytest.fixture
def workplace(tmp_path: Path) -> Path:
    (tmp_path / "train.py").write_text(named("python", "train.py"), encoding="utf-8")
    return tmp_path


def run(*command: str, cwd: Path) -> str:
    environment = {**os.environ, "OFFBEAT_HOME": str(cwd / "home"), "PYTHONWARNINGS": "error"}
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=50, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_first_screen(tmp_path: Path) -> None:
    """What README's first command ends in, with fewer seconds: the transcript of a pipe, without a terminal."""
    command = blocks("sh")[0].strip().rpartition(" && ")[2]
    assert command == ".venv/bin/offbeat demo"
    environment = {**os.environ, "OFFBEAT_HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-m", "offbeat", "demo", "--seconds", "5", "--name", "first"],
        cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=50, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    progress, result = done.stderr, done.stdout
    assert re.search(r"^\[ +0\.\d s\] first: asha on local, 4 workers, minimising val_error$", progress, re.MULTILINE)
    assert re.search(r"^\[ +\d\.\d s\] best: val_error 0\.\d+, trial \d+ at epoch \d+ ", progress, re.MULTILINE)
    assert re.search(r"^\[ +\d\.\d s\] done: max_wallclock_time", progress, re.MULTILINE)
    assert re.search(r"^Best: val_error 0\.\d+, trial \d+ at epoch \d+$", result, re.MULTILINE)
    for name in ("learning_rate", "momentum", "batch_size", "hidden_1", "hidden_2", "dropout", "weight_decay"):
        assert re.search(rf"^  {name} +\S+$", result, re.MULTILINE)
    assert re.search(r"^ +0\.\d+ \| ", result, re.MULTILINE)
    assert result.endswith(f"Everything is in  {tmp_path / 'first'}\nSee it again with  offbeat show first\n")
    again = run(sys.executable, "-m", "offbeat", "show", "first", "--home", str(tmp_path), cwd=tmp_path)
    assert "first: done" in again


def test_training_script_runs_alone(workplace: Path) -> None:
    output = run(sys.executable, "train.py", "--lr", "0.1", "--epochs", "3", cwd=workplace)
    assert output.count("epoch=") == 3


def test_tuning_example(workplace: Path) -> None:
    (workplace / "tune.py").write_text(named("python", "tune.py"), encoding="utf-8")
    output = run(sys.executable, "tune.py", cwd=workplace)
    assert "'lr': " in output
    assert float(output.split()[0]) < 0.1


@pytest.mark.parametrize(
    ("name", "said"),
    [("functions.py", "{'x': 0."), ("service.py", "max_num_trials_started=20 reached"), ("asktell.py", "{'x': 0.")],
)
def test_examples_inside_a_program(workplace: Path, name: str, said: str) -> None:
    if name == "functions.py":
        pytest.importorskip("cloudpickle", reason="cloudpickle is not installed: pip install 'offbeat[functions]'")
    (workplace / name).write_text(named("python", name), encoding="utf-8")
    assert said in run(sys.executable, name, cwd=workplace)


def test_command_line_example(workplace: Path) -> None:
    line = next(block for block in blocks("sh") if block.startswith("offbeat run train.py"))
    command = shlex.split(line.strip())
    output = run(sys.executable, "-m", *command, cwd=workplace)
    assert "Best: loss" in output


def test_experiment_file(workplace: Path) -> None:
    (workplace / "experiment.toml").write_text(named("toml", "experiment.toml"), encoding="utf-8")
    output = run(sys.executable, "-m", "offbeat", "run", "experiment.toml", cwd=workplace)
    assert "Best: loss" in output


def test_scheduler_example(workplace: Path) -> None:
    (workplace / "dice.py").write_text(named("python", "dice.py"), encoding="utf-8")
    script = """
from dice import Dice
from offbeat import StoppingCriterion, Tuner
from offbeat.backend import LocalBackend
from offbeat.config_space import loguniform

tuner = Tuner(
    LocalBackend("train.py"),
    Dice({"lr": loguniform(1e-4, 1.0), "epochs": 2}, "loss"),
    StoppingCriterion(max_num_trials_started=3),
    n_workers=2,
)
print(tuner.run().outcome, len(tuner.best().config))
"""
    (workplace / "tune_dice.py").write_text(script, encoding="utf-8")
    assert run(sys.executable, "tune_dice.py", cwd=workplace).startswith("done 1")


def test_entry_point_example_is_a_group() -> None:
    from offbeat.protocols import GROUPS

    table = tomllib.loads(next(block for block in blocks("toml") if "entry-points" in block))
    assert set(table["project"]["entry-points"]) <= set(GROUPS)


def test_continuous_integration_runs_the_same_test_command() -> None:
    command = next(block for block in blocks("sh") if "pytest" in block).strip()
    assert command.startswith("python3 -m venv .venv && ")
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert command in script.replace('"$PYTHON"', "python3"), "put README's test command into .ci/run"


def test_extras_in_the_first_commands_exist() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    extras = project["project"]["optional-dependencies"]
    for block in blocks("sh"):
        for group in re.findall(r"'\.\[([a-z,]+)\]'", block):
            assert set(group.split(",")) <= set(extras)
        for group in re.findall(r"--group (\w+)", block):
            assert group in project["dependency-groups"]


def test_commands_in_the_table_exist() -> None:
    from offbeat.cli.command import parser

    known = parser().format_help()
    for command in ("run", "resume", "status", "ls", "show", "best", "explain", "plugins", "doctor", "demo"):
        assert re.search(rf"^    {command} ", known, re.MULTILINE)
        assert f"`{command}" in README or f"offbeat {command}" in README


def test_folders_exist() -> None:
    for folder in re.findall(r"^\| `([a-z_/]+)` \|", README, re.MULTILINE):
        assert (ROOT / folder).is_dir(), folder

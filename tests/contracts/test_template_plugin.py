"""A stranger's scheduler in its own distribution: installed, found by name, run, resumed; broken ones harm nobody."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PLUGINS = Path(__file__).parent / "plugins"

RUN = """
import sys
import offbeat
from offbeat import StoppingCriterion, Tuner
from offbeat.config_space import loguniform, randint
from offbeat.registry import load
from offbeat.testing.scripted import Report, ScriptedBackend

def script(start):
    return [Report({"loss": start.config["lr"] * start.config["layers"] / epoch}) for epoch in (1, 2, 3)]

HillClimb = offbeat.load_scheduler("hillclimb")
assert HillClimb is load("schedulers", "hillclimb") is load("offbeat.schedulers", "offbeat-hillclimb:hillclimb")
space = {"lr": loguniform(1e-4, 1), "layers": randint(1, 30)}

first = Tuner(ScriptedBackend(script), HillClimb(space, metric="loss", random_seed=3),
              StoppingCriterion(max_num_trials_started=5), name="climb", observers=["csv"])
outcome = first.run()
assert outcome.outcome == "done", outcome

second = Tuner.resume("climb", trial_backend=ScriptedBackend(script), observers=["csv"],
                      stop_criterion=StoppingCriterion(max_num_trials_started=12))
assert type(second.scheduler) is HillClimb and second.scheduler.seed == 3
assert second.run().outcome == "done"

trials = list(offbeat.load_experiment("climb").ledger)
assert len(trials) == 12, len(trials)
assert len({repr(trial.config) for trial in trials}) == 12
assert "offbeat_broken" not in sys.modules
print("climbed")
"""


def install(target: Path, work: Path, *names: str) -> None:
    for name in names:
        source = work / name
        shutil.copytree(PLUGINS / name, source)
        # No network: the build backend is there already, and so is what the plugin depends on.
        options = ["--quiet", "--offline", "--no-deps", "--no-build-isolation", "--python", sys.executable]
        command = [sys.executable, "-m", "uv", "pip", "install", *options, "--target", str(target), str(source)]
        subprocess.run(command, check=True)


def python(target: Path, home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(target), "OFFBEAT_HOME": str(home), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(
        [sys.executable, *arguments], env=environment, cwd=home, capture_output=True, text=True, check=False
    )


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("plugins")
    install(folder / "target", folder, "offbeat-hillclimb", "offbeat-broken")
    return folder / "target"


def test_the_template_is_short_and_uses_public_names_only() -> None:
    lines = (PLUGINS / "offbeat-hillclimb" / "offbeat_hillclimb.py").read_text().splitlines()
    assert len(lines) < 60
    assert [line for line in lines if "import" in line.split()] == [
        "from offbeat import Objective, Space, Start, Suggested, TrialResult, described"
    ]


def test_it_is_found_by_name_run_and_resumed(installed: Path, tmp_path: Path) -> None:
    result = python(installed, tmp_path, "-W", "error", "-c", RUN)
    assert result.returncode == 0, result.stderr
    assert result.stdout.endswith("climbed\n")
    assert "offbeat_broken was imported" not in result.stderr


def test_its_own_tests_pass(installed: Path, tmp_path: Path) -> None:
    tests = PLUGINS / "offbeat-hillclimb" / "tests"
    options = ["-q", "-p", "no:cacheprovider", "-p", "no:asyncio", f"--rootdir={tmp_path}", "-c", os.devnull]
    result = python(installed, tmp_path, "-m", "pytest", *options, str(tests))
    assert result.returncode == 0, result.stdout + result.stderr
    # Described as well: installed, so that nothing had to be skipped.
    assert "skipped" not in result.stdout.splitlines()[-1], result.stdout


def test_broken_plugins_are_listed_with_their_reasons(installed: Path, tmp_path: Path) -> None:
    result = python(installed, tmp_path, "-m", "offbeat", "plugins", "--json")
    plugins = {entry["name"]: entry for entry in json.loads(result.stdout)}
    climb = plugins["hillclimb"]
    assert (climb["group"], climb["distribution"], climb["version"]) == (
        "offbeat.schedulers", "offbeat-hillclimb", "0.3.0",
    )  # fmt: skip
    assert climb["health"] == plugins["asha"]["health"] == "ok"
    assert "this module needs a library that nobody has" in plugins["cannot-be-imported"]["health"]
    assert "plugin API 99" in plugins["from-the-future"]["health"]
    assert "Missing" in plugins["not-there"]["health"]


def test_a_name_that_two_use_is_an_error_naming_both(installed: Path, tmp_path: Path) -> None:
    install(tmp_path / "target", tmp_path, "offbeat-twin")
    both = f"{installed}{os.pathsep}{tmp_path / 'target'}"
    script = (
        "import offbeat\n"
        "print(offbeat.load_scheduler('offbeat-twin:hillclimb').__name__)\n"
        "print(offbeat.load_scheduler('offbeat-hillclimb:hillclimb').__name__)\n"
        "offbeat.load_scheduler('hillclimb')\n"
    )
    result = python(Path(both), tmp_path, "-c", script)
    assert result.stdout.split() == ["Twin", "HillClimb"]
    assert "AmbiguousPlugin" in result.stderr
    assert "'offbeat-hillclimb:hillclimb'" in result.stderr
    assert "'offbeat-twin:hillclimb'" in result.stderr

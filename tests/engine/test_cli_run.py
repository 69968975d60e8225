"""`offbeat run` and `resume`: scripts, files, wrong input, interruptions."""

from __future__ import annotations

import json
import logging
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from inspect import signature
from pathlib import Path
from typing import Any

import pytest

from offbeat.cli import main
from offbeat.cli.experiment_file import EXPERIMENT_KEYS, SCHEMA, SECTIONS
from offbeat.cli.run import LIMITS
from offbeat.cli.space_option import space_entry
from offbeat.config_space import (
    Domain,
    choice,
    finrange,
    lograndint,
    optional,
    ordinal,
    quniform,
    uniform,
    when,
)
from offbeat.errors import InvalidSpace
from offbeat.space import entry_from_json

TRAIN = """
import sys
from offbeat.report import Reporter
x = float(sys.argv[sys.argv.index("--x") + 1])
Reporter()(loss=(x - 0.3) ** 2)
"""

SLOW = """
import sys, time
from pathlib import Path
from offbeat.report import Reporter, checkpoint_dir
state = Path(checkpoint_dir()) / "epoch"
done = int(state.read_text()) if state.exists() else 0
report = Reporter()
for epoch in range(done + 1, 1000):
    report(epoch=epoch, loss=1 / epoch)
    new = state.with_name("new")
    new.write_text(str(epoch))
    new.replace(state)
    time.sleep(0.02)
"""

FILE = """
[experiment]
name = "from-file"
workers = 2
seed = 3
[backend]
plugin = "local"
entry_point = "train.py"
[scheduler]
plugin = "random-search"
metric = "loss"
[space]
x = {domain = "uniform", lower = 0, upper = 1}
width = 4
[stop]
max_num_trials_started = 3
"""

Answer = Callable[..., str]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "train.py").write_text(TRAIN, encoding="utf-8")
    (tmp_path / "slow.py").write_text(SLOW, encoding="utf-8")
    (tmp_path / "experiment.toml").write_text(FILE, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OFFBEAT_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("OFFBEAT_TRACE", raising=False)
    return tmp_path


@pytest.fixture
def offbeat(place: Path, capsys: pytest.CaptureFixture[str]) -> Answer:
    def answer(*argv: str, status: int = 0) -> str:
        found = main(argv)
        captured = capsys.readouterr()
        assert found == status, captured.err
        return captured.out if status == 0 else captured.err

    return answer


def test_run_a_file_then_resume_with_another_limit(offbeat: Answer, place: Path) -> None:
    text = offbeat("run", "experiment.toml")
    assert "Best: loss" in text
    assert str(place / "home" / "from-file") in text
    assert len(json.loads(offbeat("show", "from-file", "--json"))["trials"]) == 3
    offbeat("resume", "from-file", "--max-num-trials-started", "5", "--workers", "1", "--quiet")
    shown = json.loads(offbeat("show", "from-file", "--json"))
    assert len(shown["trials"]) == 5
    assert shown["limits"]["n_workers"] == 1
    assert [session["outcome"] for session in shown["sessions"]] == ["done", "done"]
    assert {trial["config"].get("width", 4) for trial in shown["trials"]} == {4}
    status = offbeat("status", "from-file")
    assert "1 workers" in status
    assert "5 of 5 trials" in status


def test_options_replace_what_the_file_says(offbeat: Answer) -> None:
    options = ("--name", "other", "--max-num-trials-started", "2", "--space", "width=8", "--seed", "9", "--quiet")
    found = json.loads(offbeat("run", "experiment.toml", "--json", *options))
    assert (found["name"], found["outcome"]) == ("other", "done")
    assert found["best"]["metric"] == "loss"
    shown = json.loads(offbeat("show", "other", "--json"))
    assert shown["spec"]["seed"] == 9
    assert shown["spec"]["space"]["width"] == {"constant": 8}


CONDITIONAL = """
[experiment]
name = "conditional"
[backend]
plugin = "local"
entry_point = "train.py"
[scheduler]
plugin = "grid-search"
metric = "loss"
shuffle_config = false
[space]
kind = {domain = "choice", values = ["a", "b"]}
depth = {domain = "randint", lower = 1, upper = 2, when = "kind == 'b'"}
clip = {domain = "optional", of = {domain = "choice", values = [[1, 2], [3]]}}
x = {constant = 0.5}
rule = {require = "not (depth == 2 and clip == None)"}
"""


def test_conditions_and_constraints_from_a_file_and_typed(offbeat: Answer, place: Path) -> None:
    (place / "experiment.toml").write_text(CONDITIONAL, encoding="utf-8")
    offbeat("run", "experiment.toml", "--quiet")
    shown = json.loads(offbeat("show", "conditional", "--json"))
    clips = [None, [1, 2], [3]]
    expected = [{"kind": "a", "clip": clip} for clip in clips] + [
        {"kind": "b", "depth": 1, "clip": clip} for clip in clips
    ]
    expected += [{"kind": "b", "depth": 2, "clip": clip} for clip in clips[1:]]
    trials = sorted(json.dumps(trial["config"], sort_keys=True) for trial in shown["trials"])
    assert trials == sorted(json.dumps(config, sort_keys=True) for config in expected)
    heads = next(line.split() for line in offbeat("show", "conditional").splitlines() if line.startswith("trial "))
    assert heads == ["trial", "status", "reports", "loss", "kind", "depth", "clip"]
    assert offbeat("best", "conditional", "-n", "8").split()[:6] == [
        "trial",
        "loss",
        "resource",
        "kind",
        "depth",
        "clip",
    ]
    assert "ok   events: fit each other; 8 trials" in offbeat("doctor", "conditional")

    offbeat(
        "run", "train.py", "--name", "typed", "--metric", "loss", "--scheduler", "grid-search", "--quiet",
        "--space", 'kind=choice("a", "b")', "--space", "depth=randint(1, 2) when kind == 'b'", "--space", "x=0.5",
        "--space", "clip=optional(choice([[1, 2], [3]]))", "--space", 'rule=require("not (depth == 2 and clip == None)")',
        "--option", "shuffle_config=false",
    )  # fmt: skip
    typed = json.loads(offbeat("show", "typed", "--json"))
    assert typed["spec"]["space"]["rule"] == shown["spec"]["space"]["rule"]
    assert [trial["config"] for trial in typed["trials"]] == [trial["config"] for trial in shown["trials"]]


@pytest.mark.parametrize(
    "entry",
    [
        uniform(-1.5, 1e-3), lograndint(1, 9), choice(["it's", 'so "so"', "é\\"]), choice([None, True]), choice([-1, 2]),
        choice([[1, -2.5, ["a", None]], [False]]), ordinal([1, 2], "equal"), finrange(0, 4, 3, cast_int=True),
        optional(quniform(0, 1, 0.1), none=0.25),
    ],
    ids=repr,
)  # fmt: skip
def test_domains_are_typed_as_they_are_shown(entry: Domain) -> None:
    assert entry_from_json(space_entry(f"x={entry!r}")["x"]) == entry
    assert entry_from_json(space_entry(f"x={entry!r} when y > 1")["x"]) == when(entry, "y > 1")


@pytest.mark.skipif(sys.platform != "linux", reason="forked trials need Linux")
def test_modules_are_preloaded(offbeat: Answer, place: Path) -> None:
    (place / "train.py").write_text("import sys\nknown = 'decimal' in sys.modules\n" + TRAIN + "assert known\n")
    found = json.loads(
        offbeat("run", "experiment.toml", "--json", "--quiet", "--preload", "decimal", "--preload", "json")
    )
    assert found["outcome"] == "done"
    trials = json.loads(offbeat("show", "from-file", "--json"))["trials"]
    assert [trial["status"] for trial in trials] == ["finished"] * 3
    words = offbeat("run", "experiment.toml", "--quiet", "--name", "other", "--preload", "decimul", status=2)
    assert "preload=['decimul']: 'decimul' cannot be imported: ModuleNotFoundError" in words


def test_relative_paths_count_from_the_file(offbeat: Answer, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (place / "elsewhere").mkdir()
    monkeypatch.chdir(place / "elsewhere")
    offbeat("run", "../experiment.toml", "--quiet")


def test_cwd_and_binary_count_from_the_file(offbeat: Answer, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (place / "work").mkdir()
    (place / "python").write_text(f'#!/bin/sh\npwd > ran-here\nexec {sys.executable} "$@"\n', encoding="utf-8")
    (place / "python").chmod(0o755)
    (place / "elsewhere").mkdir()
    monkeypatch.chdir(place / "elsewhere")
    for name, binary in (("one", '"./python"'), ("list", '["./python", "-B"]')):
        text = FILE.replace("from-file", name).replace('"train.py"', f'"train.py"\ncwd = "work"\nbinary = {binary}')
        (place / "experiment.toml").write_text(text, encoding="utf-8")
        offbeat("run", "../experiment.toml", "--quiet")
        assert Path((place / "work" / "ran-here").read_text(encoding="utf-8").strip()).samefile(place / "work")
        (place / "work" / "ran-here").unlink()
    # An option counts from where it is typed.
    offbeat("run", "../experiment.toml", "--quiet", "--name", "typed", "--backend-option", "cwd=.")
    assert (place / "elsewhere" / "ran-here").is_file()


PLATEAU = '[stop]\nplugin = "plateau"\nmetric = "loss"\nnum_trials = 500'


def test_limits_come_beside_a_criterion_of_another_kind(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = FILE.replace("[stop]\nmax_num_trials_started = 3", PLATEAU)
    (place / "experiment.toml").write_text(text, encoding="utf-8")
    assert main(["run", "experiment.toml", "--quiet", "--max-num-trials-started", "2"]) == 0
    assert "PlateauStopper('loss'" in capsys.readouterr().err
    # The limit can be raised: the old one is replaced, not kept as one more alternative.
    for count, argv in ((4, ["--max-num-trials-started", "4"]), (4, ["--max-wallclock-time", "60"])):
        assert main(["resume", "from-file", "--quiet", *argv]) == 0
        told = capsys.readouterr().err
        assert "PlateauStopper('loss'" in told
        assert "max_num_trials_started=4" in told
        assert main(["show", "from-file"]) == 0
        shown = capsys.readouterr().out
        assert "(plateau(metric=loss, num_trials=500) or max_" in shown
        assert "max_num_trials_started=4)" in shown
        assert main(["show", "from-file", "--json"]) == 0
        assert len(json.loads(capsys.readouterr().out)["trials"]) == count


def test_limits_and_criteria() -> None:
    from offbeat.cli.limits import changed_criterion, with_limits
    from offbeat.describe import describe
    from offbeat.stopping import PlateauStopper, StoppingCriterion

    def options(stopper: object) -> Any:
        return describe(stopper, "offbeat.stoppers").options

    started = StoppingCriterion(max_num_trials_started=2, max_cost=1.0)
    expected = options(StoppingCriterion(max_num_trials_started=5, max_cost=1.0))
    assert options(with_limits(started, {"max_num_trials_started": 5})) == expected
    either = StoppingCriterion(max_num_trials_started=2) | StoppingCriterion(max_cost=1.0)
    assert options(with_limits(either, {"max_num_trials_started": 5})) == expected
    both = started & PlateauStopper("loss")
    again = changed_criterion(describe(both, "offbeat.stoppers"), {"max_num_evaluations": 9})
    assert options(again) == options(both | StoppingCriterion(max_num_evaluations=9))


def test_a_criterion_that_cannot_be_built_again_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    from offbeat.cli.limits import changed_criterion
    from offbeat.events import ComponentDescription

    changed_criterion(ComponentDescription("offbeat.stoppers", "mine:Own"), {"max_cost": 2.0})
    told = capsys.readouterr().err
    assert "mine:Own" in told
    assert "max_cost=2.0" in told


def test_warnings_of_the_engine_are_told(
    offbeat: Answer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from offbeat.cli import look
    from offbeat.log import get_logger

    def list_all(_: object) -> int:
        get_logger().info("nobody asked")
        get_logger().warning("other code than recorded", component="asha")
        return 0

    monkeypatch.setattr(look, "list_all", list_all)
    handlers = list(logging.getLogger("offbeat").handlers)
    assert main(["ls"]) == 0
    told = capsys.readouterr().err
    assert "other code than recorded" in told
    assert "nobody asked" not in told
    assert logging.getLogger("offbeat").handlers == handlers


def test_resume_says_what_is_not_recorded(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["resume", "--help"])
    assert "not recorded" in " ".join(capsys.readouterr().out.split())


def test_a_name_is_used_once(offbeat: Answer) -> None:
    offbeat("run", "experiment.toml", "--quiet")
    assert "offbeat resume from-file" in offbeat("run", "experiment.toml", "--quiet", status=2)


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("[stop]", "[stopp]", "section 'stopp' is unknown. Did you mean 'stop'?"),
        ("workers = 2", "worker = 2", "'worker' is unknown. Did you mean 'workers'?"),
        ('metric = "loss"', 'metrik = "loss"', "'metrik' is unknown. Did you mean 'metric'?"),
        ('metric = "loss"', "", "needs metric"),
        ("max_num_trials_started", "max_num_trials_start", "Did you mean 'max_num_trials_started'?"),
        ('plugin = "random-search"', 'plugin = "random-serch"', "Did you mean 'random-search'?"),
        ('plugin = "random-search"', "", "needs plugin"),
        ('"uniform"', '"unifrom"', "Did you mean 'uniform'?"),
        ("lower = 0", "lowest = 0", "Did you mean 'lower'?"),
        ('"train.py"', '"trian.py"', "'train.py'"),
        ("workers = 2", "workers = 0", "from 1 up"),
        ('name = "from-file"', 'name = "../up"', "not usable"),
        ("seed = 3", "seed = 3 4", "line 5"),
        ("[space]\n", "[space]\n[unused]\n", "unknown"),
    ],
)
def test_wrong_file_is_one_sentence_that_says_what_to_do(
    offbeat: Answer, place: Path, old: str, new: str, expected: str
) -> None:
    assert old in FILE
    (place / "experiment.toml").write_text(FILE.replace(old, new), encoding="utf-8")
    text = offbeat("run", "experiment.toml", status=2)
    assert expected in text
    assert "Traceback" not in text
    assert not (place / "home").exists()


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        ([], "experiment.toml"),
        (["nothing.toml"], "no file"),
        (["trian.py", "--metric", "loss", "--space", "x=uniform(0, 1)"], "'train.py'"),
        (["train.py", "--metric", "loss"], "[space]"),
        (["train.py", "--space", "x=uniform(0, 1)"], "needs metric"),
        (["train.py", "--metric", "loss", "--space", "x=unifrom(0, 1)"], "Did you mean 'uniform'?"),
        (["train.py", "--metric", "loss", "--space", "x=uniform(0, one)"], "double quotes"),
        (["train.py", "--metric", "loss", "--space", "x=uniform(0, 1, 2)"], "takes lower, upper"),
        (["train.py", "--metric", "loss", "--space", "x=uniform(1, 0)"], "x"),
        (["train.py", "--metric", "loss", "--space", "x=uniform(0, 1"], "double quotes"),
        (["train.py", "--metric", "loss", "--space", "x=uniform(0 1)"], "double quotes"),
        (["train.py", "--metric", "loss", "--space", "x=uniform(0, 1) wenn y > 1"], "when optimizer == 'sgd'"),
        (["train.py", "--metric", "loss", "--space", "x=uniform(0, 1) when"], "when optimizer == 'sgd'"),
        (["train.py", "--metric", "loss", "--space", "x=uniform(0, 1) when x ="], "write == to compare"),
        (["train.py", "--metric", "loss", "--space", "x=uniform(0, 1) when y > 1"], "has no 'y'"),
        (["train.py", "--metric", "loss", "--space", "x=require(x > 1)"], "double quotes"),
        (["train.py", "--metric", "loss", "--space", 'x=require("a", "b")'], "one expression in quotes"),
        (["train.py", "--metric", "loss", "--space", "x=reqire(1)"], "Did you mean 'require'?"),
        (["train.py", "--metric", "loss", "--space", "x=optional(unifrom(0, 1))"], "Did you mean 'uniform'?"),
        (["train.py", "--metric", "loss", "--space", "x"], "NAME=DOMAIN"),
        (["train.py", "--metric", "loss", "--space", "x=uniform(0, 1)", "--option", "grace_period"], "KEY=VALUE"),
        (["train.py", "--metric", "loss", "--space", "x=uniform(0, 1)", "--option", "grace=1"], "unknown"),
    ],
)
def test_wrong_command_line(offbeat: Answer, argv: list[str], expected: str) -> None:
    assert expected in offbeat("run", *argv, status=2)


def test_spaces_from_text_and_files(place: Path) -> None:
    unit = {"domain": "uniform", "lower": 0, "upper": 1}
    assert space_entry("x=uniform(0, 1)") == {"x": unit}
    assert space_entry('act=choice("a", "b")') == {"act": {"domain": "choice", "values": ["a", "b"]}}
    assert space_entry('act=choice(["a b", "c=(d)"])') == {"act": {"domain": "choice", "values": ["a b", "c=(d)"]}}
    assert space_entry("epochs=27") == {"epochs": 27}
    assert space_entry("flag=true") == {"flag": True}
    assert space_entry("path=a=b") == {"path": "a=b"}
    assert space_entry("x=uniform(0, upper=1)") == {"x": unit}
    assert space_entry("x=uniform(0, 1) when y == 'a' and (z > 1)") == {"x": {**unit, "when": "y == 'a' and (z > 1)"}}
    assert space_entry("c=optional(uniform(0, 1), none=0.1)") == {"c": {"domain": "optional", "of": unit, "none": 0.1}}
    assert space_entry("s=choice([[1, -2.5], [null, true]])") == {
        "s": {"domain": "choice", "values": [[1, -2.5], [None, True]]}
    }
    assert space_entry('fit=require("x * 2 <= 3")') == {"fit": {"require": "x * 2 <= 3"}}
    (place / "space.json").write_text(json.dumps({"x": unit}), encoding="utf-8")
    assert space_entry("space.json") == {"x": unit}
    assert set(space_entry("experiment.toml")) == {"x", "width"}
    (place / "broken.json").write_text("{", encoding="utf-8")
    with pytest.raises(InvalidSpace, match="no JSON"):
        space_entry("broken.json")


def test_a_script_that_always_fails_is_status_1_with_its_last_line(offbeat: Answer, place: Path) -> None:
    (place / "train.py").write_text("import nonsense_module\n", encoding="utf-8")
    text = offbeat("run", "experiment.toml", status=1)
    assert "No module named 'nonsense_module'" in text
    assert "offbeat/cli" not in text


def begin(place: Path, name: str) -> subprocess.Popen[str]:
    """A run that would last long, as a process, once its first results are there."""
    command = [
        sys.executable, "-m", "offbeat", "run", "slow.py", "--name", name, "--metric", "loss",
        "--space", "x=uniform(0, 1)", "--workers", "2", "--max-wallclock-time", "600",
    ]  # fmt: skip
    process = subprocess.Popen(command, cwd=place, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    wait_for(lambda: results(place, name) > 4)
    return process


def results(place: Path, name: str) -> int:
    from offbeat.errors import OffbeatError
    from offbeat.results import load

    try:
        return load(name, place / "home").n_results
    except (OffbeatError, OSError):
        return 0


def wait_for(condition: Callable[[], bool]) -> None:
    """Another process cannot be awaited otherwise; pytest's time limit ends it."""
    while not condition():
        time.sleep(0.05)


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_interrupted_and_resumed(place: Path, offbeat: Answer, number: int, status: int) -> None:
    process = begin(place, "slow")
    process.send_signal(number)
    _, errors = process.communicate(timeout=50)
    assert process.returncode == status, errors
    assert "offbeat resume slow" in errors
    assert "Traceback" not in errors
    before = json.loads(offbeat("show", "slow", "--json"))
    assert before["status"] == "interrupted"
    offbeat("resume", "slow", "--max-num-evaluations", str(before["results"] + 10), "--quiet")
    after = json.loads(offbeat("show", "slow", "--json"))
    assert after["status"] == "done"
    assert [trial["attempt"] for trial in after["trials"]] == [1, 1], after["trials"]
    assert after["results"] >= before["results"] + 10


def test_status_follows_a_run_from_outside(place: Path, offbeat: Answer) -> None:
    process = begin(place, "watched")
    try:
        shown = json.loads(offbeat("status", "--json"))
        assert (shown["name"], shown["status"]) == ("watched", "running")
        assert shown["holder"]["pid"] == process.pid
        command = [sys.executable, "-m", "offbeat", "status", "watched"]
        watcher = subprocess.Popen(command, cwd=place, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert watcher.stdout is not None
        assert "watched: random-search on local" in watcher.stdout.readline()
        second = subprocess.run(
            [sys.executable, "-m", "offbeat", "resume", "watched"],
            cwd=place, capture_output=True, text=True, timeout=50, check=False,
        )  # fmt: skip
        assert second.returncode == 1
        assert f"process {process.pid}" in second.stderr
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=50)
    output, errors = watcher.communicate(timeout=50)
    assert watcher.returncode == 0, errors
    assert "interrupted: SIGINT" in output


def test_status_after_a_kill_says_how_to_go_on(place: Path, offbeat: Answer) -> None:
    process = begin(place, "killed")
    process.kill()
    process.communicate(timeout=50)
    assert "offbeat resume killed" in offbeat("status", "killed")
    assert json.loads(offbeat("show", "killed", "--json"))["status"] == "crashed"
    shown = offbeat("show", "killed")
    assert "the engine died; go on with: offbeat resume killed" in shown
    assert "next session" not in shown
    limit = ("--max-num-evaluations", "1")
    offbeat("resume", "killed", "--quiet", *limit)
    assert "the engine died; the next session went on from there" in offbeat("show", "killed")


def test_schema_says_what_the_reader_takes(offbeat: Answer) -> None:
    from offbeat.space.constructors import CONSTRUCTORS
    from offbeat.stopping import StoppingCriterion

    schema: dict[str, Any] = json.loads(SCHEMA.read_text(encoding="utf-8"))
    parts = schema["properties"]
    assert tuple(parts) == SECTIONS
    assert set(parts["experiment"]["properties"]) == {*EXPERIMENT_KEYS, "seed"}
    assert set(parts["stop"]["properties"]) == {"plugin", *signature(StoppingCriterion).parameters}
    assert set(LIMITS) <= set(signature(StoppingCriterion).parameters)
    domain = schema["$defs"]["domain"]["properties"]
    assert set(domain["domain"]["enum"]) == set(CONSTRUCTORS)
    taken = {name for make in CONSTRUCTORS.values() for name in signature(make).parameters}
    assert set(domain) - taken == {"domain", "when"}
    assert json.loads(offbeat("run", "--schema")) == schema


def test_no_home_outside_the_one_named(place: Path, offbeat: Answer) -> None:
    offbeat("run", "experiment.toml", "--quiet", "--home", str(place / "other"))
    assert [path.name for path in (place / "other").iterdir()] == ["from-file"]
    assert not (place / "home").exists()

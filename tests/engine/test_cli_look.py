"""Commands that look at experiments: ls, show, best, status, explain; what they print and what they answer in JSON."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from offbeat.cli import main

SCRIPT = """
import sys
from offbeat.report import Reporter
x = float(sys.argv[sys.argv.index("--x") + 1])
print("a warning", file=sys.stderr)
report = Reporter()
for epoch in range(1, int(sys.argv[sys.argv.index("--epochs") + 1]) + 1):
    report(epoch=epoch, loss=(x - 0.3) ** 2 + 1 / epoch)
"""

Answer = Callable[..., Any]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one finished experiment, `small`."""
    base = tmp_path_factory.mktemp("cli")
    (base / "train.py").write_text(SCRIPT, encoding="utf-8")
    command = [
        sys.executable, "-m", "offbeat", "run", "train.py", "--home", str(base / "home"), "--name", "small",
        "--seed", "5",
        "--space", "x=uniform(0, 1)", "--space", "epochs=9", "--metric", "loss", "--resource", "epoch",
        "--max-resource", "epochs", "--option", "grace_period=1", "--max-num-trials-started", "9", "--workers", "3",
    ]  # fmt: skip
    done = subprocess.run(command, cwd=base, capture_output=True, text=True, timeout=50, check=False)
    assert done.returncode == 0, done.stderr
    assert "Best: loss" in done.stdout
    assert "offbeat show small" in done.stdout
    assert "9 trials" in done.stderr
    return base / "home"


@pytest.fixture
def offbeat(home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Answer:
    """Runs a command on the experiment's folder; answers its output, as JSON if --json is among the arguments."""
    monkeypatch.setenv("OFFBEAT_HOME", str(home))
    monkeypatch.delenv("OFFBEAT_TRACE", raising=False)

    def answer(*argv: str, status: int = 0) -> Any:
        assert main(argv) == status
        captured = capsys.readouterr()
        if status == 0 and "--json" in argv:
            return json.loads(captured.out)
        return captured.out + captured.err

    return answer


def test_ls(offbeat: Answer) -> None:
    text = offbeat("ls")
    assert "small" in text
    assert "done" in text
    (entry,) = offbeat("ls", "--json")
    assert (entry["name"], entry["status"], entry["trials"]) == ("small", "done", 9)


def test_ls_of_an_empty_folder_says_how_to_begin(offbeat: Answer, tmp_path: Path) -> None:
    assert "offbeat demo" in offbeat("ls", "--home", str(tmp_path))
    assert offbeat("ls", "--home", str(tmp_path), "--json") == []


def test_ls_lists_an_unreadable_experiment_with_its_reason(offbeat: Answer, tmp_path: Path) -> None:
    (tmp_path / "broken" / "journal").mkdir(parents=True)
    text = offbeat("ls", "--home", str(tmp_path))
    assert "unreadable" in text
    assert "broken:" in text


def test_ls_filters(offbeat: Answer) -> None:
    for fits in (["sm*"], ["small", "other"], ["--status", "done"], ["--scheduler", "asha", "--scheduler", "x"],
                 ["--metric", "loss"], ["--backend", "local"], ["--since", "1d"]):  # fmt: skip
        assert [entry["name"] for entry in offbeat("ls", "--json", *fits)] == ["small"]
    for other in (["big*"], ["--status", "failed"], ["--metric", "los"], ["--since", "2999-01-01"]):
        assert offbeat("ls", "--json", *other) == []
        assert "fits" in offbeat("ls", *other)
    assert "Did you mean 'done'" in offbeat("ls", "--status", "don", status=2)
    assert "no point in time" in offbeat("ls", "--since", "soon", status=2)


def test_export(offbeat: Answer, tmp_path: Path) -> None:
    from offbeat import load_experiment

    whole = b"".join(load_experiment("small").results().encode("csv"))
    assert offbeat("export", "small").encode() == whole
    rows = [
        json.loads(line) for line in offbeat("export", "small", "--format", "jsonl", "--table", "trials").splitlines()
    ]
    assert [row["trial"] for row in rows] == list(range(9))
    assert str(tmp_path / "a.csv") in offbeat("export", "small", "-o", str(tmp_path / "a.csv"))
    assert (tmp_path / "a.csv").read_bytes() == whole
    offbeat("export", "small", "--late", "-o", str(tmp_path / "plain"))
    assert len((tmp_path / "plain").read_bytes()) >= len(whole)


def test_export_of_what_cannot_be(offbeat: Answer, tmp_path: Path) -> None:
    assert "Did you mean 'csv'" in offbeat("export", "small", "--format", "cvs", status=2)
    assert "Did you mean 'small'" in offbeat("export", "smal", status=2)
    assert "held in memory" in offbeat("export", "small", "--format", "pandas", status=2)
    assert "--table results" in offbeat("export", "small", "--late", "--table", "trials", status=2)
    assert "No such file" in offbeat("export", "small", "-o", str(tmp_path / "no" / "a.csv"), status=1)


def test_show_an_experiment(offbeat: Answer, home: Path) -> None:
    text = offbeat("show", "small", "-n", "3")
    for expected in ("small: done", str(home / "small"), "asha (offbeat", "seed 5", "3 workers", "and 6 more", "epoch"):
        assert expected in text
    entry = offbeat("show", "small", "--json")
    assert len(entry["trials"]) == 9
    assert entry["spec"]["seed"] == 5
    assert entry["limits"]["n_workers"] == 3


def test_show_a_trial(offbeat: Answer) -> None:
    best = offbeat("best", "small", "--json")[0]
    text = offbeat("show", "small", str(best["trial"]))
    assert "x = " in text
    assert "a warning" in text
    assert "loss" in text
    entry = offbeat("show", "small", str(best["trial"]), "--json")
    losses = [row["loss"] for row in entry["results"]]
    assert min(losses) == best["value"]


def test_best(offbeat: Answer) -> None:
    entries = offbeat("best", "small", "-n", "4", "--json")
    values = [entry["value"] for entry in entries]
    assert values == sorted(values)
    assert len(values) == 4
    assert f"--x {entries[0]['config']['x']!r}" in offbeat("best", "small")
    assert len(offbeat("best", "small", "-n", "4").splitlines()) == 5
    for command in ("best", "show"):
        for n in ("0", "-3"):
            assert "from 1 up" in offbeat(command, "small", "-n", n, status=2)


def test_status_of_an_experiment_that_is_over(offbeat: Answer) -> None:
    text = offbeat("status")
    assert "best loss" in text
    assert "done:" in text
    assert offbeat("status", "small", "--json")["status"] == "done"
    assert "no experiment in" in offbeat("status", "--home", "/nowhere/at/all", status=2)


def test_explain_tells_every_decision(offbeat: Answer) -> None:
    trials = offbeat("show", "small", "--json")["trials"]
    for trial in trials:
        story = offbeat("explain", "small", str(trial["trial"]), "--json")
        told = [step["event"] for step in story["steps"]]
        assert told[:2] == ["suggested", "trial-started"]
        if trial["reason"].startswith("rung"):
            decision = next(step for step in story["steps"] if trial["reason"] in step["text"])
            level = int(trial["reason"].split()[1].rstrip(":"))
            assert decision["rung"]["level"] == level
            assert [trial["trial"], trial["last"]["loss"]] in [[t, v] for v, t in decision["rung"]["entries"]]


def test_explain_shows_the_rivals(offbeat: Answer) -> None:
    trials = offbeat("show", "small", "--json")["trials"]
    stopped = next(trial for trial in trials if "cut at" in trial["reason"])
    text = offbeat("explain", "small", str(stopped["trial"]))
    assert "<- this trial" in text
    assert "good enough" in text
    assert f"because: {stopped['reason']}" in text


@pytest.mark.parametrize("command", [["show"], ["best"], ["export"], ["explain"], ["resume"], ["status"], ["doctor"]])
def test_unknown_experiment_is_one_sentence_with_the_nearest_name(offbeat: Answer, command: list[str]) -> None:
    text = offbeat(*command, "smal", *(["0"] if command == ["explain"] else []), status=2)
    assert text.startswith("offbeat: No experiment 'smal'")
    assert "Did you mean 'small'?" in text
    assert "Traceback" not in text


def test_unknown_trial_says_which_there_are(offbeat: Answer) -> None:
    assert "0 to 8" in offbeat("explain", "small", "99", status=2)
    assert "0 to 8" in offbeat("show", "small", "99", status=2)


def test_trace_on_demand(offbeat: Answer, monkeypatch: pytest.MonkeyPatch) -> None:
    from offbeat.errors import ExperimentNotFound

    monkeypatch.setenv("OFFBEAT_TRACE", "1")
    with pytest.raises(ExperimentNotFound):
        offbeat("show", "nothing")


def test_wrong_usage_is_status_2() -> None:
    with pytest.raises(SystemExit) as caught:
        main(["no-such-command"])
    assert caught.value.code == 2


def test_a_reader_that_has_seen_enough_is_no_error(home: Path) -> None:
    command = f"{sys.executable} -m offbeat show small --json --home {home} | head -1"
    done = subprocess.run(["/bin/sh", "-c", command], capture_output=True, text=True, timeout=50, check=False)
    assert done.stdout.strip() == "{"
    assert done.stderr == ""

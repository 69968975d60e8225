"""`offbeat import`: what is typed, what is printed, and that the other commands read the experiment."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from offbeat.cli import main


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A small folder of Ray Tune."""
    for name, lr in (("a", 0.1), ("b", 0.2)):
        folder = tmp_path / "tuned" / name
        folder.mkdir(parents=True)
        (folder / "params.json").write_text(json.dumps({"lr": lr}))
        lines = [
            {"loss": lr / i, "training_iteration": i, "timestamp": 100 + i, "time_since_restore": i, "time_total_s": i}
            for i in (1, 2)
        ]
        (folder / "result.json").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return tmp_path / "tuned"


def test_import_and_then_as_any_other(source: Path, tmp_path: Path, capsys: Any) -> None:
    home = ["--home", str(tmp_path / "home")]
    options = ["--metric", "loss", "--mode", "min", "--space", "lr=loguniform(1e-3, 1)", "--name", "past"]
    assert main(["import", "ray", str(source), *options, *home]) == 0
    out, err = capsys.readouterr()
    assert out.startswith("past: 2 trials (2 finished), 4 results\n  from       ray, ")
    assert "offbeat: there is no experiment_state" in err
    for command, expected in (
        (["ls"], "past"),
        (["show", "past"], "scheduler  imported (ray), seed 0"),
        (["show", "past", "1"], "lr = 0.2"),
        (["best", "past"], "loss 0.05"),
        (["explain", "past", "0"], "suggested by imported, origin a"),
        (["export", "past"], "config_lr"),
        (["doctor", "past"], "ok   events: fit each other; 2 trials"),
        (["status", "past"], "done"),
    ):
        assert main([*command, *home]) == 0
        assert expected in capsys.readouterr().out
    assert main(["verify", "past", *home]) == 1
    verified = capsys.readouterr().out
    assert " events, 2 trials, 4 results\nNot verified: it was imported from ray" in verified
    assert "crash" not in verified
    assert main(["fork", "past", "--at", "3", "--name", "other", *home]) == 2
    assert "past was imported: it has no backend that could go on" in capsys.readouterr().err
    assert not (tmp_path / "home" / "other").exists()
    assert main(["show", "past", "1", *home]) == 0
    assert "output" not in capsys.readouterr().out
    assert main(["resume", "past", *home]) == 2
    assert "was imported from ray and cannot be resumed" in capsys.readouterr().err


def test_json_and_mistakes(source: Path, tmp_path: Path, capsys: Any) -> None:
    home = ["--home", str(tmp_path / "home")]
    said = ["--metric", "loss", "--mode", "min"]
    assert main(["import", "ray", str(source), *said, "--json", *home]) == 0
    assert json.loads(capsys.readouterr().out)["trials"] == 2
    for argv, message in (
        (["ray", str(source), *said], "'tuned' exists already: give the imported one another name (--name, name=)."),
        (["rai", str(source)], "Did you mean 'ray'?"),
        (["ray", str(source / "x"), *said], "There is no folder"),
        (["ray", str(source), *said, "--name", "a/b"], "is not usable"),
        (["ray", str(source), *said, "--name", "b", "--space", "lr=loguniform(1e-3, 0.15)"], "Trial b does not lie"),
    ):
        assert main(["import", *argv, *home]) == 2
        assert message in capsys.readouterr().err
    assert [path.name for path in (tmp_path / "home").iterdir()] == ["tuned"]

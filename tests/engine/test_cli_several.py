"""Several objectives from the command line: repeated --metric, modes in one word, the Pareto set as text and as JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from offbeat.cli import main

SIM = (
    "sim", "--scheduler", "random-search", "--metric", "val_error", "--metric", "elapsed", "--max-num-trials-started", "6",
    "--name", "two",
)  # fmt: skip


@pytest.fixture
def offbeat(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("OFFBEAT_HOME", str(tmp_path))

    def answer(*argv: str, status: int = 0) -> Any:
        assert main(argv) == status
        captured = capsys.readouterr()
        return json.loads(captured.out) if status == 0 and "--json" in argv else captured.out + captured.err

    return answer


def test_the_pareto_set_is_what_best_prints(offbeat: Any) -> None:
    offbeat(*SIM)
    points = offbeat("best", "two", "--json")
    values = [(point["values"]["val_error"], point["values"]["elapsed"]) for point in points]
    assert values == sorted(values)
    assert [elapsed for _, elapsed in values] == sorted((elapsed for _, elapsed in values), reverse=True)
    text = offbeat("best", "two")
    assert f"Pareto set of val_error (min) and elapsed (min): {len(points)} results" in text
    assert "Hypervolume" in text
    assert len(text.splitlines()) == len(points) + 3
    assert offbeat("best", "two", "-n", "1", "--json") == points[:1]
    assert f"... and {len(points) - 1} more" in offbeat("best", "two", "-n", "1")
    assert "Pareto set of" in offbeat("show", "two")
    (alone,) = offbeat("best", "two", "--metric", "elapsed", "--json")
    assert alone["value"] == values[-1][1]
    assert "Best: elapsed" in offbeat("best", "two", "--metric", "elapsed")


def test_mistakes_are_named(offbeat: Any) -> None:
    assert "Did you mean 'elapsed'?" in offbeat("sim", "--metric", "val_error", "--metric", "elapsd", status=2)
    assert "mode='mx' is not valid. Did you mean 'max'?" in offbeat(*SIM, "--mode", "min,mx", status=2)
    assert "has 3 entries for 2 metrics" in offbeat(*SIM, "--mode", "min,max,min", status=2)
    offbeat(*SIM)
    assert "is not an objective of two. Did you mean 'elapsed'" in offbeat(
        "best", "two", "--metric", "elapse", status=2
    )

"""`offbeat doctor` and `offbeat plugins`: what they find, and that finding trouble harms nobody."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from offbeat.cli import main
from offbeat.events import ComponentDescription, ExperimentClosed, ExperimentOpened, ExperimentSpec, Limits, MetricSpec
from offbeat.home import ExperimentFolder
from offbeat.journal import Journal


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("OFFBEAT_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def journal(home: Path) -> Path:
    """The segment of a small experiment `e`."""
    spec = ExperimentSpec(
        name="e",
        seed=0,
        metrics=(MetricSpec("loss"),),
        scheduler=ComponentDescription("offbeat.schedulers", "asha"),
        backend=ComponentDescription("offbeat.backends", "local"),
        limits=Limits(n_workers=1),
    )
    folder = ExperimentFolder(home / "e")
    with Journal.create(folder) as writer:
        writer.commit([ExperimentOpened(0.0, 0, spec)], sync=True)
        for number in range(5):
            writer.commit([ExperimentClosed(float(number), 0, "done", "enough")], sync=True)
        return writer.path


def checks(capsys: pytest.CaptureFixture[str], *argv: str, status: int) -> dict[str, dict[str, Any]]:
    assert main(["doctor", *argv, "--json"]) == status
    return {check["subject"]: check for check in json.loads(capsys.readouterr().out)}


def test_installation(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = checks(capsys, status=0)
    for subject in ("Python", "offbeat", "needed", "experiments", "local trials", "plugins"):
        assert found[subject]["level"] in ("ok", "warn"), found[subject]
    assert "numpy" in found["needed"]["text"]
    extras = [check for subject, check in found.items() if subject.startswith("extra ")]
    assert extras
    for check in extras:
        assert check["level"] == "ok" or "pip install 'offbeat[" in check["text"]
    assert not home.exists()


def test_folder_that_cannot_be_written(capsys: pytest.CaptureFixture[str]) -> None:
    found = checks(capsys, "--home", "/proc/offbeat", status=1)
    assert found["experiments"]["level"] == "fail"
    assert "OFFBEAT_HOME" in found["experiments"]["text"]


def test_whole_journal(journal: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = journal.read_bytes()
    assert "6 events" in checks(capsys, "e", status=0)["journal"]["text"]
    assert journal.read_bytes() == before


def test_damage_is_named_and_repaired_on_demand_only(journal: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = bytearray(journal.read_bytes())
    lines = bytes(data).splitlines(keepends=True)
    offset = sum(map(len, lines[:4])) + 20
    data[offset] ^= 1
    journal.write_bytes(data)

    damaged = checks(capsys, "e", status=1)["journal"]
    assert "3 events are good" in damaged["text"]
    assert f"byte {sum(map(len, lines[:4]))}" in damaged["text"]
    assert "--repair" in damaged["text"]
    assert journal.read_bytes() == bytes(data)

    repaired = checks(capsys, "e", "--repair", status=0)
    assert "3 events kept" in repaired["repaired"]["text"]
    assert repaired["journal"]["level"] == "ok"
    assert journal.read_bytes() == b"".join(lines[:4])
    aside = [path for path in journal.parent.iterdir() if path.name.startswith("damaged")]
    assert [path.read_bytes() for path in aside] == [bytes(data)[sum(map(len, lines[:4])) :]]
    assert "nothing to mend" in checks(capsys, "e", "--repair", status=0)["repair"]["text"]


def test_repair_needs_a_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--repair"]) == 2
    assert "NAME" in capsys.readouterr().err


def test_plugins_lists_ours(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plugins", "--json"]) == 0
    entries = {(entry["group"], entry["name"]): entry for entry in json.loads(capsys.readouterr().out)}
    entry = entries["offbeat.schedulers", "asha"]
    assert entry["distribution"] == "offbeat"
    assert entry["health"] == "ok"
    assert main(["plugins", "schedulers"]) == 0
    text = capsys.readouterr().out
    assert "asha" in text
    assert "console" not in text
    assert main(["plugins", "schedulars"]) == 2
    assert "Did you mean 'offbeat.schedulers'?" in capsys.readouterr().err


BROKEN = "raise RuntimeError('the planets are not aligned')\n"


@pytest.fixture
def stranger(tmp_path: Path) -> dict[str, str]:
    """An environment in which a distribution with a broken plugin is installed."""
    site = tmp_path / "site"
    info = site / "offbeat_broken-2.0.dist-info"
    info.mkdir(parents=True)
    (site / "offbeat_broken.py").write_text(
        f"open(r'{tmp_path / 'imported'}', 'w').close()\n{BROKEN}", encoding="utf-8"
    )
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: offbeat-broken\nVersion: 2.0\n", encoding="utf-8")
    (info / "entry_points.txt").write_text("[offbeat.schedulers]\nplanets = offbeat_broken:Planets\n", encoding="utf-8")
    return {**os.environ, "PYTHONPATH": str(site), "OFFBEAT_HOME": str(tmp_path / "home")}


def offbeat(environment: dict[str, str], *argv: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "offbeat", *argv]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=50, check=False)


def test_broken_plugin_is_listed_with_its_reason(stranger: dict[str, str]) -> None:
    done = offbeat(stranger, "plugins", "--json")
    entry = next(entry for entry in json.loads(done.stdout) if entry["name"] == "planets")
    assert (entry["distribution"], entry["version"]) == ("offbeat-broken", "2.0")
    assert "the planets are not aligned" in entry["health"]
    assert "the planets are not aligned" in offbeat(stranger, "doctor").stdout


def test_broken_plugin_is_not_imported_by_a_run_that_does_not_use_it(stranger: dict[str, str], tmp_path: Path) -> None:
    script = tmp_path / "train.py"
    script.write_text("from offbeat.report import Reporter\nReporter()(loss=1.0)\n", encoding="utf-8")
    command = ["run", str(script), "--metric", "loss", "--space", "x=choice([1, 2])", "--workers", "1"]
    done = offbeat(stranger, *command)
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "imported").exists()
    used = offbeat(stranger, *command, "--scheduler", "planets")
    assert used.returncode == 1
    assert "the planets are not aligned" in used.stderr
    assert "Traceback" not in used.stderr

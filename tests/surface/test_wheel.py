"""What is in the built distributions. CI hands in those that it built; else they are built here, within a second."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[set[str], set[str]]:
    """Names in the wheel, and names in the sdist below its top folder."""
    wheel, sdist = os.environ.get("OFFBEAT_WHEEL"), os.environ.get("OFFBEAT_SDIST")
    if wheel is None or sdist is None:
        pytest.importorskip("hatchling")
        out = tmp_path_factory.mktemp("dist")
        subprocess.run(
            [sys.executable, "-m", "hatchling", "build", "-d", str(out)],
            cwd=ROOT,
            check=True,
            capture_output=True,
            timeout=50,
        )
        wheel, sdist = str(next(out.glob("*.whl"))), str(next(out.glob("*.tar.gz")))
    with zipfile.ZipFile(wheel) as archive:
        in_wheel = set(archive.namelist())
    with tarfile.open(sdist) as archive:
        in_sdist = {name.partition("/")[2] for name in archive.getnames()}
    return in_wheel, in_sdist


def test_built_wheel_has_what_a_user_needs(built: tuple[set[str], set[str]]) -> None:
    wheel, _ = built
    assert wheel >= {
        "offbeat/py.typed",
        "offbeat_plugins/py.typed",
        "offbeat_reporters/py.typed",
        "offbeat/demo/digits.npz",
        "offbeat/demo/train_digits.py",
        "offbeat/demo/LICENSE-digits.txt",
        "offbeat/cli/experiment.schema.json",
    }
    for package, folder in (("offbeat", "engine"), ("offbeat_plugins", "plugins"), ("offbeat_reporters", "reporters")):
        sources = {str(path.relative_to(ROOT / folder)) for path in (ROOT / folder / package).rglob("*.py")}
        assert sources <= wheel


def test_built_wheel_has_nothing_else(built: tuple[set[str], set[str]]) -> None:
    wheel, _ = built
    tops = {name.partition("/")[0] for name in wheel}
    assert {top for top in tops if not top.endswith(".dist-info")} == {
        "offbeat",
        "offbeat_plugins",
        "offbeat_reporters",
    }
    assert not [name for name in wheel if "__pycache__" in name or name.endswith(".pyc")]


def test_built_wheel_has_licences_and_entry_points(built: tuple[set[str], set[str]]) -> None:
    wheel, _ = built
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in wheel)
    assert any(name.endswith(".dist-info/licenses/engine/offbeat/demo/LICENSE-digits.txt") for name in wheel)
    assert any(name.endswith(".dist-info/entry_points.txt") for name in wheel)


def test_built_sdist_can_be_tested_and_built_from(built: tuple[set[str], set[str]]) -> None:
    _, sdist = built
    assert sdist >= {"pyproject.toml", "README.md", "CHANGELOG.md", "LICENSE", "tests/surface/test_wheel.py"}
    assert {"engine", "plugins", "reporters", "tests", "benchmarks"} <= {name.partition("/")[0] for name in sdist}
    assert not [name for name in sdist if name.startswith((".venv", ".git/"))]

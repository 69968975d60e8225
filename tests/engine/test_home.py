"""Where experiments lie, and which names they may have."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offbeat import home
from offbeat.errors import ExperimentNotFound, InvalidArgument


@given(st.text(max_size=120))
def test_a_usable_name_stays_one_folder_below_the_home_and_any_other_is_refused(name: str) -> None:
    try:
        checked = home.checked_name(name)
    except InvalidArgument:
        return
    assert checked == name
    assert Path("/x", name).resolve().parent == Path("/x")
    assert len(name) <= 100


def test_the_home_is_the_argument_then_the_environment_then_a_folder_of_the_user(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OFFBEAT_HOME", "/elsewhere")
    assert home.root("/given") == Path("/given")
    assert home.root() == Path("/elsewhere")
    monkeypatch.delenv("OFFBEAT_HOME")
    assert home.root() == Path.home() / "offbeat"


def test_foreign_folders_are_passed_over_and_the_nearest_name_is_told(tmp_path: Path) -> None:
    for name in ("digits", "other"):
        (tmp_path / name / "journal").mkdir(parents=True)
    (tmp_path / "foreign").mkdir()
    assert [folder.name for folder in home.experiments(tmp_path)] == ["digits", "other"]
    assert list(home.experiments(tmp_path / "nothing")) == []
    assert home.find("digits", tmp_path).path == tmp_path / "digits"
    assert home.find(str(tmp_path / "digits")).name == "digits"
    with pytest.raises(ExperimentNotFound, match="Did you mean 'digits'"):
        home.find("digit", tmp_path)


def test_folders_of_trials_are_numbers(tmp_path: Path) -> None:
    folder = home.ExperimentFolder(tmp_path)
    assert folder.attempt(3, 1) == tmp_path / "trials" / "3" / "1"
    assert folder.checkpoints(3) == tmp_path / "trials" / "3" / "checkpoints"

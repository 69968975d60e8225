"""Checkpoints are copied whole, whatever their owner does meanwhile."""

from __future__ import annotations

from pathlib import Path

import pytest

from offbeat_plugins.backends.processes import folders


def test_what_is_written_during_a_copy_makes_it_begin_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two files that belong together: the copy has a pair, never one of each generation."""
    monkeypatch.setattr(folders, "PAUSE", 0.0)
    donor, copied = tmp_path / "donor", tmp_path / "copied"
    (donor / "sub").mkdir(parents=True)
    generations = iter(range(1, 4))

    def write(generation: int) -> None:
        for name in ("weights", "sub/epoch"):
            (donor / "new").write_text(str(generation))
            (donor / "new").replace(donor / name)

    def between_files() -> None:
        if (generation := next(generations, None)) is not None:
            write(generation)

    write(0)
    assert folders.copy(str(donor), str(copied), between_files)
    assert [(copied / name).read_text() for name in ("weights", "sub/epoch")] == ["3", "3"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["copied", "donor"]


def test_a_donor_that_never_rests_is_named_and_nothing_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folders, "PAUSE", 0.0)
    donor, copied = tmp_path / "donor", tmp_path / "copied"
    donor.mkdir()
    state = donor / "state"
    state.write_text("")

    def between_files() -> None:
        state.write_text(state.read_text() + ".")

    with pytest.raises(OSError, match="changed during each of 8 tries"):
        folders.copy(str(donor), str(copied), between_files)
    assert not copied.exists()
    assert [path.name for path in tmp_path.iterdir()] == ["donor"]

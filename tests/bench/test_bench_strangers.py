"""A stranger's scheduler takes part by its name, and its own code is part of what its runs depend on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from offbeat import registry
from offbeat.bench import compare
from offbeat.bench.plan import code

DICE = '''
from offbeat import Objective, Space, Start, described


@described
class Dice:
    """Knows max_t and no other name for it; always the same configuration."""

    def __init__(self, config_space, metric, mode="min", *, max_t, corner=0.5, random_seed=0):
        self.space, self.seed = Space.of(config_space), random_seed
        self.objective = Objective.of(metric, mode, max_t=max_t)
        self.corner = corner
        assert max_t == 27

    def observe(self, event, ledger):
        return ()

    def propose(self, request, ledger):
        return Start(config=self.space.from_units([self.corner] * self.space.width)) if request.may_start else None
'''


@pytest.fixture
def dice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The module of an installed distribution."""
    site = tmp_path / "site"
    info = site / "bench_dice-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: bench-dice\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[offbeat.schedulers]\ndice = bench_dice:Dice\n")
    (site / "bench_dice.py").write_text(DICE)
    monkeypatch.syspath_prepend(str(site))
    registry.refresh()
    code.cache_clear()
    yield site / "bench_dice.py"
    registry.refresh()


def test_by_name_with_options_and_again_after_its_code_has_changed(dice: Path, tmp_path: Path) -> None:
    found = compare("dice,dice:corner=0.9,bench-dice:dice:corner=0.1", "digits", 2, folder=tmp_path / "out", jobs=2)
    assert not found.failures
    assert found.methods == ["dice", "dice:corner=0.9", "bench-dice:dice:corner=0.1"]
    ends = {run.method: run.true[-1] for run in found.runs}
    assert len(set(ends.values())) == 3
    cells = tmp_path / "out" / "cells"
    before = set(cells.iterdir())
    compare("dice", "digits", 2, folder=tmp_path / "out")
    assert set(cells.iterdir()) == before
    dice.write_text(f"{DICE}\nCHANGED = True\n")
    code.cache_clear()  # a process looks once at its code
    compare("dice", "digits", 2, folder=tmp_path / "out")
    assert len(set(cells.iterdir()) - before) == 2

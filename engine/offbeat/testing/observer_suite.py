"""The conformance suite for observers (reporters): subclass it in your tests and override `make`.

    from offbeat.testing.observer_suite import ObserverContract

    class TestMine(ObserverContract):
        def make(self, folder):
            return Mine()

        def recorded(self, folder):
            return [row["seq"] for row in read_rows(folder / "mine.txt")]

What is checked and why is said by each check in `offbeat.testing.observer_checks`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from offbeat.testing import observer_checks as checks


class ObserverContract:
    """What the engine and its users rely on, one test each.

    Attributes:
        quiet: it writes nothing to standard output.
        patience: seconds after which something that should have returned counts as hanging.
    """

    quiet: bool = True
    patience: float = 60.0

    def make(self, folder: Path) -> Any:
        """A fresh observer, as after a restart, for an experiment in this folder. Override this."""
        raise NotImplementedError(f"{type(self).__name__} has to override make")

    def recorded(self, folder: Path) -> Sequence[int] | None:
        """Sequence numbers of the results that were written down for the experiment in this folder, in order.

        None for an observer that keeps nothing, or may miss something (`latest_only`).
        """
        return None

    @property
    def case(self) -> checks.Case:
        """The attributes together."""
        return checks.Case(make=self.make, recorded=self.recorded, quiet=self.quiet, patience=self.patience)

    def test_is_an_observer(self, tmp_path: Path) -> None:
        checks.check_is_an_observer(self.case, tmp_path)

    def test_sees_everything(self, tmp_path: Path) -> None:
        checks.check_sees_everything(self.case, tmp_path)

    def test_survives_a_huge_batch(self, tmp_path: Path) -> None:
        checks.check_survives_a_huge_batch(self.case, tmp_path)

    def test_survives_odd_events(self, tmp_path: Path) -> None:
        checks.check_survives_odd_events(self.case, tmp_path)

    def test_survives_a_failed_experiment(self, tmp_path: Path) -> None:
        checks.check_survives_a_failed_experiment(self.case, tmp_path)

    def test_goes_on_after_a_crash(self, tmp_path: Path) -> None:
        checks.check_goes_on_after_a_crash(self.case, tmp_path)

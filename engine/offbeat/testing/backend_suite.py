"""The conformance suite for backends: subclass it in your tests and override `make`.

    from offbeat.testing.backend_suite import BackendContract

    class TestMine(BackendContract):
        def make(self, behaviour, folder):
            (folder / "job.sh").write_text(SCRIPTS[behaviour])
            return Mine(folder / "job.sh")

What trials have to do under each name of a behaviour is said in `offbeat.testing.backend_checks`. The tests run on
event loops of their own and need no plugin of pytest's.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

from offbeat.protocols import Backend
from offbeat.testing import backend_checks as checks
from offbeat.testing.backend_checks import Behaviour


class BackendContract:
    """What the engine relies on, one test each."""

    def make(self, behaviour: Behaviour, folder: Path) -> Backend | None:
        """A backend whose trials behave so; None where that cannot be had. Override this."""
        raise NotImplementedError(f"{type(self).__name__} has to override make")

    def _run(self, check: checks.Check, folder: Path) -> None:
        try:
            asyncio.run(check(self.make, folder))
        except checks.NotApplicable as reason:
            import pytest

            pytest.skip(str(reason))

    def test_states_its_time(self, tmp_path: Path) -> None:
        backend = self.make("counts", tmp_path)
        assert backend is not None, "the behaviour 'counts' is needed"
        assert backend.time in ("real", "simulated"), f"time is {backend.time!r}: it is 'real' or 'simulated'"

    def test_reports_in_order_then_ends(self, tmp_path: Path) -> None:
        self._run(checks.check_reports_in_order_then_ends, tmp_path)

    def test_many_trials_at_once(self, tmp_path: Path) -> None:
        self._run(checks.check_many_trials_at_once, tmp_path)

    def test_stop(self, tmp_path: Path) -> None:
        self._run(checks.check_stop, tmp_path)

    def test_stop_of_one_that_hangs(self, tmp_path: Path) -> None:
        self._run(checks.check_stop_of_one_that_hangs, tmp_path)

    def test_pause_and_resume(self, tmp_path: Path) -> None:
        self._run(checks.check_pause_and_resume, tmp_path)

    def test_crash(self, tmp_path: Path) -> None:
        self._run(checks.check_crash, tmp_path)

    def test_missing(self, tmp_path: Path) -> None:
        self._run(checks.check_missing, tmp_path)

    def test_garbage(self, tmp_path: Path) -> None:
        self._run(checks.check_garbage, tmp_path)

    def test_interrupt(self, tmp_path: Path) -> None:
        self._run(checks.check_interrupt, tmp_path)

    def test_cancelled_receive_loses_nothing(self, tmp_path: Path) -> None:
        self._run(checks.check_cancelled_receive_loses_nothing, tmp_path)

    def test_leaving_ends_everything(self, tmp_path: Path) -> None:
        self._run(checks.check_leaving_ends_everything, tmp_path)

    def test_leaves_nothing_behind(self, tmp_path: Path) -> None:
        checks.check_leaves_nothing_behind(self.make, tmp_path)

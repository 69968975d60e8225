"""The watchdog names who holds the loop; trials are ended; the run fails and can be resumed."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from offbeat import events as ev
from offbeat.errors import EngineBlocked
from offbeat.testing.scripted import Hang, Report, ScriptedBackend
from offbeat.watchdog import Watchdog


def hold_the_loop(fired: threading.Event) -> None:
    """Blocks until the watchdog has spoken: no duration to guess."""
    assert fired.wait(30)


def test_it_tells_the_stack_and_the_plugin_once() -> None:
    said: list[EngineBlocked] = []
    fired = threading.Event()

    def tell(error: EngineBlocked) -> None:
        said.append(error)
        fired.set()

    async def main() -> None:
        dog = Watchdog(0.05, tell)
        dog.start(asyncio.get_running_loop())
        dog.where = "propose of scheduler 'slow'"
        hold_the_loop(fired)
        dog.stop()

    asyncio.run(main())
    assert len(said) == 1
    assert said[0].where == "propose of scheduler 'slow'"
    assert "hold_the_loop" in said[0].stack
    assert "propose of scheduler 'slow' blocked the engine" in str(said[0])


def test_a_busy_loop_that_comes_back_is_left_alone() -> None:
    said: list[EngineBlocked] = []

    async def main() -> None:
        dog = Watchdog(5.0, said.append)
        dog.start(asyncio.get_running_loop())
        for _ in range(100):
            await asyncio.sleep(0)
        dog.stop()

    asyncio.run(main())
    assert said == []


def test_switched_off_it_has_no_thread() -> None:
    async def main() -> None:
        dog = Watchdog(None, print)
        before = threading.active_count()
        dog.start(asyncio.get_running_loop())
        assert threading.active_count() == before
        dog.stop()

    asyncio.run(main())


@pytest.mark.parametrize("where", ["observe", "propose"])
def test_a_scheduler_that_blocks_is_named_and_trials_end_at_their_checkpoints(lab: Any, where: str) -> None:
    interrupted = threading.Event()

    class Real(ScriptedBackend):
        time = "real"  # type: ignore[assignment]

    backend = Real(lambda s: [Report({"epoch": 1, "loss": 1.0}), Hang()])

    def block(*_: Any) -> Any:
        from offbeat import Start

        original = backend.session.interrupt  # type: ignore[union-attr]

        def interrupt() -> None:
            original()
            interrupted.set()

        backend.session.interrupt = interrupt  # type: ignore[union-attr, method-assign]
        assert interrupted.wait(30)
        return Start(config={"rate": 0.5}) if where == "propose" else ()

    def observe(event: Any, ledger: Any) -> Any:
        return block() if isinstance(event, ev.TrialResult) and where == "observe" else ()

    def propose(request: Any, ledger: Any) -> Any:
        from offbeat import Start

        return block() if len(ledger) == 1 and where == "propose" else Start(config={"rate": 0.5})

    async def receive(self: Any) -> Any:
        while not (signals := self.receive_nowait()):
            await asyncio.sleep(0.001)
        return signals

    import offbeat.testing.scripted as scripted

    patch = pytest.MonkeyPatch()
    patch.setattr(scripted.ScriptedSession, "receive", receive)
    try:
        with pytest.raises(EngineBlocked, match=f"{where} of scheduler") as caught:
            lab.run(lab.tuner(lab.home, lab.Toy(observe, propose), backend=backend, blocked_after=0.1, n_workers=2))
    finally:
        patch.undo()
    assert "in block" in caught.value.stack
    lab.check_closed(lab.home)
    closed = lab.events(lab.home)[-1]
    assert closed.outcome == "failed"

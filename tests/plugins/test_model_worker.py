"""A model in a process of its own: what it answers, and every way in which it can fail to."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from offbeat.protocols import SchedulerContext
from offbeat_plugins.modelling import codec
from offbeat_plugins.modelling.thinking import Thinking
from offbeat_plugins.modelling.worker import ModelFailed, ModelWorker

HANG: tuple[str, dict[str, Any]] = ("signal:pause", {})


def children() -> set[int]:
    return set(map(int, Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()))


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@given(
    hnp.arrays(
        st.sampled_from([np.dtype("f8"), np.dtype(">f4"), np.dtype("i8"), np.dtype("u1"), np.dtype("?")]),
        hnp.array_shapes(min_dims=0, max_dims=4, min_side=0),
    )
)
def test_arrays_come_back_as_they_were(array: Any) -> None:
    found = codec.load(codec.dump({"array": [array, array.T]}))["array"]
    for one, same in zip(found, (array, array.T), strict=True):
        assert one.dtype == same.dtype.newbyteorder("<")
        assert one.shape == same.shape
        assert one.tobytes() == np.ascontiguousarray(same, one.dtype).tobytes()
        assert one.flags.writeable


def test_what_is_no_number_is_refused() -> None:
    with pytest.raises(TypeError, match="cannot be sent"):
        codec.dump(np.array(["a", object()], object))
    with pytest.raises(TypeError, match="cannot be sent"):
        codec.dump({"a": print})


@pytest.mark.asyncio
async def test_a_call_is_answered_and_the_process_is_gone_afterwards() -> None:
    async with ModelWorker() as worker:
        x = np.linspace(0, 1, 7)
        answer = await worker.call("builtins:dict", {"x": x, "n": 3, "text": "é"})
        assert answer["n"] == 3
        assert answer["text"] == "é"
        np.testing.assert_array_equal(answer["x"], x)
        pid = worker.pid
        assert pid is not None
        assert await worker.call("os:getpid", {}) == pid
        assert worker.starts == 1
    assert not alive(pid)
    with pytest.raises(ModelFailed, match="closed"):
        await worker.call("os:getpid", {})


@pytest.mark.asyncio
async def test_calls_wait_for_each_other() -> None:
    async with ModelWorker() as worker:
        answers = await asyncio.gather(*(worker.call("builtins:dict", {"n": n}) for n in range(5)))
    assert [answer["n"] for answer in answers] == list(range(5))


@pytest.mark.asyncio
async def test_an_error_is_told_and_the_process_goes_on() -> None:
    async with ModelWorker() as worker:
        with pytest.raises(ModelFailed, match="LinAlgError: Singular matrix"):
            await worker.call("numpy.linalg:inv", {"a": np.zeros((2, 2))})
        with pytest.raises(ModelFailed, match="ModuleNotFoundError"):
            await worker.call("no_such_module:f", {})
        assert await worker.call("os:getpid", {}) == worker.pid
        assert worker.starts == 1


@pytest.mark.asyncio
async def test_what_a_model_prints_does_not_get_between_the_answers() -> None:
    async with ModelWorker() as worker:
        assert await worker.call("subprocess:check_call", {"args": ["echo", "loud"]}) == 0
        assert await worker.call("os:getpid", {}) == worker.pid


@pytest.mark.asyncio
async def test_a_call_that_hangs_is_killed_and_the_next_one_has_a_new_process() -> None:
    async with ModelWorker(deadline=60) as worker:
        await worker.call("os:getpid", {})
        first = worker.pid
        assert first is not None
        with pytest.raises(ModelFailed, match=r"no answer within 0\.2 s"):
            await worker.call(*HANG, deadline=0.2)
        assert not alive(first)
        assert await worker.call("os:getpid", {}) not in (first, None)
        assert worker.starts == 2


@pytest.mark.asyncio
async def test_a_process_that_ends_by_itself_is_told_with_how_it_ended() -> None:
    async with ModelWorker() as worker:
        with pytest.raises(ModelFailed, match="exit status 7"):
            await worker.call("os:_exit", {"status": 7})
        assert isinstance(await worker.call("os:getpid", {}), int)


@pytest.mark.asyncio
async def test_a_process_that_is_killed_is_told_with_the_signal() -> None:
    async with ModelWorker() as worker:
        await worker.call("os:getpid", {})
        call = asyncio.create_task(worker.call(*HANG))
        await asyncio.sleep(0)
        assert worker.pid is not None
        os.kill(worker.pid, signal.SIGKILL)
        with pytest.raises(ModelFailed, match="SIGKILL"):
            await call


@pytest.mark.asyncio
async def test_too_much_memory_is_an_answer() -> None:
    async with ModelWorker(memory=400 * 2**20) as worker:
        with pytest.raises(ModelFailed, match="Unable to allocate"):
            await worker.call("numpy:ones", {"shape": [2**28]})
        assert (await worker.call("numpy:ones", {"shape": [3]})).tolist() == [1, 1, 1]


@pytest.mark.asyncio
async def test_a_call_that_is_cancelled_leaves_no_process() -> None:
    async with ModelWorker() as worker:
        await worker.call("os:getpid", {})
        pid = worker.pid
        assert pid is not None
        call = asyncio.create_task(worker.call(*HANG))
        await asyncio.sleep(0)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert not alive(pid)


@pytest.mark.parametrize("turns", range(1, 8))
@pytest.mark.asyncio
async def test_one_that_is_cancelled_twice_in_any_moment_of_its_start_leaves_none_either(turns: int) -> None:
    before = children()
    async with ModelWorker() as worker:
        call = asyncio.create_task(worker.call("os:getpid", {}))
        for _ in range(turns):
            await asyncio.sleep(0)
        for _ in range(2):
            call.cancel()
            await asyncio.sleep(0)
        with pytest.raises(asyncio.CancelledError):
            await call
    assert children() <= before


@pytest.mark.asyncio
async def test_the_process_ends_with_the_one_that_started_it() -> None:
    """Also in the middle of a computation: its input has ended."""
    worker = ModelWorker()
    await worker.call("os:getpid", {})
    call = asyncio.create_task(worker.call(*HANG))
    await asyncio.sleep(0)
    assert worker._process is not None
    process = worker._process.result()
    assert process is not None
    assert process.stdin is not None
    process.stdin.close()
    with pytest.raises(ModelFailed, match="exit status 0"):
        await call
    await worker.__aexit__(None, None, None)


# --- where it is called


@pytest.mark.asyncio
async def test_a_function_is_called_in_its_process_while_a_real_session_runs() -> None:
    thinking = Thinking("os:getpid")
    assert thinking({}) == os.getpid()
    async with thinking.running(SchedulerContext(time="real", n_workers=2), warm_up={}):
        pid = await thinking({})
        assert pid != os.getpid()
        assert await thinking({}) == pid
    assert not alive(pid)
    assert thinking({}) == os.getpid()
    async with thinking.running(SchedulerContext(time="simulated", n_workers=2), warm_up={}):
        assert thinking({}) == os.getpid()


@pytest.mark.asyncio
async def test_a_session_that_ends_during_the_first_call_does_not_wait_for_it() -> None:
    thinking = Thinking("signal:pause")
    async with thinking.running(SchedulerContext(time="real", n_workers=2), warm_up={}):
        await asyncio.sleep(0)


@pytest.mark.asyncio
async def test_here_and_there_what_fails_is_told_alike() -> None:
    thinking = Thinking("numpy.linalg:inv")
    with pytest.raises(ModelFailed, match=r"numpy\.linalg:inv failed: LinAlgError: Singular matrix"):
        thinking({"a": np.zeros((2, 2))})
    async with thinking.running(SchedulerContext(time="real", n_workers=2)):
        with pytest.raises(ModelFailed, match=r"numpy\.linalg:inv failed: LinAlgError: Singular matrix"):
            await thinking({"a": np.zeros((2, 2))})


@pytest.mark.asyncio
async def test_a_process_that_has_grown_is_replaced_behind_an_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    async with ModelWorker(deadline=30) as worker:
        pids = [await worker.call("os:getpid", {}) for _ in range(3)]
        assert len(set(pids)) == worker.starts == 1
        monkeypatch.setattr("offbeat_plugins.modelling.worker.ROOM", 1)
        pids = [await worker.call("os:getpid", {}) for _ in range(5)]
    # The first one goes behind its fourth answer; each later one behind its second, since one call alone is no growth.
    assert [pids.index(pid) for pid in pids] == [0, 1, 1, 3, 3]

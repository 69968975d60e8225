"""Which GPUs a trial gets, without any GPU."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offbeat.errors import InvalidArgument
from offbeat_plugins.backends.gpus import GpuPool, allowed, check_requested, choose, environment_for, pool


@pytest.mark.parametrize(
    ("requested", "environment", "expected"),
    [
        (None, {}, None),
        (None, {"CUDA_VISIBLE_DEVICES": ""}, []),
        (None, {"CUDA_VISIBLE_DEVICES": "-1"}, []),
        (None, {"CUDA_VISIBLE_DEVICES": "2, 0"}, ["2", "0"]),
        (None, {"CUDA_VISIBLE_DEVICES": "0,1,-1,2"}, ["0", "1"]),
        (None, {"CUDA_VISIBLE_DEVICES": "0,0"}, ["0"]),
        (None, {"CUDA_VISIBLE_DEVICES": "GPU-8932f937,MIG-abc"}, ["GPU-8932f937", "MIG-abc"]),
        ([3, "GPU-1"], {}, ["3", "GPU-1"]),
        ([7, "GPU-1"], {"CUDA_VISIBLE_DEVICES": "4,GPU-1,7"}, ["7", "GPU-1"]),
        ([], {"CUDA_VISIBLE_DEVICES": "0"}, []),
    ],
)
def test_what_the_user_allows(requested, environment, expected):
    assert allowed(requested, environment) == expected


@pytest.mark.parametrize(("listed", "words"), [("4,7", "only 4, 7 may be used"), ("", "no GPU may be used")])
def test_no_gpu_that_the_user_hid(listed, words):
    with pytest.raises(InvalidArgument, match=f"names GPU 0, .*{words}"):
        allowed([0], {"CUDA_VISIBLE_DEVICES": listed})


@pytest.mark.parametrize("argument", ["0,1", "", 3, [0.5], [True], [-1], [""], ["0,1"], [None], [0, "0"], {0}])
def test_what_names_no_gpus(argument):
    with pytest.raises(InvalidArgument, match="gpus_to_use="):
        check_requested(argument)


def test_more_for_each_trial_than_there_are():
    for requested, environment in [([0, 1], {}), (None, {"CUDA_VISIBLE_DEVICES": "4,7"})]:
        with pytest.raises(InvalidArgument, match=r"num_gpus_per_trial=3, .* at most 2"):
            pool(requested, 3, environment)
    with pytest.raises(InvalidArgument, match="num_gpus_per_trial=2, but there is no GPU"):
        pool(None, 2, {"CUDA_VISIBLE_DEVICES": ""})
    assert pool(None, 1, {"CUDA_VISIBLE_DEVICES": ""}).acquire() == ()


def test_free_ones_first_then_those_used_least():
    assert choose("abc", {"a": 1}, {"b": 5, "c": 4}, 1) == ["c"]
    assert choose("abc", {"a": 1, "b": 1, "c": 2}, {"a": 9, "b": 3}, 1) == ["b"]
    assert choose("abcd", {"b": 1}, {}, 3) == ["a", "c", "d"]


def test_one_worker_uses_all_in_turn():
    gpu_pool = GpuPool(["0", "1", "2"])
    taken = []
    for _ in range(6):
        gpus = gpu_pool.acquire()
        taken += gpus
        gpu_pool.release(gpus)
    assert taken == ["0", "1", "2", "0", "1", "2"]


def test_without_gpus_the_variable_stays():
    gpu_pool = GpuPool([], 4)
    assert gpu_pool.acquire() == ()
    assert environment_for(gpu_pool.acquire()) == {}
    assert environment_for(("1", "3")) == {"CUDA_VISIBLE_DEVICES": "1,3"}


def test_too_many_for_a_trial():
    with pytest.raises(InvalidArgument, match="at most 2"):
        GpuPool(["0", "1"], 3)


@given(st.data(), st.integers(1, 8), st.integers(1, 8))
def test_shared_only_when_none_is_free_and_evenly(data, number, per_trial):
    per_trial = min(number, per_trial)
    gpus = [str(i) for i in range(number)]
    gpu_pool = GpuPool(gpus, per_trial)
    held: list[tuple[str, ...]] = []
    for step in data.draw(st.lists(st.booleans(), max_size=40)):
        if step or not held:
            load = {gpu: sum(gpu in one for one in held) for gpu in gpus}
            got = gpu_pool.acquire()
            assert len(set(got)) == per_trial
            assert max(load[gpu] for gpu in got) <= min((load[gpu] for gpu in gpus if gpu not in got), default=10**9)
            held.append(got)
        else:
            gpu_pool.release(held.pop(data.draw(st.integers(0, len(held) - 1))))

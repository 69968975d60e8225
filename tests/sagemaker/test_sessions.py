"""The SageMaker session against AWS in memory: reports, stops, faults, crashes (F14, F15, F16 of the fault table)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import pytest

pytest.importorskip("aiobotocore", reason="needs pip install 'offbeat[aws]'")

from memory_aws import Faults, MemoryAWS, run

from offbeat.protocols import Attempt
from offbeat.signals import BackendBroken, DeleteCheckpoints, Ended, Reported, Signal, StartTrial, StopTrial
from offbeat.trial import TrialId
from offbeat_plugins.backends.training_jobs.calls import Pace, Redacted, Service
from offbeat_plugins.backends.training_jobs.naming import Names
from offbeat_plugins.backends.training_jobs.requests import Template
from offbeat_plugins.backends.training_jobs.session import JobSession, Services, Timing

TEMPLATE = Template(
    request={
        "AlgorithmSpecification": {"TrainingImage": "image", "TrainingInputMode": "File"},
        "RoleArn": "arn:aws:iam::123456789012:role/r",
        "OutputDataConfig": {"S3OutputPath": "s3://bucket/out"},
        "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 10},
        "StoppingCondition": {"MaxRuntimeInSeconds": 3600},
    },
    checkpoints="s3://bucket/exp",
)
EPOCHS = 5


def training(request: dict[str, Any]) -> tuple[list[tuple[float, dict[str, Any]]], str]:
    epochs = int(request["HyperParameters"]["epochs"])
    return [(20.0, {"epoch": n, "loss": 1 / n}) for n in range(1, epochs + 1)], "Completed"


def opened(aws: MemoryAWS, timing: Timing | None = None) -> JobSession:
    def service(name: str) -> Service:
        rates = {"list_training_jobs": Pace(2.0), "create_training_job": Pace(1.0), "stop_training_job": Pace(2.0)}
        return Service(
            call=aws.call, renew=aws.renew, pace=rates, default=Pace(50.0 if name == "s3" else 2.0), redacted=Redacted(),
            number=aws.faults.random.random,
        )  # fmt: skip

    names = Names("exp", "abcd1234")
    services = Services(sagemaker=service("sagemaker"), logs=service("logs"), s3=service("s3"))
    return JobSession(TEMPLATE, names, services, timing or Timing(poll=5.0, settle=20.0), grace=10.0)


def start(trial: int, attempt: int = 0, epochs: int = EPOCHS, **more: Any) -> StartTrial:
    return StartTrial(trial=TrialId(trial), attempt=attempt, config={"epochs": epochs, "lr": 0.1}, **more)


class Heard:
    """What a session said, reports by attempt and in the engine's order: each number once."""

    def __init__(self) -> None:
        self.reports: dict[tuple[int, int], dict[int, Any]] = {}
        self.ends: dict[tuple[int, int], Ended] = {}
        self.after_end: list[Signal] = []

    def take(self, signals: Sequence[Signal]) -> None:
        for signal in signals:
            assert not isinstance(signal, BackendBroken), signal
            key = (int(signal.trial), signal.attempt)
            if key in self.ends:
                self.after_end.append(signal)
            if isinstance(signal, Ended):
                assert key not in self.ends, f"{key} ended twice"
                self.ends[key] = signal
            elif isinstance(signal, Reported):
                metrics = {name: value for name, value in signal.metrics.items() if not name.startswith("st_")}
                known = self.reports.setdefault(key, {}).setdefault(signal.seq, metrics)
                assert known == metrics, "one number stands for two reports"

    def epochs(self, trial: int, attempt: int = 0) -> list[int]:
        found = self.reports.get((trial, attempt), {})
        assert sorted(found) == list(range(len(found))), f"a gap in {sorted(found)}"
        return [found[seq]["epoch"] for seq in sorted(found)]


async def until(session: JobSession, heard: Heard, condition: Callable[[], bool], patience: float = 20_000.0) -> None:
    async with asyncio.timeout(patience):
        while not condition():
            heard.take(await session.receive())


def test_reports_come_in_order_and_before_the_end() -> None:
    async def work() -> None:
        aws, heard = MemoryAWS(training, Faults(0, 0.0)), Heard()
        async with opened(aws) as session:
            for trial in range(3):
                session.submit(start(trial))
            await until(session, heard, lambda: len(heard.ends) == 3)
        assert [heard.epochs(trial) for trial in range(3)] == [[1, 2, 3, 4, 5]] * 3
        assert {end.how for end in heard.ends.values()} == {"finished"}
        assert not heard.after_end
        assert len(aws.created) == 3

    run(work)


def test_slow_stops_count_as_busy_until_the_job_is_over() -> None:
    async def work() -> None:
        aws, heard = MemoryAWS(training, Faults(0, 0.0), stop_takes=120.0), Heard()
        async with opened(aws) as session:
            session.submit(start(0, epochs=1000))
            await until(session, heard, lambda: bool(heard.reports))
            session.submit(StopTrial(TrialId(0), 0))
            await until(session, heard, lambda: bool(heard.ends))
            assert aws.jobs["exp-abcd1234-0-0"].status == "Stopped"
        assert heard.ends[0, 0].how == "ended"

    run(work)


def test_a_failure_says_why() -> None:
    def failing(request: dict[str, Any]) -> tuple[list[tuple[float, dict[str, Any]]], str]:
        return [], "AlgorithmError: ExecuteUserScriptError:\nModuleNotFoundError: No module named 'torch'"

    async def work() -> None:
        aws, heard = MemoryAWS(failing, Faults(0, 0.0)), Heard()
        async with opened(aws) as session:
            session.submit(start(0))
            await until(session, heard, lambda: bool(heard.ends))
        end = heard.ends[0, 0]
        assert (end.how, end.reason) == ("failed", "AlgorithmError: ExecuteUserScriptError:")
        assert "torch" in end.detail

    run(work)


def test_infrastructure_is_not_the_scripts_fault() -> None:
    async def work() -> None:
        aws, heard = MemoryAWS(lambda request: ([], "InternalServerError: please retry"), Faults(0, 0.0)), Heard()
        async with opened(aws) as session:
            session.submit(start(0))
            await until(session, heard, lambda: bool(heard.ends))
        assert heard.ends[0, 0].how == "lost"

    run(work)


def test_a_name_that_is_somebody_elses_is_not_taken_over() -> None:
    async def work() -> None:
        aws, heard = MemoryAWS(training, Faults(0, 0.0)), Heard()
        await aws.call(
            "create_training_job", TrainingJobName="exp-abcd1234-0-0", HyperParameters={"epochs": "1"}, Tags=[]
        )
        async with opened(aws) as session:
            session.submit(start(0))
            await until(session, heard, lambda: bool(heard.ends))
        assert heard.ends[0, 0].how == "failed"
        assert "somebody else" in heard.ends[0, 0].reason

    run(work)


def schedule(
    seed: int, rate: float, outage: tuple[float, float] = (0.0, 0.0), crashes: int = 0
) -> tuple[MemoryAWS, Heard]:
    """Six trials, two of them stopped in the middle, under faults, the engine killed some times."""

    async def work() -> tuple[MemoryAWS, Heard]:
        faults = Faults(seed, rate, outage)
        aws, heard = MemoryAWS(training, faults), Heard()
        starts = {trial: start(trial, epochs=faults.random.randint(1, 6)) for trial in range(6)}
        told: set[int] = set()
        submitted = 0
        for life in range(crashes + 1):
            session = opened(aws)
            await session.__aenter__()
            alive = [key for key in range(submitted) if (key, 0) not in heard.ends]
            taken = session.adopt(
                [
                    Attempt(starts[key], 0.0, len(heard.reports.get((key, 0), ())), 0, "stop" if key in told else "")
                    for key in alive
                ]
            )
            assert sorted(map(int, taken)) == alive
            last = life == crashes
            end = asyncio.get_running_loop().time() + faults.random.uniform(0, 200)
            while len(heard.ends) < 6 and (last or asyncio.get_running_loop().time() < end):
                if submitted < 6:
                    session.submit(starts[submitted])
                    submitted += 1
                if submitted > 2 and 1 not in told and (1, 0) not in heard.ends and faults.random.random() < 0.3:
                    session.submit(StopTrial(TrialId(1), 0))
                    told.add(1)
                try:
                    async with asyncio.timeout(10.0 if submitted < 6 or not last else 50_000.0):
                        heard.take(await session.receive())
                except TimeoutError:
                    assert submitted < 6 or not last, "nothing more is heard"
            if last:
                await session.__aexit__()
            else:  # killed: nothing of it goes on, and nothing is said goodbye to
                for task in list(session._tasks):
                    task.cancel()
        for trial, order in starts.items():
            if trial not in told:
                assert heard.ends[trial, 0].how == "finished", heard.ends[trial, 0]
                assert heard.epochs(trial) == list(range(1, order.config["epochs"] + 1))
            else:
                assert heard.ends[trial, 0].how in ("ended", "finished")
        assert len(aws.created) == len(set(aws.created)) <= 6, "a job was paid for twice"
        for times in aws.calls.values():
            in_a_second = max(sum(at <= other < at + 1.0 for other in times) for at in times)
            assert in_a_second <= 3 * (crashes + 1) or "object" in str(aws.calls.keys())
        return aws, heard

    result: tuple[MemoryAWS, Heard] = run(work)
    return result


@pytest.mark.parametrize("seed", range(20))
def test_no_job_is_paid_for_twice(seed: int) -> None:
    schedule(seed, 0.25, crashes=2)


def test_half_an_hour_of_throttling_fails_nothing() -> None:
    aws, _ = schedule(0, 0.1, outage=(1_030.0, 2_830.0))
    assert aws.faults.met["throttle"] > 20


@pytest.mark.faults
def test_f14_throttling() -> None:
    for seed in range(200):
        aws, _ = schedule(seed, 0.1, outage=(1_030.0, 2_830.0))
        for operation, times in aws.calls.items():
            assert max(sum(at <= other < at + 10.0 for other in times) for at in times) <= 21, operation


@pytest.mark.faults
@pytest.mark.timeout(900)
def test_f15_lost_answers_and_crashes() -> None:
    for seed in range(1000):
        schedule(seed, 0.3, crashes=seed % 4)


def copies(seed: int) -> None:
    """A donor's checkpoints are copied while the donor goes on saving, under faults and a kill in the middle."""

    async def work() -> None:
        faults = Faults(seed, 0.25)
        aws = MemoryAWS(training, faults)
        for number in range(7):
            aws.objects[f"exp/0/checkpoints/part-{number}"] = b"x" * (number + 1)
        order = start(1, donor=TrialId(0), epochs=1)
        session = opened(aws)
        await session.__aenter__()
        session.submit(order)
        await asyncio.sleep(faults.random.uniform(0, 3))
        for task in list(session._tasks):
            task.cancel()
        begun = bool(aws.created)
        if not begun:
            aws.objects["exp/0/checkpoints/part-0"] = b"longer"
        heard = Heard()
        async with opened(aws) as session:
            session.adopt([Attempt(order, 0.0, 0, 0)])
            await until(session, heard, lambda: bool(heard.ends))
            own = {
                key[len("exp/1/checkpoints/") :]: data for key, data in aws.objects.items() if "/1/checkpoints/" in key
            }
            assert sorted(own) == [f"part-{number}" for number in range(7)]
            session.submit(DeleteCheckpoints(TrialId(1)))
            async with asyncio.timeout(10_000):
                while any(key.startswith("exp/1/") for key in aws.objects):
                    await asyncio.sleep(1.0)
        assert len(aws.created) == 1

    run(work)


@pytest.mark.parametrize("seed", range(10))
def test_a_donors_checkpoints_are_copied_whole(seed: int) -> None:
    copies(seed)


@pytest.mark.faults
def test_f16_half_copies() -> None:
    for seed in range(500):
        copies(seed)

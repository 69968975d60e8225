"""The SageMaker backend as a user meets it: arguments, templates, secrets, a search end to end, a killed engine."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("aiobotocore", reason="needs pip install 'offbeat[aws]'")

from offbeat import StoppingCriterion, Tuner
from offbeat.backend import SageMakerBackend
from offbeat.config_space import choice, loguniform
from offbeat.errors import InvalidArgument
from offbeat.optimizer.baselines import ASHA, RandomSearch
from offbeat.results import load
from offbeat.signals import StartTrial
from offbeat.trial import TrialId
from offbeat_plugins.backends.training_jobs.naming import Names
from offbeat_plugins.backends.training_jobs.requests import Template, Unpassable, checked, request_for

REPORT = Path(__file__).parents[2] / "engine" / "offbeat" / "report.py"
TRAIN = """
import argparse, json, os, sys, time
parser = argparse.ArgumentParser()
parser.add_argument("--rate", type=float)
parser.add_argument("--epochs", type=int, default=4)
args, _ = parser.parse_known_args()
saved = os.path.join(os.environ["OFFBEAT_CHECKPOINT_DIR"], "epoch")
epoch = int(open(saved).read()) if os.path.exists(saved) else 0
while epoch < args.epochs:
    epoch += 1
    time.sleep(0.05)
    open(saved, "w").write(str(epoch))
    line = {"epoch": epoch, "loss": args.rate / epoch, "st_worker_iter": epoch - 1 if not epoch else None}
    print("[tune-metric]: " + json.dumps({k: v for k, v in line.items() if v is not None}))
"""
CANARY = "canary-5f2e9a71"


def template(**more: Any) -> dict[str, Any]:
    return {
        "AlgorithmSpecification": {"TrainingImage": "image", "TrainingInputMode": "File"},
        "RoleArn": "arn:aws:iam::123456789012:role/training",
        "OutputDataConfig": {"S3OutputPath": "s3://bucket/out"},
        "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 10},
        "StoppingCondition": {"MaxRuntimeInSeconds": 3600},
        **more,
    }


def backend(**more: Any) -> SageMakerBackend:
    return SageMakerBackend(template(**more), ["loss"], "s3://bucket/searches", poll_interval=0.1, settle=0.2)


@pytest.fixture
def script(aws: Any, tmp_path: Path) -> Path:
    path = tmp_path / "train.py"
    path.write_text(TRAIN)
    aws.images["image"] = path
    return path


def wrong(**more: Any) -> dict[str, Any]:
    return {key: value for key, value in template(**more).items() if value is not None}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (wrong(RoleArn=None), "has no RoleArn"),
        (wrong(RoleArn="me"), "not the ARN of a role"),
        (wrong(Hyperparameters={}), "Did you mean 'HyperParameters'"),
        (wrong(ResourceConfig={"InstanceCount": 1}), "InstanceType and InstanceCount"),
        (wrong(AlgorithmSpecification={"TrainingInputMode": "File"}), "neither TrainingImage nor AlgorithmName"),
        (wrong(OutputDataConfig={"S3OutputPath": "bucket"}), "begins with s3://"),
        (wrong(EnableManagedSpotTraining=True), "MaxWaitTimeInSeconds"),
    ],
)
def test_a_template_that_cannot_work_is_refused_at_once(given: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidArgument, match=said):
        checked(given)


def test_arguments_that_cannot_work_are_refused_at_once() -> None:
    with pytest.raises(InvalidArgument, match="give a list of at most 40"):
        SageMakerBackend(template(), "loss")
    with pytest.raises(InvalidArgument, match="s3://<bucket>/<key>"):
        SageMakerBackend(template(), s3_path="/tmp/x")
    with pytest.raises(InvalidArgument, match="pass a ModelTrainer"):
        SageMakerBackend("train.py")
    with pytest.raises(InvalidArgument, match="dollars per hour"):
        SageMakerBackend(template(), prices={"m5.large": 1.0})


def test_a_request_has_the_configuration_the_machines_and_no_secret_in_its_tags() -> None:
    made = Template(
        request=checked(template(Environment={"TOKEN": CANARY}, HyperParameters={"data": "s3://bucket/x"})),
        checkpoints="s3://bucket/exp",
        metrics=("loss",),
        prices={"ml.p3.2xlarge": 3.0},
    )
    config = {"rate": 0.1, "deep": True, "kind": "a b", "st_instance_type": "ml.p3.2xlarge", "st_instance_count": 2}
    request = request_for(made, Names("my_search", "abcd1234"), StartTrial(trial=TrialId(3), attempt=1, config=config))
    assert request["TrainingJobName"] == "my-search-abcd1234-3-1"
    assert request["HyperParameters"] == {"data": "s3://bucket/x", "rate": "0.1", "deep": "true", "kind": "a b"}
    assert request["ResourceConfig"]["InstanceType"] == "ml.p3.2xlarge"
    assert request["ResourceConfig"]["InstanceCount"] == 2
    assert request["CheckpointConfig"]["S3Uri"] == "s3://bucket/exp/3/checkpoints/"
    assert request["Environment"]["OFFBEAT_PRICE_PER_HOUR"] == "3.0"
    assert request["Environment"]["TOKEN"] == CANARY
    assert CANARY not in str(request["Tags"])
    assert CANARY not in made.fingerprint()


def test_values_that_sagemaker_does_not_take_are_named() -> None:
    made = Template(request=checked(template()), checkpoints="s3://bucket/exp")
    names = Names("x", "abcd1234")
    for config, said in (
        ({"rate": "x" * 3000}, "2500"),
        ({"x" * 300: 1}, "256"),
        ({f"p{n}": n for n in range(120)}, "takes 100"),
        ({"sagemaker_region": "us"}, "SageMaker's own"),
    ):
        with pytest.raises(Unpassable, match=said):
            request_for(made, names, StartTrial(trial=TrialId(0), attempt=0, config=config))


def test_names_are_valid_and_found_again() -> None:
    names = Names("Ein Name, der viel zu lang ist und Zeichen hat, die verboten sind " * 3, "abcd1234")
    job = names.job(999_999_999, 1234)
    assert len(job) <= 63
    assert names.attempt(job) == (999_999_999, 1234)
    assert names.attempt("another-abcd1234-1-2") is None
    assert Names("x", "abcd1234").attempt("x-abcd1234-01-2") is None


def test_a_search_end_to_end(aws: Any, script: Path) -> None:
    tuner = Tuner(
        backend(),
        ASHA({"rate": loguniform(1e-3, 1), "epochs": 4}, "loss", resource_attr="epoch", max_resource_attr="epochs"),
        StoppingCriterion(max_num_trials_completed=3),
        n_workers=3,
        name="cloud",
    )
    tuner.run()
    experiment = load("cloud")
    assert experiment.best().value > 0
    assert len(aws.created) == len(set(aws.created))
    assert not aws.alive()


def test_secrets_reach_no_file_log_tag_or_argument(
    aws: Any, script: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    script.write_text("raise SystemExit('no luck')")
    home = Path(os.environ["OFFBEAT_HOME"])
    tuner = Tuner(
        backend(Environment={"API_TOKEN": CANARY, "OTHER": CANARY[::-1]}),
        RandomSearch({"rate": loguniform(1e-3, 1)}, "loss"),
        StoppingCriterion(max_num_trials_started=2),
        name="secret",
    )
    tuner.run()
    for path in home.rglob("*"):
        if path.is_file():
            text = path.read_bytes()
            for secret in (CANARY, CANARY[::-1], "fake-secret-key"):
                assert secret.encode() not in text, path
    said = caplog.text + "".join(capfd.readouterr())
    assert CANARY not in said
    assert "fake-secret-key" not in said
    assert all(
        CANARY not in str(job.request["Tags"]) + str(job.request["HyperParameters"]) for job in aws.jobs.values()
    )


def test_a_failed_job_says_why(aws: Any, script: Path) -> None:
    script.write_text("raise SystemExit('the data is not there')")
    tuner = Tuner(
        backend(),
        RandomSearch({"rate": choice([1, 2])}, "loss"),
        StoppingCriterion(max_num_trials_started=1),
        name="failing",
    )
    tuner.run()
    failed = load("failing").trials[0]
    assert "AlgorithmError" in failed.reason


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"s3_path": "s3://nowhere/x"}, "no S3 bucket 'nowhere'"),
        ({"region": "us-east-9"}, "has no SageMaker. Did you mean 'us-east-"),
    ],
)
def test_a_wrong_place_is_said_before_the_first_trial(
    aws: Any, script: Path, change: dict[str, str], said: str
) -> None:
    given: dict[str, Any] = {"s3_path": "s3://bucket/x", **change}
    tuner = Tuner(SageMakerBackend(template(), **given), RandomSearch({"rate": choice([1, 2])}, "loss"), name="wrong")
    with pytest.raises(InvalidArgument, match=said):
        tuner.run()
    assert not aws.created


def test_no_credentials_is_one_sentence(aws: Any, script: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nowhere")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")
    tuner = Tuner(backend(), RandomSearch({"rate": choice([1, 2])}, "loss"), name="anonymous")
    with pytest.raises(InvalidArgument, match="credentials are missing"):
        tuner.run()


ENGINE = """
import sys
sys.path.insert(0, {tests!r})
from offbeat import StoppingCriterion, Tuner
from offbeat.backend import SageMakerBackend
from offbeat.config_space import loguniform
from offbeat.optimizer.baselines import RandomSearch

Tuner(
    SageMakerBackend({template!r}, ["loss"], "s3://bucket/searches", poll_interval=0.1, settle=0.2),
    RandomSearch({{"rate": loguniform(1e-3, 1), "epochs": 80}}, "loss", resource_attr="epoch"),
    StoppingCriterion(max_num_trials_completed=3),
    n_workers=3,
    name="killed",
).run()
"""


def test_a_killed_engine_leaves_jobs_running_and_takes_them_up_again(aws: Any, script: Path, tmp_path: Path) -> None:
    code = textwrap.dedent(ENGINE).format(tests=str(Path(__file__).parent), template=template())
    engine = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.DEVNULL, start_new_session=True)
    journal = Path(os.environ["OFFBEAT_HOME"]) / "killed" / "journal"
    while len(aws.alive()) < 3 or not (
        journal.is_dir() and b"trial-result" in b"".join(file.read_bytes() for file in journal.iterdir())
    ):
        assert engine.poll() is None
        os.sched_yield()
    os.killpg(engine.pid, signal.SIGKILL)
    engine.wait()
    tuner = Tuner.resume("killed", trial_backend=backend())
    tuner.run()
    experiment = load("killed")
    for trial in range(3):
        assert [row["epoch"] for row in experiment.results() if row["trial"] == trial] == list(range(1, 81))
    assert len(aws.created) == len(set(aws.created))

"""The SageMaker backend through the suite that every backend passes, each trial a process behind the real HTTP API."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from offbeat.protocols import Backend
from offbeat.testing.backend_checks import Behaviour
from offbeat.testing.backend_suite import BackendContract

REPORT = Path(__file__).parents[2] / "engine" / "offbeat" / "report.py"

SCRIPT = """
import argparse, sys, time
from pathlib import Path
sys.path.insert(0, {code!r})
from offbeat.report import Reporter, checkpoint_dir

parser = argparse.ArgumentParser()
parser.add_argument("--epochs", type=int)
parser.add_argument("--lr", type=float)
epochs = parser.parse_args().epochs
behaviour = {behaviour!r}
report = Reporter()
saved = Path(checkpoint_dir()) / "epoch"
epoch = int(saved.read_text()) if saved.exists() else 0
while behaviour != "counts" or epoch < epochs:
    epoch += 1
    saved.write_text(str(epoch))
    report(epoch=epoch, loss=1 / epoch)
    if behaviour == "crashes":
        sys.exit("no luck")
    if behaviour == "hangs":
        import signal
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        time.sleep(1000)
    if behaviour == "garbage":
        if epoch == 2:
            break
        print("[tune-metric]: neither this nor that")
    time.sleep(0.02)
"""


def template(**more: Any) -> dict[str, Any]:
    return {
        "AlgorithmSpecification": {"TrainingImage": "image", "TrainingInputMode": "File"},
        "RoleArn": "arn:aws:iam::123456789012:role/training",
        "OutputDataConfig": {"S3OutputPath": "s3://bucket/out"},
        "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 10},
        "StoppingCondition": {"MaxRuntimeInSeconds": 3600},
        **more,
    }


class TestSageMaker(BackendContract):
    @pytest.fixture(autouse=True)
    def _aws(self, aws: Any) -> None:
        self.aws = aws

    def make(self, behaviour: Behaviour, folder: Path) -> Backend:
        from offbeat.backend import SageMakerBackend

        code = folder / "code"
        (code / "offbeat").mkdir(parents=True, exist_ok=True)
        (code / "offbeat" / "__init__.py").touch()
        (code / "offbeat" / "report.py").write_bytes(REPORT.read_bytes())
        script = folder / "train.py"
        script.write_text(SCRIPT.format(behaviour=behaviour, code=str(code)))
        if behaviour == "missing":
            script.unlink()
        self.aws.images["image"] = script
        return SageMakerBackend(template(), ["loss"], "s3://bucket/searches", poll_interval=0.1, settle=0.2)

"""AWS on loopback for the tests of the SageMaker backend."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def aws(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A fake SageMaker with bucket `bucket`; tests add scripts to `images` and may set `faults`."""
    pytest.importorskip("aiobotocore", reason="needs pip install 'offbeat[aws]'")
    pytest.importorskip("moto.server", reason="needs pip install 'moto[server,s3,iam,sts,logs]'")
    from fake_sagemaker import FakeSageMaker

    logging.getLogger("werkzeug").setLevel(logging.WARNING)
    with FakeSageMaker(tmp_path / "machines", {}) as service:
        for name, value in service.variables.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("OFFBEAT_HOME", str(tmp_path / "experiments"))
        service.client("s3").create_bucket(Bucket="bucket")
        yield service

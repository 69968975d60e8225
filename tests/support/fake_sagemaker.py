"""A small SageMaker on loopback that runs each training job as a process of this machine, and passes all else on to moto.

It keeps to the container contract: `SM_*` variables, the `/opt/ml` layout (under a temporary root, since `/opt/ml` is not
ours), standard output into CloudWatch Logs, checkpoints kept in step with S3, SIGTERM and a window before SIGKILL on a stop,
spot interruptions, warm pools. `faults` is asked about every request.
"""

from __future__ import annotations

import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import boto3
from moto.server import ThreadedMotoServer

ACCOUNT = "123456789012"
GROUP = "/aws/sagemaker/TrainingJobs"
REGION = "us-east-1"

Fault = str
"""\"\" none; "throttle"; "5xx"; "expired"; "quota"; "drop-before" or "drop-after" the effect."""


class Job:
    """A training job and the process that it is."""

    def __init__(self, request: dict[str, Any], root: Path, now: float) -> None:
        self.request, self.root = request, root
        self.created = self.modified = now
        self.status, self.secondary, self.reason = "InProgress", "Starting", ""
        self.process: subprocess.Popen[bytes] | None = None
        self.stopping = self.interrupted = False
        self.warm = False
        self.seconds = 0.0
        self.thread: threading.Thread


class FakeSageMaker:
    """Enter it as a context; `variables` point any AWS client at it.

    Args:
        images: name of a training image -> script that stands for its entry point.
        window: seconds between SIGTERM and SIGKILL (120 in the real service).
        listed_late: seconds until a change shows in the listing.
        faults: (service, operation, number of that operation's call) -> what goes wrong.

    Attributes:
        created: names of all jobs that ever ran; calls: (service, operation, time) of each request.
    """

    def __init__(
        self,
        folder: Path,
        images: dict[str, Path],
        *,
        window: float = 2.0,
        listed_late: float = 0.0,
        faults: Callable[[str, str, int], Fault] = lambda service, operation, number: "",
    ) -> None:
        self.folder, self.images, self.window, self.listed_late, self.faults = (
            folder,
            images,
            window,
            listed_late,
            faults,
        )
        self.jobs: dict[str, Job] = {}
        self.created: list[str] = []
        self.calls: list[tuple[str, str, float]] = []
        self._counts: dict[tuple[str, str], itertools.count[int]] = {}
        self._lock = threading.RLock()

    def __enter__(self) -> FakeSageMaker:
        self._moto = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
        self._moto.start()
        host, port = self._moto.get_host_and_port()
        self._behind = f"http://{host}:{port}"
        # Its state is the process's, and outlives a server.
        urllib.request.urlopen(
            urllib.request.Request(f"{self._behind}/moto-api/reset", method="POST"), timeout=30
        ).close()
        handler = type("Handler", (_Handler,), {"aws": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self.variables = {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": "AKIAFAKE",
            "AWS_SECRET_ACCESS_KEY": "fake-secret-key",
            "AWS_DEFAULT_REGION": REGION,
            "AWS_EC2_METADATA_DISABLED": "true",
        }
        self.logs, self.s3 = self.client("logs"), self.client("s3")
        self.logs.create_log_group(logGroupName=GROUP)
        return self

    def __exit__(self, *error: object) -> None:
        for job in self.jobs.values():
            if job.process is not None and job.process.poll() is None:
                os.killpg(job.process.pid, signal.SIGKILL)
        for job in self.jobs.values():
            job.thread.join(10)
        self._server.shutdown()
        self._server.server_close()
        self._moto.stop()

    def client(self, service: str) -> Any:
        """A client that goes to moto at once, past all faults."""
        return boto3.client(
            service, endpoint_url=self._behind, region_name=REGION, aws_access_key_id="x", aws_secret_access_key="y"
        )

    def interrupt(self, name: str) -> None:
        """Takes a job's spot machine away."""
        job = self.jobs[name]
        job.interrupted = True
        if job.process is not None:
            os.killpg(job.process.pid, signal.SIGTERM)

    def alive(self) -> list[str]:
        """Names of jobs that cost money now."""
        return [name for name, job in self.jobs.items() if job.status in ("InProgress", "Stopping")]

    def met(self, service: str, operation: str) -> Fault:
        """What goes wrong with the next call of an operation; counts it."""
        with self._lock:
            self.calls.append((service, operation, time.monotonic()))
            number = next(self._counts.setdefault((service, operation), itertools.count()))
        return self.faults(service, operation, number)

    # --- operations

    def do(self, operation: str, asked: dict[str, Any]) -> dict[str, Any]:
        """One operation of SageMaker's. Raises Refusal."""
        with self._lock:
            answer: dict[str, Any] = getattr(self, f"_{operation}")(asked)
        return answer

    def _CreateTrainingJob(self, asked: dict[str, Any]) -> dict[str, Any]:
        name = asked["TrainingJobName"]
        if name in self.jobs:
            raise Refusal("ResourceInUse", f"Training job names must be unique: {name} already exists.")
        image = asked["AlgorithmSpecification"]["TrainingImage"]
        if image not in self.images:
            raise Refusal("ValidationException", f"Could not find the image {image}.")
        if not asked["RoleArn"].endswith("role/training"):
            raise Refusal("ValidationException", f"Could not assume role {asked['RoleArn']}.")
        job = Job(asked, self.folder / name, time.time())
        pool = asked["ResourceConfig"].get("KeepAlivePeriodInSeconds", 0)
        job.warm = any(
            other.status in ("Completed", "Stopped") and time.time() - other.modified < pool
            for other in self.jobs.values()
        )
        self.jobs[name] = job
        self.created.append(name)
        job.thread = threading.Thread(target=self._run, args=(name, job), daemon=True)
        job.thread.start()
        return {"TrainingJobArn": f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:training-job/{name}"}

    def _DescribeTrainingJob(self, asked: dict[str, Any]) -> dict[str, Any]:
        job = self._job(asked)
        return {
            **self._summary(asked["TrainingJobName"]),
            "FailureReason": job.reason,
            "BillableTimeInSeconds": round(job.seconds),
        }

    def _StopTrainingJob(self, asked: dict[str, Any]) -> dict[str, Any]:
        job = self._job(asked)
        if job.status != "InProgress":
            raise Refusal("ValidationException", "The request was rejected because the training job is not running.")
        job.stopping = True
        self._now(job, "Stopping", "Stopping")
        if job.process is not None:
            os.killpg(job.process.pid, signal.SIGTERM)
        threading.Timer(self.window, self._kill, [job]).start()
        return {}

    def _ListTags(self, asked: dict[str, Any]) -> dict[str, Any]:
        return {"Tags": self.jobs[asked["ResourceArn"].rpartition("/")[2]].request.get("Tags", [])}

    def _ListTrainingJobs(self, asked: dict[str, Any]) -> dict[str, Any]:
        now = time.time()
        after = asked.get("LastModifiedTimeAfter", 0)
        names = [
            name
            for name, job in sorted(self.jobs.items(), key=lambda item: -item[1].created)
            if job.modified >= after
            and now >= job.modified + self.listed_late
            and asked.get("NameContains", "") in name
        ]
        first = int(asked.get("NextToken", 0))
        page = names[first : first + asked.get("MaxResults", 10)]
        more = {"NextToken": str(first + len(page))} if first + len(page) < len(names) else {}
        return {"TrainingJobSummaries": [self._summary(name) for name in page], **more}

    def _job(self, asked: dict[str, Any]) -> Job:
        try:
            return self.jobs[asked["TrainingJobName"]]
        except KeyError:
            raise Refusal("ValidationException", "Requested resource not found.") from None

    def _summary(self, name: str) -> dict[str, Any]:
        job = self.jobs[name]
        return {
            "TrainingJobName": name,
            "TrainingJobArn": f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:training-job/{name}",
            "TrainingJobStatus": job.status,
            "SecondaryStatus": job.secondary,
            "CreationTime": job.created,
            "LastModifiedTime": job.modified,
        }

    # --- a job's life

    def _run(self, name: str, job: Job) -> None:
        try:
            begun = time.monotonic()
            for restart in itertools.count():
                code, tail = self._container(name, job, restart)
                if not (job.interrupted and job.request.get("EnableManagedSpotTraining")):
                    break
                job.interrupted = False
                self._now(job, "InProgress", "Interrupted")
            job.seconds = time.monotonic() - begun
            if job.stopping:
                self._now(job, "Stopped", "Stopped")
            elif job.interrupted:
                job.reason = "InternalServerError: the machine was taken away"
                self._now(job, "Failed", "Failed")
            elif code:
                job.reason = f"AlgorithmError: ExecuteUserScriptError:\nExitCode {code}\n{tail}"
                self._now(job, "Failed", "Failed")
            else:
                self._now(job, "Completed", "Completed")
        except Exception as error:
            job.reason = f"InternalServerError: {error!r}"
            self._now(job, "Failed", "Failed")

    def _container(self, name: str, job: Job, restart: int) -> tuple[int, str]:
        shutil.rmtree(job.root, ignore_errors=True)
        ml = job.root / "opt" / "ml"
        for part in ("input/config", "input/data", "checkpoints", "model", "output"):
            (ml / part).mkdir(parents=True)
        parameters = job.request.get("HyperParameters", {})
        (ml / "input/config/hyperparameters.json").write_text(json.dumps(parameters))
        (ml / "input/config/resourceconfig.json").write_text(
            json.dumps({"current_host": "algo-1", "hosts": ["algo-1"]})
        )
        self._download(job, ml / "checkpoints")
        environment = {
            "PATH": os.environ["PATH"],
            "SM_CURRENT_HOST": "algo-1",
            "SM_HPS": json.dumps(parameters),
            "SM_MODEL_DIR": str(ml / "model"),
            "SM_TRAINING_ENV": "{}",
            "TRAINING_JOB_NAME": name,
            **{f"SM_HP_{key.upper()}": value for key, value in parameters.items()},
            **{key: value.replace("/opt/ml", str(ml)) for key, value in job.request.get("Environment", {}).items()},
        }
        flags = [part for key, value in sorted(parameters.items()) for part in (f"--{key}", value)]
        script = self.images[job.request["AlgorithmSpecification"]["TrainingImage"]]
        stream = f"{name}/algo-1-{int(time.time() * 1000)}-{restart}"
        with self._lock:
            if job.stopping:
                return 0, ""
            job.process = subprocess.Popen(
                [sys.executable, "-u", str(script), *flags],
                env=environment,
                cwd=job.root,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            self._now(job, "InProgress", "Training")
        self.logs.create_log_stream(logGroupName=GROUP, logStreamName=stream)
        last: list[str] = []
        assert job.process.stdout is not None
        with job.process.stdout as lines:
            for raw in lines:
                text = raw.decode(errors="replace").rstrip("\n")
                last = [*last[-20:], text]
                event = {"timestamp": int(time.time() * 1000), "message": text or " "}
                self.logs.put_log_events(logGroupName=GROUP, logStreamName=stream, logEvents=[event])
                self._upload(job, ml / "checkpoints")
        code = job.process.wait()
        self._upload(job, ml / "checkpoints")
        return code, "\n".join(last)

    def _where(self, job: Job) -> tuple[str, str] | None:
        uri = job.request.get("CheckpointConfig", {}).get("S3Uri", "")
        bucket, _, key = uri.removeprefix("s3://").partition("/")
        return (bucket, key.rstrip("/") + "/") if uri else None

    def _download(self, job: Job, folder: Path) -> None:
        where = self._where(job)
        if where is None:
            return
        for item in self.s3.list_objects_v2(Bucket=where[0], Prefix=where[1]).get("Contents", ()):
            path = folder / item["Key"][len(where[1]) :]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(self.s3.get_object(Bucket=where[0], Key=item["Key"])["Body"].read())

    def _upload(self, job: Job, folder: Path) -> None:
        where = self._where(job)
        if where is None:
            return
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                self.s3.put_object(
                    Bucket=where[0], Key=where[1] + str(path.relative_to(folder)), Body=path.read_bytes()
                )

    def _kill(self, job: Job) -> None:
        if job.process is not None and job.process.poll() is None:
            os.killpg(job.process.pid, signal.SIGKILL)

    def _now(self, job: Job, status: str, secondary: str) -> None:
        with self._lock:
            if not (job.stopping and status == "InProgress"):
                job.status = status
            job.secondary, job.modified = secondary, time.time()

    def forward(
        self, method: str, path: str, headers: dict[str, str], body: bytes
    ) -> tuple[int, dict[str, str], bytes]:
        """A request that is not SageMaker's, answered by moto."""
        request = urllib.request.Request(self._behind + path, data=body or None, headers=headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, dict(answer.headers), answer.read()
        except urllib.error.HTTPError as error:
            return error.code, dict(error.headers), error.read()


class Refusal(Exception):
    """An answer with an error's code."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(code, message)
        self.code, self.message = code, message


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    aws: FakeSageMaker

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        pass

    def _any(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        target = self.headers.get("X-Amz-Target", "")
        scope = self.headers.get("Authorization", "").partition("Credential=")[2].split("/")
        service = scope[3] if len(scope) > 3 else "s3"
        operation = target.rpartition(".")[2] or f"{self.command} {'object' if self.path.count('/') > 1 else 'bucket'}"
        fault = self.aws.met(service, operation)
        if fault == "drop-before":
            self.close_connection = True
            return
        if fault in ("throttle", "5xx", "expired", "quota"):
            code, status = {
                "throttle": ("ThrottlingException", 400),
                "5xx": ("InternalFailure", 500),
                "expired": ("ExpiredTokenException", 400),
                "quota": ("ResourceLimitExceeded", 400),
            }[fault]
            answer = status, {}, self._error(service, code)
        elif service == "sagemaker":
            answer = self._sagemaker(operation, json.loads(body or b"{}"))
        else:
            skipped = ("host", "connection", "content-length", "accept-encoding", "expect")
            headers = {key: value for key, value in self.headers.items() if key.lower() not in skipped}
            answer = self.aws.forward(self.command, self.path, headers, body)
        if fault == "drop-after":
            self.close_connection = True
            return
        self._send(*answer)

    do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = _any

    def _sagemaker(self, operation: str, asked: dict[str, Any]) -> tuple[int, dict[str, str], bytes]:
        try:
            return 200, {}, json.dumps(self.aws.do(operation, asked)).encode()
        except Refusal as refusal:
            return 400, {}, json.dumps({"__type": refusal.code, "message": refusal.message}).encode()

    def _error(self, service: str, code: str) -> bytes:
        if service == "s3":
            return f"<Error><Code>{code}</Code><Message>{code}</Message></Error>".encode()
        return json.dumps({"__type": code, "message": code}).encode()

    def _send(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response_only(status)
        for key, value in headers.items():
            if key.lower() not in ("content-length", "connection", "transfer-encoding"):
                self.send_header(key, value)
        if not any(key.lower() == "content-type" for key in headers):
            self.send_header("Content-Type", "application/x-amz-json-1.1")
        length = headers.get("Content-Length", str(len(body))) if self.command == "HEAD" else str(len(body))
        self.send_header("Content-Length", length)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

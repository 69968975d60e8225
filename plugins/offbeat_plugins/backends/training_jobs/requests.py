"""From a template and a configuration to the CreateTrainingJob request of one attempt; and what a template has to have."""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import Any, Final, TypeAlias

import msgspec

from offbeat.errors import InvalidArgument, nearest
from offbeat.signals import StartTrial
from offbeat_plugins.backends.command import as_text
from offbeat_plugins.backends.training_jobs.naming import Names

Request: TypeAlias = dict[str, Any]

FIELDS: Final = frozenset({
    "AlgorithmSpecification", "CheckpointConfig", "DebugHookConfig", "DebugRuleConfigurations",
    "EnableInterContainerTrafficEncryption", "EnableManagedSpotTraining", "EnableNetworkIsolation", "Environment",
    "ExperimentConfig", "HyperParameters", "InfraCheckConfig", "InputDataConfig", "MlflowConfig", "ModelPackageConfig",
    "OutputDataConfig", "ProfilerConfig", "ProfilerRuleConfigurations", "RemoteDebugConfig", "ResourceConfig",
    "RetryStrategy", "RoleArn", "ServerlessJobConfig", "SessionChainingConfig", "StoppingCondition", "Tags",
    "TensorBoardOutputConfig", "TrainingJobName", "VpcConfig",
})  # fmt: skip
"""What CreateTrainingJob takes (API of 2017-07-24)."""

NEEDED: Final = ("AlgorithmSpecification", "RoleArn", "OutputDataConfig", "ResourceConfig", "StoppingCondition")

CHECKPOINTS: Final = "/opt/ml/checkpoints"
INSTANCE_TYPE, INSTANCE_COUNT = "st_instance_type", "st_instance_count"
"""Hyperparameters of these names choose the machines of a trial."""

MAX_HYPERPARAMETERS: Final = 100
MAX_VALUE: Final = 2500
MAX_NAME: Final = 256
MAX_METRICS: Final = 40
RESERVED: Final = "sagemaker_"

_ROLE: Final = re.compile(r"arn:aws[a-z-]*:iam::\d{12}:role/.+")


class Unpassable(ValueError):
    """A configuration does not fit into a request; the message says why and what to do."""


class Template(msgspec.Struct, frozen=True, kw_only=True):
    """What all attempts' requests have in common.

    Attributes:
        request: CreateTrainingJob's parameters, without a name.
        checkpoints: S3 prefix, without a slash at its end, under which trials keep theirs.
        metrics: names that SageMaker charts.
        prices: dollars per hour by instance type.
    """

    request: Request
    checkpoints: str
    metrics: tuple[str, ...] = ()
    prices: Mapping[str, float] = {}

    def secrets(self) -> list[str]:
        """Values that have to stay out of every text: the environment's."""
        return [str(value) for value in self.request.get("Environment", {}).values()]

    def fingerprint(self) -> str:
        """16 hexadecimal digits of everything but the values of the environment, which may be secrets."""
        shown = {**self.request, "Environment": sorted(self.request.get("Environment", {}))}
        shown.pop("TrainingJobName", None)
        parts = msgspec.json.encode([shown, self.checkpoints, self.metrics], order="sorted", enc_hook=str)
        return blake2b(parts, digest_size=8).hexdigest()


def checked(request: Mapping[str, Any]) -> Request:
    """The template itself, as a copy without a job's name. Raises InvalidArgument."""
    for name in request:
        if name not in FIELDS:
            raise InvalidArgument(
                f"The template has {name!r}, which CreateTrainingJob does not take. {nearest(name, FIELDS)}"
            )
    for name in NEEDED:
        if not request.get(name):
            raise InvalidArgument(f"The template has no {name}, which every training job needs.")
    role = request["RoleArn"]
    if not isinstance(role, str) or not _ROLE.fullmatch(role):
        raise InvalidArgument(f"RoleArn={role!r} is not the ARN of a role (arn:aws:iam::<account>:role/<name>).")
    algorithm, resources, stopping = (
        request["AlgorithmSpecification"],
        request["ResourceConfig"],
        request["StoppingCondition"],
    )
    if not algorithm.get("TrainingImage") and not algorithm.get("AlgorithmName"):
        raise InvalidArgument("The template's AlgorithmSpecification has neither TrainingImage nor AlgorithmName.")
    if not algorithm.get("TrainingInputMode"):
        raise InvalidArgument(
            "The template's AlgorithmSpecification has no TrainingInputMode ('File' is the usual one)."
        )
    if not resources.get("InstanceGroups") and not (resources.get("InstanceType") and resources.get("InstanceCount")):
        raise InvalidArgument("The template's ResourceConfig needs InstanceType and InstanceCount.")
    if not str(request["OutputDataConfig"].get("S3OutputPath", "")).startswith("s3://"):
        raise InvalidArgument("The template's OutputDataConfig has no S3OutputPath that begins with s3://.")
    spot = bool(request.get("EnableManagedSpotTraining"))
    longest, waited = stopping.get("MaxRuntimeInSeconds"), stopping.get("MaxWaitTimeInSeconds")
    if spot and (waited is None or longest is None or waited < longest):
        raise InvalidArgument(
            "EnableManagedSpotTraining needs a StoppingCondition with MaxRuntimeInSeconds and a MaxWaitTimeInSeconds of at "
            "least as much: SageMaker refuses the job otherwise."
        )
    for name in request.get("HyperParameters", {}):
        _checked_name(name)
    copied = copy.deepcopy(dict(request))
    copied.pop("TrainingJobName", None)
    return copied


def metric_definitions(names: Sequence[str]) -> list[dict[str, str]]:
    """How SageMaker finds the metrics in our report lines, for its charts."""
    number = r"[-+]?(?:[0-9]*\.)?[0-9]+(?:[eE][-+]?[0-9]+)?"
    return [
        {"Name": name, "Regex": rf'\[tune-metric\]:.*"{re.escape(name)}": ?({number})'} for name in names[:MAX_METRICS]
    ]


def request_for(template: Template, names: Names, start: StartTrial) -> Request:
    """The request that starts an attempt. Raises Unpassable."""
    request = copy.deepcopy(template.request)
    config = dict(start.config)
    resources = request["ResourceConfig"]
    if INSTANCE_TYPE in config:
        resources["InstanceType"] = str(config.pop(INSTANCE_TYPE))
    if INSTANCE_COUNT in config:
        resources["InstanceCount"] = int(config.pop(INSTANCE_COUNT))
    request["TrainingJobName"] = names.job(start.trial, start.attempt)
    request["HyperParameters"] = _hyperparameters(request.get("HyperParameters", {}), config)
    request["CheckpointConfig"] = {
        "LocalPath": CHECKPOINTS,
        **request.get("CheckpointConfig", {}),
        "S3Uri": f"{template.checkpoints}/{int(start.trial)}/checkpoints/",
    }
    request["Environment"] = {
        **request.get("Environment", {}),
        "OFFBEAT_TRIAL": str(int(start.trial)),
        "OFFBEAT_ATTEMPT": str(start.attempt),
        "OFFBEAT_SEED": str(start.seed),
        "OFFBEAT_CHECKPOINT_DIR": request["CheckpointConfig"]["LocalPath"],
        **_price(template.prices, resources),
    }
    request["Tags"] = [*request.get("Tags", []), *names.tags(start.trial, start.attempt)]
    if template.metrics:
        algorithm = request["AlgorithmSpecification"]
        own = algorithm.get("MetricDefinitions", [])
        taken = {definition["Name"] for definition in own}
        wanted = [name for name in template.metrics if name not in taken]
        algorithm["MetricDefinitions"] = [*own, *metric_definitions(wanted)][:MAX_METRICS]
    return request


def _hyperparameters(fixed: Mapping[str, str], config: Mapping[str, Any]) -> dict[str, str]:
    chosen = dict(fixed)
    for name, value in config.items():
        _checked_name(name)
        if name.startswith(RESERVED):
            raise Unpassable(
                f"The hyperparameter {name!r} begins like SageMaker's own ({RESERVED}...): call it otherwise."
            )
        text = as_text(value)
        if len(text) > MAX_VALUE:
            raise Unpassable(
                f"The value of {name!r} has {len(text)} characters; SageMaker takes {MAX_VALUE}: pass big values as a file in S3."
            )
        chosen[name] = text
    if len(chosen) > MAX_HYPERPARAMETERS:
        raise Unpassable(f"{len(chosen)} hyperparameters and settings: SageMaker takes {MAX_HYPERPARAMETERS}.")
    return chosen


def _checked_name(name: str) -> None:
    if not name or len(name) > MAX_NAME:
        raise Unpassable(
            f"The hyperparameter {name[:60]!r} has {len(name)} characters; SageMaker takes 1 to {MAX_NAME}."
        )


def _price(prices: Mapping[str, float], resources: Mapping[str, Any]) -> dict[str, str]:
    """What the reporter in the container counts the cost with, where a price is known."""
    price = prices.get(resources.get("InstanceType", ""))
    if price is None:
        return {}
    return {"OFFBEAT_PRICE_PER_HOUR": repr(float(price)), "OFFBEAT_INSTANCE_COUNT": str(resources["InstanceCount"])}

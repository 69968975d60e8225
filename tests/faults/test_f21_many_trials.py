"""F21: model-based methods after very many trials: a proposal as ever, from little memory, the same after a fold.

How long it takes is measured by `benchmarks/density.py`.
"""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.util import find_spec
from typing import Any

import pytest

MANY = """
import json, resource, sys
import numpy as np
from offbeat.config_space import choice, loguniform, randint, uniform
from offbeat.events import ModelFitted, Suggested, TrialFinished, TrialResult, TrialStarted
from offbeat.optimizer import load_scheduler
from offbeat.protocols import ProposalRequest
from offbeat.trial import Ledger, TrialId

name, count, options = sys.argv[1], int(sys.argv[2]), json.loads(sys.argv[3])
space = {"lr": loguniform(1e-6, 1e-1), "rate": uniform(0, 1), "layers": randint(1, 20), "kind": choice(["a", "b", "c"])}

def folded():
    scheduler = load_scheduler(name)(space, metric="loss", random_seed=1, **options)
    ledger = Ledger("loss")
    for trial, us in enumerate(np.random.default_rng(0).random((count, scheduler.space.width)).tolist()):
        config, number = scheduler.space.from_units(us), TrialId(trial)
        loss = abs(np.log10(config["lr"]) + 3) + abs(config["rate"] - 0.9) + (config["kind"] != "b")
        metrics = {"loss": float(loss), "size": config["rate"], "seconds": 1.0 + config["layers"]}
        for event in (
            Suggested(0.0, trial, "start", number, config),
            TrialStarted(0.0, number, 0, 0),
            TrialResult(0.0, number, 0, 0, 1, metrics),
            TrialFinished(0.0, number, 0),
        ):
            ledger.apply(event)
            if type(event) in scheduler.observes:
                scheduler.observe(event, ledger)
    proposal = scheduler.propose(ProposalRequest(count, 0, 1), ledger)
    assert scheduler.space.validate(proposal.config) == proposal.config
    return proposal, all(record.config != proposal.config for record in ledger)

one, new = folded()
other, _ = folded()
memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps({"why": one.why, "new": new, "same": one == other, "memory": memory}))
"""
GP: dict[str, Any] = {"backend": "numpy"}
METHODS: dict[str, dict[str, Any]] = {
    "tpe": {},
    "bore": {},
    "cqr": {},
    "bayesian-optimization": GP,
    "constrained-bayesian-optimization": {**GP, "constraints": {"size": "<= 0.5"}},
    "cost-aware-bayesian-optimization": {**GP, "cost_attr": "seconds"},
    "automatic-termination": {"threshold": 1e-9, "scheduler_options": GP},
}
MEMORY = 1024
"""MB of a process that holds two such histories, at most."""


def after(name: str, count: int) -> None:
    if name in ("bore", "cqr") and find_spec("sklearn") is None:
        pytest.skip("needs scikit-learn: pip install 'offbeat[trees]'")
    arguments = [sys.executable, "-c", MANY, name, str(count), json.dumps(METHODS[name])]
    done = subprocess.run(arguments, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["why"].startswith("model")
    assert found["new"]
    assert found["same"]
    assert found["memory"] <= MEMORY


@pytest.mark.parametrize("name", ["tpe", "bayesian-optimization"])
def test_after_two_thousand_trials(name: str) -> None:
    after(name, 2_000)


@pytest.mark.faults
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", METHODS)
def test_after_fifty_thousand_trials(name: str) -> None:
    after(name, 50_000)

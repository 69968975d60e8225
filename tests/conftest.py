"""What tests of several folders share: experiments in simulated time, and ways to look at what came of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from offbeat import StoppingCriterion, Tuner
from offbeat.config_space import loguniform, randint
from offbeat.events import Event
from offbeat.home import ExperimentFolder
from offbeat.journal import decision_digest, read_journal
from offbeat.protocols import Objective
from offbeat.space import Space
from offbeat.testing.scripted import End, ScriptedBackend, curve
from offbeat.trial import Status

SPACE = {"rate": loguniform(1e-3, 1.0), "layers": randint(1, 20), "epochs": 9}


def loss(config: dict[str, Any], epoch: int) -> dict[str, Any]:
    return {"loss": config["rate"] / epoch + config["layers"]}


class Toy:
    """A scheduler by hand: `observe_` and `propose_` replace its answers; by default it starts `limit` equal trials."""

    def __init__(self, observe: Any = None, propose: Any = None, limit: int = 10**9, **objective: Any) -> None:
        self.objective = Objective.of(objective.pop("metric", "loss"), resource_attr="epoch", **objective)
        self.space = Space.of({"rate": loguniform(1e-3, 1.0)})
        self.seed = 0
        self.seen: list[Event] = []
        self.limit = limit
        self._observe, self._propose = observe, propose

    def observe(self, event: Event, ledger: Any) -> Any:
        self.seen.append(event)
        return self._observe(event, ledger) if self._observe else ()

    def propose(self, request: Any, ledger: Any) -> Any:
        from offbeat import Start

        if self._propose:
            return self._propose(request, ledger)
        if not request.may_start or len(ledger) >= self.limit:
            return None
        return Start(config={"rate": 0.5})


def asha(kind: str = "stopping", **options: Any) -> Any:
    from offbeat_plugins.schedulers.asha import ASHA

    settings = {"resource_attr": "epoch", "max_resource_attr": "epochs", "random_seed": 3, "type": kind}
    return ASHA(SPACE, "loss", **{**settings, **options})


def random_search(**options: Any) -> Any:
    from offbeat_plugins.schedulers.random_search import RandomSearch

    return RandomSearch(SPACE, "loss", **{"resource_attr": "epoch", "random_seed": 3, **options})


def epochs_script(*, seconds: float = 1.0, function: Callable[..., dict[str, Any]] = loss) -> Any:
    """Nine epochs; how long an epoch takes differs between trials, so that they interleave."""
    from offbeat.testing.scripted import Report

    plain = curve(function, "epochs")

    def script(start: Any) -> Iterator[Any]:
        for step in plain(start):
            yield Report(step.metrics, seconds * (1 + start.trial % 7 / 10))

    return script


def events(home: Path, name: str = "run") -> list[Event]:
    return [recorded.event for recorded in read_journal(ExperimentFolder(home / name))]


def digest(home: Path, name: str = "run") -> str:
    return decision_digest(events(home, name), simulated=True)


def ledger_table(home: Path, scheduler: Any, name: str = "run") -> list[tuple[Any, ...]]:
    """The trials as the journal tells them, folded anew."""
    from offbeat.trial import Ledger

    first = scheduler.objective.metrics[0]
    ledger = Ledger(first.name, minimise=first.mode == "min")
    for event in events(home, name):
        ledger.apply(event)
    return [
        (r.id, r.status, r.attempt, r.resource, r.reports, r.config, r.last, r.best, r.failures, r.rejected, r.reason)
        for r in ledger
    ]


def check_closed(home: Path, name: str = "run") -> None:
    """A closed journal leaves nothing hanging: it ends with its closing, no trial is alive, each place was freed."""
    from offbeat.trial import Ledger

    ledger = Ledger()
    found = events(home, name)
    for event in found:
        ledger.apply(event)
    assert type(found[-1]).__name__ == "ExperimentClosed"
    assert not ledger.slots
    assert not ledger.having(Status.RUNNING, Status.STOPPING, Status.PAUSING)


def tuner(home: Path, scheduler: Any, script: Any = None, **options: Any) -> Tuner:
    """A tuner in simulated time; 20 trials, 4 workers, nobody watching."""
    backend = options.pop("backend", None) or ScriptedBackend(script or epochs_script())
    settings: dict[str, Any] = {
        "stop_criterion": StoppingCriterion(max_num_trials_started=20),
        "n_workers": 4,
        "name": "run",
        "observers": [],
        "home": home,
    }
    return Tuner(backend, scheduler, **{**settings, **options})


def arun(one: Tuner) -> Any:
    return asyncio.run(one.arun())


@pytest.fixture
def lab(tmp_path: Path) -> SimpleNamespace:
    """The helpers above."""
    return SimpleNamespace(
        home=tmp_path, Toy=Toy, asha=asha, random_search=random_search, script=epochs_script, events=events,
        digest=digest, table=ledger_table, check_closed=check_closed, tuner=tuner, run=arun, space=SPACE, loss=loss,
        End=End,
    )  # fmt: skip

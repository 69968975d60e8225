"""What tests of several folders share: experiments in simulated time, and ways to look at what came of them."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import settings

from offbeat import Start, StoppingCriterion, Tuner
from offbeat.config_space import loguniform, randint
from offbeat.contained import Raised
from offbeat.events import Event
from offbeat.home import ExperimentFolder
from offbeat.journal import decision_digest, read_journal
from offbeat.protocols import Objective
from offbeat.space import Space
from offbeat.testing.scripted import End, ScriptedBackend, curve
from offbeat.trial import Status

# In CI the same examples every time; what chance finds at a desk comes back as an @example.
settings.register_profile("ci", derandomize=True, deadline=None)
settings.register_profile("desk", deadline=None)
settings.load_profile("ci" if os.environ.get("CI") else "desk")


def _methods() -> Any:
    """Test modules are no package, so the file is loaded by its path."""
    spec = spec_from_file_location("methods", Path(__file__).with_name("methods.py"))
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


pytest_generate_tests = _methods().parametrise


@pytest.fixture
def many() -> Callable[[int, int], range]:
    """Seeds of a campaign over every method, (first, how many): a tenth of them, unless OFFBEAT_CAMPAIGN=full."""
    share = 1 if os.environ.get("OFFBEAT_CAMPAIGN") == "full" else 10
    return lambda first, count: range(first, first + max(1, count // share))


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


class Game:
    """A conductor without a driver: time is a number that the test sets, each method is one turn."""

    def __init__(self, scheduler: Any, stop: Any = None, past: list[Event] | None = None, **limits: Any) -> None:
        from offbeat.conductor import Conductor
        from offbeat.events import ComponentDescription, ExperimentSpec, Host, Limits
        from offbeat.state import State

        objective = scheduler.objective
        component = ComponentDescription("offbeat.schedulers", "toy")
        spec = ExperimentSpec(
            name="game", seed=scheduler.seed, metrics=objective.metrics, resource_attr=objective.resource_attr,
            scheduler=component, backend=component, limits=Limits(**{"n_workers": 2, **limits}),
        )  # fmt: skip
        self.now = 0.0
        self.events: list[Event] = []
        self.commands: list[Any] = []
        state = State(spec, scheduler, stop)
        for event in past or ():
            state.fold(event)
            self.now = event.at
        self.conductor = Conductor(state, stop)
        self.ledger = self.conductor.ledger
        self.conductor.open(self.now, Host())

    def turn(self) -> None:
        self.fill()
        self.take()

    def fill(self) -> None:
        conductor = self.conductor
        # As the driver does.
        while (asked := conductor.plain.fill(lambda: self.now) or self.ask()) is not None:
            request, answer = asked
            if isinstance(answer, Raised):
                conductor.filling.proposal_failed(request, answer.error, self.now)
            else:
                conductor.filling.proposed(request, answer, self.now)

    def ask(self) -> Any:
        request = self.conductor.filling.next_request(self.now)
        if request is None:
            return None
        try:
            return request, self.conductor.scheduler.propose(request, self.ledger)
        except BaseException as error:
            return request, Raised(error)

    def take(self) -> None:
        conductor = self.conductor
        self.events += conductor.events
        self.commands += conductor.commands
        conductor.events, conductor.commands = [], []

    def begin(self) -> Game:
        self.conductor.tick(self.now)
        self.turn()
        return self

    def signal(self, one: Any) -> None:
        self.now += 1
        self.conductor.signal(one, self.now)
        self.turn()

    def report(
        self, trial: int, epoch: int, *, seq: int | None = None, attempt: int | None = None, **metrics: Any
    ) -> None:
        from offbeat.signals import Reported
        from offbeat.trial import TrialId

        record = self.ledger[TrialId(trial)]
        values = {"epoch": epoch, **(metrics or {"loss": 1.0})}
        number = record.next_seq if seq is None else seq
        self.signal(Reported(record.id, record.attempt if attempt is None else attempt, number, values))

    def end(self, trial: int, how: Any = "finished", reason: str = "", *, attempt: int | None = None) -> None:
        from offbeat.signals import Ended
        from offbeat.trial import TrialId

        record = self.ledger[TrialId(trial)]
        self.signal(Ended(record.id, record.attempt if attempt is None else attempt, how, reason))

    def names(self) -> list[str]:
        """The events so far as one word each, trials with their number."""
        from offbeat.events import wire_name

        return [f"{wire_name(e)} {e.trial}" if hasattr(e, "trial") else wire_name(e) for e in self.events]

    def of(self, kind: type) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]


@pytest.fixture
def lab(tmp_path: Path) -> SimpleNamespace:
    """The helpers above."""
    return SimpleNamespace(
        home=tmp_path, Toy=Toy, asha=asha, random_search=random_search, script=epochs_script, events=events,
        digest=digest, table=ledger_table, check_closed=check_closed, tuner=tuner, run=arun, space=SPACE, loss=loss,
        End=End, Game=Game,
    )  # fmt: skip

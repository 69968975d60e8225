"""F8: doubled, shuffled and late reports change no decision."""

from __future__ import annotations

import random
from functools import partial
from typing import Any

import pytest
from msgspec import structs

from offbeat import StoppingCriterion
from offbeat import events as ev
from offbeat.journal import decision_digest
from offbeat.signals import Ended, PauseTrial, Reported, StartTrial, StopTrial


def play(lab: Any, build: Any, seed: int, disturb: random.Random | None) -> list[tuple[Any, ...]]:
    """A run whose trials send their reports in bursts; `disturb` doubles, shuffles and delays them.

    The order between trials stays as it is: it is part of what is decided on. Within a burst the last one to come makes
    the burst complete, so the decisions fall at the same place.
    """
    dice = random.Random(seed)
    game = lab.Game(build(), StoppingCriterion(max_num_trials_started=8), n_workers=3)
    alive: dict[int, Any] = {}
    taken = 0
    sent: list[Reported] = []

    def obey() -> None:
        nonlocal taken
        for command in game.commands[taken:]:
            if isinstance(command, StartTrial):
                alive[command.trial] = [command.attempt, 0, command.config.get("epochs", 9), False]
            elif isinstance(command, StopTrial | PauseTrial) and command.trial in alive:
                alive[command.trial][3] = True
        taken = len(game.commands)

    def send(*signals: Any) -> None:
        for signal in signals:
            game.conductor.signal(signal, game.now)
        game.turn()

    game.begin()
    obey()
    for _ in range(500):
        if game.conductor.closed:
            break
        game.now += 1
        trial = dice.choice(sorted(alive))
        attempt, epoch, last, told = alive[trial]
        burst_size, lost = dice.randrange(1, 4), dice.random() < 0.05
        if told or epoch >= last or lost:
            del alive[trial]
            send(Ended(trial, attempt, "ended" if told else "lost" if lost else "finished"))  # type: ignore[arg-type]
        else:
            burst = []
            for _ in range(burst_size):
                if epoch < last:
                    epoch += 1
                    value = random.Random(f"{seed}/{trial}/{epoch}").random()
                    burst.append(Reported(trial, attempt, epoch - 1, {"loss": value, "epoch": epoch}))  # type: ignore[arg-type]
            alive[trial][1] = epoch
            if disturb is not None:
                burst = disturbed(burst, disturb, sent)
            send(*burst)
            sent += burst
        obey()
    assert game.conductor.closed
    return [
        (e.trial, e.attempt, e.seq, e.resource, e.verdict, e.why, e.others)
        if isinstance(e, ev.TrialResult)
        else (type(e).__name__, getattr(e, "trial", None), getattr(e, "config", None), getattr(e, "why", None))
        for e in game.events
        if not (isinstance(e, ev.TrialResult) and e.verdict == "late")
    ]


def disturbed(burst: list[Reported], dice: random.Random, sent: list[Reported]) -> list[Reported]:
    """The burst shuffled, with copies of itself and of anything that was sent before, old attempts' included."""
    mixed = burst[:]
    dice.shuffle(mixed)
    for _ in range(dice.randrange(4)):
        mixed.insert(dice.randrange(len(mixed) + 1), dice.choice(sent + burst))
    return mixed


BUILDERS = {
    "random": lambda lab: lab.random_search,
    "stopping": lambda lab: lambda: lab.asha("stopping", reduction_factor=2),
    "promotion": lambda lab: lambda: lab.asha("promotion", reduction_factor=2),
}


def compare(lab: Any, build: Any, seeds: range) -> None:
    for seed in seeds:
        clean = play(lab, build, seed, None)
        assert play(lab, build, seed, random.Random(-seed - 1)) == clean, seed


@pytest.mark.parametrize("kind", BUILDERS)
def test_a_thousand_disturbed_runs_decide_as_the_clean_ones(lab: Any, kind: str) -> None:
    compare(lab, BUILDERS[kind](lab), range(334))


@pytest.mark.faults
@pytest.mark.timeout(600)
@pytest.mark.parametrize("kind", BUILDERS)
def test_ten_thousand_disturbed_runs_decide_as_the_clean_ones(lab: Any, kind: str) -> None:
    compare(lab, BUILDERS[kind](lab), range(1000, 4334))


def test_disturbed_runs_of_every_method_decide_as_the_clean_ones(lab: Any, method: Any) -> None:
    compare(lab, lambda: method.make(lab.space), range(2 if method.model else 20))


@pytest.mark.faults
@pytest.mark.timeout(1200)
def test_a_thousand_disturbed_runs_of_every_method(lab: Any, method: Any, many: Any) -> None:
    compare(lab, lambda: method.make(lab.space), many(1000, 60 if method.model else 1000))


# --- the same behind the simulated backend, journal and all


def decided(events: list[Any]) -> str:
    """The digest of what was decided. Copies that came too late are written down and count for nothing; how often a
    scheduler is asked in vain depends on how many reports make a turn."""
    kept = []
    for event in events:
        if isinstance(event, ev.Suggested):
            event = structs.replace(event, number=0)  # noqa: PLW2901
            if event.kind == "nothing":
                continue
        elif isinstance(event, ev.ProposalRequested) or (isinstance(event, ev.TrialResult) and event.verdict == "late"):
            continue
        kept.append(event)
    return decision_digest(kept, simulated=True)


def over(
    lab: Any, simulation: Any, lines: Any, kind: str, seed: int, line: Any, times: str, **options: Any
) -> list[Any]:
    """A run over a line."""
    home = simulation.fresh()
    scheduler = simulation.scheduler(kind, seed, **({} if kind == "random" else {"reduction_factor": 2}))
    backend = lines.Over(simulation.backend(times, **options), line)
    stop = StoppingCriterion(max_num_trials_started=8)
    lab.run(lab.tuner(home, scheduler, backend=backend, stop_criterion=stop, n_workers=3))
    lab.check_closed(home)
    found: list[Any] = lab.events(home)
    return found


def disturbed_simulations(lab: Any, simulation: Any, lines: Any, kind: str, seeds: range, each: int) -> None:
    for seed in seeds:
        clean = over(lab, simulation, lines, kind, seed, lambda s: lines.Bursts(s, None), "bursts")
        expected = decided(clean)
        for turn in range(each):
            dice = random.Random(f"{seed}/{turn}")
            found = over(lab, simulation, lines, kind, seed, partial(lines.Bursts, dice=dice), "bursts")
            assert decided(found) == expected, (seed, turn)


@pytest.mark.parametrize("kind", BUILDERS)
def test_some_disturbed_simulations_decide_as_the_clean_ones(lab: Any, simulation: Any, lines: Any, kind: str) -> None:
    disturbed_simulations(lab, simulation, lines, kind, range(10), 5)


@pytest.mark.faults
@pytest.mark.timeout(600)
@pytest.mark.parametrize("kind", BUILDERS)
def test_ten_thousand_disturbed_simulations_decide_as_the_clean_ones(
    lab: Any, simulation: Any, lines: Any, kind: str
) -> None:
    disturbed_simulations(lab, simulation, lines, kind, range(100, 434), 10)


def delayed_simulations(lab: Any, simulation: Any, lines: Any, seeds: range) -> None:
    """Where reports overtake those of other trials the decisions are others, but each counts once, in order, as it was."""
    for seed in seeds:
        dice = random.Random(seed)
        kind, times, ends_last = dice.choice(simulation.KINDS), dice.choice([*simulation.TIMES]), seed % 2 == 0
        line = partial(lines.Delays, dice=dice, ends_last=ends_last)
        options = {"faults": simulation.SPOT, "fault_seed": seed} if seed % 3 == 0 else {}
        found = over(lab, simulation, lines, kind, seed, line, times, **options)
        configs = {e.trial: e.config for e in found if isinstance(e, ev.Suggested) and e.kind == "start"}
        last: dict[tuple[int, int], int] = {}
        levels: dict[int, list[int]] = {}
        for event in simulation.counted(found):
            assert last.get((event.trial, event.attempt), -1) < event.seq
            last[event.trial, event.attempt] = event.seq
            levels.setdefault(event.trial, []).append(event.resource)
            assert event.metrics["loss"] == simulation.loss(configs[event.trial], event.resource)
        assert all(one == sorted(set(one)) for one in levels.values())
        assert not any(isinstance(e, ev.ReportRejected) for e in found)
        assert [e.at for e in found] == sorted(e.at for e in found)
        if kind == "random" and ends_last and not options:
            assert all(one == list(range(1, simulation.LEVELS + 1)) for one in levels.values())


def test_reports_that_overtake_each_other_count_once_and_in_order(lab: Any, simulation: Any, lines: Any) -> None:
    delayed_simulations(lab, simulation, lines, range(60))


@pytest.mark.faults
@pytest.mark.timeout(600)
def test_reports_that_overtake_each_other_in_a_thousand_simulations(lab: Any, simulation: Any, lines: Any) -> None:
    delayed_simulations(lab, simulation, lines, range(100, 1100))

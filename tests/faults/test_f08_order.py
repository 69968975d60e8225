"""F8: doubled, shuffled and late reports change no decision."""

from __future__ import annotations

import random
from typing import Any

import pytest

from offbeat import StoppingCriterion
from offbeat import events as ev
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


def compare(lab: Any, kind: str, seeds: range) -> None:
    for seed in seeds:
        clean = play(lab, BUILDERS[kind](lab), seed, None)
        assert play(lab, BUILDERS[kind](lab), seed, random.Random(-seed - 1)) == clean, seed


@pytest.mark.parametrize("kind", BUILDERS)
def test_a_thousand_disturbed_runs_decide_as_the_clean_ones(lab: Any, kind: str) -> None:
    compare(lab, kind, range(334))


@pytest.mark.faults
@pytest.mark.timeout(600)
@pytest.mark.parametrize("kind", BUILDERS)
def test_ten_thousand_disturbed_runs_decide_as_the_clean_ones(lab: Any, kind: str) -> None:
    compare(lab, kind, range(1000, 4334))

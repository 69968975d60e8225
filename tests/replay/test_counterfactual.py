"""Counterfactual replay against brute force: the other scheduler really run, on the whole curves that the table has."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from offbeat import StoppingCriterion, Tuner
from offbeat import events as ev
from offbeat.backend import SimulatedBackend
from offbeat.cli import main
from offbeat.config_space import uniform
from offbeat.decisions import Start
from offbeat.errors import InvalidArgument, PluginFailed
from offbeat.home import ExperimentFolder
from offbeat.journal import read_journal
from offbeat.optimizer.baselines import ASHA, MedianStoppingRule, RandomSearch
from offbeat.replay import counterfactual
from offbeat.replay.curves import known, paces
from offbeat_plugins.blackboxes.digits import config_space

SCHEDULERS: dict[str, tuple[Any, dict[str, Any]]] = {
    "random": (RandomSearch, {}),
    "stopping": (ASHA, {}),
    "halving": (ASHA, {"reduction_factor": 2}),
    "harsh": (ASHA, {"reduction_factor": 5, "rule": "paper"}),
    "late": (ASHA, {"grace_period": 3}),
    "brackets": (ASHA, {"brackets": 3}),
    "promotion": (ASHA, {"type": "promotion"}),
    "paper": (ASHA, {"type": "promotion", "rule": "paper"}),
    "median": (MedianStoppingRule, {"grace_population": 3}),
}


def make(name: str, seed: int, **options: Any) -> Any:
    cls, own = SCHEDULERS[name]
    if cls is MedianStoppingRule and options:
        options = {"scheduler_options": options}
    return cls(
        config_space(),
        "val_error",
        resource_attr="epoch",
        max_resource_attr="epochs",
        random_seed=seed,
        **own,
        **options,
    )


def run(home: Path, scheduler: Any, *, trials: int = 12, n_workers: int = 3, name: str = "run") -> list[ev.Event]:
    tuner = Tuner(
        SimulatedBackend("digits", max_resource_attr="epochs"), scheduler,
        StoppingCriterion(max_num_trials_started=trials), n_workers, name=name, home=home, observers=[],
    )  # fmt: skip
    tuner.run()
    return [one.event for one in read_journal(ExperimentFolder(home / name))]


def truth(home: Path, recorded: list[ev.Event], name: str, seed: int) -> list[ev.Event]:
    """The other scheduler on the same configurations in the same order, with whole curves."""
    configs = [event.config for event in recorded if isinstance(event, ev.Suggested) and event.kind == "start"]
    return run(home, make(name, seed, points_to_evaluate=configs), trials=len(configs), name="truth")


def figures(events: list[ev.Event]) -> tuple[float, int, float]:
    """Best value, epochs and seconds."""
    curves = known(events).curves
    best = min(point.metrics["val_error"] for curve in curves for point in curve.points)
    return best, sum(curve.level for curve in curves), sum(curve.seconds for curve in curves)


def decided(events: list[ev.Event]) -> list[tuple[int, int, str]]:
    return [(int(e.trial), e.resource, e.verdict) for e in events if isinstance(e, ev.TrialResult)]


@pytest.mark.parametrize("other", [name for name in SCHEDULERS if name != "random"])
@pytest.mark.parametrize("seed", [3, 8])
def test_on_whole_curves_the_answer_is_the_truth(other: str, seed: int, tmp_path: Path) -> None:
    recorded = run(tmp_path, make("random", seed))
    real = truth(tmp_path, recorded, other, seed)
    found = counterfactual("run", lambda: make(other, seed), tmp_path)
    assert found.exact
    assert found.unknown_from is None
    best, resource, seconds = figures(real)
    assert found.best == (best, best)
    assert found.resource == (resource, resource)
    assert found.seconds.low == pytest.approx(seconds, rel=1e-9)
    assert found.best.exact
    # Every decision, too: those that differ from the recorded ones are named, all others agree.
    verdicts = {(trial, level): verdict for trial, level, verdict in decided(recorded)}
    ours = decided(real)
    assert found.compared == len(ours)
    assert [(one.trial, one.level, one.other) for one in found.disagreements] == [
        (trial, level, verdict) for trial, level, verdict in ours if verdicts[trial, level] != verdict
    ]
    assert found.agree == len(ours) - len(found.disagreements)
    reached = {trial: level for trial, level, _ in ours}
    assert list(found.earlier) == sorted(trial for trial, level in reached.items() if level < 27)
    assert not found.longer
    assert not found.untried


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    first=st.sampled_from(sorted(SCHEDULERS)),
    other=st.sampled_from(sorted(SCHEDULERS)),
    seed=st.integers(0, 10_000),
)
def test_the_truth_lies_within_the_bounds(first: str, other: str, seed: int, tmp_path_factory: Any) -> None:
    home = tmp_path_factory.mktemp("bounds")
    recorded = run(home, make(first, seed))
    real = truth(home, recorded, other, seed)
    found = counterfactual("run", lambda: make(other, seed), home, limit=0)
    best, resource, seconds = figures(real)
    assert None not in (*found.best, *found.resource, *found.seconds)
    assert found.best.low <= best <= found.best.high  # type: ignore[operator]
    assert found.resource.low <= resource <= found.resource.high  # type: ignore[operator]
    assert found.seconds.low <= seconds * (1 + 1e-9)  # type: ignore[operator]
    # The upper one says what it assumes.
    slowest = known(recorded).slowest
    if all(pace <= slowest for curve in known(real).curves for pace in paces(curve)):
        assert seconds <= found.seconds.high * (1 + 1e-9)  # type: ignore[operator]
    if found.exact:
        assert found.resource == (resource, resource)
        assert found.stale == found.hopeful
    else:
        assert found.longer
        for guess in (found.stale, found.hopeful):
            assert found.best.low <= guess.best <= found.best.high  # type: ignore[operator]
            assert found.resource.low <= guess.resource <= found.resource.high  # type: ignore[operator]
    # Up to the moment at which the unknown begins, every decision is the true one.
    until = found.unknown_from if found.unknown_from is not None else float("inf")
    before = [e for e in real if isinstance(e, ev.TrialResult) and e.at < until - 1e-9]
    verdicts = {(trial, level): verdict for trial, level, verdict in decided(recorded)}
    wrong = {(one.trial, one.level): one.other for one in found.disagreements}
    for event in before:
        place = (int(event.trial), event.resource)
        assert wrong.get(place, verdicts.get(place)) == event.verdict


def test_nothing_is_known_beyond_without_a_limit(tmp_path: Path) -> None:
    run(tmp_path, make("stopping", 3))
    found = counterfactual("run", lambda: make("random", 3), tmp_path)
    assert not found.exact
    assert found.best.low is None
    assert found.best.high == found.recorded.best
    assert found.resource == (12 * 27, 12 * 27)
    assert len(found.longer) > 3


def test_the_same_scheduler_agrees_on_everything(tmp_path: Path) -> None:
    """Given as a function: by name with nothing changed it is what verify does."""
    for name in ("stopping", "promotion", "median"):
        home = tmp_path / name
        events = run(home, make(name, 5))
        found = counterfactual("run", lambda name=name: make(name, 5), home)  # type: ignore[misc]
        assert found.exact
        assert found.agree == found.compared == len(decided(events))
        assert found.resource == (found.recorded.resource, found.recorded.resource)
        assert not found.earlier
        assert not found.disagreements


def test_by_name_space_metric_and_resource_come_from_the_experiment(tmp_path: Path) -> None:
    run(tmp_path, make("random", 3))
    by_name = counterfactual("run", "asha", tmp_path, options={"reduction_factor": 2})
    assert by_name == counterfactual("run", lambda: make("halving", 3), tmp_path)
    assert counterfactual("run", "median-stopping-rule", tmp_path).exact


def test_a_metric_that_is_maximised_has_its_bounds_the_other_way_round(lab: Any, tmp_path: Path) -> None:
    from offbeat.testing.scripted import Report

    def script(start: Any) -> Any:
        for epoch in range(1, 10):
            yield Report({"epoch": epoch, "score": start.config["x"] * epoch}, 1.0)

    def asha(**options: Any) -> Any:
        return ASHA({"x": uniform(0, 1)}, "score", "max", resource_attr="epoch", max_t=9, random_seed=2, **options)

    lab.run(lab.tuner(tmp_path, asha(), script))
    found = counterfactual("run", lambda: asha(reduction_factor=2), tmp_path, limit=9.0)
    assert not found.exact
    assert found.best.low is not None
    assert found.best.low <= (found.recorded.best or 0)
    assert found.best.high == 9.0
    assert found.stale.best is not None
    assert found.best.low <= found.stale.best <= found.best.high


def test_failures_stay_failures(lab: Any, tmp_path: Path) -> None:
    from offbeat.testing.scripted import End, Report

    def script(start: Any) -> Any:
        for epoch in range(1, 10):
            if start.trial == 1 and epoch == 3:
                yield End("failed", "boom")
            yield Report({"epoch": epoch, "loss": start.trial + 1 / epoch}, 1.0)

    def scheduler(**options: Any) -> Any:
        return RandomSearch({"x": uniform(0, 1)}, "loss", resource_attr="epoch", random_seed=2)

    lab.run(lab.tuner(tmp_path, scheduler(), script, stop_criterion=StoppingCriterion(max_num_trials_started=5)))
    found = counterfactual("run", lambda: MedianStoppingRule(scheduler=scheduler(), grace_population=99), tmp_path)
    assert found.exact
    assert found.resource == (9 * 4 + 2, 9 * 4 + 2)


# --- what cannot be asked


@pytest.mark.parametrize(
    ("scheduler", "options", "said"),
    [
        (lambda: ASHA({"x": uniform(0, 1)}, "val_error", resource_attr="epoch", max_t=27), None, "another space"),
        ("asha", {"metric": "val_loss"}, "val_loss.*val_error"),
        ("asha", {"mode": "max"}, r"\(max\)"),
        ("asha", {"resource_attr": "step", "max_resource_attr": None, "max_t": 27}, "'step'"),
        (None, None, "with none it is `verify`"),
        (lambda: None, None, "with none it is|verify"),
    ],
)
def test_what_the_results_say_nothing_about_is_refused(scheduler: Any, options: Any, said: str, tmp_path: Path) -> None:
    run(tmp_path, make("random", 3), trials=3)
    with pytest.raises(InvalidArgument, match=said):
        counterfactual("run", scheduler, tmp_path, options=options)


def test_an_object_is_refused_since_it_is_run_twice(tmp_path: Path) -> None:
    run(tmp_path, make("random", 3), trials=3)
    with pytest.raises(InvalidArgument, match="lambda"):
        counterfactual("run", make("stopping", 3), tmp_path)


def test_a_limit_that_was_beaten_is_refused(tmp_path: Path) -> None:
    run(tmp_path, make("random", 3), trials=3)
    with pytest.raises(InvalidArgument, match="was reported"):
        counterfactual("run", "asha", tmp_path, limit=0.9)


def test_without_levels_or_results_there_is_no_answer(lab: Any, tmp_path: Path, written: Any) -> None:
    from offbeat.testing.scripted import Report

    scheduler = RandomSearch({"x": uniform(0, 1)}, "loss", random_seed=1)
    lab.run(lab.tuner(tmp_path / "flat", scheduler, lambda start: [Report({"loss": 1.0})]))
    with pytest.raises(InvalidArgument, match="no resource levels"):
        counterfactual("run", "asha", tmp_path / "flat")
    events = run(tmp_path / "full", make("random", 3), trials=3)
    empty = written(tmp_path / "empty", events[:3])
    with pytest.raises(InvalidArgument, match="no results yet"):
        counterfactual(empty, "asha")


class Odd:
    """A scheduler that does what it is told to."""

    def __init__(self, observe: Callable[..., Any] | None = None, donor: bool = False) -> None:
        base = make("random", 3)
        self.space, self.objective, self.seed, self.donor = base.space, base.objective, 3, donor
        self._observe = observe

    def observe(self, event: Any, ledger: Any) -> Any:
        return self._observe(event, ledger) if self._observe else ()

    def propose(self, request: Any, ledger: Any) -> Any:
        config = self.space.from_units(request.rng("odd").random(self.space.width).tolist())
        return Start(config=config, donor=0 if self.donor and len(ledger) else None)  # type: ignore[arg-type]


def fails(event: Any, ledger: Any) -> Any:
    raise RuntimeError("no")


def test_a_scheduler_that_fails_or_copies_is_an_error(tmp_path: Path) -> None:
    run(tmp_path, make("random", 3), trials=3)
    with pytest.raises(PluginFailed, match="RuntimeError: no"):
        counterfactual("run", lambda: Odd(fails), tmp_path)
    with pytest.raises(InvalidArgument, match="checkpoints of others"):
        counterfactual("run", lambda: Odd(donor=True), tmp_path)
    assert counterfactual("run", Odd, tmp_path).agree == 81


@pytest.mark.parametrize("max_t", [27, 9])
def test_a_stop_where_the_training_ends_is_no_disagreement(tmp_path: Path, max_t: int) -> None:
    """A scheduler that does not tell scripts their maximum stops them there; below their end that is another matter."""
    run(tmp_path, make("random", 3), trials=1)

    def strict() -> ASHA:
        """It does not judge one trial alone, and ends it at max_t."""
        return ASHA(config_space(), "val_error", resource_attr="epoch", max_t=max_t, random_seed=1)

    found = counterfactual("run", strict, tmp_path)
    stops = [(one.level, one.recorded, one.other) for one in found.disagreements]
    assert stops == ([] if max_t == 27 else [(9, "continue", "stop")])
    assert (found.compared, found.agree) == (max_t, max_t - len(stops))


def test_a_population_is_refused_in_one_sentence(tmp_path: Path) -> None:
    run(tmp_path, make("random", 3), trials=6)
    with pytest.raises(InvalidArgument, match="what those would have done is not recorded") as caught:
        counterfactual("run", "pbt", tmp_path, options={"population_size": 4, "max_t": 9})
    assert "\n" not in str(caught.value)


# --- the command


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(tmp_path, make("random", 3))
    run(tmp_path, make("stopping", 3), name="stopped")
    home = ["--home", str(tmp_path)]
    assert main(["replay", "run", "--scheduler", "asha", *home]) == 0
    said = capsys.readouterr().out
    assert "run with ASHA, on the 12 recorded trials" in said
    assert "This is exact" in said
    assert "Saved: " in said
    assert main(["replay", "run", "--scheduler", "asha", "--json", *home]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["exact"] is True
    assert f"of {found['recorded']['resource']} epochs" in said
    assert main(["replay", "stopped", "--option", "reduction_factor=2", *home]) == 0
    said = capsys.readouterr().out
    assert "no bound" in said
    assert "--limit" in said
    assert main(["replay", "stopped", "--option", "reduction_factor=2", "--limit", "0", *home]) == 0
    assert "no bound" not in capsys.readouterr().out
    assert main(["replay", "run", "--scheduler", "asha", "--at", "3", *home]) == 2
    assert "offbeat fork" in capsys.readouterr().err
    assert main(["replay", "run", "--limit", "0", *home]) == 2
    assert main(["replay", "run", "--option", "metric=val_eror", *home]) == 2
    assert "val_error" in capsys.readouterr().err

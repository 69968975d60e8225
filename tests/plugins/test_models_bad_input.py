"""What models are given in bad cases, through each method: a defined answer, and never an error for the user."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest

from offbeat.config_space import choice, randint, uniform
from offbeat.events import MetricSpec, Suggested
from offbeat.optimizer.baselines import (
    BORE,
    CQR,
    TPE,
    BayesianOptimization,
    ConstrainedBayesianOptimization,
    CostAwareBayesianOptimization,
)
from offbeat.protocols import Objective, SchedulerContext
from offbeat.space import Space
from offbeat_plugins.modelling.thinking import Thinking
from offbeat_plugins.schedulers.single_fidelity import SingleFidelity
from offbeat_plugins.searchers.gp import GaussianProcessSearcher

SPACE: dict[str, Any] = {"x": uniform(0, 1), "n": randint(1, 50), "kind": choice(["a", "b", "c"])}
GP = {"num_init_random": 2, "backend": "numpy"}
FEW = {"num_init_random": 2, "num_candidates": 40}

METHODS: dict[str, Callable[..., Any]] = {
    "TPE": lambda space, **more: TPE(space, "loss", random_seed=1, **{**FEW, **more}),
    "BORE": lambda space, **more: BORE(space, "loss", random_seed=1, **{**FEW, **more}),
    "CQR": lambda space, **more: CQR(space, "loss", random_seed=1, **{**FEW, **more}),
    "BO": lambda space, **more: BayesianOptimization(space, "loss", random_seed=1, **{**GP, **more}),
    "constrained": lambda space, **more: ConstrainedBayesianOptimization(
        space, "loss", constraints={"size": "<= 0.6"}, random_seed=1, **{**GP, **more}
    ),
    "cost-aware": lambda space, **more: CostAwareBayesianOptimization(
        space, "loss", cost_attr="seconds", random_seed=1, **{**GP, **more}
    ),
}
needs_trees = pytest.mark.skipif(
    find_spec("sklearn") is None, reason="needs scikit-learn: pip install 'offbeat[trees]'"
)
EACH = pytest.mark.parametrize(
    "make",
    [
        pytest.param(make, id=name, marks=needs_trees if name in ("BORE", "CQR") else ())
        for name, make in METHODS.items()
    ],
)
IN_PROCESSES = pytest.mark.parametrize(
    "make",
    [
        pytest.param(make, id=name, marks=needs_trees if name in ("BORE", "CQR") else ())
        for name, make in METHODS.items()
        if name != "TPE"
    ],
)


def measured(config: Any, loss: float | None = None) -> dict[str, float]:
    """A loss of the configuration, and a constraint and a cost beside it that only some methods read."""
    x = next((value for value in config.values() if isinstance(value, float)), 0.5)
    return {"loss": (x - 0.3) ** 2 if loss is None else loss, "size": x, "seconds": 1 + x}


VALUES: dict[str, Callable[[Any], dict[str, float]]] = {
    "constant": lambda config: {"loss": 1.0, "size": 0.5, "seconds": 2.0},
    "zero": lambda config: {"loss": 0.0, "size": 0.0, "seconds": 0.0},
    "huge": lambda config: {name: 1e300 * value for name, value in measured(config).items()},
    "tiny": lambda config: {name: 1e-300 * value for name, value in measured(config).items()},
    "one outlier": lambda config: measured(config, 1e200 if config["n"] > 40 else None),
    "two values": lambda config: measured(config, float(config["kind"] == "a")),
}


@EACH
@pytest.mark.parametrize("values", VALUES)
def test_odd_values(game: Any, make: Any, values: str) -> None:
    played = game(make(SPACE), VALUES[values], late=1).play(9)
    assert len(played.configs) == 9
    assert "fallback" not in played.origins


@EACH
def test_two_points_are_enough_to_go_on_from(game: Any, make: Any) -> None:
    played = game(make(SPACE, points_to_evaluate=[]), measured).play(3)
    assert played.origins[:2] == ["random", "random"]
    assert "fallback" not in played.origins


@EACH
def test_duplicates_and_a_column_that_never_varies(game: Any, make: Any) -> None:
    played = game(make(SPACE, points_to_evaluate=[]), measured)
    for x in (0.1, 0.5, 0.5, 0.5, 0.9, 0.9):
        played.start({"x": x, "n": 7, "kind": "b"}, enqueued=True)
        played.end()
    played.play(4)
    assert len(played.configs) == 10
    assert "fallback" not in played.origins
    assert "model" in played.origins


@EACH
def test_two_hundred_dimensions(game: Any, make: Any) -> None:
    played = game(make({f"x{i}": uniform(0, 1) for i in range(200)}), measured).play(6)
    assert "fallback" not in played.origins
    assert played.origins[-1] == "model"


@EACH
def test_a_choice_of_a_thousand_values(game: Any, make: Any) -> None:
    space = {"kind": choice([f"v{i}" for i in range(1000)]), "x": uniform(0, 1)}
    played = game(make(space), measured).play(6)
    assert "fallback" not in played.origins
    assert played.origins[-1] == "model"


@IN_PROCESSES
@pytest.mark.parametrize("error", [ValueError, MemoryError, RecursionError, FloatingPointError, np.linalg.LinAlgError])
def test_a_model_that_raises_is_replaced_by_a_random_draw_which_says_so(
    game: Any, make: Any, error: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any, **__: Any) -> Any:
        raise error("no such luck")

    for name in ("gp_model:suggested", "bore_model:probabilities", "cqr_model:quantiles"):
        module, _, function = name.partition(":")
        monkeypatch.setattr(f"offbeat_plugins.searchers.{module}.{function}", broken)
    played = game(make(SPACE), measured).play(8)
    assert len(played.configs) == 8
    told = [why for why in played.whys if why.startswith("fallback")]
    assert len(told) >= 4
    assert "no such luck" in told[0]
    assert error.__name__ in told[0]


@IN_PROCESSES
@pytest.mark.asyncio
async def test_a_process_without_memory_is_an_answer(game: Any, make: Any) -> None:
    played = game(make(SPACE), measured).play(6)
    searcher = played.scheduler._searcher
    searcher._thinking = Thinking(searcher._thinking._name, deadline=30.0, memory=24 * 2**20)
    async with played.scheduler.running(SchedulerContext(time="real", n_workers=1)):
        proposal = await played.ask()
    assert proposal.why.startswith("fallback: random, since the model has no answer")
    assert played.scheduler.space.validate(proposal.config) == proposal.config


def roles(backend: Any) -> SingleFidelity:
    """One objective, one constraint, one cost."""
    space = Space(SPACE)
    needed = [MetricSpec("size", "min", role="constraint", bound=0.6), MetricSpec("seconds", role="cost")]
    objective = Objective.of("loss", needed=needed)
    searcher = GaussianProcessSearcher(space, objective, num_init_random=4, backend=backend)
    return SingleFidelity(space, objective, 1, searcher)


def test_constraints_and_costs_are_the_same_computed_by_jax(game: Any) -> None:
    pytest.importorskip("jax", reason="the path under test is JAX's: pip install 'offbeat[jax]'")
    plain = game(roles("numpy"), measured).play(12)
    compiled = game(roles("jax"), measured)
    # Each proposal from the same past, since small differences would add up.
    near = 0
    for event in plain.story:
        if isinstance(event, Suggested) and plain.whys[event.trial].startswith("model"):
            proposal = compiled.ask()
            assert proposal.why == plain.whys[event.trial]
            codes = compiled.scheduler.space.encode([proposal.config, event.config])
            near += bool(abs(codes[0] - codes[1]).max() <= 0.02)
        if isinstance(event, Suggested):
            compiled.number = event.number + 1
        compiled.tell(event)
    # A search that ends on another of two equal hills is no difference of models.
    assert near >= 6


def test_a_compilation_that_fails_is_an_answer(game: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("jax", reason="the path under test is JAX's: pip install 'offbeat[jax]'")
    from offbeat_plugins.acquisition import program_jax

    def failed(shape: Any) -> Any:
        raise RuntimeError("INTERNAL: the compiler gave up")

    monkeypatch.setattr(program_jax, "_compiled", failed)
    monkeypatch.setattr(program_jax, "_KEPT", {})
    monkeypatch.setattr("offbeat_plugins.searchers.gp.compile_cache", lambda: None)
    played = game(METHODS["BO"](SPACE, backend="jax"), measured).play(5)
    assert played.whys[-1].startswith("fallback: random, since the model has no answer")
    assert "the compiler gave up" in played.whys[-1]

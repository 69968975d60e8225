"""`suggest` as a searcher sees it: valid new points, carried state, odd data, several outputs, quality."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from offbeat_plugins.acquisition.options import Data, ModelState, Options
from offbeat_plugins.acquisition.suggestion import suggest
from offbeat_plugins.surrogates.blocks import Block, Layout
from offbeat_plugins.surrogates.hyperparameters import Prior

NUMPY = Options(backend="numpy", candidates=256)
PLANE = Layout.continuous(2)
MIXED = Layout([Block(), Block("discrete", levels=(0.1, 0.5, 0.9)), Block("categorical", 3), Block()])


def observed(layout: Layout, n: int, seed: int = 0) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    rng = np.random.default_rng(seed)
    codes = layout.draw(rng.random((n, layout.groups)))
    return codes, ((codes - 0.4) ** 2).sum(axis=1) + 0.01 * rng.standard_normal(n)


def check(layout: Layout, codes: NDArray[np.float64], known: NDArray[np.float64]) -> None:
    assert (layout.snap(codes) == codes).all()
    rows = {tuple(row) for row in np.round(codes, 9).tolist()}
    assert len(rows) == len(codes)
    assert not rows & {tuple(row) for row in np.round(known, 9).tolist()}


def test_points_are_valid_new_and_ranked() -> None:
    codes, targets = observed(MIXED, 20)
    pending = observed(MIXED, 3, seed=1)[0]
    answer = suggest(Data(codes, targets, pending), MIXED, 1, None, NUMPY)
    check(MIXED, answer.codes, np.concatenate([codes, pending]))
    assert 1 <= len(answer.codes) <= NUMPY.ranked
    assert (np.diff(answer.values) <= 0).all()
    assert answer.diagnostics["pending"] == 3
    assert answer.diagnostics["backend"] == "numpy"
    json.dumps(answer.diagnostics)


def test_nothing_observed_gives_spread_points() -> None:
    answer = suggest(Data(np.zeros((0, 2)), []), PLANE, 1, None, NUMPY)
    check(PLANE, answer.codes, np.zeros((0, 2)))
    assert answer.state is None
    assert answer.diagnostics["model"] == "none"


def test_same_arguments_same_answer_and_a_journaled_state_resumes_bit_for_bit() -> None:
    codes, targets = observed(MIXED, 15)
    data = Data(codes, targets)
    first = suggest(data, MIXED, [3, 15], None, NUMPY)
    assert (suggest(data, MIXED, [3, 15], None, NUMPY).codes == first.codes).all()
    assert (suggest(data, MIXED, [3, 16], None, NUMPY).codes != first.codes).any()
    assert first.state is not None
    read = ModelState.from_json(json.loads(json.dumps(first.state.to_json())))
    assert read == first.state
    a, b = (suggest(data, MIXED, [3, 16], state, NUMPY) for state in (first.state, read))
    assert (a.codes == b.codes).all()
    assert a.state == b.state


def test_a_carried_state_saves_evaluations_and_a_foreign_one_is_left() -> None:
    codes, targets = observed(MIXED, 40)
    first = suggest(Data(codes[:39], targets[:39]), MIXED, 1, None, NUMPY)
    warm = suggest(Data(codes, targets), MIXED, 2, first.state, NUMPY)
    assert warm.diagnostics["evaluations"][0] <= 6
    assert warm.state is not None
    assert warm.state.restarted == 39
    foreign = ModelState([[0.0]], [[[1.0]]], 40, [0.0])
    assert suggest(Data(codes, targets), MIXED, 2, foreign, NUMPY).codes.shape[1] == MIXED.dimension
    broken = replace(first.state, hyperparameters=[[float("nan")] * 6])  # type: ignore[type-var]
    assert np.isfinite(suggest(Data(codes, targets), MIXED, 2, broken, NUMPY).values).all()


def test_an_exhausted_space_answers_nothing() -> None:
    layout = Layout([Block("discrete", levels=(0.25, 0.75)), Block("categorical", 2)])
    codes = np.array([[a, *b] for a in (0.25, 0.75) for b in ((1, 0), (0, 1))], dtype=float)
    left = suggest(Data(codes[:3], [1.0, 2.0, 3.0]), layout, 1, None, NUMPY).codes
    assert left.tolist() == [codes[3].tolist()]
    assert len(suggest(Data(codes, [1.0, 2.0, 3.0, 4.0]), layout, 1, None, NUMPY).codes) == 0


ODD: dict[str, tuple[Layout, Any, Any]] = {
    "one point": (PLANE, [[0.5, 0.5]], [1.0]),
    "two points": (PLANE, [[0.2, 0.5], [0.8, 0.1]], [1.0, 2.0]),
    "constant targets": (PLANE, np.random.default_rng(0).random((12, 2)), np.full(12, 3.3)),
    "zeros": (PLANE, np.random.default_rng(0).random((12, 2)), np.zeros(12)),
    "duplicates": (PLANE, np.tile([[0.2, 0.5], [0.8, 0.1]], (10, 1)), np.tile([1.0, 2.0], 10)),
    "duplicates that disagree": (PLANE, np.tile([[0.2, 0.5]], (20, 1)), np.arange(20.0)),
    "huge scale": (PLANE, np.random.default_rng(0).random((12, 2)), 1e200 * np.arange(12.0)),
    "tiny scale": (PLANE, np.random.default_rng(0).random((12, 2)), 1e-200 * np.arange(12.0)),
    "one outlier": (PLANE, np.random.default_rng(0).random((12, 2)), [*range(11), 1e12]),
    "a column that never varies": (PLANE, np.stack([np.linspace(0, 1, 9), np.full(9, 0.5)], axis=1), np.arange(9.0)),
    "nearly equal points": (PLANE, 0.5 + 1e-13 * np.random.default_rng(0).random((30, 2)), np.arange(30.0)),
    "200 dimensions": (Layout.continuous(200), np.random.default_rng(0).random((30, 200)), np.arange(30.0)),
    "a categorical of 1,000 values": (
        Layout([Block("categorical", 1000), Block()]),
        np.concatenate([np.eye(1000)[:20], np.linspace(0, 1, 20)[:, None]], axis=1),
        np.arange(20.0),
    ),
}


@pytest.mark.parametrize("case", ODD)
@pytest.mark.parametrize("options", [NUMPY, replace(NUMPY, transform="half-rank", prior=Prior(warp=True))])
def test_odd_data_have_an_answer(case: str, options: Options) -> None:
    layout, codes, targets = ODD[case]
    answer = suggest(Data(codes, targets), layout, 1, None, options)
    check(layout, answer.codes, np.asarray(codes))
    assert len(answer.codes)
    assert np.isfinite(answer.values).all()
    assert np.isfinite(answer.diagnostics["negative_log_posterior"]).all()
    again = suggest(Data(codes, targets), layout, 2, answer.state, options)
    check(layout, again.codes, np.asarray(codes))


@pytest.mark.parametrize(
    ("data", "options", "says"),
    [
        (Data([[0.5, 0.5]], [np.nan]), NUMPY, "leave such observations out"),
        (Data([[0.5, 0.5]], [-np.inf]), NUMPY, "leave such observations out"),
        (Data([[0.5, np.inf]], [1.0]), NUMPY, "leave such points out"),
        (Data([[0.5]], [1.0]), NUMPY, r"codes have shape \(1, 1\)"),
        (Data([[0.5, 0.5]], [1.0], [[0.1]]), NUMPY, "pending have shape"),
        (Data([[0.5, 0.5]], [[1.0, 2.0]]), NUMPY, "targets have 2 columns"),
        (Data([[0.5, 0.5]], [1.0]), replace(NUMPY, constraints=1), "1 constraints"),
    ],
)
def test_wrong_data(data: Data, options: Options, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        suggest(data, PLANE, 1, None, options)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"acquisition": "ei"}, "acquisition='ei' is not valid; give one of log-ei"),
        ({"backend": "torch"}, "backend='torch'"),
        ({"batch": 0}, "batch=0 is not valid"),
        ({"turns": 1.5}, "whole number"),
        ({"candidates": 10}, "multiple of effort.starts"),
    ],
)
def test_wrong_options(wrong: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        Options(**wrong)
    with pytest.raises(ValueError, match="noise_floor=0"):
        Prior(noise_floor=0)
    with pytest.raises(ValueError, match="lacks inverse_hessians, restarted"):
        ModelState.from_json({"hyperparameters": []})


def test_projection_is_obeyed() -> None:
    """y <= x holds for all that is suggested, as if by a constraint of the space."""

    def project(codes: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.sort(codes, axis=1)[:, ::-1]

    codes, targets = observed(PLANE, 12)
    answer = suggest(Data(project(codes), targets), PLANE, 1, None, NUMPY, project=project)
    assert len(answer.codes)
    assert (answer.codes[:, 1] <= answer.codes[:, 0]).all()


def test_conditional_columns_keep_their_code_where_they_are_inactive() -> None:
    """Column 0 decides whether column 2 has a value; column 1 says so."""
    layout = Layout([
        Block("discrete", levels=(0.25, 0.75), free=False), Block("activity"), Block("continuous", active=1)
    ])  # fmt: skip

    def project(codes: NDArray[np.float64]) -> NDArray[np.float64]:
        out = codes.copy()
        out[:, 1] = out[:, 0] > 0.5
        out[out[:, 1] == 0, 2] = 0.5
        return out

    codes = project(layout.draw(np.random.default_rng(0).random((12, 3))))
    targets = np.where(codes[:, 1] > 0, (codes[:, 2] - 0.83) ** 2, 0.5)
    answer = suggest(Data(codes, targets), layout, 1, None, NUMPY, project=project)
    assert (project(answer.codes) == answer.codes).all()
    best = answer.codes[0]
    assert best[1] == 1.0
    assert abs(best[2] - 0.83) < 0.15


def test_pending_points_push_suggestions_away() -> None:
    codes, targets = observed(PLANE, 6)
    free = suggest(Data(codes, targets), PLANE, 1, None, NUMPY)
    for fantasies in (0, 8):
        options = replace(NUMPY, fantasies=fantasies)
        held = suggest(Data(codes, targets, free.codes[:1]), PLANE, 1, free.state, options)
        assert np.linalg.norm(held.codes[0] - free.codes[0]) > 0.03


def test_batches_are_spread() -> None:
    codes, targets = observed(PLANE, 6)
    answer = suggest(Data(codes, targets), PLANE, 1, None, replace(NUMPY, batch=4))
    check(PLANE, answer.codes, codes)
    first = answer.codes[:4]
    apart = np.linalg.norm(first[:, None] - first[None], axis=2)[np.triu_indices(4, 1)]
    assert apart.min() > 0.03
    assert len(answer.codes) > 4


def test_suggestions_keep_their_distance_from_what_is_known() -> None:
    """In some column; without it the search of a smooth bowl ends beside its best points."""
    layout = Layout.continuous(2)
    x = 0.3 + 0.2 * np.random.default_rng(1).random((40, 2))
    data = Data(x, ((x - 0.4) ** 2).sum(axis=1), x[:2] + 1e-3)
    known = np.concatenate([x, data.pending])
    kept, free = (
        suggest(data, layout, 1, options=Options(backend="numpy", min_distance=least)).codes for least in (0.2, 0.0)
    )
    nearest = [np.abs(codes[:, None] - known[None]).max(-1).min(1) for codes in (kept, free)]
    assert len(kept)
    assert nearest[0].min() > 0.2
    assert nearest[1].min() < 0.2


def test_constraints_keep_out_and_lead_in() -> None:
    rng = np.random.default_rng(2)
    codes = rng.random((30, 2))
    objective, outside = (codes[:, 0] - 0.9) ** 2 + (codes[:, 1] - 0.5) ** 2, codes[:, 0] - 0.5
    options = replace(NUMPY, constraints=1)
    answer = suggest(Data(codes, np.stack([objective, outside], axis=1)), PLANE, 1, None, options)
    assert 0.3 < answer.codes[0, 0] < 0.56
    # Nobody is feasible: go where the constraint falls, whatever the objective.
    far = codes[codes[:, 0] > 0.5]
    both = np.stack([(far[:, 0] - 0.9) ** 2, far[:, 0] - 0.5], axis=1)
    answer = suggest(Data(far, both), PLANE, 1, None, options)
    assert answer.diagnostics["feasible"] == 0
    assert answer.codes[0, 0] < 0.45
    never = suggest(Data(codes, np.stack([objective, np.ones(30)], axis=1)), PLANE, 1, None, options)
    assert len(never.codes)
    assert np.isfinite(never.values).all()


def test_costs_lead_to_cheap_points() -> None:
    rng = np.random.default_rng(2)
    codes = rng.random((30, 2))
    objective, cost = (codes[:, 1] - 0.5) ** 2, 5.0 * codes[:, 0]
    both = np.stack([objective, cost], axis=1)
    cheap = suggest(Data(codes, both), PLANE, 1, None, replace(NUMPY, cost=True)).codes[0]
    assert cheap[0] < 0.2
    free = suggest(Data(codes, both), PLANE, 1, None, replace(NUMPY, cost=True, cost_exponent=0.0))
    plain = suggest(Data(codes, objective), PLANE, 1, None, NUMPY)
    assert np.allclose(free.codes[0, 1], plain.codes[0, 1], atol=0.05)


@pytest.mark.parametrize("acquisition", ["ucb", "thompson"])
def test_other_acquisitions_find_the_bowl(acquisition: Any) -> None:
    codes, targets = observed(PLANE, 40)
    options = replace(NUMPY, acquisition=acquisition, kappa=0.5)
    drawn = [suggest(Data(codes, targets), PLANE, seed, None, options).codes[0] for seed in range(5)]
    assert np.abs(np.median(drawn, axis=0) - 0.4).max() < 0.15


def test_more_points_than_the_capacity_keep_the_best() -> None:
    codes, targets = observed(PLANE, 150)
    answer = suggest(Data(codes, targets), PLANE, 1, None, replace(NUMPY, capacity=50))
    assert (answer.diagnostics["points"], answer.diagnostics["left_out"]) == (50, 100)
    check(PLANE, answer.codes, codes)
    assert np.abs(answer.codes[0] - 0.4).max() < 0.2


def branin(u: NDArray[np.float64]) -> NDArray[np.float64]:
    a, b = 15 * u[:, 0] - 5, 15 * u[:, 1]
    out: NDArray[np.float64] = (
        (b - 5.1 / (4 * np.pi**2) * a**2 + 5 / np.pi * a - 6) ** 2 + 10 * (1 - 1 / (8 * np.pi)) * np.cos(a) + 10
    )
    return out - 0.397887


def hartmann6(u: NDArray[np.float64]) -> NDArray[np.float64]:
    a = np.array(
        [[10, 3, 17, 3.5, 1.7, 8], [0.05, 10, 17, 0.1, 8, 14], [3, 3.5, 1.7, 10, 17, 8], [17, 8, 0.05, 10, 0.1, 14]]
    )
    p = 1e-4 * np.array([
        [1312, 1696, 5569, 124, 8283, 5886], [2329, 4135, 8307, 3736, 1004, 9991],
        [2348, 1451, 3522, 2883, 3047, 6650], [4047, 8828, 8732, 5743, 1091, 381],
    ])  # fmt: skip
    inner = (a[None] * (u[:, None] - p[None]) ** 2).sum(axis=2)
    out: NDArray[np.float64] = 3.32237 - np.exp(-inner) @ np.array([1, 1.2, 3, 3.2])
    return out


def mixed(u: NDArray[np.float64]) -> NDArray[np.float64]:
    """Each value of the categorical moves the bowl."""
    where = np.array([0.2, 0.5, 0.7])[u[:, 2:5].argmax(axis=1)]
    out: NDArray[np.float64] = (
        (u[:, 0] - where) ** 2 + (u[:, 5] - 0.3) ** 2 + 0.2 * (u[:, 1] - 0.9) ** 2 + 0.1 * u[:, 2]
    )
    return out


@pytest.mark.parametrize(
    ("function", "layout", "trials", "reach"),
    [(branin, PLANE, 30, 0.05), (hartmann6, Layout.continuous(6), 60, 0.5), (mixed, MIXED, 25, 0.003)],
    ids=["branin", "hartmann6", "mixed"],
)
def test_it_finds_what_random_search_does_not(
    function: Callable[[NDArray[np.float64]], NDArray[np.float64]], layout: Layout, trials: int, reach: float
) -> None:
    """Median regret of five seeds, four trials pending at any time; random search has ten times as many."""
    ends, drawn = [], []
    for seed in range(5):
        rng = np.random.default_rng([7, seed])
        codes = layout.draw(rng.random((5, layout.groups)))
        state = None
        while len(codes) < trials:
            known = codes[:-3]
            answer = suggest(Data(known, function(known), codes[-3:]), layout, [seed, len(codes)], state, NUMPY)
            codes, state = np.concatenate([codes, answer.codes[:1]]), answer.state
        ends.append(function(codes).min())
        drawn.append(function(layout.draw(rng.random((10 * trials, layout.groups)))).min())
    assert np.median(ends) < reach
    assert np.median(ends) < np.median(drawn)


def test_a_model_stays_until_the_data_ask_for_another_one() -> None:
    """What a step promises is what it brings, about: half the score's square, measured by the inverse curvature."""
    codes, targets = observed(MIXED, 60)
    first = suggest(Data(codes[:50], targets[:50]), MIXED, 1, None, NUMPY)
    patient = replace(NUMPY, evidence=5.0)
    kept = suggest(Data(codes[:51], targets[:51]), MIXED, 2, first.state, patient)
    assert kept.state is first.state
    assert kept.diagnostics["evaluations"] == [1]
    assert kept.diagnostics["promise"][0] < 5.0
    refitted = suggest(Data(codes[:51], targets[:51]), MIXED, 2, first.state, replace(NUMPY, evidence=0.0))
    gain = kept.diagnostics["negative_log_posterior"][0] - refitted.diagnostics["negative_log_posterior"][0]
    assert 0.0 <= gain <= 3.0 * kept.diagnostics["promise"][0] + 0.1
    other = targets[:51] + 3.0 * np.random.default_rng(4).standard_normal(51)
    changed = suggest(Data(codes[:51], other), MIXED, 2, first.state, patient)
    assert changed.diagnostics["evaluations"][0] > 1
    assert changed.state is not first.state


@pytest.mark.parametrize("evidence", [-1.0, float("nan"), float("inf")])
def test_evidence_is_a_number_from_0(evidence: float) -> None:
    with pytest.raises(ValueError, match="evidence="):
        Options(evidence=evidence)

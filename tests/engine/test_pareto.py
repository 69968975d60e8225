"""Dominance, non-dominated sorting, spread and hypervolume: definitions written out, properties, and other libraries."""

from __future__ import annotations

from importlib.util import find_spec
from itertools import permutations
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from offbeat.pareto import crowding, epsilon_net, fronts, hypervolume, non_dominated, reference_point

coordinates = st.sampled_from([-1e300, -2.0, -1.0, 0.0, 0.5, 1.0, 3.0, 1e300])
small = st.sampled_from([0.0, 1.0, 2.0, 3.0, 4.0])


def clouds(values: Any = coordinates, *, most: int = 12, widths: tuple[int, int] = (1, 5)) -> Any:
    return st.integers(*widths).flatmap(
        lambda k: st.lists(st.tuples(*[values] * k), min_size=1, max_size=most).map(np.array)
    )


def dominates(a: Any, b: Any) -> bool:
    return all(x <= y for x, y in zip(a, b, strict=True)) and any(x < y for x, y in zip(a, b, strict=True))


@given(clouds())
def test_sorting_is_that_of_its_definition(points: Any) -> None:
    left, expected, front = set(range(len(points))), {}, 0
    while left:
        found = {i for i in left if not any(dominates(points[j], points[i]) for j in left)}
        expected.update(dict.fromkeys(found, front))
        left -= found
        front += 1
    assert fronts(points).tolist() == [expected[i] for i in range(len(points))]
    assert non_dominated(points).tolist() == [expected[i] == 0 for i in range(len(points))]


@given(clouds(), st.randoms(use_true_random=False))
def test_the_order_of_points_moves_their_ranks_with_them(points: Any, random: Any) -> None:
    order = random.sample(range(len(points)), len(points))
    assert fronts(points[order]).tolist() == fronts(points)[order].tolist()
    assert crowding(points[order]).sum() == pytest.approx(crowding(points).sum())
    distinct = np.unique(points, axis=0)
    mixed = distinct[random.sample(range(len(distinct)), len(distinct))]
    assert mixed[epsilon_net(mixed)].tolist() == distinct[epsilon_net(distinct)].tolist()


@given(clouds(small, widths=(2, 3)))
def test_an_epsilon_net_is_the_greedy_one(points: Any) -> None:
    rows = sorted(map(tuple, points.tolist()))
    low, high = points.min(axis=0), points.max(axis=0)
    unit = [(row - low) / np.where(high > low, high - low, 1.0) for row in np.array(rows)]
    picked = [0]
    while len(picked) < len(rows):
        far = [-1.0 if i in picked else min(sum((unit[i] - unit[j]) ** 2) for j in picked) for i in range(len(rows))]
        picked.append(far.index(max(far)))
    found = [tuple(row) for row in points[epsilon_net(points)].tolist()]
    if len(set(rows)) == len(rows):
        assert found == [rows[i] for i in picked]
    assert sorted(found) == rows
    assert epsilon_net(points, 2).tolist() == epsilon_net(points)[:2].tolist()


def test_golden_spread() -> None:
    line = np.array([[0.0, 4.0], [1.0, 3.0], [2.0, 2.0], [4.0, 0.0]])
    assert epsilon_net(line).tolist() == [0, 3, 2, 1]
    assert epsilon_net(line * [1e6, 1e-6]).tolist() == [0, 3, 2, 1]
    assert crowding(line).tolist() == [np.inf, 1.0, 1.5, np.inf]
    assert crowding(np.vstack([line, line[1]])).tolist() == [np.inf, 1.0, 1.5, np.inf, 0.0]
    assert crowding([[1.0, 2.0]]).tolist() == [np.inf]
    assert crowding([[1.0, 2.0], [1.0, 3.0]]).tolist() == [np.inf, np.inf]


@given(clouds(small, most=7, widths=(1, 4)))
def test_the_hypervolume_counts_the_cells_below_the_reference(points: Any) -> None:
    corner = np.full(points.shape[1], 3.0)
    cells = np.stack(np.meshgrid(*[np.arange(0.0, 3.0)] * points.shape[1]), axis=-1).reshape(-1, points.shape[1])
    counted = sum(any((point <= cell).all() for point in points) for cell in cells)
    assert hypervolume(points, corner) == pytest.approx(counted)


@pytest.mark.parametrize("width", [2, 3, 4, 5])
def test_the_hypervolume_is_the_sum_of_inclusion_and_exclusion(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """For numbers that are no integers, without the compiled library too."""
    rng = np.random.default_rng(width)
    points = rng.random((7, width))
    total = 0.0
    for mask in range(1, 2**7):
        chosen = points[[i for i in range(7) if mask >> i & 1]]
        total -= (-1) ** len(chosen) * float(np.prod(1.1 - chosen.max(axis=0)))
    assert hypervolume(points, [1.1] * width) == pytest.approx(total)
    monkeypatch.setattr("offbeat.pareto.volume.find_spec", lambda name: None)
    assert hypervolume(points, [1.1] * width) == pytest.approx(total)
    for order in list(permutations(range(7)))[:20]:
        assert hypervolume(points[list(order)], [1.1] * width) == pytest.approx(total)


@given(clouds(small, widths=(2, 3)), st.tuples(small, small, small))
def test_a_further_point_never_takes_volume_away(points: Any, more: tuple[float, ...]) -> None:
    width = points.shape[1]
    corner, point = np.full(width, 3.5), np.array(more[:width])
    before, after = hypervolume(points, corner), hypervolume([*points, point], corner)
    inside = (point < corner).all() and not any((other <= point).all() for other in points)
    assert after > before if inside else after == pytest.approx(before)


@given(clouds(small))
def test_every_point_is_better_than_the_reference_point(points: Any) -> None:
    corner = reference_point(points)
    assert (points < corner).all()
    assert hypervolume(points, corner) > 0


def test_reference_point_by_hand() -> None:
    assert reference_point([[0.0, 5.0, 0.0], [2.0, 5.0, 0.0]]) == pytest.approx([2.2, 5.5, 0.1])
    assert reference_point([[1.0], [3.0]], margin=0.5) == pytest.approx([4.0])


@pytest.mark.parametrize("call", [fronts, non_dominated, epsilon_net, crowding, reference_point])
def test_what_is_no_set_of_points_is_refused(call: Any) -> None:
    with pytest.raises(ValueError, match="shape"):
        call([1.0, 2.0])
    with pytest.raises(ValueError, match="not finite"):
        call([[1.0, float("nan")]])


def test_a_wrong_reference_is_refused_and_nothing_has_no_volume() -> None:
    with pytest.raises(ValueError, match="2 finite numbers"):
        hypervolume([[1.0, 2.0]], [1.0])
    with pytest.raises(ValueError, match="2 finite numbers"):
        hypervolume([[1.0, 2.0]], [1.0, float("inf")])
    with pytest.raises(ValueError, match="at least one point"):
        reference_point(np.empty((0, 2)))
    empty = np.empty((0, 3))
    assert hypervolume(empty, [1.0, 1.0, 1.0]) == 0.0
    assert hypervolume([[2.0, 0.0]], [1.0, 1.0]) == 0.0
    assert fronts(empty).tolist() == epsilon_net(empty).tolist() == crowding(empty).tolist() == []


@pytest.mark.skipif(find_spec("pymoo") is None, reason="pymoo, an independent oracle, is not installed")
@pytest.mark.parametrize("width", [2, 3, 4])
def test_pymoo_sorts_alike(width: int) -> None:
    from pymoo.util.nds.non_dominated_sorting import NonDominatedSorting

    points = np.random.default_rng(width).random((300, width))
    expected = np.empty(300, dtype=int)
    for front, places in enumerate(NonDominatedSorting().do(points)):
        expected[places] = front
    assert fronts(points).tolist() == expected.tolist()


@pytest.mark.skipif(find_spec("moocore") is None, reason="moocore, an independent oracle, is not installed")
@pytest.mark.parametrize("width", [2, 3, 4])
def test_moocore_measures_alike(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    import moocore

    monkeypatch.setattr("offbeat.pareto.volume.find_spec", lambda name: None)
    points = np.random.default_rng(width).random((60, width))
    assert hypervolume(points, [1.1] * width) == pytest.approx(moocore.hypervolume(points, ref=[1.1] * width))
    assert non_dominated(points).tolist() == moocore.is_nondominated(points).tolist()

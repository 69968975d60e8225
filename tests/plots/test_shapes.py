"""Plots of configurations, rungs and objectives: what is drawn equals what is worked out by other means."""

from __future__ import annotations

import math
from collections import defaultdict
from pathlib import Path
from statistics import median
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from offbeat import errors, load_experiment
from offbeat import events as ev
from offbeat.events import MetricSpec
from offbeat.home import ExperimentFolder
from offbeat.journal import Journal
from offbeat.plots import parallel_coordinates, pareto_front, rung_occupancy, slices


def results(events: Any) -> dict[int, list[ev.TrialResult]]:
    found: dict[int, list[ev.TrialResult]] = defaultdict(list)
    for event in events:
        if isinstance(event, ev.TrialResult) and event.verdict in ("continue", "stop", "pause"):
            found[event.trial].append(event)
    return found


def configs(events: Any) -> dict[int, dict[str, Any]]:
    return {e.trial: e.config for e in events if isinstance(e, ev.Suggested) and e.kind == "start"}


def test_parallel_coordinates_use_each_domain_s_own_scale(gallery: Any) -> None:
    events = gallery.events(gallery.stopping)
    best = {trial: min(e.metrics["loss"] for e in found) for trial, found in results(events).items()}
    axes = parallel_coordinates(gallery.stopping).axes[0]
    (lines,) = (one for one in axes.collections if one.get_array() is not None)
    assert len(lines.get_segments()) == len(best)
    values = sorted(best.values())
    known = configs(events)
    for segment, value in zip(lines.get_segments(), lines.get_array(), strict=True):
        trial = next(trial for trial, own in best.items() if own == value)
        config = known[trial]
        rate, optimizer, momentum, clip, layers, depth, loss = (y for _, y in segment)
        assert rate == pytest.approx((math.log(config["rate"]) - math.log(1e-4)) / math.log(1e4))
        assert optimizer == pytest.approx((["sgd", "adam", "rms"].index(config["optimizer"]) + 0.5) / 3, abs=0.1)
        assert momentum == (pytest.approx(config["momentum"] / 0.9) if "momentum" in config else -0.13)
        assert clip == (pytest.approx(config["clip"] / 10) if config["clip"] is not None else -0.13)
        assert layers == pytest.approx([0.25, 0.75][len(config["layers"]) - 1], abs=0.15)
        assert depth == pytest.approx((config["depth"] - 0.5) / 7)
        place = (math.log(value) - math.log(values[0])) / (math.log(values[-1]) - math.log(values[0]))
        assert loss == pytest.approx(place)
    assert {"absent", "None", "[64, 32]", "sgd", "0.01"} <= {text.get_text() for text in axes.texts}
    # The best trial stands out, where its own line is.
    (thick,) = (line for line in axes.lines if line.get_linewidth() > 2)
    np.testing.assert_array_equal(thick.get_xydata(), lines.get_segments()[-1])
    assert lines.get_array()[-1] == values[0]


def test_slices_show_each_trial_s_best_value(gallery: Any) -> None:
    events = gallery.events(gallery.random)
    known = configs(events)
    expected = sorted(
        ((known[trial]["depth"] - 0.5) / 7, min(e.metrics["loss"] for e in found))
        for trial, found in results(events).items()
    )
    figure = slices(gallery.random)
    (panel,) = (axes for axes in figure.axes if axes.get_title(loc="left").startswith("depth"))
    drawn = sorted(tuple(p) for line in panel.lines if line.get_linestyle() == "None" for p in line.get_xydata())
    np.testing.assert_allclose(drawn, expected)
    (middle,) = (line for line in panel.lines if line.get_linestyle() == "-")
    by_place = defaultdict(list)
    for place, value in expected:
        by_place[place].append(value)
    assert list(middle.get_ydata()) == pytest.approx([median(by_place[place]) for place in sorted(by_place)])


@given(st.integers(10, 60), st.integers(0, 2**32 - 1))
def test_the_explained_share_is_that_of_ranks(n: int, seed: int) -> None:
    from offbeat_plugins.plots.slices import explained

    rng = np.random.default_rng(seed)
    places, values = rng.random(n), rng.normal(size=n)
    share = explained(places, values)
    assert 0 <= share < 1
    assert explained(places, np.exp(3 * values)) == share  # no monotone change of the metric matters
    assert explained(places, places**3) > 0.8
    assert explained(np.full(n, 0.5), values) == 0
    assert explained(places, np.zeros(n)) == 0


def test_the_share_says_little_of_noise() -> None:
    from offbeat_plugins.plots.slices import explained

    rng = np.random.default_rng(5)
    shares = [explained(rng.random(200), rng.random(200)) for _ in range(50)]
    assert float(np.mean(shares)) < 0.05


def test_the_hyperparameter_that_decides_comes_first(gallery: Any) -> None:
    first = slices(gallery.stopping).axes[0].get_title(loc="left")
    assert first.startswith("rate (")


def test_rungs_are_counted_and_cut_as_the_rule_says(gallery: Any) -> None:
    experiment = gallery.stopping
    found = results(gallery.events(experiment))
    above, below = rung_occupancy(experiment).axes
    heights: dict[str, list[float]] = {
        bars.get_label(): [bar.get_height() for bar in bars] for bars in above.containers if bars.get_label()
    }
    reached = [
        [e for e in (own for one in found.values() for own in one) if e.resource == level] for level in (1, 3, 9)
    ]
    beyond = [sum(one[-1].resource > level for one in found.values()) for level in (1, 3, 9)]
    assert heights["went beyond it"] == beyond
    rest = [len(results_) - gone for results_, gone in zip(reached, beyond, strict=True)]
    assert heights["ended there, or is there now"] == rest
    (cuts,) = (lines for lines in below.collections if lines.get_label() == "cut")
    drawn = [segment[0][1] for segment in cuts.get_segments()]
    # The quantile rule: the worst value that is not above the level / next level quantile.
    for level_results, cut in zip(reached, drawn, strict=True):
        values = [e.metrics["loss"] for e in level_results]
        assert cut == max(value for value in values if value <= np.quantile(values, 1 / 3))
    marks = sorted(y for line in below.lines for y in line.get_ydata())
    assert marks == sorted(e.metrics["loss"] for level_results in reached for e in level_results)


def test_paused_trials_wait_at_their_rung(gallery: Any) -> None:
    above, _ = rung_occupancy(gallery.promotion).axes
    (waits,) = (bars for bars in above.containers if bars.get_label() == "waits there, paused")
    assert sum(bar.get_height() for bar in waits) == gallery.promotion.counts()["paused"]


def brute_front(points: Any) -> list[bool]:
    return [
        not any(all(q <= p for q, p in zip(other, one, strict=True)) and tuple(other) != tuple(one) for other in points)
        for one in points
    ]


def test_pareto_front_of_mixed_modes(gallery: Any) -> None:
    rows = [
        (e.metrics["accuracy"], e.metrics["size"])
        for one in results(gallery.events(gallery.pareto)).values()
        for e in one
    ]
    keep = brute_front([(-accuracy, size) for accuracy, size in rows])
    expected = sorted(row for row, kept in zip(rows, keep, strict=True) if kept)
    (axes,) = pareto_front(gallery.pareto).axes
    others, line = axes.lines
    assert [tuple(p) for p in line.get_xydata()] == expected
    assert sorted(tuple(p) for p in others.get_xydata()) == sorted(r for r, k in zip(rows, keep, strict=True) if not k)
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("accuracy (max)", "size (min)")
    # Between two of them, at an accuracy above the left one's, only the right one's size is reached.
    assert line.get_drawstyle() == "steps-pre"


@pytest.mark.parametrize("bound", [13, 0])
def test_results_in_which_a_constraint_does_not_hold_are_drawn_apart(
    gallery: Any, tmp_path: Path, bound: float
) -> None:
    """They beat nobody, and nothing else is drawn of them; with the second bound none is left for a front."""
    opened, *events = gallery.events(gallery.pareto)
    metrics = (*opened.spec.metrics, MetricSpec("epoch", role="constraint", bound=bound))
    spec = msgspec.structs.replace(opened.spec, metrics=metrics)
    folder = ExperimentFolder(tmp_path / "bounded")
    with Journal.create(folder) as journal:
        journal.commit([msgspec.structs.replace(opened, spec=spec), *events], sync=False)
    rows = [e.metrics for one in results(events).values() for e in one]
    held = [(row["accuracy"], row["size"]) for row in rows if row["epoch"] <= bound]
    lost = [(row["accuracy"], row["size"]) for row in rows if row["epoch"] > bound]
    assert lost
    keep = brute_front([(-accuracy, size) for accuracy, size in held])
    (axes,) = pareto_front(load_experiment(folder.path)).axes
    others, apart, line = axes.lines
    assert sorted(map(tuple, line.get_xydata())) == sorted(row for row, kept in zip(held, keep, strict=True) if kept)
    assert sorted(map(tuple, others.get_xydata())) == sorted(
        row for row, kept in zip(held, keep, strict=True) if not kept
    )
    assert sorted(map(tuple, apart.get_xydata())) == sorted(lost)
    assert (apart.get_marker(), apart.get_label()) == ("x", "bounded: a constraint does not hold")
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("accuracy (max)", "size (min)")


def test_three_objectives_have_a_panel_for_each_pair(gallery: Any) -> None:
    figure = pareto_front(gallery.pareto, metrics=["accuracy", "size", "loss"], modes=["max", "min", "min"])
    assert [axes.get_ylabel() for axes in figure.axes] == ["size (min)", "loss (min)", "loss (min)"]
    assert len({line.get_label() for line in figure.axes[0].lines}) == 2


def test_pareto_arguments_are_checked(gallery: Any) -> None:
    with pytest.raises(errors.NothingToPlot, match="a Pareto front needs two objectives"):
        pareto_front(gallery.stopping)
    with pytest.raises(errors.InvalidArgument, match="give one for each of metrics="):
        pareto_front(gallery.stopping, metrics=["loss", "size"], modes=["min"])
    with pytest.raises(errors.InvalidArgument, match="For another reported metric say mode="):
        pareto_front(gallery.stopping, metrics=["loss", "size"])

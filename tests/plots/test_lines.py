"""Plots over time and resource: what is drawn equals what another reading of the journal gives."""

from __future__ import annotations

import math
from collections import defaultdict
from statistics import fmean, quantiles
from typing import Any

import numpy as np
import pytest

from offbeat import errors
from offbeat import events as ev
from offbeat.plots import best_so_far, comparison, learning_curves, trials_over_time


def running_best(events: Any, metric: str, better: Any) -> list[tuple[float, float]]:
    found: list[tuple[float, float]] = []
    for event in events:
        if isinstance(event, ev.TrialResult) and event.verdict in ("continue", "stop", "pause"):
            value = event.metrics[metric]
            if not isinstance(value, str) and (not found or better(value, found[-1][1])):
                found.append((event.at, value))
    return found


def at(line: list[tuple[float, float]], time: float) -> float:
    """Value of a step function, infinite before its first step."""
    return next((value for when, value in reversed(line) if when <= time), math.inf)


def labelled(axes: Any) -> dict[str, Any]:
    return {line.get_label(): line for line in axes.lines}


@pytest.mark.parametrize("name", ["stopping", "promotion", "random"])
def test_best_so_far_is_the_running_minimum_held_to_the_end(gallery: Any, name: str) -> None:
    experiment = getattr(gallery, name)
    events = gallery.events(experiment)
    (axes,) = best_so_far(experiment).axes
    expected = running_best(events, "loss", lambda new, old: new < old)
    line = axes.lines[0]
    assert list(zip(line.get_xdata(), line.get_ydata(), strict=True)) == [*expected, (events[-1].at, expected[-1][1])]
    assert line.get_drawstyle() == "steps-post"


def test_another_metric_with_its_own_mode(gallery: Any) -> None:
    (axes,) = best_so_far(gallery.stopping, metric="accuracy", mode="max").axes
    expected = running_best(gallery.events(gallery.stopping), "accuracy", lambda new, old: new > old)
    assert list(axes.lines[0].get_ydata())[:-1] == [value for _, value in expected]


def test_median_and_quartiles_of_several_begin_when_enough_have_a_result(gallery: Any) -> None:
    (axes,) = best_so_far(gallery.seeds).axes
    lines = [running_best(gallery.events(one), "loss", lambda new, old: new < old) for one in gallery.seeds]
    median = labelled(axes)["median"]
    for time, value in zip(median.get_xdata(), median.get_ydata(), strict=True):
        values = sorted(at(line, time) for line in lines)
        assert value == pytest.approx((values[1] + values[2]) / 2, rel=1e-12)
    # The third of four is the first moment at which both middle ones are numbers.
    assert median.get_xdata()[0] == sorted(line[0][0] for line in lines)[2]
    (band,) = axes.collections
    corners = band.get_paths()[0].vertices
    last = [at(line, math.inf) for line in lines]
    lower, _, upper = quantiles(last, n=4, method="inclusive")
    ends = corners[corners[:, 0] == corners[:, 0].max()][:, 1]
    assert (min(ends), max(ends)) == pytest.approx((lower, upper))


def test_comparison_by_mean_waits_until_all_of_a_group_have_a_result(gallery: Any) -> None:
    figure = comparison({"four": gallery.seeds, "one": gallery.stopping}, statistic="mean")
    found = labelled(figure.axes[0])
    assert set(found) == {"four (4)", "one (1)"}
    lines = [running_best(gallery.events(one), "loss", lambda new, old: new < old) for one in gallery.seeds]
    drawn = found["four (4)"]
    moments = sorted({time for line in lines for time, _ in line} | {max(one.elapsed for one in gallery.seeds)})
    begin = max(line[0][0] for line in lines)
    assert list(drawn.get_xdata()) == [time for time in moments if time >= begin]
    expected = [fmean(at(line, time) for line in lines) for time in moments if time >= begin]
    assert list(drawn.get_ydata()) == pytest.approx(expected, rel=1e-12)


def test_an_experiment_without_a_result_stays_in_its_group_as_the_worst(gallery: Any, beginning: Any) -> None:
    silent = beginning(gallery.random, 3)
    assert silent.n_results == 0
    figure = comparison({"all": [gallery.seeds[0], silent, gallery.seeds[1]]})
    lines = [running_best(gallery.events(one), "loss", lambda new, old: new < old) for one in gallery.seeds[:2]]
    (drawn,) = (line for line in figure.axes[0].lines if line.get_label() == "all (3)")
    for time, value in zip(drawn.get_xdata(), drawn.get_ydata(), strict=True):
        assert value == max(at(line, time) for line in lines)  # the middle one of three, the third being infinite


def test_groups_are_named_after_what_sets_them_apart(gallery: Any) -> None:
    figure = comparison([gallery.stopping, gallery.promotion, *gallery.seeds])
    assert set(labelled(figure.axes[0])) == {"asha, type=stopping (1)", "asha, type=promotion (1)", "random-search (4)"}


@pytest.mark.parametrize("name", ["stopping", "promotion"])
def test_timeline_has_a_bar_for_each_attempt(gallery: Any, name: str) -> None:
    experiment = getattr(gallery, name)
    began: dict[int, Any] = {}
    expected: dict[str, list[Any]] = defaultdict(list)
    words = {
        ev.TrialFinished: "ran to its end", ev.TrialPaused: "paused", ev.TrialFailed: "failed", ev.TrialLost: "lost",
        ev.TrialStopped: "stopped",
    }  # fmt: skip
    resumed = []
    for event in gallery.events(experiment):
        if isinstance(event, ev.TrialStarted | ev.TrialResumed):
            began[event.trial] = event
            if event.attempt:
                resumed.append((event.at, event.slot))
        elif type(event) in words:
            start = began.pop(event.trial)
            expected[words[type(event)]].append((start.at, event.at, start.slot))
    assert not began
    (axes,) = trials_over_time(experiment).axes
    drawn = {}
    for bars in axes.collections:
        boxes = [path.get_extents() for path in bars.get_paths()]
        drawn[bars.get_label()] = sorted((box.x0, box.x1, round((box.y0 + box.y1) / 2)) for box in boxes)
    assert drawn == {how: sorted(bars) for how, bars in expected.items()}
    marks = [line for line in axes.lines if line.get_label() == "goes on with a trial"]
    assert [tuple(point) for line in marks for point in line.get_xydata()] == resumed
    assert bool(resumed) == (name == "promotion")


def test_reports_that_were_not_usable_are_marked(gallery: Any) -> None:
    (axes,) = trials_over_time(gallery.stopping).axes
    expected = [event.at for event in gallery.events(gallery.stopping) if isinstance(event, ev.ReportRejected)]
    assert expected
    (marks,) = (line for line in axes.lines if line.get_label() == "report not usable")
    assert list(marks.get_xdata()) == expected


def test_an_attempt_without_an_end_reaches_to_the_last_event(gallery: Any, beginning: Any) -> None:
    torn = beginning(gallery.stopping, 60)
    (axes,) = trials_over_time(torn).axes
    (bars,) = (bars for bars in axes.collections if bars.get_label() == "no end known: its engine died")
    assert {path.get_extents().x1 for path in bars.get_paths()} == {torn.elapsed}


@pytest.mark.parametrize("name", ["stopping", "promotion"])
def test_learning_curves_are_the_counted_results(gallery: Any, name: str) -> None:
    experiment = getattr(gallery, name)
    expected: dict[int, list[tuple[float, float]]] = defaultdict(list)
    for event in gallery.events(experiment):
        if isinstance(event, ev.TrialResult) and event.verdict in ("continue", "stop", "pause"):
            expected[event.trial].append((event.resource, event.metrics["loss"]))
    (axes,) = learning_curves(experiment).axes
    segments = [tuple(map(tuple, segment)) for lines in axes.collections for segment in lines.get_segments()]
    # A curve of one point is no line, but its mark is there.
    marks = [tuple(point) for line in axes.lines if line.get_linestyle() == "None" for point in line.get_xydata()]
    assert sorted(map(tuple, expected.values())) == sorted(segments)
    assert sorted(marks) == sorted(curve[-1] for curve in expected.values())
    best = min(expected, key=lambda trial: min(value for _, value in expected[trial]))
    assert [tuple(point) for point in labelled(axes)[f"best: trial {best}"].get_xydata()] == expected[best]


def test_curves_are_marked_by_what_came_of_the_trial_and_ticked_at_rungs(gallery: Any) -> None:
    (axes,) = learning_curves(gallery.stopping).axes
    counts = gallery.stopping.counts()
    labels = set(labelled(axes))
    assert f"stopped here ({counts['stopped']})" in labels
    assert f"ended by itself, or goes on ({counts['finished']})" in labels
    upright = {
        line.get_xdata()[0] for line in axes.lines if len(set(line.get_xdata())) == 1 and line.get_ydata()[1] == 1
    }
    assert {1, 3, 9} <= upright
    assert list(axes.get_xticks()) == [1, 3, 9, 27]


def test_lines_of_one_picture_can_be_told_apart(gallery: Any) -> None:
    many = {f"group {i}": one for i, one in enumerate([*gallery.seeds, *gallery.seeds])}
    (axes,) = comparison(many).axes
    looks = {(line.get_color(), line.get_linestyle()) for line in axes.lines}
    assert len(looks) == 8


@pytest.mark.parametrize("plot", [best_so_far, learning_curves])
def test_metrics_are_checked(gallery: Any, plot: Any) -> None:
    with pytest.raises(errors.InvalidArgument, match="Did you mean 'loss'"):
        plot(gallery.stopping, metric="los")
    with pytest.raises(errors.NothingToPlot, match="nobody has reported a number called 'los'"):
        plot(gallery.stopping, metric="los", mode="min")
    with pytest.raises(errors.InvalidArgument, match="mode='low'"):
        plot(gallery.stopping, mode="low")


@pytest.mark.parametrize("plot", [best_so_far, comparison])
def test_experiments_of_different_objectives_are_not_mixed(gallery: Any, plot: Any) -> None:
    """`pareto` maximises its accuracy, `random` minimises its loss; both report both."""
    with pytest.raises(
        errors.InvalidArgument, match=r"random is drawn by loss \(min\), and pareto optimises accuracy \(max\)"
    ):
        plot([gallery.random, gallery.pareto])
    with pytest.raises(errors.InvalidArgument, match="have an objective in common, or say metric= and mode="):
        plot([gallery.pareto, gallery.random], metric="accuracy")
    assert plot([gallery.random, gallery.pareto], metric="loss", mode="min").axes


def test_quantiles_of_columns_are_numpy_s_where_all_is_finite() -> None:
    from offbeat_plugins.plots.steps import quantile

    table = np.random.default_rng(0).normal(size=(7, 40))
    for q in (0.0, 0.25, 0.5, 0.9, 1.0):
        np.testing.assert_allclose(quantile(table, q), np.quantile(table, q, axis=0), rtol=1e-12)
    table[:3] = math.inf
    assert np.isfinite(quantile(table, 0.5)).all()
    assert np.isinf(quantile(table, 0.6)).all()

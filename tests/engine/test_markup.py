"""What objects show of themselves in a notebook: well-formed, escaped, and without a script."""

from __future__ import annotations

import html
import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from offbeat import list_experiments, load_experiment
from offbeat.events import (
    ComponentDescription,
    ExperimentClosed,
    ExperimentOpened,
    ExperimentSpec,
    Host,
    Limits,
    MetricSpec,
    Suggested,
    TrialFailed,
    TrialResult,
    TrialStarted,
)
from offbeat.home import ExperimentFolder
from offbeat.journal import Journal
from offbeat.markup import bar, card, facts, plot, table
from offbeat.testing.histories import event_history
from offbeat.trial import TrialId

HOSTILE = "<script>alert('x')</script>&\"\x1b[2J\n"


def parsed(markup: str) -> ElementTree.Element:
    """The markup as a tree: it has to be well-formed, and nothing in it may run or load anything."""
    tree = ElementTree.fromstring(f"<root>{markup}</root>")
    for node in tree.iter():
        tag = node.tag.rpartition("}")[2]
        assert tag in {
            "root", "div", "span", "strong", "table", "thead", "tbody", "tr", "th", "td", "svg", "polyline", "circle"
        }  # fmt: skip
        assert not [name for name in node.attrib if name.startswith("on") or name in ("href", "src")]
    return tree


def words(markup: str) -> str:
    return " ".join("".join(parsed(markup).itertext()).split())


@given(st.lists(st.tuples(st.text(), st.text() | st.floats() | st.none()), max_size=4))
def test_whatever_is_shown_is_escaped(rows: list[tuple[str, Any]]) -> None:
    for markup in (table(("a", "b"), rows), facts(rows), card(*(one for row in rows for one in row))):
        parsed(markup)


def test_a_column_of_numbers_is_set_to_the_right() -> None:
    tree = parsed(table(("name", "n"), [("a", 1), ("b", None), ("c", 2.5)]))
    styles = [[cell.attrib["style"] for cell in row] for row in tree.iter("tr")]
    assert all("text-align:left" in left and "text-align:right" in right for left, right in styles)


def test_a_long_value_is_cut_and_whole_in_its_tooltip() -> None:
    (span,) = parsed(table(("a",), [("x" * 500,)])).iter("span")
    assert span.attrib["title"] == "x" * 500
    assert span.text is not None
    assert len(span.text) == 80


numbers = st.floats(allow_nan=True, allow_infinity=True)


@given(
    points=st.lists(st.tuples(numbers, numbers), max_size=30), steps=st.booleans(), until=st.none() | st.floats(0, 9)
)
@example(points=[(0.0, 5e-324), (1.0, 1.7e308)], steps=True, until=None)
@example(points=[(-1.7e308, -1.7e308), (1.7e308, 1.7e308)], steps=False, until=None)
def test_a_plot_stays_in_its_frame(points: list[tuple[float, float]], steps: bool, until: float | None) -> None:
    points.sort(key=lambda point: (point[0] != point[0], point[0]))
    markup = plot(points, steps=steps, until=until, width=200, height=60)
    known = [point for point in points if abs(point[0]) < float("inf") and abs(point[1]) < float("inf")]
    assert bool(markup) == bool(known)
    if markup:
        (line,) = [node for node in parsed(markup).iter() if node.tag.endswith("polyline")]
        for corner in line.attrib["points"].split():
            x, y = map(float, corner.split(","))
            assert 0 <= x <= 200
            assert 0 <= y <= 60


def test_a_plot_of_steps_holds_each_value_until_the_next() -> None:
    markup = plot([(0, 3.0), (5, 1.0)], steps=True, until=10, width=108, height=116)
    (line,) = [node for node in parsed(markup).iter() if node.tag.endswith("polyline")]
    assert line.attrib["points"] == "4.0,8.0 54.0,8.0 54.0,108.0 104.0,108.0"
    assert "(log)" not in markup
    assert "(log)" in plot([(0, 1000.0), (1, 0.001)])


def test_a_plot_of_many_points_is_short_and_keeps_the_extremes() -> None:
    points = [(float(i), 1.0 if i != 70_000 else 9.0) for i in range(100_000)]
    markup = plot(points, width=200, height=60)
    assert len(markup) < 20_000
    assert "196.0,52.0" in markup
    assert ",8.0" in markup


@given(st.floats())
def test_a_bar_is_never_longer_than_its_frame(share: float) -> None:
    (width,) = re.findall(r"width:([\d.]+)%", bar(share))
    assert 0 <= float(width) <= 100


@pytest.fixture
def hostile(tmp_path: Path) -> Any:
    """An experiment in which every text wants to be markup."""
    spec = ExperimentSpec(
        name="e",
        seed=1,
        metrics=(MetricSpec(f"m{HOSTILE}"),),
        resource_attr=f"r{HOSTILE}",
        space={f"h{HOSTILE}": {"domain": "choice"}, "fixed": {"constant": 3}, "rule": {"require": "x > 1"}},
        scheduler=ComponentDescription("offbeat.schedulers", f"s{HOSTILE}"),
        backend=ComponentDescription("offbeat.backends", f"b{HOSTILE}"),
        limits=Limits(n_workers=1),
    )
    trial = TrialId(0)
    folder = ExperimentFolder(tmp_path / "e")
    metrics = {f"m{HOSTILE}": 0.5, f"n{HOSTILE}": HOSTILE}
    with Journal.create(folder) as journal:
        journal.commit(
            [
                ExperimentOpened(0.0, 0, spec, Host(wall_time=1e9)),
                Suggested(0.0, 0, "start", trial, {f"h{HOSTILE}": HOSTILE}),
                TrialStarted(0.0, trial, 0, 0),
                TrialResult(1.0, trial, 0, 0, 1, metrics, "continue", HOSTILE),
                TrialResult(2.0, trial, 0, 1, 2, metrics),
                TrialFailed(2.0, trial, 0, HOSTILE),
                ExperimentClosed(3.0, 0, "failed", HOSTILE),
            ],
            sync=False,
        )
    folder.checkpoints(0).mkdir(parents=True)
    return load_experiment(folder.path)


def test_nothing_of_a_journal_becomes_markup(hostile: Any) -> None:
    for one in (hostile, hostile.trials, hostile.trials[0], list_experiments(home=hostile.folder.path.parent)):
        markup = one._repr_html_()
        assert "<script" not in markup
        assert "\x1b" not in markup
        assert "<script>alert('x')</script>" in html.unescape(words(markup))


def test_an_experiment_shows_how_it_stands_and_its_best(hostile: Any) -> None:
    told = words(hostile._repr_html_())
    assert told.startswith("estatusfailed: ")
    assert "Tuner.resume('e').run()" in told
    assert "1 failed; 2 results" in told
    assert "trial 0" in told
    assert str(hostile.folder.path) in told
    assert "fixed" not in told
    assert "rule" not in told


@pytest.mark.parametrize("seed", range(4))
def test_every_kind_of_experiment_can_be_shown(tmp_path: Path, seed: int) -> None:
    events = event_history(seed)
    folder = ExperimentFolder(tmp_path / "e")
    with Journal.create(folder) as journal:
        for event in events:
            journal.commit([event], sync=False)
            if event is events[0] or event is events[-1] or isinstance(event, TrialStarted):
                experiment = load_experiment(folder.path)
                for one in (experiment, experiment.trials, *experiment.trials):
                    parsed(one._repr_html_())

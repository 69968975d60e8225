"""Pareto set and hypervolume over time of an experiment, against a plain recount of its events."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offbeat.errors import InvalidArgument
from offbeat.events import (
    ComponentDescription,
    ExperimentOpened,
    ExperimentSpec,
    Host,
    Limits,
    MetricSpec,
    Suggested,
    TrialResult,
    TrialStarted,
)
from offbeat.home import ExperimentFolder
from offbeat.journal import Journal
from offbeat.results import Experiment, load
from offbeat.trial import TrialId

SIZE = MetricSpec("size", role="constraint", bound=10.0)


def experiment(path: Path, rows: list[dict[str, Any]], *more: MetricSpec, trials: int = 3) -> Experiment:
    """Results of a few trials in turn, a second apart."""
    spec = ExperimentSpec(
        name="e", seed=3, metrics=(MetricSpec("loss"), MetricSpec("accuracy", "max"), *more), resource_attr="epoch",
        scheduler=ComponentDescription("offbeat.schedulers", "moasha"),
        backend=ComponentDescription("offbeat.backends", "local"), limits=Limits(n_workers=2),
    )  # fmt: skip
    events: list[Any] = [ExperimentOpened(0.0, 0, spec, Host(wall_time=1000.0))]
    for number in range(trials):
        events += [
            Suggested(0.0, number, "start", TrialId(number), {"lr": number / 10}),
            TrialStarted(0.0, TrialId(number), 0, number),
        ]
    for place, row in enumerate(rows):
        seq = place // trials
        verdict = row.pop("verdict", "continue")
        metrics = {**row, "epoch": seq + 1}
        events.append(TrialResult(1.0 + place, TrialId(place % trials), 0, seq, seq + 1, metrics, verdict))
    folder = ExperimentFolder(path)
    with Journal.create(folder) as journal:
        journal.commit(events, sync=True)
    return load(folder)


def test_golden_front_and_volume(tmp_path: Path) -> None:
    found = experiment(
        tmp_path / "e",
        [
            {"loss": 5.0, "accuracy": 0.5}, {"loss": 3.0, "accuracy": 0.2}, {"loss": 6.0, "accuracy": 0.4},
            {"loss": 4.0, "accuracy": 0.5}, {"loss": 3.0, "accuracy": 0.2}, {"loss": 2.0, "accuracy": 0.1},
            {"loss": 0.0, "accuracy": 0.9, "verdict": "late"},
        ],
    )  # fmt: skip
    assert [(p.trial.id, p.values, p.resource, p.at, p.config) for p in found.pareto()] == [
        (2, {"loss": 2.0, "accuracy": 0.1}, 2, 6.0, {"lr": 0.2}),
        (1, {"loss": 3.0, "accuracy": 0.2}, 1, 2.0, {"lr": 0.1}),
        (0, {"loss": 4.0, "accuracy": 0.5}, 2, 4.0, {"lr": 0.0}),
    ]
    volume = found.hypervolume({"accuracy": 0.0, "loss": 6.0})
    assert volume.reference == {"loss": 6.0, "accuracy": 0.0}
    # 1 x 0.5, and what 3/0.2 adds below it, 2 x 0.2; then 1 x 0.5 more, and 1 x 0.1.
    assert volume.curve == [
        (1.0, pytest.approx(0.5)), (2.0, pytest.approx(0.9)), (4.0, pytest.approx(1.2)), (6.0, pytest.approx(1.3)),
    ]  # fmt: skip
    assert volume.value == pytest.approx(1.3)
    own = found.hypervolume()
    assert own.reference == {"loss": pytest.approx(4.2), "accuracy": pytest.approx(0.06)}


def test_only_what_fulfils_the_constraints_counts(tmp_path: Path) -> None:
    rows = [
        {"loss": 1.0, "accuracy": 0.9, "size": 11.0}, {"loss": 2.0, "accuracy": 0.5, "size": 10.0},
        {"loss": 1.5, "accuracy": 0.4, "size": 3.0},
    ]  # fmt: skip
    found = experiment(tmp_path / "e", rows, SIZE)
    assert [p.trial.id for p in found.pareto()] == [2, 1]
    assert [at for at, _ in found.hypervolume({"loss": 9.0, "accuracy": 0.0}).curve] == [2.0, 3.0]
    none = experiment(tmp_path / "f", [{**row, "size": 99.0} for row in rows], SIZE)
    assert none.pareto() == []
    assert none.hypervolume().value == none.hypervolume({"loss": 9.0, "accuracy": 0.0}).value == 0.0


numbers = st.sampled_from([0.0, 0.25, 1.0, 2.0])


@given(rows=st.lists(st.tuples(numbers, numbers, st.sampled_from([9.0, 11.0])), min_size=1, max_size=9))
def test_a_recount_finds_the_same(tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[float, ...]]) -> None:
    metrics = [dict(zip(("loss", "accuracy", "size"), row, strict=True)) for row in rows]
    found = experiment(tmp_path_factory.mktemp("e") / "e", metrics, SIZE)
    good = [(loss, -accuracy) for loss, accuracy, size in rows if size <= 10.0]
    front = {a for a in good if not any(b != a and b[0] <= a[0] and b[1] <= a[1] for b in good)}
    assert {(p.values["loss"], -p.values["accuracy"]) for p in found.pareto()} == front
    volume = found.hypervolume({"loss": 2.0, "accuracy": 0.0})
    cells = [(x / 4, -y / 4) for x in range(8) for y in range(1, 9)]
    covered = sum(any(a <= x and b <= y for a, b in good) for x, y in cells)
    assert volume.value == pytest.approx(covered / 16)
    values = [value for _, value in volume.curve]
    assert values == sorted(set(values))


def test_a_wrong_reference_is_named(tmp_path: Path) -> None:
    found = experiment(tmp_path / "e", [{"loss": 1.0, "accuracy": 0.5}])
    with pytest.raises(InvalidArgument, match=r"reference names 'los', which is no objective. Did you mean 'loss'"):
        found.hypervolume({"los": 1.0})
    with pytest.raises(InvalidArgument, match="no finite number for the objective 'accuracy'"):
        found.hypervolume({"loss": 1.0})
    with pytest.raises(InvalidArgument, match="no finite number for the objective 'loss'"):
        found.hypervolume({"loss": float("nan"), "accuracy": 0.0})

"""What is read from journals, and which of them fit each other."""

from __future__ import annotations

from typing import Any

import pytest

from offbeat.config_space import choice, loguniform, uniform
from offbeat.errors import InvalidArgument
from offbeat.importing.foreign import Foreign, ForeignResult, ForeignTrial, Stretch
from offbeat.importing.writing import written
from offbeat.results import load
from offbeat.space import Space
from offbeat_plugins.blackboxes.fitting.agreement import common_space
from offbeat_plugins.blackboxes.fitting.observations import Gap, observed


def test_curves_with_how_they_ended_and_what_a_level_took(lab: Any) -> None:
    experiment = lab.experiment("one", 20)
    past = observed([experiment])
    assert past.levels == tuple(range(1, 10))
    assert past.objectives == {"loss": "min"}
    assert (past.resource_attr, past.failed, len(past.trials)) == ("epoch", 0, 20)
    for trial in past.trials:
        record = experiment.ledger.trials[trial.trial]
        assert trial.end == ("full" if record.resource == 9 else "cut")
        assert trial.levels.tolist() == list(range(1, record.resource + 1))
        assert trial.values[:, 0] == pytest.approx([lab.loss(trial.config, level) for level in trial.levels])
        pace = lab.pace(trial.config)
        expected = [Gap(True, 1, 1, 2.0 + pace), *(Gap(False, n, 1, pace) for n in range(2, record.resource + 1))]
        assert [tuple(gap) for gap in trial.gaps] == [pytest.approx(tuple(gap)) for gap in expected]
    assert 3 <= past.full < 20


def test_curves_may_be_taken_to_end_earlier(lab: Any) -> None:
    past = observed([lab.experiment("one", 20)], max_t=3)
    assert past.levels == (1, 2, 3)
    assert all(trial.end == ("full" if trial.levels[-1] == 3 else "cut") for trial in past.trials)
    assert all(gap.until <= 3 for trial in past.trials for gap in trial.gaps)
    with pytest.raises(InvalidArgument, match="max_t=12: no trial has reported at this level"):
        observed([lab.experiment("two", 20)], max_t=12)


def result(at: float, level: int) -> ForeignResult:
    return ForeignResult(at, {"epoch": level, "loss": 1.0 / level})


@pytest.mark.parametrize("checkpoint", [True, False])
def test_resumed_executions_count_time_from_where_they_began(lab: Any, checkpoint: bool) -> None:
    again = [] if checkpoint else [result(101, 1)]
    stretches = (
        Stretch(started=0, ended=3, results=(result(3, 1),), how="paused"),
        Stretch(started=100, ended=103, results=(*again, result(102, 2), result(103, 3))),
    )
    trial = ForeignTrial(origin=0, config={"x": 0.5, "kind": "a"}, stretches=stretches)
    one = Foreign(
        tool="test", version="", source="", digest="", name="r", space=lab.space, objectives={"loss": "min"},
        resource_attr="epoch", max_t=3, trials=(trial,),
    )  # fmt: skip
    past = observed([load(written(one, "resumed", lab.home))])
    gaps = [tuple(gap) for gap in past.trials[0].gaps]
    if checkpoint:
        assert gaps == [(True, 1, 1, 3.0), (True, 2, 1, 2.0), (False, 3, 1, 1.0)]
    else:
        assert gaps == [(True, 1, 1, 3.0), (True, 1, 1, 1.0), (False, 2, 1, 1.0), (False, 3, 1, 1.0)]
    assert past.trials[0].levels.tolist() == [1, 2, 3]


def test_ranges_may_differ_and_the_widest_is_taken(lab: Any) -> None:
    one = lab.experiment("one", 12)
    wide = Space({"x": uniform(-1, 1), "kind": choice(["b", "c", "a"]), "epochs": 9})
    other = lab.experiment("other", 12, seed=1, space=wide)
    common = Space({"x": uniform(-1, 1), "kind": choice(["a", "b", "c"]), "epochs": 9})
    assert common_space([one, other]) == common
    assert observed([other, one]).space.domains["x"] == uniform(-1, 1)


def test_what_differs_is_named(lab: Any) -> None:
    one = lab.experiment("one", 12)

    def told(**fields: Any) -> str:
        other = lab.experiment(f"other-{len(list(lab.home.iterdir()))}", 12, **fields)
        with pytest.raises(InvalidArgument) as error:
            observed([one, other])
        return str(error.value)

    domains = {"x": uniform(0, 1), "kind": choice(["a", "b"])}
    assert "they optimise loss (min) and loss (max)" in told(objectives={"loss": "max"})
    assert "their resource is 'epoch' and None" in told(resource_attr=None)
    assert "'epochs' is in only one of their spaces (one, other-3)" in told(space=Space(domains))
    text = told(space=Space({**domains, "x": loguniform(1e-9, 1), "epochs": 9, "size": 3}))
    assert "'x' is uniform(lower=0.0, upper=1.0) in one and loguniform(" in text
    assert "'size' is in only one" in text
    assert "'epochs' is 9 in one and 10 in the other" in told(space=Space({**domains, "epochs": 10}))


def test_how_far_trials_run_may_differ(lab: Any) -> None:
    one = lab.experiment("one", 12, cut=False)
    space = Space({"x": uniform(0, 1), "kind": choice(["a", "b"]), "epochs": 3})
    other = lab.experiment("other", 12, cut=False, seed=1, space=space, max_t=3)
    past = observed([one, other])
    assert past.levels[-1] == 9
    assert {trial.experiment for trial in past.trials} == {0, 1}

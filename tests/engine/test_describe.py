"""Components as data: what a journal keeps of them, and that it builds the same thing again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from offbeat.config_space import choice, loguniform, randint, uniform
from offbeat.describe import arguments_of, build, describe, described, fingerprint
from offbeat.errors import BrokenPlugin, InvalidArgument, UnknownPlugin
from offbeat.events import ComponentDescription
from offbeat.optimizer.baselines import ASHA, RandomSearch
from offbeat.space import Space
from offbeat.stopping import PlateauStopper, StoppingCriterion

SPACE = {"lr": loguniform(1e-6, 1e-1), "layers": randint(1, 20), "kind": choice(["a", "b"]), "epochs": 27}


def through_json(description: ComponentDescription) -> Any:
    return build(msgspec.json.decode(msgspec.json.encode(description), type=ComponentDescription))


def test_a_scheduler_is_described_by_name_distribution_version_and_arguments() -> None:
    import offbeat

    scheduler = ASHA(SPACE, "loss", mode="max", resource_attr="epoch", max_resource_attr="epochs", random_seed=5)
    description = describe(scheduler, "offbeat.schedulers")
    assert (description.group, description.name) == ("offbeat.schedulers", "asha")
    assert (description.distribution, description.version) == ("offbeat", offbeat.__version__)
    assert description.fingerprint == ""
    assert description.options is not None
    assert set(description.options) == {
        "config_space",
        "metric",
        "mode",
        "resource_attr",
        "max_resource_attr",
        "random_seed",
    }
    again = through_json(description)
    assert type(again) is ASHA
    assert (again.space, again.objective, again.seed) == (scheduler.space, scheduler.objective, scheduler.seed)
    assert describe(again, "offbeat.schedulers") == description


def test_a_seed_that_was_chosen_is_kept() -> None:
    scheduler = RandomSearch(SPACE, metric="loss")
    assert through_json(describe(scheduler, "offbeat.schedulers")).seed == scheduler.seed


def test_spaces_points_and_nested_arguments_survive() -> None:
    points = [{"lr": 0.01, "kind": "b"}, {"layers": 3}]
    scheduler = RandomSearch(
        Space({"lr": uniform(0, 1), "kind": choice(["a", "b"]), "layers": randint(1, 5), "files": ["x", {"y": None}]}),
        metric=("loss", "time"),
        mode=("min", "max"),
        points_to_evaluate=tuple(points),
        nonfinite={"loss": "worst"},
        random_seed=1,
    )
    again = through_json(describe(scheduler, "offbeat.schedulers"))
    assert (again.space, again.objective) == (scheduler.space, scheduler.objective)
    description = describe(again, "offbeat.schedulers")
    assert description.options is not None
    assert description.options["points_to_evaluate"] == points


def test_stopping_criteria_and_their_combinations_are_described() -> None:
    criterion = StoppingCriterion(max_wallclock_time=30, max_num_trials_started=4)
    either = criterion | PlateauStopper("loss")
    for stopper in (criterion, either, either & criterion):
        description = describe(stopper, "offbeat.stoppers")
        assert description.options is not None
        assert describe(through_json(description), "offbeat.stoppers") == description


def test_a_searcher_as_an_argument_is_described_with_its_scheduler() -> None:
    from offbeat_plugins.searchers.random import RandomSearcher

    scheduler = ASHA(SPACE, "loss", resource_attr="epoch", searcher=RandomSearcher(Space.of(SPACE)), random_seed=1)
    description = describe(scheduler, "offbeat.schedulers")
    # Described or not, a resume must never get another searcher in silence.
    if description.options is None:
        assert description.fingerprint
    else:
        assert "$component" in description.options["searcher"]


def test_paths_become_text(tmp_path: Path) -> None:
    from offbeat.backend import LocalBackend

    script = tmp_path / "train.py"
    script.write_text("")
    backend = LocalBackend(script, env={"A": "b"}, cwd=tmp_path)
    description = describe(backend, "offbeat.backends")
    assert description.options is not None
    assert description.options["entry_point"] == str(script)
    again = through_json(description)
    assert again.entry_point == backend.entry_point


def test_what_has_no_json_form_is_not_described_and_says_so() -> None:
    def enough(usage: Any) -> bool:
        return False

    description = describe(enough, "offbeat.stoppers")
    assert description.options is None
    assert description.name.endswith("enough")
    assert len(description.fingerprint) == 16
    with pytest.raises(InvalidArgument, match="pass the same object again"):
        build(description)


def test_a_class_that_nobody_registers_is_not_described() -> None:
    @described
    class Mine:
        def __init__(self, rate: float = 0.5) -> None:
            self.rate = rate

    mine = Mine(0.25)
    assert arguments_of(mine) == {"rate": 0.25}
    assert describe(mine, "offbeat.schedulers").options is None


def test_a_derived_class_is_never_taken_for_its_base() -> None:
    class Mine(RandomSearch):
        pass

    description = describe(Mine(SPACE, metric="loss"), "offbeat.schedulers")
    assert description.options is None
    assert description.name.endswith("Mine")


def test_fingerprints_tell_code_apart() -> None:
    def one(usage: Any) -> bool:
        return bool(usage.started > 3)

    def other(usage: Any) -> bool:
        return bool(usage.started > 3 and usage.failed)

    other.__qualname__ = one.__qualname__
    assert fingerprint(one) != fingerprint(other)
    assert fingerprint(one) == fingerprint(one)


def test_arguments_are_kept_as_they_were_passed() -> None:
    space = dict(SPACE)
    scheduler = RandomSearch(space, metric="loss", random_seed=1)
    space["late"] = uniform(0, 1)
    assert through_json(describe(scheduler, "offbeat.schedulers")).space == scheduler.space


def test_a_description_that_does_not_fit_any_more_is_a_broken_plugin() -> None:
    description = ComponentDescription("offbeat.schedulers", "asha", "offbeat", "9", {"no_such_argument": 1})
    with pytest.raises(BrokenPlugin, match="no_such_argument"):
        build(description)
    with pytest.raises(UnknownPlugin, match="ahsa"):
        build(ComponentDescription("offbeat.schedulers", "ahsa", "offbeat", "1", {}))


texts = st.text(st.characters(codec="utf-8", exclude_characters="\0"))
plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)


@given(value=plain)
@example(value={"$domain": {"domain": "uniform", "lower": 0.0, "upper": 1.0}})
@example(value={"$space": {}})
@example(value=[{"$component": "mine"}])
def test_any_json_argument_survives(value: Any) -> None:
    # Constants of a space may be any JSON: they reach the script as they were.
    space = {"x": uniform(0, 1), "constant": value}
    scheduler = RandomSearch(space, metric="loss", random_seed=1)
    again = through_json(describe(scheduler, "offbeat.schedulers"))
    assert again.space.constants["constant"] == value

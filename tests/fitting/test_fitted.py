"""A blackbox fitted to journals, against the truth that the journals were made from."""

from __future__ import annotations

from itertools import product
from typing import Any

import msgspec
import numpy as np
import pytest
from scipy.stats import spearmanr

from offbeat import StoppingCriterion, Tuner
from offbeat.backend import SimulatedBackend
from offbeat.blackbox import FittedBlackbox, load_blackbox
from offbeat.errors import InvalidArgument
from offbeat.importing.foreign import Foreign, ForeignResult, ForeignTrial, Stretch
from offbeat.importing.writing import written
from offbeat.optimizer.baselines import ASHA
from offbeat.results import load


def means(box: FittedBlackbox, configs: list[dict[str, Any]]) -> dict[str, Any]:
    """Mean over replicates of each objective, (configs, levels)."""
    curves = [box.curves(configs, [seed] * len(configs)) for seed in range(box.seeds)]
    return {name: np.mean([[one[name] for one in found] for found in curves], axis=0) for name in box.objectives}


def test_held_out_configurations_come_out_right_though_most_curves_were_cut(lab: Any) -> None:
    box = FittedBlackbox([lab.experiment("one", 60)])
    held = lab.configs(100, 9)
    found = means(box, held)
    assert box.levels == tuple(range(1, 10))
    assert (box.objectives, box.elapsed_attr, box.resource_attr) == (
        {"loss": "min", "elapsed": None},
        "elapsed",
        "epoch",
    )
    for level in (1, 3, 9):
        true = np.array([lab.loss(config, level) for config in held])
        told = found["loss"][:, level - 1]
        assert spearmanr(told, true).statistic > 0.9, level
        assert np.median(np.abs(told - true) / true) < 0.15, level
    seconds = np.array([2 + lab.pace(config) * np.arange(1, 10) for config in held])
    assert np.median(np.abs(np.log(found["elapsed"] / seconds))) < 0.1


def test_ends_of_cut_curves_are_worth_more_than_full_curves_alone(lab: Any) -> None:
    experiment = lab.experiment("one", 60)
    with_cut = FittedBlackbox([experiment])
    full = [trial for trial in with_cut._past.trials if trial.end == "full"]
    assert len(full) < 30
    held = lab.configs(200, 9)
    true = np.array([lab.loss(config, 9) for config in held])
    told = means(with_cut, held)["loss"][:, -1]
    # Early stopping has kept the good ones only: their median says nothing of a bad configuration.
    naive = np.median([trial.values[-1, 0] for trial in full])
    bad = true > np.quantile(true, 0.75)
    assert np.median(np.abs(told - true)[bad]) < 0.3 * np.median(np.abs(naive - true)[bad])


def test_curves_depend_on_configuration_and_seed_alone(lab: Any) -> None:
    experiment = lab.experiment("one", 30)
    box, again = FittedBlackbox([experiment]), FittedBlackbox(str(experiment.folder.path))
    first, second = lab.configs(2, 5)
    alone = box.curve(first, 3)
    assert alone["loss"].shape == (9,)
    assert np.all(np.diff(alone["elapsed"]) > 0)
    beside = again.curves([second, {**first, "epochs": 9}], [0, 3])[1]
    for name in box.objectives:
        assert alone[name].tolist() == beside[name].tolist()
        assert alone[name].tolist() != box.curve(first, 4)[name].tolist()
    assert box.fingerprint == again.fingerprint
    assert box.fingerprint != FittedBlackbox([experiment], max_t=3).fingerprint
    lowest = min(trial.values.min() for trial in box._past.trials)
    highest = max(trial.values.max() for trial in box._past.trials)
    found = np.array([one["loss"] for one in box.curves(lab.configs(50, 6), [0] * 50)])
    assert lowest <= found.min() <= found.max() <= highest + 1e-9


def test_replicates_scatter_less_than_configurations(lab: Any) -> None:
    box = FittedBlackbox([lab.experiment("one", 60)])
    held = lab.configs(30, 4)
    ends = np.array([[one["loss"][-1] for one in box.curves(held, [seed] * 30)] for seed in range(10)])
    assert 0 < ends.std(axis=0).mean() < 0.5 * ends.mean(axis=0).std()


def test_too_little_is_refused_with_the_bound(lab: Any) -> None:
    with pytest.raises(
        InvalidArgument, match="11 trials have a result; to fit curves over 2 hyperparameters at least 12"
    ):
        FittedBlackbox([lab.experiment("few", 11)])
    falling = iter(range(10**6, 0, -1))
    worse = lab.experiment("cut", 20, value=lambda config, level: -float(next(falling)))
    with pytest.raises(
        InvalidArgument, match=r"1 of 20 curves reach epoch 9; at least 3 are needed; or fit up to max_t=1"
    ):
        FittedBlackbox([worse])


def at_once(experiment: Any, name: str) -> Any:
    """The same results, all at one moment."""
    trials = [
        ForeignTrial(
            origin=int(trial.id),
            config=trial.config,
            stretches=(
                Stretch(
                    started=0,
                    ended=0,
                    results=tuple(ForeignResult(0, {"epoch": p.resource, "loss": p.value}) for p in trial.curve()),
                ),
            ),
        )
        for trial in experiment.trials
    ]
    from offbeat.space import Space

    one = Foreign(
        tool="test", version="", source="", digest="", name=name, space=Space.from_json(experiment.spec.space),
        objectives={"loss": "min"}, resource_attr="epoch", max_t=9, trials=tuple(trials),
    )  # fmt: skip
    return load(written(one, name, experiment.folder.path.parent))


def test_without_any_time_nothing_is_fitted(lab: Any) -> None:
    with pytest.raises(InvalidArgument, match="no time passed between reports"):
        FittedBlackbox([at_once(lab.experiment("one", 20), "timeless")])


def test_ends_without_a_resource_are_one_level(lab: Any) -> None:
    trials = [
        ForeignTrial(
            origin=number,
            config=config,
            stretches=(
                Stretch(
                    started=10.0 * number,
                    ended=10.0 * number + lab.pace(config),
                    results=(ForeignResult(10.0 * number + lab.pace(config), {"loss": lab.loss(config, 9)}),),
                ),
            ),
        )
        for number, config in enumerate(lab.configs(30, 0))
    ]
    one = Foreign(
        tool="test", version="", source="", digest="", name="ends", space=lab.space, objectives={"loss": "min"},
        trials=tuple(trials),
    )  # fmt: skip
    box = FittedBlackbox([load(written(one, "ends", lab.home))])
    assert (box.levels, box.resource_attr) == ((1,), "level")
    held = lab.configs(50, 9)
    found = means(box, held)
    assert spearmanr(found["loss"][:, 0], [lab.loss(config, 9) for config in held]).statistic > 0.9
    assert spearmanr(found["elapsed"][:, 0], [lab.pace(config) for config in held]).statistic > 0.9


def test_the_fit_says_what_was_cut_and_how_far_it_can_be_believed(lab: Any) -> None:
    fit = FittedBlackbox([lab.experiment("one", 60)]).fit
    assert (fit.trials, fit.full + fit.cut, fit.failed, fit.held_out) == (60, 60, 0, "trials")
    assert {level for level, _ in fit.cut_at} <= {1, 3}
    assert sum(n for _, n in fit.cut_at) == fit.cut
    (loss,) = fit.objectives
    assert loss.error_full is not None
    assert loss.naive_full is not None
    assert loss.error_full < loss.naive_full
    assert loss.ordered is not None
    assert loss.ordered > 0.85
    assert fit.seconds_factor is not None
    assert fit.seconds_factor < 1.2
    text = "\n".join(fit.lines())
    assert f"{fit.cut} cut early (censored)" in text
    assert "errors of held-out trials" in text
    assert "no better" not in text
    assert msgspec.json.decode(msgspec.json.encode(fit))["objectives"][0]["name"] == "loss"


def test_with_several_experiments_each_is_predicted_from_the_others(lab: Any) -> None:
    fit = FittedBlackbox([lab.experiment("one", 40), lab.experiment("two", 40, seed=1)]).fit
    assert fit.held_out == "experiments"
    assert "errors of held-out experiments" in "\n".join(fit.lines())
    assert fit.objectives[0].ordered is not None
    assert fit.objectives[0].ordered > 0.85


def test_noise_is_told_to_be_no_ranking(lab: Any) -> None:
    from offbeat.testing.histories import unit

    lot = lab.experiment("lot", 40, cut=False, value=lambda config, level: 0.1 + unit(repr(config), level))
    fit = FittedBlackbox([lot]).fit
    assert "comparisons on this fit say little" in "\n".join(fit.warnings)
    assert fit.objectives[0].inside > 0.6
    # Nor to be better than the median, where it is not.
    told = "loss: the end of full curves is predicted no better"
    for error, warned in ((0.09, False), (0.1, True), (0.11, True), (None, False)):
        one = msgspec.structs.replace(fit.objectives[0], error_full=error, naive_full=0.1, error_cut=0.2, naive_cut=0.3)
        found = msgspec.structs.replace(fit, objectives=(one,)).warnings
        assert any(text.startswith(told) for text in found) == warned, error
        assert not any("last level of cut ones" in text for text in found)


def test_the_table_of_digits_is_found_again_from_a_search_with_early_stopping(tmp_path: Any) -> None:
    from offbeat_plugins.blackboxes.digits import VALUES

    digits = load_blackbox("digits")
    for name, seed in (("one", 1), ("two", 2)):
        scheduler = ASHA(digits.space, "val_error", resource_attr="epoch", max_resource_attr="epochs", random_seed=seed)
        stop = StoppingCriterion(max_num_trials_started=60)
        Tuner(SimulatedBackend(digits), scheduler, stop, name=name, observers=[], home=tmp_path, durability="end").run()
    box = FittedBlackbox(["one", "two"], home=tmp_path)
    tried = {box.space.key(trial.config) for trial in box._past.trials}
    table = [dict(zip(VALUES, values, strict=True)) for values in product(*VALUES.values())]
    held = [config for config in table if box.space.key(box.space.validate(config)) not in tried]
    assert len(held) > 100
    found = means(box, held)
    true = {name: np.array([digits.curve(config, 0)[name] for config in held]) for name in ("val_error", "elapsed")}
    assert spearmanr(found["val_error"][:, -1], true["val_error"][:, -1]).statistic > 0.5
    assert spearmanr(found["val_error"][:, 2], true["val_error"][:, 2]).statistic > 0.6
    assert np.median(np.abs(np.log(found["elapsed"][:, -1] / true["elapsed"][:, -1]))) < 0.25

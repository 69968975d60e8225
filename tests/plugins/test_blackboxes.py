"""Blackboxes: tables, functions, surrogates, other names, and the table that comes with the package."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from offbeat import StoppingCriterion
from offbeat.backend import SimulatedBackend
from offbeat.config_space import choice, logfinrange, ordinal, uniform, when
from offbeat.errors import InvalidArgument, InvalidConfig, MissingExtra
from offbeat.optimizer.baselines import ASHA, RandomSearch
from offbeat.protocols import Blackbox
from offbeat.registry import load
from offbeat.results import load as results
from offbeat.space import Space
from offbeat_plugins.blackboxes.digits import EPOCHS, SEEDS, VALUES, config_space, digits
from offbeat_plugins.blackboxes.function import FunctionBlackbox
from offbeat_plugins.blackboxes.onnx import OnnxBlackbox, lcbench
from offbeat_plugins.blackboxes.renamed import RenamedBlackbox
from offbeat_plugins.blackboxes.tabular import TabularBlackbox, grid

DATA = Path(__file__).parents[3] / "shared" / "data"

needs_data = pytest.mark.skipif(
    not DATA.is_dir(), reason="the development data are not beside this checkout (../shared/data)"
)

GRID = {"lr": [0.001, 0.01, 0.1, 1.0], "act": ["relu", "tanh"], "layers": [1, 2, 4]}
SPACE = {"lr": logfinrange(0.001, 1, 4), "act": choice(["relu", "tanh"]), "layers": ordinal([1, 2, 4])}


def table(**options: Any) -> TabularBlackbox:
    """24 configurations, 2 seeds, 3 levels; each value says where it stands."""
    values = np.arange(24 * 2 * 3 * 2, dtype=np.float32).reshape(24, 2, 3, 2)
    settings = {"objectives": {"loss": "min", "time": None}, "levels": (1, 3, 9), "elapsed_attr": "time", **options}
    return TabularBlackbox(SPACE, grid(GRID), settings.pop("values", values), **settings)


# --- tables


def test_every_entry_of_a_table_is_found() -> None:
    box = table()
    assert (box.seeds, box.levels, len(box.configs)) == (2, (1, 3, 9), 24)
    for row, config in enumerate(grid(GRID)):
        for seed in range(2):
            curve = box.curve({**config, "epochs": 9}, seed)
            first = (row * 2 + seed) * 6
            assert curve["loss"].tolist() == [first, first + 2, first + 4]
            assert curve["time"].tolist() == [first + 1, first + 3, first + 5]
    several = box.curves([box.configs[3], box.configs[5]], [1, 0])
    assert [one["loss"][0] for one in several] == [box.curve(box.configs[3], 1)["loss"][0], 60]


def test_values_are_found_in_other_types_than_the_table_has() -> None:
    assert table().row({"lr": "0.01", "act": "tanh", "layers": 4.0}) == table().row(
        {"lr": 0.01, "act": "tanh", "layers": 4}
    )


def test_a_configuration_that_is_not_in_the_table_names_the_nearest() -> None:
    with pytest.raises(InvalidConfig, match=r"nearest one is \{'act': 'tanh', 'layers': 2, 'lr': 0\.01\}"):
        table().curve({"lr": 0.02, "act": "tanh", "layers": 2}, 0)
    with pytest.raises(InvalidConfig, match=r"lacks hyperparameter 'layers'\. Did you mean 'layer'"):
        table().curve({"lr": 0.01, "act": "tanh", "layer": 2}, 0)
    with pytest.raises(InvalidArgument, match="seeds 0 to 1"):
        table().curve(table().configs[0], 2)


@pytest.mark.parametrize(
    ("config", "near"),
    [
        ({"lr": 0.02, "act": "relu", "layers": 2.4}, {"lr": 0.01, "act": "relu", "layers": 2}),
        ({"lr": 0.05, "act": "relu", "layers": 1}, {"lr": 0.1, "act": "relu", "layers": 1}),
        ({"lr": 7.0, "act": "gelu", "layers": 4}, {"lr": 1.0, "act": "relu", "layers": 4}),
        ({"lr": 1e-9, "act": "tanh", "layers": 100}, {"lr": 0.001, "act": "tanh", "layers": 4}),
    ],
)
def test_the_nearest_configuration_by_choice(config: dict[str, Any], near: dict[str, Any]) -> None:
    box = table(nearest=True)
    assert box.configs[box.row(config)] == near


CONDITIONAL = {
    "optimizer": choice(["adam", "sgd"]),
    "momentum": when(ordinal([0.0, 0.5, 0.9]), "optimizer == 'sgd'"),
    "nesterov": when(choice([False, True]), "momentum > 0"),
}

RECORDED: list[dict[str, Any]] = [
    {"optimizer": "sgd", "momentum": 0.0},
    {"optimizer": "sgd", "momentum": 0.5, "nesterov": True},
    {"optimizer": "sgd", "momentum": 0.5, "nesterov": False},
]


def conditional(configs: Sequence[Mapping[str, Any]] = RECORDED, **options: Any) -> TabularBlackbox:
    values = np.ones((len(configs), 1, 1, 2))
    values[:, 0, 0, 0] = range(len(configs))
    objectives: Any = {"loss": "min", "time": None}
    return TabularBlackbox(CONDITIONAL, configs, values, objectives=objectives, elapsed_attr="time", **options)


@pytest.mark.parametrize(
    ("config", "near"),
    [
        ({"optimizer": "sgd", "momentum": 0.9, "nesterov": True}, 1),
        ({"optimizer": "sgd", "momentum": 0.9, "nesterov": False}, 2),
        ({"optimizer": "adam"}, 0),
    ],
)
def test_a_conditional_configuration_that_is_not_in_the_table_names_the_nearest(
    config: dict[str, Any], near: int
) -> None:
    with pytest.raises(InvalidConfig, match=re.escape(f"the nearest one is {dict(sorted(RECORDED[near].items()))}")):
        conditional().row(config)
    assert conditional(nearest=True).row(config) == near
    with pytest.raises(InvalidConfig, match="lacks hyperparameter 'optimizer'"):
        conditional().row({"momentum": 0.5, "nesterov": True})


def test_conditional_configurations_in_a_run(lab: Any) -> None:
    space = Space.of(CONDITIONAL)
    box = conditional(list(space.grid()))
    assert [box.row(config) for config in space.grid()] == list(range(6))
    scheduler = RandomSearch(space, "loss", random_seed=0)
    lab.run(lab.tuner(lab.home, scheduler, backend=SimulatedBackend(box), stop_criterion=None))
    ledger = results("run", lab.home).ledger
    assert {(box.row(r.config), r.status.value) for r in ledger} == {(row, "finished") for row in range(6)}
    assert all(r.last is not None and r.last["loss"] == box.row(r.config) for r in ledger)


def test_tasks() -> None:
    values = np.arange(2 * 24 * 6, dtype=float).reshape(2, 24, 1, 3, 2)
    for name, first in (("a", 0), ("b", 144)):
        box = table(values=values, tasks=["a", "b"], dataset=name)
        assert box.curve(box.configs[0], 0)["loss"][0] == first
    with pytest.raises(InvalidArgument, match=r"no data set 'bb'\. Did you mean 'b'"):
        table(values=values, tasks=["a", "b"], dataset="bb")
    with pytest.raises(InvalidArgument, match="dataset= is needed"):
        table(values=values, tasks=["a", "b"])
    with pytest.raises(InvalidArgument, match="five axes are needed, the first with 3"):
        table(values=values, tasks=["a", "b", "c"])
    with pytest.raises(InvalidArgument, match="this table has no tasks"):
        table(dataset="a")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"values": np.zeros((24, 2, 3))}, r"shape \(24, 2, 3\)"),
        ({"values": np.zeros((23, 2, 3, 2))}, "24 configurations"),
        ({"values": np.zeros((24, 0, 3, 2))}, "some seeds"),
        ({"levels": (1, 3)}, "2 levels"),
        ({"elapsed_attr": "tim"}, "Did you mean 'time'"),
        ({"objectives": {"loss": "mini", "time": None}}, "Did you mean 'min'"),
    ],
)
def test_tables_that_do_not_fit(options: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidArgument, match=said):
        table(**options)


def test_a_configuration_that_stands_twice() -> None:
    with pytest.raises(InvalidArgument, match="configs 0 and 1 are the same"):
        TabularBlackbox(
            {"x": uniform(0, 1)}, [{"x": 0.5}, {"x": 0.5}], np.zeros((2, 1, 1, 1)), objectives={"loss": "min"}
        )
    with pytest.raises(InvalidConfig, match="'x'"):
        TabularBlackbox({"x": uniform(0, 1)}, [{"x": 2.0}], np.zeros((1, 1, 1, 1)), objectives={"loss": "min"})


def test_padded_and_missing_levels_in_a_run(lab: Any) -> None:
    """Curves of different length, and one level that nobody recorded."""
    values = np.ones((24, 1, 4, 2))
    values[:, 0, :, 1] = [10, 20, 30, 40]
    values[:, 0, 1] = math.nan
    values[::2, 0, 2:] = math.nan
    box = TabularBlackbox(
        SPACE, grid(GRID), values, objectives={"loss": "min", "time": None}, levels=(1, 2, 3, 4), elapsed_attr="time"
    )
    scheduler = RandomSearch(SPACE, "loss", resource_attr="epoch", random_seed=0)
    lab.run(lab.tuner(lab.home, scheduler, backend=SimulatedBackend(box), stop_criterion=None))
    ledger = results("run", lab.home).ledger
    assert [record.resource for record in ledger] == [1 if box.row(record.config) % 2 == 0 else 4 for record in ledger]
    assert {record.status.value for record in ledger} == {"finished"}
    assert {record.reports for record in ledger} == {1, 3}


@pytest.mark.parametrize("nonfinite", ["fail", "ignore", "worst"])
def test_a_configuration_without_any_record_fails_alone(lab: Any, nonfinite: Any) -> None:
    """Two of the 24 have no value at all but their times: missing is not NaN that a training has reported."""
    values = np.ones((24, 1, 3, 2))
    values[:, 0, :, 1] = [10, 20, 30]
    values[[3, 17], :, :, 0] = math.nan
    box = table(values=values)
    scheduler = RandomSearch(SPACE, "loss", resource_attr="epoch", random_seed=0, nonfinite=nonfinite)
    outcome = lab.run(lab.tuner(lab.home, scheduler, backend=SimulatedBackend(box), stop_criterion=None))
    assert outcome.outcome == "done"
    ledger = results("run", lab.home).ledger
    assert len(ledger) == 24
    for record in ledger:
        lost = box.row(record.config) in (3, 17)
        assert (record.status.value, record.reports) == (("failed", 0) if lost else ("finished", 3))
        reason = "the blackbox has no value at any level for this configuration and seed"
        assert record.reason == (reason if lost else "ran to its end")


def test_levels_of_a_table_may_be_counted() -> None:
    assert table(levels=3).levels == (1, 2, 3)
    for levels, said in (
        (4, "3 levels|4 levels"),
        (True, "levels=True"),
        ("3", "levels='3'"),
        ((3, 2, 1), "increasing"),
    ):
        with pytest.raises(InvalidArgument, match=said):
            table(levels=levels)


# --- functions, other names


def test_functions_point_by_point_and_whole() -> None:
    def point(config: Mapping[str, Any], level: int, seed: int) -> dict[str, Any]:
        return {"loss": config["x"] + level, "elapsed": level * 2}

    def whole(config: Mapping[str, Any], levels: Any, seed: int) -> dict[str, Any]:
        return {"loss": config["x"] + levels, "elapsed": levels * 2}

    space = {"x": uniform(0, 1)}
    one = FunctionBlackbox(point, space, levels=3, objectives=["loss"])
    other = FunctionBlackbox(whole, space, levels=3, objectives={"loss": "max"}, whole_curve=True)
    for box in (one, other):
        assert {k: list(v) for k, v in box.curve({"x": 0.5}, 0).items()} == {
            "loss": [1.5, 2.5, 3.5],
            "elapsed": [2, 4, 6],
        }
        assert len(box.curves([{"x": 0.1}, {"x": 0.2}], [0, 0])) == 2
        assert isinstance(box, Blackbox)
    assert other.objectives == {"loss": "max", "elapsed": None}
    with pytest.raises(InvalidArgument, match=r"answered no 'los' at level 1\. Did you mean 'loss'"):
        FunctionBlackbox(point, space, levels=3, objectives=["los"]).curve({"x": 0.5}, 0)
    with pytest.raises(InvalidArgument, match="answered 1 at level 1"):
        FunctionBlackbox(lambda c, n, s: 1, space, levels=3, objectives=["los"]).curve({"x": 0.5}, 0)  # type: ignore[arg-type, return-value]
    with pytest.raises(InvalidArgument, match="cannot be called"):
        FunctionBlackbox(3, space, levels=3, objectives=["loss"])  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"levels": 0}, "levels=0: give the highest level"),
        ({"levels": 9.0}, r"levels=9\.0"),
        ({"levels": None}, "levels=None"),
        ({"levels": True}, "levels=True"),
        ({"levels": "9"}, "levels='9'"),
        ({"levels": [1, 2.5]}, r"levels=\[1, 2\.5\]"),
        ({"levels": [0, 1]}, "whole numbers from 1 up"),
        ({"levels": [3, 2]}, "increasing"),
        ({"levels": []}, r"levels=\[\]"),
        ({"seeds": 0}, "seeds=0"),
        ({"seeds": -1}, "seeds=-1"),
        ({"seeds": 1.5}, r"seeds=1\.5"),
        ({"objectives": "loss"}, "objectives='loss': give a list of names"),
        ({"objectives": []}, r"objectives=\[\]"),
        ({"objectives": None}, "objectives=None"),
        ({"objectives": [3]}, r"objectives=\[3\]"),
        ({"objectives": {"loss": "minimum"}}, "loss='minimum' is not valid. Did you mean 'min'"),
        ({"objectives": {"loss": "maximise"}}, "Did you mean 'max'"),
    ],
)
def test_functions_with_wrong_arguments(options: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidArgument, match=said):
        FunctionBlackbox(lambda c, n, s: {}, SPACE, **{"levels": 3, "objectives": ["loss"], **options})


def test_levels_of_any_kind() -> None:
    for levels in ((1, 3, 9), [1, 3, 9], np.array([1, 3, 9]), (n for n in (1, 3, 9))):
        box = FunctionBlackbox(lambda c, n, s: {}, SPACE, levels=levels, objectives=["loss"])  # type: ignore[arg-type]
        assert box.levels == (1, 3, 9)
        assert {type(level) for level in box.levels} == {int}
    assert FunctionBlackbox(lambda c, n, s: {}, SPACE, levels=np.int64(2), objectives=["loss"]).levels == (1, 2)  # type: ignore[arg-type]


def test_a_function_cannot_change_the_levels_of_other_trainings() -> None:
    def shifts(config: Any, levels: Any, seed: int) -> dict[str, Any]:
        levels += 1
        return {"loss": 1 / levels, "elapsed": 1.0 * levels}

    box = FunctionBlackbox(shifts, {"x": uniform(0, 1)}, levels=3, objectives=["loss"], whole_curve=True)
    with pytest.raises(ValueError, match="read-only"):
        box.curve({"x": 0.5}, 0)


def test_other_names() -> None:
    box = RenamedBlackbox(table(), {"loss": "error", "time": "seconds"}, modes={"error": "max"}, resource_attr="step")
    assert box.objectives == {"error": "max", "seconds": None}
    assert (box.elapsed_attr, box.resource_attr) == ("seconds", "step")
    assert list(box.curve(table().configs[0], 0)) == ["error", "seconds"]
    assert list(box.curves(table().configs[:1], [0])[0]) == ["error", "seconds"]
    SimulatedBackend(box)
    for names, modes, said in (
        ({"los": "error"}, {}, "Did you mean 'loss'"),
        ({"loss": "time"}, {}, "would have the same name"),
        ({}, {"los": "min"}, "Did you mean 'loss'"),
        ({}, {"loss": "mim"}, "Did you mean 'min'"),
    ):
        with pytest.raises(InvalidArgument, match=said):
            RenamedBlackbox(table(), names, modes=modes)  # type: ignore[arg-type]


# --- the shipped table


def test_the_shipped_table() -> None:
    box = load("blackboxes", "digits")()
    assert box is digits("digits")
    assert isinstance(box, Blackbox)
    assert (box.levels, box.seeds, len(box.configs)) == (tuple(range(1, 28)), 3, 252)
    assert box.objectives == {"val_error": "min", "val_loss": "min", "elapsed": None}
    errors, losses = [], []
    for config in grid(VALUES):
        for seed in range(SEEDS):
            curve = box.curve(config, seed)
            assert (np.diff(curve["elapsed"]) > 0).all()
            assert curve["elapsed"][0] > 0
            errors.append(curve["val_error"])
            losses.append(curve["val_loss"])
    error, loss = np.array(errors), np.array(losses)
    # Whole numbers of 540 images; from one that learns nothing to one that misreads one in a hundred.
    assert np.allclose(error * 540, np.round(error * 540))
    assert error[:, -1].min() < 0.015
    assert error[:, -1].max() > 0.85
    assert np.isfinite(loss).all()
    assert 0 < loss.min() < 0.1


def test_the_table_is_what_the_script_trains(lab: Any) -> None:
    """One short training by the demo's own code; other machines may round otherwise, so that only roughly the same is asked."""
    from offbeat.demo.train_digits import Network, validate
    from offbeat.demo.train_digits import digits as data

    config = {**dict(zip(VALUES, (0.1, 0.0, 128, 16, 0.0), strict=True))}
    images, labels, validation_images, validation_labels = data()
    network = Network([64, 16, 32, 10], np.random.default_rng([1, 0]))
    found = []
    for epoch in range(1, 4):
        rng = np.random.default_rng([1, epoch])
        rate = 0.1 * 0.5 * (1 + np.cos(np.pi * (epoch - 1) / EPOCHS))
        order = rng.permutation(len(images))
        for start in range(0, len(images), 128):
            batch = order[start : start + 128]
            network.step(network.gradients(images[batch], labels[batch], 0.0, rng), rate, 0.0, 1e-4)
        found.append(validate(network, validation_images, validation_labels)[0])
    assert digits().curve(config, 1)["val_error"][:3] == pytest.approx(found, abs=0.02)


def test_asha_finds_good_networks_sooner_than_random_search(lab: Any) -> None:
    """Over ten seeds, by the time at which an error of 2 % was first reported."""

    def seconds(make: Any) -> float:
        total = 0.0
        for seed in range(10):
            stop = StoppingCriterion(min_metric_value={"val_error": 0.02})
            home = lab.home / f"{make.__name__}-{seed}"
            scheduler = make(
                config_space(), "val_error", resource_attr="epoch", max_resource_attr="epochs", random_seed=seed
            )
            lab.run(lab.tuner(home, scheduler, backend=SimulatedBackend("digits"), stop_criterion=stop))
            total += results("run", home).elapsed
        return total

    assert seconds(ASHA) < 0.6 * seconds(RandomSearch)


# --- surrogates


def runtime() -> None:
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed: pip install 'offbeat[blackbox]'")


@needs_data
def test_without_onnxruntime_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(MissingExtra, match=r"offbeat\[blackbox\]"):
        lcbench(DATA / "lcbench", "7593")


@needs_data
def test_lcbench() -> None:
    runtime()
    box = lcbench(DATA / "lcbench", "7593")
    assert isinstance(box, Blackbox)
    assert box.levels == tuple(range(1, 53))
    config = {"batch_size": 64, "learning_rate": 0.01, "momentum": 0.9, "weight_decay": 0.01, "num_layers": 3,
              "max_units": 256, "max_dropout": 0.2}  # fmt: skip
    curve = box.curve(config, 0)
    # The example of the data's README, by hand.
    import onnxruntime

    session = onnxruntime.InferenceSession(str(DATA / "lcbench" / "model.onnx"), providers=["CPUExecutionProvider"])
    code = json.loads((DATA / "lcbench" / "encoding.json").read_text())["OpenML_task_id"]["7593"]
    x = np.array([[e, 64, 0.01, 0.9, 0.01, 3, 256, 0.2] for e in range(1, 53)], np.float32)
    y = session.run(None, {"x_cat": np.full((52, 1), code, np.int32), "x_cont": x})[0]
    assert curve["val_accuracy"] == pytest.approx(y[:, 1])
    assert curve["time"] == pytest.approx(np.maximum.accumulate(y[:, 0]), abs=1e-3)
    assert (np.diff(curve["time"]) > 0).all()
    several = box.curves([config, {**config, "max_units": 64}], [0, 0])
    assert several[0]["val_accuracy"] == pytest.approx(curve["val_accuracy"], rel=1e-5)
    assert not np.allclose(several[1]["val_accuracy"], curve["val_accuracy"])


@needs_data
def test_lcbench_in_a_run(lab: Any) -> None:
    runtime()
    box = lcbench(DATA / "lcbench", "189906")
    scheduler = ASHA({**box.space.domains, "epochs": 52}, "val_accuracy", "max", random_seed=0,
                     resource_attr="epoch", max_resource_attr="epochs")  # fmt: skip
    backend = SimulatedBackend(box, max_resource_attr="epochs")
    lab.run(
        lab.tuner(lab.home, scheduler, backend=backend, stop_criterion=StoppingCriterion(max_wallclock_time=1608.5))
    )
    best = results("run", lab.home).best()
    assert best is not None
    assert best.value > 80


@needs_data
def test_wrong_names_of_a_surrogate() -> None:
    with pytest.raises(InvalidArgument, match="Did you mean '7593'"):
        lcbench(DATA / "lcbench", "759")
    for options, said in (
        ({"inputs": ("epoch", "batch")}, "no 'batch'. Did you mean 'batch_size'"),
        ({"elapsed_attr": "tim"}, "Did you mean 'time'"),
    ):
        settings: dict[str, Any] = {
            "task_name": "OpenML_task_id", "inputs": ("epoch", "batch_size"), "outputs": {"time": None}, **options,
        }  # fmt: skip
        with pytest.raises(InvalidArgument, match=said):
            OnnxBlackbox(DATA / "lcbench", "7593", **settings)
    runtime()
    with pytest.raises(InvalidArgument, match="lacks hyperparameter 'momentum'"):
        lcbench(DATA / "lcbench", "7593").curve({"batch_size": 16, "learning_rate": 0.1}, 0)


# --- the development tables


def recorded(file: str) -> tuple[dict[str, Any], list[dict[str, Any]], Mapping[str, Any]]:
    """Space, configurations and arrays of one of the tables beside the checkout."""
    with np.load(DATA / file, allow_pickle=False) as arrays:
        entries = json.loads(str(arrays["space"]))
        values = {name: arrays[name] for name in arrays if name != "space"}
    space = {
        one["name"]: choice(one["values"])
        if one["type"] == "cat"
        else ordinal(one["values"], "nn-log" if one["log"] else "nn")
        for one in entries
    }
    return space, grid({one["name"]: one["values"] for one in entries}), values


@needs_data
def test_nasbench201(lab: Any) -> None:
    space, configs, arrays = recorded("nasbench201_cifar10.npz")
    error = 100 - arrays["val_acc"]
    seconds = np.broadcast_to(arrays["train_time"][:, None], error.shape)
    box = TabularBlackbox(
        space, configs, np.stack([error, seconds], axis=-1)[:, :, None, :],
        objectives={"error": "min", "runtime": None}, elapsed_attr="runtime",
    )  # fmt: skip
    assert (box.seeds, len(box.configs)) == (3, 15625)
    row = 15625 // 3
    config = dict(zip(space, (["none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3"][i]
                              for i in np.unravel_index(row, [5] * 6)), strict=True))  # fmt: skip
    assert box.row(config) == row
    stop = StoppingCriterion(max_wallclock_time=45699.7)
    scheduler = RandomSearch(space, "error", random_seed=0, nonfinite="ignore")
    lab.run(lab.tuner(lab.home, scheduler, backend=SimulatedBackend(box), stop_criterion=stop))
    best = results("run", lab.home).best()
    assert best is not None
    assert 8.0 < best.value < 13.0


@needs_data
def test_fcnet(lab: Any) -> None:
    space, configs, arrays = recorded("fcnet_protein_structure.npz")
    values = np.stack([arrays["val_loss"], arrays["train_time"]], axis=-1)[:, :, None, :]
    box = TabularBlackbox(
        space, configs, values, objectives={"val_loss": "min", "elapsed": None}, elapsed_attr="elapsed", levels=(100,)
    )
    assert (box.seeds, len(box.configs)) == (4, 62208)
    stop = StoppingCriterion(max_wallclock_time=7048.3)
    scheduler = RandomSearch(space, "val_loss", random_seed=0)
    lab.run(lab.tuner(lab.home, scheduler, backend=SimulatedBackend(box), stop_criterion=stop))
    found = results("run", lab.home)
    best = found.best()
    assert best is not None
    assert 0.2 < best.value < 0.35
    assert 80 < len(found.ledger) < 140

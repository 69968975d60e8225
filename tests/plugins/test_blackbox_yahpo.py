"""Scenarios of YAHPO Gym: the files that there are, and networks made here with categories, conditions, several fidelities.

A network is a matrix, written as ONNX by hand: what it answers is known from its inputs, so that a test sees which number
went to which place.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from offbeat.blackbox import BlackboxRepository, load_blackbox
from offbeat.config_space import choice, lograndint, loguniform, randint, uniform
from offbeat.errors import DamagedBlackbox, InvalidArgument
from offbeat.protocols import Blackbox
from offbeat_plugins.blackboxes.repository.scenarios import SCENARIOS

pytest.importorskip("onnxruntime", reason="onnxruntime is not installed (extra blackbox)")

DATA = Path(__file__).parents[3] / "shared" / "data"


# --- ONNX by hand (protocol buffers: field numbers of onnx.proto)


def varint(value: int) -> bytes:
    found = b""
    while value > 127:
        found += bytes([value & 127 | 128])
        value >>= 7
    return found + bytes([value])


def field(number: int, value: int | bytes | str) -> bytes:
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    content = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(content)) + content


def node(kind: str, inputs: list[str], output: str, **attributes: int) -> bytes:
    body = b"".join(field(1, name) for name in inputs) + field(2, output) + field(4, kind)
    for name, value in attributes.items():
        body += field(5, field(1, name) + field(3, value) + field(20, 2))
    return field(1, body)


def port(number: int, name: str, kind: int, width: int) -> bytes:
    shape = field(1, field(2, "n")) + field(1, field(1, width))
    return field(number, field(1, name) + field(2, field(1, field(1, kind) + field(2, shape))))


def network(weights: Any, codes: int) -> bytes:
    """[x_cat, x_cont] @ weights; as ONNX, opset 13."""
    weights = np.asarray(weights, np.float32)
    inputs, outputs = weights.shape
    matrix = (
        b"".join(field(1, size) for size in weights.shape) + field(2, 1) + field(8, "w") + field(9, weights.tobytes())
    )
    graph = (
        node("Cast", ["x_cat"], "codes", to=1)
        + node("Concat", ["codes", "x_cont"], "x", axis=1)
        + node("MatMul", ["x", "w"], "output")
        + field(2, "g")
        + field(5, matrix)
        + port(11, "x_cat", 6, codes)
        + port(11, "x_cont", 1, inputs - codes)
        + port(12, "output", 1, outputs)
    )
    return field(1, 8) + field(8, field(1, "") + field(2, 13)) + field(7, graph)


# --- a scenario with everything: rbv2_ranger


def categorical(name: str, *choices: str) -> dict[str, Any]:
    return {"name": name, "type": "categorical", "choices": list(choices)}


def numeric(name: str, kind: str, lower: float, upper: float, log: bool = False) -> dict[str, Any]:
    return {"name": name, "type": f"uniform_{kind}", "lower": lower, "upper": upper, "log": log}


HYPERPARAMETERS = [
    numeric("min.node.size", "int", 1, 100, log=True),
    numeric("mtry.power", "float", 0, 1),
    categorical("num.impute.selected.cpo", "impute.mean", "impute.median", "impute.hist"),
    numeric("num.trees", "int", 1, 2000),
    numeric("repl", "int", 1, 10),
    categorical("respect.unordered.factors", "ignore", "order", "partition"),
    numeric("sample.fraction", "float", 0.1, 1.0),
    categorical("splitrule", "gini", "extratrees"),
    categorical("task_id", "1040", "6"),
    numeric("trainsize", "float", 0.03, 1.0),
    numeric("num.random.splits", "int", 1, 100),
]
CONDITIONS = [{"child": "num.random.splits", "parent": "splitrule", "type": "EQ", "value": "extratrees"}]
ENCODING = {
    "num.impute.selected.cpo": {"#na#": 0, "impute.hist": 1, "impute.mean": 2, "impute.median": 3},
    "respect.unordered.factors": {"#na#": 0, "ignore": 1, "order": 2, "partition": 3},
    "splitrule": {"#na#": 0, "extratrees": 1, "gini": 2},
    "task_id": {"#na#": 0, "1040": 1, "6": 2},
    "repl": {"#na#": 0, **{str(i): i for i in range(1, 11)}},
}
CONFIG = {
    "min.node.size": 7, "mtry.power": 0.5, "num.impute.selected.cpo": "impute.hist", "num.trees": 300,
    "respect.unordered.factors": "partition", "sample.fraction": 0.25, "splitrule": "extratrees", "num.random.splits": 40,
}  # fmt: skip


def ranger(root: Path, name: str = "anything", **changed: Any) -> Path:
    scenario = SCENARIOS["rbv2_ranger"]
    folder = root / name
    folder.mkdir(parents=True, exist_ok=True)
    inputs = len(scenario.categories) + len(scenario.inputs)
    weights = np.zeros((inputs, len(scenario.outputs)))
    # acc, bac, auc ... answer one input each; timetrain is trainsize in minutes.
    for output, place in enumerate(changed.get("shown", (0, 1, 2, 4, 9))):
        weights[place, output] = 1.0
    weights[inputs - 1, 5] = 60.0
    (folder / "model.onnx").write_bytes(network(weights, len(scenario.categories)))
    (folder / "encoding.json").write_text(json.dumps(changed.get("encoding", ENCODING)))
    space = {"hyperparameters": HYPERPARAMETERS, "conditions": CONDITIONS, "forbiddens": [], **changed.get("space", {})}
    (folder / "config_space.json").write_text(json.dumps(space))
    return root


def test_a_scenario_is_recognised_by_its_names_and_every_input_goes_to_its_place(tmp_path: Path) -> None:
    box = load_blackbox("anything", "6", repository=ranger(tmp_path))
    assert isinstance(box, Blackbox)
    assert (box.resource_attr, box.elapsed_attr, box.levels) == ("trainsize", "timetrain", tuple(range(1, 21)))
    assert box.objectives["brier"] == "min"
    assert box.space.domains["min.node.size"] == lograndint(1, 100)
    assert box.space.domains["splitrule"] == choice(["gini", "extratrees"])
    assert set(box.space.domains) == set(CONFIG)
    assert set(box.space.conditions) == {"num.random.splits"}
    curve = box.curve(box.space.validate(CONFIG), 0)
    # task_id, respect.unordered.factors, splitrule, repl at its highest, num.random.splits.
    for name, value in (("acc", 2), ("bac", 3), ("auc", 1), ("brier", 10), ("logloss", 40)):
        assert curve[name].tolist() == [value] * 20
    assert curve["timetrain"].tolist() == pytest.approx([3 * level for level in range(1, 21)], abs=1e-4)


def test_what_is_inactive_is_zero(tmp_path: Path) -> None:
    box = load_blackbox("anything", "1040", repository=ranger(tmp_path, shown=(0, 2, 9)))
    config = {name: value for name, value in CONFIG.items() if name != "num.random.splits"} | {"splitrule": "gini"}
    curve = box.curve(box.space.validate(config), 0)
    assert [curve[name][0] for name in ("acc", "bac", "auc")] == [1, 2, 0]
    several = box.curves([box.space.validate(CONFIG), box.space.validate(config)], [0, 0])
    assert [one["auc"][0] for one in several] == [40, 0]


def test_another_fidelity_can_be_the_resource(tmp_path: Path) -> None:
    root = ranger(tmp_path, shown=(4, 10))
    box = load_blackbox("anything", "6", repository=root, resource_attr="repl")
    assert (box.resource_attr, box.levels) == ("repl", tuple(range(1, 11)))
    curve = box.curve(CONFIG, 0)
    assert curve["acc"].tolist() == list(range(1, 11))
    assert curve["bac"].tolist() == [1.0] * 10
    with pytest.raises(
        InvalidArgument, match=r"resource_attr='epoch' is no fidelity of anything\. Known: 'repl', 'trainsize'"
    ):
        load_blackbox("anything", "6", repository=root, resource_attr="epoch")


def test_a_fraction_is_never_below_its_lowest_value(tmp_path: Path) -> None:
    space = {"hyperparameters": [
        numeric("trainsize", "float", 0.1, 1.0) if entry["name"] == "trainsize" else entry for entry in HYPERPARAMETERS
    ]}  # fmt: skip
    box = load_blackbox("anything", "6", repository=ranger(tmp_path, shown=(10,), space=space))
    assert box.curve(CONFIG, 0)["acc"].tolist() == pytest.approx([0.1, 0.1, *[i / 20 for i in range(3, 21)]], abs=1e-6)


def test_names_of_folders_below_yahpo(tmp_path: Path) -> None:
    ranger(tmp_path / "yahpo", "rbv2_ranger")
    repository = BlackboxRepository(tmp_path)
    assert repository.names() == ["yahpo-rbv2_ranger"]
    assert repository.tasks("yahpo-rbv2_ranger") == ["1040", "6"]
    found = repository.describe("yahpo-rbv2_ranger")
    assert (found["layout"], found["tasks"][0]["levels"], found["tasks"][0]["configurations"]) == ("yahpo", 20, None)
    assert load_blackbox("yahpo-rbv2_ranger", "6", repository=tmp_path).seeds == 1


def test_conditions_of_every_kind(tmp_path: Path) -> None:
    extra = [
        {"child": "num.trees", "parent": "splitrule", "type": "IN", "values": ["gini", "extratrees"]},
        {"child": "mtry.power", "type": "OR", "conditions": [
            {"parent": "min.node.size", "type": "GT", "value": 50, "child": "mtry.power"},
            {"parent": "splitrule", "type": "NEQ", "value": "gini", "child": "mtry.power"},
        ]},
        {"child": "sample.fraction", "type": "AND", "conditions": [
            {"parent": "min.node.size", "type": "LT", "value": 50, "child": "sample.fraction"},
            {"parent": "splitrule", "type": "EQ", "value": "gini", "child": "sample.fraction"},
        ]},
    ]  # fmt: skip
    forbidden = [{"name": "num.impute.selected.cpo", "type": "IN", "values": ["impute.hist", "impute.median"]}]
    space = {"conditions": [*CONDITIONS, *extra], "forbiddens": forbidden}
    box = load_blackbox("anything", "6", repository=ranger(tmp_path, space=space))
    rng = np.random.default_rng(0)
    for _ in range(100):
        config = box.space.from_units(rng.random(box.space.width))
        gini, large = config["splitrule"] == "gini", config["min.node.size"]
        assert ("num.random.splits" in config) == (not gini)
        assert ("mtry.power" in config) == (large > 50 or not gini)
        assert ("sample.fraction" in config) == (large < 50 and gini)
        assert config["num.impute.selected.cpo"] == "impute.mean"
        assert np.isfinite(box.curve(config, 0)["acc"]).all()
    unknown = {"conditions": [{"child": "num.trees", "parent": "splitrule", "type": "LIKE", "value": "g"}]}
    with pytest.raises(InvalidArgument, match="type 'LIKE' has no counterpart"):
        load_blackbox("anything", "6", repository=ranger(tmp_path / "unknown", space=unknown))


def test_a_network_of_one_s_own_describes_itself(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    entries = [numeric("x", "float", 0, 1), numeric("step", "int", 1, 5), categorical("kind", "a", "b")]
    (folder / "config_space.json").write_text(json.dumps({"hyperparameters": entries}))
    (folder / "encoding.json").write_text(json.dumps({"kind": {"a": 0, "b": 1}}))
    (folder / "model.onnx").write_bytes(network([[10.0], [1.0], [100.0]], 1))
    with pytest.raises(DamagedBlackbox, match=r"no scenario that is known.*Describe the network's inputs"):
        load_blackbox("mine", repository=tmp_path)
    own = {"inputs": ["step", "x"], "categories": ["kind"], "outputs": {"loss": "min"}, "fidelities": ["step"]}
    (folder / "metadata.json").write_text(json.dumps({"offbeat": {"onnx": own}}))
    box = load_blackbox("mine", repository=tmp_path)
    assert box.space.domains == {"kind": choice(["a", "b"]), "x": uniform(0, 1)}
    assert box.curve({"x": 0.5, "kind": "b"}, 0)["loss"].tolist() == [61, 62, 63, 64, 65]
    for change, said in (
        ({"inputs": "step"}, "does not describe a network"),
        ({"categories": ["sort"]}, "lacks 'sort'"),
    ):
        (folder / "metadata.json").write_text(json.dumps({"offbeat": {"onnx": {**own, **change}}}))
        with pytest.raises(DamagedBlackbox, match=said):
            load_blackbox("mine", repository=tmp_path)


def test_damaged_files_of_a_scenario_are_named(tmp_path: Path) -> None:
    def broken(name: str, content: bytes) -> Path:
        root = ranger(tmp_path / name.replace(".", "-") / str(len(content)))
        (root / "anything" / name).write_bytes(content)
        return root

    model = network(np.zeros((3, 7)), 1)
    for root, said in (
        (broken("model.onnx", b"no network"), r"model\.onnx cannot be used: it is no whole ONNX network"),
        (
            broken("model.onnx", model),
            r"model\.onnx cannot be used: its input x_cont has 2 columns, its description names 6",
        ),
        (broken("encoding.json", b"{"), r"encoding\.json cannot be used: it is no JSON"),
        (broken("encoding.json", b'{"task_id": {}}'), r"encoding\.json cannot be used: it has no codes of"),
        (broken("config_space.json", b"[ ]"), r"config_space\.json cannot be used: it holds a list"),
        (broken("config_space.json", b"{}"), r"config_space\.json cannot be used: it has no list of hyperparameters"),
    ):
        with pytest.raises(DamagedBlackbox, match=said):
            load_blackbox("anything", "6", repository=root)
    for space, said in (
        (
            {"hyperparameters": [{"name": "x"} if e["name"] == "num.trees" else e for e in HYPERPARAMETERS]},
            "no scenario",
        ),
        ({"hyperparameters": [{"name": e["name"]} for e in HYPERPARAMETERS]}, "an entry lacks 'choices'"),
        ({"hyperparameters": [{**e, "lower": 5000} for e in HYPERPARAMETERS]}, "lower"),
    ):
        with pytest.raises(DamagedBlackbox, match=said):
            load_blackbox("anything", "6", repository=ranger(tmp_path / said.replace(" ", "-"), space=space))
    gone = ranger(tmp_path / "gone")
    (gone / "anything" / "model.onnx").unlink()
    with pytest.raises(DamagedBlackbox, match=r"There is no .*model\.onnx"):
        load_blackbox("anything", "6", repository=gone)
    with pytest.raises(InvalidArgument, match="a network has its own"):
        load_blackbox("anything", "6", repository=ranger(tmp_path / "timed"), seconds_per_level=1.0)


def test_every_known_scenario_has_names_of_its_own() -> None:
    """So that none is taken for another, and each has its inputs once."""
    from offbeat_plugins.blackboxes.repository.scenarios import recognised

    for name, scenario in SCENARIOS.items():
        names = [*scenario.inputs, *scenario.categories]
        assert len(set(names)) == len(names), name
        assert recognised(set(names)) is scenario, name
        assert scenario.elapsed_attr in scenario.outputs
        assert set(scenario.fidelities) <= set(names)


@pytest.mark.skipif(not DATA.is_dir(), reason="the development data are not beside this checkout (../shared/data)")
def test_the_real_files_of_lcbench() -> None:
    box = load_blackbox("lcbench", "7593", repository=DATA)
    assert (box.levels, box.resource_attr, box.elapsed_attr) == (tuple(range(1, 53)), "epoch", "time")
    assert box.space.domains["num_layers"] == randint(1, 5)
    assert isinstance(box.space.domains["learning_rate"], type(loguniform(1e-4, 0.1)))
    config = {
        "batch_size": 64, "learning_rate": 0.01, "momentum": 0.9, "weight_decay": 0.01, "num_layers": 3, "max_units": 256,
        "max_dropout": 0.2,
    }  # fmt: skip
    import onnxruntime

    session = onnxruntime.InferenceSession(str(DATA / "lcbench" / "model.onnx"), providers=["CPUExecutionProvider"])
    code = json.loads((DATA / "lcbench" / "encoding.json").read_text())["OpenML_task_id"]["7593"]
    x = np.array([[epoch, 64, 0.01, 0.9, 0.01, 3, 256, 0.2] for epoch in range(1, 53)], np.float32)
    (answers,) = session.run(None, {"x_cat": np.full((52, 1), code, np.int32), "x_cont": x})
    curve = box.curve(config, 0)
    for place, name in enumerate(box.objectives):
        if name != "time":
            assert curve[name].tolist() == pytest.approx(answers[:, place].tolist(), rel=1e-5)
    assert curve["time"].tolist() == pytest.approx(np.maximum.accumulate(answers[:, 0]).tolist(), rel=1e-4)

"""Folders of recorded trainings: every layout with the known irregularities, files that contradict each other, round trips.

The files that are read are made here with NumPy and pyarrow alone, as other programs write them.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from offbeat.blackbox import BlackboxRepository, TabularBlackbox, add_surrogate, load_blackbox
from offbeat.config_space import choice, finrange, logfinrange, loguniform, ordinal, uniform, when
from offbeat.errors import DamagedBlackbox, InvalidArgument, InvalidConfig, MissingExtra
from offbeat.protocols import Blackbox
from offbeat.space import Space

pa = pytest.importorskip("pyarrow", reason="pyarrow is not installed (extra blackbox)")
parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed (extra blackbox)")

UNIFORM = {"sampler_cls": "Uniform", "sampler_kwargs": {}}
LOG = {"sampler_cls": "LogUniform", "sampler_kwargs": {"base": 2.718281828459045}}


def number(kind: str, lower: float, upper: float, sampler: Mapping[str, Any] = UNIFORM) -> dict[str, Any]:
    return {"domain_cls": kind, "domain_kwargs": {"lower": lower, "upper": upper}, **sampler}


def listed(kind: str, categories: Sequence[Any], **more: Any) -> dict[str, Any]:
    return {"domain_cls": kind, "domain_kwargs": {"categories": list(categories), **more}, **UNIFORM}


def put(folder: Path, name: str, data: Any) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    if name.endswith(".json"):
        path.write_text(json.dumps(data))
    elif name.endswith(".npy"):
        np.save(path, data)
    else:
        parquet.write_table(pa.table(data), path, compression="gzip")


SPACE = {"lr": number("Float", 1e-4, 1.0, LOG), "op": listed("Categorical", ["relu", "tanh"])}
COLUMNS = {"op": ["relu", "tanh", "relu"], "lr": [0.001, 0.01, 0.1]}
"""The file's order is not the space's."""
METADATA = {
    "objectives_names": ["metric_error", "metric_elapsed_time"], "task_names": ["t0", "t1"],
    "metric_elapsed_time": "metric_elapsed_time", "metric_default": "metric_error", "time_attr": "hp_epoch",
}  # fmt: skip


def values(tasks: int = 2, configs: int = 3, seeds: int = 2, levels: int = 4) -> Any:
    """(task, config, seed, level, objective): an error that says where it stands, and a cumulative time."""
    error = np.arange(tasks * configs * seeds * levels, dtype=np.float32).reshape(tasks, configs, seeds, levels)
    time = np.broadcast_to(np.arange(1, levels + 1, dtype=np.float32) * 10, error.shape)
    return np.stack([error, time], axis=-1).astype(np.float32)


def shared(root: Path, **changed: Any) -> Path:
    """A folder in layout A, `box`; `changed` replaces what is in a file (by its name without the ending), None leaves it out."""
    files = {
        "configspace": ("json", SPACE),
        "fidelityspace": ("json", {"hp_epoch": number("Integer", 1, 5)}),
        "metadata": ("json", METADATA),
        "hyperparameters": ("parquet", COLUMNS),
        "objectives_evaluations": ("npy", values()),
        "fidelities_values": ("npy", np.arange(1, 5)),
    }
    for name, (ending, data) in files.items():
        content = changed.pop(name, data)
        if content is not None:
            put(root / "box", f"{name}.{ending}", content)
    assert not changed
    return root


def load(root: Path, dataset: str | None = "t1", **options: Any) -> Any:
    return BlackboxRepository(root).table("box", dataset, **options)


# --- layout A


def test_a_shared_table(tmp_path: Path) -> None:
    box = load(shared(tmp_path))
    assert isinstance(box, Blackbox)
    assert (box.seeds, box.levels, box.resource_attr, box.elapsed_attr) == (
        2,
        (1, 2, 3, 4),
        "hp_epoch",
        "metric_elapsed_time",
    )
    assert box.objectives == {"metric_error": "min", "metric_elapsed_time": None}
    assert box.space == Space({"lr": loguniform(1e-4, 1.0), "op": choice(["relu", "tanh"])})
    for row, config in enumerate([{"lr": 0.001, "op": "relu"}, {"lr": 0.01, "op": "tanh"}, {"lr": 0.1, "op": "relu"}]):
        for seed in range(2):
            assert box.curve(config, seed)["metric_error"].tolist() == values()[1, row, seed, :, 0].tolist()
    assert box.notes == ()
    with pytest.raises(InvalidArgument, match=r"dataset='t2' is not in box. Did you mean 't1'"):
        load(tmp_path, "t2")
    with pytest.raises(InvalidArgument, match="dataset= is needed: box has 't0', 't1'"):
        load(tmp_path, None)


def test_a_table_of_an_infinite_space_answers_with_its_nearest_configuration(tmp_path: Path) -> None:
    box: Any = load_blackbox("box", "t1", repository=shared(tmp_path))
    assert [dict(one) for one in box.configs] == [dict(one) for one in load(tmp_path).configs]
    near = box.curve({"lr": 0.02, "op": "tanh"}, 1)["metric_error"].tolist()
    assert near == values()[1, 1, 1, :, 0].tolist()
    with pytest.raises(InvalidConfig, match=r"not in the table of 3 .*or add_surrogate\(table\)"):
        load(tmp_path).curve({"lr": 0.02, "op": "tanh"}, 1)
    # Another space over it, or a regressor, is fitted to what the table holds.
    wide = add_surrogate(box, space={"lr": uniform(0, 1), "op": choice(["relu", "tanh"])})
    assert wide.curve({"lr": 0.9, "op": "relu"}, 0)["metric_error"].tolist() == values()[1, 2, 0, :, 0].tolist()
    finite = {"lr": listed("OrdinalNearestNeighbor", [0.001, 0.01, 0.1], log_scale=True), "op": SPACE["op"]}
    exact = load_blackbox("box", "t1", repository=shared(tmp_path / "finite", configspace=finite))
    with pytest.raises(InvalidConfig, match="not in the table"):
        exact.curve({"lr": 0.001, "op": "tanh"}, 0)


def test_the_table_stays_on_the_disk(tmp_path: Path) -> None:
    box = load(shared(tmp_path))
    base: Any = box.values
    while base.base is not None and not isinstance(base, np.memmap):
        base = base.base
    assert isinstance(base, np.memmap) or "mmap" in type(base).__name__
    assert box.values.shape == (3, 2, 4, 2)


def test_missing_levels_seeds_and_configurations(tmp_path: Path) -> None:
    """A padded curve ends; a missing replicate is answered by the next; a configuration without results is not there."""
    table = values()
    table[1, 0, 0, 2:, 0] = np.nan
    table[1, 0, 0, 2:, 1] = np.nan
    table[1, 1, 0] = np.nan
    table[1, 2, :, :, 0] = np.nan
    box = load(shared(tmp_path, objectives_evaluations=table))
    assert len(box.configs) == 2
    assert any("1 of 3 configurations have no result" in note for note in box.notes)
    assert np.isnan(box.curve({"lr": 0.001, "op": "relu"}, 0)["metric_error"]).tolist() == [False, False, True, True]
    other = box.curve({"lr": 0.01, "op": "tanh"}, 1)["metric_error"].tolist()
    assert box.curve({"lr": 0.01, "op": "tanh"}, 0)["metric_error"].tolist() == other == table[1, 1, 1, :, 0].tolist()
    assert len(load(tmp_path, "t0").configs) == 3
    # A curve whose beginning is missing is no missing curve.
    table = values()
    table[:, :, :, 0, 0] = np.nan
    late = load(shared(tmp_path / "late", objectives_evaluations=table))
    assert len(late.configs) == 3
    assert late.curve({"lr": 0.1, "op": "relu"}, 0)["metric_error"][1:].tolist() == table[1, 2, 0, 1:, 0].tolist()


def test_nothing_but_missing_configurations_is_an_error(tmp_path: Path) -> None:
    table = values()
    table[1] = np.nan
    shared(tmp_path, objectives_evaluations=table)
    with pytest.raises(DamagedBlackbox, match="no configuration has a result"):
        load(tmp_path)
    assert len(load(tmp_path, "t0").configs) == 3


def test_leftover_columns_are_passed_over_and_constants_kept(tmp_path: Path) -> None:
    columns = {"__index_level_0__": [0, 1, 2], "Unnamed: 0": [0, 1, 2], **COLUMNS}
    box = load(shared(tmp_path, hyperparameters=columns, configspace={**SPACE, "hp_epoch": 4}))
    assert box.space.constants == {"hp_epoch": 4}
    assert set(box.configs[0]) == {"lr", "op"}


def test_bytes_and_truth_values_as_other_writers_leave_them(tmp_path: Path) -> None:
    space = {
        "layers": number("Integer", 1, 4), "op": listed("Categorical", ["relu", "tanh"]),
        "flag": listed("Categorical", [True, False]), "mixed": listed("Categorical", ["sqrt", 0.5, 1, None]),
        "text": listed("Categorical", ["1", "2", "10"]),
    }  # fmt: skip
    columns = {
        "layers": ["True", "2", "4"], "op": [b"relu", b"tanh", b"relu"], "flag": [True, False, True],
        "mixed": ["sqrt", "0.5", None], "text": [1, 2, 10],
    }  # fmt: skip
    box = load(shared(tmp_path, configspace=space, hyperparameters=columns))
    assert [config["layers"] for config in box.configs] == [1, 2, 4]
    assert [config["op"] for config in box.configs] == ["relu", "tanh", "relu"]
    assert [config["mixed"] for config in box.configs] == ["sqrt", "0.5", None]
    assert [config["text"] for config in box.configs] == ["1", "2", "10"]
    assert box.space.domains["mixed"] == choice(["sqrt", "0.5", "1", None])
    assert box.space.domains["flag"] == choice([True, False])
    assert any("layers: numbers were stored as text" in note for note in box.notes)


def test_numbers_outside_of_their_domain_widen_it(tmp_path: Path) -> None:
    space = {
        "cells": number("Integer", 1, 100), "lr": number("Float", 1e-3, 1e-2, LOG),
        "units": {"domain_cls": "FiniteRange", "domain_kwargs": {
            "lower": 8, "upper": 32, "size": 3, "log_scale": True, "cast_int": True}},
        "op": listed("Categorical", ["relu"]),
    }  # fmt: skip
    columns = {
        "cells": [3.7, 20.0, 33.1],
        "lr": [0.0, 0.5, 0.005],
        "units": [8, 16.0, 128],
        "op": ["relu", "gelu", "relu"],
    }
    box = load(shared(tmp_path, configspace=space, hyperparameters=columns))
    assert [config["cells"] for config in box.configs] == [3.7, 20.0, 33.1]
    assert box.space.domains["cells"] == uniform(1, 100)
    assert box.space.domains["lr"] == uniform(0.0, 0.5)
    assert box.space.domains["units"] == ordinal([8, 16, 32, 128], kind="nn-log")
    assert box.space.domains["op"] == choice(["relu", "gelu"])
    assert len([note for note in box.notes if note.partition(":")[0] in space]) == 4


def test_missing_hyperparameters_are_none(tmp_path: Path) -> None:
    columns = {"op": ["relu", None, "tanh"], "lr": [0.001, math.nan, 0.1]}
    box = load(shared(tmp_path, hyperparameters=columns))
    assert box.configs[1] == {"lr": None, "op": None}
    assert box.curve({"lr": None, "op": None}, 0)["metric_error"][0] == values()[1, 1, 0, 0, 0]


def test_the_second_of_two_equal_configurations_is_left_out(tmp_path: Path) -> None:
    box = load(shared(tmp_path, hyperparameters={"op": ["relu", "tanh", "relu"], "lr": [0.1, 0.01, 0.1]}))
    assert len(box.configs) == 2
    assert box.curve({"lr": 0.1, "op": "relu"}, 0)["metric_error"][0] == values()[1, 0, 0, 0, 0]
    assert any("stand in the table twice" in note for note in box.notes)


@pytest.mark.parametrize(
    ("stored", "levels", "noted"),
    [
        ([1, 2, 3, 4], (1, 2, 3, 4), False),
        ([1.0, 3.0, 9.0, 27.0], (1, 3, 9, 27), False),
        ([0, 1, 2, 3], (1, 2, 3, 4), True),
        ([0.1, 0.2, 0.5, 1.0], (1, 2, 3, 4), True),
    ],
)
def test_stored_fidelities_count_not_their_space(
    tmp_path: Path, stored: list[float], levels: tuple[int, ...], noted: bool
) -> None:
    box = load(shared(tmp_path, fidelities_values=np.array(stored)))
    assert box.levels == levels
    assert any("their places" in note for note in box.notes) is noted


def test_fidelities_in_another_order_are_sorted(tmp_path: Path) -> None:
    box = load(shared(tmp_path, fidelities_values=np.array([3, 1, 4, 2])))
    assert box.levels == (1, 2, 3, 4)
    stored = values()[1, 0, 0, :, 0]
    assert box.curve(box.configs[0], 0)["metric_error"].tolist() == stored[[1, 3, 0, 2]].tolist()


@pytest.mark.parametrize(
    ("key", "stored", "said"), [("hp_epoch", 1, 100), ("time_attr", 0, 300)], ids=["hpob", "autoencodix"]
)
def test_one_fidelity_that_is_said_to_be_another(tmp_path: Path, key: str, stored: int, said: int) -> None:
    box = load(
        shared(
            tmp_path,
            fidelityspace={key: number("Integer", said, said)},
            fidelities_values=np.array([stored]),
            objectives_evaluations=values(levels=1),
        )
    )
    assert (box.levels, box.resource_attr) == ((1,), key)


def test_the_resource_without_a_fidelity_space(tmp_path: Path) -> None:
    assert load(shared(tmp_path, fidelityspace=None)).resource_attr == "hp_epoch"
    older = {name: entry for name, entry in METADATA.items() if name != "time_attr"} | {"resource_attr": "step"}
    assert load(shared(tmp_path / "older", fidelityspace=None, metadata=older)).resource_attr == "step"
    with pytest.raises(InvalidArgument, match="only fidelity is 'hp_epoch'"):
        load(tmp_path, resource_attr="epoch")


def test_times_from_the_level_before_are_summed_up(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for name, times in (("same", np.full((3, 2, 4), 7.0)), ("noisy", 7.0 + rng.normal(0, 0.5, (3, 2, 4)))):
        table = values()
        table[1, :, :, :, 1] = times
        box = load(shared(tmp_path / name, objectives_evaluations=table))
        found = box.curve(box.configs[1], 1)["metric_elapsed_time"]
        assert found.tolist() == pytest.approx(np.cumsum(times[1, 1]).tolist())
        assert any("counts from the level before" in note for note in box.notes)


def test_noisy_cumulative_times_stay_as_they_are(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    times = np.arange(1, 31) * 10 + rng.normal(0, 8, (40, 1, 30))
    assert (np.diff(times, axis=2) < 0).any(axis=2).mean() > 0.5
    table = np.stack([np.ones_like(times), times], axis=-1)[None].astype(np.float32)
    root = shared(
        tmp_path,
        metadata={**METADATA, "task_names": ["t1"]},
        hyperparameters={"op": ["relu"] * 40, "lr": [0.001 * (i + 1) for i in range(40)]},
        objectives_evaluations=table,
        fidelities_values=np.arange(1, 31),
    )
    box = load(root)
    assert box.curve(box.configs[0], 0)["metric_elapsed_time"].tolist() == table[0, 0, 0, :, 1].tolist()


def test_a_table_without_times(tmp_path: Path) -> None:
    metadata = {**METADATA, "objectives_names": ["metric_error", "metric_auc"], "metric_elapsed_time": None}
    box = load(shared(tmp_path, metadata=metadata))
    assert box.elapsed_attr is None
    assert box.objectives == {"metric_error": "min", "metric_auc": "max"}
    timed = load(tmp_path, seconds_per_level=2.5)
    assert timed.elapsed_attr == "elapsed_time"
    assert timed.curve(timed.configs[0], 0)["elapsed_time"].tolist() == [2.5, 5.0, 7.5, 10.0]
    with pytest.raises(InvalidArgument, match="seconds_per_level=0"):
        load(tmp_path, seconds_per_level=0)


def test_a_time_that_is_no_objective_is_passed_over(tmp_path: Path) -> None:
    metadata = {**METADATA, "metric_elapsed_time": "metric_runtime_total"}
    box = load(shared(tmp_path, metadata=metadata))
    assert box.elapsed_attr == "metric_elapsed_time"
    assert any("metric_runtime_total" in note for note in box.notes)


# --- layouts B and C


def apart(root: Path, **changed: Any) -> Path:
    """A folder in layout B; the first task has 3 configurations, the second 2."""
    put(root / "box", "configspace.json", SPACE)
    put(root / "box", "metadata.json", changed.get("metadata", METADATA))
    for task, n in (("t0", 3), ("t1", 2)):
        put(root / "box", f"{task}-hyperparameters.parquet", {name: column[:n] for name, column in COLUMNS.items()})
        put(root / "box", f"{task}-fidelity_space.json", {"global_step": number("Integer", 1, n + 1)})
        put(root / "box", f"{task}-objectives_evaluations.npy", values(1, n, 1, n + 1)[0])
        put(root / "box", f"{task}-fidelity_values.npy", np.arange(1, n + 2))
    return root


def test_a_table_for_each_task(tmp_path: Path) -> None:
    first, second = load(apart(tmp_path), "t0"), load(tmp_path, "t1")
    assert (len(first.configs), first.levels) == (3, (1, 2, 3, 4))
    assert (len(second.configs), second.levels) == (2, (1, 2, 3))
    assert second.resource_attr == "global_step"
    assert second.curve({"lr": 0.01, "op": "tanh"}, 0)["metric_error"].tolist() == [3.0, 4.0, 5.0]
    # The other task's files are not opened.
    (tmp_path / "box" / "t0-objectives_evaluations.npy").write_bytes(b"")
    assert load(tmp_path, "t1").seeds == 1


def test_a_task_without_its_table_is_named(tmp_path: Path) -> None:
    apart(tmp_path, metadata={**METADATA, "task_names": ["t0", "t1", "t2"]})
    with pytest.raises(DamagedBlackbox, match=r"names the task 't2', but there is no t2-objectives_evaluations\.npy"):
        load(tmp_path, "t2")
    apart(tmp_path / "silent", metadata={**METADATA, "task_names": None})
    assert BlackboxRepository(tmp_path / "silent").tasks("box") == ["t0", "t1"]


def frames(root: Path, **changed: Any) -> Path:
    """A folder in layout C, one task; a leftover index, and each row in the frame once for each seed."""
    rows = {
        "index": [0, 1, 2, 3],
        "op": ["relu", "tanh", "relu", "tanh"],
        "lr": [0.001, 0.01, 0.001, 0.01],
        "task": ["t0"] * 4,
        "seed": [1, 1, 0, 0],
        "metric_error": [0.1, 0.2, 0.3, 0.4],
        "metric_elapsed_time": [1.0, 2.0, 3.0, 4.0],
    }
    metadata = {**METADATA, "task_names": ["t0"], "seed_col": "seed", "categorical_cols": ["op"]}
    put(root / "box", "configspace.json", SPACE)
    put(root / "box", "metadata.json", {**metadata, **changed.get("metadata", {})})
    put(root / "box", "data-t0.parquet", {**rows, **changed.get("rows", {})})
    return root


def test_a_data_frame(tmp_path: Path) -> None:
    box = load(frames(tmp_path), "t0")
    assert (box.seeds, box.levels, len(box.configs)) == (2, (1,), 2)
    assert box.curve({"lr": 0.001, "op": "relu"}, 0)["metric_error"].tolist() == [0.3]
    assert box.curve({"lr": 0.01, "op": "tanh"}, 1)["metric_error"].tolist() == [0.2]
    # Without a seed column they are counted as they come.
    box = load(frames(tmp_path / "plain", metadata={"seed_col": None}), "t0")
    assert box.curve({"lr": 0.001, "op": "relu"}, 0)["metric_error"].tolist() == [0.1]
    assert box.seeds == 2


def test_a_data_frame_with_a_fidelity_and_rows_of_other_tasks(tmp_path: Path) -> None:
    rows = {"hp_epoch": [1, 1, 3, 3], "seed": [0, 0, 0, 0], "task": ["t0", "t0", "t0", "other"]}
    box = load(frames(tmp_path, rows=rows), "t0")
    assert (box.levels, box.seeds) == ((1, 3), 1)
    assert box.curve({"lr": 0.001, "op": "relu"}, 0)["metric_error"].tolist() == [0.1, 0.3]
    there = box.curve({"lr": 0.01, "op": "tanh"}, 0)["metric_error"]
    assert there[0] == 0.2
    assert np.isnan(there[1])


def test_a_data_frame_lacks_what_the_metadata_name(tmp_path: Path) -> None:
    with pytest.raises(
        DamagedBlackbox, match=r"data-t0\.parquet cannot be used: it has no seed column 'sed'. Did you mean 'seed'"
    ):
        load(frames(tmp_path, metadata={"seed_col": "sed"}), "t0")
    with pytest.raises(DamagedBlackbox, match=r"no column 'metric_eror'\. Did you mean 'metric_error'"):
        load(frames(tmp_path / "b", metadata={"objectives_names": ["metric_eror"], "metric_elapsed_time": None}), "t0")


def test_the_layout_is_that_of_the_files_not_of_the_name(tmp_path: Path) -> None:
    """A folder called as one that others keep in layout C, written in layout B; and B beats a frame that was left over."""
    for name, make in (("icml-xgboost", apart), ("fcnet", frames), ("hpob_4796", shared)):
        (make(tmp_path / "source" / name) / "box").rename(tmp_path / name)
    put(tmp_path / "icml-xgboost", "data-t0.parquet", {"old": [1]})
    repository = BlackboxRepository(tmp_path)
    found = {name: repository.describe(name)["layout"] for name in repository.names()}
    assert found == {"icml-xgboost": "task-tables", "fcnet": "task-frames", "hpob_4796": "shared-table"}
    assert load_blackbox("icml-xgboost", "t1", repository=tmp_path).levels == (1, 2, 3)


# --- files that are damaged, or contradict each other


def cut(name: str, size: int | None = None) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        path = folder / name
        content = path.read_bytes()
        path.write_bytes(content[: len(content) // 2 if size is None else size])

    return damage


def replaced(name: str, content: bytes) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        (folder / name).write_bytes(content)

    return damage


def archived(name: str) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        with (folder / name).open("wb") as file:
            np.savez(file, values=values())

    return damage


def folder_in_place(name: str) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        (folder / name).unlink()
        (folder / name).mkdir()

    return damage


def gone(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).unlink()


def put_in(name: str, data: Any) -> Callable[[Path], None]:
    return lambda folder: put(folder, name, data)


@pytest.mark.parametrize(
    ("damage", "named", "said"),
    [
        (cut("objectives_evaluations.npy"), "objectives_evaluations.npy", " bytes are there"),
        (cut("objectives_evaluations.npy", 3), "objectives_evaluations.npy", "no whole NumPy array: it does not begin like"),
        (cut("objectives_evaluations.npy", 20), "objectives_evaluations.npy", "no whole NumPy array: its header is damaged"),
        (cut("objectives_evaluations.npy", 0), "objectives_evaluations.npy", "no whole NumPy array: it is empty"),
        (put_in("objectives_evaluations.npy", np.array([{}])), "objectives_evaluations.npy", "astype"),
        (archived("objectives_evaluations.npy"), "objectives_evaluations.npy", "numpy.save"),
        (cut("hyperparameters.parquet"), "hyperparameters.parquet", "no whole Parquet file: its end is missing"),
        (cut("hyperparameters.parquet", 0), "hyperparameters.parquet", "no whole Parquet file: it is empty"),
        (replaced("hyperparameters.parquet", b"a,b"), "hyperparameters.parquet", "no whole Parquet file: it does not begin"),
        (replaced("hyperparameters.parquet", b"PAR1PAR1"), "hyperparameters.parquet", "description of itself is damaged"),
        (cut("fidelities_values.npy"), "fidelities_values.npy", "no whole NumPy array"),
        (cut("configspace.json"), "configspace.json", "no JSON: it breaks off or is wrong at line 1"),
        (cut("metadata.json"), "metadata.json", "no JSON"),
        (cut("metadata.json", 0), "metadata.json", "no JSON: it is empty"),
        (replaced("metadata.json", b'{"\xff"'), "metadata.json", "no JSON: byte 2 is no text"),
        (folder_in_place("metadata.json"), "metadata.json", "cannot be read (Is a directory)"),
        (gone("hyperparameters.parquet"), "hyperparameters.parquet", "no such file"),
        (gone("objectives_evaluations.npy"), "objectives_evaluations.npy", "no such file"),
        (gone("configspace.json"), "configspace.json", "no such file"),
        (put_in("objectives_evaluations.npy", values()[0]), "objectives_evaluations.npy", "5 axes are needed"),
        (put_in("objectives_evaluations.npy", values(tasks=3)), "objectives_evaluations.npy", "3 tasks, metadata.json names 2"),
        (put_in("objectives_evaluations.npy", values(configs=4)), "objectives_evaluations.npy", "has 3 configurations"),
        (put_in("objectives_evaluations.npy", values(levels=5)), "objectives_evaluations.npy", "4 fidelity values"),
        (put_in("objectives_evaluations.npy", values()[..., :1]), "objectives_evaluations.npy", "names 2 objectives"),
        (put_in("objectives_evaluations.npy", np.array(["a"])), "objectives_evaluations.npy", "not numbers"),
        (put_in("fidelities_values.npy", np.array([1, 2, 2, 3])), "objectives_evaluations.npy", "not different"),
        (put_in("metadata.json", ["a"]), "metadata.json", "holds a list, not an object"),
        (put_in("metadata.json", {"task_names": ["t1"]}), "metadata.json", "names no objectives"),
        (put_in("metadata.json", {**METADATA, "task_names": "t1"}), "metadata.json", "a list of different names"),
        (put_in("metadata.json", {**METADATA, "task_names": None}), "metadata.json", "names no tasks"),
        (put_in("metadata.json", {**METADATA, "time_attr": 3}), "metadata.json", "time_attr is 3; a name is needed"),
        (put_in("configspace.json", {**SPACE, "lrr": SPACE["lr"]}), "hyperparameters.parquet", "'lrr'. Did you mean 'lr'"),
        (
            put_in("configspace.json", {**SPACE, "lr": number("Flaot", 0, 1)}),
            "configspace.json", "'lr': domain_cls 'Flaot' is not known. Did you mean 'Float'",
        ),
        (
            put_in("configspace.json", {**SPACE, "lr": {"domain_cls": "Float", "domain_kwargs": {"lower": 0}}}),
            "configspace.json", "'lr': domain_kwargs of Float lacks 'upper'",
        ),
        (
            put_in("configspace.json", {**SPACE, "lr": number("Float", 0, 1, {"sampler_cls": "Normal"})}),
            "configspace.json", "'Normal' has no counterpart",
        ),
        (
            put_in("hyperparameters.parquet", {**COLUMNS, "lr": ["fast", "slow", "0.1"]}),
            "hyperparameters.parquet", "hyperparameter 'lr': 'fast' is no number",
        ),
        (put_in("fidelityspace.json", {"a": 1, "b": 2}), "fidelityspace.json", "fidelities a, b"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_file_is_said_with_its_name(
    tmp_path: Path, damage: Callable[[Path], None], named: str, said: str
) -> None:
    folder = shared(tmp_path) / "box"
    damage(folder)
    with pytest.raises(DamagedBlackbox) as caught:
        load(tmp_path)
    assert str(folder / named) in str(caught.value)
    assert said in str(caught.value)
    problem = BlackboxRepository(tmp_path).verify("box")
    assert problem is not None
    assert "cannot be used" in problem


def test_a_folder_that_is_no_blackbox_says_what_it_holds(tmp_path: Path) -> None:
    put(tmp_path / "box", "notes.json", {})
    with pytest.raises(DamagedBlackbox, match=r"it holds notes\.json, and no files of a blackbox"):
        load(tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DamagedBlackbox, match="it is empty"):
        load_blackbox("empty", repository=tmp_path)
    assert BlackboxRepository(tmp_path).names() == []


def test_a_repository_that_is_a_blackbox_or_a_file_is_explained(tmp_path: Path) -> None:
    shared(tmp_path)
    with pytest.raises(InvalidArgument, match="is a blackbox itself; give the folder above, and the name 'box'"):
        load_blackbox("box", repository=tmp_path / "box")
    with pytest.raises(InvalidArgument, match="is a file"):
        load_blackbox("box", repository=tmp_path / "box" / "metadata.json")


def test_the_variable_names_the_repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OFFBEAT_BLACKBOXES", str(shared(tmp_path)))
    assert load_blackbox("box", "t0").seeds == 2
    monkeypatch.delenv("OFFBEAT_BLACKBOXES")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert BlackboxRepository().root == tmp_path / ".offbeat" / "blackboxes"


# --- writing


WRITTEN = {
    "lr": loguniform(1e-4, 1.0),
    "op": choice(["relu", "tanh", None]),
    "units": logfinrange(8, 64, 4, cast_int=True),
    "drop": finrange(0.0, 0.6, 3),
    "depth": ordinal([1, 2, 4], kind="nn-log"),
    "bias": choice([True, False]),
    "size": ordinal(["small", "large"], kind="equal"),
    "slope": when(uniform(0, 1), "op == 'relu'"),
    "epochs": 3,
    "settings": {"deep": [1, {"er": None}]},
}


def made(first: float = 0.0, configs: int = 20, **options: Any) -> TabularBlackbox:
    space = Space(WRITTEN)
    rng = np.random.default_rng(5)
    drawn = [space.from_units(rng.random(space.width)) for _ in range(configs)]
    table = first + rng.random((configs, 2, 3, 3))
    table[..., 2] = np.cumsum(table[..., 2], axis=2)
    table[0, 1] = table[1, 0, 1:] = np.nan
    return TabularBlackbox(
        space, drawn, options.pop("values", table), objectives={"gain": "max", "weight": None, "seconds": None},
        levels=(1, 3, 9), resource_attr="epoch", elapsed_attr="seconds", **options,
    )  # fmt: skip


@pytest.mark.parametrize("layout", ["shared-table", "task-tables", "task-frames"])
def test_what_was_written_is_read_again(tmp_path: Path, layout: Any) -> None:
    tables = {"one": made(), "two": made(10.0)}
    repository = BlackboxRepository(tmp_path)
    folder = repository.write("mine", tables, layout)
    assert folder == tmp_path / "mine"
    assert repository.describe("mine")["layout"] == layout
    for task, table in tables.items():
        found: Any = repository.table("mine", task)
        assert found.space == table.space
        assert list(found.configs) == list(table.configs)
        assert np.array_equal(found.values, table.values, equal_nan=True)
        assert (found.levels, found.seeds, found.resource_attr) == (table.levels, table.seeds, "epoch")
        assert (found.objectives, found.elapsed_attr, found.notes) == (table.objectives, "seconds", ())
    again = BlackboxRepository(tmp_path / "again")
    again.write("mine", {task: repository.table("mine", task) for task in tables}, layout)  # type: ignore[misc]
    for path in sorted(folder.iterdir()):
        assert path.read_bytes() == (tmp_path / "again" / "mine" / path.name).read_bytes()


def test_single_precision_stays_single(tmp_path: Path) -> None:
    table = made(values=made().values.astype(np.float32))
    found: Any = BlackboxRepository(tmp_path)
    found.write("mine", table)
    assert found.table("mine").values.dtype == np.float32


def test_what_was_left_out_or_summed_up_can_be_written_again(tmp_path: Path) -> None:
    table = values()
    table[1, 0] = np.nan
    table[1, :, :, :, 1] = 5.0
    box = load(shared(tmp_path, objectives_evaluations=table))
    repository = BlackboxRepository(tmp_path / "again")
    repository.write("box", {"t1": box})
    found = repository.table("box")
    for config in box.configs:
        for seed in range(2):
            ours, theirs = found.curve(config, seed), box.curve(config, seed)
            assert {k: v.tolist() for k, v in ours.items()} == {k: v.tolist() for k, v in theirs.items()}


def test_what_cannot_be_written_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    from offbeat.config_space import require

    repository = BlackboxRepository(tmp_path)
    constrained = TabularBlackbox(
        {"x": uniform(0, 1), "small": require("x <= 0.5")},
        [{"x": 0.1}],
        np.zeros((1, 1, 1, 1)),
        objectives={"loss": "min"},
    )
    lists = TabularBlackbox({"x": choice([[1], [2]])}, [{"x": [1]}], np.zeros((1, 1, 1, 1)), objectives={"loss": "min"})
    for tables, layout, said in (
        (made(), "shared", "Did you mean 'shared-table'"),
        ({}, "shared-table", "give a TabularBlackbox"),
        ({"a": 3}, "shared-table", "is a int, not a TabularBlackbox"),
        ({"a": made(), "b": made(configs=19)}, "shared-table", "layout='task-tables' keeps them apart"),
        ({"a/b": made()}, "shared-table", "cannot be the beginning of a file's name"),
        ({"a": made(), "b": lists}, "task-tables", "differ in their space"),
        (constrained, "shared-table", "no place for the constraint 'small'"),
        (lists, "shared-table", "lists for values"),
        (
            TabularBlackbox(
                {"seed": choice([1, 2])}, [{"seed": 1}], np.zeros((1, 1, 1, 1)), objectives={"loss": "min"}
            ),
            "task-frames",
            "two columns 'seed'",
        ),
    ):
        with pytest.raises(InvalidArgument, match=said):
            repository.write("mine", tables, layout)  # type: ignore[arg-type]
        assert list(tmp_path.iterdir()) == []
    repository.write("mine", made())
    with pytest.raises(InvalidArgument, match="already; give another name"):
        repository.write("mine", made())
    with pytest.raises(InvalidArgument, match="cannot be a folder's"):
        repository.write("../mine", made())


def test_a_hyperparameter_called_task_is_no_mark_of_a_row(tmp_path: Path) -> None:
    root = frames(tmp_path, rows={"task": ["sort", "copy", "sort", "copy"]})
    put(root / "box", "configspace.json", {**SPACE, "task": listed("Categorical", ["sort", "copy"])})
    assert [config["task"] for config in load(root, "t0").configs] == ["sort", "copy"]


@pytest.mark.parametrize("package", ["pyarrow", "huggingface_hub"])
def test_without_a_package_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, package: str) -> None:
    import sys

    shared(tmp_path)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingExtra, match=r"pip install 'offbeat\[blackbox\]'"):
        load(tmp_path) if package == "pyarrow" else load_blackbox("fcnet", "a", repository=tmp_path)


@pytest.mark.parametrize(
    ("name", "mode"),
    [
        ("metric_valid_error", "min"), ("metric_train_loss", "min"), ("val_cross_entropy", "min"), ("metric_CRPS", "min"),
        ("metric_latency", "min"), ("val_balanced_accuracy", "max"), ("weighted_avg_auc_downstream_performance", "max"),
        ("valid_r2", "max"), ("rank", None), ("time_infer_s", None),
    ],
)  # fmt: skip
def test_the_sense_of_an_objective_is_guessed_from_its_name(tmp_path: Path, name: str, mode: str | None) -> None:
    metadata = {**METADATA, "objectives_names": [name, "metric_elapsed_time"]}
    assert load(shared(tmp_path, metadata=metadata)).objectives == {name: mode, "metric_elapsed_time": None}

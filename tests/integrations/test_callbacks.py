"""Callbacks inside the real libraries: what they report is what the library logged, epoch by epoch."""

from __future__ import annotations

import os
import subprocess
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from offbeat import integrations
from offbeat.errors import InvalidArgument, MissingPackage

# These libraries warn of much that is not ours; importing one takes long on a small machine.
pytestmark = [pytest.mark.filterwarnings("default"), pytest.mark.timeout(300)]


class Reports(list[dict[str, Any]]):
    """Stands in for a Reporter."""

    def __call__(self, /, **metrics: Any) -> None:
        self.append({name: value if isinstance(value, str) else float(value) for name, value in metrics.items()})


RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(64, 3)).astype("float32"), RNG.normal(size=64).astype("float32")


def backend_of_keras() -> str:
    """The first library that Keras can compute with here."""
    for name in ("jax", "torch", "tensorflow"):
        if subprocess.run([sys.executable, "-c", f"import {name}"], capture_output=True, check=False).returncode == 0:
            return name
    return ""


@pytest.fixture(scope="module")
def keras() -> Any:
    pytest.importorskip("keras", reason="Keras is not installed: pip install keras jax", exc_type=ImportError)
    import keras

    return keras


@pytest.fixture(scope="module", autouse=True)
def small() -> None:
    """Keras reads this when it is imported."""
    if "keras" not in sys.modules:
        os.environ.setdefault("KERAS_BACKEND", backend_of_keras() or "tensorflow")


def test_keras(keras: Any) -> None:
    reports = Reports()

    def fit(callback: Any, **options: Any) -> Any:
        model = keras.Sequential([keras.layers.Dense(1)])
        model.compile(loss="mse", metrics=["mae"])
        return model.fit(X, Y, verbose=0, validation_split=0.25, callbacks=[callback], **options).history

    history = fit(integrations.KerasReporter(reporter=reports), epochs=3)
    assert set(history) == {"loss", "mae", "val_loss", "val_mae"}
    for epoch, report in enumerate(reports):
        expected = {name: pytest.approx(values[epoch]) for name, values in history.items()}
        assert report == {**expected, "epoch": epoch + 1}
    assert len(reports) == 3

    reports.clear()
    history = fit(
        integrations.KerasReporter({"error": "val_mae"}, resource="step", reporter=reports), epochs=5, initial_epoch=3
    )
    assert reports == [
        {"error": pytest.approx(history["val_mae"][0]), "step": 4},
        {"error": pytest.approx(history["val_mae"][1]), "step": 5},
    ]
    with pytest.raises(InvalidArgument, match="Did you mean 'val_mae'"):
        fit(integrations.KerasReporter("val_mea", reporter=Reports()), epochs=1)


def test_xgboost() -> None:
    xgboost = pytest.importorskip("xgboost", reason="XGBoost is not installed: pip install xgboost")
    data, held = xgboost.DMatrix(X[:48], Y[:48]), xgboost.DMatrix(X[48:], Y[48:])
    evals, logged, reports = [(data, "train"), (held, "valid")], {}, Reports()
    params = {"eval_metric": ["rmse", "mae"], "max_depth": 2, "seed": 0}
    model = xgboost.train(
        params, data, 4, evals=evals, evals_result=logged, verbose_eval=False,
        callbacks=[integrations.XGBoostReporter(reporter=reports)],
    )  # fmt: skip
    assert [report["iteration"] for report in reports] == [1, 2, 3, 4]
    for number, report in enumerate(reports):
        for name in ("train", "valid"):
            for metric in ("rmse", "mae"):
                assert report[f"{name}-{metric}"] == pytest.approx(logged[name][metric][number])

    # A model that is trained further, as after a resume.
    reports.clear()
    callback = integrations.XGBoostReporter({"error": "valid-rmse"}, resource="round", reporter=reports)
    xgboost.train(params, data, 2, evals=evals, verbose_eval=False, xgb_model=model, callbacks=[callback])
    assert [report["round"] for report in reports] == [5, 6]
    assert set(reports[0]) == {"error", "round"}

    reports.clear()
    estimator = xgboost.XGBRegressor(
        n_estimators=3, eval_metric="rmse", callbacks=[integrations.XGBoostReporter(reporter=reports)]
    )
    estimator.fit(X[:48], Y[:48], eval_set=[(X[48:], Y[48:])], verbose=False)
    told = [report["validation_0-rmse"] for report in reports]
    assert told == pytest.approx(estimator.evals_result()["validation_0"]["rmse"])

    reports.clear()
    table = xgboost.cv(
        params, data, 3, nfold=3, as_pandas=False, callbacks=[integrations.XGBoostReporter(reporter=reports)]
    )
    assert [report["test-rmse"] for report in reports] == pytest.approx(table["test-rmse-mean"])
    assert [report["test-rmse-std"] for report in reports] == pytest.approx(table["test-rmse-std"])
    assert [report["iteration"] for report in reports] == [1, 2, 3]

    with pytest.raises(InvalidArgument, match="Did you mean 'valid-rmse'"):
        xgboost.train(
            params, data, 1, evals=evals, verbose_eval=False,
            callbacks=[integrations.XGBoostReporter("valid-rsme", reporter=Reports())],
        )  # fmt: skip


@pytest.fixture(scope="module")
def torch() -> Any:
    pytest.importorskip("lightning", reason="Lightning is not installed: pip install lightning")
    return pytest.importorskip("torch", reason="PyTorch is not installed: pip install torch")


def test_lightning(torch: Any, tmp_path: Path) -> None:
    import lightning.pytorch as pl

    truth: list[tuple[int, float, float]] = []

    class Model(pl.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.layer = torch.nn.Linear(3, 1)
            self.train_losses: list[float] = []
            self.val_losses: list[float] = []

        def loss(self, batch: Any) -> Any:
            x, y = batch
            return torch.nn.functional.mse_loss(self.layer(x).squeeze(-1), y)

        def training_step(self, batch: Any, _: int) -> Any:
            loss = self.loss(batch)
            self.train_losses.append(float(loss.detach()))
            self.log("loss", loss, on_step=False, on_epoch=True)
            return loss

        def validation_step(self, batch: Any, _: int) -> None:
            loss = self.loss(batch)
            self.val_losses.append(float(loss.detach()))
            self.log("val_loss", loss)

        def on_validation_epoch_start(self) -> None:
            self.val_losses = []

        def on_train_epoch_start(self) -> None:
            self.train_losses = []

        def on_train_epoch_end(self) -> None:
            truth.append((self.current_epoch + 1, float(np.mean(self.train_losses)), float(np.mean(self.val_losses))))

        def configure_optimizers(self) -> Any:
            return torch.optim.SGD(self.parameters(), 0.1)

    rows = torch.utils.data.TensorDataset(torch.from_numpy(X), torch.from_numpy(Y))
    data = torch.utils.data.DataLoader(rows, batch_size=16)

    def fit(callback: Any, *, validate: bool = True, ckpt: Any = None, **options: Any) -> Any:
        truth.clear()
        trainer = pl.Trainer(
            accelerator="cpu", logger=False, enable_progress_bar=False, enable_model_summary=False,
            default_root_dir=tmp_path, callbacks=[callback], **options,
        )  # fmt: skip
        trainer.fit(Model(), data, data if validate else None, ckpt_path=ckpt)
        return trainer

    reports = Reports()
    trainer = fit(integrations.LightningReporter(reporter=reports), max_epochs=3)
    assert len(truth) == 3  # the sanity check before the first epoch is none
    assert reports == [
        {"epoch": epoch, "loss": pytest.approx(loss), "val_loss": pytest.approx(val)} for epoch, loss, val in truth
    ]

    saved = tmp_path / "epoch3.ckpt"
    trainer.save_checkpoint(saved)
    reports.clear()
    fit(integrations.LightningReporter({"error": "val_loss"}, reporter=reports), max_epochs=5, ckpt=saved)
    assert [report["epoch"] for report in reports] == [4, 5]
    assert [report["error"] for report in reports] == pytest.approx([val for _, _, val in truth])

    # Only epochs that were validated: the last val_loss is not that of the others.
    reports.clear()
    fit(integrations.LightningReporter(reporter=reports), max_epochs=4, check_val_every_n_epoch=2)
    assert [report["epoch"] for report in reports] == [2, 4]

    reports.clear()
    fit(integrations.LightningReporter(reporter=reports), max_epochs=2, validate=False)
    assert [set(report) for report in reports] == [{"epoch", "loss"}] * 2

    with pytest.raises(InvalidArgument, match="Did you mean 'val_loss'"):
        fit(integrations.LightningReporter("val_los", reporter=Reports()), max_epochs=1)


@pytest.mark.parametrize(
    ("name", "library", "modules"),
    [
        ("KerasReporter", "keras", ["keras.callbacks"]),
        ("XGBoostReporter", "xgboost", ["xgboost.callback"]),
        ("LightningReporter", "lightning", ["lightning.pytorch", "pytorch_lightning"]),
    ],
)
def test_a_missing_library_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, name: str, library: str, modules: list[str]
) -> None:
    for module in modules:
        monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.delitem(sys.modules, f"offbeat_plugins.integrations.{library}", raising=False)
    monkeypatch.delitem(vars(integrations), name, raising=False)
    with pytest.raises(MissingPackage, match=f"^{name} works inside {library}, .*: pip install {library}$"):
        getattr(integrations, name)


@pytest.mark.parametrize("metrics", [[], {}, [""], {"a": 3}, ["a", None]])
def test_metrics_that_cannot_be_meant(metrics: Any) -> None:
    from offbeat_plugins.integrations.picking import checked

    with pytest.raises(InvalidArgument, match="give names"):
        checked(metrics)


def test_a_library_that_lacks_something_of_its_own_says_so_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    from offbeat.errors import BrokenPlugin

    class Finder:
        @staticmethod
        def find_spec(name: str, *_: Any) -> None:
            if name == "xgboost.callback":
                raise ModuleNotFoundError("No module named 'tensorflow'", name="tensorflow")

    monkeypatch.setattr(sys, "meta_path", [Finder, *sys.meta_path])
    for module in ("xgboost.callback", "offbeat_plugins.integrations.xgboost"):
        monkeypatch.delitem(sys.modules, module, raising=False)
    if "xgboost" not in sys.modules:
        monkeypatch.setitem(sys.modules, "xgboost", types.ModuleType("xgboost"))
        monkeypatch.setattr(sys.modules["xgboost"], "__path__", [], raising=False)
    monkeypatch.delitem(vars(integrations), "XGBoostReporter", raising=False)
    with pytest.raises(BrokenPlugin, match="No module named 'tensorflow'"):
        _ = integrations.XGBoostReporter


SCRIPT = """
import numpy, sys, xgboost
from offbeat import report
from offbeat.integrations import XGBoostReporter
config = report.config()
rng = numpy.random.default_rng(0)
x, y = rng.normal(size=(64, 3)), rng.normal(size=64)
data = xgboost.DMatrix(x, y)
xgboost.train(
    {"eta": config["eta"], "max_depth": 2}, data, config["rounds"], evals=[(data, "train")], verbose_eval=False,
    callbacks=[XGBoostReporter({"rmse": "train-rmse"}, resource="round")],
)
"""


def test_a_real_search_over_a_script_with_a_callback(tmp_path: Path) -> None:
    pytest.importorskip("xgboost", reason="XGBoost is not installed: pip install xgboost")
    from offbeat import StoppingCriterion, Tuner, load_experiment
    from offbeat.backend import LocalBackend
    from offbeat.config_space import loguniform
    from offbeat.optimizer.baselines import ASHA

    (tmp_path / "boost.py").write_text(SCRIPT, encoding="utf-8")
    scheduler = ASHA(
        {"eta": loguniform(0.01, 1.0), "rounds": 9}, metric="rmse", resource_attr="round", max_resource_attr="rounds"
    )
    Tuner(
        LocalBackend(tmp_path / "boost.py"), scheduler, StoppingCriterion(max_num_trials_started=4), n_workers=2,
        name="boost", observers=[], home=tmp_path,
    ).run()  # fmt: skip
    experiment = load_experiment("boost", tmp_path)
    assert set(experiment.counts()) <= {"finished", "stopped"}
    rows = list(experiment.results())
    assert {row["round"] for row in rows} == set(range(1, 10))
    assert all(row["round"] == row["resource"] for row in rows)
    for trial in experiment.trials:
        values = [point.value for point in trial.curve()]
        assert values == sorted(values, reverse=True)  # more rounds fit the data better that they are fit to

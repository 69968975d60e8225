"""The scenarios of YAHPO Gym: what each network takes and answers, in which order (yahpo_gym/benchmarks/*.py)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from offbeat.protocols import Mode


class Scenario(msgspec.Struct, frozen=True, kw_only=True):
    """Arguments of an `OnnxBlackbox`; see there."""

    inputs: tuple[str, ...]
    outputs: dict[str, Mode | None]
    task_name: str | None = None
    categories: tuple[str, ...] = ()
    fidelities: tuple[str, ...] = ()
    elapsed_attr: str | None = None


_RBV2_OUTPUTS: Final[dict[str, Mode | None]] = {
    "acc": "max", "bac": "max", "auc": "max", "brier": "min", "logloss": "min", "timetrain": None, "timepredict": None,
}  # fmt: skip
_IAML_OUTPUTS: Final[dict[str, Mode | None]] = {
    "mmce": "min", "f1": "max", "auc": "max", "logloss": "min", "ramtrain": "min", "rammodel": "min", "rampredict": "min",
    "timetrain": None, "timepredict": "min", "mec": "min", "ias": "min", "nf": "min",
}  # fmt: skip
_FAIR_OUTPUTS: Final[dict[str, Mode | None]] = {
    "mmce": "min", "f1": "max", "feo": "min", "fpredp": "min", "facc": "min", "ftpr": "min", "ffomr": "min", "ffnr": "min",
    "timetrain": None,
}  # fmt: skip

_SVM = "cost gamma tolerance degree"
_GLMNET = "alpha s"
_RPART = "cp maxdepth minbucket minsplit"
_RANGER = "num.trees sample.fraction mtry.power min.node.size num.random.splits"
_RANGER_RATIO = "num.trees sample.fraction mtry.ratio min.node.size num.random.splits"
_RANGER_FAIR = "min.node.size mtry.ratio num.random.splits num.trees sample.fraction"
_AKNN = "k M ef ef_construction"
_TREES = "nrounds eta gamma lambda alpha subsample max_depth min_child_weight colsample_bytree colsample_bylevel"
_XGBOOST = f"{_TREES} rate_drop skip_drop"
_FACTORS = "respect.unordered.factors splitrule"
_REWEIGHING = "reweighing_os_alpha EoD_alpha"
_DARTS = "NetworkSelectorDatasetInfo_COLON_darts_COLON"


def _of(learner: str, names: str) -> str:
    """Names with their learner in front."""
    return " ".join(f"{learner}.{name}" for name in names.split())


def _rbv2(numbers: str, categories: str = "") -> Scenario:
    return Scenario(
        inputs=(*numbers.split(), "trainsize"),
        categories=("task_id", *categories.split(), "num.impute.selected.cpo", "repl"),
        outputs=_RBV2_OUTPUTS,
        task_name="task_id",
        fidelities=("trainsize", "repl"),
        elapsed_attr="timetrain",
    )


def _one_fidelity(numbers: str, categories: str, outputs: dict[str, Mode | None]) -> Scenario:
    return Scenario(
        inputs=(*numbers.split(), "trainsize"),
        categories=tuple(categories.split()),
        outputs=outputs,
        task_name="task_id",
        fidelities=("trainsize",),
        elapsed_attr="timetrain",
    )


def _iaml(numbers: str, categories: str = "") -> Scenario:
    return _one_fidelity(numbers, f"task_id {categories}", _IAML_OUTPUTS)


def _fair(numbers: str, categories: str) -> Scenario:
    return _one_fidelity(numbers, categories, _FAIR_OUTPUTS)


SCENARIOS: Final[Mapping[str, Scenario]] = {
    "lcbench": Scenario(
        inputs=(
            "epoch", "batch_size", "learning_rate", "momentum", "weight_decay", "num_layers", "max_units", "max_dropout",
        ),
        categories=("OpenML_task_id",),
        outputs={
            "time": None, "val_accuracy": "max", "val_cross_entropy": "min", "val_balanced_accuracy": "max",
            "test_cross_entropy": "min", "test_balanced_accuracy": "max",
        },
        task_name="OpenML_task_id",
        fidelities=("epoch",),
        elapsed_attr="time",
    ),
    "nb301": Scenario(
        inputs=("epoch",),
        categories=(
            *(f"{_DARTS}_edge_{cell}_{i}" for cell in ("normal", "reduce") for i in range(14)),
            *(f"{_DARTS}_inputs_node_{cell}_{i}" for cell in ("normal", "reduce") for i in (3, 4, 5)),
        ),
        outputs={"val_accuracy": "max", "val_cross_entropy": "min", "runtime": None, "runtime_increase": None},
        fidelities=("epoch",),
        elapsed_attr="runtime",
    ),
    "rbv2_svm": _rbv2(_SVM, "kernel"),
    "rbv2_ranger": _rbv2(_RANGER, _FACTORS),
    "rbv2_rpart": _rbv2(_RPART),
    "rbv2_glmnet": _rbv2(_GLMNET),
    "rbv2_xgboost": _rbv2(_XGBOOST, "booster"),
    "rbv2_aknn": _rbv2(_AKNN, "distance"),
    "rbv2_super": _rbv2(
        " ".join((
            _of("svm", _SVM), _of("glmnet", _GLMNET), _of("rpart", _RPART), _of("ranger", _RANGER), _of("aknn", _AKNN),
            _of("xgboost", _XGBOOST),
        )),
        f"learner_id svm.kernel {_of('ranger', _FACTORS)} aknn.distance xgboost.booster",
    ),
    "iaml_ranger": _iaml(_RANGER_RATIO, f"replace {_FACTORS}"),
    "iaml_rpart": _iaml(_RPART),
    "iaml_glmnet": _iaml(_GLMNET),
    "iaml_xgboost": _iaml(_XGBOOST, "booster"),
    "iaml_super": _iaml(
        " ".join((_of("ranger", _RANGER_RATIO), _of("rpart", _RPART), _of("glmnet", _GLMNET), _of("xgboost", _XGBOOST))),
        f"learner ranger.replace {_of('ranger', _FACTORS)} xgboost.booster",
    ),
    "fair_fgrrm": _fair("lambda unfairness", "task_id definition"),
    "fair_rpart": _fair(f"{_RPART} {_REWEIGHING}", "task_id pre_post"),
    "fair_ranger": _fair(f"{_RANGER_FAIR} {_REWEIGHING}", f"replace {_FACTORS} task_id pre_post"),
    "fair_xgboost": _fair(f"{_TREES} {_REWEIGHING}", "booster task_id pre_post"),
    "fair_super": _fair(
        f"{_of('fgrrm', 'lambda unfairness')} {_of('rpart', _RPART)} {_of('ranger', _RANGER_FAIR)} "
        f"{_of('xgboost', _TREES)} {_REWEIGHING}",
        f"fgrrm.definition ranger.replace {_of('ranger', _FACTORS)} xgboost.booster learner task_id pre_post",
    ),
}  # fmt: skip


def recognised(names: set[str], own: Any = None) -> Scenario | None:
    """The scenario of a space by its names: the one all of whose inputs are there, with the most of them; None if none is.

    Args:
        names: of everything in `config_space.json`.
        own: a scenario's fields, where the folder describes itself. Raises msgspec.ValidationError.
    """
    if own is not None:
        return msgspec.convert(own, Scenario)
    fitting = [one for one in SCENARIOS.values() if names >= {*one.inputs, *one.categories}]
    return max(fitting, key=lambda one: len(one.inputs) + len(one.categories), default=None)

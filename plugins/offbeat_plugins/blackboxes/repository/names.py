"""Names of blackboxes on the hub and of folders: which are known, which are usable, where they lie."""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import Final

from offbeat.errors import InvalidArgument
from offbeat_plugins.blackboxes.repository.scenarios import SCENARIOS

REPO_ID: Final = "synetune/blackbox-repository"
"""Data set repository on the Hugging Face hub."""

HPOB: Final = (
    4796, 5527, 5636, 5859, 5860, 5889, 5891, 5906, 5965, 5970, 5971, 6766, 6767, 6794, 7607, 7609,
)  # fmt: skip
TABREPO: Final = (
    "RandomForest", "LinearModel", "CatBoost", "XGBoost", "ExtraTrees", "NeuralNetTorch", "LightGBM", "KNeighbors",
)  # fmt: skip

KNOWN: Final = (
    "fcnet", "nasbench201", "lcbench", "pd1", "icml-deepar", "icml-xgboost",
    *(f"hpob_{space}" for space in HPOB),
    *(f"tabrepo_{model}" for model in TABREPO),
    "autoencodix_vanillix", "autoencodix_varix",
    *(f"yahpo-{scenario}" for scenario in SCENARIOS),
)  # fmt: skip
"""Folders that the hub's repository has or had."""

FAMILIES: Final = (
    "fcnet, nasbench201, lcbench, pd1, icml-deepar, icml-xgboost, hpob_NNNN, tabrepo_MODEL, autoencodix_MODEL"
)
"""The same in words."""

_PART: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]*")


def places(name: str) -> list[str]:
    """Where a blackbox of that name may lie below a root, relative; `yahpo-X` also in `yahpo/X`. Raises InvalidArgument."""
    parts = PurePosixPath(name).parts
    if not parts or not all(_PART.fullmatch(part) for part in parts):
        raise InvalidArgument(
            f"name={name!r} cannot be a folder's: letters, digits, '.', '_', '+', '-', and '/' between. The folder of "
            "folders is given as repository=."
        )
    return ["/".join(parts), *([f"yahpo/{name.removeprefix('yahpo-')}"] if name.startswith("yahpo-") else [])]

"""How far a model fitted to one's own experiments can be believed.  python benchmarks/past.py [--trials 30 80 200]

A search with early stopping (ASHA, reduction factor 3 from the first epoch) is simulated on recorded trainings, the model is
fitted to its journal, and its curves are compared with the recorded ones for configurations that the search has not tried.
`rank` is the rank correlation with the truth at the first, a middle and the last level, `error` the median relative error at
the last one, `seconds` the median factor by which full trainings' seconds are missed. `ordered` is what the fit says of
itself, from held-out trials. The peer is a forest of 300 extremely randomised trees over (configuration, log level), with
the logarithm as its target, on the same observations; the floor is the median of the full curves.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from measure import machine, pin, say, scratch

DATA = Path(__file__).parents[2] / "shared" / "data"
HELD_OUT = 300


def tasks() -> dict[str, tuple[Any, str]]:
    """Blackbox and objective by name; LCBench's where its files and onnxruntime are there."""
    from offbeat.blackbox import load_blackbox
    from offbeat.errors import MissingExtra

    found: dict[str, tuple[Any, str]] = {"digits": (load_blackbox("digits"), "val_error")}
    if (DATA / "lcbench").is_dir():
        from offbeat_plugins.blackboxes.onnx import lcbench

        try:
            for dataset in ("7593", "168908", "189906"):
                found[f"lcbench-{dataset}"] = (lcbench(DATA / "lcbench", dataset), "val_cross_entropy")
        except MissingExtra as error:
            say(skipped="lcbench", why=str(error))
    return found


def searched(blackbox: Any, metric: str, trials: int, seed: int, home: str) -> Any:
    """An experiment on a blackbox."""
    from offbeat import StoppingCriterion, Tuner
    from offbeat.backend import SimulatedBackend
    from offbeat.optimizer.baselines import ASHA
    from offbeat.results import load

    top = max(blackbox.levels)
    scheduler = ASHA(blackbox.space, metric, resource_attr=blackbox.resource_attr, max_t=top, random_seed=seed)
    stop = StoppingCriterion(max_num_trials_started=trials)
    name = f"past-{trials}-{seed}"
    Tuner(SimulatedBackend(blackbox), scheduler, stop, name=name, observers=[], home=home, durability="end").run()
    return load(name, home)


def configurations(blackbox: Any, fitted: Any) -> list[dict[str, Any]]:
    """Random ones that were not tried."""
    from offbeat.seeds import Rows

    rows = Rows(0, "held-out", blackbox.space.width)
    tried = {fitted.space.key(trial.config) for trial in fitted._past.trials}
    drawn = {}
    for number in range(20 * HELD_OUT):
        config = blackbox.space.from_units(rows.row(number))
        key = fitted.space.key(config)
        if key not in tried:
            drawn.setdefault(key, config)
    return list(drawn.values())[:HELD_OUT]


def forest(fitted: Any, configs: Sequence[Mapping[str, Any]]) -> Any:
    """Curves of the peer, None without scikit-learn."""
    import numpy as np

    try:
        from sklearn.ensemble import ExtraTreesRegressor
    except ImportError:
        return None
    trials, codes = fitted._past.trials, fitted._codes
    rows = [
        np.column_stack([np.repeat(code[None], len(t.levels), 0), np.log(t.levels)])
        for code, t in zip(codes, trials, strict=True)
    ]
    scale = fitted._models.objectives[0].scale
    model = ExtraTreesRegressor(300, min_samples_leaf=2, random_state=0)
    model.fit(np.concatenate(rows), scale.apply(np.concatenate([t.values[:, 0] for t in trials])))
    asked = fitted.space.encode(configs)
    levels = np.log(np.array(fitted.levels))
    told = model.predict(np.column_stack([np.repeat(asked, len(levels), 0), np.tile(levels, len(asked))]))
    return scale.undo(told.reshape(len(asked), len(levels)))


def compared(name: str, blackbox: Any, metric: str, trials: int, seed: int) -> None:
    """One line."""
    import numpy as np
    from scipy.stats import spearmanr

    from offbeat.blackbox import FittedBlackbox

    with scratch() as home:
        experiment = searched(blackbox, metric, trials, seed, home)
        began = time.process_time()
        fitted = FittedBlackbox([experiment])
        fit_seconds = time.process_time() - began
        fit = fitted.fit
        configs = configurations(blackbox, fitted)
        curves = [fitted.curves(configs, [replicate] * len(configs)) for replicate in range(fitted.seeds)]
        told = np.mean([[one[metric] for one in found] for found in curves], axis=0)
        elapsed = np.mean([[one[fitted.elapsed_attr][-1] for one in found] for found in curves], axis=0)
    replicates = [blackbox.curves(configs, [replicate] * len(configs)) for replicate in range(blackbox.seeds)]
    places = [list(blackbox.levels).index(level) for level in fitted.levels]
    true = np.mean([[np.asarray(one[metric])[places] for one in found] for found in replicates], axis=0)
    seconds = np.array([one[blackbox.elapsed_attr][-1] for one in replicates[0]])
    shown = [0, len(fitted.levels) // 3, len(fitted.levels) - 1]

    def rank(found: Any) -> list[float]:
        return [round(float(spearmanr(found[:, at], true[:, at])[0]), 3) for at in shown]

    def error(found: Any) -> float:
        return float(np.median(np.abs(found[:, -1] - true[:, -1]) / true[:, -1]))

    peer = forest(fitted, configs)
    naive = np.median([trial.values[-1, 0] for trial in fitted._past.trials if trial.end == "full"])
    say(
        task=name, trials=trials, seed=seed, full=fit.full, rank=rank(told), error=error(told),
        forest_rank=None if peer is None else rank(peer), forest_error=None if peer is None else error(peer),
        floor_error=float(np.median(np.abs(naive - true[:, -1]) / true[:, -1])),
        seconds=float(np.exp(np.median(np.abs(np.log(elapsed / seconds))))),
        ordered=fit.objectives[0].ordered, inside_80=fit.objectives[0].inside, fit_cpu_s=fit_seconds,
    )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--trials", type=int, nargs="+", default=[30, 80, 200])
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--tasks", nargs="+")
    args = parser.parse_args()
    pin()
    say(machine=machine())
    from offbeat.errors import InvalidArgument

    for name, (blackbox, metric) in tasks().items():
        for trials in args.trials:
            for seed in args.seeds if not args.tasks or name in args.tasks else ():
                try:
                    compared(name, blackbox, metric, trials, seed)
                except InvalidArgument as error:
                    say(task=name, trials=trials, seed=seed, refused=str(error))


if __name__ == "__main__":
    main()

"""Examples in docstrings do what they say."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from offbeat import AskTell, StoppingCriterion
from offbeat.backend import CoroutineBackend
from offbeat.config_space import loguniform
from offbeat.optimizer.baselines import ASHA, MedianStoppingRule


def example(thing: Any) -> str:
    """The indented lines of a class's docstring, before its arguments."""

    def lines() -> Iterator[str]:
        for line in str(thing.__doc__).partition("Args:")[0].splitlines():
            if line.startswith(" " * 8) or not line.strip():
                yield line

    return textwrap.dedent("\n".join(lines())).strip()


SPACE = {"lr": loguniform(1e-4, 1.0), "epochs": 3}


def test_ask_tell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("OFFBEAT_HOME", str(tmp_path))
    space = {"lr": loguniform(1e-4, 1.0), "epochs": 3}
    epochs: list[int] = []

    def train(config: dict[str, Any], epoch: int) -> float:
        epochs.append(epoch)
        return float(config["lr"]) / epoch

    class Limited(AskTell):
        def __init__(self, *args: Any) -> None:
            super().__init__(*args, stop_criterion=StoppingCriterion(max_num_trials_started=5))

    def asha(space: Any, **options: Any) -> ASHA:
        return ASHA(space, **options)

    code = example(AskTell)
    assert code.startswith("study = AskTell(ASHA(space")
    exec(code, {"AskTell": Limited, "ASHA": asha, "space": space, "train": train})
    assert "metric='loss'" in capsys.readouterr().out
    assert len(epochs) >= 5
    assert (tmp_path / "my-study").is_dir()


@pytest.mark.asyncio
async def test_coroutines(tmp_path: Path) -> None:
    from offbeat import Tuner

    definition, _, call = example(CoroutineBackend).partition("await Tuner")
    names: dict[str, Any] = {"loss": 0.5}
    exec(definition, names)
    assert call.startswith("(CoroutineBackend(objective), scheduler, n_workers=8).arun()")
    scheduler = ASHA(SPACE, metric="loss", resource_attr="epoch", max_resource_attr="epochs")
    criterion = StoppingCriterion(max_num_trials_started=3)
    tuner = Tuner(CoroutineBackend(names["objective"]), scheduler, criterion, n_workers=8, home=tmp_path, observers=[])
    assert (await tuner.arun()).outcome == "done"


def test_median_stopping_rule() -> None:
    by_name, around = example(MedianStoppingRule).splitlines()
    names = {"MedianStoppingRule": MedianStoppingRule, "config_space": SPACE}
    assert isinstance(eval(by_name, names), MedianStoppingRule)
    inner = ASHA(SPACE, metric="loss", resource_attr="epoch", max_resource_attr="epochs")
    assert isinstance(eval(around.replace("ASHA(...)", "inner"), {**names, "inner": inner}), MedianStoppingRule)

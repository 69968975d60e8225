"""Fingerprints of functions: equal for equal code anywhere, different for whatever changes what a function does."""

from __future__ import annotations

import subprocess
import sys
import types
from typing import Any

import pytest

from offbeat_plugins.backends.fingerprints import fingerprint

CODE = """
import math
RATE = 0.5
NAMES = {"a", "b", "c"}

class Net:
    width = 4
    def __init__(self, depth):
        self.depth = depth
    def loss(self, lr):
        return lr * self.depth
    @property
    def size(self):
        return self.width
    @staticmethod
    def bound(x):
        return min(x, 1)

def helper(x):
    return x + RATE

def make(offset):
    def train(lr, epochs=3, *, kind="relu"):
        def step(x):
            return helper(x) * 2 + offset
        if kind in {"relu", "tanh", "gelu"} and NAMES:
            return [step(e) for e in range(epochs)], Net(2).loss(lr), math.pi
    return train
"""


def of(code: str, offset: Any = 1.0) -> str:
    module = types.ModuleType("training")
    exec(compile(code, "training.py", "exec"), vars(module))
    return fingerprint(module.make(offset))


def test_it_is_the_same_wherever_and_whenever_the_function_is_made() -> None:
    program = f"""
import types
from offbeat_plugins.backends.fingerprints import fingerprint
module = types.ModuleType("training")
exec(compile({CODE!r}, "elsewhere.py", "exec"), vars(module))
print(fingerprint(module.make(1.0)))
"""
    command = [sys.executable, "-c", program]
    for seed in ("1", "2"):
        done = subprocess.run(command, capture_output=True, text=True, check=True, env={"PYTHONHASHSEED": seed})
        assert done.stdout.strip() == of(CODE)
    assert of("\n\n# a comment\n" + CODE.replace("class Net:", "\n\nclass Net:")) == of(CODE)
    assert of(CODE + "\ndef unused():\n    return 3\n") == of(CODE)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("helper(x) * 2", "helper(x) * 3"),
        ("x + RATE", "x - RATE"),
        ("RATE = 0.5", "RATE = 0.25"),
        ("epochs=3", "epochs=4"),
        ('kind="relu"', 'kind="tanh"'),
        ("lr * self.depth", "lr + self.depth"),
        ("width = 4", "width = 5"),
        ("return self.width", "return self.width + 1"),
        ("min(x, 1)", "min(x, 2)"),
        ('"c"}', '"d"}'),
        ('"gelu"}', '"selu"}'),
        ("math.pi", "math.e"),
        ("Net(2)", "Net(3)"),
    ],
)
def test_it_is_another_one_for_other_code(before: str, after: str) -> None:
    assert before in CODE
    assert of(CODE.replace(before, after)) != of(CODE)


def test_what_a_closure_holds_counts_by_value_or_by_type() -> None:
    assert len({of(CODE, value) for value in (1.0, 2.0, "1.0", [1], [1, 2], {"a": 1}, {"a": 2}, None)}) == 8
    assert of(CODE, [1, {"a": (2, 3)}]) == of(CODE, [1, {"a": (2, 3)}])
    assert of(CODE, object()) == of(CODE, object())
    assert of(CODE, {"b", "a", "c"}) == of(CODE, {"c", "b", "a"})
    endless: list[Any] = []
    endless.append(endless)
    assert of(CODE, endless) == of(CODE, endless)

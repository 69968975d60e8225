"""The compiled way against the NumPy one, and how often it compiles."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from offbeat_plugins.acquisition.options import Data, Options
from offbeat_plugins.acquisition.search import Effort
from offbeat_plugins.acquisition.suggestion import suggest
from offbeat_plugins.surrogates.arithmetic_numpy import numpy_arithmetic
from offbeat_plugins.surrogates.blocks import Block, Layout
from offbeat_plugins.surrogates.hyperparameters import Prior

jax = pytest.importorskip("jax", reason="the path under test is JAX's: pip install 'offbeat[jax]'")

MIXED = Layout([Block(), Block("discrete", levels=(0.1, 0.5, 0.9)), Block("categorical", 3), Block()])
QUICK = Options(candidates=64, effort=Effort(starts=2, rounds=1, turns=5), turns=30)


def observed(n: int) -> tuple[Any, Any]:
    rng = np.random.default_rng(0)
    codes = MIXED.draw(rng.random((n, MIXED.groups)))
    return codes, ((codes - 0.4) ** 2).sum(axis=1) + 0.05 * rng.standard_normal(n)


@pytest.mark.parametrize(
    "options",
    [QUICK, replace(QUICK, constraints=1, fantasies=3, prior=Prior(warp=True))],
    ids=["plain", "constrained, fantasies, warped"],
)
def test_both_ways_agree(options: Options) -> None:
    codes, targets = observed(20)
    outputs = np.stack([targets, *([targets - 1.0] if options.constraints else [])], axis=1)
    pending = MIXED.draw(np.random.default_rng(5).random((3, MIXED.groups)))
    data = Data(codes, outputs, pending)
    ours, theirs = (suggest(data, MIXED, 1, None, replace(options, backend=way)) for way in ("numpy", "jax"))  # type: ignore[arg-type]
    assert theirs.diagnostics["backend"] == "jax"
    assert ours.diagnostics["evaluations"] == theirs.diagnostics["evaluations"]
    assert np.allclose(
        ours.diagnostics["negative_log_posterior"], theirs.diagnostics["negative_log_posterior"], atol=1e-6
    )
    assert ours.state is not None
    assert theirs.state is not None
    assert np.allclose(ours.state.theta(), theirs.state.theta(), atol=1e-4)
    assert np.allclose(ours.codes[0], theirs.codes[0], atol=1e-3)
    assert np.allclose(ours.values[0], theirs.values[0], atol=1e-4)
    # A state of one is a state of the other.
    crossed = suggest(data, MIXED, 2, theirs.state, replace(options, backend="numpy"))
    assert np.allclose(crossed.state.theta(), ours.state.theta(), atol=0.3)  # type: ignore[union-attr]


def test_the_inverse_climbs_and_gives_up_like_the_other() -> None:
    from offbeat_plugins.surrogates.arithmetic_jax import jax_arithmetic

    with jax.enable_x64(True):
        inverted = jax.jit(jax_arithmetic().inverted)
        for matrix in (np.diag([1.0, 2.0, 3.0]), np.ones((3, 3)), -np.eye(3), np.full((3, 3), np.nan)):
            ours, theirs = numpy_arithmetic().inverted(matrix), inverted(matrix)
            assert np.allclose(ours[0], theirs[0], rtol=1e-6)
            assert np.allclose(ours[1], theirs[1])


def test_a_growing_run_compiles_one_program_a_bucket() -> None:
    from offbeat_plugins.acquisition.program_jax import BUCKETS, TRACES, bucket

    assert len(BUCKETS) <= 8
    assert [bucket(n, BUCKETS) for n in (1, 64, 65, 513, 1000)] == [64, 64, 128, 640, 1024]
    codes, targets = observed(140)
    TRACES.clear()
    state = None
    # Two of the buckets, with and without pending points, tried starts, batches.
    for n in (2, 3, 5, 9, 20, 40, 63, 64, 65, 70, 100, 128):
        options = replace(QUICK, backend="jax", batch=1 + n % 2)
        answer = suggest(Data(codes[:n], targets[:n], codes[n : n + n % 4]), MIXED, n, state, options)
        state = answer.state
    assert 1 <= sum(TRACES.values()) <= 2, TRACES


def test_each_bucket_has_one_number_of_candidates() -> None:
    """Or a bucket would have two programs."""
    from offbeat_plugins.acquisition.program_jax import BUCKETS, bucket

    shapes = {(bucket(n, BUCKETS), Options().candidates_for(n)) for n in range(1, Options().capacity + 1)}
    assert len(shapes) == len(BUCKETS)


def test_x64_stays_inside_and_the_import_is_late() -> None:
    code = (
        "import sys, offbeat_plugins.acquisition.suggestion as s, offbeat_plugins.surrogates.blocks\n"
        "assert not {'jax', 'scipy', 'offbeat', 'threadpoolctl'} & set(sys.modules), sorted(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    codes, targets = observed(6)
    suggest(Data(codes, targets), MIXED, 1, None, replace(QUICK, backend="jax"))
    assert jax.numpy.zeros(1).dtype == "float32"


def test_compiled_programs_are_kept_in_a_folder(tmp_path: Path) -> None:
    code = (
        "import sys, numpy as np\n"
        "from offbeat_plugins.acquisition.options import Data, Options\n"
        "from offbeat_plugins.acquisition.suggestion import suggest\n"
        "from offbeat_plugins.surrogates.blocks import Layout\n"
        "options = Options(backend='jax', candidates=64, compile_cache=sys.argv[1])\n"
        "suggest(Data(np.eye(3), [1.0, 2.0, 3.0]), Layout.continuous(3), 1, None, options)\n"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True)
    assert any("program" in path.name for path in tmp_path.iterdir())

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


FIRST = """
import sys, numpy as np
from offbeat_plugins.acquisition.options import Data, Options
from offbeat_plugins.acquisition.program_jax import TRACES
from offbeat_plugins.acquisition.search import Effort
from offbeat_plugins.acquisition.suggestion import suggest
from offbeat_plugins.surrogates.blocks import Layout
options = Options(backend='jax', candidates=64, effort=Effort(2, 1, 5), compile_cache=sys.argv[1])
answer = suggest(Data(np.eye(3), [1.0, 2.0, 3.0]), Layout.continuous(3), 1, None, options)
print(sum(TRACES.values()), answer.codes.tobytes().hex(), answer.values.tobytes().hex())
"""


def test_programs_are_kept_in_a_folder_compiled_and_exported(tmp_path: Path) -> None:
    """A second process neither traces nor compiles, and answers the same to the bit; a damaged file is done without."""

    def process() -> tuple[str, str]:
        done = subprocess.run([sys.executable, "-c", FIRST, str(tmp_path)], check=True, capture_output=True, text=True)
        traces, _, rest = done.stdout.partition(" ")
        return traces, rest

    traced, first = process()
    assert traced == "1"
    (program,) = tmp_path.glob("*.stablehlo")
    compiled = sorted(path.name for path in tmp_path.glob("*-cache"))
    assert compiled
    assert process() == ("0", first)
    assert sorted(path.name for path in tmp_path.glob("*-cache")) == compiled
    whole = program.read_bytes()
    program.write_bytes(whole[: len(whole) // 2])
    assert process() == ("1", first)
    assert program.stat().st_size == len(whole)
    assert not list(tmp_path.glob("*.part"))


def test_a_program_is_another_for_other_constants_and_shapes_and_an_unwritable_folder_is_done_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from offbeat_plugins.acquisition import exported
    from offbeat_plugins.acquisition.exported import exported as kept

    double = jax.jit(lambda x: 2 * x)
    for constants, x in (("a", np.ones(3)), ("b", np.ones(3)), ("a", np.ones(4)), ("a", np.ones(3, np.float32))):
        assert (np.asarray(kept(double, constants, [x], str(tmp_path))(x)) == 2).all()
    assert len(list(tmp_path.iterdir())) == 4
    # What lies there is taken, whatever the function would be: the name says all that it depends on.
    never = jax.jit(lambda x: x / 0)
    assert (np.asarray(kept(never, "a", [np.ones(3)], str(tmp_path))(np.ones(3))) == 2).all()
    monkeypatch.setattr(exported, "_source", lambda: "another source")
    assert np.isinf(np.asarray(kept(never, "a", [np.ones(3)], str(tmp_path))(np.ones(3)))).all()
    nowhere = str(tmp_path / "none")
    assert (np.asarray(kept(double, "a", [np.ones(3)], nowhere)(np.ones(3))) == 2).all()


def test_a_thousand_trials_need_eight_programs(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the arguments that programs are specialised to, four workers, with the searcher's own options."""
    from offbeat_plugins.acquisition import program_jax
    from offbeat_plugins.acquisition.program import Fits

    wanted = set()

    def program(self: Any, shape: Any, arguments: Any) -> Any:
        wanted.add((shape, *((leaf.shape, leaf.dtype) for leaf in jax.tree.leaves(arguments))))
        _, seen, start, question, _ = arguments

        def nothing(*_: Any) -> Any:
            n, d = seen.x.shape
            process = program_jax.Posterior(
                start.theta[0], np.zeros((n, d)), np.zeros(n), np.zeros((n, 1)), np.zeros((n, n)), np.zeros(1), 1.0
            )
            fits = Fits(start.theta, start.curvature, np.zeros(1), np.ones(1), np.zeros(1))
            return fits, program_jax._nothing(np, [process], question, shape)

        return nothing

    monkeypatch.setattr(program_jax.JaxSolver, "_program", program)
    rng = np.random.default_rng(0)
    codes = MIXED.draw(rng.random((1004, MIXED.groups)))
    targets = rng.standard_normal(1004)
    edges = {n + off for n in program_jax.BUCKETS for off in (0, 1) if n + off <= 1000}
    state = None
    for n in sorted({*range(1, 1001, 41), *edges}):
        options = Options(backend="jax", transform="half-rank", capacity=1008)
        state = suggest(Data(codes[:n], targets[:n], codes[n : n + n % 4]), MIXED, n, state, options).state
    assert len(wanted) == 8

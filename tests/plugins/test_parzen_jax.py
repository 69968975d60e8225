"""The compiled density: the same as NumPy's, by a few programs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip("jax", reason="needs JAX: pip install 'offbeat[jax]'")

from offbeat.config_space import choice, loguniform, optional, randint
from offbeat.optimizer.baselines import TPE
from offbeat_plugins.surrogates import parzen, parzen_jax
from offbeat_plugins.surrogates.columns import Column

COLUMNS = (
    Column(),
    Column(categories=3),
    Column(grid=(0.1, 0.2, 0.5, 0.9)),
    Column(),
    Column(categories=1),
    Column(categories=1000),
)


def sample(n: int, seed: int, absent: float) -> Any:
    rng = np.random.default_rng(seed)
    x = rng.random((n, len(COLUMNS)))
    for i, column in enumerate(COLUMNS):
        x[:, i] = column.placed(x[:, i])
    x[rng.random(x.shape) < absent] = np.nan
    return x


@pytest.mark.parametrize("absent", [0.0, 0.3])
@pytest.mark.parametrize("n", [0, 1, 40, 600])
def test_it_is_what_numpy_computes(n: int, absent: float) -> None:
    density = parzen.mixture(sample(n, 1, absent), COLUMNS, np.arange(n, 0.0, -1.0), prior=0.7)
    x = sample(64, 2, absent)
    expected = parzen.log_density(density, COLUMNS, x)
    assert parzen_jax.log_density(density, COLUMNS, x) == pytest.approx(expected, abs=1e-3)


def test_the_narrowest_kernels_agree_too() -> None:
    columns = (Column(), Column(grid=tuple((np.arange(50) + 0.5) / 50)))
    points = np.full((3000, 2), [0.999, 0.51])
    density = parzen.mixture(points, columns, prior=1e-3)
    assert density.widths[0] < 0.06
    x = np.column_stack([np.linspace(0, 1, 64), columns[1].placed(np.linspace(0, 1, 64))])
    expected = parzen.log_density(density, columns, x)
    assert parzen_jax.log_density(density, columns, x) == pytest.approx(expected, abs=1e-3)


def test_a_few_programs_do_for_a_run() -> None:
    parzen_jax._program().clear_cache()
    columns = COLUMNS[:4]
    for n in range(20, 520, 50):
        density = parzen.mixture(sample(n, n, 0.0)[:, :4], columns)
        parzen_jax.log_density(density, columns, sample(64, 1, 0.0)[:, :4])
    assert parzen_jax._program()._cache_size() == 2


def test_tpe_proposes_the_same(game: Any) -> None:
    space = {
        "lr": loguniform(1e-5, 1e-1),
        "units": randint(4, 512),
        "kind": choice(["a", "b"]),
        "clip": optional(randint(1, 9)),
    }

    def value(config: Any) -> float:
        return abs(np.log10(config["lr"]) + 3) + config["units"] / 500 + (config["clip"] or 0)

    ours, theirs = (
        game(TPE(space, "loss", random_seed=3, arithmetic=arithmetic), value, late=2).play(40).configs
        for arithmetic in ("numpy", "jax")
    )
    assert ours == theirs

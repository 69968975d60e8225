"""JAX on the CPU, in double precision, inside compiled programs."""

from __future__ import annotations

from functools import cache
from typing import Any

from offbeat_plugins.surrogates.arithmetic import RUNGS, Arithmetic


@cache
def jax_arithmetic() -> Arithmetic:
    """JAX's; loads it. Raises ImportError that says what to install where it is missing."""
    try:
        import jax
    except ImportError:
        raise ImportError("Gaussian processes compiled by JAX need it: pip install 'offbeat[jax]'") from None
    import jax.numpy as jnp
    from jax import lax
    from jax.scipy.special import log_ndtr

    def inverted(covariance: Any) -> tuple[Any, Any]:
        typical = jnp.diagonal(covariance).mean()
        eye = jnp.eye(covariance.shape[0], dtype=covariance.dtype)
        rungs = jnp.asarray(RUNGS)

        def climb(state: Any) -> Any:
            rung, _ = state
            return rung + 1, jnp.linalg.cholesky(covariance + (rungs[rung] * typical) * eye, symmetrize_input=False)

        def failed(state: Any) -> Any:
            rung, factor = state
            return (rung < len(RUNGS)) & ~jnp.isfinite(factor[-1, -1])

        # A factor that failed is NaN throughout, so its last entry tells.
        _, factor = lax.while_loop(failed, climb, (0, jnp.full_like(covariance, jnp.nan)))
        good = jnp.isfinite(factor[-1, -1])
        root = lax.linalg.triangular_solve(jnp.where(good, factor, eye), eye, lower=True, left_side=True)
        logdet = 2.0 * jnp.log(jnp.diagonal(factor)).sum()
        return jnp.where(good, root.T @ root, 0.0), jnp.where(good, logdet, jnp.inf)

    def select(choice: Any, new: Any, old: Any) -> Any:
        return jax.tree.map(lambda a, b: jnp.where(choice, a, b), new, old)

    return Arithmetic(jnp, log_ndtr, inverted, lax.while_loop, select)

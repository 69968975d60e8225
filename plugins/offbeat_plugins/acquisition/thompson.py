"""Thompson sampling: one joint draw of the process at given points, which is then minimised (Thompson 1933)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from offbeat_plugins.acquisition.criterion import Aim, Roles
from offbeat_plugins.surrogates.process import Posterior, Setting, covariance, features, levels, prior_mean

if TYPE_CHECKING:
    from numpy.typing import NDArray


def joint_draw(
    setting: Setting, process: Posterior, x: NDArray[np.float64], normals: NDArray[np.float64]
) -> NDArray[np.float64]:
    """A draw of f + c at x (q, d), (q,), made of normals (q,): mean plus a root of the covariance times these.

    Fantasies are averaged. The root is that of the eigenvalues: covariances of near points have no Cholesky factor.
    """
    at = (features(setting, process.theta, x), levels(setting, x))
    cross, _ = covariance(setting, process.theta, at, (process.z, process.t))
    own, _ = covariance(setting, process.theta, at, at)
    spread = own - cross @ process.inverse @ cross.T
    values, vectors = np.linalg.eigh(0.5 * (spread + spread.T))
    draw: Any = prior_mean(setting, process, at[1]) + cross @ process.alpha.mean(axis=1)
    out: NDArray[np.float64] = draw + vectors @ (np.sqrt(np.maximum(values, 0.0)) * (vectors.T @ normals))
    return out


def thompson_order(
    rng: np.random.Generator,
    setting: Setting,
    processes: Sequence[Posterior],
    x: NDArray[np.float64],
    *,
    aim: Aim,
    roles: Roles,
) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Places of x (q, d), best first, and minus the drawn objective (q,).

    Points whose drawn constraints all hold come first, by the drawn objective; then the others by their drawn violation
    (Eriksson and Poloczek 2021, arXiv:2002.08526). Drawn costs are added to the objective as `Aim.exponent` says.
    """
    draws = [joint_draw(setting, process, x, rng.standard_normal(len(x))) for process in processes]
    objective = draws[0]
    if roles.cost:
        objective = objective + aim.exponent * draws[-1]
    violation = np.zeros(len(x))
    for place in range(roles.constraints):
        violation += np.maximum(draws[1 + place] - aim.bounds[place], 0.0)
    return np.lexsort((np.where(violation > 0.0, violation, objective), violation > 0.0)), -objective

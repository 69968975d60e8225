"""Thompson sampling: one joint draw of the process at given points, which is then minimised (Thompson 1933)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from offbeat_plugins.acquisition.criterion import Aim, Roles
from offbeat_plugins.surrogates.matern import matern52, squared_distances
from offbeat_plugins.surrogates.process import Columns, Posterior, features

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from offbeat_plugins.surrogates.hyperparameters import Parts


def joint_draw(
    process: Posterior, x: NDArray[np.float64], normals: NDArray[np.float64], columns: Columns, where: Parts
) -> NDArray[np.float64]:
    """A draw of f + c at x (q, d), (q,), made of normals (q,): mean plus a root of the covariance times these.

    Fantasies are averaged. The root is that of the eigenvalues: covariances of near points have no Cholesky factor.
    """
    signal = np.exp(process.theta[where.signal])
    z = features(np, process.theta, where, columns, x)
    cross = matern52(np, squared_distances(np, z, process.z))[0] * signal
    own = matern52(np, squared_distances(np, z, z))[0] * signal
    covariance = own - cross @ process.inverse @ cross.T
    values, vectors = np.linalg.eigh(0.5 * (covariance + covariance.T))
    draw: Any = process.constant + cross @ process.alpha.mean(axis=1)
    out: NDArray[np.float64] = draw + vectors @ (np.sqrt(np.maximum(values, 0.0)) * (vectors.T @ normals))
    return out


def thompson_order(
    rng: np.random.Generator,
    processes: Sequence[Posterior],
    x: NDArray[np.float64],
    aim: Aim,
    roles: Roles,
    columns: Columns,
    where: Parts,
) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Places of x (q, d), best first, and minus the drawn objective (q,).

    Points whose drawn constraints all hold come first, by the drawn objective; then the others by their drawn violation
    (Eriksson and Poloczek 2021, arXiv:2002.08526). Drawn costs are added to the objective as `Aim.exponent` says.
    """
    draws = [joint_draw(process, x, rng.standard_normal(len(x)), columns, where) for process in processes]
    objective = draws[0]
    if roles.cost:
        objective = objective + aim.exponent * draws[-1]
    violation = np.zeros(len(x))
    for place in range(roles.constraints):
        violation += np.maximum(draws[1 + place] - aim.bounds[place], 0.0)
    return np.lexsort((np.where(violation > 0.0, violation, objective), violation > 0.0)), -objective

"""Matern-5/2 kernel of squared distances, and its slope (Rasmussen and Williams 2006, equation 4.17)."""

from __future__ import annotations

from typing import Any, Final

SQRT5: Final = 5.0**0.5


def squared_distances(xp: Any, a: Any, b: Any) -> Any:
    """Squared Euclidean distances of rows, (n, d) and (q, d) to (n, q), at least 0.

    By one matrix product: (n, q, d) differences would need gigabytes for a thousand points in 200 dimensions. Rows should
    be centred near 0, where cancellation costs least.
    """
    out = (a * a).sum(axis=1)[:, None] + (b * b).sum(axis=1)[None, :] - 2.0 * (a @ b.T)
    return xp.maximum(out, 0.0)


def matern52(xp: Any, r2: Any) -> tuple[Any, Any]:
    """k(r) = (1 + sqrt5 r + 5/3 r^2) exp(-sqrt5 r) and dk / d(r^2), of squared distances of any shape.

    The slope by r^2, not r: it is finite at 0, where the root has none.
    """
    r = SQRT5 * xp.sqrt(r2)
    decay = xp.exp(-r)
    linear = (1.0 + r) * decay
    return linear + (5.0 / 3.0) * r2 * decay, (-5.0 / 6.0) * linear

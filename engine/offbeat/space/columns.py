"""Many values of one hyperparameter at once: bit for bit what its domain's sampler gives for one number after the other.

NumPy's elementwise +, -, *, /, rounding and comparisons are those of IEEE 754, as Python's are, so that the two ways agree
where they take the same steps in the same order.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

from offbeat.space.domain import Domain
from offbeat.space.numeric import EXACT_POWER, Float, Integer, decades_of
from offbeat.space.scales import exponentials, log

if TYPE_CHECKING:
    from numpy.typing import NDArray

Sampler: TypeAlias = "Callable[[NDArray[Any]], list[Any]]"
"""Numbers in [0, 1), (n,) float64 -> n values."""


def column_sampler(domain: Domain) -> Sampler:
    """The domain's sampler for many numbers."""
    found = None
    if type(domain) is Float and domain.lower < domain.upper:
        found = _floats(domain)
    elif type(domain) is Integer:
        found = _integers(domain)
    if found is not None:
        return found
    draw = domain.sampler()
    return lambda us: list(map(draw, us.tolist()))


def _floats(domain: Float) -> Sampler | None:
    import numpy as np

    lower, upper = domain.lower, domain.upper

    def clipped(x: NDArray[Any]) -> list[Any]:
        values: list[Any] = np.where(x < lower, lower, np.where(x > upper, upper, x)).tolist()
        return values

    if domain.scale == "linear" and 0 <= domain.decimals <= EXACT_POWER:
        ten, width = float(10**domain.decimals), upper - lower
        # Adding 0 makes 0 of -0, which Python's `round` does not know.
        return lambda us: clipped(np.rint((lower + width * us) * ten) / ten + 0.0)
    start = log(lower) if domain.scale == "log" else 0.0
    span = log(upper) - start if domain.scale == "log" else 0.0
    table = decades_of(lower, upper) if span > 0.0 else None
    if table is None:
        return None
    grow, decades, tens = exponentials(start, span), np.array(table[0]), np.array(table[1])

    def draw(us: NDArray[Any]) -> list[Any]:
        x = grow(us)
        ten = tens[np.searchsorted(decades, x, side="right")]
        return clipped(np.rint(x * ten) / ten)

    return draw


def _integers(domain: Integer) -> Sampler:
    import numpy as np

    lower, upper = domain.lower, domain.upper

    def clipped(k: NDArray[Any]) -> list[Any]:
        values: list[Any] = np.clip(k.astype(np.int64), lower, upper).tolist()
        return values

    if domain.scale == "linear":
        size = float(upper - lower + 1)
        return lambda us: clipped(lower + (size * us).astype(np.int64))
    start = log(lower - 0.5)
    grow = exponentials(start, log(upper + 0.5) - start)
    return lambda us: clipped(grow(us) + 0.5)

"""The three scales, as maps between an interval and [0, 1], and the exponential that draws use.

Draws must give the same value on every machine, so they use no `exp` or `log` of the C library, whose last bit differs
between systems and processors: `exponential` and `log` here are made of +, -, *, / and sqrt, which IEEE 754 fixes to
the last bit.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

if TYPE_CHECKING:
    from numpy.typing import NDArray

Scale: TypeAlias = Literal["linear", "log", "reverse-log"]
"""What is uniform: x itself, log(x), or log(1 - x)."""

_LN2: Final = 0.6931471805599453
_STEPS: Final = 256


def _powers_of_two() -> tuple[float, ...]:
    table = [1.0]
    root = 2.0
    while len(table) < _STEPS:
        root = math.sqrt(root)
        table = [power for low in table for power in (low, low * root)]
    return tuple(table)


_POWERS: Final = _powers_of_two()
"""2^(j/256) for j = 0..255."""

_STEP: Final = _LN2 / _STEPS
_SERIES: Final = (_STEP, _STEP * _STEP / 2, _STEP * _STEP * _STEP / 6, _STEP * _STEP * _STEP * _STEP / 24)
"""Of 2^(r/256) - 1 = e^(r step) - 1 in r, 0 <= r < 1; the first term left out is below 2e-15."""


def exponential(start: float, width: float) -> Callable[[float], float]:
    """The map u -> e^(start + width u) for 0 <= u <= 1; the same bits everywhere.

    Relative error about 1e-15, or 1e-16 times the exponent where that is more.
    """
    low, slope, scale = _steps(start, width)
    powers, (c1, c2, c3, c4) = _POWERS, _SERIES

    def grow(u: float) -> float:
        steps = low + slope * u
        n = int(steps)
        r = steps - n
        return powers[n & 255] * (1.0 + r * (c1 + r * (c2 + r * (c3 + r * c4)))) * scale[n >> 8]

    return grow


def exponentials(start: float, width: float) -> Callable[[NDArray[Any]], NDArray[Any]]:
    """`exponential` for an array of numbers, with the same bits."""
    import numpy as np

    low, slope, octaves = _steps(start, width)
    powers, scale, (c1, c2, c3, c4) = np.array(_POWERS), np.array(octaves), _SERIES

    def grow(us: NDArray[Any]) -> NDArray[Any]:
        steps = low + slope * us
        n = steps.astype(np.int64)
        r = steps - n
        grown: NDArray[Any] = powers[n & 255] * (1.0 + r * (c1 + r * (c2 + r * (c3 + r * c4)))) * scale[n >> 8]
        return grown

    return grow


def _steps(start: float, width: float) -> tuple[float, float, tuple[float, ...]]:
    """Start and width in steps of ln(2)/256, shifted by whole octaves for int() to round down, and what shifts back."""
    low, slope = start * (_STEPS / _LN2), width * (_STEPS / _LN2)
    octave = math.floor(min(low, low + slope) / _STEPS) - 1
    octaves = math.ceil(abs(slope) / _STEPS) + 3
    return low - octave * _STEPS, slope, tuple(math.ldexp(1.0, min(octave + i, 1023)) for i in range(octaves))


def log(x: float) -> float:
    """Natural logarithm of x > 0 to about 1e-15; the same bits everywhere, slower than `math.log`."""
    mantissa, exponent = math.frexp(x)
    if mantissa < 0.7071067811865476:
        mantissa, exponent = 2.0 * mantissa, exponent - 1
    s = (mantissa - 1.0) / (mantissa + 1.0)
    square = s * s
    # log(m) = 2 artanh(s) with |s| < 0.172: twelve terms reach 1e-19.
    series = 0.0
    for odd in range(23, 0, -2):
        series = series * square + 1.0 / odd
    return 2.0 * s * series + exponent * _LN2


def axis(lower: float, upper: float, scale: Scale) -> tuple[Callable[[float], float], Callable[[float], float]]:
    """Both ways between lower <= x <= upper and 0 <= c <= 1: (x -> c, c -> x), increasing, not clipped.

    An interval of one point (also one that is too narrow for its logarithms to differ) has its code at 0.5.
    """
    if scale == "linear":
        start, width = lower, upper - lower
    elif scale == "log":
        start = log(lower)
        width = log(upper) - start
    else:
        start = log(1.0 - lower)
        width = log(1.0 - upper) - start
    if width == 0.0:
        return (lambda _x: 0.5), (lambda _c: lower)
    if scale == "linear":
        return (lambda x: (x - start) / width), (lambda c: start + width * c)
    grow = exponential(start, width)
    if scale == "log":
        return (lambda x: (math.log(x) - start) / width), grow
    return (lambda x: (math.log(1.0 - x) - start) / width), (lambda c: 1.0 - grow(c))

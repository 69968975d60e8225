"""The portable logarithm and exponential against arithmetic of 50 digits."""

import math
import subprocess
import sys
from decimal import Context, Decimal

from hypothesis import given
from hypothesis import strategies as st

from offbeat.space.scales import axis, exponential, log

EXACT = Context(prec=50)


@given(st.floats(5e-324, 1.7e308))
def test_log(x):
    want = EXACT.ln(Decimal(x))
    assert abs(float(EXACT.subtract(Decimal(log(x)), want))) <= 4e-16 * max(1.0, abs(float(want)))


@given(st.floats(-700, 700), st.floats(-700, 700), st.floats(0, 1))
def test_exponential(start, end, u):
    width = end - start
    got = exponential(start, width)(u)
    exponent = EXACT.add(Decimal(start), EXACT.multiply(Decimal(width), Decimal(u)))
    want = EXACT.exp(exponent)
    assert abs(float(EXACT.divide(Decimal(got), want)) - 1.0) <= 3e-15 + 4e-16 * max(abs(start), abs(end), abs(width))


def test_no_function_of_the_c_library_has_a_part_in_draws(monkeypatch):
    def forbidden(*_):
        raise AssertionError("libm used in a draw")

    from offbeat.space import loguniform, reverseloguniform

    for name in ("exp", "log", "log2", "log10", "log1p", "expm1", "pow"):
        if hasattr(math, name):
            monkeypatch.setattr(math, name, forbidden)
    assert loguniform(1e-6, 1e-2).from_unit(0.5) == 1e-4
    assert reverseloguniform(0.9, 0.999).from_unit(0.5) == 0.99


@given(
    st.sampled_from(["linear", "log", "reverse-log"]), st.floats(0.001, 0.99), st.floats(0.001, 0.99), st.floats(0, 1)
)
def test_axis_goes_both_ways(scale, a, b, c):
    forward, back = axis(min(a, b), max(a, b), scale)
    width = abs(a - b)
    if width > 1e-6:
        assert abs(forward(back(c)) - c) < 1e-8
        assert abs(forward(min(a, b))) < 1e-9
        assert abs(forward(max(a, b)) - 1.0) < 1e-9


def test_import_leaves_numpy_alone():
    code = (
        "import sys, offbeat.space, offbeat.config_space;"
        "print([name for name in ('numpy', 'msgspec', 'asyncio') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={"PYTHONPATH": ":".join(sys.path)}
    )
    assert done.stdout == "[]\n"

"""Domains: what one uniform number gives, codes, casts, JSON."""

import copy
import json
import math
import pickle
import string
from decimal import Context, Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from offbeat.config_space import (
    Domain,
    choice,
    finrange,
    logfinrange,
    logordinal,
    lograndint,
    loguniform,
    optional,
    ordinal,
    qlograndint,
    qloguniform,
    qrandint,
    quniform,
    randint,
    reverseloguniform,
    uniform,
)
from offbeat.errors import InvalidConfig
from offbeat.space import Choice, FiniteRange, Ordinal, domain_from_json
from offbeat.space.columns import column_sampler
from offbeat.space.listing import values_of

finite = st.floats(-1e9, 1e9, allow_subnormal=False).map(lambda x: 0.0 if abs(x) < 1e-9 else x)
positive = st.floats(1e-12, 1e12)
unit = st.floats(0.0, 1.0, exclude_max=True)
numbers = st.lists(st.integers(-1000, 1000), min_size=1, max_size=8, unique=True)


def pair(values, make):
    return st.tuples(values, values).map(lambda ends: make(min(ends), max(ends)))


def stepped(make, lower, reach, step):
    return st.tuples(lower, reach, step).map(lambda t: make(t[0], t[0] + (t[1] + 1) * t[2], t[2]))


NUMERIC = st.one_of(
    pair(finite, uniform),
    pair(positive, loguniform),
    st.tuples(st.floats(0.0, 0.9), st.floats(0.91, 1.0 - 1e-9)).map(lambda ends: reverseloguniform(*ends)),
    pair(st.integers(-(2**50), 2**50), randint),
    pair(st.integers(1, 2**40), lograndint),
    stepped(quniform, st.integers(-50, 50), st.integers(0, 500), st.sampled_from([0.1, 0.25, 1 / 3, 2.0])),
    stepped(qloguniform, st.integers(1, 50), st.integers(0, 500), st.sampled_from([0.1, 0.25, 1 / 3, 2.0])),
    stepped(qrandint, st.integers(-50, 50), st.integers(0, 500), st.integers(1, 9)),
    stepped(qlograndint, st.integers(1, 50), st.integers(0, 500), st.integers(1, 9)),
    st.tuples(finite, positive, st.integers(2, 30)).map(lambda t: finrange(t[0], t[0] + 1 + t[1], t[2])),
    st.tuples(positive, st.floats(2, 1e6), st.integers(2, 30)).map(lambda t: logfinrange(t[0], t[0] * t[1], t[2])),
    st.integers(2, 30).map(lambda n: finrange(-3, 100, n, cast_int=True)),
    numbers.map(lambda values: ordinal(sorted(values))),
    numbers.map(lambda values: logordinal(sorted(abs(v) + 1 for v in {abs(v) for v in values}))),
)
LISTED = st.one_of(
    numbers.map(choice),
    numbers.map(lambda values: ordinal(values, "equal")),
    st.lists(finite, min_size=1, max_size=8, unique=True).map(choice),
    st.lists(st.text(string.printable, max_size=6), min_size=1, max_size=8, unique=True).map(choice),
    st.just(choice([True, False])),
)
ENTRIES = st.none() | st.booleans() | st.integers(-3, 3) | finite | st.text(string.printable, max_size=3)
LISTS = st.lists(
    st.recursive(ENTRIES, lambda entry: st.lists(entry, max_size=3), max_leaves=4).map(
        lambda e: e if isinstance(e, list) else [e]
    ),
    min_size=1,
    max_size=4,
    unique_by=lambda value: repr(value).replace(".0", ""),
)
NONE_ABLE = st.one_of(
    numbers.map(lambda values: choice([*values, None])),
    st.lists(st.text(string.printable, max_size=6), min_size=1, max_size=8, unique=True).map(
        lambda v: choice([None, *v])
    ),
    LISTS.map(choice),
    LISTS.map(lambda values: choice([*values, None])),
    st.tuples(NUMERIC | LISTED, st.sampled_from([0.5, 0.1])).map(lambda t: optional(*t)),
)
DOMAINS = NUMERIC | LISTED | NONE_ABLE

ONE_OF_EACH = [
    uniform(0, 8),
    loguniform(1e-6, 1e-1),
    reverseloguniform(0.9, 0.999),
    randint(-3, 9),
    lograndint(1, 1000),
    choice(["a", "b b", 'c"']),
    choice([1, 2, 3]),
    choice([0.5, 0.25]),
    choice([True, False]),
    ordinal([1, 2, 4, 7]),
    ordinal(["s", "m", "l"]),
    ordinal([3, 1, 2], kind="equal"),
    logordinal([0.01, 0.05, 0.1, 0.5]),
    finrange(0.1, 1, 10),
    finrange(1, 9, 5, cast_int=True),
    logfinrange(8, 64, 4),
    logfinrange(8, 64, 4, cast_int=True),
    quniform(0, 1, 0.1),
    qloguniform(1, 100, 0.5),
    qrandint(0, 100, 5),
    qlograndint(5, 100, 5),
    uniform(3, 3),
    randint(4, 4),
    choice(["x"]),
    choice([None, 1, 2]),
    choice([None]),
    choice([[1, 2], [1.5, "a"], []]),
    choice([[[1], None, True], None]),
    optional(uniform(0, 1)),
    optional(lograndint(1, 9), none=0.1),
    optional(choice([[1], [2]])),
]

TABLE = [
    (uniform(0, 8), 2, 0.25),
    (uniform(-2, 8), 0, 0.2),
    (uniform(-11, -1), -10, 0.1),
    (loguniform(1, 1e4), 10, 0.25),
    (loguniform(1, 1e4), 100, 0.5),
    (loguniform(1, 1e4), 1000, 0.75),
    (loguniform(0.001, 0.1), 0.01, 0.5),
    (loguniform(0.1, 100), 1, 1 / 3),
    (reverseloguniform(0.9, 0.99999), 0.99, 0.25),
    (reverseloguniform(0.9, 0.99999), 0.999, 0.5),
    (reverseloguniform(0.9, 0.99999), 0.9999, 0.75),
    (reverseloguniform(0.5, 15 / 16), 0.75, 1 / 3),
    (reverseloguniform(0.5, 15 / 16), 7 / 8, 2 / 3),
    (randint(1, 10001), 5001, 0.5),
    (randint(-10, 10), 0, 0.5),
    (finrange(0.1, 1, 10), 0.1, 0.05),
    (finrange(0.1, 1, 10), 0.5, 0.45),
    (finrange(0.1, 1, 10), 1.0, 0.95),
    (finrange(3, 3, 1), 3.0, 0.5),
    (logfinrange(math.exp(0.1), math.exp(1), 10), math.exp(0.1), 0.05),
    (logfinrange(math.exp(0.1), math.exp(1), 10), float(f"{math.exp(0.5):.12g}"), 0.45),
    (logfinrange(math.exp(0.1), math.exp(1), 10), math.exp(1), 0.95),
    (choice(["a", "b"]), "a", 0.25),
    (choice(["a", "b"]), "b", 0.75),
    (choice(["a"]), "a", 0.5),
    (ordinal(["a", "b"]), "a", 0.25),
    (ordinal(["a", "b"]), "b", 0.75),
    (ordinal(["a", "b", "c"]), "b", 0.5),
    (ordinal(["a", "b", "c"]), "c", 2.5 / 3),
    (ordinal(["a", "b", "c", "d"]), "c", 2.5 / 4),
    (ordinal([1, 2, 4, 7]), 2, 2 / 8),
    (ordinal([1, 2, 4, 7]), 7, 7 / 8),
    (ordinal([0.01, 0.05, 0.1, 0.5], "nn-log"), 0.01, 0.125),
    (ordinal([0.01, 0.05, 0.1, 0.5], "nn-log"), 0.05, 0.43355607),
    (ordinal([0.01, 0.05, 0.1, 0.5], "nn-log"), 0.1, 0.56644393),
    (logordinal([0.01, 0.05, 0.1, 0.5]), 0.5, 0.875),
    (quniform(0, 1, 0.25), 0.5, 0.5),
    (qrandint(0, 100, 10), 50, 0.5),
    (uniform(3, 3), 3.0, 0.5),
]


@pytest.mark.parametrize(("domain", "value", "code"), TABLE, ids=repr)
def test_encoding_table(domain, value, code):
    assert domain.width == 1
    assert domain.encode(value) == pytest.approx((code,), abs=5e-9)
    assert domain.decode([code]) == value


def test_one_hot():
    three, four = choice(["a", "b", "c"]), choice(["a", "b", "c", "d"])
    assert (three.width, four.width) == (3, 4)
    assert three.encode("b") == (0.0, 1.0, 0.0)
    assert four.encode("c") == (0.0, 0.0, 1.0, 0.0)
    assert three.decode([0.2, 0.1, 0.3]) == "c"
    assert three.decode([0.2, 0.7, 0.7]) == "b"
    assert three.decode([-5.0, -4.0, -9.0]) == "b"


@given(DOMAINS, unit)
def test_value_code_value_is_the_identity(domain, u):
    value = domain.from_unit(u)
    code = domain.encode(value)
    assert len(code) == domain.width
    assert all(0.0 <= c <= 1.0 for c in code)
    assert domain.decode(code) == value


@given(DOMAINS, unit)
def test_every_draw_is_valid(domain, u):
    value = domain.from_unit(u)
    assert type(value) in (domain.value_type, type(None))
    assert domain.contains(value)
    assert repr(domain.cast(value)) == repr(domain.checked(value)) == repr(value)
    assert domain.contains(domain.default)
    assert type(domain.default) in (domain.value_type, type(None))
    assert str(value) != "-0.0"


@given(DOMAINS, st.lists(unit, min_size=1, max_size=9))
def test_many_draws_at_once_have_the_same_bits(domain, us):
    assert repr(column_sampler(domain)(np.array(us))) == repr([domain.from_unit(u) for u in us])


def test_thousands_of_draws_at_once_have_the_same_bits():
    us = np.random.Generator(np.random.Philox(key=5)).random(20_000)
    for domain in (uniform(-0.3, 0.7), loguniform(1e-6, 1e3), randint(-9, 10**9), lograndint(1, 10**6)):
        assert column_sampler(domain)(us) == list(map(domain.sampler(), us.tolist()))


@given(DOMAINS, unit, st.integers(-20, 20) | finite | st.booleans() | st.none() | st.text(max_size=3))
def test_the_quick_check_takes_what_needs_no_cast(domain, u, other):
    check = domain.checker()
    assert check(domain.from_unit(u))
    assert check(domain.default)
    assert check(other) == (type(other) in (domain.value_type, type(None)) and domain.contains(other))


@given(DOMAINS, st.floats(-1, 2))
def test_any_code_decodes_into_the_domain(domain, c):
    assert domain.contains(domain.decode([c] * domain.width))


@given(NUMERIC, unit, unit)
def test_draws_are_monotone(domain, u, v):
    low, high = sorted((u, v))
    assert domain.from_unit(low) <= domain.from_unit(high)


@given(NUMERIC)
def test_ends_are_reached(domain):
    last = math.nextafter(1.0, 0.0)
    ends = [domain.from_unit(0.0), domain.from_unit(last)]
    if isinstance(domain, FiniteRange | Ordinal):
        assert ends == [domain.values[0], domain.values[-1]]
    elif domain.size is not None:
        assert domain.lower <= ends[0] < domain.lower + getattr(domain, "q", 1)
        assert domain.upper - getattr(domain, "q", 1) < ends[1] <= domain.upper
    else:
        assert ends == pytest.approx([domain.lower, domain.upper], rel=1e-11, abs=1e-11 * max(map(abs, ends)))


@given(DOMAINS)
def test_json_pickle_repr_and_hash_round_trip(domain):
    again = domain_from_json(json.loads(json.dumps(domain.to_json(), allow_nan=False)))
    namespace = {
        f.__name__: f
        for f in (
            choice,
            finrange,
            logfinrange,
            lograndint,
            loguniform,
            optional,
            ordinal,
            qlograndint,
            qloguniform,
            qrandint,
            quniform,
            randint,
            reverseloguniform,
            uniform,
        )
    }
    for other in (again, pickle.loads(pickle.dumps(domain)), copy.deepcopy(domain), eval(repr(domain), namespace)):
        assert other == domain
        assert hash(other) == hash(domain)
        assert repr(other) == repr(domain)
        assert other.to_json() == domain.to_json()
        assert type(other.from_unit(0.3)) is type(domain.from_unit(0.3))
        assert other.from_unit(0.3) == domain.from_unit(0.3)


@pytest.mark.parametrize("domain", ONE_OF_EACH, ids=repr)
def test_sizes_count_the_different_values(domain):
    values = {repr(domain.from_unit(i / 20011)) for i in range(20011)}
    if domain.size is None:
        assert len(values) > 10_000
    else:
        assert len(values) == domain.size


def evenly_drawn(domain):
    by_place = isinstance(domain, Ordinal) and domain.kind != "equal"
    by_log = hasattr(domain, "none") or (
        getattr(domain, "scale", "linear") == "log" and not isinstance(domain, FiniteRange)
    )
    return domain.size is not None and not by_place and not by_log


@pytest.mark.parametrize("domain", list(filter(evenly_drawn, ONE_OF_EACH)), ids=repr)
def test_finite_domains_are_drawn_evenly(domain):
    n = domain.size * 500
    counts = {}
    for i in range(n):
        value = repr(domain.from_unit((i + 0.5) / n))
        counts[value] = counts.get(value, 0) + 1
    assert set(counts.values()) == {500}


@pytest.mark.parametrize("domain", [one for one in ONE_OF_EACH if one.size is not None], ids=repr)
def test_all_values_of_a_finite_domain_are_listed(domain):
    values = values_of(domain)
    assert len(values) == len(set(map(repr, values))) == domain.size
    assert all(domain.checker()(value) for value in values)


@pytest.mark.parametrize(("lower", "upper"), [(1, 4), (2, 3), (5, 40), (1, 1000)])
def test_lograndint_gives_the_ends_their_fair_weight(lower, upper):
    domain, n = lograndint(lower, upper), 100_000
    total = math.log((upper + 0.5) / (lower - 0.5))
    counts = {}
    for i in range(n):
        value = domain.from_unit((i + 0.5) / n)
        counts[value] = counts.get(value, 0) + 1
    for value in range(lower, upper + 1):
        expected = math.log((value + 0.5) / (value - 0.5)) / total
        assert counts.get(value, 0) / n == pytest.approx(expected, abs=2 / n)


def test_qlograndint_gives_each_multiple_the_weight_of_its_step():
    domain, n = qlograndint(10, 40, 10), 100_000
    drawn = [domain.from_unit((i + 0.5) / n) for i in range(n)]
    for k in (1, 2, 3, 4):
        assert drawn.count(10 * k) / n == pytest.approx(math.log((k + 0.5) / (k - 0.5)) / math.log(9), abs=2 / n)


def test_nearest_neighbour_ordinals_give_wide_gaps_more_chance():
    domain = ordinal([1, 2, 4, 7])
    drawn = [domain.from_unit((i + 0.5) / 16) for i in range(16)]
    assert [drawn.count(v) for v in (1, 2, 4, 7)] == [3, 3, 5, 5]


@given(positive, st.floats(1, 1e6), unit)
def test_log_draws_against_exact_arithmetic(lower, ratio, u):
    exact = Context(prec=50)
    upper = lower * ratio
    start, end = exact.ln(Decimal(lower)), exact.ln(Decimal(upper))
    want = exact.exp(exact.add(start, exact.multiply(exact.subtract(end, start), Decimal(u))))
    got = loguniform(lower, upper).from_unit(u)
    assert float(exact.divide(Decimal(got), want)) == pytest.approx(1.0, abs=6e-12)
    assert got in (lower, upper) or float(f"{got:.12g}") == got


@given(pair(finite, uniform), unit)
def test_linear_draws_against_exact_arithmetic(domain, u):
    want = Decimal(domain.lower) + (Decimal(domain.upper) - Decimal(domain.lower)) * Decimal(u)
    largest = max(abs(domain.lower), abs(domain.upper))
    assert abs(float(Decimal(domain.from_unit(u)) - want)) <= 6e-12 * largest


@pytest.mark.parametrize("lower", [1e-300, 1e-30, 1e-12, 1.0, 1e11, 1e13, 1e250])
@given(u=unit)
def test_log_scales_of_any_magnitude(lower, u):
    domain = loguniform(lower, lower * 1e40)
    value = domain.from_unit(u)
    assert value in (domain.lower, domain.upper) or float(f"{value:.12g}") == value
    assert math.log10(value / lower) == pytest.approx(40 * u, abs=1e-9)
    assert domain.decode(domain.encode(value)) == value


def test_narrow_ranges_far_from_zero_keep_their_resolution():
    domain = uniform(1e6, 1e6 + 1e-3)
    values = {domain.from_unit(i / 1000) for i in range(1000)}
    assert len(values) == 1000
    assert len({domain.key_format % value for value in values}) == 1000


GOLDEN = [
    (loguniform(1e-6, 1e-1), [1e-06, 8.98462592571e-06, 3.16227766017e-05, 0.00229614864811, 0.0999999999885]),
    (uniform(-1, 2), [-1.0, -0.4279, -0.1, 1.0166, 1.99999999997]),
    (reverseloguniform(0.9, 0.9999), [0.9, 0.973214485055, 0.987410745882, 0.999037501636, 0.9999]),
    (randint(-5, 1000), [-5, 186, 296, 671, 1000]),
    (lograndint(1, 100000), [1, 5, 19, 1829, 100000]),
    (qloguniform(1, 100, 0.5), [1.0, 2.0, 3.5, 20.0, 100.0]),
    (logordinal([0.01, 0.05, 0.1, 0.5]), [0.01, 0.01, 0.05, 0.1, 0.5]),
    (finrange(0, 1, 7), [0.0, 0.166666666667, 0.333333333333, 0.666666666667, 1.0]),
]


@pytest.mark.parametrize(("domain", "values"), GOLDEN, ids=lambda x: repr(x)[:20])
def test_draws_are_the_same_on_every_machine(domain, values):
    assert [domain.from_unit(u) for u in (0.0, 0.1907, 0.3, 0.6722, 0.99999999999)] == values


def test_casts():
    assert uniform(0, 1).cast("3e-1") == 0.3
    assert uniform(0, 1).cast(np.float32(0.5)) == 0.5
    assert type(uniform(0, 1).cast(np.float64(0.5))) is float
    assert type(uniform(0, 1).cast(1)) is float
    assert uniform(0, 1).cast(7) == 7.0
    assert randint(1, 9).cast("3") == 3
    assert type(randint(1, 9).cast(np.int64(3))) is int
    assert randint(1, 9).cast(3.0) == 3
    assert choice([0.1, 0.2]).cast(0.1004) == 0.1
    assert choice([1, 2]).cast("2") == 2
    assert choice([1, 2]).cast(2.0) == 2
    assert choice(["1", "2"]).cast("2") == "2"
    assert choice([True, False]).cast("false") is False
    assert choice([True, False]).cast(np.True_) is True
    assert finrange(0, 1, 11).cast(0.30000000000000004) == 0.3
    assert quniform(0, 1, 0.1).cast(3 * 0.1) == 0.3
    assert qrandint(0, 10, 5).cast("5") == 5


@pytest.mark.parametrize(
    ("domain", "value"),
    [
        (uniform(0, 1), "high"),
        (uniform(0, 1), None),
        (uniform(0, 1), True),
        (uniform(0, 1), math.nan),
        (uniform(0, 1), "inf"),
        (uniform(0, 1), 10**400),
        (uniform(0, 1), [0.1]),
        (randint(1, 9), 3.5),
        (randint(1, 9), "3.5"),
        (randint(1, 9), True),
        (choice([0.1, 0.2]), 0.15),
        (choice([0.1, 0.2]), 10**400),
        (choice(["1"]), 1),
        (choice([1, 2]), True),
        (choice([1, 2]), 3),
        (choice([True, False]), 1),
        (choice([True]), "no"),
        (finrange(0, 1, 11), 0.35),
        (quniform(0, 1, 0.1), 0.15),
        (quniform(0, 1, 0.1), 10**400),
        (qrandint(0, 10, 5), 4),
        (choice(["a"]), ["a"]),
        (ordinal(["a"]), {}),
    ],
)
def test_casts_refuse_what_the_domain_has_no_value_for(domain, value):
    with pytest.raises(InvalidConfig, match="give "):
        domain.cast(value)
    assert not domain.contains(value)


@pytest.mark.parametrize(
    ("domain", "value"),
    [
        (uniform(0, 1), 1.0000001),
        (loguniform(1, 2), 0.5),
        (randint(1, 9), 0),
        (randint(1, 9), 10**400),
        (qrandint(0, 10, 5), 15),
        (quniform(0, 1, 0.1), 1.1),
    ],
)
def test_values_outside_are_refused_with_what_is_valid(domain, value):
    with pytest.raises(InvalidConfig) as error:
        domain.checked(value)
    assert repr(domain) in str(error.value)
    assert "give " in str(error.value)


def test_text_never_counts_as_contained():
    assert not uniform(0, 1).contains("0.5")
    assert not randint(0, 1).contains("1")
    assert not choice([1, 2]).contains("1")
    assert choice(["1", "2"]).contains("1")
    assert uniform(0, 1).contains(1)
    assert randint(0, 1).contains(np.int32(1))


@pytest.mark.parametrize(
    ("domain", "middle"),
    [
        (uniform(0, 8), 4.0),
        (loguniform(1e-4, 1e-2), 1e-3),
        (reverseloguniform(0.9, 0.999), 0.99),
        (randint(1, 20), 10),
        (lograndint(1, 100), 10),
        (choice(["b", "a", "c"]), "b"),
        (ordinal(["s", "m", "l"]), "m"),
        (ordinal([1, 2, 4, 8]), 4),
        (finrange(0, 1, 11), 0.5),
        (logfinrange(1, 100, 3), 10.0),
        (quniform(0, 1, 0.25), 0.5),
        (qlograndint(10, 1000, 10), 100),
        (uniform(3, 3), 3.0),
    ],
)
def test_defaults_lie_in_the_middle(domain, middle):
    assert domain.default == middle
    assert type(domain.default) is domain.value_type


def test_kinds_of_ordinals():
    assert ordinal([1, 2, 4]).kind == "nn"
    assert ordinal([4, 2, 1]).kind == "equal"
    assert ordinal(["a", "b"]).kind == "equal"
    assert logordinal([1, 2]) == ordinal([1, 2], "nn-log")


def test_grids():
    assert finrange(0.1, 1, 10).values == (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
    assert logfinrange(8, 64, 4, cast_int=True).values == (8, 16, 32, 64)
    assert logfinrange(8, 64, 4).values == (8.0, 16.0, 32.0, 64.0)
    assert [quniform(0, 1, 0.1).from_unit((k + 0.5) / 11) for k in range(11)] == [k / 10 for k in range(11)]
    assert [qrandint(1, 10, 3).from_unit((k + 0.5) / 3) for k in range(3)] == [3, 6, 9]


def test_domains_are_values():
    assert uniform(0, 1) == uniform(0.0, 1.0)
    assert len({uniform(0, 1), uniform(0.0, 1.0), uniform(0, 2)}) == 2
    assert choice([1, 2]) != choice([1.0, 2.0])
    assert choice([1, 0]) != choice([True, False])
    assert uniform(1, 2) != loguniform(1, 2)
    assert uniform(0, 1) != "uniform(0.0, 1.0)"
    assert choice(np.array([1, 2])) == choice(range(1, 3)) == choice([1, 2])
    assert choice([0, 0.5]) == choice([0.0, 0.5])
    assert randint(1, 1e6) == randint(1, 1_000_000)
    assert all(isinstance(domain, Domain) for domain in ONE_OF_EACH)
    with pytest.raises(AttributeError):
        uniform(0, 1).lower = 3
    assert repr(loguniform(1e-6, 1e-4)) == "loguniform(1e-06, 0.0001)"
    assert repr(finrange(0, 1, 3)) == "finrange(0.0, 1.0, 3, cast_int=False)"
    assert repr(Choice((1, 2))) == "choice([1, 2])"


def test_json_form():
    assert loguniform(1e-6, 1e-4).to_json() == {"domain": "loguniform", "lower": 1e-6, "upper": 1e-4}
    assert ordinal([1, 2]).to_json() == {"domain": "ordinal", "values": [1, 2], "kind": "nn"}
    assert reverseloguniform(0, 0.9).to_json()["domain"] == "reverseloguniform"
    assert quniform(0, 1, 0.5).to_json() == {"domain": "quniform", "lower": 0.0, "upper": 1.0, "q": 0.5}
    assert domain_from_json({"domain": "logordinal", "values": [1, 2]}) == logordinal([1, 2])

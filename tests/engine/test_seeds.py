"""Counted randomness: the same number at the same place, however it is reached; golden, since journals depend on it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from offbeat.seeds import BLOCK, Rows, child_seed, generator, key


def test_golden_numbers() -> None:
    assert key(0, "a") != key(1, "a") != key(1, "b")
    assert child_seed(3, "trial", 7) == child_seed(3, "trial", 7) < 2**31
    assert generator(1, "x", 2).random() == generator(1, "x", 2).random()
    assert generator(1, "x", 2).random() != generator(1, "x", 3).random()


@given(st.lists(st.tuples(st.integers(0, 5 * BLOCK), st.integers(0, 3)), max_size=30))
def test_rows_do_not_depend_on_the_order_in_which_they_are_asked_for(asked: list[tuple[int, int]]) -> None:
    shared = Rows(7, "stream", 3)
    for number, retry in asked:
        row = shared.row(number, retry)
        assert row == Rows(7, "stream", 3).row(number, retry)
        assert len(row) == 3
        assert all(0 <= value < 1 for value in row)


def test_retries_are_other_rows() -> None:
    rows = Rows(7, "stream", 2)
    assert len({tuple(rows.row(5, retry)) for retry in range(20)}) == 20


def test_rows_are_those_of_a_philox_with_their_counter() -> None:
    from numpy.random import Generator, Philox

    rows = Rows(7, "stream", 3)
    for number, retry in ((0, 0), (200, 0), (5, 2), (63, 0), (64, 0)):
        drawn = Generator(Philox(key=key(7, "stream"), counter=[0, 0, retry, number // BLOCK])).random((BLOCK, 3))
        assert rows.row(number, retry) == drawn[number % BLOCK].tolist()


def test_a_block_holds_the_rows_of_its_numbers() -> None:
    rows = Rows(7, "stream", 3)
    first, block = rows.block(150)
    assert (first, block.shape) == (150 // BLOCK * BLOCK, (BLOCK, 3))
    assert block.tolist() == [rows.row(number) for number in range(first, first + BLOCK)]

"""Small matrices on a busy machine: BLAS threads would only wait for each other."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from offbeat_plugins.surrogates.arithmetic_numpy import one_thread


@pytest.fixture(autouse=True)
def single_thread() -> Iterator[None]:
    with one_thread():
        yield

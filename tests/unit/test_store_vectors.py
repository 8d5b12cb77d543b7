"""Embeddings as numbers: what numpy says of them, faster."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from objectclassification.store.vectors import similarities, widen

numbers = st.floats(-100, 100, width=32)


def test_every_half_is_read() -> None:
    halves = np.arange(2**16, dtype=np.uint16).view("<f2")
    finite = np.isfinite(halves)
    found = widen([halves[i : i + 256].tobytes() for i in range(0, 2**16, 256)]).reshape(-1)
    assert (found[finite] == halves[finite].astype(np.float32)).all()
    assert (np.signbit(found) == np.signbit(halves)).all()
    beyond = np.abs(found[~finite])
    assert (np.isfinite(beyond) & (beyond > np.finfo(np.float16).max)).all()


@given(
    arrays.arrays(np.float32, 8, elements=numbers),
    arrays.arrays(np.float32, st.tuples(st.integers(1, 5), st.just(8)), elements=numbers),
)
def test_similarities_are_cosines(one: np.ndarray, others: np.ndarray) -> None:
    found = similarities(one, others)
    assert ((found >= -1) & (found <= 1)).all()
    for other, near in zip(others.astype(float), found, strict=True):
        length = np.linalg.norm(other) * np.linalg.norm(one.astype(float))
        if length > 1e-12:
            assert near == pytest.approx(other @ one / length, abs=1e-4)


def test_what_is_all_zeros_is_like_nothing() -> None:
    zeros, one = np.zeros((1, 4), np.float32), np.ones(4, np.float32)
    assert similarities(one, zeros) == 0
    assert similarities(zeros[0], one[None]) == 0

"""A picture comes into an input whole, and a box of the input back to where it is in there."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from objectclassification.classification.fitting import BORDER, fitted, in_picture

sides = st.integers(1, 700)


@settings(deadline=None)
@given(width=sides, height=sides, size=st.tuples(st.integers(8, 320), st.integers(8, 320)))
def test_a_letterboxed_picture_is_whole_and_its_edges_are_its_own(
    width: int, height: int, size: tuple[int, int]
) -> None:
    pixels, view = fitted(Image.new("RGB", (width, height), "red"), size, "letterbox")
    assert pixels.shape == (size[1], size[0], 3)
    is_border = (pixels == BORDER).all(axis=2)
    rows, columns = np.flatnonzero(~is_border.all(axis=1)), np.flatnonzero(~is_border.all(axis=0))
    edges = (columns[0], rows[0], columns[-1] + 1, rows[-1] + 1)
    assert view == pytest.approx(tuple(edges / np.array(size * 2)))
    assert not is_border[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].any()
    assert len(rows) == size[1] or len(columns) == size[0]
    shown = np.array([view], np.float32)
    assert in_picture(shown, view)[0] == pytest.approx([0, 0, 1, 1], abs=1e-4)
    # Its proportions are kept, but for a pixel that is rounded.
    assert len(columns) == pytest.approx(len(rows) * width / height, abs=max(1, width / height))


@settings(deadline=None)
@given(width=sides, height=sides)
def test_a_stretched_picture_fills_the_input(width: int, height: int) -> None:
    pixels, view = fitted(Image.new("RGB", (width, height), "red"), (32, 24), "stretch")
    assert (pixels == (255, 0, 0)).all()
    box = np.array([[0.1, 0.2, 0.3, 0.4]], np.float32)
    assert in_picture(box, view).tolist() == box.tolist()

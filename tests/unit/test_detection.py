"""What is wanted of a picture: its snap's word, else its camera's."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from objectclassification.classification.look import square_around
from objectclassification.detection import wanted


@pytest.mark.parametrize(
    ("options", "setting", "expected"),
    [
        (None, None, False),
        ("{}", None, False),
        ('{"detect": true}', None, True),
        ('{"detect": "classify"}', "true", "classify"),
        ('{"zoom": 2}', "true", True),
        ('{"detect": false}', "true", False),
        (None, '"classify"', "classify"),
        # Before there were boxes, the option was anybody's: what is stored of it stops no job.
        ('{"detect": 7}', None, False),
        ('{"detect": 7}', '"classify"', "classify"),
    ],
)
def test_the_snap_counts_and_then_the_camera(
    options: str | None, setting: str | None, expected: bool | str
) -> None:
    assert wanted(options, setting) == expected


edges = st.tuples(st.floats(0, 1), st.floats(0, 1)).map(sorted).filter(lambda e: e[1] > e[0])
sides = st.integers(1, 3000)


@given(across=edges, down=edges, width=sides, height=sides)
def test_the_square_holds_the_box_and_is_in_the_picture(
    across: list[float], down: list[float], width: int, height: int
) -> None:
    box = (across[0], down[0], across[1], down[1])
    left, top, right, bottom = square_around(box, (width, height), 224 / 256)
    assert 0 <= left < right <= width
    assert 0 <= top < bottom <= height
    # All of the box, but for parts of a pixel.
    assert left <= box[0] * width + 1
    assert right >= box[2] * width - 1
    assert top <= box[1] * height + 1
    assert bottom >= box[3] * height - 1
    if right < width and left > 0 and bottom < height and top > 0:
        assert abs((right - left) - (bottom - top)) <= 2

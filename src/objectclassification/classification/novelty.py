"""Whether a picture shows something new, beside the past of its camera. No I/O.

Measured with the shipped model, as 1 - cosine similarity to the nearest three of the past:

- a scene that stays as it is (17 photographs with noise, shake and exposure added): 0.003 to 0.026;
- in half the light: 0.02 to 0.13, which is why the past is of the same time of day, too;
- with something new on 2 % of it: 0.04 to 0.44, and on 6 %, from 0.13;
- a street with people walking by (vtest.avi of Debian's opencv-doc): 0.06 in the median, 0.11 at
  most, which is why the threshold is the camera's own.

With the constants below, nothing of 238 unchanged scenes was a change, of 102 in half the light 89
without and none with a past of that hour, 3 of 151 pictures of the street, and of what was new on
1 % of a scene 40 of 48, on 2 % 47, on 6 % all.

Rectangles move more with noise and shake (0.006 to 0.11 in 17 photographs, with sides of 8 to 30 %
of the picture's), and so do their thresholds: of 153 unchanged ones 2 were changes, of 51 with
something new on 5 % of the rectangle 46, on 10 % 50, on 25 % all. With 5, 10 and 25 % of a
rectangle of 15 %, the whole picture was a change 1, 4 and 5 times of 17, the rectangle 16, 17, 17.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from objectclassification.change import Change, CropChange, PastPicture
from objectclassification.heads import Crop

LEAST_PAST: Final = 8
"""Pictures; with fewer nothing is said."""
NEAREST: Final = 3
"""Over how many of the past a distance is the mean: with one, a picture in which something was
there once would hide it for ever."""
LEAST_THRESHOLD: Final = 0.03
"""What a camera's noise alone does not reach."""
SPREADS: Final = 6.0
"""How many standard deviations over the median are too far, as for outliers by hand: the street
above stays under it, and no scene is so still that :data:`LEAST_THRESHOLD` does not matter."""
_MAD_TO_DEVIATION: Final = 1.4826
"""Median absolute deviation -> standard deviation, of a normal distribution."""


def compared(
    embedding: bytes,
    past: Mapping[str, bytes],
    crops: Mapping[Crop, bytes],
    crops_past: Mapping[Crop, Mapping[str, bytes]],
) -> Change | None:
    """Compares a picture and rectangles of it, each with its own past.

    Args:
        embedding: of the picture, as for :func:`judge`.
        past: of the picture, as for :func:`judge`.
        crops: rectangles of the picture, with their embeddings.
        crops_past: of each rectangle, as for :func:`judge`.

    Returns:
        None while the picture itself has too little past; a rectangle that has is left out.
    """
    whole = judge(embedding, past)
    if whole is None or not crops:
        return whole
    found = {crop: judge(seen, crops_past.get(crop, {})) for crop, seen in sorted(crops.items())}
    return replace(
        whole,
        crops=tuple(
            CropChange(crop, one.novelty, one.threshold, one.changed, one.nearest)
            for crop, one in found.items()
            if one is not None
        ),
    )


def judge(embedding: bytes, past: Mapping[str, bytes]) -> Change | None:
    """Compares a picture with the past of its camera.

    The threshold comes from the past itself: each of its pictures is compared with the others, and
    what is farther away than all but outliers of these is a change.

    Args:
        embedding: of the picture: float16, little endian.
        past: pictures' ids with their embeddings, of the same length.

    Returns:
        None while there are fewer than :data:`LEAST_PAST`.
    """
    usable = {id_: vector for id_, vector in past.items() if len(vector) == len(embedding)}
    if len(usable) < LEAST_PAST or not embedding:
        return None
    vectors = np.frombuffer(b"".join((embedding, *usable.values())), "<f2").astype(np.float32)
    units = _units(vectors.reshape(len(usable) + 1, -1))
    distances = np.clip(1 - units @ units.T, 0, 2)
    np.fill_diagonal(distances, np.inf)  # none is its own past
    usual = _to_nearest(distances[1:, 1:])
    middle = np.median(usual)
    spread = _MAD_TO_DEVIATION * np.median(np.abs(usual - middle))
    threshold = max(LEAST_THRESHOLD, float(middle + SPREADS * spread))
    novelty = float(_to_nearest(distances[:1, 1:])[0])
    ids = list(usable)
    return Change(
        novelty=round(novelty, 4),
        threshold=round(threshold, 4),
        changed=novelty > threshold,
        nearest=tuple(
            PastPicture(ids[index], round(1 - float(distances[0, index + 1]), 4))
            for index in np.argsort(distances[0, 1:], kind="stable")[:NEAREST]
        ),
    )


def _units(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    units: NDArray[np.float32] = vectors / np.maximum(lengths, np.finfo(np.float32).tiny)
    return units


def _to_nearest(distances: NDArray[np.float32]) -> NDArray[np.float32]:
    """The mean distance of each row to the nearest :data:`NEAREST`."""
    nearest = np.partition(distances, NEAREST - 1, axis=1)[:, :NEAREST]
    means: NDArray[np.float32] = nearest.mean(axis=1)
    return means

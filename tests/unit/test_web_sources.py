"""What a browser may choose from."""

from __future__ import annotations

from typing import Any

import pytest

from objectclassification.receipts import Picture, Rendition
from objectclassification.store.pictures import image_url
from objectclassification.web.sources import slot_of, sources_of


def picture(state: Any = "classified", **sizes: tuple[int, int]) -> Picture:
    return Picture(
        id="p",
        snippet=1,
        camera="door",
        snap=None,
        captured_at="2026-11-25T12:00:00.000Z",
        captured_from="arrival",
        captured_uncertainty_ms=None,
        received_at="2026-11-25T12:00:00.000Z",
        renditions={
            name: Rendition(image_url("p", name), "0" * 64, "image/jpeg", *size, 1)
            for name, size in sizes.items()
        },
        state=state,
    )


@pytest.mark.parametrize(
    ("shown", "sources"),
    [
        (
            picture(full=(1920, 1080), thumbnail=(320, 180)),
            "/api/pictures/p/thumbnail 320w, /api/pictures/p/medium 1024w, "
            "/api/pictures/p/image 1920w",
        ),
        # Stored lying on its side: shown upright, as its thumbnail is.
        (
            picture(full=(1920, 1080), thumbnail=(180, 320)),
            "/api/pictures/p/thumbnail 180w, /api/pictures/p/medium 576w, "
            "/api/pictures/p/image 1080w",
        ),
        (
            picture(full=(1024, 640), thumbnail=(320, 213)),
            "/api/pictures/p/thumbnail 320w, /api/pictures/p/image 1024w",
        ),
        (picture("queued", full=(1920, 1080)), "/api/pictures/p/image 1920w"),
        (
            picture("failed", full=(1920, 1080), thumbnail=(320, 180)),
            "/api/pictures/p/thumbnail 320w, /api/pictures/p/image 1920w",
        ),
        (picture(thumbnail=(320, 180)), "/api/pictures/p/thumbnail 320w"),
    ],
)
def test_the_middle_one_is_offered_where_there_is_one(shown: Picture, sources: str) -> None:
    assert sources_of(shown) == sources


def test_a_picture_is_shown_no_larger_than_it_is() -> None:
    assert slot_of(640, 480).count("min(640px, 80vh * 1.3333, ") == 2

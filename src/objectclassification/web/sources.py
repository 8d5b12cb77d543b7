"""The forms of a picture that a browser may choose from, by the pixels that its screen has."""

from __future__ import annotations

from objectclassification.api.export import upright_size
from objectclassification.receipts import Picture
from objectclassification.store.pictures import image_url
from objectclassification.store.renditions import MEDIUM_SIDE


def sources_of(picture: Picture) -> str:
    """A picture's thumbnail, middle and full size, as ``srcset`` has them.

    The middle one is made when a browser asks for it, which it may once the picture is classified;
    of a picture that is no larger there is none.
    """
    width, height = upright_size(picture)
    small = picture.renditions.get("thumbnail")
    forms = [] if small is None else [(small.url, small.width)]
    if picture.state == "classified" and max(width, height) > MEDIUM_SIDE:
        medium = round(width * MEDIUM_SIDE / max(width, height))
        forms.append((image_url(picture.id, "medium"), medium))
    full = picture.ref()
    if small is None or full.url != small.url:
        forms.append((full.url, width))
    return ", ".join(f"{url} {across}w" for url, across in forms)


def slot_of(width: int, height: int) -> str:
    """How wide the one picture of a page is shown, as ``sizes`` has it; it is never enlarged.

    Args:
        width: pixels, upright.
        height: the same.
    """
    # As .looking and .image in pictures.css have it.
    fits = f"{width}px, 80vh * {width / height:.4f}"
    return f"(min-width: 60rem) min({fits}, 95vw - 22.5rem), min({fits}, 95vw)"

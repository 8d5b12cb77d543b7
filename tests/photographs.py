"""Photographs that installed packages ship; none is in this repository."""

from __future__ import annotations

import io
import random
from importlib.util import find_spec
from pathlib import Path

from PIL import Image, ImageEnhance

_spec = find_spec("skimage")  # not imported: it takes its time
assert _spec and _spec.origin, "the tests need scikit-image: install the extra 'demo'"

SKIMAGE = Path(_spec.origin).parent / "data"

CHELSEA = SKIMAGE / "chelsea.png"
COFFEE = SKIMAGE / "coffee.png"
MOTORCYCLE = SKIMAGE / "motorcycle_left.png"
ROCKET = SKIMAGE / "rocket.jpg"

CATS = {"tiger cat", "tabby cat", "Egyptian Mau"}
"""What Chelsea is: in float32, too, the first two are 2 % apart, and which of them comes first
depends on the processor's way of adding int8 products."""


def views(file: Path, number: int, seed: int = 0) -> list[bytes]:
    """JPEGs of different parts of a photograph, in different light, as a camera would see them."""
    chance = random.Random(seed)  # noqa: S311 - no secret
    with Image.open(file) as image:
        whole = image.convert("RGB")
    made = []
    for _ in range(number):
        side = chance.uniform(0.7, 0.95)
        width, height = (round(size * side) for size in whole.size)
        left = chance.randint(0, whole.width - width)
        top = chance.randint(0, whole.height - height)
        part = whole.crop((left, top, left + width, top + height))
        buffer = io.BytesIO()
        ImageEnhance.Brightness(part).enhance(chance.uniform(0.7, 1.3)).save(
            buffer, "JPEG", quality=90
        )
        made.append(buffer.getvalue())
    return made

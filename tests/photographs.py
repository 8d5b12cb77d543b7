"""Photographs that installed packages ship; none is in this repository."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

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

"""The 1080p picture that every benchmark uses: a photograph out of scikit-image, scaled up.

At quality 92 it is a JPEG of 0.4 MB and at OpenCV's default level a PNG of 3 MB, as pictures of
1080p cameras are.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import cast

import cv2
import numpy as np
from numpy.typing import NDArray

WIDTH, HEIGHT = 1920, 1080
JPEG_QUALITY = 92

Pixels = NDArray[np.uint8]


def photograph() -> Pixels:
    """Returns a motorcycle, HEIGHT x WIDTH x 3, BGR."""
    spec = find_spec("skimage")  # not imported: it takes its time
    if spec is None or spec.origin is None:
        raise SystemExit("the benchmarks need scikit-image: install the extra 'demo'")
    image = cv2.imread(str(Path(spec.origin).parent / "data" / "motorcycle_left.png"))
    assert image is not None
    height, width = image.shape[:2]
    scale = max(WIDTH / width, HEIGHT / height)
    size = (round(width * scale), round(height * scale))
    large = cv2.resize(image, size, interpolation=cv2.INTER_CUBIC)
    top, left = (size[1] - HEIGHT) // 2, (size[0] - WIDTH) // 2
    return cast("Pixels", large[top : top + HEIGHT, left : left + WIDTH].copy())


def jpeg(image: Pixels) -> bytes:
    """Encodes as the camera program does."""
    return bytes(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1])

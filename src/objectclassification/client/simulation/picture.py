"""The one picture that all simulated cameras take."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from objectclassification.errors import ConfigurationError

if TYPE_CHECKING:
    from objectclassification.capture.source import Pixels

WIDTH, HEIGHT = 640, 480
MOST_BYTES = 32 * 2**20
"""What a server takes unless told otherwise."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """An encoded picture.

    Attributes:
        data: its bytes, held once for all cameras.
        media_type: ``image/jpeg``, ``image/png`` or ``image/webp``.
    """

    data: bytes
    media_type: str


def prepare(file: Path | None = None) -> Prepared:
    """Reads a picture, or makes one: a JPEG of 640 x 480 pixels.

    Raises:
        ConfigurationError: the file cannot be read, or is no picture that the API takes.
    """
    from objectclassification.capture.picture import encode, sniff

    if file is None:
        return Prepared(encode(_scene(), "image/jpeg"), "image/jpeg")
    try:
        if file.stat().st_size > MOST_BYTES:
            raise ConfigurationError(
                f"{file} is larger than the {MOST_BYTES // 2**20} MiB of a PUT"
            )
        data = file.read_bytes()
    except OSError as exc:
        raise ConfigurationError(f"cannot read {file}: {exc.strerror}") from exc
    media_type = sniff(data)
    if media_type is None:
        raise ConfigurationError(f"{file} is no JPEG, PNG or WebP")
    return Prepared(data, media_type)


def _scene() -> Pixels:
    """A picture that nothing takes for black, over-exposed or out of focus: a board of squares."""
    import numpy as np

    rows, columns = np.mgrid[0:HEIGHT, 0:WIDTH]
    board = ((rows // 40 + columns // 40) % 2 * 96).astype(np.uint8)
    slope = (columns * 128 // WIDTH).astype(np.uint8)
    return np.stack((board + slope, board + 64, slope + 64), axis=-1)

"""Encoded pictures and pixels: recognise, measure, decode, turn, encode, save."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast

import numpy as np
import uuid_utils

from objectclassification.capture.opencv import cv2
from objectclassification.errors import CaptureError, ConfigurationError

if TYPE_CHECKING:
    from objectclassification.capture.source import Pixels

Rotation = Literal[0, 90, 180, 270]

MEDIA_TYPES = {
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".webp": "image/webp",
}
JPEG_QUALITY = 92
"""Visually lossless for classification; a 1080p picture takes 5 ms and some 400 kB."""
SUFFIXES = {"image/png": ".png", "image/jpeg": ".jpg", "image/webp": ".webp"}

_TURNS = {90: cv2.ROTATE_90_CLOCKWISE, 180: cv2.ROTATE_180, 270: cv2.ROTATE_90_COUNTERCLOCKWISE}
# PNG has no quality, and a compression level would only make it slower than OpenCV's default.
_QUALITY = {"image/jpeg": cv2.IMWRITE_JPEG_QUALITY, "image/webp": cv2.IMWRITE_WEBP_QUALITY}
_REDUCED = (
    (8, cv2.IMREAD_REDUCED_GRAYSCALE_8),
    (4, cv2.IMREAD_REDUCED_GRAYSCALE_4),
    (2, cv2.IMREAD_REDUCED_GRAYSCALE_2),
)


def media_type_for(path: Path) -> str:
    """Tells the media type that a file's suffix asks for.

    Raises:
        ConfigurationError: it is not one of :data:`MEDIA_TYPES`.
    """
    try:
        return MEDIA_TYPES[path.suffix.lower()]
    except KeyError:
        raise ConfigurationError(
            f"cannot save a picture as {path.name}: the name must end in {', '.join(MEDIA_TYPES)}"
        ) from None


def sniff(data: bytes) -> str | None:
    """Tells a picture's media type by its first bytes; None if it is none that the API takes."""
    if data.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "image/webp"
    return None


def measure(data: bytes) -> tuple[int, int] | None:
    """Reads width and height in pixels out of a JPEG or PNG header; None if it has to be decoded.

    A JPEG that its Exif header turns by 90 degrees is measured as it is stored.
    """
    if data.startswith(b"\x89PNG") and len(data) >= 24:
        width, height = struct.unpack(">II", data[16:24])
        return width, height
    at = 2
    while data.startswith(b"\xff\xd8") and at + 9 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        # Start of frame, except the three codes in its range that are other tables (T.81, B.1).
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack(">HH", data[at + 5 : at + 9])
            return width, height
        at += 1 if marker == 0xFF else 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return None


def decode(data: bytes, address: str) -> Pixels:
    """Decodes a picture, turned as its Exif header says.

    Raises:
        CaptureError: it is broken, or not a picture.
    """
    return _imdecode(data, cv2.IMREAD_COLOR, address)


def thumbnail_of(data: bytes, address: str, least: int = 0) -> Pixels:
    """Decodes a picture grey and at an eighth of its size, which is cheap for a JPEG.

    Args:
        data: the encoded picture.
        address: of its source, for the error.
        least: pixels that its longer side must keep, where it has them: a quarter, a half or the
            whole is decoded then.

    Raises:
        CaptureError: it is broken, or not a picture.
    """
    longest = max(measure(data) or (8 * least,))
    for factor, flags in _REDUCED:
        if longest >= factor * least:
            return _imdecode(data, flags, address)
    return _imdecode(data, cv2.IMREAD_GRAYSCALE, address)


def _imdecode(data: bytes, flags: int, address: str) -> Pixels:
    detail = f"{address} gave a picture that cannot be decoded"
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error as exc:  # nothing at all, or more pixels than OpenCV takes
        raise CaptureError(detail, source=address) from exc
    if image is None:
        raise CaptureError(detail, source=address)
    return cast("Pixels", image)


def brightness(image: Pixels) -> tuple[float, float]:
    """Returns mean and standard deviation of a picture's grey levels, from a small thumbnail."""
    small = cv2.resize(image, (64, 48), interpolation=cv2.INTER_AREA)
    grey = small if small.ndim == 2 else cv2.cvtColor(small, cv2.COLOR_BGR2GRAY)
    return float(grey.mean()), float(grey.std())


def shrink(image: Pixels, size: tuple[int, int]) -> Pixels:
    """Fits a picture into ``size`` (width, height), its shape kept; it is never enlarged."""
    height, width = image.shape[:2]
    factor = min(size[0] / width, size[1] / height)
    if factor >= 1:
        return image
    fitted = (max(1, round(width * factor)), max(1, round(height * factor)))
    return cast("Pixels", cv2.resize(image, fitted, interpolation=cv2.INTER_AREA))


def rotate(image: Pixels, degrees: Rotation) -> Pixels:
    """Turns a picture clockwise."""
    return cast("Pixels", cv2.rotate(image, _TURNS[degrees])) if degrees else image


def encode(image: Pixels, media_type: str, quality: int | None = None) -> bytes:
    """Encodes pixels; JPEG and WebP at quality 92 or the given one, PNG at OpenCV's own level."""
    told: list[int] = []
    if media_type in _QUALITY:
        told = [_QUALITY[media_type], JPEG_QUALITY if quality is None else quality]
    _, data = cv2.imencode(SUFFIXES[media_type], image, told)
    return data.tobytes()


def save(data: bytes, path: Path) -> None:
    """Writes a file that is never seen half written.

    Raises:
        OSError: the folder is missing, cannot be written, or is full.
    """
    temporary = path.with_name(f".{path.name}.{uuid_utils.uuid7()}.tmp")
    try:
        temporary.write_bytes(data)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)

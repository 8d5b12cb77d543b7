"""From a picture file to pixels: header check, reduced decoding, thumbnails.

Pillow's file classes are used directly, not through ``Image.open``: only the three types we take
can be reached, and Pillow's process-wide bomb limit, which warns, gives way to a limit that the
caller names and that is checked before anything is decoded.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import BinaryIO, Final

import numpy as np

from objectclassification.errors import MissingExtra, NotAnImage, TooManyPixels, Undecodable

try:
    from PIL import ExifTags, Image, ImageFile
    from PIL.JpegImagePlugin import JpegImageFile
    from PIL.PngImagePlugin import PngImageFile
    from PIL.WebPImagePlugin import WebPImageFile
except ImportError as exc:
    raise MissingExtra("classification", "server") from exc

MAX_PIXELS: Final = 50_000_000
"""Default pixel limit: design, section 7."""

THUMBNAIL_SIDE: Final = 320
"""Pixels of a thumbnail's longer side."""

_PNG: Final = b"\x89PNG\r\n\x1a\n"
_JPEG: Final = b"\xff\xd8\xff"

# What Pillow's parsers raise on broken input; Pillow's own Image.open catches a list like it.
_BROKEN: Final = (
    ArithmeticError,
    EOFError,
    LookupError,
    OSError,
    SyntaxError,
    TypeError,
    ValueError,
    struct.error,
    zlib.error,
)

# EXIF orientation -> what makes the picture upright (EXIF 2.32, table 6).
_UPRIGHT: Final = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


@dataclass(frozen=True, slots=True)
class ImageInfo:
    """What a picture's header says.

    Attributes:
        media_type: ``image/png``, ``image/jpeg`` or ``image/webp``.
        width: pixels as stored, before EXIF orientation.
        height: pixels as stored, before EXIF orientation.
    """

    media_type: str
    width: int
    height: int


def probe(source: Path | bytes, *, max_pixels: int = MAX_PIXELS) -> ImageInfo:
    """Read a picture's header, and nothing after it.

    Args:
        source: a file, or its bytes.
        max_pixels: the most pixels (width x height) to accept.

    Raises:
        NotAnImage: neither PNG, JPEG nor WebP.
        Undecodable: one of them by its first bytes, but the header is broken.
        TooManyPixels: over ``max_pixels``.
        OSError: the file cannot be read.
    """
    with _opened(source) as file:
        return _header(file, max_pixels)


def decode(
    source: Path | bytes, *, min_short: int, min_long: int = 0, max_pixels: int = MAX_PIXELS
) -> tuple[Image.Image, ImageInfo]:
    """Decode a picture: upright, RGB, transparency on white, 16 bits reduced to 8.

    A JPEG is decoded at the smallest of libjpeg's scales (1, 1/2, 1/4, 1/8) that leaves the asked
    pixels: a 1080p picture at 1/4, in a sixth of the time.

    Args:
        source: a file, or its bytes.
        min_short: pixels that the shorter side must keep, if the picture has them.
        min_long: pixels that the longer side must keep, if the picture has them.
        max_pixels: as for :func:`probe`.

    Returns:
        The picture, and what its header said.

    Raises:
        NotAnImage, Undecodable, TooManyPixels, OSError: as for :func:`probe`; a truncated picture
            is ``Undecodable``.
    """
    with _opened(source) as file:
        info = _header(file, max_pixels)
        file.seek(0)
        with _undecodable(info.media_type), _image_file(info.media_type, file) as image:
            scale = max(min_short / min(image.size), min_long / max(image.size))
            # Rounded up: draft() takes the largest reduction that leaves no less than this.
            image.draft(None, (ceil(image.width * scale), ceil(image.height * scale)))
            image.load()
            return to_rgb(image), info


def to_rgb(image: Image.Image) -> Image.Image:
    """Make any Pillow image upright RGB, with transparency composited on white."""
    orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        image = Image.new("RGB", rgba.size, "white")
        image.paste(rgba, mask=rgba.getchannel("A"))
    elif image.mode.startswith("I"):
        # 16-bit grey: Pillow's own conversion clips at 255 and turns the picture white.
        grey = np.asarray(image).astype(np.uint32) >> 8
        image = Image.fromarray(grey.astype(np.uint8)).convert("RGB")
    elif image.mode != "RGB":
        image = image.convert("RGB")
    return image.transpose(_UPRIGHT[orientation]) if orientation in _UPRIGHT else image


def thumbnail(source: Path | bytes, max_side: int = THUMBNAIL_SIDE) -> bytes:
    """Make a JPEG thumbnail, upright, its longer side ``max_side`` pixels or the picture's own.

    Args:
        source: a file, or its bytes.
        max_side: pixels.

    Raises:
        NotAnImage, Undecodable, TooManyPixels, OSError: as for :func:`decode`.
    """
    image, _ = decode(source, min_short=1, min_long=max_side)
    return to_jpeg(shrink(image, max_side))


def shrink(image: Image.Image, max_side: int = THUMBNAIL_SIDE) -> Image.Image:
    """Scale an image so that its longer side is at most ``max_side`` pixels; never enlarge it."""
    scale = min(1.0, max_side / max(image.size))
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    return image.resize(size, Image.Resampling.BICUBIC, reducing_gap=2.0)


def to_jpeg(image: Image.Image) -> bytes:
    """Encode an RGB image as a JPEG of thumbnail quality, without metadata."""
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=80, exif=b"")
    return buffer.getvalue()


@contextmanager
def _opened(source: Path | bytes) -> Iterator[BinaryIO]:
    with io.BytesIO(source) if isinstance(source, bytes) else source.open("rb") as file:
        yield file


@contextmanager
def _undecodable(media_type: str) -> Iterator[None]:
    try:
        yield
    except _BROKEN as exc:
        raise Undecodable(f"this {media_type} is broken or cut short: {exc}") from exc


def _header(file: BinaryIO, max_pixels: int) -> ImageInfo:
    media_type = _sniff(file.read(12))
    file.seek(0)
    with _undecodable(media_type):
        if media_type == "image/webp":
            width, height = _webp_size(file.read(30))
        else:
            with _image_file(media_type, file) as image:
                width, height = image.size
    if width < 1 or height < 1:
        raise Undecodable(f"this {media_type} says it is {width} x {height} pixels")
    if width * height > max_pixels:
        raise TooManyPixels(width=width, height=height, limit=max_pixels)
    return ImageInfo(media_type, width, height)


def _sniff(start: bytes) -> str:
    if start.startswith(_PNG):
        return "image/png"
    if start.startswith(_JPEG):
        return "image/jpeg"
    if start[:4] == b"RIFF" and start[8:12] == b"WEBP":
        return "image/webp"
    raise NotAnImage("not a PNG, JPEG or WebP image")


def _image_file(media_type: str, file: BinaryIO) -> ImageFile.ImageFile:
    if media_type == "image/png":
        return PngImageFile(file)
    if media_type == "image/jpeg":
        return JpegImageFile(file)
    return WebPImageFile(file)


def _webp_size(start: bytes) -> tuple[int, int]:
    """Width and height from a WebP's first 30 bytes (RFC 9649).

    By hand, because Pillow's reader allocates the whole canvas when it opens the file.
    """
    kind = start[12:16]
    if kind == b"VP8X":
        return (
            int.from_bytes(start[24:27], "little") + 1,
            int.from_bytes(start[27:30], "little") + 1,
        )
    if kind == b"VP8L":
        (bits,) = struct.unpack("<I", start[21:25])
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if kind == b"VP8 ":
        width, height = struct.unpack("<HH", start[26:30])
        return width & 0x3FFF, height & 0x3FFF
    raise ValueError("no VP8 chunk")

"""From a picture file to pixels, in a child process: reduced decoding, thumbnails.

Pillow's file classes are used directly, not through ``Image.open``: only the three types we take
can be reached, and Pillow's process-wide bomb limit, which warns, gives way to a limit that the
caller names and that is checked before anything is decoded.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from math import ceil
from pathlib import Path
from typing import BinaryIO, Final

import numpy as np
from numpy.typing import NDArray

from objectclassification.classification.header import (
    MAX_PIXELS,
    ImageInfo,
    check_size,
    opened,
    read_header,
)
from objectclassification.errors import MissingExtra, Undecodable
from objectclassification.heads import Crop

try:
    from PIL import ExifTags, Image, ImageCms, ImageFile
    from PIL.JpegImagePlugin import JpegImageFile
    from PIL.PngImagePlugin import PngImageFile
    from PIL.WebPImagePlugin import WebPImageFile
except ImportError as exc:
    raise MissingExtra("classification", "server") from exc

Picture = Path | bytes | Image.Image | NDArray[np.uint8]
"""A file, a file's bytes, a Pillow image, or RGB uint8 ``[height, width, 3]``."""

THUMBNAIL_SIDE: Final = 320
"""Pixels of a thumbnail's longer side."""

# What Pillow's parsers raise on broken input; Pillow's own Image.open catches a list like it.
_BROKEN: Final = (
    ArithmeticError,
    AssertionError,  # of a PNG that names a palette and has none
    EOFError,
    LookupError,
    OSError,
    SyntaxError,
    TypeError,
    ValueError,
    struct.error,
    zlib.error,
)

_MODES: Final = {"RGB": "RGB", "GRAY": "L", "CMYK": "CMYK"}
"""What a profile is for -> the mode that it is applied in."""
_SAME_COLOUR: Final = 2
"""Levels of 255; what is closer to sRGB than this is left alone, which most tagged pictures are."""

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
        max_pixels: as for :func:`.header.probe`.

    Returns:
        The picture, and what its header said.

    Raises:
        NotAnImage, Undecodable, TooManyPixels, OSError: as for :func:`.header.probe`; a truncated
            picture is ``Undecodable``.
    """
    with opened(source) as file:
        info = read_header(file, max_pixels)
        file.seek(0)
        with _undecodable(info.media_type), _image_file(info.media_type, file) as image:
            # A second header further on in the file counts here, and did not there.
            check_size(info.media_type, *image.size, max_pixels)
            scale = max(min_short / min(image.size), min_long / max(image.size))
            # Rounded up: draft() takes the largest reduction that leaves no less than this.
            image.draft(None, (ceil(image.width * scale), ceil(image.height * scale)))
            image.load()
            return to_rgb(image), info


def opened_as_rgb(picture: Picture, *, min_short: int, min_long: int = 0) -> Image.Image:
    """Take a picture in any form; returns it upright and RGB.

    Args:
        picture: a file, bytes, Pillow image or RGB array.
        min_short: as for :func:`decode`, of a file or bytes.
        min_long: the same.

    Raises:
        NotAnImage, Undecodable, TooManyPixels, OSError: as for :func:`decode`.
        ValueError: an array that is not uint8 ``[height, width, 3]``.
    """
    if isinstance(picture, Path | bytes):
        return decode(picture, min_short=min_short, min_long=min_long)[0]
    if isinstance(picture, Image.Image):
        return to_rgb(picture)
    if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3:
        raise ValueError(f"not uint8 [height, width, 3]: {picture.dtype} {picture.shape}")
    return Image.fromarray(picture)


def to_rgb(image: Image.Image) -> Image.Image:
    """Make any Pillow image upright sRGB, with transparency composited on white.

    Models learnt from sRGB. A picture that says, by an ICC profile, that its numbers mean other
    colours (Adobe RGB, Display P3, CMYK inks) is converted; one that says nothing is taken as it
    is, as browsers do.
    """
    orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
    profile = image.info.get("icc_profile")
    space = _colour_space(image)
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        image = Image.new("RGB", rgba.size, "white")
        image.paste(rgba, mask=rgba.getchannel("A"))
    elif image.mode.startswith("I"):
        # 16-bit grey: Pillow's own conversion clips at 255 and turns the picture white.
        grey = np.asarray(image).astype(np.uint32) >> 8
        image = Image.fromarray(grey.astype(np.uint8))
    if isinstance(profile, bytes) and profile:
        image = _in_srgb(image, space, profile)
    if image.mode != "RGB":
        image = image.convert("RGB")
    return image.transpose(_UPRIGHT[orientation]) if orientation in _UPRIGHT else image


def _in_srgb(image: Image.Image, space: str, profile: bytes) -> Image.Image:
    """The image in sRGB; as it is if the profile is broken, or for another space."""
    # ICC.1:2001-04, table 9: bytes 16 to 19 say what it is for.
    if profile[16:20].decode("latin-1").strip() != space:
        return image
    mode = _MODES[space]
    transform = _to_srgb(profile, mode)
    if transform is None:
        return image
    converted = image if image.mode == mode else image.convert(mode)
    found: Image.Image | None = ImageCms.applyTransform(converted, transform)
    assert found is not None  # noqa: S101 - it is in place only
    return found


def _colour_space(image: Image.Image) -> str:
    """What a profile of this image is for, as profiles call it."""
    if image.mode == "CMYK":
        return "CMYK"
    return "GRAY" if image.mode in ("1", "L", "LA") or image.mode.startswith("I") else "RGB"


@lru_cache(maxsize=4)
def _to_srgb(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """What makes sRGB of a profile's colours; None if it is broken, or nearly sRGB itself.

    Kept for the next pictures: a camera's all have the same one, and making it takes 8 ms.
    """
    try:
        theirs = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        srgb = ImageCms.createProfile("sRGB")
        transform = ImageCms.buildTransform(theirs, srgb, mode, "RGB")
    except (ImageCms.PyCMSError, *_BROKEN):
        return None
    if mode == "RGB":
        steps = np.arange(0, 256, 51, dtype=np.uint8)
        colours = np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(1, -1, 3)
        shown = ImageCms.applyTransform(Image.fromarray(colours), transform)
        if np.abs(np.asarray(shown).astype(int) - colours).max() <= _SAME_COLOUR:
            return None
    return transform


def short_side_for(short_side: int, crops: Sequence[Crop]) -> int:
    """Pixels that a picture's shorter side must keep, so that each crop's keeps ``short_side``.

    Args:
        short_side: pixels.
        crops: rectangles as fractions of the picture.
    """
    sides = (min(right - left, bottom - top) for left, top, right, bottom in crops)
    return ceil(short_side / min(sides, default=1.0))


def cut(image: Image.Image, crop: Crop, middle: float) -> Image.Image:
    """Cut a square out of a picture so that a model sees all of a rectangle.

    A model sees the middle of a picture only; so the square is larger than the rectangle, about
    its middle, and moved to lie within the picture. What no picture is left for is black.

    Args:
        image: RGB.
        crop: the rectangle, as fractions of the picture.
        middle: the share of a square that the model sees.
    """
    left, top, right, bottom = (
        edge * size for edge, size in zip(crop, image.size * 2, strict=True)
    )
    side = max(1, round(max(right - left, bottom - top) / middle))
    x = _within((left + right - side) / 2, image.width - side)
    y = _within((top + bottom - side) / 2, image.height - side)
    return image.crop((x, y, x + side, y + side))


def _within(start: float, most: int) -> int:
    """Where a square begins: within the picture if it fits, else about its middle."""
    return round(start if most < 0 else min(max(start, 0), most))


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
def _undecodable(media_type: str) -> Iterator[None]:
    try:
        yield
    except _BROKEN as exc:
        raise Undecodable(f"this {media_type} is broken or cut short: {exc}") from exc


def _image_file(media_type: str, file: BinaryIO) -> ImageFile.ImageFile:
    if media_type == "image/png":
        return PngImageFile(file)
    if media_type == "image/jpeg":
        return JpegImageFile(file)
    return WebPImageFile(file)

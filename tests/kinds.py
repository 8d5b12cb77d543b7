"""Pictures of every kind that cameras and people send, made out of one photograph of an espresso.

Each either is classified rightly or is refused clearly; :data:`KINDS` says which.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import ExifTags, Image, ImageCms

from tests.photographs import COFFEE
from tests.profiles import ADOBE_RGB, BLUE_FIRST, DISPLAY_P3, LINEAR_GREY, Profile

LABEL = "espresso"


@dataclass(frozen=True)
class Kind:
    """One kind.

    Attributes:
        make: makes the file's bytes.
        label: what it is classified as; None where there is nothing to see, "" where it is refused.
        code: of its refusal.
        put: the status of a PUT; where it is 201 and there is a code, classifying refuses it.
    """

    make: Callable[[], bytes]
    label: str | None = LABEL
    code: str = ""
    put: int = 201


def photograph() -> Image.Image:
    with Image.open(COFFEE) as image:
        return image.convert("RGB")


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def _animated(kind: str) -> Callable[[], bytes]:
    """Its first picture is the espresso, those behind it are red."""
    red = Image.new("RGB", photograph().size, "red")
    options = {"save_all": True, "append_images": [red, red], "duration": 100}
    return lambda: encoded(photograph(), kind, **options)


def _rotated() -> bytes:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    return encoded(photograph().transpose(Image.Transpose.ROTATE_90), "JPEG", exif=exif)


def _sixteen_bit_grey() -> bytes:
    grey = np.asarray(photograph().convert("L")).astype(np.uint16) << 8
    return encoded(Image.fromarray(grey), "PNG")


def _sixteen_bit_colour() -> bytes:
    """Pillow cannot write one: PNG, third edition, colour type 2 with 16 bits."""
    pixels = np.asarray(photograph()).astype(">u2") * 257
    height, width, _ = pixels.shape
    rows = b"".join(b"\0" + row.tobytes() for row in pixels)

    def chunk(name: bytes, body: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(name + body))
        return struct.pack(">I", len(body)) + name + body + check

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def _tagged() -> bytes:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    return encoded(photograph(), "JPEG", icc_profile=profile)


def _in(profile: Profile, kind: str = "JPEG") -> Callable[[], bytes]:
    """The espresso in the numbers of another kind of camera, which says so."""
    return lambda: encoded(profile.picture(photograph()), kind, icc_profile=profile.icc)


def _grey_in_linear_light() -> bytes:
    """Twice as dark as it is, for whoever passes over its profile."""
    grey = np.asarray(photograph().convert("L")) / 255.0
    numbers = Image.fromarray((grey**2.2 * 255).round().astype(np.uint8))
    return encoded(numbers, "PNG", icc_profile=LINEAR_GREY.icc)


def _truncated() -> bytes:
    whole = encoded(photograph(), "JPEG")
    return whole[: len(whole) // 2]


KINDS: dict[str, Kind] = {
    "plain": Kind(lambda: encoded(photograph(), "JPEG")),
    "animated png": Kind(_animated("PNG")),
    "animated webp": Kind(_animated("WEBP")),
    "animated gif": Kind(_animated("GIF"), "", "not_an_image", 415),
    "cmyk jpeg": Kind(lambda: encoded(photograph().convert("CMYK"), "JPEG")),
    "16-bit grey png": Kind(_sixteen_bit_grey),
    "16-bit colour png": Kind(_sixteen_bit_colour),
    "grey jpeg": Kind(lambda: encoded(photograph().convert("L"), "JPEG")),
    "palette png": Kind(lambda: encoded(photograph().quantize(256), "PNG")),
    "1x1": Kind(lambda: encoded(Image.new("RGB", (1, 1), "red"), "PNG"), None),
    "20,000x20": Kind(lambda: encoded(photograph().resize((20_000, 20)), "PNG"), None),
    "truncated": Kind(_truncated, "", "undecodable", 422),
    "exif-rotated": Kind(_rotated),
    "icc-tagged": Kind(_tagged),
    "adobe rgb jpeg": Kind(_in(ADOBE_RGB)),
    "display p3 jpeg": Kind(_in(DISPLAY_P3)),
    "display p3 png": Kind(_in(DISPLAY_P3, "PNG")),
    "blue first webp": Kind(_in(BLUE_FIRST, "WEBP")),
    "grey png in linear light": Kind(_grey_in_linear_light),
    "broken icc profile": Kind(lambda: encoded(photograph(), "JPEG", icc_profile=b"icc" * 99)),
    "text": Kind(lambda: b"hello", "", "not_an_image", 415),
}

"""What a picture's file says of itself, read without a decoder: this runs in the server.

Pictures come from anyone. A decoder's own header reading inflates notes and colour profiles and
builds a list of everything it passes on its way to the size; here a few bytes are looked at, in a
bounded number of steps, and nothing is inflated. Decoding is for the child processes alone.
"""

from __future__ import annotations

import io
import os
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from objectclassification.errors import NotAnImage, TooManyPixels, Undecodable

MAX_PIXELS: Final = 50_000_000
"""Default pixel limit: design, section 7."""

MAX_SEGMENTS: Final = 4096
"""JPEG segments before the size: 64 kB each, that is eight times the largest picture taken."""

MAX_SCANS: Final = 50
"""Passes over a JPEG's pixels. Progressive encoders make about ten; each may cost a whole decode,
and thousands fit into a small file."""

_PNG: Final = b"\x89PNG\r\n\x1a\n"
_JPEG: Final = b"\xff\xd8\xff"
# ITU-T T.81, table B.1: frame headers are C0 to CF, less DHT, JPG and DAC.
_SOF: Final = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_SOS, _EOI, _TEM = 0xDA, 0xD9, 0x01
_RST: Final = range(0xD0, 0xD8)
_FILL_BYTES: Final = 64
_SCAN: Final = b"\xff\xda"
_PIECE_BYTES: Final = 2**20
_TAIL_BYTES: Final = 4096
"""Cameras append padding and notes after the end of an image; more than this was not seen."""

_ENDS: Final = {
    # PNG, third edition, 5.6: an image ends with an empty IEND chunk and its CRC.
    "image/png": b"IEND\xaeB`\x82",
    # ITU-T T.81, B.1.1.2: entropy-coded data never holds this marker unstuffed.
    "image/jpeg": b"\xff\xd9",
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
    with opened(source) as file:
        return read_header(file, max_pixels)


def check_whole(path: Path, media_type: str) -> None:
    """Raises Undecodable when the file ends before its image does, or has scans without end.

    Args:
        path: the file.
        media_type: ``image/png``, ``image/jpeg`` or ``image/webp``.
    """
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        if media_type == "image/webp":  # RFC 9649, 2.4: the RIFF header says how long it is
            whole = size >= int.from_bytes(file.read(8)[4:8], "little") + 8
        else:
            file.seek(max(0, size - _TAIL_BYTES))
            whole = _ENDS[media_type] in file.read()
        if not whole:
            raise Undecodable(f"this {media_type} is cut short after {size} bytes")
        if media_type == "image/jpeg" and _has_many_scans(file):
            raise Undecodable(f"this image/jpeg has more than {MAX_SCANS} scans")


@contextmanager
def opened(source: Path | bytes) -> Iterator[BinaryIO]:
    """A picture as a file."""
    with io.BytesIO(source) if isinstance(source, bytes) else source.open("rb") as file:
        yield file


def read_header(file: BinaryIO, max_pixels: int) -> ImageInfo:
    """As :func:`probe`, from a file that stands at its beginning."""
    media_type = _sniff(file.read(12))
    file.seek(0)
    try:
        width, height = _READERS[media_type](file)
    except (ValueError, struct.error) as exc:
        raise Undecodable(f"this {media_type} is broken or cut short: {exc}") from exc
    check_size(media_type, width, height, max_pixels)
    return ImageInfo(media_type, width, height)


def check_size(media_type: str, width: int, height: int, max_pixels: int) -> None:
    """Raises Undecodable for no pixels, TooManyPixels for too many."""
    if width < 1 or height < 1:
        raise Undecodable(f"this {media_type} says it is {width} x {height} pixels")
    if width * height > max_pixels:
        raise TooManyPixels(width=width, height=height, limit=max_pixels)


def _sniff(start: bytes) -> str:
    if start.startswith(_PNG):
        return "image/png"
    if start.startswith(_JPEG):
        return "image/jpeg"
    if start[:4] == b"RIFF" and start[8:12] == b"WEBP":
        return "image/webp"
    raise NotAnImage("not a PNG, JPEG or WebP image")


def _png_size(file: BinaryIO) -> tuple[int, int]:
    """Width and height from IHDR, the first chunk (PNG, third edition, 11.2.1)."""
    start = file.read(33)
    if start[8:16] != b"\0\0\0\rIHDR" or len(start) < 33:
        raise ValueError("no IHDR chunk")
    if zlib.crc32(start[12:29]) != int.from_bytes(start[29:33], "big"):
        raise ValueError("the IHDR chunk is damaged")
    width, height = struct.unpack(">II", start[16:24])
    return width, height


def _jpeg_size(file: BinaryIO) -> tuple[int, int]:
    """Width and height from the frame header (ITU-T T.81, B.2.2), past all before it."""
    file.seek(2)
    for _ in range(MAX_SEGMENTS):
        marker = _next_marker(file)
        if marker == _TEM or marker in _RST:  # they stand alone
            continue
        (length,) = struct.unpack(">H", file.read(2))
        if marker in _SOF:
            height, width = struct.unpack(">xHH", file.read(5))
            return width, height
        if marker in (_SOS, _EOI) or length < 2:
            break
        file.seek(length - 2, os.SEEK_CUR)
    raise ValueError("no frame header")


def _next_marker(file: BinaryIO) -> int:
    """The next marker, past the FF that may fill the way to it (B.1.1.2)."""
    piece = file.read(_FILL_BYTES)
    found = piece.lstrip(b"\xff")
    if not found or len(found) == len(piece):
        raise ValueError("no marker found")
    file.seek(1 - len(found), os.SEEK_CUR)
    return found[0]


def _has_many_scans(file: BinaryIO) -> bool:
    scans, before = 0, b""
    file.seek(0)
    while piece := file.read(_PIECE_BYTES):
        # A marker may lie across two pieces.
        scans += (before + piece).count(_SCAN)
        before = piece[-1:]
        if scans > MAX_SCANS:
            return True
    return False


def _webp_size(file: BinaryIO) -> tuple[int, int]:
    """Width and height from a WebP's first 30 bytes (RFC 9649)."""
    start = file.read(30)
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


_READERS: Final = {"image/png": _png_size, "image/jpeg": _jpeg_size, "image/webp": _webp_size}

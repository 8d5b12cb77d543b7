"""Pictures that are made to hurt whoever decodes them: small files that want much."""

from __future__ import annotations

import io
import struct
import zlib

from PIL import Image

MIB = 2**20


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    """The bytes of an image."""
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def zeros(size_bytes: int) -> bytes:
    """A zlib stream that inflates to that many zeros, a thousandth of it long."""
    packer, parts = zlib.compressobj(9), []
    for _ in range(size_bytes // MIB):
        parts.append(packer.compress(bytes(MIB)))
    return b"".join([*parts, packer.flush()])


def png(
    width: int, height: int, data: bytes, *before: bytes, depth: int = 8, colour: int = 2
) -> bytes:
    """A PNG of a zlib stream, with chunks before it."""
    header = _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    chunks = (header, *before, _chunk(b"IDAT", data), _chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def png_notes(kind: bytes, count: int, size_bytes: int) -> bytes:
    """A tiny PNG behind that many compressed notes (``iCCP``, ``zTXt`` or ``iTXt``) of zeros."""
    heads = {b"iCCP": b"a\0\0", b"zTXt": b"a\0\0", b"iTXt": b"a\0\1\0\0\0"}
    note = _chunk(kind, heads[kind] + zeros(size_bytes))
    return png(1, 1, zlib.compress(bytes(4)), *[note] * count)


def jpeg_of(width: int, height: int, *, then: tuple[int, int] | None = None) -> bytes:
    """A JPEG that says it is so large; with ``then``, a second header says something else."""
    small = encoded(Image.new("RGB", (8, 8)), "JPEG")
    at = small.index(b"\xff\xc0")
    header = small[at : at + 19]  # marker, length 17
    said = [_sized(header, width, height)]
    if then is not None:
        said.append(_sized(header, *then))
    return small[:at] + b"".join(said) + small[at + 19 :]


def jpeg_scans(side: int, count: int) -> bytes:
    """A progressive JPEG whose last scan, a few bytes over all its pixels, comes so many times."""
    image = encoded(Image.new("L", (side, side), 90), "JPEG", progressive=True)
    last, end = image.rindex(b"\xff\xda"), image.rindex(b"\xff\xd9")
    return image[:end] + image[last:end] * count + image[end:]


def jpeg_segments(count: int) -> bytes:
    """A JPEG with that many empty segments before its size."""
    image = encoded(Image.new("RGB", (8, 8)), "JPEG")
    return image[:2] + b"\xff\xe1\x00\x02" * count + image[2:]


def webp_of(width: int, height: int) -> bytes:
    """A tiny WebP on a canvas that is so large."""
    image = bytearray(encoded(Image.new("RGBA", (8, 8), (1, 2, 3, 4)), "WEBP", exif=b"Exif\0\0"))
    image[24:27], image[27:30] = (
        (width - 1).to_bytes(3, "little"),
        (height - 1).to_bytes(3, "little"),
    )
    return bytes(image)


def webp_frames(side: int, count: int) -> bytes:
    """An animated WebP."""
    frames = [Image.new("RGB", (side, side), (number % 256, 0, 0)) for number in range(count)]
    return encoded(frames[0], "WEBP", save_all=True, append_images=frames[1:], lossless=True)


def _chunk(kind: bytes, content: bytes) -> bytes:
    return (
        struct.pack(">I", len(content))
        + kind
        + content
        + struct.pack(">I", zlib.crc32(kind + content))
    )


def _sized(header: bytes, width: int, height: int) -> bytes:
    return header[:5] + struct.pack(">HH", height, width) + header[9:]

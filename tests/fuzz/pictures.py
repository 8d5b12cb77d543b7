"""Valid small pictures of every kind that is taken, and what an attacker makes of them.

Random bytes end at the first check. These mutations keep a file's shape (its markers, chunks,
lengths and checksums), so that the readers get as deep into it as they can.
"""

from __future__ import annotations

import io
import struct
import zlib
from functools import cache

import numpy as np
from hypothesis import strategies as st
from PIL import Image

ODD_NUMBERS = (0, 1, 2, 7, 8, 127, 128, 255, 256, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF)


@cache
def seeds() -> dict[str, bytes]:
    """Valid pictures, by name."""
    noise = np.random.default_rng(1).integers(0, 256, (48, 64, 3), dtype=np.uint8)
    rgb = Image.fromarray(noise)
    exif = Image.Exif()
    exif[0x0112] = 6
    deep = Image.fromarray(noise[..., 0].astype(np.uint16) << 8)
    frames = {"save_all": True, "append_images": [rgb.transpose(Image.Transpose.ROTATE_180)]}
    kinds: dict[str, tuple[Image.Image, str, dict[str, object]]] = {
        "jpeg": (rgb, "JPEG", {"exif": exif, "comment": b"a note"}),
        "jpeg-progressive": (rgb, "JPEG", {"progressive": True, "subsampling": 0}),
        "jpeg-restarts": (rgb, "JPEG", {"restart_marker_blocks": 2, "dpi": (72, 72)}),
        "jpeg-grey": (rgb.convert("L"), "JPEG", {}),
        "jpeg-cmyk": (rgb.convert("CMYK"), "JPEG", {}),
        "png": (rgb, "PNG", {"exif": exif, "icc_profile": b"profile" * 20}),
        "png-palette": (rgb.convert("P"), "PNG", {"transparency": 3}),
        "png-alpha": (rgb.convert("RGBA"), "PNG", {}),
        "png-bits": (rgb.convert("1"), "PNG", {}),
        "png-deep": (deep, "PNG", {}),
        "png-frames": (rgb, "PNG", frames),
        "webp": (rgb, "WEBP", {"exif": exif}),
        "webp-lossless": (rgb.convert("RGBA"), "WEBP", {"lossless": True}),
        "webp-frames": (rgb, "WEBP", frames),
    }
    made = {}
    for name, (image, kind, options) in kinds.items():
        buffer = io.BytesIO()
        image.save(buffer, kind, **options)
        made[name] = buffer.getvalue()
    return made


def split(picture: bytes) -> list[bytes]:
    """The parts a file is made of: JPEG segments, PNG chunks, RIFF chunks; joined they are it."""
    if picture.startswith(b"\x89PNG"):
        return [picture[:8], *_lengths(picture, 8, ">I", length_at=0, extra=12)]
    if picture.startswith(b"RIFF"):
        return [picture[:12], *_lengths(picture, 12, "<I", length_at=4, extra=8)]
    return [picture[:2], *_segments(picture)]


def _lengths(data: bytes, at: int, form: str, *, length_at: int, extra: int) -> list[bytes]:
    parts = []
    while at < len(data):
        (length,) = struct.unpack_from(form, data, at + length_at)
        end = at + extra + length + (length & 1 if form == "<I" else 0)
        parts.append(data[at:end])
        at = end
    return parts


def _segments(data: bytes) -> list[bytes]:
    parts, at = [], 2
    while data[at + 1] != 0xDA:
        end = at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        parts.append(data[at:end])
        at = end
    return [*parts, data[at:]]


def whole(part: bytes) -> bytes:
    """A PNG chunk with the checksum and the length of what is in it now."""
    body = part[4:-4]
    return struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))


@st.composite
def _edited(draw: st.DrawFn, part: bytes) -> bytes:
    """A part with some of its numbers changed; half of the time those of its first bytes."""
    data = bytearray(part)
    for _ in range(draw(st.integers(1, 4))):
        if len(data) < 4:
            break
        near = draw(st.booleans())
        at = draw(st.integers(0, min(len(data), 32 if near else len(data)) - 1))
        match draw(st.sampled_from(("flip", "big", "little", "cut", "insert"))):
            case "flip":
                data[at] ^= 1 << draw(st.integers(0, 7))
            case "big" | "little" as order:
                size = draw(st.sampled_from((1, 2, 4)))
                number = draw(st.sampled_from(ODD_NUMBERS)) & (256**size - 1)
                data[at : at + size] = number.to_bytes(size, "big" if order == "big" else "little")
            case "cut":
                del data[at : at + draw(st.integers(1, 16))]
            case "insert":
                data[at:at] = draw(st.binary(min_size=1, max_size=16))
    return bytes(data)


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A picture that was valid before its parts were edited, dropped, doubled and moved."""
    picture = seeds()[draw(st.sampled_from(sorted(seeds())))]
    parts = split(picture)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(parts) - 1))
        match draw(st.sampled_from(("edit", "edit", "edit", "drop", "double", "move", "borrow"))):
            case "edit":
                edited = draw(_edited(parts[at]))
                is_chunk = picture.startswith(b"\x89PNG") and at > 0 and len(edited) > 12
                parts[at] = whole(edited) if is_chunk and draw(st.booleans()) else edited
            case "drop" if len(parts) > 1:
                del parts[at]
            case "double":
                parts[at:at] = [parts[at]] * draw(st.sampled_from((1, 2, 50)))
            case "move":
                parts.insert(draw(st.integers(0, len(parts) - 1)), parts.pop(at))
            case "borrow":
                other = split(seeds()[draw(st.sampled_from(sorted(seeds())))])
                parts.insert(at, draw(st.sampled_from(other)))
    data = b"".join(parts)
    if draw(st.integers(0, 7)) == 0:
        data = data[: draw(st.integers(0, len(data)))]
    return data


def anything() -> st.SearchStrategy[bytes]:
    """Mostly mutated pictures; some valid ones, some that only begin like one, some rubbish."""
    starts = st.sampled_from((b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"RIFF\x20\x00\x00\x00WEBP"))
    begun = st.tuples(starts, st.binary(max_size=200)).map(b"".join)
    valid = st.sampled_from(sorted(seeds())).map(seeds().__getitem__)
    return st.one_of(mutated(), mutated(), mutated(), valid, begun, st.binary(max_size=64))

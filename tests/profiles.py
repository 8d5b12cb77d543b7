"""Colour profiles as cameras and phones write them, and pictures in their colours.

Made by hand: Pillow makes none but sRGB's. ICC.1:2001-04 says what is where.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Colorants = tuple[tuple[float, float, float], ...]
"""XYZ of full red, green and blue, adapted to D50."""

SRGB: Colorants = (
    (0.43607, 0.22249, 0.01392),
    (0.38515, 0.71687, 0.09708),
    (0.14307, 0.0606, 0.7141),
)
_D50 = (0.9642, 1.0, 0.8249)
_STEPS = 1024


@dataclass(frozen=True)
class Profile:
    """Colours of one kind of camera.

    Attributes:
        colorants: what its red, green and blue are; none of grey.
        gamma: of its numbers; None is sRGB's curve.
    """

    colorants: Colorants
    gamma: float | None = None

    @property
    def icc(self) -> bytes:
        """The profile as it is written into files."""
        curve = self._curve()
        tags = {b"desc": _text(b"desc", b"made by a test"), b"wtpt": _xyz(_D50)}
        if not self.colorants:
            return _file(b"GRAY", {**tags, b"kTRC": curve})
        for letter, xyz in zip((b"r", b"g", b"b"), self.colorants, strict=True):
            tags |= {letter + b"XYZ": _xyz(xyz), letter + b"TRC": curve}
        return _file(b"RGB ", tags)

    def picture(self, image: Image.Image) -> Image.Image:
        """An RGB image in sRGB, with the numbers that this profile has for the same colours."""
        linear = _decoded(np.asarray(image) / 255.0)
        seen = linear @ np.array(SRGB) @ np.linalg.inv(np.array(self.colorants))
        numbers = self._encoded(np.clip(seen, 0, 1))
        return Image.fromarray((numbers * 255).round().astype(np.uint8))

    def _encoded(self, linear: NDArray[np.float64]) -> NDArray[np.float64]:
        if self.gamma is not None:
            return np.asarray(linear ** (1 / self.gamma))
        high = 1.055 * np.maximum(linear, 0.0031308) ** (1 / 2.4) - 0.055
        return np.where(linear <= 0.0031308, linear * 12.92, high)

    def _curve(self) -> bytes:
        if self.gamma is not None:
            return b"curv" + bytes(4) + struct.pack(">IH2x", 1, round(self.gamma * 256))
        points = (_decoded(np.linspace(0, 1, _STEPS)) * 65535).round().astype(">u2")
        return b"curv" + bytes(4) + struct.pack(">I", _STEPS) + points.tobytes()


ADOBE_RGB = Profile(
    ((0.60974, 0.31111, 0.01947), (0.20528, 0.62567, 0.06087), (0.14919, 0.06322, 0.74457)),
    gamma=2.19921875,
)
DISPLAY_P3 = Profile(
    ((0.51512, 0.2412, -0.00105), (0.29198, 0.69225, 0.04189), (0.1571, 0.06657, 0.78407))
)
BLUE_FIRST = Profile(SRGB[::-1])
"""sRGB with red and blue exchanged: whoever passes over it sees a blue espresso."""
LINEAR_GREY = Profile((), gamma=1.0)


def inks(cyan: tuple[int, int, int]) -> bytes:
    """A profile of four inks on white paper, of which the first prints that colour in Lab.

    The others, and what is printed over another, are black: a table of two steps each (lut8Type).
    """
    colours = bytearray(b"\x00\x80\x80" * 16)
    colours[:3] = b"\xff\x80\x80"
    lightness, a, b = cyan
    colours[24:27] = bytes((round(lightness * 2.55), a + 128, b + 128))
    straight = bytes(range(256))
    unchanged = struct.pack(">9i", *(65536 * (n % 4 == 0) for n in range(9)))
    table = b"mft1" + bytes(4) + bytes((4, 3, 2, 0)) + unchanged
    table += straight * 4 + bytes(colours) + straight * 3
    tags = {b"desc": _text(b"desc", b"inks"), b"wtpt": _xyz(_D50), b"A2B0": table}
    return _file(b"CMYK", tags, b"Lab ")


def _decoded(numbers: NDArray[np.float64]) -> NDArray[np.float64]:
    """sRGB's numbers, 0 to 1, as light (IEC 61966-2-1)."""
    return np.where(numbers <= 0.04045, numbers / 12.92, ((numbers + 0.055) / 1.055) ** 2.4)


def _xyz(values: tuple[float, float, float]) -> bytes:
    return b"XYZ " + bytes(4) + struct.pack(">3i", *(round(value * 65536) for value in values))


def _text(kind: bytes, text: bytes) -> bytes:
    return kind + bytes(4) + struct.pack(">I", len(text) + 1) + text + bytes(1 + 78)


def _file(space: bytes, tags: dict[bytes, bytes], seen: bytes = b"XYZ ") -> bytes:
    table, bodies = struct.pack(">I", len(tags)), b""
    start = 128 + 4 + 12 * len(tags)
    for name, body in tags.items():
        table += name + struct.pack(">II", start + len(bodies), len(body))
        bodies += body + bytes(-len(body) % 4)
    size = start + len(bodies)
    header = (
        struct.pack(">I4xI", size, 0x02400000)
        + (b"prtr" if space == b"CMYK" else b"mntr")
        + space
        + seen
    )
    header += struct.pack(">6H", 2026, 1, 1, 0, 0, 0) + b"acsp" + bytes(28) + _xyz(_D50)[8:]
    return header.ljust(128, b"\0") + table + bodies

"""The modes of a V4L2 device, asked of its driver: OpenCV can set a mode but cannot list them.

Structures and request codes are those of ``linux/videodev2.h``.
"""

from __future__ import annotations

import fcntl
import os
import struct
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

_VIDIOC_ENUM_FMT = 0xC0405602
_VIDIOC_ENUM_FRAMESIZES = 0xC02C564A
_VIDIOC_ENUM_FRAMEINTERVALS = 0xC034564B
_FMTDESC = struct.Struct("=III32s4s4x12x")  # index, type, flags, description, pixelformat
_FRMSIZE = struct.Struct("=I4sI6I8x")  # index, pixelformat, type, discrete or stepwise size
_FRMIVAL = struct.Struct("=I4sIII6I8x")  # index, pixelformat, width, height, type, intervals
_VIDEO_CAPTURE = 1
_DISCRETE = 1
_MOST = 256  # a broken driver may go on for ever

Ask = Callable[[int, bytearray], None]
"""Like ``ioctl`` on an open device: fills the structure in, or raises OSError after the last."""


def modes_of(path: Path) -> list[str]:
    """Lists a device's modes, such as ``MJPG 1280x720 30 fps``.

    Raises:
        OSError: the device cannot be opened.
    """
    device = os.open(path, os.O_RDWR | os.O_NONBLOCK)

    def ask(request: int, structure: bytearray) -> None:
        fcntl.ioctl(device, request, structure, True)

    try:
        return list(list_modes(ask))
    finally:
        os.close(device)


def list_modes(ask: Ask) -> Iterator[str]:
    """Goes through formats, their sizes, and the fastest rate of each."""
    for fourcc in _formats(ask):
        name = fourcc.decode("ascii", "replace").strip()
        for width, height in _sizes(ask, fourcc):
            rate = _fastest(ask, fourcc, width, height)
            yield f"{name} {width}x{height}" + (f" {rate:g} fps" if rate else "")


def _formats(ask: Ask) -> Iterator[bytes]:
    for values in _enumerate(
        ask, _VIDIOC_ENUM_FMT, _FMTDESC, lambda i: (i, _VIDEO_CAPTURE, 0, b"", b"")
    ):
        yield bytes(values[4])


def _sizes(ask: Ask, fourcc: bytes) -> Iterator[tuple[int, int]]:
    for _, _, kind, *size in _enumerate(
        ask, _VIDIOC_ENUM_FRAMESIZES, _FRMSIZE, lambda i: (i, fourcc, 0, *[0] * 6)
    ):
        if kind == _DISCRETE:
            yield size[0], size[1]
        else:  # min, max and step of the width, then of the height: the largest says enough
            yield size[1], size[4]
            return


def _fastest(ask: Ask, fourcc: bytes, width: int, height: int) -> float:
    rates = [0.0]
    for values in _enumerate(
        ask,
        _VIDIOC_ENUM_FRAMEINTERVALS,
        _FRMIVAL,
        lambda i: (i, fourcc, width, height, 0, *[0] * 6),
    ):
        numerator, denominator = values[5:7]
        if numerator:
            rates.append(denominator / numerator)
        if values[4] != _DISCRETE:
            break
    return round(max(rates), 2)


def _enumerate(
    ask: Ask, request: int, shape: struct.Struct, question: Callable[[int], tuple[object, ...]]
) -> Iterator[tuple[int, ...]]:
    for index in count():
        structure = bytearray(shape.pack(*question(index)))
        try:
            ask(request, structure)
        except OSError:  # EINVAL: that was the last; ENOTTY: the driver does not list these
            return
        yield shape.unpack(structure)
        if index >= _MOST:
            return

"""Cuts a stream of bytes into JPEG pictures; no I/O.

Both shapes of MJPEG are read the same way: pictures one behind the other, and pictures as parts of
a ``multipart/x-mixed-replace`` body, whose boundary and headers are just text between pictures. A
picture's end is found by walking its segments (ITU-T T.81, annex B), never by searching for the end
marker: an Exif thumbnail inside holds an end marker of its own.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

MAX_PICTURE_BYTES = 32 * 2**20
MAX_TEXT_BYTES = 64 * 2**10
"""More than this between two pictures is rubbish."""

_SOI, _SOS, _EOI = 0xD8, 0xDA, 0xD9
_STANDALONE = {0x01, *range(0xD0, 0xD8)}
# In entropy-coded data 0xFF is stuffed with a zero or starts a restart marker; fills repeat it.
_SCAN_END = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
_TAKEN_AT = re.compile(rb"^X-Taken-Monotonic:\s*([0-9]+(?:\.[0-9]+)?)\s*$", re.MULTILINE | re.I)


class NotAPicture(Exception):
    """The stream holds something that is not a JPEG picture."""


class PictureSplitter:
    """Bytes in, whole pictures out.

    Attributes:
        text: what stood before the last picture: the headers of its part, if it had any.
    """

    def __init__(self) -> None:
        self.text = b""
        self._buffer = bytearray()
        self._start: int | None = None
        self._at = 0  # where the walk goes on: a segment's marker, or inside a scan
        self._in_scan = False

    @property
    def pending(self) -> bool:
        """Whether part of a picture is held."""
        return self._start is not None

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Takes bytes and yields each picture that they complete.

        Raises:
            NotAPicture: too much that is no picture, or a picture that breaks the format.
        """
        self._buffer += data
        while self._find_start() and (end := self._find_end()) is not None:
            picture = bytes(self._buffer[self._start : end])
            del self._buffer[:end]
            self._start, self._in_scan = None, False
            yield picture

    def taken_at(self) -> float | None:
        """The last picture's own time stamp, ``CLOCK_MONOTONIC`` seconds, if its headers had one.

        A helper on this machine proves freshness with the header ``X-Taken-Monotonic``.
        """
        told = _TAKEN_AT.findall(self.text.replace(b"\r", b""))
        return float(told[-1]) if told else None

    def _find_start(self) -> bool:
        if self._start is not None:
            return True
        start = self._buffer.find(b"\xff\xd8\xff")
        if start < 0:
            if len(self._buffer) > MAX_TEXT_BYTES:
                raise NotAPicture(f"{len(self._buffer)} bytes without a JPEG picture")
            return False
        if start > MAX_TEXT_BYTES:
            raise NotAPicture(f"{start} bytes between two pictures")
        self.text = bytes(self._buffer[:start])
        self._start, self._at = start, start + 2
        return True

    def _find_end(self) -> int | None:
        """Walks on through the picture; returns where it ends, or None to wait for more."""
        buffer = self._buffer
        if len(buffer) > MAX_PICTURE_BYTES:
            raise NotAPicture(f"a picture of more than {MAX_PICTURE_BYTES} bytes")
        while True:
            if self._in_scan:
                if (found := _SCAN_END.search(buffer, self._at)) is None:
                    self._at = max(self._at, len(buffer) - 1)
                    return None
                self._at, self._in_scan = found.start(), False
            if len(buffer) < self._at + 4:
                # The end marker is the only one that may be the last thing in the buffer.
                ended = buffer[self._at : self._at + 2] == b"\xff\xd9"
                return self._at + 2 if ended else None
            if buffer[self._at] != 0xFF:
                raise NotAPicture("a JPEG picture with a broken segment")
            marker = buffer[self._at + 1]
            if marker == _EOI:
                return self._at + 2
            if marker == 0xFF:
                self._at += 1
            elif marker in _STANDALONE:
                self._at += 2
            elif marker in (0x00, _SOI):
                raise NotAPicture("a JPEG picture with a broken segment")
            else:
                self._at += 2 + int.from_bytes(buffer[self._at + 2 : self._at + 4], "big")
                self._in_scan = marker == _SOS

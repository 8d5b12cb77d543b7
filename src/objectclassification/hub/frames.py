"""Frames that the hub builds itself, and the plainest of those it reads (RFC 6455, section 5.2)."""

from __future__ import annotations

# Where it is compiled, websockets has it in C; it says so by what it imports itself.
from websockets.frames import apply_mask  # type: ignore[attr-defined]


def ping_frame(payload: bytes) -> bytes:
    """Returns a ping, whose answer has the same payload of at most 125 bytes."""
    return b"\x89%c%b" % (len(payload), payload)


def text_frame(payload: bytes) -> bytes:
    """Returns an unmasked, unfragmented text frame (RFC 6455, section 5.2).

    Built here and not by ``ServerProtocol`` so that one frame serves all its receivers.
    """
    size = len(payload)
    if size < 126:
        return b"\x81%c%b" % (size, payload)
    if size < 65_536:
        return b"\x81\x7e%b%b" % (size.to_bytes(2, "big"), payload)
    return b"\x81\x7f%b%b" % (size.to_bytes(8, "big"), payload)


PLAIN_TEXT, PLAIN_PONG, UNFINISHED = 0x81, 0x8A, 0x7F


class PlainFrames:
    """Reads what is nothing but whole, masked, unfragmented text frames and empty pongs.

    That is nearly all that a camera says. ``ServerProtocol`` takes a quarter of the hub's time for
    a ``shot``, most of it because frames may come in pieces; these do not. Whatever is not as plain
    it is given, and says what is wrong where something is.

    Args:
        most_bytes: the longest text.

    Attributes:
        is_between: what comes next begins a frame; once that is not known, it never is again.
    """

    __slots__ = ("_most_bytes", "is_between")

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self.is_between = False

    def read(self, data: bytes) -> list[bytes | None] | None:
        """Returns the text of each frame, None for a pong; nothing if ``ServerProtocol`` must."""
        if not self.is_between:
            return None
        texts: list[bytes | None] = []
        at, end, is_plain = 0, len(data), True
        while end - at >= 6 and data[at + 1] >= 0x80 and data[at] > UNFINISHED:
            head, size, mask = data[at], data[at + 1] & 0x7F, at + 2
            if size == 126:
                size, mask = data[mask] << 8 | data[mask + 1], mask + 2
            elif size == 127:  # eight bytes of a length that is too long in any case
                size = end
            begin = mask + 4
            at = begin + size
            if at > end or size > self._most_bytes:
                self.is_between = False
                return None
            if head == PLAIN_TEXT:
                text: bytes = apply_mask(data[begin:at], data[mask:begin])
                texts.append(text)
            elif head == PLAIN_PONG and not size:
                texts.append(None)
            else:
                is_plain = False
        self.is_between = at == end
        return texts if is_plain and at == end else None

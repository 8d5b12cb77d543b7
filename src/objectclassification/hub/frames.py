"""Frames that the hub builds itself (RFC 6455, section 5.2)."""

from __future__ import annotations


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

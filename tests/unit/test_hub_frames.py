"""What the hub reads of frames itself: the same as ``ServerProtocol`` reads, or nothing."""

from __future__ import annotations

import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.frames import Frame, Opcode
from websockets.protocol import OPEN
from websockets.server import ServerProtocol

from objectclassification.hub.frames import PlainFrames

MOST = 16_384
SENT = st.builds(
    Frame,
    st.sampled_from([Opcode.TEXT, Opcode.TEXT, Opcode.PONG, Opcode.PING, Opcode.BINARY]),
    st.binary(max_size=120) | st.binary(min_size=126, max_size=1000),
    st.just(True),
)
QUIET = logging.getLogger("tests.frames")
QUIET.setLevel(logging.CRITICAL)


def wire(frame: Frame) -> bytes:
    """As a client sends it."""
    data: bytes = frame.serialize(mask=True)
    return data


def plain() -> PlainFrames:
    """After a handshake."""
    frames = PlainFrames(MOST)
    frames.is_between = True
    return frames


def by_the_book(data: bytes) -> list[Frame]:
    """What websockets reads."""
    protocol = ServerProtocol(state=OPEN, max_size=MOST, logger=QUIET)
    protocol.receive_data(data)
    return [event for event in protocol.events_received() if isinstance(event, Frame)]


@given(st.lists(SENT, min_size=1, max_size=5))
def test_whole_frames_are_read_as_by_the_book_or_left_to_it(sent: list[Frame]) -> None:
    sent = [Frame(f.opcode, f.data[:120]) if f.opcode > 7 else f for f in sent]
    data = b"".join(map(wire, sent))
    frames = plain()
    texts = frames.read(data)
    is_plain = all(
        f.opcode is Opcode.TEXT or (f.opcode is Opcode.PONG and not f.data) for f in sent
    )
    assert (texts is not None) == is_plain
    assert frames.is_between
    if texts is not None:
        read = by_the_book(data)
        assert [None if f.opcode is Opcode.PONG else bytes(f.data) for f in read] == texts


@given(st.binary(max_size=400))
def test_any_bytes_are_read_as_by_the_book_or_left_to_it(data: bytes) -> None:
    texts = plain().read(data)
    if texts:
        read = by_the_book(data)
        assert [None if f.opcode is Opcode.PONG else bytes(f.data) for f in read] == texts


@given(st.binary(max_size=400), st.data())
def test_a_frame_in_pieces_is_left_to_the_book_from_then_on(
    text: bytes, data: st.DataObject
) -> None:
    whole = wire(Frame(Opcode.TEXT, text))
    at = data.draw(st.integers(1, len(whole) - 1))
    frames = plain()
    assert frames.read(whole[:at]) is None
    assert frames.read(whole[at:]) is None
    assert frames.read(whole) is None


@pytest.mark.parametrize(
    "data",
    [
        b"\x81\x05hello",  # not masked
        b"\xc1\x80\x00\x00\x00\x00",  # a reserved bit
        b"\x81\xff" + (70_000).to_bytes(8, "big") + bytes(4 + 70_000),  # too long
        b"\x81\xfe" + (MOST + 1).to_bytes(2, "big") + bytes(4 + MOST + 1),  # too long, too
        b"\x81\xff" + (5).to_bytes(8, "big") + bytes(4) + b"hello",  # short, at length
        b"\x81\xff" + bytes(131),  # as long as the mark of a length
        b"\x01\x80\x00\x00\x00\x00",  # a fragment
    ],
)
def test_what_is_wrong_or_not_plain_is_left_to_the_book(data: bytes) -> None:
    assert plain().read(data) is None


def test_nothing_is_read_before_the_handshake() -> None:
    assert PlainFrames(MOST).read(wire(Frame(Opcode.TEXT, b"{}"))) is None

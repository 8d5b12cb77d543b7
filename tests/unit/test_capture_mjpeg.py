"""Cutting a stream into pictures, however its bytes are dealt out."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from itertools import pairwise

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from objectclassification.capture.jpegstream import JpegStream
from objectclassification.capture.mjpeg import MAX_TEXT_BYTES, NotAPicture, PictureSplitter


def jpeg(seed: int, *parameters: int) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (40, 56, 3), dtype=np.uint8)
    return cv2.imencode(".jpg", pixels, parameters)[1].tobytes()


def with_thumbnail(picture: bytes) -> bytes:
    """Puts a whole JPEG, end marker and all, into an Exif segment, as cameras do."""
    inside = b"Exif\0\0" + jpeg(99)
    return picture[:2] + b"\xff\xe1" + struct.pack(">H", len(inside) + 2) + inside + picture[2:]


PICTURES = [
    jpeg(1),
    with_thumbnail(jpeg(2)),
    jpeg(3, cv2.IMWRITE_JPEG_PROGRESSIVE, 1),
    jpeg(4, cv2.IMWRITE_JPEG_RST_INTERVAL, 2),
]
PLAIN = b"".join(PICTURES)
MULTIPART = b"".join(
    b"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n%s\r\n" % (len(p), p)
    for p in PICTURES
)


def deal(data: bytes, cuts: list[int]) -> Iterator[bytes]:
    edges = [0, *sorted(cut % len(data) for cut in cuts), len(data)]
    for start, end in pairwise(edges):
        yield data[start:end]


@settings(deadline=None)
@given(st.sampled_from([PLAIN, MULTIPART]), st.lists(st.integers(0, 10**6), max_size=40))
def test_the_same_pictures_come_out_however_the_bytes_come_in(data: bytes, cuts: list[int]) -> None:
    splitter = PictureSplitter()
    out = [picture for chunk in deal(data, cuts) for picture in splitter.feed(chunk)]
    assert out == PICTURES


def test_byte_by_byte_each_picture_comes_with_its_last_byte() -> None:
    splitter = PictureSplitter()
    for picture in PICTURES:
        for byte in picture[:-1]:
            assert not list(splitter.feed(bytes([byte])))
        assert list(splitter.feed(picture[-1:])) == [picture]


@given(st.binary(max_size=300), st.binary(max_size=300))
def test_any_bytes_give_pictures_or_not_a_picture(first: bytes, second: bytes) -> None:
    splitter = PictureSplitter()
    try:
        for chunk in (first, b"\xff\xd8\xff", second, PICTURES[0]):
            for picture in splitter.feed(chunk):
                assert picture.startswith(b"\xff\xd8\xff")
                assert picture.endswith(b"\xff\xd9")
    except NotAPicture:
        pass


def test_rubbish_has_a_bound() -> None:
    with pytest.raises(NotAPicture, match="without a JPEG"):
        list(PictureSplitter().feed(bytes(MAX_TEXT_BYTES + 1)))
    with pytest.raises(NotAPicture, match="between two pictures"):
        list(PictureSplitter().feed(bytes(MAX_TEXT_BYTES + 1) + PICTURES[0]))
    with pytest.raises(NotAPicture, match="more than"):
        list(PictureSplitter().feed(PICTURES[0][:-2] + bytes(33 * 2**20)))


def test_headers_are_of_the_picture_behind_them() -> None:
    splitter = PictureSplitter()
    stamped = b"--x\r\nX-Taken-Monotonic: 12.5\r\n\r\n" + PICTURES[0]
    assert list(splitter.feed(stamped)) == [PICTURES[0]]
    assert splitter.taken_at() == 12.5
    assert list(splitter.feed(b"\r\n--x\r\n\r\n" + PICTURES[1])) == [PICTURES[1]]
    assert splitter.taken_at() is None


def test_pictures_that_lay_in_a_buffer_are_not_believed_to_be_new() -> None:
    """Reads that never wait deliver the past, as after a program was suspended."""
    backlog = iter(PICTURES)
    stream = JpegStream(lambda: next(backlog), latency_s=0.0)
    opened = stream.next()
    assert opened is not None
    for _ in PICTURES[1:]:
        arrived = stream.next()
        assert arrived is not None
        assert arrived.stamp.taken_at - opened.stamp.taken_at < 0.001

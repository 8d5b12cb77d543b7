"""Encoded pictures: recognised, measured, encoded, saved."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from objectclassification.capture import picture
from objectclassification.errors import CaptureError

if TYPE_CHECKING:
    from objectclassification.capture.source import Pixels


def noise(mean: float, spread: float, shape: tuple[int, ...] = (48, 64, 3)) -> Pixels:
    pixels = np.random.default_rng(0).normal(mean, spread, shape)
    return np.clip(pixels, 0, 255).astype(np.uint8)


@pytest.mark.parametrize("media_type", ["image/jpeg", "image/png", "image/webp"])
def test_what_is_encoded_is_recognised_and_decodes(media_type: str) -> None:
    image = cv2.GaussianBlur(noise(128, 60), (9, 9), 3)
    data = picture.encode(np.asarray(image, np.uint8), media_type)
    assert picture.sniff(data) == media_type
    decoded = picture.decode(data, "x")
    assert decoded.shape == (48, 64, 3)
    assert float(np.abs(decoded.astype(int) - image.astype(int)).mean()) < 4
    if media_type != "image/webp":
        assert picture.measure(data) == (64, 48)


def test_a_jpeg_is_measured_behind_any_other_segments() -> None:
    data = picture.encode(noise(128, 60), "image/jpeg")
    comment = b"\xff\xfe" + struct.pack(">H", 60_000) + bytes(59_998)
    assert picture.measure(data[:2] + comment + data[2:]) == (64, 48)


@given(st.binary(max_size=100))
def test_rubbish_is_neither_measured_nor_decoded(data: bytes) -> None:
    for start in (b"", b"\xff\xd8\xff\xe0", b"\x89PNG\r\n\x1a\n", b"RIFF1234WEBP"):
        picture.measure(start + data)  # whatever it says, it comes back
        with pytest.raises(CaptureError, match="cannot be decoded"):
            picture.decode(start + data, "cam")


@pytest.mark.parametrize("media_type", ["image/jpeg", "image/png", "image/webp"])
def test_a_thumbnail_is_as_large_as_it_must_be(media_type: str) -> None:
    data = picture.encode(noise(128, 60, (720, 1280, 3)), media_type)
    assert picture.thumbnail_of(data, "x").shape == (90, 160)
    if media_type != "image/webp":
        assert picture.thumbnail_of(data, "x", 320).shape == (180, 320)
        assert picture.thumbnail_of(data, "x", 500).shape == (360, 640)
        assert picture.thumbnail_of(data, "x", 1200).shape == (720, 1280)


def test_quality_is_what_a_smaller_file_costs() -> None:
    image = noise(128, 60)
    for media_type in ("image/jpeg", "image/webp"):
        assert len(picture.encode(image, media_type, 20)) < len(picture.encode(image, media_type))
    assert picture.encode(image, "image/png", 20) == picture.encode(image, "image/png")


def test_turn_and_fit() -> None:
    image = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    assert picture.rotate(image, 90).shape == (4, 2, 3)
    assert np.array_equal(picture.rotate(image, 90)[0, -1], image[0, 0])
    assert np.array_equal(picture.rotate(image, 180)[0, 0], image[-1, -1])
    assert np.array_equal(picture.rotate(image, 270)[-1, 0], image[0, 0])
    assert picture.rotate(image, 0) is image
    big = noise(128, 60, (300, 400, 3))
    assert picture.shrink(big, (100, 100)).shape == (75, 100, 3)
    assert picture.shrink(big, (4000, 4000)) is big


def test_saving_replaces_the_file_whole_and_leaves_nothing_behind(tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    path = folder / "opencv_frame_0.jpg"
    for data in (b"first", b"second"):
        picture.save(data, path)
        assert path.read_bytes() == data
    with pytest.raises(OSError):
        picture.save(b"third", tmp_path / "nowhere" / "x.jpg")
    assert list(folder.iterdir()) == [path]

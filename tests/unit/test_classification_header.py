"""Headers read by hand: the corners that encoders leave and attackers look for."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from objectclassification.classification import header
from objectclassification.errors import Undecodable
from tests import bombs

JPEG = bombs.encoded(Image.new("RGB", (30, 20)), "JPEG")
PNG = bombs.png(30, 20, bombs.zeros(bombs.MIB))


@pytest.mark.parametrize(
    "before",
    [
        b"\xff\xff\xff\xe1\x00\x02",  # filled up with FF
        b"\xff\x01\xff\xd0",  # markers without a length
        b"\xff\xfe\x00\x06\xff\xc0ab",  # a note that looks like a frame header
        b"\xff\xee" + (2**16 - 1).to_bytes(2, "big") + bytes(2**16 - 3),
    ],
    ids=["fill", "alone", "note", "long"],
)
def test_a_jpegs_size_is_found_behind(before: bytes) -> None:
    assert header.probe(JPEG[:2] + before + JPEG[2:]) == header.ImageInfo("image/jpeg", 30, 20)


@pytest.mark.parametrize(
    "broken",
    [
        JPEG[:2] + b"\xff" * 1000 + JPEG[2:],
        JPEG[:2] + b"\xff\xe1\x00\x01" + JPEG[2:],
        JPEG[:2] + b"\xff\xe1\x00\x02junk" + JPEG[2:],
        JPEG[:2] + JPEG[JPEG.index(b"\xff\xda") :],
        PNG[:16] + b"\x7f" + PNG[17:],
        PNG[:8] + PNG[33:],
    ],
    ids=["fill without end", "no length", "junk", "no frame", "damaged IHDR", "no IHDR"],
)
def test_a_header_that_is_none_is_undecodable(broken: bytes) -> None:
    with pytest.raises(Undecodable, match="broken or cut short"):
        header.probe(broken)


def test_scans_are_counted_wherever_they_lie(tmp_path: Path) -> None:
    path = tmp_path / "picture"
    scans = bombs.jpeg_scans(100, 0).count(b"\xff\xda")
    path.write_bytes(bombs.jpeg_scans(100, header.MAX_SCANS - scans))
    header.check_whole(path, "image/jpeg")
    # One of them lies across two of the pieces that are read at a time.
    many = bombs.jpeg_scans(100, header.MAX_SCANS - scans + 1)
    filler = bytes(2**20 - 1 - many.index(b"\xff\xda") % 2**20)
    path.write_bytes(filler + many)
    with pytest.raises(Undecodable, match="50 scans"):
        header.check_whole(path, "image/jpeg")

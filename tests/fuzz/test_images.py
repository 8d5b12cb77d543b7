"""Pictures that are nearly good: taken or refused by their own error, within their bounds."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from objectclassification.classification import images
from objectclassification.classification.header import check_whole, probe
from objectclassification.errors import ImageError
from tests.fuzz.pictures import anything, mutated, seeds, split
from tests.fuzz.settings import fuzz
from tests.serving import Served

MAX_PIXELS = 500_000
"""Enough for every seed; little enough that no example takes memory or time."""

# Pillow warns of what it can still read; the children's standard error is where that goes.
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("pictures") / "picture"


def test_the_seeds_are_good_and_whole() -> None:
    for name, picture in seeds().items():
        assert b"".join(split(picture)) == picture, name
        assert len(split(picture)) > 1, name
        image, info = images.decode(picture, min_short=8, max_pixels=MAX_PIXELS)
        assert (info.width, info.height) == (64, 48), name
        assert image.mode == "RGB", name


@fuzz(700)
@given(data=anything())
def test_the_servers_look(file: Path, data: bytes) -> None:
    file.write_bytes(data)
    try:
        info = probe(file, max_pixels=MAX_PIXELS)
        check_whole(file, info.media_type)
    except ImageError as exc:
        assert "\n" not in exc.detail
        return
    assert 0 < info.width * info.height <= MAX_PIXELS
    assert probe(data, max_pixels=MAX_PIXELS) == info


NO_PALETTE = b"".join(part for part in split(seeds()["png-palette"]) if part[4:8] != b"PLTE")


@fuzz(700)
@example(data=NO_PALETTE, min_short=8)
@given(data=mutated(), min_short=st.sampled_from((1, 8, 256)))
def test_the_childs_decoding(data: bytes, min_short: int) -> None:
    try:
        image, info = images.decode(data, min_short=min_short, max_pixels=MAX_PIXELS)
    except ImageError:
        return
    assert image.mode == "RGB"
    assert image.width * image.height <= MAX_PIXELS
    assert info == probe(data, max_pixels=MAX_PIXELS)
    small = images.shrink(image)
    assert max(small.size) <= images.THUMBNAIL_SIDE
    assert probe(images.to_jpeg(small)).media_type == "image/jpeg"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with Served(tmp_path_factory.mktemp("fuzzed") / "data", max_pixels=MAX_PIXELS) as served:
        yield served
        served.settle()
        ready = served.call("GET", "/readyz", token="")
        assert ready.status_code == 200, ready.text
        rows = served.rows()
        assert rows["renditions"] == len(served.files())


@fuzz(120)
@given(data=anything(), form=st.booleans())
def test_the_whole_way(server: Served, data: bytes, form: bool) -> None:
    body = {"files": {"file": ("a.jpg", data)}} if form else {"data": data}
    answer = server.call("PUT", "/snippets/1", **body)
    assert answer.status_code in (201, 413, 415, 422), answer.text

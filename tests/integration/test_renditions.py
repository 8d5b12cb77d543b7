"""The middle size of a picture: made when it is first asked for, once, and never larger than it."""

from __future__ import annotations

import asyncio
import io
import os
import signal
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from PIL import ExifTags, Image

from objectclassification.errors import Busy
from objectclassification.renditions import MOST_WAITING
from objectclassification.store.repair import repair
from tests.kinds import encoded, photograph
from tests.serving import Served, photo

LARGE = (1920, 1280)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server of its own, whose child may be stopped."""
    with Served(tmp_path_factory.mktemp("shop") / "data") as server:
        server.new_token("camera", "door")
        yield server


def large(mark: str, size: tuple[int, int] = LARGE) -> bytes:
    return encoded(photograph().resize(size), "JPEG") + mark.encode()


def put(server: Served, data: bytes, *, settled: bool = True, **query: Any) -> str:
    made = server.call("PUT", "/snippets/1", data=data, params=query)
    assert made.status_code == 201, made.text
    if settled:
        server.settle()
    return str(made.json()["id"])


def medium(server: Served, picture: str, **headers: str) -> Any:
    return server.call("GET", f"/api/pictures/{picture}/medium", headers=headers)


def size(answer: Any) -> tuple[int, int]:
    assert answer.status_code == 200, answer.text
    with Image.open(io.BytesIO(answer.content)) as image:
        image.load()
        return image.size


@pytest.fixture
def stopped(shop: Served) -> Iterator[int]:
    """The process id of the child, which does nothing meanwhile."""
    pool: Any = shop.parts.look.__self__  # type: ignore[attr-defined]
    (pid,) = pool.pids
    os.kill(pid, signal.SIGSTOP)
    yield pid
    os.kill(pid, signal.SIGCONT)
    shop.settle()


def test_it_is_made_when_it_is_asked_for_and_kept(shop: Served) -> None:
    picture = put(shop, large("kept"))
    before = shop.files()
    assert len(shop.call("GET", f"/api/pictures/{picture}").json()["renditions"]) == 2
    answer = medium(shop, picture)
    assert size(answer) == (1024, 683)
    assert answer.headers["content-type"] == "image/jpeg"
    assert "immutable" in answer.headers["Cache-Control"]
    (made,) = shop.files() - before
    known = shop.call("GET", f"/api/pictures/{picture}").json()["renditions"]["medium"]
    assert known["url"] == f"/api/pictures/{picture}/medium"
    assert answer.headers["ETag"] == f'"{known["sha256"]}"'
    assert (known["width"], known["height"], known["size_bytes"]) == (
        1024,
        683,
        len(answer.content),
    )
    assert medium(shop, picture).content == answer.content
    assert medium(shop, picture, **{"If-None-Match": answer.headers["ETag"]}).status_code == 304
    assert shop.files() - before == {made}


def test_many_at_once_make_one(shop: Served) -> None:
    picture = put(shop, large("many"))
    before = shop.files()
    with ThreadPoolExecutor(8) as people:
        answers = list(people.map(lambda _: medium(shop, picture), range(16)))
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.content for answer in answers}) == 1
    assert len(shop.files() - before) == 1


@pytest.mark.parametrize("side", [(640, 427), (1024, 2)])
def test_a_picture_that_is_no_larger_comes_as_it_is(shop: Served, side: tuple[int, int]) -> None:
    data = large(f"small {side}", side)
    answer = medium(shop, put(shop, data))
    assert answer.content == data
    assert "immutable" in answer.headers["Cache-Control"]


def test_it_is_upright(shop: Served) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    turned = photograph().resize(LARGE).transpose(Image.Transpose.ROTATE_90)
    assert size(medium(shop, put(shop, encoded(turned, "JPEG", exif=exif)))) == (1024, 683)


def test_of_an_animation_it_is_the_first_picture(shop: Served) -> None:
    first, red = photograph().resize(LARGE), Image.new("RGB", LARGE, "red")
    moving = encoded(first, "WEBP", save_all=True, append_images=[red], duration=100)
    answer = medium(shop, put(shop, moving))
    assert size(answer) == (1024, 683)
    with Image.open(io.BytesIO(answer.content)) as image:
        assert image.resize((1, 1)).getpixel((0, 0)) != (255, 0, 0)


def test_of_a_broken_picture_there_is_none(shop: Served) -> None:
    broken = bytearray(encoded(Image.new("RGB", LARGE, "red"), "PNG"))
    broken[100:-100] = b"\xff" * (len(broken) - 200)
    picture = put(shop, bytes(broken))
    answer = medium(shop, picture)
    assert (answer.status_code, answer.json()["code"]) == (422, "undecodable")
    assert "/image as it came" in answer.json()["detail"]
    assert shop.call("GET", f"/api/pictures/{picture}/image").content == broken


def test_until_it_is_classified_a_picture_comes_as_it_is(shop: Served, stopped: int) -> None:
    data = large("early")
    picture = put(shop, data, settled=False)
    answer = medium(shop, picture)
    assert (answer.status_code, answer.content) == (200, data)
    assert answer.headers["Cache-Control"] == "no-cache"
    os.kill(stopped, signal.SIGCONT)
    shop.settle()
    assert size(medium(shop, picture, **{"If-None-Match": answer.headers["ETag"]})) == (1024, 683)


def test_more_than_some_do_not_wait(shop: Served) -> None:
    picture = put(shop, large("busy"))
    pool: Any = shop.parts.look.__self__  # type: ignore[attr-defined]
    (pid,) = pool.pids

    async def ask() -> list[Any]:
        os.kill(pid, signal.SIGSTOP)
        try:
            asked = [
                asyncio.ensure_future(shop.parts.medium(picture)) for _ in range(MOST_WAITING + 2)
            ]
            await asyncio.wait(asked, return_when=asyncio.FIRST_COMPLETED)
        finally:
            os.kill(pid, signal.SIGCONT)
        return await asyncio.gather(*asked, return_exceptions=True)

    answers = shop.run(ask())
    assert sum(isinstance(answer, Busy) for answer in answers) == 2
    assert len({answer.key for answer in answers if not isinstance(answer, Busy)}) == 1


def test_the_cameras_own_is_taken(shop: Served) -> None:
    with shop.camera("door") as door:
        shop.call("POST", "/api/snaps", json={"to": ["door"], "deadline_s": 20})
        order = door.answer(large("own"))
        small = encoded(photograph().resize((800, 533)), "JPEG")
        door.upload(order, small, rendition="medium")
    shop.settle()
    (picture,) = shop.call("GET", f"/api/pictures?snap={order.id}").json()["pictures"]
    assert medium(shop, picture["id"]).content == small


def test_what_stands_in_for_the_full_one_is_not_kept(shop: Served) -> None:
    picture = put(shop, photo("alone"), rendition="thumbnail")
    for form in ("image", "medium"):
        answer = shop.call("GET", f"/api/pictures/{picture}/{form}")
        assert answer.content == photo("alone")
        assert answer.headers["Cache-Control"] == "no-cache"


def test_it_goes_with_its_picture(shop: Served) -> None:
    before = shop.files()
    picture = put(shop, large("gone"))
    put(shop, photo("in its place"))
    size(medium(shop, picture))
    assert len(shop.files() - before) == 5
    shop.call("POST", "/api/deletions", json={"pictures": [picture]})
    assert medium(shop, picture).status_code == 404


def test_a_full_disk_and_a_lost_file(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with Served(data) as server:
        picture = put(server, large("full disk"))
    with Served(data, disk_floor_bytes=2**60) as server:
        before = server.files()
        assert medium(server, picture).content == large("full disk")
        assert server.files() == before
    with Served(data) as server:
        size(medium(server, picture))
    with sqlite3.connect(data / "database.sqlite3") as database:
        ((key,),) = database.execute("SELECT id FROM renditions WHERE name = 'medium'").fetchall()
    (data / "blobs" / key[-2:] / key).unlink()
    assert [blob.id for blob in repair(data).lost] == [key]
    with Served(data) as server:
        assert size(medium(server, picture)) == (1024, 683)

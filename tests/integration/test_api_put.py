"""PUT: what comes in as an image, once, and shows in its slot."""

from __future__ import annotations

import hashlib
import io
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from typing import Any

import pytest
import requests
from PIL import Image

from objectclassification.messages import SnapOrder
from tests.photographs import CATS, CHELSEA, ROCKET
from tests.serving import WAIT_S, Served, photo

_marks = count()


@pytest.fixture
def slot(server: Served) -> int:
    """A slot of a camera that no other test uses."""
    made = server.call("POST", "/api/tokens", json={"role": "camera", "cameras": [_name()]}).json()
    cameras = {row["name"]: row for row in server.call("GET", "/api/cameras").json()}
    number: int = cameras[made["cameras"][0]]["snippet"]
    return number


@pytest.fixture
def image() -> bytes:
    """A photograph that no other test has sent."""
    return photo(f"put {next(_marks)}")


def _name() -> str:
    return f"put-{next(_marks)}"


def put(
    server: Served, slot: int, image: Any, key: str | None = None, **query: Any
) -> requests.Response:
    headers = {} if key is None else {"Idempotency-Key": key}
    return server.call("PUT", f"/snippets/{slot}/", data=image, headers=headers, params=query)


def as_webp(image: bytes) -> bytes:
    with Image.open(io.BytesIO(image)) as opened, io.BytesIO() as buffer:
        opened.save(buffer, "WEBP", quality=80)
        return buffer.getvalue()


def history(server: Served, slot: int) -> list[Any]:
    pictures = server.call("GET", "/api/pictures", params={"limit": 200}).json()["pictures"]
    return [picture for picture in pictures if picture["snippet"] == slot]


@pytest.mark.parametrize("end", ["", "/"])
@pytest.mark.parametrize(
    "headers",
    [{}, {"Content-Type": "{type}"}, {"Content-Type": "application/octet-stream"}],
    ids=["no type", "its type", "octets"],
)
@pytest.mark.parametrize(
    ("content", "media_type", "size"),
    [
        (ROCKET.read_bytes(), "image/jpeg", (640, 427)),
        (CHELSEA.read_bytes(), "image/png", (451, 300)),
        (as_webp(CHELSEA.read_bytes()), "image/webp", (451, 300)),
    ],
    ids=["jpeg", "png", "webp"],
)
def test_a_raw_image(
    server: Served,
    slot: int,
    end: str,
    headers: dict[str, str],
    content: bytes,
    media_type: str,
    size: tuple[int, int],
) -> None:
    sent = {name: value.format(type=media_type) for name, value in headers.items()}
    answer = server.call("PUT", f"/snippets/{slot}{end}", data=content, headers=sent)
    assert answer.status_code == 201, answer.text
    full = answer.json()["renditions"]["full"]
    assert full["sha256"] == hashlib.sha256(content).hexdigest()
    assert (full["media_type"], full["size_bytes"]) == (media_type, len(content))
    assert (full["width"], full["height"]) == size
    stored = server.call("GET", full["url"])
    assert (stored.content, stored.headers["content-type"]) == (content, media_type)


@pytest.mark.parametrize("end", ["", "/"])
@pytest.mark.parametrize("field", ["file", "image"])
def test_the_one_file_of_a_form(
    server: Served, slot: int, image: bytes, end: str, field: str
) -> None:
    files = {field: ("opencv_frame_0.jpg", image, "image/jpeg")}
    answer = server.call("PUT", f"/snippets/{slot}{end}", files=files, data={"note": "x"})
    assert answer.status_code == 201, answer.text
    assert answer.json()["renditions"]["full"]["sha256"] == hashlib.sha256(image).hexdigest()


def test_a_form_larger_than_memory_holds(server: Served, slot: int) -> None:
    with io.BytesIO() as buffer:
        Image.effect_noise((1600, 1200), 90).save(buffer, "PNG")
        content = buffer.getvalue()
    assert len(content) > 2**20  # then it goes through a file
    answer = server.call("PUT", f"/snippets/{slot}", files={"file": ("noise.png", content)})
    assert answer.status_code == 201, answer.text
    assert server.call("GET", f"/snippets/{slot}/image").content == content


def test_a_chunked_body(server: Served, slot: int, image: bytes) -> None:
    answer = put(server, slot, (image[n : n + 5000] for n in range(0, len(image), 5000)))
    assert answer.status_code == 201, answer.text
    assert answer.json()["renditions"]["full"]["size_bytes"] == len(image)


def test_the_same_key_and_bytes_are_the_same_picture(
    server: Served, slot: int, image: bytes
) -> None:
    first, again = (put(server, slot, image, "key") for _ in range(2))
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json()["id"] == again.json()["id"]
    assert len(history(server, slot)) == 1


def test_the_same_key_with_other_bytes_is_refused(server: Served, slot: int, image: bytes) -> None:
    first = put(server, slot, image, "key")
    server.settle()
    before = server.files()
    other = put(server, slot, image + b".", "key")
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
    assert server.files() == before
    assert [picture["id"] for picture in history(server, slot)] == [first.json()["id"]]


@pytest.mark.parametrize("other", [{"snap": "another"}, {"snap": None}, {"rendition": "small"}])
def test_the_same_key_for_something_else_is_refused(
    server: Served, slot: int, image: bytes, other: dict[str, str | None]
) -> None:
    first = put(server, slot, image, "key", snap="a-snap")
    server.settle()
    before = server.files()
    answer = put(server, slot, image, "key", **{"snap": "a-snap", **other})
    assert (answer.status_code, answer.json()["code"]) == (422, "idempotency_key_reused")
    assert "another snap or rendition" in answer.json()["detail"]
    assert server.files() == before
    assert [picture["id"] for picture in history(server, slot)] == [first.json()["id"]]


def test_without_a_key_each_is_a_picture(server: Served, slot: int, image: bytes) -> None:
    ids = {put(server, slot, image).json()["id"] for _ in range(3)}
    assert len(ids) == len(history(server, slot)) == 3


def test_twins_at_the_same_time_are_one_picture(server: Served, slot: int, image: bytes) -> None:
    start = threading.Barrier(8)

    def send(_: int) -> requests.Response:
        start.wait(WAIT_S)
        return put(server, slot, image, "twins")

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(send, range(8)))
    assert sorted(answer.status_code for answer in answers) == [200] * 7 + [201]
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert len(history(server, slot)) == 1
    server.settle()
    stored = {path.rpartition("/")[2] for path in server.files()}
    assert len(stored) == server.rows()["renditions"]  # no twin left its blob


def test_a_twin_overtakes_one_whose_body_is_slow(server: Served, slot: int, image: bytes) -> None:
    arrived, go_on = threading.Event(), threading.Event()

    def slow() -> Iterator[bytes]:
        yield image[:1000]
        arrived.set()
        assert go_on.wait(WAIT_S)
        yield image[1000:]

    with ThreadPoolExecutor(1) as pool:
        late = pool.submit(put, server, slot, slow(), "twins")
        assert arrived.wait(WAIT_S)
        first = put(server, slot, image, "twins")
        go_on.set()
        second = late.result(WAIT_S)
    assert (first.status_code, second.status_code) == (201, 200)
    assert first.json()["id"] == second.json()["id"]


def test_a_late_one_never_replaces_the_newer_one(server: Served, slot: int, image: bytes) -> None:
    newer = put(server, slot, image, age_ms=100).json()
    late = put(server, slot, image, age_ms=60_000).json()
    assert server.call("GET", f"/snippets/{slot}").json()["picture"]["id"] == newer["id"]
    assert late["captured_at"] < newer["captured_at"]
    assert {picture["id"] for picture in history(server, slot)} == {newer["id"], late["id"]}
    newest = put(server, slot, image).json()
    assert server.call("GET", f"/snippets/{slot}").json()["picture"]["id"] == newest["id"]
    every = {row["number"]: row for row in server.call("GET", "/snippets").json()}
    assert every[slot]["picture"]["id"] == newest["id"]


def test_where_its_time_comes_from(server: Served, slot: int, image: bytes) -> None:
    told = put(server, slot, image, age_ms=0).json()
    assert told["captured_from"] == "age"
    assert told["captured_uncertainty_ms"] >= 0
    untold = put(server, slot, image).json()
    assert (untold["captured_from"], untold["captured_uncertainty_ms"]) == ("arrival", None)
    assert untold["captured_at"] == untold["received_at"]


def test_a_thumbnail_first_and_the_full_one_later_are_one_picture(
    server: Served, image: bytes
) -> None:
    with server.camera(_name()) as camera, ThreadPoolExecutor(1) as pool:
        (name,) = camera.places
        slot = camera.places[name].snippet
        snap = pool.submit(
            server.call, "POST", "/api/snaps?wait=1", json={"to": [name], "until": "classified"}
        )
        order = camera.hear(SnapOrder)
        with Image.open(io.BytesIO(image)) as opened, io.BytesIO() as buffer:
            opened.thumbnail((160, 160))
            opened.save(buffer, "JPEG")
            small = buffer.getvalue()
        first = put(server, slot, small, "small", snap=order.id, rendition="thumbnail").json()
        assert list(first["renditions"]) == ["thumbnail"]
        assert server.call("GET", f"/snippets/{slot}/image").content == small
        receipt = snap.result(WAIT_S).json()
        second = put(server, slot, image, "full", snap=order.id).json()
    assert receipt["shots"][0]["picture"]["id"] == first["id"] == second["id"]
    assert receipt["answered"] == 1
    picture = server.call("GET", f"/api/pictures/{first['id']}").json()
    assert set(picture["renditions"]) == {"full", "thumbnail"}
    assert server.call("GET", f"/api/pictures/{first['id']}/image").content == image
    assert server.call("GET", f"/api/pictures/{first['id']}/thumbnail").content == small
    assert server.call("GET", f"/snippets/{slot}/image").content == image
    assert len(history(server, slot)) == 1


def test_the_server_makes_the_thumbnail_that_the_camera_did_not_send(
    server: Served, slot: int, image: bytes
) -> None:
    made = put(server, slot, image).json()
    assert server.call("GET", f"/api/pictures/{made['id']}/thumbnail").status_code in (200, 404)
    server.settle()
    answer = server.call("GET", f"/api/pictures/{made['id']}/thumbnail")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/jpeg")
    with Image.open(io.BytesIO(answer.content)) as thumbnail:
        assert thumbnail.size == (320, 214)


def test_a_picture_is_classified(server: Served, slot: int) -> None:
    made = put(server, slot, CHELSEA.read_bytes()).json()
    assert (made["state"], made["predictions"], made["model"]) == ("queued", [], None)
    server.settle()
    picture = server.call("GET", f"/snippets/{slot}").json()["picture"]
    assert picture["id"] == made["id"]
    assert picture["state"] == "classified"
    assert picture["predictions"][0]["label"] in CATS
    scores = [prediction["score"] for prediction in picture["predictions"]]
    assert scores == sorted(scores, reverse=True)
    assert len(scores) == 5
    assert set(picture["model"]) == {"id", "sha256"}


def test_what_expects_100_continue_gets_it_only_for_a_body_that_is_wanted(
    server: Served, slot: int, image: bytes
) -> None:
    def ask(token: str) -> bytes:
        with socket.create_connection(("127.0.0.1", server.port), timeout=WAIT_S) as raw:
            raw.sendall(
                f"PUT /snippets/{slot} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n"
                f"Content-Length: {len(image)}\r\nExpect: 100-continue\r\n\r\n".encode()
            )
            return raw.recv(1000)

    assert server.token
    assert ask(server.token).startswith(b"HTTP/1.1 100 ")
    assert ask("wrong").startswith(b"HTTP/1.1 401 ")


@pytest.mark.parametrize(
    ("short", "long"),
    [
        ("age_ms=1000", "age_ms=1e3"),
        ("snap=s-1&rendition=full", "snap=s%2D1"),
        ("rendition=thumbnail", "rendition=thumbnail&unknown=1"),
        ("", "&"),
    ],
)
def test_the_short_way_and_the_long_way_are_one(
    server: Served, slot: int, image: bytes, short: str, long: str
) -> None:
    """What is plainly right goes past the router; it must make no difference."""
    answers = []
    for query in (short, long):
        made = server.call("PUT", f"/snippets/{slot}?{query}", data=image)
        assert made.status_code == 201
        picture = made.json()
        renditions = {
            name: (one["sha256"], one["size_bytes"]) for name, one in picture["renditions"].items()
        }
        answers.append((picture["snap"], picture["captured_from"], renditions, picture["camera"]))
    assert answers[0] == answers[1]


@pytest.mark.parametrize(
    "query", ["age_ms=-1", "age_ms=", "age_ms=1&age_ms=x", "snap=a/b", "rendition=FULL", "snap="]
)
def test_a_bad_parameter_is_named(server: Served, slot: int, image: bytes, query: str) -> None:
    refused = server.call("PUT", f"/snippets/{slot}?{query}", data=image)
    assert refused.status_code == 422
    assert query.partition("=")[0] in refused.json()["detail"]


def test_two_idempotency_keys_are_refused(server: Served, slot: int) -> None:
    body, port = photo(), server.port
    head = (
        f"PUT /snippets/{slot} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: image/jpeg\r\n"
        f"Authorization: Bearer {server.token}\r\nContent-Length: {len(body)}\r\n"
        "Idempotency-Key: one\r\nIdempotency-Key: two\r\nConnection: close\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", port), timeout=WAIT_S) as sock:
        sock.sendall(head.encode() + body)
        assert sock.recv(4096).startswith(b"HTTP/1.1 422 ")

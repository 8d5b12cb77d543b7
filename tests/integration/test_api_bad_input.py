"""Bad input over HTTP: a clear problem each time, and nothing left of it."""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Iterator
from typing import Any

import pytest

from tests.photographs import CHELSEA, ROCKET
from tests.serving import Served, photo

MIB = 2**20
PNG = CHELSEA.read_bytes()
JPEG = ROCKET.read_bytes()


def png_header(width: int, height: int) -> bytes:
    """A PNG that says it has that size, and ends as one should."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")


def chunked(content: bytes) -> Iterator[bytes]:
    """The content without a Content-Length."""
    for start in range(0, len(content), MIB):
        yield content[start : start + MIB]


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server that is never given anything good."""
    with Served(tmp_path_factory.mktemp("clean") / "data") as served:
        served.new_token("camera", "door")
        yield served


@pytest.fixture(scope="module")
def yard(clean: Served) -> str:
    """Another camera's token."""
    return clean.new_token("camera", "yard")


@pytest.fixture(autouse=True)
def nothing_is_left(clean: Served, yard: str) -> Iterator[None]:
    before = clean.rows()
    yield
    assert clean.files() == set()
    assert clean.rows() == before
    assert before["pictures"] == before["jobs"] == before["shots"] == 0


def check(answer: Any, status: int, code: str, says: str) -> None:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert (problem["status"], problem["code"]) == (status, code)
    assert says in problem["detail"]
    assert "\n" not in problem["detail"]
    assert problem["title"]


@pytest.mark.parametrize(
    ("content", "headers", "status", "code", "says"),
    [
        pytest.param(b"GIF89a" + bytes(100), {}, 415, "not_an_image", "not a PNG", id="gif"),
        pytest.param(b"hello", {}, 415, "not_an_image", "not a PNG", id="text"),
        pytest.param(bytes(5000), {}, 415, "not_an_image", "not a PNG", id="zeros"),
        pytest.param(b"", {}, 422, "undecodable", "empty", id="empty"),
        pytest.param(PNG[: len(PNG) // 2], {}, 422, "undecodable", "cut short", id="half a PNG"),
        pytest.param(PNG[:-5], {}, 422, "undecodable", "cut short", id="a PNG less its end"),
        pytest.param(PNG[:20], {}, 422, "undecodable", "broken", id="a PNG's first bytes"),
        pytest.param(JPEG[: len(JPEG) // 2], {}, 422, "undecodable", "cut short", id="half a JPEG"),
        pytest.param(JPEG[:10], {}, 422, "undecodable", "broken", id="a JPEG's first bytes"),
        pytest.param(
            b"RIFF\xff\xff\xff\x00WEBPVP8 " + bytes(100), {}, 422, "undecodable", "", id="no WebP"
        ),
        pytest.param(
            png_header(60_000, 60_000),
            {},
            413,
            "too_many_pixels",
            "60000 x 60000",
            id="60,000 squared",
        ),
        pytest.param(png_header(0, 10), {}, 422, "undecodable", "", id="no pixels"),
        pytest.param(bytes(33 * MIB), {}, 413, "too_large", "32 MiB", id="33 MiB"),
        pytest.param(
            JPEG,
            {"Content-Type": "image/gif"},
            415,
            "not_an_image",
            "image/gif is not an image type we take",
            id="wrong content type",
        ),
        pytest.param(
            JPEG,
            {"Content-Type": "application/json"},
            415,
            "not_an_image",
            "application/json",
            id="not an image type",
        ),
        pytest.param(
            JPEG,
            {"Content-Type": "image/png"},
            415,
            "not_an_image",
            "declared as image/png, but the bytes are image/jpeg",
            id="another type than declared",
        ),
        pytest.param(
            JPEG,
            {"Content-Type": "multipart/form-data"},
            422,
            "bad_request",
            "form",
            id="no boundary",
        ),
        pytest.param(
            b"--x\r\nrubbish",
            {"Content-Type": "multipart/form-data; boundary=x"},
            422,
            "bad_request",
            "form",
            id="a broken form",
        ),
        pytest.param(
            b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.jpg"\r\n\r\n' + JPEG,
            {"Content-Type": "multipart/form-data; boundary=x"},
            422,
            "bad_request",
            "form",
            id="a form without an end",
        ),
    ],
)
@pytest.mark.parametrize("length", ["known", "chunked"])
def test_a_body(
    clean: Served,
    content: bytes,
    headers: dict[str, str],
    status: int,
    code: str,
    says: str,
    length: str,
) -> None:
    body: Any = content if length == "known" else chunked(content)
    check(clean.call("PUT", "/snippets/1/", data=body, headers=headers), status, code, says)
    assert clean.call("GET", "/snippets/1/").json()["picture"] is None


@pytest.mark.parametrize(
    ("files", "status", "code"),
    [
        ({}, 422, "bad_request"),
        ({"a": ("a.jpg", JPEG), "b": ("b.jpg", JPEG)}, 422, "bad_request"),
        ({"a": ("a.jpg", b"")}, 422, "undecodable"),
        ({"a": ("a.jpg", b"hello")}, 415, "not_an_image"),
        ({"a": ("a.jpg", JPEG, "image/png")}, 415, "not_an_image"),
        ({"a": ("a.jpg", PNG[:-5])}, 422, "undecodable"),
        ({"a": ("a.jpg", bytes(33 * MIB))}, 413, "too_large"),
        ({"note": (None, "x" * 70_000), "a": ("a.jpg", JPEG)}, 422, "bad_request"),
        ({f"{number}": (None, "") for number in range(100_000)}, 422, "bad_request"),
    ],
    ids=[
        "no file",
        "two files",
        "empty",
        "no image",
        "another type",
        "cut short",
        "33 MiB",
        "a long field",
        "a hundred thousand fields",
    ],
)
def test_a_form(clean: Served, files: dict[str, Any], status: int, code: str) -> None:
    files = files or {"note": (None, "no file")}
    check(clean.call("PUT", "/snippets/1/", files=files), status, code, "")


@pytest.mark.parametrize("number", ["3", "0", "-1", str(2**31), str(2**63), "9" * 40])
def test_an_unknown_snippet(clean: Served, number: str) -> None:
    for method, path in (("PUT", ""), ("GET", ""), ("GET", "/image")):
        answer = clean.call(method, f"/snippets/{number}{path}", data=photo())
        check(answer, 404, "not_found", f"no snippet {number}")


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nothing", 404, "not_found"),
        ("GET", "/api/pictures/none", 404, "not_found"),
        ("GET", "/api/pictures/none/image", 404, "not_found"),
        ("GET", "/api/pictures/none/thumbnail", 404, "not_found"),
        ("GET", "/api/pictures/none/medium", 404, "not_found"),
        ("GET", "/api/pictures/%00%ff", 404, "not_found"),
        ("GET", "/api/snaps/none", 404, "not_found"),
        ("DELETE", "/api/snaps/none", 404, "not_found"),
        ("DELETE", "/api/tokens/none", 404, "not_found"),
        ("GET", "/snippets/1/image", 404, "not_found"),
        ("GET", "/snippets/one", 422, "bad_request"),
        ("POST", "/snippets/1", 405, "method_not_allowed"),
        ("PUT", "/snippets", 405, "method_not_allowed"),
    ],
)
def test_an_address(clean: Served, method: str, path: str, status: int, code: str) -> None:
    check(clean.call(method, path), status, code, "")


@pytest.mark.parametrize(
    "query",
    [
        "age_ms=-1",
        "age_ms=nan",
        "age_ms=inf",
        "age_ms=1e300",
        "age_ms=soon",
        "snap=",
        "snap=a/b",
        "snap=" + "x" * 65,
        "rendition=",
        "rendition=../full",
        "rendition=FULL",
        "rendition=" + "x" * 33,
    ],
)
def test_a_query_of_a_put(clean: Served, query: str) -> None:
    answer = clean.call("PUT", f"/snippets/1/?{query}", data=photo())
    check(answer, 422, "bad_request", query.partition("=")[0])


@pytest.mark.parametrize("value", ["nan", "inf", "-inf"])
def test_what_is_no_number_is_said_to_be_none(clean: Served, value: str) -> None:
    put = clean.call("PUT", f"/snippets/1/?age_ms={value}", data=photo())
    history = clean.call("GET", f"/api/pictures?min_score={value}")
    for answer in (put, history):
        check(answer, 422, "bad_request", "finite number")


@pytest.mark.parametrize("key", ["", "k" * 257])
def test_a_key_of_a_put(clean: Served, key: str) -> None:
    headers = {"Idempotency-Key": key}
    answer = clean.call("PUT", "/snippets/1/", data=photo(), headers=headers)
    check(answer, 422, "bad_request", "idempotency-key")


@pytest.mark.parametrize(
    "query",
    [
        "min_score=2",
        "min_score=nan",
        "since=yesterday",
        "limit=0",
        "limit=201",
        "cursor=" + "x" * 65,
    ],
)
def test_a_query_of_the_history(clean: Served, query: str) -> None:
    answer = clean.call("GET", f"/api/pictures?{query}")
    check(answer, 422, "bad_request", query.partition("=")[0])


@pytest.mark.parametrize("at", ["0001-01-01T00:00:00", "9999-12-31T23:59:59Z", "1e400", "-9e15"])
def test_times_at_the_end_of_the_world(clean: Served, at: str) -> None:
    for name in ("since", "until"):
        answer = clean.call("GET", "/api/pictures", params={name: at})
        assert answer.status_code in (200, 422), answer.text


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ("", "not a whole JSON object"),
        ('{"to": ["door"', "not a whole JSON object"),
        ("[]", "Expected"),
        ("{}", "to"),
        ('{"to": []}', "length"),
        ('{"to": "door"}', "Expected `array`"),
        ('{"to": ["a/b"]}', "matching regex"),
        ('{"to": ["../door"]}', "matching regex"),
        ('{"to": ["door\\n"]}', "matching regex"),
        ('{"to": ["door"], "deadline_s": 0}', "deadline_s"),
        ('{"to": ["door"], "deadline_s": 1e9}', "deadline_s"),
        ('{"to": ["door"], "until": "printed"}', "until"),
        ('{"to": ["door"], "id": "a b"}', "id"),
        ('{"to": ["door"], "context": "x"}', "context"),
        ('{"to": ["door"], "context": {"x": "' + "y" * 3000 + '"}}', "context has 3"),
        ('{"to": ["door"], "context": {"x": ' + "[" * 20 + "]" * 20 + "}}", "nested deeper"),
        ('{"to": ["door"], "context": {"x": ' + "[" * 20_000 + "]" * 20_000 + "}}", "nested"),
        ('{"to": ["door"], "context": {"x": "\\ud800"}}', ""),
        ('{"to": ["door"], "context": {"x": NaN}}', "not a whole JSON object"),
        ("{" * 30_000, ""),
        ("\xff", ""),
    ],
)
def test_a_snap(clean: Served, body: str, says: str) -> None:
    answer = clean.call("POST", "/api/snaps", data=body.encode("latin-1"))
    check(answer, 422, "bad_message", says)


def test_a_snap_that_is_too_long(clean: Served) -> None:
    answer = clean.call("POST", "/api/snaps", data=json.dumps({"to": ["x" * 70_000]}))
    check(answer, 413, "too_large", "65536 bytes")


@pytest.mark.parametrize("to", [["window"], ["door", "window"], ["@nobody"]])
def test_a_snap_to_nobody(clean: Served, to: list[str]) -> None:
    check(clean.call("POST", "/api/snaps", json={"to": to}), 404, "not_found", to[-1].strip("@"))


def test_context_is_searched_by_pairs(clean: Served) -> None:
    check(clean.call("GET", "/api/snaps?context=order"), 422, "bad_message", "key=value")


def test_no_token_and_a_wrong_one(clean: Served) -> None:
    for token in ("", "wrong", "oc_" + "x" * 43):
        answer = clean.call("PUT", "/snippets/1/", data=photo(), token=token)
        check(answer, 401, "unauthorized", "token")


def test_another_cameras_snippet(clean: Served, yard: str) -> None:
    answer = clean.call("PUT", "/snippets/1", data=photo(), token=yard)
    check(answer, 403, "forbidden", "snippet 1")

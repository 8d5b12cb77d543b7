"""The history: pages by key, filters, images that never change."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.photographs import CHELSEA, COFFEE, ROCKET
from tests.serving import Served, photo

HOUR_MS = 3_600_000


@pytest.fixture(scope="module")
def past(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server with six classified pictures: three photographs by each of two cameras."""
    with Served(tmp_path_factory.mktemp("past") / "data") as served:
        for number, name in enumerate(("door", "yard"), 1):
            served.new_token("camera", name)
            for hours, file in enumerate((CHELSEA, COFFEE, ROCKET)):
                made = served.call(
                    "PUT",
                    f"/snippets/{number}",
                    data=file.read_bytes(),
                    params={"age_ms": hours * HOUR_MS},
                )
                assert made.status_code == 201, made.text
        served.settle()
        yield served


def history(server: Served, **query: Any) -> list[Any]:
    answer = server.call("GET", "/api/pictures", params=query)
    assert answer.status_code == 200, answer.text
    pictures: list[Any] = answer.json()["pictures"]
    return pictures


def test_newest_first(past: Served) -> None:
    ids = [picture["id"] for picture in history(past)]
    assert len(ids) == 6
    assert ids == sorted(ids, reverse=True)
    assert all(picture["state"] == "classified" for picture in history(past))


def test_by_camera(past: Served) -> None:
    assert {picture["camera"] for picture in history(past, camera="door")} == {"door"}
    assert len(history(past, camera="door")) == 3
    assert history(past, camera="window") == []


def test_by_label_and_score(past: Served) -> None:
    best = history(past, camera="door", until="9999-01-01T00:00:00Z")[0]["predictions"][0]
    label, score = best["label"], best["score"]
    found = history(past, label=label)
    assert {picture["camera"] for picture in found} == {"door", "yard"}
    assert all(label in {p["label"] for p in picture["predictions"]} for picture in found)
    assert len(history(past, label=label, min_score=score - 0.01)) == 2
    assert history(past, label=label, min_score=min(1.0, score + 0.01)) == []
    assert history(past, label="unicorn") == []
    scores = sorted(picture["predictions"][0]["score"] for picture in history(past))
    assert len(history(past, min_score=scores[-1] - 1e-6)) == 2


def test_by_time(past: Served) -> None:
    by_time = sorted(history(past, camera="door"), key=lambda picture: str(picture["captured_at"]))
    middle = by_time[1]["captured_at"]
    since = history(past, camera="door", since=middle)
    until = history(past, camera="door", until=middle)
    assert {picture["id"] for picture in since} == {picture["id"] for picture in by_time[1:]}
    assert [picture["id"] for picture in until] == [by_time[0]["id"]]
    # A time without a zone is UTC, whatever the server's own zone is.
    assert history(past, camera="door", since=middle.removesuffix("Z")) == since


def test_all_filters_at_once(past: Served) -> None:
    one = history(past, camera="yard")[0]
    query = {"label": one["predictions"][0]["label"], "camera": "yard", "min_score": 0.01}
    found = history(past, since=one["captured_at"], **query)
    assert one["id"] in {picture["id"] for picture in found}


def test_pages_hold_while_pictures_arrive(past: Served) -> None:
    before = [picture["id"] for picture in history(past)]
    found: list[str] = []
    cursor: str | None = None
    for _ in range(10):
        query = {"limit": 2} | ({"cursor": cursor} if cursor else {})
        page = past.call("GET", "/api/pictures", params=query).json()
        found += [picture["id"] for picture in page["pictures"]]
        past.call("PUT", "/snippets/2", data=photo(f"meanwhile {len(found)}"))
        if (cursor := page["cursor"]) is None:
            break
    past.settle()
    assert found == before


@pytest.mark.parametrize("form", ["image", "thumbnail"])
def test_an_image_never_changes(past: Served, form: str) -> None:
    picture = history(past, camera="door")[0]
    path = f"/api/pictures/{picture['id']}/{form}"
    answer = past.call("GET", path)
    name = {"image": "full"}.get(form, form)
    assert answer.headers["ETag"] == f'"{picture["renditions"][name]["sha256"]}"'
    assert "immutable" in answer.headers["Cache-Control"]
    assert "private" in answer.headers["Cache-Control"]
    assert int(answer.headers["Content-Length"]) == len(answer.content)
    assert picture["renditions"][name]["url"] == path
    for known in (answer.headers["ETag"], f'"x", W/{answer.headers["ETag"]}', "*"):
        again = past.call("GET", path, headers={"If-None-Match": known})
        assert (again.status_code, again.content) == (304, b"")
        assert again.headers["ETag"] == answer.headers["ETag"]
    other = past.call("GET", path, headers={"If-None-Match": '"x"'})
    assert (other.status_code, other.content) == (200, answer.content)


def test_a_part_of_an_image(past: Served) -> None:
    picture = history(past, camera="door")[0]
    path = f"/api/pictures/{picture['id']}/image"
    whole = past.call("GET", path).content
    part = past.call("GET", path, headers={"Range": "bytes=10-19"})
    assert (part.status_code, part.content) == (206, whole[10:20])


def test_head_is_get_without_its_body(past: Served) -> None:
    path = history(past)[0]["renditions"]["full"]["url"]
    head, whole = past.call("HEAD", path), past.call("GET", path)
    assert head.status_code == 200
    assert head.content == b""
    for name in ("Content-Length", "ETag", "Content-Type"):
        assert head.headers[name] == whole.headers[name]


def test_a_slots_image_changes(past: Served) -> None:
    first = past.call("GET", "/snippets/1/image")
    assert first.headers["Cache-Control"] == "no-cache"
    known = {"If-None-Match": first.headers["ETag"]}
    assert past.call("GET", "/snippets/1/image", headers=known).status_code == 304
    past.call("PUT", "/snippets/1", data=photo("newer"))
    past.settle()
    newer = past.call("GET", "/snippets/1/image", headers=known)
    assert (newer.status_code, newer.content) == (200, photo("newer"))


def test_another_rendition(past: Served) -> None:
    picture = history(past, camera="door")[0]
    path = f"/api/pictures/{picture['id']}/image"
    assert past.call("GET", path, params={"rendition": "thumbnail"}).status_code == 200
    missing = past.call("GET", path, params={"rendition": "poster"})
    assert (missing.status_code, missing.json()["code"]) == (404, "not_found")


def test_the_page_shows_the_cameras_and_needs_no_other_host(past: Served) -> None:
    page = past.call("GET", "/")
    assert page.status_code == 200
    assert page.headers["content-type"].startswith("text/html")
    assert "door" in page.text
    assert "yard" in page.text
    assert "default-src 'none'" in page.headers["Content-Security-Policy"]
    for answer in (page, past.call("GET", "/api/cameras")):
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Referrer-Policy"] == "same-origin"


def test_metrics(past: Served) -> None:
    page = past.call("GET", "/metrics")
    assert page.headers["content-type"].startswith("text/plain")
    lines = dict(line.rsplit(" ", 1) for line in page.text.splitlines() if not line.startswith("#"))
    assert float(lines["objectclassification_pictures_stored_total"]) >= 6
    assert float(lines['objectclassification_pictures_processed_total{outcome="classified"}']) >= 6
    assert float(lines['objectclassification_cameras{state="online"}']) == 0

"""The history as a whole: its filters, counts, scores and files, and deleting with an undo."""

from __future__ import annotations

import csv
import io
import json
import time
import zipfile
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, TypeVar

import pytest

from objectclassification.errors import NotFound
from objectclassification.housekeeping import Housekeeper
from objectclassification.messages import Event, Hello, Watch, Welcome, encode
from objectclassification.store import deletions, snippets, tables
from objectclassification.store.retention import Policy
from objectclassification.store.writer import Database, Work
from tests.browser.site import jpeg
from tests.photographs import CHELSEA
from tests.serving import WAIT_S, Served, hear, photo

T = TypeVar("T")
DAY_S = 86_400


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """With the cameras door and yard, of which yard is in the group outside."""
    with Served(tmp_path_factory.mktemp("history") / "data") as served:
        served.new_token("camera", "door", "yard")
        served.run(
            served.parts.database.write(
                lambda c: snippets.register(c, "yard", at=time.time(), groups=("outside",))
            )
        )
        yield served


@pytest.fixture(scope="module")
def stored(server: Served) -> list[dict[str, Any]]:
    """Three of door, one a day, and one of yard; oldest first."""
    made = [
        put(server, "door", age_ms=2 * DAY_S * 1000),
        put(server, "door", age_ms=DAY_S * 1000),
        put(server, "door"),
        put(server, "yard", snap="of-yard"),
    ]
    server.settle()
    return [server.call("GET", f"/api/pictures/{one['id']}").json() for one in made]


def put(server: Served, camera: str, image: bytes | None = None, **query: Any) -> dict[str, Any]:
    slots = {one["name"]: one["snippet"] for one in server.call("GET", "/api/cameras").json()}
    made = server.call("PUT", f"/snippets/{slots[camera]}", data=image or photo(), params=query)
    assert made.status_code == 201, made.text
    answer: dict[str, Any] = made.json()
    return answer


def ids(server: Served, query: str = "") -> list[str]:
    answer = server.call("GET", f"/api/pictures{query}")
    assert answer.status_code == 200, answer.text
    return [one["id"] for one in answer.json()["pictures"]]


class TestFilters:
    def test_a_group_is_its_cameras(self, server: Served, stored: list[dict[str, Any]]) -> None:
        assert ids(server, "?group=outside") == [stored[3]["id"]]
        assert ids(server, "?group=nowhere") == []

    def test_a_snap_is_its_pictures(self, server: Served, stored: list[dict[str, Any]]) -> None:
        assert ids(server, "?snap=of-yard") == [stored[3]["id"]]

    def test_days_are_counted_in_the_readers_zone(
        self, server: Served, stored: list[dict[str, Any]]
    ) -> None:
        days = server.call("GET", "/api/pictures/counts?camera=door").json()
        assert [day["day"] for day in days] == [one["captured_at"][:10] for one in stored[:3]]
        label = stored[0]["predictions"][0]["label"]
        assert [day["labels"] for day in days] == [{label: 1}] * 3
        for zone_min in (-840, 840):
            query = f"?camera=door&zone_min={zone_min}"
            there = server.call("GET", f"/api/pictures/counts{query}").json()
            zone = timezone(timedelta(minutes=zone_min))
            captured = [datetime.fromisoformat(one["captured_at"]) for one in stored[:3]]
            assert [day["day"] for day in there] == [
                f"{at.astimezone(zone):%Y-%m-%d}" for at in captured
            ]

    def test_more_than_a_year_is_not_counted(self, server: Served) -> None:
        answer = server.call("GET", "/api/pictures/counts?since=2001-01-01T00:00:00Z")
        assert (answer.status_code, answer.json()["code"]) == (422, "bad_message")

    def test_scores_come_in_pages(self, server: Served, stored: list[dict[str, Any]]) -> None:
        best = stored[0]["predictions"][0]
        seen, query = [], f"?label={best['label']}&camera=door&limit=2"
        first = server.call("GET", f"/api/pictures/scores{query}").json()
        assert "cursor" in first, first
        rest = server.call("GET", f"/api/pictures/scores{query}&cursor={first['cursor']}").json()
        seen = first["scores"] + rest["scores"]
        assert [one["picture"] for one in seen] == [one["id"] for one in reversed(stored[:3])]
        assert [one["score"] for one in seen] == [best["score"]] * 3
        assert rest["cursor"] is None
        assert server.call("GET", "/api/pictures/scores").status_code == 422


class TestExport:
    def test_a_zip_has_the_images_and_all_that_is_known(
        self, server: Served, stored: list[dict[str, Any]]
    ) -> None:
        answer = server.call("GET", "/api/pictures/export?format=zip&camera=door")
        assert answer.headers["content-disposition"].startswith('attachment; filename="pictures-')
        with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
            assert archive.testzip() is None
            manifest = json.loads(archive.read("manifest.json"))
            known = {one["id"]: one for one in manifest["pictures"]}
            assert list(known) == [one["id"] for one in reversed(stored[:3])]
            for one in stored[:3]:
                file = known[one["id"]].pop("file")
                assert known[one["id"]] == server.call("GET", f"/api/pictures/{one['id']}").json()
                assert archive.read(file) == photo()
            assert len(archive.namelist()) == 4

    def test_what_is_named_is_what_comes(
        self, server: Served, stored: list[dict[str, Any]]
    ) -> None:
        named = [stored[3]["id"], stored[0]["id"], "nobody"]
        answer = server.call(
            "GET", "/api/pictures/export", params={"format": "csv", "picture": named}
        )
        rows = list(csv.DictReader(io.StringIO(answer.content.decode("utf-8-sig"))))
        assert [row["picture"] for row in rows] == named[:2]
        assert rows[0]["camera"] == "yard"
        assert rows[0]["sha256"] == stored[3]["renditions"]["full"]["sha256"]
        assert float(rows[0]["score"]) == stored[3]["predictions"][0]["score"]

    def test_an_image_whose_file_is_gone_is_said_to_be(self, server: Served) -> None:
        made = put(server, "door", photo("soon gone"))
        server.settle()
        (key,) = [
            key
            for key in server.files()
            if (server.settings.data / "blobs" / key).read_bytes() == photo("soon gone")
        ]
        (server.settings.data / "blobs" / key).unlink()
        answer = server.call("GET", f"/api/pictures/export?format=zip&picture={made['id']}")
        with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
            (line,) = json.loads(archive.read("manifest.json"))["pictures"]
        assert (line["id"], line["file"]) == (made["id"], None)
        server.call("POST", "/api/deletions", json={"pictures": [made["id"]]})

    def test_coco_has_boxes_in_pixels(self, server: Served) -> None:
        assert server.call("PATCH", "/api/cameras/yard", json={"detect": True}).status_code == 200
        made = put(server, "yard", jpeg(CHELSEA))
        server.settle()
        server.call("PATCH", "/api/cameras/yard", json={"detect": False})
        query = f"?format=coco&picture={made['id']}"
        coco = server.call("GET", f"/api/pictures/export{query}").json()
        (image,) = coco["images"]
        full = made["renditions"]["full"]
        assert (image["width"], image["height"]) == (full["width"], full["height"])
        names = {one["id"]: one["name"] for one in coco["categories"]}
        known = server.call("GET", f"/api/pictures/{made['id']}").json()
        boxes = [one for one in known["predictions"] if one.get("box")]
        assert len(coco["annotations"]) == len(boxes) > 0
        for found, box in zip(coco["annotations"], boxes, strict=True):
            assert names[found["category_id"]] == box["label"]
            assert found["image_id"] == image["id"]
            left, top, right, bottom = box["box"]
            across, down = image["width"], image["height"]
            assert found["bbox"] == pytest.approx(
                [left * across, top * down, (right - left) * across, (bottom - top) * down],
                abs=0.01,
            )

    def test_a_cell_is_no_formula(self, server: Served, stored: list[dict[str, Any]]) -> None:
        one = f"/api/pictures/{stored[0]['id']}"
        server.call("PATCH", one, json={"labels": {"": "=1+1"}})
        answer = server.call("GET", f"/api/pictures/export?format=csv&picture={stored[0]['id']}")
        (row,) = csv.DictReader(io.StringIO(answer.content.decode("utf-8-sig")))
        assert row["labelled"] == "'=1+1"
        server.call("PATCH", one, json={"labels": {"": None}})

    def test_nothing_is_a_file_too(self, server: Served) -> None:
        empty = {
            kind: server.call("GET", f"/api/pictures/export?format={kind}&camera=none")
            for kind in ("zip", "csv", "coco")
        }
        with zipfile.ZipFile(io.BytesIO(empty["zip"].content)) as archive:
            assert json.loads(archive.read("manifest.json"))["pictures"] == []
        assert len(empty["csv"].text.splitlines()) == 1
        assert empty["coco"].json()["images"] == []


class TestLabels:
    def test_several_are_labelled_at_once_or_none(
        self, server: Served, stored: list[dict[str, Any]]
    ) -> None:
        some = [one["id"] for one in stored[:2]]
        said = {"labels": {"lid": "open"}}
        answer = server.call("PATCH", "/api/pictures", json={"pictures": [*some, "no"], **said})
        assert answer.status_code == 404
        assert server.call("GET", f"/api/pictures/{some[0]}").json()["labels"] == {}
        answer = server.call("PATCH", "/api/pictures", json={"pictures": some, **said})
        assert (answer.status_code, answer.json()) == (200, {"pictures": 2})
        assert [server.call("GET", f"/api/pictures/{one}").json()["labels"] for one in some] == [
            {"lid": "open"}
        ] * 2

    def test_who_watches_hears_of_it(self, server: Served, stored: list[dict[str, Any]]) -> None:
        with server.connect() as socket:
            socket.send(encode(Hello(role="controller", instance="watching")).decode())
            hear(socket, Welcome)
            socket.send(encode(Watch(topics=("pictures",))).decode())
            assert socket.ping().wait(WAIT_S)  # the hub has read what is to be watched
            one = stored[2]["id"]
            server.call("PATCH", f"/api/pictures/{one}", json={"labels": {"": "a cat"}})
            event = hear(socket, Event)
        assert (event.name, event.data) == ("labelled", {"pictures": [one], "said": {"": "a cat"}})


class TestDeletions:
    def test_what_is_deleted_is_nowhere_until_it_is_undone(self, server: Served) -> None:
        kept = put(server, "door", photo("kept"))
        made = put(server, "door", photo("deleted"))
        server.settle()
        one = made["id"]
        answer = server.call("POST", "/api/deletions", json={"pictures": [one, "gone before"]})
        assert (answer.status_code, answer.json()["pictures"]) == (201, 1)
        for path in ("", "/image", "/thumbnail", "/similar"):
            assert server.call("GET", f"/api/pictures/{one}{path}").status_code == 404
        label = server.call("PATCH", f"/api/pictures/{one}", json={"labels": {"": "x"}})
        assert label.status_code == 404
        assert one not in ids(server)
        near = server.call("GET", f"/api/pictures/{kept['id']}/similar").json()["similar"]
        assert one not in {found["picture"]["id"] for found in near}
        doors = {each["name"]: each for each in server.call("GET", "/api/cameras").json()}
        assert doors["door"]["picture"]["id"] == kept["id"]
        listed = server.call("GET", "/api/deletions").json()
        assert answer.json() in listed
        undo = server.call("DELETE", f"/api/deletions/{answer.json()['id']}")
        assert undo.status_code == 204
        assert server.call("GET", f"/api/pictures/{one}/image").content == photo("deleted")
        assert ids(server)[0] == one
        doors = {each["name"]: each for each in server.call("GET", "/api/cameras").json()}
        assert doors["door"]["picture"]["id"] == one
        assert server.call("DELETE", f"/api/deletions/{answer.json()['id']}").status_code == 404

    def test_a_camera_that_sends_it_again_is_told_that_it_is_taken(self, server: Served) -> None:
        slot = server.call("GET", "/api/cameras").json()[0]["snippet"]
        again: dict[str, Any] = {"data": photo("again"), "headers": {"Idempotency-Key": "again"}}
        made = server.call("PUT", f"/snippets/{slot}", **again).json()
        server.call("POST", "/api/deletions", json={"pictures": [made["id"]]})
        answer = server.call("PUT", f"/snippets/{slot}", **again)
        assert (answer.status_code, answer.json()["id"]) == (200, made["id"])

    def test_after_a_day_it_is_gone_for_good(self, tmp_path: Path) -> None:
        with Served(tmp_path / "data") as server:
            server.new_token("camera", "door")
            put(server, "door", photo("kept"))
            made = put(server, "door", photo("deleted"))
            server.settle()
            server.call("POST", "/api/deletions", json={"pictures": [made["id"]]})
            keeper = Housekeeper(
                server.parts.database, server.parts.blobs.delete, Policy(), lambda p, b: None
            )
            before = server.files()
            server.run(keeper.tidy())
            assert server.files() == before
            long_ago = time.time() - deletions.UNDO_S - 1
            server.run(
                server.parts.database.write(
                    lambda c: c.execute(tables.deletions.update().values(deleted_at=long_ago))
                )
            )
            server.run(keeper.tidy())
            assert len(before - server.files()) == 2  # the image, and its thumbnail
            rows = server.rows()
            assert (rows["pictures"], rows["renditions"], rows["deletions"]) == (1, 2, 0)
            assert server.call("GET", "/api/deletions").json() == []

    def test_what_is_undone_while_it_is_swept_stays(
        self, server: Served, stored: list[dict[str, Any]]
    ) -> None:
        one = stored[0]["id"]
        made = server.call("POST", "/api/deletions", json={"pictures": [one]}).json()["id"]
        database = server.parts.database
        long_ago = {"deleted_at": time.time() - deletions.UNDO_S - 1}
        server.run(database.write(lambda c: c.execute(tables.deletions.update().values(long_ago))))

        class UndoneFirst(Database):
            """The same database, with an undo just before each of the sweep's transactions."""

            def __init__(self) -> None:
                self.read = database.read  # type: ignore[method-assign]

            async def write(self, work: Work[T]) -> T:
                with suppress(NotFound):
                    await database.write(lambda c: deletions.undo(c, made))
                return await database.write(work)

        keeper = Housekeeper(
            UndoneFirst(), server.parts.blobs.delete, Policy(), lambda pictures, size: None
        )
        server.run(keeper.tidy())
        assert server.call("GET", f"/api/pictures/{one}/image").status_code == 200

    @pytest.mark.parametrize("wanted", [{}, {"pictures": []}, {"pictures": ["x"] * 1001}])
    def test_what_cannot_be_meant_deletes_nothing(self, wanted: Any, server: Served) -> None:
        assert server.call("POST", "/api/deletions", json=wanted).status_code == 422
        assert server.call("POST", "/api/deletions", json={"pictures": ["x"]}).status_code == 404

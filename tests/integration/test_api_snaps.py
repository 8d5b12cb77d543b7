"""Snaps over HTTP: receipts, live and stored, and who is there."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from objectclassification.messages import ShotReport, Sleep, SnapOrder, failure
from tests.serving import WAIT_S, CameraLink, Served, photo, until


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(4) as pool:
        yield pool


@pytest.fixture
def door(server: Served) -> Iterator[CameraLink]:
    """A camera that is online."""
    with server.camera("snap-door") as camera:
        yield camera


def snap(server: Served, *, wait: bool = False, **request: Any) -> Any:
    query = "?wait=1" if wait else ""
    answer = server.call("POST", f"/api/snaps{query}", json={"to": ["snap-door"], **request})
    assert answer.status_code in (200, 202), answer.text
    assert (answer.status_code == 200) == answer.json()["done"]
    return answer.json()


def stored(server: Served, snap_id: str) -> Any:
    answer = server.call("GET", f"/api/snaps/{snap_id}")
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_a_snap_end_to_end(server: Served, door: CameraLink, pool: ThreadPoolExecutor) -> None:
    waiting = pool.submit(snap, server, wait=True, context={"order": 4711, "serial": "A/1"})
    order = door.hear(SnapOrder)
    assert 0 < order.deadline_s <= 10
    for state in ("delivered", "captured"):
        freshness: Any = "proven" if state == "captured" else None
        door.say(
            ShotReport(
                snap=order.id,
                camera=order.camera,
                state=state,
                camera_ms={state: 5.0},
                freshness=freshness,
            )
        )
    slot = door.places["snap-door"].snippet
    made = server.call(
        "PUT", f"/snippets/{slot}", data=photo("end to end"), params={"snap": order.id}
    ).json()
    receipt = waiting.result(WAIT_S)
    assert (receipt["done"], receipt["answered"], receipt["failed"]) == (True, 1, 0)
    assert receipt["context"] == {"order": 4711, "serial": "A/1"}
    (shot,) = receipt["shots"]
    assert (shot["state"], shot["freshness"], shot["error"]) == ("classified", "proven", None)
    assert shot["picture"]["id"] == made["id"]
    assert server.call("GET", shot["picture"]["url"]).content == photo("end to end")
    times = [shot["elapsed_ms"][s] for s in ("delivered", "captured", "uploaded", "classified")]
    assert times == sorted(times)
    assert receipt["elapsed_ms"] >= times[-1]
    assert shot["camera_ms"] == {"delivered": 5.0, "captured": 5.0}
    # What was answered live is what is stored.
    assert stored(server, receipt["snap"]) == receipt
    picture = server.call("GET", f"/api/pictures/{made['id']}").json()
    assert picture["snap"] == receipt["snap"]
    assert picture["predictions"] == shot["predictions"]


def test_without_waiting_the_receipt_is_open(server: Served, door: CameraLink) -> None:
    receipt = snap(server, until="uploaded")
    assert (receipt["done"], receipt["elapsed_ms"]) == (False, None)
    assert [shot["state"] for shot in receipt["shots"]] == ["requested"]
    live = stored(server, receipt["snap"])
    assert not live["done"]
    door.answer(photo("open"))
    # The same request with the same id waits for the same snap.
    ended = snap(server, wait=True, id=receipt["snap"], until="uploaded")
    assert (ended["answered"], ended["shots"][0]["state"]) == (1, "uploaded")


def test_the_same_id_is_the_same_snap(
    server: Served, door: CameraLink, pool: ThreadPoolExecutor
) -> None:
    first = snap(server, id="same-id", until="uploaded")
    again = snap(server, id="same-id", until="uploaded")
    assert first["snap"] == again["snap"] == "same-id"
    waiting = pool.submit(snap, server, wait=True, id="same-id", until="uploaded")
    door.answer(photo("same id"))
    receipt = waiting.result(WAIT_S)
    assert receipt["answered"] == 1
    assert snap(server, id="same-id", until="uploaded") == receipt  # also once it has ended
    other = server.call("POST", "/api/snaps", json={"to": ["snap-door"], "id": "same-id"})
    assert (other.status_code, other.json()["code"]) == (409, "conflict")


def test_a_failure_is_typed(server: Served, door: CameraLink, pool: ThreadPoolExecutor) -> None:
    waiting = pool.submit(snap, server, wait=True)
    order = door.hear(SnapOrder)
    error = failure("dark", "the lens is covered")
    door.say(ShotReport(snap=order.id, camera="snap-door", state="failed", error=error))
    receipt = waiting.result(WAIT_S)
    assert (receipt["answered"], receipt["failed"], receipt["missing"]) == (0, 1, 0)
    assert receipt["shots"][0]["error"] == {"code": "dark", "detail": "the lens is covered"}
    assert stored(server, receipt["snap"]) == receipt


def test_a_camera_that_does_not_answer_is_missing(server: Served, door: CameraLink) -> None:
    receipt = snap(server, wait=True, deadline_s=0.2)
    assert (receipt["answered"], receipt["failed"], receipt["missing"]) == (0, 0, 1)
    assert receipt["shots"][0]["error"]["code"] == "timeout"
    assert stored(server, receipt["snap"]) == receipt
    # Its picture comes after all: it is kept, and the answer stays what it was.
    door.answer(photo("late"))
    late = stored(server, receipt["snap"])
    assert (late["missing"], late["shots"][0]["error"]["code"]) == (1, "timeout")


def test_a_camera_that_is_away_is_offline(server: Served) -> None:
    server.new_token("camera", "snap-away")
    receipt = snap(server, wait=True, to=["snap-away"])
    assert (receipt["missing"], receipt["shots"][0]["error"]["code"]) == (1, "offline")
    assert stored(server, receipt["snap"]) == receipt


def test_cancel(server: Served, door: CameraLink) -> None:
    receipt = snap(server)
    answer = server.call("DELETE", f"/api/snaps/{receipt['snap']}")
    assert answer.status_code == 200
    ended = answer.json()
    assert (ended["done"], ended["failed"]) == (True, 1)
    assert ended["shots"][0]["error"]["code"] == "cancelled"
    again = server.call("DELETE", f"/api/snaps/{receipt['snap']}")
    assert (again.status_code, again.json()) == (200, ended)


def test_another_ones_snap_is_cancelled_by_an_admin_only(
    server: Served, tokens: dict[str, str], door: CameraLink
) -> None:
    receipt = snap(server)
    path = f"/api/snaps/{receipt['snap']}"
    assert server.call("DELETE", path, token=tokens["operator"]).status_code == 403
    assert not stored(server, receipt["snap"])["done"]
    assert server.call("DELETE", path, token=tokens["admin"]).status_code == 200


def test_by_context(server: Served) -> None:
    server.new_token("camera", "snap-away")
    for number in range(3):
        context = {"batch": "B-7", "number": number, "nested": {"deep": [1, 2]}}
        snap(server, wait=True, to=["snap-away"], context=context)

    def find(*pairs: str) -> list[int]:
        answer = server.call("GET", "/api/snaps", params={"context": pairs})
        return [receipt["context"]["number"] for receipt in answer.json()["snaps"]]

    assert find("batch=B-7") == [2, 1, 0]
    assert find("batch=B-7", "number=1") == [1]
    assert find("batch=B-8") == []
    assert find("batch=") == []


def test_pages_of_receipts(server: Served) -> None:
    server.new_token("camera", "snap-away")
    made = [
        snap(server, wait=True, to=["snap-away"], context={"pages": True})["snap"] for _ in range(5)
    ]
    found: list[str] = []
    cursor: str | None = None
    while True:
        query: dict[str, Any] = {"context": "pages=true", "limit": 2, "cursor": cursor}
        page = server.call("GET", "/api/snaps", params=query).json()
        found += [receipt["snap"] for receipt in page["snaps"]]
        snap(server, wait=True, to=["snap-away"], context={"pages": True})
        if (cursor := page["cursor"]) is None:
            break
    assert found == made[::-1]


def test_who_is_there(server: Served) -> None:
    def look() -> Any:
        every = server.call("GET", "/api/cameras").json()
        return {camera["name"]: camera for camera in every}["snap-roof"]

    server.new_token("camera", "snap-roof")
    assert (look()["online"], look()["last_seen_at"], look()["picture"]) == (False, None, None)
    with server.camera("snap-roof") as camera:
        here = look()
        assert here["online"]
        assert here["last_seen_at"] is not None
        assert here["snippet"] == camera.places["snap-roof"].snippet
        made = server.call("PUT", f"/snippets/{here['snippet']}", data=photo("roof")).json()
        assert look()["picture"]["id"] == made["id"]
        camera.say(Sleep(camera="snap-roof", until=4e9))
    until(lambda: look()["sleeps_until_at"] is not None)
    assert (look()["online"], look()["sleeps_until_at"]) == (False, "2096-10-02T07:06:40.000Z")

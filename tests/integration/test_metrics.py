"""``/metrics`` of real servers: what happens is what it says."""

from __future__ import annotations

import socket
from pathlib import Path

import psutil
import pytest
from prometheus_client.parser import text_string_to_metric_families

from objectclassification.messages import ShotReport, SnapOrder
from tests.serving import Address, Served, photo, until

PREFIX = "objectclassification_"


def numbers(server: Address) -> dict[str, float]:
    """The page as numbers: names without the prefix, with their labels' values in brackets."""
    page = server.call("GET", "/metrics")
    assert page.status_code == 200
    assert page.headers["content-type"].startswith("text/plain; version=")
    return {
        "".join(
            [sample.name.removeprefix(PREFIX), *(f"[{value}]" for value in sample.labels.values())]
        ): sample.value
        for family in text_string_to_metric_families(page.text)
        for sample in family.samples
    }


@pytest.fixture
def own(tmp_path: Path) -> Served:
    """A server whose numbers are the test's own; use it in ``with``."""
    return Served(tmp_path / "data")


def test_a_snap_and_all_its_stages(own: Served) -> None:
    with own, own.camera("door") as camera:
        own.new_token("camera", "yard")  # registered, and never there
        ask = {"to": ["door", "yard"], "deadline_s": 20}
        started = own.call("POST", "/api/snaps", json=ask).json()
        order = camera.hear(SnapOrder)
        camera.say(ShotReport(snap=order.id, camera="door", state="delivered"))
        camera.say(ShotReport(snap=order.id, camera="door", state="captured"))
        number = camera.places["door"].snippet
        image = photo()
        put = own.call("PUT", f"/snippets/{number}/", data=image, params={"snap": order.id})
        assert put.status_code == 201
        until(lambda: own.call("GET", f"/api/snaps/{started['snap']}").json()["done"])
        found = numbers(own)
    assert found["snaps_total[partly]"] == 1
    assert found["snaps_total[answered]"] == found["snaps_total[none]"] == 0
    assert found["shots_total[answered]"] == found["shots_total[offline]"] == 1
    assert found["snap_duration_seconds_count"] == 1
    stages = ("delivered", "captured", "uploaded", "classified")
    counts = [found[f"shot_stage_seconds_count[{stage}]"] for stage in stages]
    sums = [found[f"shot_stage_seconds_sum[{stage}]"] for stage in stages]
    assert counts == [1, 1, 1, 1]
    assert sums == sorted(sums)
    assert found["http_put_duration_seconds_count"] == 1
    assert found["http_received_bytes_total"] == len(image)
    assert found["http_requests_total[PUT][201]"] == found["pictures_stored_total"] == 1
    assert found["pictures"] == 1
    assert found["picture_bytes"] > len(image)  # and a thumbnail
    assert found["pictures_processed_total[classified]"] == 1
    assert found["job_duration_seconds_count"] == found["child_step_seconds_count[infer]"] == 1
    assert found["commit_writes_sum"] >= found["commit_writes_count"] > 0
    assert (found["cameras[online]"], found["cameras[offline]"]) == (1, 1)
    assert (found["connections[camera]"], found["connections[plain]"]) == (1, 0)
    assert found["connections[http]"] >= 1  # this scrape
    assert found["websocket_received_bytes_total"] > 0 < found["websocket_sent_bytes_total"]
    assert found["disk_floor_bytes"] == own.settings.disk_floor_bytes
    assert found["database_up"] == 1
    assert found["process_resident_memory_bytes"] > 2**20 < found["children_resident_memory_bytes"]


def test_pictures_that_wait_and_children_that_die(own: Served) -> None:
    others = psutil.Process().children()
    with own:
        (child,) = set(psutil.Process().children()).difference(others)
        child.suspend()
        for mark in ("a", "b"):
            assert own.call("PUT", "/snippets/1", data=photo(mark)).status_code == 201
        until(lambda: numbers(own)["jobs[leased]"] == 1)
        waiting = numbers(own)
        assert (waiting["jobs[queued]"], waiting["jobs[leased]"]) == (1, 1)
        assert waiting["oldest_job_age_seconds"] > 0
        child.kill()
        own.settle()
        after = numbers(own)
    names = ("jobs[queued]", "jobs[leased]", "oldest_job_age_seconds")
    assert [after[name] for name in names] == [0, 0, 0]
    names = ("children", "children_started_total", "children_lost_total")
    assert [after[name] for name in names] == [1, 2, 1]


def test_a_camera_that_goes_is_counted(own: Served) -> None:
    with own:
        with own.camera("door"):
            assert numbers(own)["camera_disconnects_total[offline]"] == 0
        until(lambda: numbers(own)["camera_disconnects_total[offline]"] == 1)
        assert numbers(own)["cameras[offline]"] == 1


def test_who_shows_no_token_is_counted(own: Served) -> None:
    with own, own.connect(), socket.create_connection(("127.0.0.1", own.port)):
        until(lambda: numbers(own)["connections[unauthenticated]"] == 1)
        assert numbers(own)["connections[plain]"] == 1


def test_anything_else_is_one_method(own: Served) -> None:
    with own:
        for method in ("OPTIONS", "PROPFIND", "TRACE"):
            own.call(method, "/healthz")
        found = numbers(own)
    assert found["http_requests_total[other][405]"] == 3
    assert not any("TRACE" in name for name in found)


def test_a_page_comes_without_the_database(own: Served) -> None:
    with own:
        file = own.settings.data / "database.sqlite3"
        own.run(own.parts.database.read(lambda c: c.exec_driver_sql("PRAGMA cache_size=0")))
        file.with_name(file.name + "-wal").write_bytes(b"")
        file.write_bytes(b"no database" * 10_000)
        found = numbers(own)
    assert found["database_up"] == 0
    assert "jobs[queued]" not in found
    assert "disk_free_bytes" in found

"""Somebody sets a clock an hour ahead or back, on the server or on the camera: nothing breaks.

Real programs, each with a wall clock of its own (:mod:`tests.clocks`).
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import psutil
import pytest

from tests.camera_process import CameraProcess
from tests.clocks import WallClock
from tests.gate import Gate
from tests.integration.cameras.servers import ffmpeg_mjpeg
from tests.parts import require
from tests.photographs import ROCKET
from tests.serving import ServeProcess, photo, until
from tests.wire import Wire

pytestmark = [pytest.mark.faults, pytest.mark.debian]

HOUR_S = 3600
SANE_MS = 60_000
"""No stage here takes this long, and none an hour."""
Where = Literal["server", "camera"]


class Place:
    """A server, and a camera program with a live stream and a slow helper."""

    def __init__(self, home: Path, server: ServeProcess, wire: Wire, gate: Gate) -> None:
        self.home = home
        self.server = server
        self.wire = wire
        self.gate = gate
        self.clocks: dict[Where, WallClock] = {}
        self._number = 0

    def snap(self, *to: str) -> str:
        self._number += 1
        snap_id = f"clock-{self._number}"
        asked = {"id": snap_id, "to": to, "deadline_s": 25}
        assert self.server.call("POST", "/api/snaps", json=asked).status_code == 202
        return snap_id

    def receipt(self, snap_id: str) -> dict[str, Any]:
        found: dict[str, Any] = self.server.call("GET", f"/api/snaps/{snap_id}").json()
        return found

    def answered(self, snap_id: str) -> list[str]:
        """Waits for the end; returns the pictures."""
        until(lambda: bool(self.receipt(snap_id)["done"]))
        receipt = self.receipt(snap_id)
        assert receipt["answered"] == len(receipt["shots"]), receipt
        assert 0 < receipt["elapsed_ms"] < SANE_MS
        for shot in receipt["shots"]:
            times = [*shot["elapsed_ms"].values(), *shot["camera_ms"].values()]
            assert all(0 <= took_ms < SANE_MS for took_ms in times), shot
            assert shot["freshness"] == "estimated", shot
            assert shot["predictions"], shot
        return [shot["picture"]["id"] for shot in receipt["shots"]]

    def check_age(self, picture_id: str) -> None:
        """It was taken a moment before it came, whatever either clock says."""
        picture = self.server.call("GET", f"/api/pictures/{picture_id}").json()
        captured, received = (
            datetime.fromisoformat(picture[name]) for name in ("captured_at", "received_at")
        )
        assert picture["captured_from"] == "age"
        assert 0 <= (received - captured).total_seconds() * 1000 < SANE_MS, picture

    def shown(self, slot: int) -> str:
        """The picture that a slot shows."""
        return str(self.server.call("GET", f"/snippets/{slot}/").json()["picture"]["id"])


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    require("faketime")
    require("ffmpeg")
    home = tmp_path_factory.mktemp("clocks")
    for name in ("server", "camera"):
        (home / name).mkdir()
    clocks: dict[Where, WallClock] = {
        "server": WallClock(home / "server"),
        "camera": WallClock(home / "camera"),
    }
    gate = Gate(home, ROCKET)
    with (
        ffmpeg_mjpeg() as stream,
        ServeProcess(home / "server", **clocks["server"].environment) as server,
        Wire(server.port) as wire,
    ):
        (home / "camera" / "cameras.toml").write_text(
            f'[[cameras]]\nname = "live"\nsource = "{stream}"\n'
            f"[[cameras]]\nname = \"slow\"\nsource = '''{gate.source}'''\n"
        )
        login = (home / "camera", wire.url, server.token, "--config", "cameras.toml")
        with CameraProcess(*login, environment=clocks["camera"].environment) as camera:
            camera.line("live is ready")
            camera.line("slow is ready")
            place = Place(home, server, wire, gate)
            place.clocks = clocks
            yield place
        assert "Traceback" not in camera.errors
    assert "Traceback" not in server.errors


@pytest.mark.parametrize("ahead_s", [HOUR_S, -HOUR_S])
@pytest.mark.parametrize("where", ["server", "camera"])
def test_a_clock_is_set_in_the_middle_of_a_snap(place: Place, where: Where, ahead_s: int) -> None:
    place.answered(place.snap("live"))
    snap_id = place.snap("live", "slow")
    place.gate.entered()
    place.wire.hold_puts()
    place.gate.release()
    slow = {"camera": "slow", "state": "captured"}
    until(lambda: slow.items() <= place.receipt(snap_id)["shots"][1].items())
    place.clocks[where].set(ahead_s)  # a picture waits in the spool
    place.wire.cut()  # so that its age is asked for anew
    place.wire.release()
    for picture in place.answered(snap_id):
        place.check_age(picture)

    snap_id = place.snap("live", "slow")
    place.gate.entered()
    off_s = ahead_s if where == "server" else 0
    assert abs(ahead(place.receipt(snap_id)["accepted_at"]) - off_s) < 60
    place.clocks[where].set(0)  # before the exposure
    place.gate.release()
    pictures = place.answered(snap_id)
    for picture in pictures:
        place.check_age(picture)
    assert [place.shown(1), place.shown(2)] == pictures
    newest = place.server.call("GET", "/api/pictures?limit=2").json()["pictures"]
    assert {each["id"] for each in newest} == set(pictures)


def test_the_clocks_of_both_disagree_and_a_report_says_so(place: Place) -> None:
    place.clocks["camera"].set(-HOUR_S)
    try:
        report = place.server.call("GET", "/api/cameras/live/report").json()
    finally:
        place.clocks["camera"].set(0)
    assert abs(report["clock_offset_ms"] / 1000 + HOUR_S) < 5, report


@pytest.mark.parametrize("ahead_s", [HOUR_S, -HOUR_S])
def test_a_lease_neither_runs_out_nor_stays_for_ever(tmp_path: Path, ahead_s: int) -> None:
    require("faketime")
    clock = WallClock(tmp_path)
    with ServeProcess(tmp_path, OBJECTCLASSIFICATION_WORKERS="2", **clock.environment) as server:
        first = server.call("PUT", "/snippets/1/", data=photo("first")).json()["id"]
        state(server, first, "classified")
        children = psutil.Process(server.process.pid).children()
        for child in children:
            child.suspend()
        second = server.call("PUT", "/snippets/1/", data=photo("second")).json()["id"]
        until(lambda: leased(server) == 1)
        clock.set(ahead_s)
        made = server.call("PUT", "/snippets/1/", data=photo("third")).json()
        assert abs(ahead(made["received_at"]) - ahead_s) < 60
        third = made["id"]
        for child in children:
            child.resume()
        for picture in (second, third):
            assert len(state(server, picture, "classified")["predictions"]) == 5
        assert server.call("GET", "/snippets/1/").json()["picture"]["id"] == third
    assert "Traceback" not in server.errors


@pytest.mark.parametrize("ahead_s", [HOUR_S, -HOUR_S])
def test_a_server_that_wakes_at_another_hour(tmp_path: Path, ahead_s: int) -> None:
    """Sessions, tokens and pictures stay; what was open when it was killed ends in its time."""
    require("faketime")
    clock = WallClock(tmp_path)
    more = {"OBJECTCLASSIFICATION_KEEP_DAYS": "1", **clock.environment}
    with ServeProcess(tmp_path, **more) as server:
        camera = server.new_token("camera", "door")
        viewer = server.new_token("viewer")
        made = server.call("PUT", "/snippets/1/", data=photo("before")).json()["id"]
        state(server, made, "classified")
        headers = {"Origin": server.url}
        fields = {"token": viewer, "next": "/"}
        signed = server.call("POST", "/signin", token="", data=fields, headers=headers)
        cookie = signed.headers["Set-Cookie"].partition(";")[0]
        with server.camera("door", token=camera):
            asked = {"id": "open", "to": ["door"], "deadline_s": 8}
            assert server.call("POST", "/api/snaps", json=asked).status_code == 202
            (child,) = psutil.Process(server.process.pid).children()
            child.suspend()
            waits = server.call("PUT", "/snippets/1/", data=photo("waits")).json()["id"]
            until(lambda: leased(server) == 1)
            server.process.kill()
            server.process.wait()
    clock.set(ahead_s)
    port = ("--port", str(server.port))
    with ServeProcess(tmp_path, *port, **more) as again:
        until(lambda: bool(again.call("GET", "/api/snaps/open").json()["done"]))
        receipt = again.call("GET", "/api/snaps/open").json()
        assert (receipt["answered"], receipt["failed"], receipt["missing"]) == (0, 0, 1)
        assert 0 <= receipt["elapsed_ms"] < SANE_MS, receipt
        state(again, waits, "classified")  # its lease was an hour long, or over
        listed = again.call("GET", "/api/pictures", token=viewer).json()["pictures"]
        assert {each["id"] for each in listed} == {made, waits}
        signed_in = again.call("GET", "/api/pictures", token="", headers={"Cookie": cookie})
        assert signed_in.status_code == 200
        made_now = again.call("PUT", "/snippets/1/", data=photo("now")).json()
        assert abs(ahead(made_now["received_at"]) - ahead_s) < 60
        assert again.call("GET", "/snippets/1/").json()["picture"]["id"] == made_now["id"]
    assert "Traceback" not in again.errors


def ahead(told: str) -> float:
    """By how many seconds a time that was just told is ahead of the true one."""
    return datetime.fromisoformat(told).timestamp() - time.time()


def state(server: ServeProcess, picture_id: str, wanted: str) -> dict[str, Any]:
    """Waits until a picture is in a state; returns it."""
    path = f"/api/pictures/{picture_id}"
    until(lambda: server.call("GET", path).json()["state"] == wanted)
    found: dict[str, Any] = server.call("GET", path).json()
    return found


def leased(server: ServeProcess) -> int:
    """How many jobs are with a child."""
    text = server.call("GET", "/metrics").text
    wanted = 'objectclassification_jobs{state="leased"}'
    (line,) = [line for line in text.splitlines() if line.startswith(wanted)]
    return round(float(line.split()[1]))

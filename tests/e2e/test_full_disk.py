"""Full disks: a server and a camera program on small file systems of their own.

Nothing half-written stays, what is there can be read, and all goes on by itself once there is room.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from objectclassification.capture import Spool
from objectclassification.client.delivery import LANES
from objectclassification.errors import CaptureError
from tests.camera_process import CameraProcess
from tests.integration.cameras.servers import free_port
from tests.integration.test_spool import taken
from tests.parts import require
from tests.photographs import ROCKET
from tests.serving import SERVE, WAIT_S, Served, ServeProcess, photo, until
from tests.wire import Wire

pytestmark = pytest.mark.debian

PAGE = 4096
"""What tmpfs gives out at a time."""
MIB = 2**20


class Disk:
    """A small file system, and a file that fills it.

    Attributes:
        folder: where it is mounted.
        home: of a server whose data folder it is. Its log is elsewhere: on the full disk its lines
            would be lost, and tests read them.
    """

    def __init__(self, home: Path) -> None:
        self.home = home
        self.folder = home / "data"
        self._ballast = self.folder / "ballast"

    @property
    def free_bytes(self) -> int:
        state = os.statvfs(self.folder)
        return state.f_bavail * state.f_frsize

    def fill(self, but_bytes: int = 0) -> None:
        """Takes what is free, except for whole pages of so many bytes."""
        but_pages = -(-but_bytes // PAGE)
        with self._ballast.open("ab", buffering=0) as file, suppress(OSError):
            while (pages := self.free_bytes // PAGE - but_pages) > 0:
                file.write(bytes(pages * PAGE))

    def free(self) -> None:
        """Makes room again."""
        self._ballast.unlink()


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    require("mount")
    disk = Disk(tmp_path / "home")
    disk.folder.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "none", disk.folder], check=True)
    try:
        yield disk
    finally:
        subprocess.run(["umount", "--lazy", disk.folder], check=True)


def put(server: ServeProcess, mark: str, **query: Any) -> tuple[int, dict[str, Any]]:
    """PUTs a picture of its own; returns the status and what was answered."""
    answer = server.call("PUT", "/snippets/1/", data=photo(mark), params=query)
    return answer.status_code, answer.json()


def snap(server: ServeProcess, **more: Any) -> tuple[int, dict[str, Any]]:
    """Snaps to whatever is there; returns the status and the receipt or the problem."""
    answer = server.call("POST", "/api/snaps", json={"to": ["door"], "deadline_s": 5, **more})
    return answer.status_code, answer.json()


def classified(server: ServeProcess, picture: dict[str, Any]) -> None:
    """Waits until a picture has its labels."""
    path = f"/api/pictures/{picture['id']}"
    until(lambda: server.call("GET", path).json()["state"] == "classified")


def blobs(server: ServeProcess) -> set[Path]:
    """Every file in the blobs' folder, those that are arriving included."""
    return {path for path in (server.data / "blobs").rglob("*") if path.is_file()}


def check_reads(server: ServeProcess, picture: dict[str, Any]) -> None:
    """What is there can be read: the list, the picture, its bytes."""
    listed = server.call("GET", "/api/pictures").json()["pictures"]
    assert picture["id"] in [each["id"] for each in listed]
    assert server.call("GET", picture["renditions"]["full"]["url"]).content == photo("before")


def test_a_first_start_without_room_says_so_and_leaves_nothing(disk: Disk) -> None:
    (disk.folder / "lock").touch()
    disk.fill()
    found = subprocess.run(
        [*SERVE, "--port", "0", "--data", disk.folder],
        capture_output=True,
        text=True,
        timeout=WAIT_S,
        env={**os.environ, "HOME": str(disk.home)},
    )
    assert "error: the disk is full" in found.stderr
    assert "Traceback" not in found.stderr
    assert {path.name for path in disk.folder.iterdir()} == {"lock", "ballast"}


def test_below_its_floor_the_server_refuses_and_reads_on(disk: Disk) -> None:
    floor = {"OBJECTCLASSIFICATION_DISK_FLOOR_BYTES": str(4 * MIB)}
    with ServeProcess(disk.home, **floor) as server:
        status, picture = put(server, "before")
        assert status == 201
        classified(server, picture)
        before = blobs(server)
        disk.fill(but_bytes=4 * MIB)
        status, problem = put(server, "refused")
        assert (status, problem["code"]) == (507, "disk_full")
        assert blobs(server) == before
        check_reads(server, picture)
        disk.fill(but_bytes=4 * MIB - PAGE)
        ready = server.call("GET", "/readyz")
        assert ready.status_code == 503
        assert ready.json()["detail"].startswith("disk: ")
        disk.free()
        assert server.call("GET", "/readyz").status_code == 200
        status, picture = put(server, "after")
        assert status == 201
        classified(server, picture)


def test_a_disk_that_really_fills_leaves_nothing_half_written(disk: Disk) -> None:
    """No floor: the blob's own write fails, then the database's commit."""
    with ServeProcess(disk.home, OBJECTCLASSIFICATION_DISK_FLOOR_BYTES="0") as server:
        server.new_token("camera", "door")
        status, picture = put(server, "before")
        assert status == 201
        classified(server, picture)
        before = blobs(server)
        size = len(photo("during"))

        for room in (0, PAGE, size - PAGE):  # not even a page, one, all but the end
            disk.fill(but_bytes=room)
            status, problem = put(server, "during")
            assert (status, problem["code"]) == (507, "disk_full")
            assert blobs(server) == before
            check_reads(server, picture)
            disk.free()

        disk.fill(but_bytes=size)  # the blob fits, and its row does not
        key = {"Idempotency-Key": "the same"}
        refused = server.call("PUT", "/snippets/1/", data=photo("during"), headers=key)
        assert (refused.status_code, refused.json()["code"]) == (507, "disk_full")
        assert blobs(server) == before
        check_reads(server, picture)
        disk.fill()
        status, problem = snap(server)
        assert (status, problem["code"]) == (507, "disk_full")
        ready = server.call("GET", "/readyz")
        assert ready.status_code == 503
        assert "database: " in ready.json()["detail"]
        disk.free()
        assert server.call("GET", "/readyz").status_code == 200

        made = server.call("PUT", "/snippets/1/", data=photo("during"), headers=key)
        assert made.status_code == 201
        classified(server, made.json())
        assert server.call("GET", "/api/snaps").json()["snaps"] == []
        assert len(blobs(server)) == len(before) + 2  # the picture and its thumbnail
    assert "Traceback" not in server.errors


@pytest.mark.long
def test_what_was_begun_before_the_disk_was_full_ends_after_it(disk: Disk, tmp_path: Path) -> None:
    """A picture's labels and a snap's end are written once there is room; nobody starts anew."""
    with ServeProcess(disk.home, OBJECTCLASSIFICATION_DISK_FLOOR_BYTES="0") as server:
        token = server.new_token("camera", "door")
        with server.camera("door", token=token) as camera:
            status, _ = snap(server, deadline_s=5.0)  # until then the disk has to be full
            assert status == 202
            (child,) = psutil.Process(server.process.pid).children()
            child.suspend()  # so that its picture is under way until the disk is full
            order = camera.answer()
            # Before that its job would not be leased, and there would be no result to wait.
            until(lambda: leased(server) == 1)
            disk.fill()
            child.resume()
            path = f"/api/snaps/{order.id}"
            for late in ("a result waits for the database", "a snap's end is not written yet"):
                until(lambda late=late: late in server.errors)  # type: ignore[misc]
            disk.free()
            until(lambda: bool(server.call("GET", path).json()["done"]))
            (picture,) = server.call("GET", "/api/pictures").json()["pictures"]
            classified(server, picture)
            ended = server.call("GET", path).json()
            assert ended["answered"] + ended["failed"] + ended["missing"] == 1
            assert ended["shots"][0]["picture"]["id"] == picture["id"]
            assert ended["shots"][0]["predictions"] == picture_labels(server, picture)


def leased(server: ServeProcess) -> int:
    """How many jobs are with a child."""
    (line,) = [
        line
        for line in server.call("GET", "/metrics").text.splitlines()
        if line.startswith('objectclassification_jobs{state="leased"}')
    ]
    return round(float(line.split()[1]))


def picture_labels(server: ServeProcess, picture: dict[str, Any]) -> list[dict[str, Any]]:
    """A picture's predictions as they are now."""
    found: list[dict[str, Any]] = server.call("GET", f"/api/pictures/{picture['id']}").json()[
        "predictions"
    ]
    return found


def test_a_spool_on_a_full_disk_drops_expired_pictures_for_a_new_one(disk: Disk) -> None:
    size = 100 * PAGE
    with Spool(disk.folder / "spool") as spool:
        waits = spool.add(taken(bytes(size)), camera="door", upload="/", snap="s1", wanted_s=3600)
        expired = [
            spool.add(taken(bytes(size), age_s=9), camera="door", upload="/", snap="s2", wanted_s=5)
            for _ in range(2)
        ]
        disk.fill()  # one of them is room enough
        new = spool.add(taken(bytes(size)), camera="door", upload="/", snap="s3", wanted_s=3600)
        assert [item.number for item in spool.due()] == [
            waits.number,
            expired[1].number,
            new.number,
        ]
        assert spool.dropped == 1
        assert {path.suffix for path in (disk.folder / "spool").iterdir()} == {
            ".lock",
            ".jpg",
            ".json",
        }


def test_a_spool_that_another_fills_the_disk_of_fails_the_shot_and_keeps_what_it_has(
    disk: Disk,
) -> None:
    with Spool(disk.folder / "spool") as spool:
        items = [
            spool.add(taken(bytes(PAGE)), camera="door", upload="/", snap="s", wanted_s=3600)
            for _ in range(20)
        ]
        disk.fill()
        with pytest.raises(CaptureError, match="No space left"):
            spool.add(taken(bytes(40 * PAGE)), camera="door", upload="/", snap="s", wanted_s=3600)
        files = [path for path in (disk.folder / "spool").iterdir() if path.suffix != ".lock"]
        assert len(files) == 2 * len(spool) == 2 * (len(items) - spool.dropped)
        disk.free()
        spool.add(taken(bytes(40 * PAGE)), camera="door", upload="/", snap="s", wanted_s=3600)


def large() -> bytes:
    """A JPEG of some 500 kB: one with long comments (T.81, B.2.4.5) after its first marker."""
    small = ROCKET.read_bytes()
    comment = b"\xff\xfe" + (60_002).to_bytes(2, "big") + bytes(60_000)
    return small[:2] + 6 * comment + small[2:]


@pytest.mark.parametrize("saves", [False, True], ids=["not-saved", "saved-but-not-kept"])
def test_a_camera_program_whose_disk_is_full_says_so_and_goes_on(
    disk: Disk, server: Served, tmp_path: Path, saves: bool
) -> None:
    """Its log is on that disk, too. What cannot be kept whole is not kept, and not sent."""
    name, content = ("full-saves" if saves else "full"), large()
    (picture := tmp_path / "picture.jpg").write_bytes(content)
    home = disk.folder / "camera"
    arguments = ("--name", name, "--source", str(picture))
    with CameraProcess(home, server.url, server.token, *arguments) as camera:
        camera.ready()
        saved = home / "opencv_frame_0.jpg"
        asked = {"to": [name], "deadline_s": 20}
        rooms = (len(content) + PAGE,) if saves else (0, PAGE, len(content) - PAGE)
        for room in rooms:
            saved.unlink(missing_ok=True)
            disk.fill(but_bytes=room)
            receipt = server.call("POST", "/api/snaps?wait=1", json=asked).json()
            (shot,) = receipt["shots"]
            assert (shot["state"], shot["picture"], receipt["failed"]) == ("failed", None, 1)
            assert shot["error"]["code"] == "capture_failed"
            assert "No space left" in shot["error"]["detail"]
            camera.line(f"{name}: no picture: .*No space left")
            assert saved.exists() == saves
            assert {path.name for path in camera.spool.iterdir()} == {
                "spool.lock",
                f"{name}.instance",
            }
            assert not [path for path in home.rglob("*") if path.suffix in (".tmp", ".part")]
            disk.free()
        receipt = server.call("POST", "/api/snaps?wait=1", json=asked).json()
        assert receipt["answered"] == 1, receipt
        assert saved.read_bytes() == content
        listed = server.call("GET", f"/api/pictures?camera={name}").json()["pictures"]
        assert [each["id"] for each in listed] == [receipt["shots"][0]["picture"]["id"]]
        assert server.call("GET", listed[0]["renditions"]["full"]["url"]).content == content
        assert camera.stop() == 0


@pytest.mark.long
def test_a_snap_that_meets_a_full_server_is_truthful_and_its_picture_comes_later(
    disk: Disk, tmp_path: Path
) -> None:
    floor = {"OBJECTCLASSIFICATION_DISK_FLOOR_BYTES": str(4 * MIB)}
    arguments = ("--name", "door", "--source", str(ROCKET))
    with (
        ServeProcess(disk.home, **floor) as server,
        CameraProcess(tmp_path / "camera", server.url, server.token, *arguments) as camera,
    ):
        camera.ready()
        disk.fill(but_bytes=4 * MIB)
        asked = {"to": ["door"], "deadline_s": 3}
        receipt = server.call("POST", "/api/snaps?wait=1", json=asked).json()
        (shot,) = receipt["shots"]
        assert (receipt["answered"], receipt["missing"], shot["picture"]) == (0, 1, None)
        assert shot["error"]["code"] == "timeout"
        assert "captured" in shot["elapsed_ms"]
        camera.line("kept until it can be uploaded: .* 507")
        assert len(camera.waiting()) == 1
        disk.free()
        until(lambda: camera.waiting() == [])
        (stored,) = server.call("GET", "/api/pictures").json()["pictures"]
        classified(server, stored)
        late = server.call("GET", f"/api/snaps/{receipt['snap']}").json()
        assert late["shots"][0]["picture"]["id"] == stored["id"]
        assert (late["answered"], late["missing"]) == (0, 1)


@pytest.mark.long
def test_a_camera_program_keeps_to_its_bound(disk: Disk, tmp_path: Path) -> None:
    """While the server takes nothing, expired pictures give way; the rest is delivered later."""
    home, picture = tmp_path / "server", tmp_path / "picture.jpg"
    home.mkdir()
    picture.write_bytes(large())
    port = ("--port", str(free_port()))
    arguments = ("--name", "door", "--source", str(picture), "--spool-max", "1")
    with ServeProcess(home, *port, OBJECTCLASSIFICATION_DISK_FLOOR_BYTES=str(2**60)) as server:
        camera = CameraProcess(disk.folder / "camera", server.url, server.token, *arguments)
        with camera.ready():
            asked = {"to": ["door"], "deadline_s": 1}
            for _ in range(4):
                receipt = server.call("POST", "/api/snaps?wait=1", json=asked).json()
                assert receipt["shots"][0]["error"]["code"] == "timeout"
            waiting = camera.waiting()
            assert len(waiting) == 2  # of some 480 kB in 1 MiB
            logged = map(json.loads, camera.errors.splitlines())
            dropped = [line for line in logged if line["event"] == "spool_full"]
            told = [(line["expired"], line["dropped_so_far"]) for line in dropped]
            assert told == [(True, 1), (True, 2)]
            server.stop()
            with ServeProcess(home, *port, OBJECTCLASSIFICATION_DISK_FLOOR_BYTES="0") as roomy:
                until(lambda: camera.waiting() == [])
                assert len(roomy.call("GET", "/api/pictures").json()["pictures"]) == 2


def test_a_picture_that_gives_way_although_somebody_waits_fails_its_shot(
    server: Served, tmp_path: Path
) -> None:
    picture = tmp_path / "picture.jpg"
    picture.write_bytes(large())
    arguments = ("--name", "narrow", "--source", str(picture), "--spool-max", "1")
    with (
        Wire(server.port) as wire,
        CameraProcess(tmp_path / "camera", wire.url, server.token, *arguments) as camera,
    ):
        camera.ready()
        wire.hold_puts()

        def shot(snap_id: str) -> dict[str, Any]:
            found: dict[str, Any] = server.call("GET", f"/api/snaps/{snap_id}").json()["shots"][0]
            return found

        ids = [f"narrow-{number}" for number in range(LANES + 4)]
        for snap_id in ids:
            asked = {"id": snap_id, "to": ["narrow"], "deadline_s": 60}
            assert server.call("POST", "/api/snaps", json=asked).status_code == 202
            until(lambda asked=asked: shot(asked["id"])["state"] == "captured")  # type: ignore[misc]
        wire.release()
        until(lambda: all(shot(each)["state"] in ("classified", "failed") for each in ids))
        states = [shot(snap_id)["state"] for snap_id in ids]
        # The first were on their way already; of the others only two have room.
        assert states == [*["classified"] * LANES, "failed", "failed", "classified", "classified"]
        failure = shot(ids[LANES])["error"]
        assert failure["code"] == "upload_failed"
        assert "spool was full" in failure["detail"]
        assert not (camera.spool / "refused").exists()
        assert camera.waiting() == []

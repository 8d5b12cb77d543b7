"""Bursts, settings for one snap and checked pictures, on real sources, through a real server."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from objectclassification.capture import Spool, Uploader
from objectclassification.capture.capture import Capture
from objectclassification.shot_options import ShotOptions
from tests.camera_process import CameraProcess
from tests.integration.cameras.servers import (
    WRAP,
    HttpCamera,
    http_camera,
    jpeg,
    number_in,
    rtsp_camera,
)
from tests.parts import require
from tests.photographs import COFFEE, ROCKET
from tests.serving import Served, until

PHOTOGRAPH = cv2.imread(str(COFFEE))


def sharp_by_number(number: int) -> bytes:
    """The same scene, at its sharpest in every third picture."""
    assert PHOTOGRAPH is not None
    image = cv2.GaussianBlur(PHOTOGRAPH, (0, 0), 0.1 + number % 3)
    image[0, number % 600] ^= 1
    return cv2.imencode(".jpg", image)[1].tobytes()


@pytest.fixture(scope="module")
def still(server: Served, tmp_path_factory: pytest.TempPathFactory) -> Iterator[CameraProcess]:
    """A camera program with a still camera that is best every third time."""
    numbers = itertools.count(1)
    home = tmp_path_factory.mktemp("still") / "home"
    with http_camera(HttpCamera(lambda: sharp_by_number(next(numbers)))) as source:
        arguments = ("--name", "still", "--source", source.address)
        with CameraProcess(home, server.url, server.token, *arguments) as camera:
            camera.ready()
            yield camera


def snap(server: Served, name: str, options: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Snaps, and returns the one shot."""
    asked = {"to": [name], "deadline_s": 30, "options": options, **more}
    answer = server.call("POST", "/api/snaps?wait=1", json=asked)
    assert answer.status_code == 200, answer.text
    (shot,) = answer.json()["shots"]
    return {**shot, "snap": answer.json()["snap"]}


def pictures_of(server: Served, snap_id: str) -> list[dict[str, Any]]:
    page = server.call("GET", f"/api/pictures?snap={snap_id}").json()
    found: list[dict[str, Any]] = page["pictures"]
    return found


def test_one_of_a_burst_is_the_shot_s_and_the_others_are_kept(
    server: Served, still: CameraProcess
) -> None:
    shot = snap(server, "still", {"burst": 3, "keep": "all"})
    assert (shot["state"], shot["warnings"]) == ("classified", [])
    until(lambda: len(pictures_of(server, shot["snap"])) == 3)
    until(lambda: all(p["state"] == "classified" for p in pictures_of(server, shot["snap"])))
    pictures = pictures_of(server, shot["snap"])
    assert {p["camera"] for p in pictures} == {"still"}
    sizes = {p["id"]: p["renditions"]["full"]["size_bytes"] for p in pictures}
    assert shot["picture"]["id"] == max(sizes, key=lambda id_: sizes[id_]), "the sharpest one"
    # That the others came and were classified later has changed nothing.
    receipt = server.call("GET", f"/api/snaps/{shot['snap']}").json()
    assert receipt["shots"][0]["picture"] == shot["picture"]
    assert receipt["shots"][0]["predictions"] == shot["predictions"]
    slots = server.call("GET", "/snippets/").json()
    (slot,) = [slot for slot in slots if slot["camera"] == "still"]
    assert slot["picture"]["id"] == shot["picture"]["id"]
    still.line("2 more of its burst, uploaded")
    until(lambda: still.waiting() == [])


def test_the_best_of_a_burst_comes_alone(server: Served, still: CameraProcess) -> None:
    shot = snap(server, "still", {"burst": 3}, until="uploaded")
    assert len(pictures_of(server, shot["snap"])) == 1
    assert shot["camera_ms"]["check"] > 0


def test_what_one_snap_wants_is_done_or_is_a_warning(server: Served, still: CameraProcess) -> None:
    wanted = {"width": 300, "format": "png", "exposure_ms": 5, "focus": "auto", "warmup": 1}
    shot = snap(server, "still", wanted, until="uploaded")
    assert shot["picture"]["media_type"] == "image/png"
    assert (shot["picture"]["width"], shot["picture"]["height"]) == (300, 200)
    assert shot["warnings"] == [
        "exposure is not used: only a device takes it",
        "focus is not used: only a device takes it",
        "warmup is not used: this source makes its picture when it is asked",
    ]
    large = snap(server, "still", {"width": 9000, "quality": 95}, until="uploaded")
    assert large["warnings"] == ["asked for 9000xany, got 600x400"]
    assert large["picture"]["media_type"] == "image/jpeg"
    plain = snap(server, "still", {}, until="uploaded")
    assert (plain["picture"]["width"], plain["warnings"]) == (600, [])


@pytest.mark.parametrize(
    "options",
    [
        {"burst": 10**6},
        {"width": 10**9},
        {"quality": 0},
        {"exposure_ms": "nan"},
        {"warmup": -1},
        {"format": "gif"},
        {"check": "perhaps"},
    ],
    ids=str,
)
def test_bad_options_are_refused_at_the_hub_and_cost_nothing(
    server: Served, options: dict[str, Any]
) -> None:
    body = {"id": "bad-options", "to": ["door"], "options": options}
    answer = server.call("POST", "/api/snaps", json=body)
    assert answer.status_code == 422
    detail = answer.json()["detail"]
    assert detail.startswith(f"options.{next(iter(options))} is ") and "\n" not in detail
    assert server.call("GET", "/api/snaps/bad-options").status_code == 404


def test_a_dark_scene_is_taken_if_the_snap_or_the_camera_says_so(
    server: Served, tmp_path: Path
) -> None:
    night = tmp_path / "night.png"
    cv2.imwrite(str(night), np.full((48, 64, 3), 4, np.uint8))
    arguments = ("--name", "night", "--source", str(night))
    with CameraProcess(tmp_path / "asks", server.url, server.token, *arguments) as camera:
        camera.ready()
        failed = snap(server, "night", {})
        assert failed["error"]["code"] == "dark"
        assert failed["error"]["detail"] == (
            f"{night} shows black: the lens is covered, or there is no light"
        )
        warned = snap(server, "night", {"check": "warn"})
        assert warned["state"] == "classified"
        assert warned["warnings"] == [
            "dark: it shows black: the lens is covered, or there is no light"
        ]
        assert snap(server, "night", {"check": "off"})["warnings"] == []
    with CameraProcess(
        tmp_path / "says", server.url, server.token, *arguments, "--check", "warn"
    ) as camera:
        camera.ready()
        assert snap(server, "night", {}, until="uploaded")["warnings"] == warned["warnings"]
        assert snap(server, "night", {"check": "retry"})["error"]["code"] == "dark"


def test_a_camera_that_hangs_is_found_frozen(server: Served, tmp_path: Path) -> None:
    same = jpeg()
    with http_camera(HttpCamera(lambda: same)) as source:
        arguments = ("--name", "frozen", "--source", source.address)
        with CameraProcess(tmp_path / "frozen", server.url, server.token, *arguments) as camera:
            camera.ready()
            assert snap(server, "frozen", {}, until="uploaded")["state"] == "uploaded"
            # For a second it may have been the same moment.
            errors = (snap(server, "frozen", {}, until="uploaded")["error"] for _ in range(1000))
            error = next(error for error in errors if error)
            assert error["code"] == "frozen"
            warned = snap(server, "frozen", {"check": "warn"})
            assert warned["warnings"] == [
                "frozen: it gave the picture of the last snap again: it is frozen"
            ]


def test_another_frame_never_becomes_the_shot_s_picture(server: Served) -> None:
    """Whatever comes first, and whatever was said of it."""
    token = server.new_token("camera", "bursting")
    slots = server.call("GET", "/snippets/").json()
    (number,) = [slot["number"] for slot in slots if slot["camera"] == "bursting"]
    with Uploader(server.url, token) as uploader:

        def put(frame: int, seed: int) -> dict[str, Any]:
            return uploader.put(
                f"/snippets/{number}/",
                jpeg(seed=seed),
                "image/jpeg",
                key=f"key-{frame}",
                snap="burst-1",
                frame=frame,
            )

        second = put(2, 2)
        until(lambda: server.call("GET", f"/api/pictures/{second['id']}").json()["predictions"])
        first = put(1, 1)
        third = put(3, 3)
        assert len({first["id"], second["id"], third["id"]}) == 3
        assert put(2, 2)["id"] == second["id"], "the same key is the same picture"
    slot = server.call("GET", f"/snippets/{number}/").json()
    assert slot["picture"]["id"] == first["id"]
    for frame in ("0", "21", "-1", "x", "00000001"):
        answer = server.call("PUT", f"/snippets/{number}/?frame={frame}", data=jpeg())
        assert answer.status_code == (201 if frame == "00000001" else 422), frame


def test_a_burst_in_the_spool_is_a_burst_after_a_crash(tmp_path: Path) -> None:
    with Capture(str(ROCKET.parent / "[cr]o*.[jp]*g"), tmp_path / "x.jpg") as capture:
        pictures = capture.shoot(ShotOptions(burst=3, keep="all"))
    with Spool(tmp_path / "spool") as spool:
        for frame, taken in enumerate(pictures, 1):
            spool.add(taken, camera="door", upload="/snippets/1/", snap="s-1", frame=frame)
    with Spool(tmp_path / "spool") as again:
        assert [item.frame for item in again.due()] == [1, 2, 3]
        assert [item.read() for item in again.due()] == [taken.data for taken in pictures]
        note = json.loads((tmp_path / "spool" / "000000000001.json").read_text())
        del note["frame"]  # as an older program wrote it
        (tmp_path / "spool" / "000000000001.json").write_text(json.dumps(note))
    with Spool(tmp_path / "spool") as older:
        assert next(older.due()).frame == 1


@pytest.mark.debian
def test_each_frame_of_a_burst_is_from_after_the_snap(tmp_path: Path) -> None:
    require("gst-rtsp")
    with (
        rtsp_camera(tmp_path, "mjpeg") as source,
        Capture(source.url, tmp_path / "x.jpg") as capture,
    ):
        for _ in range(5):
            newest = source.now()
            pictures = capture.shoot(ShotOptions(burst=5, keep="all"))
            numbers = [(number_in(taken.data) - newest) % WRAP for taken in pictures]
            assert len(set(numbers)) == 5
            assert numbers[1:] == sorted(numbers[1:])
            assert 0 < min(numbers) and max(numbers) < WRAP // 2


def run(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "objectclassification", *arguments],
        cwd=folder,
        env={**os.environ, "HOME": str(folder), **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_snap_on_the_command_line(server: Served, still: CameraProcess, tmp_path: Path) -> None:
    login = {"OBJECTCLASSIFICATION_TOKEN": server.token or ""}
    words = ["snap", "still", "--server", server.url, "--deadline", "30", "--until", "uploaded"]
    how = ["--burst", "3", "--keep", "all", "--width", "200", "--format", "webp", "--quality", "70"]
    done = run(tmp_path, *words, *how, "--check", "off", "--out", "here", "--json", **login)
    assert done.returncode == 0, done.stderr
    (shot,) = json.loads(done.stdout)["shots"]
    assert (shot["picture"]["media_type"], shot["picture"]["width"]) == ("image/webp", 200)
    files = sorted((tmp_path / "here").iterdir())
    assert len(files) == 3
    assert f"still-{shot['picture']['id']}.webp" in [file.name for file in files]
    for wrong, says in (
        (["--burst", "1000000"], "options.burst is a whole number of frames from 1 to 20"),
        (["--exposure-ms", "nan"], "--exposure-ms is a number or 'auto', not 'nan'"),
        (["--focus", "near"], "--focus is a number or 'auto', not 'near'"),
    ):
        refused = run(tmp_path, *words, *wrong, **login)
        assert refused.returncode == 2
        assert says in " ".join(refused.stderr.replace("│", " ").split())


def test_capture_on_the_command_line(tmp_path: Path) -> None:
    source = str(ROCKET.parent / "[cr]o*.[jp]*g")
    how = ["--burst", "2", "--keep", "all", "--path", "x.jpg", "--quality", "60", "--focus", "3"]
    done = run(tmp_path, "capture", "--source", source, *how, "--check", "off", "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["warnings"] == ["focus is not used: only a device takes it"]
    assert [told["path"], told["others"][0]["path"]] == ["x.jpg", "x-2.jpg"]
    assert (tmp_path / "x-2.jpg").stat().st_size == told["others"][0]["size_bytes"]
    said = run(tmp_path, "capture", "--source", source, *how[:-2])
    assert said.stdout.splitlines()[1] == "and x-2.jpg"
    refused = run(tmp_path, "capture", "--source", source, "--quality", "0")
    assert refused.returncode == 2
    assert "options.quality is a whole number from 1 to 100" in " ".join(refused.stderr.split())

"""``doctor --camera``: a real camera program says how it is, through a real server."""

from __future__ import annotations

import json
import platform
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from objectclassification import __version__
from objectclassification.client.examiner import temperature_c
from objectclassification.client.log_ring import LogRing
from objectclassification.condition import LONGEST_LINE, MOST_LINES, CameraReport
from objectclassification.diagnosis.camera import checks
from tests.camera_process import CameraProcess
from tests.photographs import ROCKET
from tests.serving import Address, Served

SECRET = "hunter2"
BROKEN = f"rtsp://ann:{SECRET}@127.0.0.1:9/main"
"""Nothing listens on the port discard, and nobody reads its password."""


def doctor(server: Address, token: str | None, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The command as it is typed."""
    return subprocess.run(
        [*(sys.executable, "-m", "objectclassification", "doctor"), *arguments],
        env={
            "PATH": "",
            "OBJECTCLASSIFICATION_SERVER": server.url,
            "OBJECTCLASSIFICATION_TOKEN": token or "",
        },
        capture_output=True,
        text=True,
        timeout=60,
    )


def report_of(server: Address, name: str) -> CameraReport:
    answer = server.call("GET", f"/api/cameras/{name}/report")
    assert answer.status_code == 200, answer.text
    return msgspec.json.decode(answer.content, type=CameraReport)


def found(report: CameraReport) -> dict[str, Any]:
    return {check.name: check for check in checks(report)}


def test_a_camera_says_how_it_is(server: Served, tmp_path: Path) -> None:
    arguments = ("--name", "asked", "--source", str(ROCKET), "--spool-max", "7")
    with CameraProcess(tmp_path / "home", server.url, server.token, *arguments) as camera:
        camera.ready()
        before = report_of(server, "asked").condition.source
        assert (before.state, before.taken, before.picture_age_s) == ("closed", 0, None)
        server.call("POST", "/api/snaps?wait=1", json={"to": ["asked"], "until": "uploaded"})
        camera.line("uploaded after")
        report = report_of(server, "asked")
        program, source = report.condition.program, report.condition.source
        assert (program.version, program.python) == (__version__, platform.python_version())
        assert program.opencv[0].isdigit()
        assert platform.release() in program.system
        assert (source.state, source.taken, source.failed) == ("warm", 1, 0)
        assert (source.freshness, source.error, source.error_age_s) == ("replay", "", None)
        assert source.width
        assert source.picture_age_s is not None
        assert report.condition.spool.max_bytes == 7 * 2**20
        assert report.condition.spool.free_bytes > 0
        # One machine, one clock: what is shown as its offset is the way's doubt.
        assert abs(report.clock_offset_ms) <= report.clock_uncertainty_ms + 1
        assert "uploaded after" in report.condition.log[-1]

        done = doctor(server, server.new_token("operator"), "--camera", "asked")
        assert (done.returncode, done.stderr) == (0, "")
        lines = done.stdout.splitlines()
        assert [line.split()[1] for line in lines[1:10]] == [
            "program", "system", "network", "source", "pictures", "disk", "spool", "heat", "clock"
        ]  # fmt: skip
        assert "uploaded after" in lines[-1]


def test_a_camera_whose_source_fails(server: Served, tmp_path: Path) -> None:
    arguments = ("--name", "broken", "--source", BROKEN, "--warm")
    with CameraProcess(tmp_path / "home", server.url, server.token, *arguments) as camera:
        camera.ready()
        camera.log("source_failed")
        server.call("POST", "/api/snaps?wait=1", json={"to": ["broken"], "deadline_s": 2})
        done = doctor(server, server.token, "--camera", "broken", "--json")
        assert done.returncode == 1
        assert SECRET not in done.stdout
        answer = json.loads(done.stdout)
        source = answer["condition"]["source"]
        assert source["failed"] == 1
        assert source["address"] == "rtsp://ann:***@127.0.0.1:9/main"
        assert "cannot be opened" in source["error"]
        by_name = {check["name"]: check for check in answer["checks"]}
        assert by_name["source"]["status"] == "fail"
        assert by_name["source"]["todo"]
        assert any("source_failed" in line for line in answer["condition"]["log"])


def test_pictures_that_the_server_refused(server: Served, tmp_path: Path) -> None:
    refused = tmp_path / "home" / "spool" / "refused"
    refused.mkdir(parents=True)
    (refused / "one.json").write_text("{}")
    arguments = ("--name", "refused", "--source", str(ROCKET))
    with CameraProcess(tmp_path / "home", server.url, server.token, *arguments) as camera:
        camera.ready()
        check = found(report_of(server, "refused"))["spool"]
        assert (check.status, "1 refused" in check.found) == ("warn", True)


def test_a_camera_that_hangs_went_away_or_never_was(server: Served, tmp_path: Path) -> None:
    arguments = ("--name", "gone", "--source", str(ROCKET))
    with CameraProcess(tmp_path / "home", server.url, server.token, *arguments) as camera:
        camera.ready()
        camera.process.send_signal(signal.SIGSTOP)
        try:
            done = doctor(server, server.token, "--camera", "gone")
        finally:
            camera.process.send_signal(signal.SIGCONT)
        assert (done.returncode, done.stdout) == (75, "")
        assert "did not answer in 5 s" in done.stderr
        camera.stop()
    for name, status, code, text in (
        ("gone", 409, "offline", "is its program running"),
        ("never-was", 404, "not_found", "no camera named 'never-was'"),
        ("..%2Fsecret", 404, "not_found", ""),
    ):
        answer = server.call("GET", f"/api/cameras/{name}/report")
        assert (answer.status_code, answer.json()["code"]) == (status, code)
        assert text in answer.json()["detail"]
    with server.camera("by-hand"):
        answer = server.call("GET", "/api/cameras/by-hand/report")
        assert (answer.status_code, answer.json()["code"]) == (409, "too_old")
        done = doctor(server, server.token, "--camera", "by-hand")
        assert (done.returncode, "update it there" in done.stderr) == (1, True)


@pytest.mark.parametrize(("role", "status"), [("viewer", 403), ("camera", 403), ("operator", 404)])
def test_log_lines_are_for_operators(server: Served, role: str, status: int) -> None:
    token = server.new_token(role, *(["nosuch"] if role == "camera" else []))
    answer = server.call("GET", "/api/cameras/nosuch-camera/report", token=token)
    assert answer.status_code == status
    done = doctor(server, token, "--camera", "nosuch-camera")
    assert done.returncode == (77 if status == 403 else 1)


def test_a_camera_is_not_asked_about_this_machines_folder(server: Served, tmp_path: Path) -> None:
    done = doctor(server, server.token, "--camera", "door", "--data", str(tmp_path))
    assert (done.returncode, "leave --data" in done.stderr) == (2, True)


@pytest.mark.parametrize("name", ["", "../x", "a/b", "a b", "x" * 65])
def test_what_cannot_be_a_camera(server: Served, name: str) -> None:
    done = doctor(server, server.token, "--camera", name)
    assert (done.returncode, "cannot be a camera's name" in done.stderr) == (2, True)


def test_the_last_lines_are_bounded_and_masked() -> None:
    ring = LogRing()
    for number in range(MOST_LINES + 5):
        ring.add(f"line {number} {BROKEN}")
    event = {"timestamp": "2026-01-01T00:00:00.123Z", "level": "info", "event": "e", "x": "y" * 999}
    assert ring.hear(None, "info", event) == event
    lines = ring.lines()
    assert len(lines) == MOST_LINES
    assert lines[-1].startswith("2026-01-01T00:00:00Z info e x=yyy")
    assert max(map(len, lines)) == LONGEST_LINE
    assert not [line for line in lines if SECRET in line]


def test_the_hottest_zone_counts(tmp_path: Path) -> None:
    assert temperature_c(tmp_path) is None
    for number, text in enumerate(["45000\n", "61250\n", "", "off"]):
        (tmp_path / f"thermal_zone{number}").mkdir()
        (tmp_path / f"thermal_zone{number}" / "temp").write_text(text)
    assert temperature_c(tmp_path) == 61.25

"""Cameras that sleep, with real programs: one picture and one result for each id."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from objectclassification.cli import build_app
from objectclassification.messages import ShotReport, SnapOrder
from tests.camera_process import CameraProcess
from tests.photographs import COFFEE, ROCKET
from tests.serving import WAIT_S, Address, Served, ServeProcess, until
from tests.wire import Wire

QUICK = {"OBJECTCLASSIFICATION_PRESENCE_GRACE_S": "0.3"}


def receipt(server: Address, snap: str) -> Any:
    return server.call("GET", f"/api/snaps/{snap}").json()


def ends(server: Address, snap: str) -> Any:
    """The receipt once the snap has ended."""
    until(lambda: receipt(server, snap)["done"])
    return receipt(server, snap)


def ask(server: Address, snap: str, *to: str, **more: Any) -> Any:
    asked = {"id": snap, "to": to, "ttl_s": 3600, **more}
    answer = server.call("POST", "/api/snaps", json=asked)
    assert answer.status_code in (200, 202), answer.text
    return answer.json()


def pictures(server: Address, camera: str) -> list[str]:
    page: dict[str, Any] = server.call("GET", f"/api/pictures?camera={camera}").json()
    return [picture["snap"] for picture in page["pictures"]]


def look(server: Address, camera: str) -> Any:
    every = server.call("GET", "/api/cameras").json()
    return next(one for one in every if one["name"] == camera)


def command(server: Address, *arguments: str) -> Result:
    url = f"{server.url}/?token={server.token}"
    return CliRunner().invoke(build_app(), [*arguments, "--server", url])


def test_a_field_station(server: Served, tmp_path: Path) -> None:
    """It says when it is back; what was asked meanwhile it takes then, and nothing else."""
    once = ("--name", "meadow", "--source", str(COFFEE), "--once", "--next-in", "1h")
    with CameraProcess(tmp_path / "home", server.url, server.token, *once) as camera:
        assert camera.process.wait(60) == 0
    until(lambda: look(server, "meadow")["state"] == "asleep")
    left_s = seconds_until(look(server, "meadow")["sleeps_until_at"])
    assert 3500 < left_s < 3700
    own = pictures(server, "meadow")
    asked = command(server, "snap", "meadow", "--ttl", "2h", "--policy", "latest", "--json")
    assert asked.exit_code == 0, asked.stderr
    first = json.loads(asked.stdout)
    assert (first["ttl_s"], first["shots"][0]["state"]) == (7200.0, "waiting")
    second = json.loads(
        command(server, "snap", "meadow", "--ttl", "2h", "--policy", "latest", "--json").stdout
    )
    assert ends(server, first["snap"])["shots"][0]["error"]["code"] == "superseded"
    assert "meadow" in command(server, "waiting", "list").stdout
    assert [one["snap"] for one in look(server, "meadow")["waiting"]] == [second["snap"]]
    with CameraProcess(tmp_path / "home", server.url, server.token, *once) as camera:
        assert camera.process.wait(60) == 0
    assert ends(server, second["snap"])["answered"] == 1
    assert sorted(pictures(server, "meadow")) == sorted([*own, second["snap"]])
    until(lambda: look(server, "meadow")["state"] == "asleep")
    assert look(server, "meadow")["waiting"] == []
    moves = server.call("GET", "/api/cameras/meadow/presence").json()
    assert [move["state"] for move in moves] == ["asleep", "online", "asleep", "online"]


def seconds_until(at: str) -> float:
    from datetime import datetime

    return datetime.fromisoformat(at).timestamp() - time.time()


def test_a_camera_that_is_killed_before_its_picture(server: Served, tmp_path: Path) -> None:
    """Delivered, and dead: it is asked again, and takes one."""
    go = tmp_path / "go"
    eye = tmp_path / "eye"
    eye.write_text(f"#!/bin/sh\n[ -e {go} ] || exec sleep 20\nexec cat {ROCKET}\n")
    eye.chmod(0o755)
    arguments = ("--name", "mast", "--source", f"exec:{eye}", "--warmup", "0")
    with server.camera("mast"):
        pass
    ask(server, "mast-1", "mast", deadline_s=20)
    with CameraProcess(tmp_path / "home", server.url, server.token, *arguments) as camera:
        until(lambda: receipt(server, "mast-1")["shots"][0]["state"] == "delivered")
        camera.kill()
    until(lambda: not look(server, "mast")["online"])
    assert [one["snap"] for one in look(server, "mast")["waiting"]] == ["mast-1"]
    go.touch()
    with CameraProcess(tmp_path / "home", server.url, server.token, *arguments):
        assert ends(server, "mast-1")["answered"] == 1
    assert pictures(server, "mast") == ["mast-1"]


def test_a_camera_that_is_killed_with_its_picture(server: Served, tmp_path: Path) -> None:
    """Taken, kept in the spool, and dead: that picture is the answer."""
    arguments = ("--name", "barn", "--source", str(ROCKET))
    with server.camera("barn"):
        pass
    ask(server, "barn-1", "barn")
    with Wire(server.port) as wire:
        with CameraProcess(tmp_path / "home", wire.url, server.token, *arguments) as camera:
            wire.hold_puts()
            assert wire.held.wait(WAIT_S)
            camera.kill()
            wire.cut()
        wire.release()
        (tmp_path / "home" / "opencv_frame_0.jpg").unlink()
        with CameraProcess(tmp_path / "home", wire.url, server.token, *arguments) as camera:
            assert ends(server, "barn-1")["answered"] == 1
            assert not (camera.home / "opencv_frame_0.jpg").exists(), "it was shot again"
    assert pictures(server, "barn") == ["barn-1"]


@pytest.mark.long
def test_a_server_that_is_killed_or_stopped_meanwhile(tmp_path: Path) -> None:
    """What waits does so in the database; a picture that was under way is one answer."""
    home = tmp_path / "server"
    home.mkdir()
    full = {"OBJECTCLASSIFICATION_DISK_FLOOR_BYTES": str(2**60)}
    arguments = ("--name", "door", "--source", str(ROCKET))
    with ServeProcess(home) as first:
        with first.camera("door"), first.camera("yard"):
            pass
        ask(first, "both", "door", "yard")
        ask(first, "left", "yard", ttl_s=12, deadline_s=1)
        first.process.kill()  # nobody was asked yet
        first.process.wait(WAIT_S)
    with ServeProcess(home, "--port", str(first.port), **full, **QUICK) as second:
        assert states(second, "both") == {"door": "waiting", "yard": "waiting"}
        camera = CameraProcess(tmp_path / "camera", second.url, second.token, *arguments)
        with camera:
            camera.line("kept until it can be uploaded: .* 507")
            until(lambda: states(second, "both")["door"] == "captured")
            second.process.kill()  # between delivery and answer
            second.process.wait(WAIT_S)
            with ServeProcess(home, "--port", str(first.port)) as third:
                camera.line("door: a picture from .* uploaded")
                until(lambda: states(third, "both") == {"door": "classified", "yard": "waiting"})
                assert third.stop() == 0
            with ServeProcess(home, "--port", str(first.port)) as fourth:
                assert states(fourth, "both") == {"door": "classified", "yard": "waiting"}
                with fourth.camera("yard") as yard:
                    assert "both" in [order.id for order in yard.pending]
                    order = next(order for order in yard.pending if order.id == "both")
                    yard.upload(order, COFFEE.read_bytes())
                    assert ends(fourth, "both")["answered"] == 2
                assert pictures(fourth, "door") == ["both"]
                error = ends(fourth, "left")["shots"][0]["error"]
                assert error["code"] in ("expired", "timeout")


def states(server: Address, snap: str) -> dict[str, str]:
    return {shot["camera"]: shot["state"] for shot in receipt(server, snap)["shots"]}


@pytest.fixture(scope="module")
def quick(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server with little grace, on which the fleet is known."""
    folder = tmp_path_factory.mktemp("quick") / "data"
    with Served(folder, presence_grace_s=0.3) as served:
        with served.camera("one"), served.camera("two"):
            pass
        yield served


def test_asked_and_cancelled_over_http(quick: Served) -> None:
    until(lambda: look(quick, "one")["state"] == "offline")
    asked = ask(quick, "http-1", "*", policy="all")
    assert {shot["camera"]: shot["state"] for shot in asked["shots"]} == {
        "one": "waiting",
        "two": "waiting",
    }
    page = quick.call("GET", "/api/snaps?waiting=1").json()
    assert ([one["snap"] for one in page["snaps"]], page["cursor"]) == (["http-1"], None)
    assert ask(quick, "http-1", "*", policy="all")["snap"] == "http-1", "it is the same one"
    other = {"id": "http-1", "to": ["*"], "ttl_s": 7200}
    assert quick.call("POST", "/api/snaps", json=other).status_code == 409
    shown = quick.call("GET", "/snaps?waiting=1").text
    assert "waits for one until" in shown
    assert "Snaps that wait for it: 1" in quick.call("GET", "/").text
    assert "/snaps/http-1" in quick.call("GET", "/cameras/one").text
    cancelled = command(quick, "waiting", "cancel", "http-1")
    assert cancelled.stdout == "snap http-1: 2 of 2 shots cancelled\n"
    assert quick.call("GET", "/api/snaps?waiting=1").json()["snaps"] == []
    assert command(quick, "waiting", "list").stdout == "no snap waits\n"


@pytest.mark.parametrize("ttl", ["0", "-1", "nan", "1e12", "31d", "5s"])
def test_times_that_the_command_refuses(quick: Served, ttl: str) -> None:
    refused = command(quick, "snap", "one", f"--ttl={ttl}")
    assert refused.exit_code == 2
    assert "ttl" in refused.stderr


def test_a_link_that_flaps_is_no_absence(quick: Served) -> None:
    with quick.camera("flap"):
        pass
    with quick.camera("flap"):
        here = look(quick, "flap")
        assert (here["state"], here["address"]) == ("online", "127.0.0.1")
    until(lambda: look(quick, "flap")["state"] == "offline")
    until(lambda: len(moves(quick, "flap")) == 2)
    assert [one["state"] for one in moves(quick, "flap")] == ["offline", "online"]
    assert look(quick, "flap")["since"] == look(quick, "flap")["last_seen_at"]
    page = quick.call("GET", "/cameras/flap").text
    assert page.count("<tr><td><time") == 2


def moves(server: Address, camera: str) -> Any:
    return server.call("GET", f"/api/cameras/{camera}/presence").json()


def test_of_each_camera_the_last_hundred_moves_are_kept(quick: Served) -> None:
    from objectclassification.store import presence

    def write(camera: str, number: int) -> None:
        moved = [presence.Moved(camera, float(at), "online") for at in range(number)]
        quick.run(quick.parts.database.write(lambda c: presence.note(c, moved)))

    write("one", 3)
    write("two", 120)
    write("two", 10)
    assert len(moves(quick, "two")) == presence.KEPT_OF_CAMERA
    assert len(moves(quick, "one")) >= 3
    assert quick.call("DELETE", "/api/cameras/two").status_code == 204
    assert moves(quick, "two")["status"] == 404
    assert quick.run(quick.parts.database.read(lambda c: presence.history(c, "two"))) == []


def test_who_comes_and_goes_on_a_screen(quick: Served) -> None:
    at = ("--server", f"{quick.url}/?token={quick.token}")
    watching = subprocess.Popen(
        [sys.executable, "-m", "objectclassification", "cameras", "--watch", "--json", *at],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert watching.stdout
        lines = map(json.loads, watching.stdout)
        next(line for line in lines if line["name"] == "one")
        with quick.camera("seen") as camera:
            ask(quick, "seen-1", "seen")
            order = camera.hear(SnapOrder)
            camera.say(ShotReport(snap=order.id, camera="seen", state="delivered"))
            assert next(line for line in lines if line["name"] == "seen")["state"] == "online"
        gone = next(line for line in lines if (line["name"], line["state"]) == ("seen", "offline"))
        assert [one["snap"] for one in gone["waiting"]] == ["seen-1"]
    finally:
        watching.kill()
        watching.communicate()
    table = command(quick, "cameras").stdout
    assert "seen" in table
    assert "offline" in table

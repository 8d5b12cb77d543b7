"""Quorums, late pictures, and cameras that expose together: real servers, programs and sources."""

from __future__ import annotations

import json
import re
import shlex
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from typer.testing import CliRunner

from objectclassification.cli import build_app
from tests.camera_process import CameraProcess
from tests.integration.cameras.servers import jpeg
from tests.serving import CameraLink, Served, photo, until

FRAME_S = 1 / 30
SHIFT_S = 3600.25
"""How much more the clocks of one camera program show."""

SENSOR = """
import itertools, sys, time
shift, phase, picture = float(sys.argv[1]), float(sys.argv[2]), open(sys.argv[3], "rb").read()
out, before, start = sys.stdout.buffer, 0.0, time.monotonic() + phase
for number in itertools.count():
    time.sleep(max(0.0, start + number / 30 - time.monotonic()))
    taken = time.monotonic()
    note = b"before %.6f taken %.6f" % (before, taken)
    comment = bytes((0xFF, 0xFE)) + (len(note) + 2).to_bytes(2, "big") + note
    out.write(b"--x\\r\\nX-Taken-Monotonic: %.6f\\r\\n\\r\\n" % (taken + shift))
    out.write(picture[:2] + comment + picture[2:])
    out.flush()
    before = taken
"""
"""A sensor of 30 frames a second that stamps each, and notes in it when it and the one before were
exposed by the machine's own clock."""

SHIFTED = f"""
import time
monotonic, wall = time.monotonic, time.time
began = monotonic()
time.monotonic = lambda: monotonic() + {SHIFT_S}
# And the time of day jumps by two hours, forwards and back, every second.
time.time = lambda: wall() + (3600 if int(monotonic() - began) % 2 else -3600)
"""


@pytest.fixture(scope="module")
def pair(server: Served) -> Iterator[tuple[CameraLink, CameraLink]]:
    with server.camera("tg-one") as one, server.camera("tg-two") as two:
        yield one, two


def snap(server: Served, *, wait: bool = True, **request: Any) -> Any:
    asked = {"to": ["tg-one", "tg-two"], "until": "uploaded", **request}
    answer = server.call("POST", "/api/snaps", params={"wait": wait}, json=asked)
    assert answer.status_code in (200, 202), answer.text
    return answer.json()


def receipt(server: Served, snap_id: str) -> Any:
    return server.call("GET", f"/api/snaps/{snap_id}").json()


def done(server: Served, snap_id: str) -> Any:
    """The receipt once the snap has ended."""
    until(lambda: receipt(server, snap_id)["done"])
    return receipt(server, snap_id)


def codes(receipt: Any) -> dict[str, str | None]:
    return {one["camera"]: one["error"] and one["error"]["code"] for one in receipt["shots"]}


def counts(receipt: Any) -> tuple[int, int, int]:
    return receipt["answered"], receipt["failed"], receipt["missing"]


def test_a_quorum_ends_it_and_what_comes_later_is_kept_and_marked(
    server: Served, pair: tuple[CameraLink, CameraLink]
) -> None:
    one, two = pair
    started = snap(server, wait=False, quorum="50%", deadline_s=30)
    order = one.answer(photo("quorum one"))
    ended = done(server, order.id)
    assert started["quorum"] == ended["quorum"] == "50%"
    assert codes(ended) == {"tg-one": None, "tg-two": "not_awaited"}
    assert counts(ended) == (1, 0, 1)
    assert [shot["late"] for shot in ended["shots"]] == [False, False]

    two.answer(photo("quorum two"))
    later = receipt(server, order.id)
    assert [shot["late"] for shot in later["shots"]] == [False, True]
    assert later["shots"][1]["picture"] is not None
    assert (codes(later), counts(later)) == (codes(ended), counts(ended))
    page = server.call("GET", f"/snaps/{order.id}").text
    assert "not waited for" in page
    assert re.search(r'class="tag warn">late<', page)
    assert re.search(r'class="tag warn">late<', server.call("GET", "/snaps").text)


def test_what_comes_after_the_deadline_is_kept_and_marked(
    server: Served, pair: tuple[CameraLink, CameraLink]
) -> None:
    ended = snap(server, deadline_s=0.2, until="classified")
    assert codes(ended) == {"tg-one": "timeout", "tg-two": "timeout"}
    for camera in pair:
        assert camera.answer(photo("after the deadline")).id == ended["snap"]
    server.settle()
    later = receipt(server, ended["snap"])
    assert [(shot["late"], shot["state"]) for shot in later["shots"]] == [(True, "failed")] * 2
    assert all(shot["predictions"] for shot in later["shots"])
    assert counts(later) == (0, 0, 2)


@pytest.mark.parametrize(
    ("wrong", "status"),
    [
        ({"deadline_s": 0}, 422),
        ({"deadline_s": -1}, 422),
        ({"deadline_s": 1e9}, 422),
        ({"quorum": 0}, 422),
        ({"quorum": -1}, 422),
        ({"quorum": 3}, 422),
        ({"quorum": "150%"}, 422),
        ({"quorum": 0.5}, 422),
        ({"at": 1e9}, 422),
        ({"at": "2020-01-01T00:00:00Z"}, 422),
        ({"at": "2120-01-01T00:00:00Z"}, 422),
        ({"at": "noon"}, 422),
        ({"in_s": 0}, 422),
        ({"in_s": -1}, 422),
        ({"in_s": 1e6}, 422),
        ({"in_s": 1, "at": "2120-01-01T00:00:00Z"}, 422),
        ({"to": ["tg-one", "!tg-one"]}, 404),
        ({"to": ["@tg-nobody"]}, 404),
        ({"to": ["tg-one", "!tg-nobody"]}, 404),
    ],
    ids=str,
)
def test_what_cannot_be_asked_starts_nothing(
    server: Served, pair: tuple[CameraLink, CameraLink], wrong: dict[str, Any], status: int
) -> None:
    newest = server.call("GET", "/api/snaps", params={"limit": 1}).json()["snaps"]
    answer = server.call("POST", "/api/snaps", json={"to": ["tg-one", "tg-two"], **wrong})
    assert answer.status_code == status, answer.text
    assert answer.json()["detail"]
    assert server.call("GET", "/api/snaps", params={"limit": 1}).json()["snaps"] == newest


@pytest.mark.parametrize("deadline", ["NaN", "Infinity", '"soon"'])
def test_what_is_no_number_is_refused(server: Served, deadline: str) -> None:
    body = f'{{"to": ["*"], "deadline_s": {deadline}}}'
    answer = server.call("POST", "/api/snaps", data=body)
    assert (answer.status_code, answer.json()["code"]) == (422, "bad_message")


def test_a_program_that_does_not_wait_shoots_at_the_moment(
    server: Served, pair: tuple[CameraLink, CameraLink]
) -> None:
    started = snap(server, wait=False, in_s=0.3, deadline_s=30)
    assert started["at"] > started["accepted_at"]
    for camera in pair:
        camera.answer()
    ended = done(server, started["snap"])
    assert counts(ended) == (2, 0, 0)
    assert all("does not wait for a moment" in shot["warnings"][0] for shot in ended["shots"])
    assert min(shot["elapsed_ms"]["uploaded"] for shot in ended["shots"]) >= 300
    assert ended["skew"] is None


@pytest.fixture(scope="module")
def sensors(server: Served, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[str]]:
    """Three camera programs of 30 frames a second; the clocks of the last show something else."""
    folder = tmp_path_factory.mktemp("sensors")
    (folder / "sensor.py").write_text(SENSOR)
    (folder / "picture.jpg").write_bytes(jpeg())
    (folder / "shifted").mkdir()
    (folder / "shifted" / "sitecustomize.py").write_text(SHIFTED)
    names = [f"sensor-{number}" for number in range(3)]
    token = server.new_token("camera", *names)
    with ExitStack() as stack:
        programs = []
        for number, name in enumerate(names):
            shifted = number == 2
            shift = SHIFT_S if shifted else 0.0
            command = [sys.executable, "-S", str(folder / "sensor.py"), str(shift)]
            command += [str(number * FRAME_S / 3), str(folder / "picture.jpg")]
            arguments = ("--name", name, "--group", "sensors", "--keep-warm", "600")
            program = CameraProcess(
                folder / name,
                server.url,
                token,
                *arguments,
                "--source",
                f"exec:{shlex.join(command)}",
                source_tree=folder / "shifted" if shifted else None,
            )
            programs.append(stack.enter_context(program))
        for program in programs:
            program.ready()
        # A helper is started by its first snap; from then on its frames come by themselves.
        warm = snap(server, to=["@sensors"], deadline_s=30)
        assert counts(warm) == (3, 0, 0), warm
        yield names


def exposed(server: Served, shot: Any) -> tuple[float, float]:
    """When a picture was exposed, and the frame before it, by this machine's one true clock."""
    data = server.call("GET", shot["picture"]["url"]).content
    note = re.search(rb"before ([0-9.]+) taken ([0-9.]+)", data)
    assert note
    return float(note[1]), float(note[2])


def take_together(server: Served, *words: str) -> Any:
    environment = {
        "OBJECTCLASSIFICATION_SERVER": server.url,
        "OBJECTCLASSIFICATION_TOKEN": str(server.token),
    }
    words = ("snap", "@sensors", "--until", "uploaded", *words)
    done = CliRunner().invoke(build_app(), words, env=environment)
    assert done.exit_code == 0, done.output
    return json.loads(done.output) if "--json" in words else done.output


def test_cameras_expose_together_whatever_their_clocks_show(
    server: Served, sensors: list[str]
) -> None:
    spreads = []
    for _ in range(3):
        result = take_together(server, "--in", "0.8", "--json")
        moments = []
        truths = []
        for shot in result["shots"]:
            before, taken = exposed(server, shot)
            skew = shot["skew"]
            uncertainty_s = skew["uncertainty_ms"] / 1000 + 0.0002
            moment = taken - skew["ms"] / 1000
            # The first frame after the moment, on each camera.
            assert before - uncertainty_s <= moment <= taken + uncertainty_s, shot
            assert shot["warnings"] == []
            moments.append((moment, uncertainty_s))
            truths.append(taken)
        # They all speak of the same moment: what they say of it is true.
        for moment, uncertainty_s in moments:
            for other, other_s in moments:
                assert abs(moment - other) <= uncertainty_s + other_s, result
        spread_s = max(truths) - min(truths)
        skew = result["skew"]
        assert skew["shots"] == 3
        assert abs(skew["spread_ms"] / 1000 - spread_s) <= 2 * skew["uncertainty_ms"] / 1000 + 0.001
        assert skew["median_ms"] <= skew["worst_ms"]
        spreads.append(spread_s)
    # A machine that is busy may hold up a sensor once, but not each time.
    assert min(spreads) <= FRAME_S, spreads


def test_the_screen_and_the_page_say_how_well(server: Served, sensors: list[str]) -> None:
    said = take_together(server, "--in", "0.5", "!sensor-1")
    assert re.search(r"2 of 2 answered in \d+ ms", said)
    assert re.search(r"exposed together: median [\d.]+ ms, worst [\d.]+ ms from the moment", said)
    newest = re.search(r"snap (\S+):", said)
    assert newest
    page = server.call("GET", f"/snaps/{newest[1]}").text
    assert "All at" in page
    assert re.search(r"median [\d.]+ ms, worst [\d.]+ ms from the moment", page)
    assert len(re.findall(r"\d ms after the moment", page)) == 2


def test_wrong_words_are_refused_at_the_command_line(server: Served) -> None:
    environment = {
        "OBJECTCLASSIFICATION_SERVER": server.url,
        "OBJECTCLASSIFICATION_TOKEN": str(server.token),
    }
    for words in (["--in", "0"], ["--in", "1", "--at", "noon"], ["--in", "nan"], ["--at", "inf"]):
        done = CliRunner().invoke(build_app(), ["snap", "tg-one", *words], env=environment)
        assert done.exit_code != 0, words

"""Codes that join a phone: good once, for a while, for one camera."""

from __future__ import annotations

import re
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from requests import Response
from typer.testing import CliRunner

from objectclassification.auth import hash_token
from objectclassification.cli import build_app
from objectclassification.store import joins
from tests.serving import Served, photo
from tests.terminal import Terminal


def made(server: Served, camera: str, **more: Any) -> Any:
    answer = server.call("POST", "/api/joins", json={"camera": camera}, **more)
    assert answer.status_code == 201, answer.text
    return answer.json()


def redeem(server: Served, code: str) -> Response:
    return server.call("POST", "/api/joins/redeem", json={"code": code}, token="")


def look(server: Served, code: str) -> Response:
    return server.call("POST", "/api/joins/look", json={"code": code}, token="")


def refusal(answer: Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


def test_a_code_becomes_a_token_of_that_camera(server: Served) -> None:
    code = made(server, "j-phone")["code"]
    before = server.call("GET", "/api/tokens").json()
    answer = redeem(server, code)
    assert answer.status_code == 201
    got = answer.json()
    assert (got["role"], got["cameras"]) == ("camera", ["j-phone"])
    assert got["token"] not in str(before)
    slots = {one["camera"]: one["number"] for one in server.call("GET", "/snippets").json()}
    path = f"/snippets/{slots['j-phone']}"
    assert server.call("PUT", path, data=photo("joined"), token=got["token"]).status_code == 201
    assert server.call("GET", "/api/cameras", token=got["token"]).status_code == 403
    assert server.call("DELETE", f"/api/tokens/{got['id']}").status_code == 204
    assert server.call("GET", "/api/cameras", token=got["token"]).status_code == 401


def test_a_code_is_enough_bits_and_kept_nowhere(server: Served) -> None:
    join = made(server, "j-kept")
    assert len(join["code"]) * 6 >= 128
    assert join["link"] == f"{server.url}/join#{join['code']}"
    file = server.settings.data / "database.sqlite3"
    stored = b"".join(each.read_bytes() for each in file.parent.glob(f"{file.name}*"))
    assert join["code"].encode() not in stored
    assert hash_token(join["code"]).encode() in stored


def test_to_look_at_a_code_does_not_use_it(server: Served) -> None:
    code = made(server, "j-look")["code"]
    for _ in range(2):
        answer = look(server, code)
        assert (answer.status_code, answer.json()) == (200, {"camera": "j-look"})
    assert redeem(server, code).status_code == 201
    assert refusal(look(server, code)) == (409, "join_used")
    assert refusal(look(server, "x" * 22)) == (404, "not_found")


def test_a_code_works_once_however_many_come_at_the_same_time(server: Served) -> None:
    code = made(server, "j-crowd")["code"]
    with ThreadPoolExecutor(8) as crowd:
        answers = list(crowd.map(lambda _: redeem(server, code), range(8)))
    assert sorted(answer.status_code for answer in answers) == [201] + [409] * 7
    assert {refusal(answer)[1] for answer in answers if not answer.ok} == {"join_used"}
    tokens = server.call("GET", "/api/tokens").json()
    assert len([one for one in tokens if one["cameras"] == ["j-crowd"]]) == 1


def test_a_newer_code_of_the_camera_is_the_good_one(server: Served) -> None:
    old, other, new = (made(server, name)["code"] for name in ("j-new", "j-other", "j-new"))
    assert refusal(redeem(server, old)) == (404, "not_found")
    assert redeem(server, new).status_code == 201
    assert redeem(server, other).status_code == 201


def test_a_code_is_too_old_after_its_time(server: Served) -> None:
    now = time.time()

    def keep(code: str, expires_at: float) -> None:
        work = server.parts.database.write(
            lambda c: joins.add(
                c, hash_token(code), f"j-{code}", made_by="me", at=now, expires_at=expires_at
            )
        )
        server.run(work)

    keep("late", now - 1)
    answer = redeem(server, "late")
    assert refusal(answer) == (409, "join_expired")
    assert "ask for a new one" in answer.json()["detail"]
    # A day later it is as good as never made; the next one that is made clears it away.
    keep("forgotten", now - joins.REMEMBERED_S - 1)
    made(server, "j-next")
    assert refusal(redeem(server, "forgotten")) == (404, "not_found")
    assert refusal(redeem(server, "late")) == (409, "join_expired")


def test_a_code_ends_with_the_token_that_made_it(server: Served) -> None:
    admin = server.call("POST", "/api/tokens", json={"role": "admin"}).json()
    used, open_ = (made(server, f"j-{n}", token=admin["token"])["code"] for n in ("used", "open"))
    phone = redeem(server, used).json()["token"]
    assert server.call("DELETE", f"/api/tokens/{admin['id']}").status_code == 204
    assert refusal(redeem(server, open_)) == (404, "not_found")
    # What was joined before stays: it is a token of its own.
    assert server.call("GET", "/api/cameras", token=phone).status_code == 403


def test_guesses_are_made_slow(tmp_path: Path) -> None:
    with Served(tmp_path / "data") as served, ThreadPoolExecutor(16) as crowd:
        began = time.monotonic()
        answers = list(crowd.map(lambda n: redeem(served, f"guess{n}"), range(200)))
        # A hundred at once, and 50 a second from then on (hub/pace.py).
        assert time.monotonic() - began > 1
    assert {answer.status_code for answer in answers} == {404}


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/api/joins", {}),
        ("/api/joins", {"camera": ""}),
        ("/api/joins", {"camera": "<script>"}),
        ("/api/joins", {"camera": "x" * 65}),
        ("/api/joins", {"camera": "door", "more": 1}),
        ("/api/joins/look", {}),
        ("/api/joins/look", {"code": "x" * 65}),
        ("/api/joins/redeem", {}),
        ("/api/joins/redeem", {"code": ""}),
        ("/api/joins/redeem", {"code": "x" * 65}),
        ("/api/joins/redeem", {"code": 7}),
        ("/api/joins/redeem", []),
    ],
)
def test_what_is_no_request_costs_nothing(path: str, body: object, server: Served) -> None:
    before = server.rows()
    assert refusal(server.call("POST", path, json=body)) == (422, "bad_message")
    assert server.rows() == before


def test_the_link_is_the_way_the_caller_came_through_a_proxy(tmp_path: Path) -> None:
    with Served(tmp_path / "data", trusted_proxies="127.0.0.1") as served:
        join = made(served, "j-way", headers={"Host": "cameras.example.org:8443"})
        assert join["link"].startswith("http://cameras.example.org:8443/join#")
        assert "https addresses only" in join["warning"]
        https = {"Host": "cameras.example.org", "X-Forwarded-Proto": "https"}
        join = made(served, "j-way", headers=https)
        assert join["link"].startswith("https://cameras.example.org/join#")
        assert join["warning"] is None


def test_a_host_that_is_not_the_servers_gets_into_no_link(server: Served) -> None:
    for host in ("evil.example", f"evil.example:{server.port}", "127.0.0.1@evil.example"):
        assert made(server, "j-host", headers={"Host": host})["link"].startswith(server.url)
    assert "--host 0.0.0.0" in made(server, "j-host")["warning"]


def test_a_name_of_the_certificate_is_one_for_a_link(tmp_path: Path) -> None:
    with Served(tmp_path / "data", tls="auto", tls_names="cameras.lan") as served:
        join = made(served, "j-named", headers={"Host": f"cameras.lan:{served.port}"})
        assert join["link"].startswith(f"https://cameras.lan:{served.port}/join#")
        assert join["warning"] is None


def test_on_its_own_machine_the_link_is_the_address_from_outside(tmp_path: Path) -> None:
    with Served(tmp_path / "data", host="0.0.0.0", tls="auto") as served:  # noqa: S104 - for tests
        join = made(served, "j-outside")
        found = re.fullmatch(rf"https://(.+):{served.port}/join#[\w-]{{22}}", join["link"])
        assert found
        named = {"Host": f"cameras.lan:{served.port}"}
        assert made(served, "j-named", headers=named)["link"].startswith(f"https://{found[1]}:")
        assert join["trust"] == f"https://{found[1]}:{served.port}/trust"
        assert (join["warning"] is None) == (found[1] != "127.0.0.1")  # no network at all


def environment(server: Served) -> dict[str, str]:
    return {
        "OBJECTCLASSIFICATION_SERVER": server.url,
        "OBJECTCLASSIFICATION_TOKEN": str(server.token),
    }


def test_the_command_line_prints_the_link(server: Served) -> None:
    words = ["token", "add", "--phone", "j-shell"]
    done = CliRunner().invoke(build_app(), words, env=environment(server))
    assert done.exit_code == 0, done.exception
    link = done.stdout.strip()
    assert "it becomes the camera j-shell" in done.stderr
    assert "no phone can" in done.stderr  # it is on loopback
    assert redeem(server, link.partition("#")[2]).json()["cameras"] == ["j-shell"]


def test_a_terminal_shows_a_code_to_scan(server: Served, tmp_path: Path) -> None:
    words = ("token", "add", "--phone", "j-screen")
    with Terminal(tmp_path / "home", *words, **environment(server)) as terminal:
        terminal.shows("works once")
        screen = terminal.screen
    (link,) = re.findall(r"^http\S+", screen, re.M)
    light = {"█": (255, 255), "▀": (255, 0), "▄": (0, 255), " ": (0, 0)}
    drawn = [line for line in screen.splitlines() if line and set(line) <= set(light)]
    rows = [[light[half][row] for half in line] for line in drawn for row in (0, 1)]
    dots = np.array(rows, np.uint8).repeat(8, axis=0).repeat(8, axis=1)
    assert cv2.QRCodeDetector().detectAndDecode(dots)[0] == link


@pytest.mark.parametrize(
    "words",
    [
        ("--phone", "a", "--camera", "b"),
        ("--phone", "a", "--role", "viewer"),
        ("--phone", "no name"),
        (),
    ],
)
def test_a_mistake_makes_no_code(words: tuple[str, ...], server: Served) -> None:
    before = server.rows()
    done = CliRunner().invoke(build_app(), ["token", "add", *words], env=environment(server))
    assert done.exit_code == 2
    assert server.rows() == before

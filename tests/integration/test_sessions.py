"""Browsers' sessions over HTTP and the WebSocket, without a browser."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import requests
from websockets.exceptions import ConnectionClosedError, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from objectclassification.messages import Hello, Welcome, encode
from objectclassification.store import sessions, tables
from objectclassification.store.writer import open_database
from tests.certificates import trusting
from tests.serving import WAIT_S, Served, hear


def sign_in(server: Served, token: str, **more: Any) -> requests.Response:
    headers = {"Origin": server.url, **more.pop("headers", {})}
    fields = {"token": token, "next": "/", **more}
    return server.call("POST", "/signin", token="", data=fields, headers=headers)


def cookie_of(answer: requests.Response) -> str:
    assert answer.status_code == 303, answer.text
    return answer.headers["Set-Cookie"].partition(";")[0]


def with_cookie(
    server: Served, method: str, path: str, cookie: str, **more: Any
) -> requests.Response:
    headers = {"Cookie": cookie, **more.pop("headers", {})}
    return server.call(method, path, token="", headers=headers, **more)


def socket(server: Served, cookie: str, origin: str) -> ClientConnection:
    headers = {"Cookie": cookie, "Origin": origin}
    url = f"ws{server.url.removeprefix('http')}/ws"
    trusted = trusting(server.ca) if server.ca else None
    return connect(url, ssl=trusted, additional_headers=headers, compression=None, proxy=None)


@pytest.fixture
def cookie(server: Served) -> str:
    """Of a session of an operator's."""
    return cookie_of(sign_in(server, server.new_token("operator")))


def test_the_cookie_is_the_browsers_alone(server: Served) -> None:
    answer = sign_in(server, server.token or "")
    cookie = answer.headers["Set-Cookie"]
    assert cookie.startswith(f"oc_session_{server.port}=")
    for word in ("HttpOnly", "SameSite=strict", "Path=/", "Max-Age=2592000"):
        assert word in cookie
    assert "Secure" not in cookie
    assert "Domain" not in cookie


def test_under_tls_no_other_host_can_set_it(tmp_path: Path) -> None:
    with Served(tmp_path / "data", tls="auto") as served:
        answer = sign_in(served, served.token or "")
        cookie = answer.headers["Set-Cookie"]
        assert cookie.startswith(f"__Host-oc_session_{served.port}=")
        assert "Secure" in cookie
        name, _, value = cookie_of(answer).partition("=")
        assert with_cookie(served, "GET", "/api/cameras", f"{name}={value}").status_code == 200
        with socket(served, f"{name}={value}", served.url) as opened:
            opened.send(encode(Hello(role="controller", instance="page")).decode())
            assert hear(opened, Welcome).heartbeat_s > 0
        plain = f"{name.removeprefix('__Host-')}={value}"
        assert with_cookie(served, "GET", "/api/cameras", plain).status_code == 401


def test_under_tls_a_page_of_plain_http_is_another_origin(tmp_path: Path) -> None:
    """Whoever is on the way can write one, at the same host and port."""
    with Served(tmp_path / "data", tls="auto") as served:
        served.new_token("camera", "door")
        cookie = cookie_of(sign_in(served, served.token or ""))
        plain = served.url.replace("https", "http")
        for origin, status in ((plain, 403), (served.url, 200)):
            changed = with_cookie(
                *(served, "PATCH", "/api/cameras/door", cookie),
                json={"detect": False},
                headers={"Origin": origin},
            )
            assert changed.status_code == status
        with pytest.raises(InvalidStatus, match="403"):
            socket(served, cookie, plain)
        assert sign_in(served, served.token or "", headers={"Origin": plain}).status_code == 403


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Sec-Fetch-Site": "same-origin"}, 200),
        ({"Origin": "own"}, 200),
        ({}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "http://127.0.0.1"}, 403),  # another port of this host
        ({"Origin": "own", "Sec-Fetch-Site": "same-site"}, 403),
        ({"Origin": "own", "Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "none"}, 403),
    ],
)
def test_only_our_own_pages_change_anything(
    headers: dict[str, str], status: int, server: Served, cookie: str
) -> None:
    headers = {k: server.url if v == "own" else v for k, v in headers.items()}
    body = {"detect": False}
    answer = with_cookie(server, "PATCH", "/api/cameras/door", cookie, json=body, headers=headers)
    assert answer.status_code == status, answer.text
    read = with_cookie(server, "GET", "/api/cameras", cookie, headers=headers)
    assert read.status_code == 200


def test_a_token_in_the_header_needs_no_origin(server: Served, cookie: str) -> None:
    made = server.call(
        "PATCH", "/api/cameras/door", json={"detect": False}, headers={"Cookie": cookie}
    )
    assert made.status_code == 200


def test_nobody_is_signed_in_from_elsewhere(server: Served) -> None:
    headers = {"Origin": "http://evil.example"}
    answer = sign_in(server, server.token or "", headers=headers)
    assert answer.status_code == 403
    assert "Set-Cookie" not in answer.headers


@pytest.mark.parametrize(
    ("wanted", "leads_to"),
    [
        ("/settings/sessions?a=1", "/settings/sessions?a=1"),
        ("", "/"),
        ("//evil.example/", "/"),
        ("///evil.example/", "/"),
        ("/\\evil.example/", "/"),
        ("https://evil.example/", "/"),
        ("javascript:alert(1)", "/"),
        ("http://[", "/"),
        ("/\r\nSet-Cookie: a=b", "/"),
    ],
)
def test_it_leads_nowhere_else(wanted: str, leads_to: str, server: Served) -> None:
    answer = sign_in(server, server.token or "", next=wanted)
    assert answer.headers["Location"] == leads_to


@pytest.mark.parametrize("body", [b"\xff", b"a=1&b=2&c=3&d=4&e=5", b"token=" + b"x" * 70_000])
def test_a_form_of_no_use(body: bytes, server: Served) -> None:
    headers = {"Origin": server.url}
    answer = server.call("POST", "/signin", token="", data=body, headers=headers)
    assert answer.status_code in (413, 422)
    assert answer.headers["content-type"].startswith("text/html")


def test_a_session_is_as_good_as_its_token_at_the_hub(server: Served, cookie: str) -> None:
    with socket(server, cookie, server.url) as opened:
        opened.send(encode(Hello(role="controller", instance="page")).decode())
        assert hear(opened, Welcome).heartbeat_s > 0
    with pytest.raises(InvalidStatus) as refused, socket(server, cookie, "http://evil.example"):
        pass
    assert refused.value.response.status_code == 403
    with pytest.raises(InvalidStatus) as refused, socket(server, "oc_session=1", server.url):
        pass
    assert refused.value.response.status_code == 401


def test_who_sees_and_ends_which(server: Served) -> None:
    tokens = [server.new_token("viewer"), server.new_token("viewer")]
    cookies = [cookie_of(sign_in(server, token)) for token in tokens]
    own = {"Origin": server.url}
    (mine,) = with_cookie(server, "GET", "/api/sessions", cookies[0]).json()
    (theirs,) = with_cookie(server, "GET", "/api/sessions", cookies[1]).json()
    assert mine["current"]
    assert mine["role"] == "viewer"
    everyones = {shown["id"] for shown in server.call("GET", "/api/sessions").json()}
    assert {mine["id"], theirs["id"]} <= everyones
    path = f"/api/sessions/{theirs['id']}"
    assert with_cookie(server, "DELETE", path, cookies[0], headers=own).status_code == 404
    assert with_cookie(server, "GET", "/api/sessions", cookies[1]).status_code == 200
    assert with_cookie(server, "DELETE", path, cookies[1], headers=own).status_code == 204
    assert with_cookie(server, "GET", "/api/sessions", cookies[1]).status_code == 401
    assert server.call("DELETE", f"/api/sessions/{mine['id']}").status_code == 204
    assert server.call("DELETE", f"/api/sessions/{mine['id']}").status_code == 404


@pytest.mark.parametrize("ended", ["token", "session", "signed out"])
def test_what_ends_a_session_closes_its_connections(ended: str, server: Served) -> None:
    made = server.call("POST", "/api/tokens", json={"role": "viewer"}).json()
    cookie = cookie_of(sign_in(server, made["token"]))
    (shown,) = with_cookie(server, "GET", "/api/sessions", cookie).json()
    with socket(server, cookie, server.url) as opened:
        opened.send(encode(Hello(role="controller", instance=f"e-{made['id']}")).decode())
        hear(opened, Welcome)
        if ended == "token":
            server.call("DELETE", f"/api/tokens/{made['id']}")
        elif ended == "session":
            server.call("DELETE", f"/api/sessions/{shown['id']}")
        else:
            own = {"Origin": server.url}
            out = with_cookie(server, "POST", "/signout", cookie, headers=own)
            assert out.headers["Location"] == "/signin"
        with pytest.raises(ConnectionClosedError) as closed:
            opened.recv(timeout=WAIT_S)
        assert closed.value.rcvd
        assert closed.value.rcvd.code == 1008
    assert with_cookie(server, "GET", "/api/cameras", cookie).status_code == 401
    assert shown["id"] not in server.call("GET", "/api/sessions").text


def test_a_session_outlives_the_server_and_ends_by_itself(tmp_path: Path) -> None:
    with Served(tmp_path / "data") as served:
        cookie = cookie_of(sign_in(served, served.token or ""))
        port = served.port
    name, _, value = cookie.partition("=")

    def status() -> int:
        with Served(tmp_path / "data") as again:
            renamed = f"{name.replace(str(port), str(again.port))}={value}"
            return with_cookie(again, "GET", "/api/cameras", renamed).status_code

    assert status() == 200
    database = open_database(tmp_path / "data" / "database.sqlite3")
    with database.engine.begin() as connection:
        connection.execute(tables.sessions.update().values(expires_at=1.0))
    database.close()
    assert status() == 401


def test_pages_put_its_end_off(tmp_path: Path) -> None:
    with Served(tmp_path / "data") as served:
        cookie = cookie_of(sign_in(served, served.token or ""))
        assert "Set-Cookie" not in with_cookie(served, "GET", "/", cookie).headers
        (shown,) = served.call("GET", "/api/sessions").json()
    database = open_database(tmp_path / "data" / "database.sqlite3")
    with database.engine.begin() as connection:
        long_ago = tables.sessions.c.seen_at - 7200
        connection.execute(tables.sessions.update().values(seen_at=long_ago))
    database.close()
    name, _, value = cookie.partition("=")
    with Served(tmp_path / "data") as again:
        renamed = f"{name.rpartition('_')[0]}_{again.port}={value}"
        assert "Max-Age=2592000" in with_cookie(again, "GET", "/", renamed).headers["Set-Cookie"]
        (later,) = again.call("GET", "/api/sessions").json()
        assert later["expires_at"] > shown["expires_at"]


def test_a_token_has_so_many_sessions(server: Served) -> None:
    token = server.new_token("viewer")
    first = cookie_of(sign_in(server, token))
    for _ in range(sessions.MOST_OF_A_TOKEN):
        last = cookie_of(sign_in(server, token))
    assert with_cookie(server, "GET", "/api/cameras", first).status_code == 401
    assert len(with_cookie(server, "GET", "/api/sessions", last).json()) == sessions.MOST_OF_A_TOKEN


def test_without_tokens_nobody_signs_in(tmp_path: Path) -> None:
    with Served(tmp_path / "data", no_auth=True) as served:
        for answer in (
            served.call("GET", "/signin"),
            served.call("GET", "/?token=old"),
            sign_in(served, "anything"),
        ):
            assert (answer.status_code, answer.headers["Location"]) == (303, "/")
            assert "Set-Cookie" not in answer.headers
        page = served.call("GET", "/")
        assert page.status_code == 200
        assert "/signout" not in page.text


def test_files_may_be_kept_for_ever(server: Served) -> None:
    page = server.call("GET", "/signin", token="").text
    address = page.partition('rel="stylesheet" href="')[2].partition('"')[0]
    answer = server.call("GET", address, token="")
    assert answer.headers["content-type"].startswith("text/css")
    assert "immutable" in answer.headers["Cache-Control"]
    again = server.call("GET", address, token="", headers={"If-None-Match": answer.headers["ETag"]})
    assert (again.status_code, again.content) == (304, b"")
    old = server.call("GET", "/static/0123456789abcdef/base.css", token="")
    assert (old.content, old.headers["Cache-Control"]) == (answer.content, "no-cache")
    assert server.call("GET", "/static/0123456789abcdef/base.py", token="").status_code == 404

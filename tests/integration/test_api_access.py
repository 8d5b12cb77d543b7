"""Who may do what: every cell of the role x call table, over HTTP and over the WebSocket."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pytest
from fastapi.routing import APIRoute
from starlette.routing import BaseRoute
from websockets.exceptions import ConnectionClosedError, InvalidStatus

from objectclassification.auth import TokenRole
from objectclassification.messages import (
    Accepted,
    CameraOffer,
    Hello,
    Problem,
    SnapRequest,
    Welcome,
    encode,
)
from objectclassification.store import tables
from objectclassification.store.writer import open_database
from tests.serving import WAIT_S, Served, hear, photo

Caller = Literal["nobody", "stranger", "camera", "other camera", "viewer", "operator", "admin"]
CALLERS: tuple[Caller, ...] = (
    "nobody",
    "stranger",
    "camera",
    "other camera",
    "viewer",
    "operator",
    "admin",
)
READERS: frozenset[Caller] = frozenset({"viewer", "operator", "admin"})
SNAPPERS: frozenset[Caller] = frozenset({"operator", "admin"})
ADMINS: frozenset[Caller] = frozenset({"admin"})
UPLOADERS: frozenset[Caller] = frozenset({"camera", "admin"})
ANYBODY = frozenset(CALLERS)


@dataclass(frozen=True)
class Call:
    """One row of the table.

    Attributes:
        route: method and path as the app knows it.
        may: who may call it.
        status: what they get.
        path: the address, where it is not the route's own.
        body: more for the request.
    """

    route: str
    may: frozenset[Caller]
    status: int = 200
    path: Callable[[Served], str] | None = None
    body: dict[str, Any] | None = None


def picture(form: str = "") -> Callable[[Served], str]:
    def path(server: Served) -> str:
        made = server.call("PUT", "/snippets/1", data=photo(), headers={"Idempotency-Key": "table"})
        server.settle()
        return f"/api/pictures/{made.json()['id']}{form}"

    return path


def ended_snap(server: Served) -> str:
    receipt = server.call("POST", "/api/snaps?wait=1", json={"to": ["door"]}).json()
    assert receipt["done"]
    return f"/api/snaps/{receipt['snap']}"


def fresh_token(server: Served) -> str:
    made = server.call("POST", "/api/tokens", json={"role": "viewer"})
    return f"/api/tokens/{made.json()['id']}"


TABLE = (
    Call("PUT /snippets/{number}", UPLOADERS, 201, lambda s: "/snippets/1", {"data": photo()}),
    Call("GET /snippets", READERS),
    Call("GET /snippets/{number}", READERS, path=lambda s: "/snippets/1"),
    Call(
        "GET /snippets/{number}/image",
        READERS,
        path=lambda s: "/snippets/1/image" if picture()(s) else "",
    ),
    Call(
        "POST /api/snaps", SNAPPERS, 200, lambda s: "/api/snaps?wait=1", {"json": {"to": ["door"]}}
    ),
    Call("GET /api/snaps", READERS),
    Call("GET /api/snaps/{snap_id}", READERS, path=ended_snap),
    Call("DELETE /api/snaps/{snap_id}", SNAPPERS, path=ended_snap),
    Call("GET /api/pictures", READERS),
    Call("GET /api/pictures/counts", READERS),
    Call("GET /api/pictures/scores", READERS, path=lambda s: "/api/pictures/scores?label=a"),
    Call("GET /api/pictures/export", READERS, path=lambda s: "/api/pictures/export?format=csv"),
    Call(
        "PATCH /api/pictures",
        SNAPPERS,
        404,
        body={"json": {"pictures": ["none"], "labels": {"table": "open"}}},
    ),
    Call("POST /api/deletions", ADMINS, 404, body={"json": {"pictures": ["none"]}}),
    Call("GET /api/deletions", ADMINS),
    Call("DELETE /api/deletions/{deletion_id}", ADMINS, 404, lambda s: "/api/deletions/none"),
    Call("GET /api/pictures/{picture_id}", READERS, path=picture()),
    Call("GET /api/pictures/{picture_id}/image", READERS, path=picture("/image")),
    Call("GET /api/pictures/{picture_id}/thumbnail", READERS, path=picture("/thumbnail")),
    Call("GET /api/pictures/{picture_id}/medium", READERS, path=picture("/medium")),
    Call("GET /api/pictures/{picture_id}/similar", READERS, path=picture("/similar")),
    Call("POST /api/similar", READERS, body={"data": photo("like this")}),
    Call(
        "PATCH /api/pictures/{picture_id}",
        SNAPPERS,
        path=picture(),
        body={"json": {"labels": {"table": "open"}}},
    ),
    Call("GET /api/heads", READERS),
    Call("GET /api/heads/{name}", READERS, 404, lambda s: "/api/heads/none"),
    Call("GET /api/heads/{name}/versions", READERS, 404, lambda s: "/api/heads/none/versions"),
    Call(
        "GET /api/heads/{name}/versions/{number}", READERS, 404, lambda s: "/api/heads/a/versions/1"
    ),
    Call(
        "POST /api/heads/{name}/versions",
        SNAPPERS,
        409,
        lambda s: "/api/heads/none/versions",
        {"json": {}},
    ),
    Call(
        "POST /api/heads/{name}/activate",
        SNAPPERS,
        404,
        lambda s: "/api/heads/none/activate",
        {"json": {"version": 1}},
    ),
    Call("POST /api/heads/{name}/rollback", SNAPPERS, 404, lambda s: "/api/heads/none/rollback"),
    Call("GET /api/heads/{name}/suggestions", READERS, path=lambda s: "/api/heads/a/suggestions"),
    Call("GET /api/cameras", READERS),
    Call(
        "PATCH /api/cameras/{name}",
        SNAPPERS,
        path=lambda s: "/api/cameras/door",
        body={"json": {"detect": False}},
    ),
    Call("DELETE /api/cameras/{name}", ADMINS, 404, lambda s: "/api/cameras/none"),
    Call("GET /api/cameras/{name}/presence", READERS, 404, lambda s: "/api/cameras/none/presence"),
    Call("GET /api/cameras/{name}/report", SNAPPERS, 404, lambda s: "/api/cameras/none/report"),
    Call("POST /api/tokens", ADMINS, 201, body={"json": {"role": "viewer"}}),
    Call("GET /api/tokens", ADMINS),
    Call("DELETE /api/tokens/{token_id}", ADMINS, 204, fresh_token),
    Call("POST /api/joins", ADMINS, 201, body={"json": {"camera": "phone"}}),
    Call("POST /api/joins/look", ANYBODY, 404, body={"json": {"code": "none"}}),
    Call("POST /api/joins/redeem", ANYBODY, 404, body={"json": {"code": "none"}}),
    Call("GET /api/sessions", READERS),
    Call("DELETE /api/sessions/{session_id}", READERS, 404, lambda s: "/api/sessions/none"),
    Call("GET /api/schedules", READERS),
    Call("POST /api/schedules", SNAPPERS, 422, body={"json": {"cron": "never", "to": ["*"]}}),
    Call(
        "PATCH /api/schedules/{name}",
        SNAPPERS,
        404,
        lambda s: "/api/schedules/none",
        {"json": {"paused": True}},
    ),
    Call("DELETE /api/schedules/{name}", SNAPPERS, 404, lambda s: "/api/schedules/none"),
    Call("GET /api/rules", READERS),
    Call("POST /api/rules", ADMINS, 422, body={"json": {"name": "nothing"}}),
    Call("DELETE /api/rules/{name}", ADMINS, 404, lambda s: "/api/rules/none"),
    Call("GET /api/verdicts", READERS),
    Call("GET /api/models", READERS),
    Call("PUT /api/models/{model_id}", ADMINS, 422, lambda s: "/api/models/a", {"data": b"x"}),
    Call("POST /api/models/{model_id}/use", ADMINS, path=lambda s: "/api/models/shipped/use"),
    Call("DELETE /api/models/{model_id}", ADMINS, 404, lambda s: "/api/models/none"),
    Call("GET /api/unsure", READERS),
    Call(
        "POST /api/unsure/{model_id}",
        ADMINS,
        404,
        lambda s: "/api/unsure/none",
        {"json": {"below": 0.5}},
    ),
    Call("DELETE /api/unsure/{model_id}", ADMINS, 404, lambda s: "/api/unsure/none"),
    Call("GET /metrics", READERS),
    Call("GET /healthz", ANYBODY),
    Call("GET /readyz", ANYBODY),
    Call("GET /", READERS),
    Call("GET /cameras/{name}", READERS, 404, lambda s: "/cameras/none"),
    Call("GET /history", READERS),
    Call(
        "GET /pictures/{picture_id}",
        READERS,
        path=lambda s: picture()(s).removeprefix("/api"),
    ),
    Call("GET /teach", READERS),
    Call("GET /teach/{name}", READERS, path=lambda s: "/teach/valve"),
    Call("GET /teach/{name}/{number}", READERS, 404, lambda s: "/teach/none/1"),
    Call("GET /snaps", READERS),
    Call("GET /snaps/{snap_id}", READERS, path=lambda s: ended_snap(s).removeprefix("/api")),
    Call("GET /schedules", READERS),
    Call("GET /settings", READERS),
    Call("GET /settings/sessions", READERS),
    Call("GET /join", ANYBODY),
    Call("GET /join/new", ADMINS),
    Call("POST /join/new", ADMINS, body={"data": {"camera": "phone"}}),
    Call("GET /signin", ANYBODY),
    Call("POST /signin", ANYBODY, 403),  # it is for a page of our own
    Call("POST /signout", ANYBODY - {"nobody", "stranger"}, 303),
    Call("GET /static/{version}/{name}", ANYBODY, path=lambda s: "/static/0/base.css"),
    Call("GET /trust", ANYBODY, 404),  # no TLS, no authority
    Call("GET /ca.crt", ANYBODY, 404),
    Call("GET /openapi.json", ANYBODY),
    Call("GET /docs", ANYBODY),
    Call("GET /docs/oauth2-redirect", ANYBODY),
    Call(
        "GET /static-offline-docs",
        ANYBODY,
        path=lambda s: "/static-offline-docs/swagger-ui.css",
    ),
)
PAGES = (
    *("GET /", "GET /cameras/{name}", "GET /history", "GET /pictures/{picture_id}", "GET /teach"),
    *("GET /teach/{name}", "GET /teach/{name}/{number}"),
    *("GET /snaps", "GET /snaps/{snap_id}", "GET /schedules"),
    *("GET /settings", "GET /settings/sessions"),
    *("GET /join/new", "POST /join/new", "POST /signout"),
)
CELLS = [
    pytest.param(call, caller, id=f"{call.route} {caller}") for call in TABLE for caller in CALLERS
]


@pytest.fixture(scope="module")
def keys(server: Served, tokens: dict[TokenRole, str]) -> dict[Caller, str]:
    """The token of each caller; an empty one is none."""
    return {
        "nobody": "",
        "stranger": "oc_" + "x" * 43,
        "camera": tokens["camera"],
        "other camera": server.new_token("camera", "yard"),
        "viewer": tokens["viewer"],
        "operator": tokens["operator"],
        "admin": tokens["admin"],
    }


@pytest.mark.parametrize(("call", "caller"), CELLS)
def test_http(call: Call, caller: Caller, server: Served, keys: dict[Caller, str]) -> None:
    method, path = call.route.split(" ")
    path = call.path(server) if call.path else path
    server.settle()
    before = server.rows()
    answer = server.call(method, path, token=keys[caller], **(call.body or {}))
    if caller in call.may:
        assert answer.status_code == call.status, answer.text
        return
    assert answer.status_code == (401 if caller in ("nobody", "stranger") else 403)
    if call.route in PAGES:  # they are for people
        assert answer.headers["content-type"].startswith("text/html")
    else:
        code = "unauthorized" if answer.status_code == 401 else "forbidden"
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["code"] == code
        assert ("WWW-Authenticate" in answer.headers) == (answer.status_code == 401)
    assert keys[caller] == "" or keys[caller] not in answer.text
    if method != "GET":
        assert server.rows() == before


def routes(server: Served) -> Iterator[str]:
    found: list[BaseRoute] = list(server.system.app.router.routes)
    while found:
        route = found.pop()
        inner = getattr(getattr(route, "original_router", None), "routes", None)
        if inner is not None:
            found.extend(inner)
        elif isinstance(route, APIRoute):
            yield from (f"{method} {route.path}" for method in sorted(route.methods or ()))
        else:
            yield f"GET {route.path}"  # type: ignore[attr-defined]


def test_no_route_is_missing_from_the_table(server: Served) -> None:
    assert sorted(set(routes(server))) == sorted(call.route for call in TABLE)


@pytest.mark.parametrize("path", ["/snippets", "/snippets/1", "/api/cameras", "/healthz", "/docs"])
def test_a_last_slash_is_as_good_as_none(path: str, server: Served) -> None:
    without, with_one = (server.call("GET", path + end) for end in ("", "/"))
    assert without.status_code == with_one.status_code == 200
    assert without.content == with_one.content


def test_a_token_in_the_address_is_for_reading_only(server: Served) -> None:
    query = f"?token={server.token}"
    assert server.call("GET", f"/api/cameras{query}", token="").status_code == 200
    made = server.call("POST", f"/api/tokens{query}", json={"role": "admin"}, token="")
    assert made.status_code == 401
    assert server.call("PUT", f"/snippets/1/{query}", data=photo(), token="").status_code == 401


@pytest.mark.parametrize("scheme", ["Basic", "Token", "Bearer:", ""])
def test_another_scheme_is_no_token(scheme: str, server: Served) -> None:
    headers = {"Authorization": f"{scheme} {server.token}".strip()}
    assert server.call("GET", "/api/cameras", token="", headers=headers).status_code == 401


def test_a_revoked_token_is_bad_at_once_and_its_connections_close(server: Served) -> None:
    made = server.call("POST", "/api/tokens", json={"role": "viewer"}).json()
    with server.connect(made["token"]) as socket:
        assert server.call("GET", "/api/cameras", token=made["token"]).status_code == 200
        assert server.call("DELETE", f"/api/tokens/{made['id']}").status_code == 204
        with pytest.raises(ConnectionClosedError) as closed:
            socket.recv(timeout=WAIT_S)
        assert closed.value.rcvd
        assert closed.value.rcvd.code == 1008
    assert server.call("GET", "/api/cameras", token=made["token"]).status_code == 401
    assert server.call("DELETE", f"/api/tokens/{made['id']}").status_code == 404
    with pytest.raises(InvalidStatus), server.connect(made["token"]):
        pass


def test_the_last_admin_token_stays(tmp_path: Path) -> None:
    with Served(tmp_path / "data") as served:
        (first,) = served.call("GET", "/api/tokens").json()
        answer = served.call("DELETE", f"/api/tokens/{first['id']}")
        assert (answer.status_code, answer.json()["code"]) == (409, "conflict")
        assert "last admin token" in answer.json()["detail"]
        assert served.call("GET", "/api/tokens").status_code == 200
        another = served.new_token("admin")
        assert served.call("DELETE", f"/api/tokens/{first['id']}").status_code == 204
        assert served.call("GET", "/api/tokens", token=another).status_code == 200


@pytest.mark.parametrize("lost", ["revoked", "gone"])
def test_who_owns_the_data_folder_is_never_locked_out(tmp_path: Path, lost: str) -> None:
    with Served(tmp_path / "data") as served:
        token = served.token
    database = open_database(tmp_path / "data" / "database.sqlite3")
    with database.engine.begin() as connection:
        if lost == "gone":
            connection.execute(tables.tokens.delete())
        else:
            connection.execute(tables.tokens.update().values(revoked_at=1.0))
    database.close()
    with Served(tmp_path / "data") as served:
        assert served.token == token
        assert served.call("GET", "/api/tokens").status_code == 200
        extra = served.new_token("admin")
        (first, *_) = served.call("GET", "/api/tokens").json()
        assert served.call("DELETE", f"/api/tokens/{first['id']}").status_code == 204
    with Served(tmp_path / "data") as served:  # another one is good: what was revoked stays so
        assert served.call("GET", "/api/tokens").status_code == 401
        assert served.call("GET", "/api/tokens", token=extra).status_code == 200


def test_a_token_is_shown_once(server: Served) -> None:
    made = server.call("POST", "/api/tokens", json={"role": "operator", "name": "press"}).json()
    assert made["token"].startswith("oc_")
    listed = server.call("GET", "/api/tokens")
    assert made["token"] not in listed.text
    (row,) = [row for row in listed.json() if row["id"] == made["id"]]
    assert (row["role"], row["name"], row["cameras"]) == ("operator", "press", [])


@pytest.mark.parametrize(
    "wanted",
    [
        {},
        {"role": "root"},
        {"role": "camera"},
        {"role": "camera", "cameras": []},
        {"role": "camera", "cameras": ["a/b"]},
        {"role": "camera", "cameras": [".."]},
        {"role": "camera", "cameras": [""]},
        {"role": "camera", "cameras": ["x" * 65]},
        {"role": "camera", "cameras": [f"c{n}" for n in range(65)]},
        {"role": "viewer", "cameras": ["door"]},
        {"role": "viewer", "more": 1},
        {"role": "viewer", "name": "x" * 257},
        [],
        "text",
    ],
)
def test_a_token_nobody_can_have(wanted: object, server: Served) -> None:
    before = server.rows()
    answer = server.call("POST", "/api/tokens", json=wanted)
    assert (answer.status_code, answer.json()["code"]) == (422, "bad_message")
    assert server.rows() == before


@pytest.mark.parametrize("path", ["/", "/ws"])
@pytest.mark.parametrize("caller", CALLERS)
def test_websocket_handshake(
    path: str, caller: Caller, server: Served, keys: dict[Caller, str]
) -> None:
    if caller in ("nobody", "stranger"):
        with pytest.raises(InvalidStatus) as caught, server.connect(keys[caller] or "", path):
            pass
        assert caught.value.response.status_code == 401
        assert caught.value.response.headers["WWW-Authenticate"].startswith("Bearer")
    else:
        with server.connect(keys[caller], path) as socket:
            socket.send(encode(Hello(role="listener", instance="table")).decode())
            assert hear(socket, Welcome).heartbeat_s > 0


@pytest.mark.parametrize("caller", CALLERS[2:])
def test_websocket_snap(caller: Caller, server: Served, keys: dict[Caller, str]) -> None:
    with server.connect(keys[caller]) as socket:
        socket.send(encode(Hello(role="controller", instance="table")).decode())
        hear(socket, Welcome)
        socket.send(
            encode(SnapRequest(to=("door",), id=f"table-{caller}".replace(" ", "-"))).decode()
        )
        if caller in SNAPPERS:
            assert hear(socket, Accepted).cameras == ("door",)
        else:
            assert hear(socket, Problem).code == "forbidden"


@pytest.mark.parametrize("caller", CALLERS[2:])
def test_websocket_serving_a_camera(
    caller: Caller, server: Served, keys: dict[Caller, str]
) -> None:
    with server.connect(keys[caller]) as socket:
        hello = Hello(role="camera", instance="table", cameras=(CameraOffer(name="door"),))
        socket.send(encode(hello).decode())
        if caller in UPLOADERS:
            (place,) = hear(socket, Welcome).cameras
            assert (place.name, place.snippet, place.upload) == ("door", 1, "/snippets/1/")
        else:
            assert hear(socket, Problem).code == "forbidden"

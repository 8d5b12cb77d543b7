"""Names that come from outside lead nowhere: every one is tried, in every way to write ``..``.

For calls over HTTP and the WebSocket strace says which files the server touched meanwhile; for what
reads files that others made (backups, spools, models, a server's answers) a canary says it.
"""

from __future__ import annotations

import http.client
import io
import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
import tarfile
import threading
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from onnx import TensorProto, helper
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.sync.server import ServerConnection, serve

from objectclassification import messages as m
from objectclassification.capture.spool import Spool
from objectclassification.classification.classifier import Classifier
from objectclassification.errors import ModelError, StoreError
from objectclassification.receipts import PictureRef, Shot
from objectclassification.store.backup import back_up
from objectclassification.store.blobs import Blobs
from objectclassification.store.restore import restore
from tests.e2e.test_power_loss import Trace, traced
from tests.fixtures.make_data import HERE as FIXTURES
from tests.parts import require
from tests.serving import ServeProcess, photo

MARK = "canary-5131"
"""In every hostile name, and in no other."""
UP = "../" * 6
NAMES = (
    f"../{MARK}",
    f"{UP}tmp/{MARK}",
    f"/tmp/{MARK}",  # noqa: S108 - a name that is tried
    f"..\\..\\{MARK}",
    f"C:\\{MARK}",
    f"....//....//{MARK}",
    f"..;/{MARK}",
    f"./{MARK}/.",
    f"~/{MARK}",
    f"file:///tmp/{MARK}",
    f"{MARK}\0.jpg",
    f"../{MARK}%00.jpg",
    f"\uff0e\uff0e\uff0f{MARK}",  # full-width dots and slash
    f"\u2025\u2215{MARK}",  # a two-dot leader, a division slash
    f"%2e%2e%2f{MARK}",
    f"%252e%252e%252f{MARK}",
    f"..%c0%af{MARK}",
    f"CON/{MARK}\r\nX-Injected: 1",
)
RAW = (
    *(quote(name, safe="/") for name in NAMES),
    f"%2e%2e/{MARK}",
    f"..%2f{MARK}",
    f"%2e%2e%5c{MARK}",
    f"%c0%ae%c0%ae%c0%af{MARK}",  # overlong UTF-8
    f"%e0%80%ae%e0%80%ae/{MARK}",
    f"..%u2215{MARK}",
    f"{MARK}%00",
    f"//{MARK}",
    f"..//..//{MARK}",
)
"""As they stand in a request's first line."""
PATHS = (
    "/{}",
    "/snippets/{}",
    "/snippets/{}/image",
    "/snippets/1/{}",
    "/api/pictures/{}",
    "/api/pictures/{}/image",
    "/api/pictures/{}/thumbnail",
    "/api/pictures/{}?rendition={}",
    "/api/pictures?camera={}&label={}&cursor={}",
    "/api/snaps/{}",
    "/api/snaps?cursor={}&context=a={}",
    "/api/cameras/{}/report",
    "/api/tokens/{}",
    "/static/{}/{}",
    "/static/0/{}",
    "/settings/{}",
    "/join/{}",
    "/docs/{}",
    "/static-offline-docs/{}",
)
CALLS = "openat|mkdir|rename|renameat2|unlink"


class Hostile:
    """Calls a server with hostile names in every place where a name can be."""

    def __init__(self, server: ServeProcess) -> None:
        self._server = server
        self.picture: str = server.call("PUT", "/snippets/1", data=photo()).json()["id"]

    def paths(self) -> None:
        """In addresses, as they are: a client library would tidy them up."""
        token = {"Authorization": f"Bearer {self._server.token}"}
        for template in (*PATHS, f"/api/pictures/{self.picture}/image?rendition={{}}"):
            for name in RAW:
                for method in ("GET", "PUT", "DELETE") if template.count("{}") == 1 else ("GET",):
                    if (method, template) == ("DELETE", "/{}"):
                        continue
                    self._call(method, template.replace("{}", name), token)

    def names(self) -> None:
        """In headers, queries, forms and bodies."""
        call = self._server.call
        for name in NAMES:
            header = re.sub(r"[\r\n\0]", "", name).encode()
            put = call("PUT", "/snippets/1", data=photo(), headers={"Idempotency-Key": header})
            assert put.status_code == 201, put.text
            form = {"file": (name, photo())}
            assert call("PUT", "/snippets/1", files=form).status_code == 201
            for query in ({"rendition": name}, {"snap": name}):
                put = call("PUT", "/snippets/1", data=photo(), params=query)
                assert put.status_code == 422, put.text
            bodies: list[tuple[str, dict[str, Any]]] = [
                ("/api/tokens", {"role": "camera", "cameras": [name]}),
                ("/api/tokens", {"role": name}),
                ("/api/snaps", {"to": [name]}),
                ("/api/snaps", {"to": ["*"], "id": name}),
            ]
            for path, body in bodies:
                assert call("POST", path, json=body).status_code == 422
            assert call("POST", "/api/tokens", json={"role": "viewer", "name": name}).ok

    def messages(self) -> None:
        """In what a camera says of itself."""
        for name in NAMES:
            with self._server.connect() as socket:
                for hello in (
                    {"role": "camera", "instance": "i", "cameras": [{"name": name}]},
                    {"role": "camera", "instance": name, "cameras": [{"name": "a"}]},
                    {
                        "role": "camera",
                        "instance": "i",
                        "cameras": [{"name": "a", "groups": [name]}],
                    },
                ):
                    socket.send(json.dumps({"type": "hello", **hello}))
                    answer = m.decode_hub(str(socket.recv(10)).encode())
                    assert isinstance(answer, m.Problem), answer

    def _call(self, method: str, path: str, headers: dict[str, str]) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._server.port, timeout=10)
        connection.putrequest(method, path, skip_accept_encoding=True)
        for key, value in headers.items():
            connection.putheader(key, value)
        connection.endheaders()
        answer = connection.getresponse()
        body = answer.read()
        connection.close()
        assert answer.getheader("X-Injected") is None, path
        lists = path.startswith(("/api/pictures?", "/api/snaps?"))
        assert answer.status in ((200, 400, 422) if lists else (400, 404, 405, 415, 422)), path
        assert b"canary's song" not in body, path


def tree(folder: Path, *but: Path) -> dict[str, bytes]:
    """Every file below a folder, with its content."""
    return {
        str(path): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and not any(path.is_relative_to(each) for each in but)
    }


@pytest.mark.long
@pytest.mark.debian
def test_no_name_reaches_a_file_of_the_server(tmp_path: Path) -> None:
    require("strace")
    (tmp_path / MARK).write_text("canary's song")
    with ServeProcess(tmp_path) as server:
        hostile = Hostile(server)
        (server.data / MARK).write_text("canary's song")
        (server.data / "blobs" / MARK).write_text("canary's song")
        log = tmp_path / "strace"
        with traced(server.process.pid, log):
            hostile.names()
            hostile.messages()
            hostile.paths()
        calls = Trace(log.read_text()).all(CALLS, "")
        assert len(calls) > 100  # it did trace: blobs were written
        assert [call for call in calls if MARK in call.text] == []
        for path in (server.data / "blobs").rglob("*"):
            assert path.name == MARK or re.fullmatch(r"[0-9a-f-]{2,36}|incoming", path.name), path


@pytest.mark.parametrize("key", [*NAMES, "", ".", "..", "a" * 65])
def test_a_blob_has_no_such_key(tmp_path: Path, key: str) -> None:
    blobs = Blobs(tmp_path / "blobs", floor_bytes=0)
    for use in (blobs.path, blobs.delete):
        with pytest.raises(StoreError, match="cannot be called"):
            use(key)


@pytest.fixture
def backup(tmp_path: Path) -> Path:
    """A good backup, as a folder."""
    source = FIXTURES / "data-0.1.0"
    (tmp_path / "old").mkdir()
    shutil.copytree(source, tmp_path / "old" / "data")
    back_up(tmp_path / "old" / "data", tmp_path / "backup", lambda *_: None)
    return tmp_path / "backup"


@pytest.mark.parametrize(
    "kind", [tarfile.REGTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE]
)
def test_a_backups_names_stay_inside(backup: Path, tmp_path: Path, kind: bytes) -> None:
    (tmp_path / MARK).write_text("canary's song")
    names = [*NAMES, f"blobs/ab/../../../{MARK}ab", f"blobs/../{MARK}", f"blobs/ab/{MARK}ab"]
    hostile = tmp_path / "hostile.tar"
    with tarfile.open(hostile, "w") as tar:
        for member in (*names, "admin-token"):
            info = tarfile.TarInfo(member.replace("\0", ""))
            info.type, info.linkname = kind, f"{tmp_path}/{MARK}"
            info.size = 5 if kind == tarfile.REGTYPE else 0
            tar.addfile(info, io.BytesIO(b"wrong"))
        for path in backup.rglob("*"):
            tar.add(path, arcname=path.relative_to(backup), recursive=False)
    inside = tmp_path / "in" / "data"
    before = tree(tmp_path)
    restored = restore(hostile, inside, lambda *_: None)
    assert restored.pictures > 0
    assert tree(tmp_path, inside) == before
    assert not any(MARK in path for path in tree(inside))
    assert not [path for path in inside.rglob("*") if path.is_symlink()]


@pytest.mark.parametrize("name", NAMES)
def test_a_backups_database_names_no_other_files(backup: Path, tmp_path: Path, name: str) -> None:
    with sqlite3.connect(backup / "database.sqlite3") as database:
        database.execute("PRAGMA foreign_keys = OFF")
        database.execute("UPDATE renditions SET id = ? WHERE rowid = 1", (name,))
    database.close()
    with pytest.raises(StoreError, match="not ours"):
        restore(backup, tmp_path / "data", lambda *_: None)
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["lock"]


@pytest.mark.parametrize("field", ["path", "key", "camera", "upload", "snap", "rendition"])
@pytest.mark.parametrize("name", NAMES)
def test_a_spools_note_names_no_other_files(tmp_path: Path, field: str, name: str) -> None:
    (tmp_path / MARK).write_text("canary's song")
    folder = tmp_path / "spool"
    folder.mkdir()
    note = {
        **dict.fromkeys(("camera", "upload", "snap", "rendition", "media_type", "sha256"), "x"),
        **{"number": 1, "key": "k", "path": "000000000001.jpg", "boot_id": ""},
        **{"taken_wall_s": 0.0, "taken_boot_s": 0.0, field: name},
    }
    (folder / "000000000001.json").write_text(json.dumps(note))
    (folder / "000000000001.jpg").write_bytes(photo())
    with Spool(folder) as spool:
        for item in list(spool.due()):
            assert item.path.parent == folder
            assert Path(item.key).name == item.key
            assert b"canary" not in item.read()
            spool.remove(item)
    assert (tmp_path / MARK).read_text() == "canary's song"


@pytest.mark.parametrize("name", [f"../{MARK}", f"{UP}{MARK}", "ABSOLUTE", f"./{MARK}"])
def test_a_model_reads_no_other_files(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ONNX lets a model keep its numbers in files beside it."""
    for place_ in (tmp_path, tmp_path / "models"):
        place_.mkdir(exist_ok=True)
        (place_ / MARK).write_bytes(bytes(64))
    monkeypatch.chdir(tmp_path / "models")
    numbers = TensorProto(name="numbers", data_type=TensorProto.FLOAT, dims=[16])
    numbers.data_location = TensorProto.EXTERNAL
    entry = numbers.external_data.add()
    entry.key = "location"
    entry.value = str(tmp_path / MARK) if name == "ABSOLUTE" else name
    out = helper.make_tensor_value_info("logits", TensorProto.FLOAT, [16])
    node = helper.make_node("Identity", ["numbers"], ["logits"])
    graph = helper.make_graph([node], "hostile", [], [out], [numbers])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    file = tmp_path / "models" / "hostile.onnx"
    file.write_bytes(model.SerializeToString())
    with pytest.raises(ModelError, match="not a model that ONNX Runtime can load"):
        Classifier(file)


class LyingServer:
    """A server whose receipts name cameras and pictures as an attacker likes."""

    def __init__(self, name: str) -> None:
        self._shot = Shot(
            camera=name,
            state="classified",
            picture=PictureRef(
                id=name,
                url="/image",
                sha256="0" * 64,
                media_type="image/jpeg",
                width=1,
                height=1,
                size_bytes=1,
            ),
        )

    def talk(self, socket: ServerConnection) -> None:
        try:
            for text in socket:
                asked = json.loads(text)
                told: list[m.HubMessage] = [m.Welcome(heartbeat_s=20)]
                if asked["type"] == "snap":
                    told = [
                        m.Accepted(asked["id"], (self._shot.camera,)),
                        m.Shots(asked["id"], (self._shot,)),
                        m.Done(asked["id"], answered=1, failed=0, missing=0, elapsed_ms=1.0),
                    ]
                for message in told:
                    socket.send(m.encode(message).decode())
        except ConnectionClosed:
            pass

    def answer(self, socket: ServerConnection, request: Request) -> Response | None:
        if "Upgrade" in request.headers:
            return None
        headers = Headers(
            {"Content-Type": "image/jpeg", "Content-Length": "4", "Connection": "close"}
        )
        return Response(HTTPStatus.OK, "OK", headers, b"evil")


@pytest.mark.parametrize("name", [NAMES[0], NAMES[2], NAMES[10]])
def test_a_server_names_no_files_of_a_controller(tmp_path: Path, name: str) -> None:
    lying = LyingServer(name)
    with serve(lying.talk, "127.0.0.1", 0, process_request=lying.answer) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        url = f"http://127.0.0.1:{server.socket.getsockname()[1]}"
        words = ("snap", "door", "--server", url, "--out", str(tmp_path / "out"))
        ran = subprocess.run(
            [sys.executable, "-m", "objectclassification", *words],
            env={**os.environ, "OBJECTCLASSIFICATION_TOKEN": "t"},
            capture_output=True,
            text=True,
            cwd=tmp_path,
        )
        server.shutdown()
        thread.join()
    saved = [path for path in tmp_path.rglob("*") if path.is_file() and MARK in path.name]
    assert [path.parent for path in saved] == [tmp_path / "out"], ran.stderr
    assert saved[0].read_bytes() == b"evil"

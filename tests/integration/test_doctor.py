"""``doctor``: one line for each thing that can be wrong; safe beside a server; repairs."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from objectclassification.config import Connection, load_server
from objectclassification.config.pins import pin_file
from objectclassification.diagnosis import Check, machine
from objectclassification.diagnosis import data as diagnosis
from objectclassification.errors import NewerDatabase
from objectclassification.store import folder, repair
from objectclassification.store.blobs import place
from objectclassification.store.jobs import LOST
from tests import certificates
from tests.serving import HubProcess, Served, ServeProcess, photo

HOUR_S = 3600
DEFAULT_CHECKS = ["clock", "camera", "settings", "model", "data", "disk", "database"]


def doctor(data: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The command as it is typed."""
    return subprocess.run(
        [sys.executable, "-m", "objectclassification", "doctor", "--data", str(data), *arguments],
        capture_output=True,
        text=True,
        timeout=60,
    )


def checks(data: Path, *, repair: bool = False, **settings: Any) -> dict[str, Check]:
    """What it finds in a data folder, by the check's name; the same without the command's start."""
    mended = [diagnosis.mend(data)] if repair else []
    found = [*mended, *diagnosis.checks(load_server(data=data, **settings))]
    return {check.name: check for check in found}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with three classified pictures, whose server has stopped."""
    data = tmp_path_factory.mktemp("doctor") / "data"
    with Served(data) as server:
        for mark in ("first", "second", "third"):
            assert server.call("PUT", "/snippets/1", data=photo(mark)).status_code == 201
        server.settle()
    return data


@pytest.fixture
def data(made: Path, tmp_path: Path) -> Path:
    """A copy of it that a test may break."""
    shutil.copytree(made, tmp_path / "data")
    (tmp_path / "data").chmod(0o700)
    return tmp_path / "data"


@pytest.fixture
def raw(data: Path) -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(data / folder.DATABASE, isolation_level=None)
    yield connection
    connection.close()


class TestBesideAServer:
    def test_all_is_well(self, tmp_path: Path) -> None:
        with ServeProcess(tmp_path) as server:
            token = tmp_path / "token"
            token.write_text(str(server.token))
            arguments = ("--server", server.url, "--token-file", str(token))
            done = doctor(server.data, *arguments)
            assert (done.returncode, done.stderr) == (0, ""), done.stdout
            lines = done.stdout.splitlines()
            assert [line.split()[1] for line in lines] == [
                *DEFAULT_CHECKS,
                "newest",
                "files",
                "server",
            ]
            assert {line.split()[0] for line in lines} <= {"ok", "warn"}
            assert str(server.token) not in done.stdout

    def test_pictures_that_arrive_are_no_orphans(self, server: Served) -> None:
        assert server.call("PUT", "/snippets/1", data=photo()).status_code == 201
        (server.settings.data / "blobs" / "ab").mkdir(exist_ok=True)
        arriving = server.settings.data / "blobs" / "ab" / "its-row-comes-in-a-moment-ab"
        arriving.write_bytes(b"x")
        found = repair.inspect(server.settings.data)
        arriving.unlink()
        assert (found.orphans, found.lost) == ({}, ())

    def test_a_repair_needs_the_server_stopped(self, tmp_path: Path) -> None:
        with ServeProcess(tmp_path) as server:
            done = doctor(server.data, "--repair")
            assert done.returncode == 78
            assert "another server uses the data folder" in done.stderr
            assert "stop it" in done.stderr

    def test_a_wrong_token_is_told(self, server: Served) -> None:
        check = machine.server(Connection(server.url, "oc_wrong"))
        assert (check.status, "login" in check.todo) == ("fail", True)

    def test_a_cameras_token_is_good(self, server: Served) -> None:
        token = server.new_token("camera", "doctors-camera")
        assert machine.server(Connection(server.url, token)).status == "ok"

    def test_a_failure_that_says_what_to_do_has_no_other_hint(self, tmp_path: Path) -> None:
        with Served(tmp_path / "data", tls="auto") as secure:
            pin = pin_file(secure.url)
            pin.parent.mkdir(parents=True)
            pin.write_text(certificates.authority().pem)
            check = machine.server(Connection(secure.url, secure.token))
            assert (check.status, check.todo) == ("fail", "")
            assert f"delete {pin}" in check.found
            check = machine.server(Connection(secure.url.replace("https:", "http:")))
            assert (check.status, check.todo) == ("fail", "")
            assert "its address is https://…" in check.found

    def test_a_hub_alone_is_not_told_to_be_started(self, tmp_path: Path) -> None:
        with HubProcess(tmp_path, "--no-auth") as hub:
            check = machine.server(Connection(hub.url))
            assert check.status == "warn"
            assert f"{hub.url} answers, and has no API: a hub alone" in check.found
            assert "start" not in check.todo


class TestFindings:
    def test_a_stopped_server_and_a_wrong_setting(self, data: Path, tmp_path: Path) -> None:
        file = tmp_path / "server.toml"
        file.write_text("keep_dayz = 3\n")
        done = doctor(data, "--config", str(file), "--server", "http://127.0.0.1:9", "--json")
        found = {check["name"]: check for check in json.loads(done.stdout)}
        assert (done.returncode, done.stderr) == (1, "")
        assert found["settings"]["status"] == found["server"]["status"] == "fail"
        assert "keep_dayz" in found["settings"]["found"]
        assert "no server answers" in found["server"]["found"]
        assert "data" not in found  # which one is not known

    def test_the_folders_permissions(self, data: Path) -> None:
        data.chmod(0o755)
        check = checks(data)["data"]
        assert (check.status, check.todo) == ("warn", f"chmod 700 {data}")

    def test_a_file_of_another_account(self, data: Path) -> None:
        if os.geteuid() != 0:
            pytest.skip("only root can give a file away")
        os.chown(data / folder.DATABASE, 12345, 12345)
        check = checks(data)["data"]
        assert check.status == "fail"
        assert check.todo.endswith(f"chown -R 0:0 {data}")

    def test_the_disks_floor(self, data: Path) -> None:
        free = shutil.disk_usage(data).free
        assert checks(data, disk_floor_bytes=2 * free)["disk"].status == "fail"
        assert checks(data, disk_floor_bytes=free * 3 // 4)["disk"].status == "warn"
        assert checks(data, disk_floor_bytes=0)["disk"].status == "ok"

    def test_a_clock_that_was_set_back(self, data: Path, raw: sqlite3.Connection) -> None:
        raw.execute("UPDATE pictures SET received_at = ?", (time.time() + HOUR_S,))
        check = checks(data)["newest row"]
        assert check.status == "fail"
        assert "set the clock" in check.todo

    def test_a_damaged_database(self, data: Path) -> None:
        content = bytearray((data / folder.DATABASE).read_bytes())
        middle = len(content) // 2 // 4096 * 4096
        content[4096:middle] = bytes(middle - 4096)
        (data / folder.DATABASE).write_bytes(content)
        found = checks(data)
        assert found["database"].status == "fail"
        assert "restore" in found["database"].todo
        assert "files" not in found

    def test_a_file_that_is_no_database(self, data: Path) -> None:
        (data / folder.DATABASE).write_bytes(b"a letter to grandmother " * 500)
        check = checks(data)["database"]
        assert check.status == "fail"
        assert "not a database" in check.found

    def test_a_newer_database(self, data: Path, raw: sqlite3.Connection) -> None:
        raw.execute("UPDATE alembic_version SET version_num = '9999'")
        check = checks(data)["database"]
        assert check.status == "fail"
        assert "newer version" in check.found
        with pytest.raises(NewerDatabase):
            diagnosis.mend(data)

    def test_a_model_that_cannot_be_used(self, data: Path, tmp_path: Path) -> None:
        bad = tmp_path / "bad.onnx"
        bad.write_bytes(b"not a model")
        assert checks(data, model=bad)["model"].status == "fail"

    def test_a_machine_without_a_data_folder(self, tmp_path: Path) -> None:
        found = checks(tmp_path / "none")
        assert found["data"].status == "ok"
        assert "disk" not in found
        assert not (tmp_path / "none").exists()
        done = doctor(tmp_path / "none", "--repair")
        assert (done.returncode, (tmp_path / "none").exists()) == (78, False)


class TestFiles:
    def test_old_files_of_no_picture_are_deleted(self, data: Path) -> None:
        old, young = (place(data / "blobs", f"{name}-00{name[-2:]}") for name in ("aaaa", "bbbb"))
        for path in (old, young):
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(bytes(1000))
        long_ago = time.time() - 2 * HOUR_S
        os.utime(old, (long_ago, long_ago))
        check = checks(data)["files"]
        assert check.status == "warn"
        assert check.found.startswith("1 file without a picture (0.0 MB)")
        assert "--repair" in check.todo
        assert old.exists()
        repaired = checks(data, repair=True)
        assert repaired["repair"].found.startswith("1 file without a picture deleted")
        assert (old.exists(), young.exists()) == (False, True)
        assert repaired["files"].status == "ok"

    def test_pictures_without_their_file_are_noted(
        self, data: Path, raw: sqlite3.Connection
    ) -> None:
        done, waiting, untouched = raw.execute("SELECT id, rendition_id FROM jobs").fetchall()
        raw.execute("UPDATE jobs SET state = 'queued' WHERE id = ?", waiting[:1])
        for _, key in (done, waiting):
            place(data / "blobs", key).unlink()
        check = checks(data)["files"]
        assert check.status == "fail"
        assert check.found.startswith("2 pictures without a file")
        assert checks(data, repair=True)["files"] == Check(
            "files",
            "ok",
            "every picture has its file; 2 more lost theirs, which is noted",
        )
        states = dict(raw.execute("SELECT id, state || coalesce(error, '') FROM jobs"))
        assert states == {
            done[0]: f"failed{LOST}",
            waiting[0]: f"failed{LOST}",
            untouched[0]: "done",
        }
        with Served(data) as server:  # and the API says so
            page = server.call("GET", "/api/pictures").json()["pictures"]
            assert sorted((one["state"], one["error"]) for one in page) == sorted(
                [("failed", LOST), ("failed", LOST), ("classified", None)], key=lambda x: x[0]
            )

    def test_a_lost_thumbnail_is_forgotten(self, data: Path, raw: sqlite3.Connection) -> None:
        query = "SELECT id, picture_id FROM renditions WHERE name = 'thumbnail'"
        key, picture = raw.execute(query).fetchone()
        place(data / "blobs", key).unlink()
        assert checks(data)["files"].status == "fail"
        assert checks(data, repair=True)["files"].found == "every picture has its file"
        with Served(data) as server:
            one = server.call("GET", f"/api/pictures/{picture}").json()
            assert (one["state"], list(one["renditions"])) == ("classified", ["full"])

    def test_a_shot_that_waited_for_a_lost_picture_fails(self, tmp_path: Path) -> None:
        """kill -9, then the file is gone: the receipt says what became of the shot."""
        with ServeProcess(tmp_path, OBJECTCLASSIFICATION_CLASSIFY_TIMEOUT_S="600") as server:
            with server.camera("door") as door:
                asked = {"to": ["door"], "deadline_s": 60}
                snap = server.call("POST", "/api/snaps", json=asked).json()["snap"]
                door.answer(photo())
                server.process.kill()
                server.process.wait()
        raw = sqlite3.connect(server.data / folder.DATABASE, isolation_level=None)
        raw.execute("UPDATE jobs SET state = 'queued'")
        raw.execute("UPDATE shots SET state = 'uploaded'")
        raw.execute("DELETE FROM predictions")
        (key,) = raw.execute("SELECT rendition_id FROM jobs").fetchone()
        raw.close()
        place(server.data / "blobs", key).unlink()
        found = checks(server.data, repair=True)
        assert found["repair"].found.endswith("1 lost picture noted")
        with Served(server.data) as fresh:
            again = fresh.call("POST", "/api/snaps?wait=1", json=asked | {"id": snap}).json()
            assert (again["snap"], again["done"], again["failed"]) == (snap, True, 1)
            assert again["shots"][0]["error"] == {"code": "classify_failed", "detail": LOST}


def test_a_repair_says_what_it_did(data: Path) -> None:
    done = doctor(data, "--repair")
    assert (done.returncode, done.stderr) == (0, "")
    lines = {line.split()[1]: line for line in done.stdout.splitlines()}
    assert "0 files without a picture deleted" in lines["repair"]
    assert "server" not in lines  # it had to be stopped


def test_every_failure_says_what_to_do(data: Path) -> None:
    data.chmod(0o755)
    done = doctor(data, "--server", "http://127.0.0.1:9")
    lines = done.stdout.splitlines()
    assert done.returncode == 1
    assert {line.split()[0] for line in lines} == {"ok", "warn", "fail"}
    assert [line for line in lines if line.split()[0] != "ok" and "⇒" not in line] == []

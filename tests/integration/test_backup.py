"""Backup while a server runs, and restore: pictures, snaps and tokens come back."""

from __future__ import annotations

import hashlib
import io
import json
import os
import sqlite3
import stat
import subprocess
import sys
import tarfile
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from objectclassification.errors import (
    Conflict,
    DataFolderUnusable,
    NewerDatabase,
    NotFound,
    StoreError,
)
from objectclassification.store import repair, retention
from objectclassification.store.backup import back_up
from objectclassification.store.blobs import place
from objectclassification.store.restore import restore
from objectclassification.store.writer import editing
from tests.serving import Served, photo


def silent(what: str, done: int, of: int) -> None:
    """Nobody watches."""


def put(server: Served, mark: str, **query: str) -> Any:
    made = server.call("PUT", "/snippets/1", data=photo(mark), params=query)
    assert made.status_code == 201, made.text
    return made.json()


def command(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "objectclassification", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
    )


def names(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Served]:
    with Served(tmp_path / "data") as served:
        yield served


@pytest.mark.parametrize("name", ["backup", "backup.tar"])
def test_everything_comes_back_on_a_fresh_server(server: Served, tmp_path: Path, name: str) -> None:
    with server.camera("door") as door, ThreadPoolExecutor() as pool:
        request = {"to": ["door"], "deadline_s": 30, "context": {"order": 7}}
        asked = pool.submit(server.call, "POST", "/api/snaps?wait=1", json=request)
        door.answer(photo("answer"))
        receipt = asked.result().json()
    assert receipt["answered"] == 1
    viewer = server.new_token("viewer")
    made = command("backup", tmp_path / name, "--data", server.settings.data)
    assert (made.returncode, made.stderr) == (0, "")
    assert made.stdout.startswith("1 pictures (")

    new = tmp_path / "new"
    done = command("restore", tmp_path / name, "--data", new)
    assert (done.returncode, done.stderr) == (0, "")
    assert stat.S_IMODE(new.stat().st_mode) == 0o700
    assert stat.S_IMODE((new / "admin-token").stat().st_mode) == 0o600
    with Served(new) as fresh:
        assert fresh.token == server.token
        again = fresh.call("GET", f"/api/snaps/{receipt['snap']}", token=viewer)
        assert again.status_code == 200, again.text
        assert again.json() == receipt
        picture = receipt["shots"][0]["picture"]
        for path in (picture["url"], "/snippets/1/image"):
            image = fresh.call("GET", path, token=viewer)
            assert hashlib.sha256(image.content).hexdigest() == picture["sha256"]
        thumbnail = f"/api/pictures/{picture['id']}/thumbnail"
        assert fresh.call("GET", thumbnail).content == server.call("GET", thumbnail).content
        put(fresh, "one more")
        fresh.settle()


def test_a_backup_made_while_pictures_arrive_and_go_is_whole(
    server: Served, tmp_path: Path
) -> None:
    """Nothing is locked: PUTs go on, retention deletes, and the copy is of one moment."""
    for number in range(20):
        put(server, f"before {number}")
    server.settle()
    stop = threading.Event()

    def arrive() -> None:
        number = 0
        while not stop.is_set():
            put(server, f"while {number}")
            number += 1

    def meanwhile(what: str, done: int, of: int) -> None:
        if (what, done) == ("pictures", 5):  # the database is copied, most blobs are not
            blobs = server.parts.blobs
            page = server.run(
                server.parts.database.read(lambda c: retention.candidates(c, after="", limit=1000))
            )
            ids = [one.id for one in page[5:15]]  # of the twenty
            gone = server.run(server.parts.database.write(lambda c: retention.delete(c, ids)))
            deleted.extend(gone.ids)
            for key in gone.keys:
                blobs.delete(key)

    deleted: list[str] = []
    with ThreadPoolExecutor() as pool:
        arriving = pool.submit(arrive)
        try:
            made = back_up(server.settings.data, tmp_path / "backup.tar", meanwhile)
        finally:
            stop.set()
        arriving.result()
    assert len(deleted) == 10
    assert made.lost == ()
    assert made.pictures >= 10
    restored = restore(tmp_path / "backup.tar", tmp_path / "new", silent)
    assert (restored.pictures, restored.blobs) == (made.pictures, made.blobs)
    assert restored.damaged == ()
    found = repair.inspect(tmp_path / "new")
    assert (found.lost, found.noted) == ((), 0)
    stored = names(tmp_path / "new" / "blobs")
    assert len(stored) == made.blobs
    with Served(tmp_path / "new") as fresh:
        assert fresh.call("GET", "/snippets/1/image").status_code == 200


def test_a_slot_whose_picture_was_deleted_meanwhile_shows_what_is_there(
    server: Served, tmp_path: Path
) -> None:
    first = put(server, "first")
    second = put(server, "second")
    server.settle()

    def meanwhile(what: str, done: int, of: int) -> None:
        if (what, done) == ("pictures", 0):
            third = put(server, "third")
            server.settle()
            gone = server.run(
                server.parts.database.write(lambda c: retention.delete(c, [second["id"]]))
            )
            assert gone.ids == (second["id"],)
            for key in gone.keys:
                server.parts.blobs.delete(key)
            assert server.call("GET", "/snippets/1").json()["picture"]["id"] == third["id"]

    made = back_up(server.settings.data, tmp_path / "backup", meanwhile)
    assert (made.pictures, made.lost) == (1, ())
    restore(tmp_path / "backup", tmp_path / "new", silent)
    with Served(tmp_path / "new") as fresh:
        assert fresh.call("GET", "/snippets/1").json()["picture"]["id"] == first["id"]


def test_again_into_the_same_folder_brings_only_what_is_new(server: Served, tmp_path: Path) -> None:
    backup, data = tmp_path / "backup", server.settings.data
    old = put(server, "old")
    put(server, "kept")
    server.settle()
    back_up(data, backup, silent)
    put(server, "new")
    server.settle()
    gone = server.run(server.parts.database.write(lambda c: retention.delete(c, [old["id"]])))
    for key in gone.keys:
        server.parts.blobs.delete(key)
    made = back_up(data, backup, silent)
    assert (made.pictures, made.blobs) == (2, 4)
    assert names(backup / "blobs") == {n for n in names(data / "blobs") if "incoming" not in n}
    assert {"backup.json", "database.sqlite3", "admin-token", "server-id"} == {
        name for name in names(backup) if "/" not in name
    }
    assert restore(backup, tmp_path / "new", silent).pictures == 2


class TestFiles:
    def test_on_one_file_system_they_are_links(self, server: Served, tmp_path: Path) -> None:
        put(server, "")
        server.settle()
        back_up(server.settings.data, tmp_path / "backup", silent)
        for name in names(tmp_path / "backup" / "blobs"):
            here, there = (
                tmp_path / "backup" / "blobs" / name,
                server.settings.data / "blobs" / name,
            )
            assert here.samefile(there)

    def test_a_restore_never_shares_them(self, server: Served, tmp_path: Path) -> None:
        put(server, "")
        server.settle()
        back_up(server.settings.data, tmp_path / "backup", silent)
        restore(tmp_path / "backup", tmp_path / "new", silent)
        for path in (tmp_path / "new" / "blobs").glob("*/*"):
            assert path.stat().st_nlink == 1

    def test_elsewhere_they_are_copies(self, server: Served, tmp_path: Path) -> None:
        elsewhere = Path("/dev/shm")  # noqa: S108 - another file system, in a folder of this process's own
        if not elsewhere.is_dir() or elsewhere.stat().st_dev == tmp_path.stat().st_dev:
            pytest.skip("there is no second file system here")
        put(server, "")
        server.settle()
        backup = elsewhere / f"objectclassification-test-{os.getpid()}"
        try:
            made = command("backup", backup, "--data", server.settings.data)
            assert made.returncode == 0, made.stderr
            assert names(backup / "blobs") == server.files()
            kept = {path: path.stat().st_ino for path in backup.glob("blobs/*/*")}
            back_up(server.settings.data, backup, silent)
            assert {path: path.stat().st_ino for path in kept} == kept  # none was brought again
            for path in backup.glob("blobs/*/*"):
                assert (path.stat().st_nlink, stat.S_IMODE(path.stat().st_mode)) == (1, 0o600)
            assert restore(backup, tmp_path / "new", silent).blobs == 2
        finally:
            subprocess.run(["rm", "-r", backup], check=True)

    @pytest.mark.parametrize("name", ["backup", "backup.tar"])
    def test_nobody_else_may_read_them(self, server: Served, tmp_path: Path, name: str) -> None:
        back_up(server.settings.data, tmp_path / name, silent)
        assert not (tmp_path / name).stat().st_mode & 0o077
        assert names(tmp_path) >= {name} if name.endswith(".tar") else True
        assert not list(tmp_path.glob(".*"))

    def test_nobody_else_may_read_a_folder_that_everybody_could(
        self, server: Served, tmp_path: Path
    ) -> None:
        put(server, "")
        server.settle()
        backup = tmp_path / "backup"
        backup.mkdir()
        backup.chmod(0o755)
        back_up(server.settings.data, backup, silent)
        for private in (backup, backup / "blobs"):
            assert stat.S_IMODE(private.stat().st_mode) == 0o700
        for name in names(backup) - {f"blobs/{blob}" for blob in names(backup / "blobs")}:
            assert stat.S_IMODE((backup / name).stat().st_mode) == 0o600, name

    def test_a_folder_of_something_else_keeps_its_mode(
        self, server: Served, tmp_path: Path
    ) -> None:
        letters = tmp_path / "letters"
        letters.mkdir()
        (letters / "letter").write_text("to grandmother")
        letters.chmod(0o755)
        with pytest.raises(Conflict):
            back_up(server.settings.data, letters, silent)
        assert stat.S_IMODE(letters.stat().st_mode) == 0o755


class TestTwoAtOnce:
    @pytest.mark.parametrize("name", ["backup", "backup.tar"])
    def test_the_second_is_told_and_the_first_is_whole(
        self, server: Served, tmp_path: Path, name: str
    ) -> None:
        put(server, "first")
        server.settle()
        place, seconds = tmp_path / name, []

        def meanwhile(what: str, done: int, of: int) -> None:
            if (what, done) in (("pictures", 0), ("pictures", 1)):
                seconds.append(command("backup", place, "--data", server.settings.data))

        made = back_up(server.settings.data, place, meanwhile)
        assert [(one.returncode, one.stderr) for one in seconds] == 2 * [
            (1, f"error: another backup to {place} is under way: wait until it is done\n")
        ]
        assert restore(place, tmp_path / "new", silent).pictures == made.pictures == 1
        assert not [path for path in names(tmp_path) if path.endswith(".lock")]

    @pytest.mark.parametrize("name", ["backup", "backup.tar"])
    def test_one_that_was_killed_holds_nobody_up(
        self, server: Served, tmp_path: Path, name: str
    ) -> None:
        put(server, "first")
        server.settle()
        code = (
            "import os, signal, sys, pathlib;"
            "from objectclassification.store.backup import back_up;"
            "kill = lambda what, *_: what == 'pictures' and os.kill(os.getpid(), signal.SIGKILL);"
            "data, to = map(pathlib.Path, sys.argv[1:]);"
            "back_up(data, to, kill)"
        )
        killed = subprocess.run(
            [sys.executable, "-c", code, server.settings.data, tmp_path / name], timeout=60
        )
        assert killed.returncode == -9
        assert [path for path in names(tmp_path) if path.endswith("backup.lock")]
        assert back_up(server.settings.data, tmp_path / name, silent).pictures == 1
        assert not [path for path in names(tmp_path) if path.endswith("backup.lock")]


class TestDamage:
    def test_a_lost_blob_is_told_and_the_rest_is_kept(self, server: Served, tmp_path: Path) -> None:
        first, second = put(server, "first"), put(server, "second")
        server.settle()
        key = full_key(server, first["id"])
        place(server.settings.data / "blobs", key).unlink()
        made = command("backup", tmp_path / "backup", "--data", server.settings.data)
        assert made.returncode == 1
        assert "error: the files of 1 renditions were not there" in made.stderr
        done = command("restore", tmp_path / "backup", "--data", tmp_path / "new")
        assert done.returncode == 1
        assert "error: the files of 1 renditions are missing or damaged" in done.stderr
        with Served(tmp_path / "new") as fresh:
            assert fresh.call("GET", f"/api/pictures/{first['id']}/image").status_code == 404
            assert fresh.call("GET", f"/api/pictures/{second['id']}/image").status_code == 200

    @pytest.mark.parametrize("name", ["backup", "backup.tar"])
    def test_bytes_that_changed_are_not_restored(
        self, server: Served, tmp_path: Path, name: str
    ) -> None:
        made = put(server, "first")
        server.settle()
        key = full_key(server, made["id"])
        whole = place(server.settings.data / "blobs", key)
        content = whole.read_bytes()
        whole.write_bytes(content[:-1] + b"?")  # a bit that rotted
        back_up(server.settings.data, tmp_path / name, silent)
        restored = restore(tmp_path / name, tmp_path / "new", silent)
        assert restored.damaged == (key,)
        assert not place(tmp_path / "new" / "blobs", key).exists()

    def test_a_backups_file_that_somebody_wrote_to_is_brought_again(
        self, server: Served, tmp_path: Path
    ) -> None:
        key = full_key(server, put(server, "first")["id"])
        server.settle()
        data, backup = server.settings.data, tmp_path / "backup"
        back_up(data, backup, silent)
        good = place(data / "blobs", key).read_bytes()
        replaced(place(backup / "blobs", key), good[:-1] + b"?")
        back_up(data, backup, silent)
        assert place(backup / "blobs", key).read_bytes() == good
        assert restore(backup, tmp_path / "new", silent).damaged == ()

    def test_a_good_file_is_not_replaced_by_one_that_somebody_wrote_to(
        self, server: Served, tmp_path: Path
    ) -> None:
        key = full_key(server, put(server, "first")["id"])
        server.settle()
        data, backup = server.settings.data, tmp_path / "backup"
        back_up(data, backup, silent)
        good = place(data / "blobs", key).read_bytes()
        replaced(place(data / "blobs", key), good[:-1] + b"?")
        back_up(data, backup, silent)
        assert restore(backup, tmp_path / "new", silent).damaged == ()

    def test_a_backup_that_was_cut_off_is_none_and_can_be_finished(
        self, server: Served, tmp_path: Path
    ) -> None:
        put(server, "first")
        server.settle()

        def cut(what: str, done: int, of: int) -> None:
            if (what, done) == ("pictures", 1):
                raise KeyboardInterrupt

        for name in ("backup", "backup.tar"):
            with pytest.raises(KeyboardInterrupt):
                back_up(server.settings.data, tmp_path / name, cut)
            with pytest.raises(NotFound):
                restore(tmp_path / name, tmp_path / "new", silent)
            assert names(tmp_path / "new") == {"lock"}
            back_up(server.settings.data, tmp_path / name, silent)
            assert restore(tmp_path / name, tmp_path / f"from {name}", silent).blobs == 2

    def test_half_a_tar_is_refused_and_leaves_nothing(self, server: Served, tmp_path: Path) -> None:
        put(server, "first")
        back_up(server.settings.data, tmp_path / "backup.tar", silent)
        whole = (tmp_path / "backup.tar").read_bytes()
        (tmp_path / "half.tar").write_bytes(whole[: len(whole) // 2])
        with pytest.raises((StoreError, NotFound)):
            restore(tmp_path / "half.tar", tmp_path / "new", silent)
        assert names(tmp_path / "new") == {"lock"}

    @pytest.mark.parametrize("form", ["gnu", "posix"])
    def test_a_tar_that_is_small_and_holds_much_is_refused_at_once(
        self, server: Served, tmp_path: Path, form: str
    ) -> None:
        """A hole costs no bytes in the tar, and fills the disk when it is written."""
        back_up(server.settings.data, tmp_path / "backup", silent)
        hole = tmp_path / "backup" / "blobs" / "ab" / "0-ab"
        hole.parent.mkdir()
        with hole.open("wb") as stream:
            stream.truncate(64 * 2**20)
        pack = ("tar", f"--format={form}", "--sparse", "-cf", tmp_path / "backup.tar")
        subprocess.run([*pack, "-C", tmp_path / "backup", "."], check=True)
        assert (tmp_path / "backup.tar").stat().st_size < 2**20
        with pytest.raises(StoreError, match="holds a sparse file"):
            restore(tmp_path / "backup.tar", tmp_path / "new", silent)
        assert names(tmp_path / "new") == {"lock"}

    def test_names_that_lead_elsewhere_are_left_alone(self, server: Served, tmp_path: Path) -> None:
        back_up(server.settings.data, tmp_path / "backup.tar", silent)
        with tarfile.open(tmp_path / "backup.tar", "a") as tar:
            for name in (
                "../evil",
                "/evil-absolute",
                "blobs/../../evil",
                "blobs/il/../../evil",
            ):
                member = tarfile.TarInfo(name)
                member.size = 4
                tar.addfile(member, io.BytesIO(b"evil"))
            link = tarfile.TarInfo("blobs/ab")
            link.type, link.linkname = tarfile.SYMTYPE, str(tmp_path)
            tar.addfile(link)
        restore(tmp_path / "backup.tar", tmp_path / "new", silent)
        assert not list(tmp_path.rglob("*evil*"))
        assert names(tmp_path / "new") == {
            *("database.sqlite3", "admin-token", "server-id", "lock")
        }


class TestRefusals:
    def test_a_target_that_is_not_empty(self, server: Served, tmp_path: Path) -> None:
        back_up(server.settings.data, tmp_path / "backup", silent)
        new = tmp_path / "new"
        new.mkdir()
        (new / "letter").write_text("to grandmother")
        done = command("restore", tmp_path / "backup", "--data", new)
        assert done.returncode == 1
        assert done.stderr == f"error: {new} is not empty: restore into a new folder\n"
        assert names(new) == {"letter"}
        with pytest.raises(Conflict):
            restore(tmp_path / "backup", server.settings.data, silent)

    def test_a_backup_over_something_else(self, server: Served, tmp_path: Path) -> None:
        folder = tmp_path / "letters"
        folder.mkdir()
        (folder / "letter").write_text("to grandmother")
        for target in (folder, folder / "letter", server.settings.data):
            with pytest.raises(Conflict):
                back_up(server.settings.data, target, silent)
        (tmp_path / "there.tar").write_text("x")
        with pytest.raises(Conflict, match="exists already"):
            back_up(server.settings.data, tmp_path / "there.tar", silent)
        assert names(folder) == {"letter"}

    def test_what_is_not_there(self, tmp_path: Path) -> None:
        with pytest.raises(DataFolderUnusable):
            back_up(tmp_path / "nothing", tmp_path / "backup", silent)
        with pytest.raises(NotFound):
            restore(tmp_path / "nothing", tmp_path / "new", silent)
        assert not list(tmp_path.glob("nothing*"))

    @pytest.mark.parametrize("name", ["backup", "backup.tar"])
    def test_a_newer_versions_backup(self, server: Served, tmp_path: Path, name: str) -> None:
        """Also in a tar, where the database comes late; nothing is left behind."""
        back_up(server.settings.data, tmp_path / "backup", silent)
        with editing(tmp_path / "backup" / "database.sqlite3") as connection:
            connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
        if name.endswith(".tar"):
            with tarfile.open(tmp_path / name, "w") as tar:
                tar.add(tmp_path / "backup", arcname="")
        with pytest.raises(NewerDatabase, match="9999"):
            restore(tmp_path / name, tmp_path / "new", silent)
        assert names(tmp_path / "new") == {"lock"}


@pytest.mark.long
class TestRestoreIsAlone:
    def test_no_server_starts_in_a_folder_that_is_being_restored(
        self, server: Served, tmp_path: Path
    ) -> None:
        put(server, "first")
        server.settle()
        back_up(server.settings.data, tmp_path / "backup", silent)
        new, refused = tmp_path / "new", []

        def meanwhile(what: str, done: int, of: int) -> None:
            if done == 1:
                refused.append(command("serve", "--data", new, "--port", "0"))
                refused.append(command("restore", tmp_path / "backup", "--data", new))

        assert restore(tmp_path / "backup", new, meanwhile).damaged == ()
        assert [one.returncode for one in refused] == [78, 1]
        assert "or a restore is under way" in refused[0].stderr
        assert "is under way or was cut off" in refused[1].stderr
        with Served(new) as fresh:
            assert len(fresh.call("GET", "/api/pictures").json()["pictures"]) == 1

    def test_none_starts_in_what_a_killed_restore_left(
        self, server: Served, tmp_path: Path
    ) -> None:
        put(server, "first")
        server.settle()
        back_up(server.settings.data, tmp_path / "backup.tar", silent)
        new = tmp_path / "new"
        code = (
            "import os, signal, sys, pathlib;"
            "from objectclassification.store.restore import restore;"
            "kill = lambda what, done, of: blobs.exists() and os.kill(os.getpid(), signal.SIGKILL);"
            "backup, new = map(pathlib.Path, sys.argv[1:]);"
            "blobs = new / 'blobs';"
            "restore(backup, new, kill)"
        )
        killed = subprocess.run(
            [sys.executable, "-c", code, tmp_path / "backup.tar", new], timeout=60
        )
        assert killed.returncode == -9
        left = names(new)
        assert "database.sqlite3.partial" in left
        for arguments in (
            ("serve", "--data", new, "--port", "0"),
            ("restore", tmp_path / "backup.tar", "--data", new),
        ):
            refused = command(*arguments)
            assert refused.returncode in (1, 78)
            assert "delete what is in it and restore again" in refused.stderr
            assert names(new) == left
        for path in sorted(new.rglob("*"), reverse=True):  # as the line says
            path.rmdir() if path.is_dir() else path.unlink()
        assert restore(tmp_path / "backup.tar", new, silent).pictures == 1

    def test_a_database_that_appears_meanwhile_is_left_alone(
        self, server: Served, tmp_path: Path
    ) -> None:
        put(server, "first")
        back_up(server.settings.data, tmp_path / "backup", silent)
        new = tmp_path / "new"

        def meanwhile(what: str, done: int, of: int) -> None:
            (new / "database.sqlite3-wal").write_bytes(b"of somebody who asks for no lock")

        with pytest.raises(Conflict, match="appeared meanwhile"):
            restore(tmp_path / "backup", new, meanwhile)
        assert names(new) == {"lock", "database.sqlite3-wal"}


def test_progress_ends_at_the_whole_and_the_note_says_what_is_inside(
    server: Served, tmp_path: Path
) -> None:
    put(server, "first")
    server.settle()
    seen: dict[str, tuple[int, int]] = {}

    def watch(what: str, done: int, of: int) -> None:
        assert done >= seen.get(what, (0, 0))[0]
        seen[what] = (done, of)

    made = back_up(server.settings.data, tmp_path / "backup", watch)
    assert seen["pictures"] == (2, 2)
    assert seen["database"][0] == seen["database"][1] > 0
    note = json.loads((tmp_path / "backup" / "backup.json").read_text())
    assert (note["pictures"], note["blobs"], note["lost"]) == (1, 2, [])
    assert note["bytes"] == made.bytes
    raw = sqlite3.connect(f"file:{tmp_path / 'backup' / 'database.sqlite3'}?mode=ro", uri=True)
    assert raw.execute("PRAGMA journal_mode").fetchone() == ("delete",)  # readable from a CD
    raw.close()


def replaced(file: Path, content: bytes) -> None:
    """Writes a file anew a while later; the one it was linked to stays as it was."""
    later = file.stat().st_mtime + 60
    file.unlink()
    file.write_bytes(content)
    os.utime(file, (later, later))


def full_key(server: Served, picture_id: str) -> str:
    from objectclassification.store import pictures

    blob = server.run(server.parts.database.read(lambda c: pictures.blob(c, picture_id, "full")))
    return blob.key

"""A database that is gone or empty while its pictures are there: nothing is begun or deleted."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from objectclassification.errors import EXIT_CONFIGURATION, EXIT_FAILED
from objectclassification.store import folder
from tests.serving import Served, ServeProcess, photo

pytestmark = pytest.mark.long

LONG_AGO = time.time() - 7200
PICTURES = 12
"""More files than may go as orphans in any case."""


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data folder of a server that was killed, with its log beside its database."""
    home = tmp_path_factory.mktemp("killed")
    with ServeProcess(home) as server:
        for number in range(PICTURES):
            made = server.call("PUT", "/snippets/1", data=photo(f"{number}"))
            assert made.status_code == 201, made.text
        server.process.kill()
        server.process.wait()
    assert (home / "data" / f"{folder.DATABASE}-wal").exists()
    return home / "data"


@pytest.fixture
def data(killed: Path, tmp_path: Path) -> Path:
    """A copy of it that a test may break; its files are old enough to be orphans."""
    shutil.copytree(killed, tmp_path / "data")
    (tmp_path / "data").chmod(0o700)
    for path in files(tmp_path / "data"):
        os.utime(path, (LONG_AGO, LONG_AGO))
    return tmp_path / "data"


def files(data: Path) -> set[Path]:
    return {path for path in (data / "blobs").rglob("*") if path.is_file()}


def command(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "objectclassification", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
    )


def without_database(data: Path) -> None:
    for path in data.glob(f"{folder.DATABASE}*"):
        path.unlink()


def without_log(data: Path) -> None:
    (data / f"{folder.DATABASE}-wal").unlink()
    (data / f"{folder.DATABASE}-shm").unlink(missing_ok=True)


def without_bytes(data: Path) -> None:
    without_database(data)
    (data / folder.DATABASE).touch()


def without_rows(data: Path) -> None:
    """A database begun anew, as an older version did."""
    without_database(data)
    aside = data.with_name("aside")
    (data / "blobs").rename(aside)
    with Served(data):
        pass
    shutil.rmtree(data / "blobs")
    aside.rename(data / "blobs")


LOSSES = [without_database, without_log, without_bytes]


@pytest.mark.parametrize("lose", LOSSES)
def test_no_server_begins_anew_over_pictures(data: Path, lose: Callable[[Path], None]) -> None:
    lose(data)
    pictures = files(data)
    refused = command("serve", "--data", data, "--port", "0")
    assert refused.returncode == EXIT_CONFIGURATION
    assert refused.stderr.count("\n") == 1
    assert f"is gone or empty, but {len(pictures)} image files are here: restore" in refused.stderr
    assert files(data) == pictures
    (data / "blobs").rename(data.with_name("aside"))  # as the line says
    with Served(data) as anew:
        assert anew.call("GET", "/api/pictures").json()["pictures"] == []


def test_a_server_that_was_only_killed_starts(data: Path) -> None:
    with Served(data) as again:
        assert len(again.call("GET", "/api/pictures").json()["pictures"]) == PICTURES


def test_a_picture_that_a_crash_left_without_its_row_is_no_lost_database(tmp_path: Path) -> None:
    """The very first PUT, cut off between its blob and its row."""
    with Served(tmp_path / "data") as server:
        server.parts.blobs.put("0000-ab", b"x")
    with Served(tmp_path / "data"):
        pass


@pytest.mark.parametrize("lose", LOSSES)
def test_the_doctor_says_so(data: Path, lose: Callable[[Path], None]) -> None:
    lose(data)
    pictures = files(data)
    done = command("doctor", "--data", data, "--server", "http://127.0.0.1:9")
    (line,) = [line for line in done.stdout.splitlines() if "is gone or empty" in line]
    assert done.returncode == 1
    assert line.startswith("fail")
    assert f"{len(pictures)} image files are here ⇒ restore a backup" in line
    assert command("doctor", "--repair", "--data", data).returncode == EXIT_CONFIGURATION
    assert files(data) == pictures


def test_a_repair_does_not_take_all_pictures_for_orphans(data: Path) -> None:
    without_rows(data)
    pictures = files(data)
    refused = command("doctor", "--repair", "--data", data)
    assert refused.returncode == EXIT_CONFIGURATION
    assert "have no picture in the database, and only 0 have one" in refused.stderr
    assert files(data) == pictures
    found = command("doctor", "--data", data, "--server", "http://127.0.0.1:9")
    (line,) = [line for line in found.stdout.splitlines() if " files " in line]
    assert line.startswith("fail")
    assert "⇒ restore a backup" in line


def test_a_repair_of_a_few_goes_on(data: Path) -> None:
    """What retention leaves when it is cut off in the middle: less than the database knows."""
    raw = sqlite3.connect(data / folder.DATABASE, isolation_level=None)
    keys = [key for (key,) in raw.execute("SELECT id FROM renditions LIMIT 2")]
    raw.executemany("DELETE FROM renditions WHERE id = ?", [(key,) for key in keys])
    raw.close()
    before = files(data)
    done = command("doctor", "--repair", "--data", data)
    assert done.returncode == 0, done.stderr
    gone = {path.name for path in before - files(data)}
    assert gone >= set(keys)  # and a thumbnail that the kill came before
    assert len(gone) < len(before) / 2


def test_a_good_backup_is_not_replaced_by_that_of_a_lost_database(
    data: Path, tmp_path: Path
) -> None:
    backup = tmp_path / "backup"
    made = command("backup", backup, "--data", data)
    assert made.returncode == 0, made.stderr
    kept = {path: path.read_bytes() for path in backup.rglob("*") if path.is_file()}
    without_rows(data)
    refused = command("backup", backup, "--data", data)
    assert refused.returncode == EXIT_FAILED
    assert refused.stderr.count("\n") == 1
    assert f"holds {PICTURES} pictures and the database only 0" in refused.stderr
    assert {path: path.read_bytes() for path in backup.rglob("*") if path.is_file()} == kept
    elsewhere = command("backup", tmp_path / "other", "--data", data)  # as the line says
    assert elsewhere.returncode == 0, elsewhere.stderr


def test_another_servers_backup_is_not_replaced(data: Path, tmp_path: Path) -> None:
    backup = tmp_path / "backup"
    assert command("backup", backup, "--data", data).returncode == 0
    kept = {path: path.read_bytes() for path in backup.rglob("*") if path.is_file()}
    with Served(tmp_path / "other"):
        refused = command("backup", backup, "--data", tmp_path / "other")
    assert refused.returncode == EXIT_FAILED
    assert refused.stderr == (
        f"error: {backup} holds another server's backup: choose another folder\n"
    )
    assert {path: path.read_bytes() for path in backup.rglob("*") if path.is_file()} == kept


def test_a_repair_does_not_give_up_all_pictures_of_a_disk_that_is_not_mounted(data: Path) -> None:
    without_log_of_its_own(data)
    (data / "blobs").rename(data / "elsewhere")
    (data / "blobs").mkdir()
    done = command("doctor", "--data", data, "--repair")
    assert done.returncode == EXIT_CONFIGURATION, done.stdout + done.stderr
    assert "is its disk mounted?" in done.stdout + done.stderr
    (data / "blobs").rmdir()
    (data / "elsewhere").rename(data / "blobs")
    done = command("doctor", "--data", data, "--repair")
    assert "0 lost pictures noted" in done.stdout


def without_log_of_its_own(data: Path) -> None:
    """Brings the log into the database, as a stop does."""
    with sqlite3.connect(data / folder.DATABASE) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()

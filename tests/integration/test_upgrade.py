"""A data folder of every released version opens in this one; a newer one's is refused."""

from __future__ import annotations

import hashlib
import json
import shutil
import sqlite3
import subprocess
from pathlib import Path
from typing import Any

import pytest

from objectclassification import __version__
from objectclassification.errors import EXIT_CONFIGURATION
from objectclassification.store import folder, repair
from objectclassification.store.restore import restore
from tests.fixtures import make_data
from tests.serving import SERVE, Served, ServeProcess

FIXTURES = Path(make_data.__file__).parent
VERSIONS = sorted(FIXTURES.glob("data-*"))


def test_this_version_has_its_data_folder() -> None:
    """Make it with `python -m tests.fixtures.make_data` when the version changes."""
    assert FIXTURES / f"data-{__version__}" in VERSIONS


@pytest.mark.parametrize("made", VERSIONS, ids=lambda path: path.name)
def test_an_older_versions_data_folder_opens(made: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    shutil.copytree(made, data)
    expected = json.loads((data / "expected.json").read_text())
    unclassified = expected["pictures"][expected["unclassified"]]
    with Served(data) as server:
        token = expected["viewer_token"]
        refused = server.call("GET", "/api/pictures", token=expected["revoked_token"])
        assert refused.status_code == 401
        for id_, receipt in expected["snaps"].items():
            found = server.call("GET", f"/api/snaps/{id_}", token=token).json()
            assert as_then(found, receipt) == receipt
        server.settle()  # the job that a killed server left behind is done
        for id_, before in expected["pictures"].items():
            picture = server.call("GET", f"/api/pictures/{id_}", token=token).json()
            if before is unclassified:
                assert (picture["state"], bool(picture["predictions"])) == ("classified", True)
            else:
                assert picture | before == picture  # later versions only add
            for rendition in before["renditions"].values():
                image = server.call("GET", rendition["url"], token=token)
                assert hashlib.sha256(image.content).hexdigest() == rendition["sha256"]
        numbers = [one["number"] for one in server.call("GET", "/snippets").json()]
        assert numbers == [one["number"] for one in expected["snippets"]]
        again = server.call(
            "PUT",
            "/snippets/2",
            data=make_data.image(3, "WEBP"),
            headers={"Idempotency-Key": expected["key"]["name"]},
        )
        assert (again.status_code, again.json()["id"]) == (200, unclassified["id"])
        with server.camera("door") as door:  # and it goes on
            asked = server.call("POST", "/api/snaps", json={"to": ["door"], "deadline_s": 30})
            assert asked.status_code == 202
            assert door.places["door"].snippet == 1
            door.answer()
        server.settle()
    state = repair.inspect(data)
    assert (state.orphans, state.lost, state.noted) == ({}, (), 0)


def as_then(found: Any, before: Any) -> Any:
    """What is answered now without the fields that nobody had then."""
    if isinstance(before, dict) and isinstance(found, dict):
        return {key: as_then(found[key], before[key]) for key in found if key in before}
    if isinstance(before, list) and isinstance(found, list) and len(found) == len(before):
        return [as_then(one, other) for one, other in zip(found, before, strict=True)]
    return found


@pytest.mark.parametrize("made", VERSIONS, ids=lambda path: path.name)
def test_an_older_versions_backup_is_restored(made: Path, tmp_path: Path) -> None:
    """A backup has the names of a data folder; its database is upgraded when it is opened."""
    backup = tmp_path / "backup"
    shutil.copytree(made, backup)
    (backup / "backup.json").write_text("{}")
    assert restore(backup, tmp_path / "data", lambda what, done, of: None).damaged == ()
    with Served(tmp_path / "data") as server:
        assert len(server.call("GET", "/api/pictures").json()["pictures"]) == 3


def test_a_downgrade_is_refused_in_one_line(tmp_path: Path) -> None:
    with ServeProcess(tmp_path) as server:
        assert server.stop() == 0
    file = server.data / folder.DATABASE
    raw = sqlite3.connect(file)
    raw.execute("UPDATE alembic_version SET version_num = '9999'")
    raw.commit()
    raw.close()
    before = hashlib.sha256(file.read_bytes()).hexdigest()
    done = subprocess.run(
        [*SERVE, "--port", "0", "--data", server.data], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == EXIT_CONFIGURATION  # which systemd does not try again
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: the data folder was used by a newer version")
    assert hashlib.sha256(file.read_bytes()).hexdigest() == before

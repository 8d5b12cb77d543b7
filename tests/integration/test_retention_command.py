"""Retention on a real server: by itself when it starts, and by hand beside it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from objectclassification.store import repair
from tests.serving import Served, photo, until


def retention(data: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "objectclassification", "retention", "--data", data, *arguments],
        capture_output=True,
        text=True,
        timeout=60,
    )


def fill(server: Served, number: int) -> None:
    for one in range(number):
        assert server.call("PUT", "/snippets/1", data=photo(f"{one}")).status_code == 201
    server.settle()


def metric(server: Served, name: str) -> float:
    for line in server.call("GET", "/metrics").text.splitlines():
        if line.startswith(f"objectclassification_{name} "):
            return float(line.split()[1])
    raise AssertionError(f"no metric {name}")


def test_a_server_tidies_when_it_starts_and_counts_it(tmp_path: Path) -> None:
    with Served(tmp_path / "data") as server:
        fill(server, 5)
        assert server.rows()["pictures"] == 5  # by default everything stays
        sizes = [
            one["renditions"] for one in server.call("GET", "/api/pictures").json()["pictures"]
        ]
    with Served(tmp_path / "data", keep_pictures=2) as server:
        until(lambda: metric(server, "pictures_deleted_total") == 3)
        rows = server.rows()
        assert [rows[name] for name in ("pictures", "jobs", "embeddings")] == [2, 2, 2]
        assert len(server.files()) == 4
        gone = sum(form["size_bytes"] for forms in sizes[2:] for form in forms.values())
        assert metric(server, "pictures_deleted_bytes_total") == gone
        assert server.call("GET", "/snippets/1/image").status_code == 200
    found = repair.inspect(tmp_path / "data")
    assert (found.orphans, found.lost) == ({}, ())


def test_a_dry_run_beside_the_server_says_what_would_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = tmp_path / "data"
    with Served(data) as server:
        fill(server, 4)
        assert retention(data, "--dry-run").stdout.startswith("Nothing goes: no limit is set")
        file = tmp_path / "server.toml"
        file.write_text("camera_keep_pictures = 1\n")
        arguments = ("--config", str(file))
        dry = retention(data, *arguments, "--dry-run", "--json")
        assert (dry.returncode, dry.stderr) == (0, "")
        would = json.loads(dry.stdout)
        assert (would["dry_run"], would["pictures"], would["snaps"]) == (True, 3, 0)
        assert would["oldest"] < would["newest"]
        assert list(would["cameras"].values()) == [
            {name: would[name] for name in ("pictures", "bytes", "oldest", "newest")}
        ]
        assert server.rows()["pictures"] == 4
        text = retention(data, *arguments, "--dry-run").stdout.splitlines()
        assert text[0].startswith("3 pictures (")
        assert text[0].endswith("would go.")

        done = retention(data, *arguments)
        assert (done.returncode, done.stdout.splitlines()[0]) == (
            0,
            text[0].replace("would go", "are gone"),
        )
        assert server.rows()["pictures"] == 1
        assert len(server.files()) == 2
        assert json.loads(retention(data, *arguments, "--json").stdout)["pictures"] == 0
        fill(server, 1)  # the server never noticed


def test_a_folder_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    done = retention(tmp_path / "none")
    assert done.returncode == 1
    assert "cannot be read" in done.stderr
    assert not (tmp_path / "none").exists()

"""A disk that breaks: ext4 finds an error, and makes itself read-only under a running server."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.parts import require
from tests.serving import ServeProcess, photo, until

pytestmark = pytest.mark.debian


class BreakingDisk:
    """A small ext4 of its own, mounted as systems are.

    Attributes:
        folder: where it is.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "disk"
        self.folder.mkdir()
        image = folder / "image"
        with image.open("wb") as file:
            file.truncate(48 * 2**20)
        subprocess.run(["mkfs.ext4", "-q", "-F", image], check=True)
        options = "loop,errors=remount-ro"
        subprocess.run(["mount", "-o", options, image, self.folder], check=True)

    def break_down(self) -> None:
        """Has ext4 meet an error, as a failing SD card does."""
        words = ["findmnt", "--noheadings", "--output", "SOURCE", str(self.folder)]
        device = subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip()
        Path(f"/sys/fs/ext4/{Path(device).name}/trigger_fs_error").write_text("1")


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[BreakingDisk]:
    require("ext4")
    made = BreakingDisk(tmp_path)
    try:
        yield made
    finally:
        subprocess.run(["umount", "--lazy", made.folder], check=True)


def test_a_disk_that_became_read_only_is_told_and_reads_go_on(disk: BreakingDisk) -> None:
    # Its log is on that disk, too.
    with ServeProcess(disk.folder, OBJECTCLASSIFICATION_DISK_FLOOR_BYTES="0") as server:
        made = server.call("PUT", "/snippets/1", data=photo()).json()
        path = f"/api/pictures/{made['id']}"
        until(lambda: server.call("GET", path).json()["state"] == "classified")
        assert server.call("GET", "/readyz").status_code == 200
        disk.break_down()
        until(lambda: server.call("GET", "/readyz").status_code == 503)  # its proof is 5 s old
        said = server.call("GET", "/readyz").json()["detail"]
        assert said.startswith("database: the database")
        assert server.call("PUT", "/snippets/1", data=photo("lost")).status_code == 503
        assert server.call("GET", f"{path}/image").content == photo()
        found = server.call("GET", "/metrics").text
        assert "objectclassification_commits_failed_total 0.0" not in found
        assert server.process.poll() is None

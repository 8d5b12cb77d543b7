"""Image files: whole or not there."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from objectclassification.errors import DataFolderUnusable, DiskFull
from objectclassification.store.blobs import Blobs


@pytest.fixture
def blobs(tmp_path: Path) -> Blobs:
    return Blobs(tmp_path / "blobs", floor_bytes=0)


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def test_a_blob_is_there_whole_once_it_is_kept(blobs: Blobs, tmp_path: Path) -> None:
    incoming = blobs.create("key-1")
    incoming.write(b"one ")
    incoming.write(b"two")
    assert not blobs.path("key-1").exists()
    blobs.keep(incoming, "key-1")
    incoming.discard()  # changes nothing any more
    assert blobs.path("key-1").read_bytes() == b"one two"
    assert (incoming.size, incoming.sha256) == (7, hashlib.sha256(b"one two").hexdigest())
    assert files(tmp_path) == ["key-1"]


def test_a_discarded_one_leaves_nothing(blobs: Blobs, tmp_path: Path) -> None:
    incoming = blobs.create("key-1")
    incoming.write(b"half")
    incoming.discard()
    incoming.discard()
    assert files(tmp_path) == []


def test_small_content_in_one_call(blobs: Blobs) -> None:
    assert blobs.put("key-1", b"x") == hashlib.sha256(b"x").hexdigest()
    assert blobs.path("key-1").read_bytes() == b"x"


def test_deleting_is_for_what_may_be_there(blobs: Blobs, tmp_path: Path) -> None:
    blobs.put("key-1", b"x")
    blobs.delete("key-1")
    blobs.delete("key-1")
    assert files(tmp_path) == []


def test_what_a_killed_process_left_is_swept_at_the_start(blobs: Blobs, tmp_path: Path) -> None:
    blobs.put("kept", b"x")
    left = blobs.create("left")
    left.write(b"half")
    left.flush()
    Blobs(tmp_path / "blobs", floor_bytes=0)
    assert files(tmp_path) == ["kept"]
    left.discard()


def test_the_floor_counts_what_is_wanted(tmp_path: Path) -> None:
    Blobs(tmp_path, floor_bytes=0).check_room(1)
    with pytest.raises(DiskFull) as caught:
        Blobs(tmp_path, floor_bytes=2**60).check_room()
    assert caught.value.floor_bytes == 2**60
    with pytest.raises(DiskFull):
        Blobs(tmp_path, floor_bytes=0).check_room(2**60)


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(DataFolderUnusable) as caught:
        Blobs(tmp_path / "file", floor_bytes=0)
    assert caught.value.path == str(tmp_path / "file")

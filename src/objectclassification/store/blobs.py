"""Image files, durable before anything refers to them.

The key of a blob is its rendition's id. A blob is written beside its place, synced, renamed, and
its folder synced: after a power cut it is there whole or not at all.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from objectclassification.errors import DataFolderUnusable, DiskFull, StoreError

_KEY = re.compile(r"[0-9A-Za-z-]{1,64}")
NO_SPACE = (errno.ENOSPC, errno.EDQUOT)


class Incoming:
    """A blob that is being written.

    Attributes:
        path: the temporary file.
        size: bytes written so far.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.size = 0
        self._hash = hashlib.sha256()
        self._stream: BinaryIO = path.open("wb")

    @property
    def sha256(self) -> str:
        """Hash of what was written so far, hexadecimal."""
        return self._hash.hexdigest()

    def write(self, chunk: bytes | bytearray) -> None:
        """Appends bytes."""
        self._stream.write(chunk)
        self._hash.update(chunk)
        self.size += len(chunk)

    def flush(self) -> None:
        """Makes what was written readable under :attr:`path`; not yet durable."""
        self._stream.flush()

    def sync(self) -> None:
        """Puts what was written on the disk and closes the file."""
        self._stream.flush()
        os.fsync(self._stream.fileno())
        self._stream.close()

    def discard(self) -> None:
        """Deletes it; after :meth:`Blobs.keep` there is nothing left to delete."""
        with suppress(OSError):  # a full disk refuses what its buffer still holds
            self._stream.close()
        self.path.unlink(missing_ok=True)


class Blobs:
    """A folder of blobs.

    Args:
        folder: made when it is missing.
        floor_bytes: free space of the disk that must stay.

    Raises:
        DataFolderUnusable: the folder cannot be made or written.
    """

    def __init__(self, folder: Path, *, floor_bytes: int) -> None:
        self._folder = folder
        self._incoming = folder / "incoming"
        self._floor_bytes = floor_bytes
        self._durable: set[str] = set()  # of the folders in it, those known to be on the disk
        try:
            self._incoming.mkdir(parents=True, exist_ok=True)
            with suppress(PermissionError):  # another account's, who lets us write: its own choice
                folder.chmod(0o700)
            sync_folder(folder.parent)
            for leftover in self._incoming.iterdir():  # of a process that was killed
                leftover.unlink()
        except OSError as exc:
            raise DataFolderUnusable(
                f"cannot use the folder {folder}: {exc.strerror}", path=str(folder)
            ) from exc

    def check_room(self, wanted_bytes: int = 0) -> None:
        """Says whether there is room for that much more.

        Raises:
            DiskFull: it would leave less than the floor.
            StoreError: the folder is gone, or its disk.
        """
        free = self.free_bytes() - wanted_bytes
        if free < self._floor_bytes:
            raise DiskFull(free_bytes=max(free, 0), floor_bytes=self._floor_bytes)

    def free_bytes(self) -> int:
        """How much the disk has left.

        Raises:
            StoreError: the folder is gone, or its disk.
        """
        try:
            return shutil.disk_usage(self._incoming).free
        except OSError as exc:
            raise StoreError(f"the pictures' folder cannot be used: {exc.strerror}") from exc

    def create(self, key: str) -> Incoming:
        """Starts a blob."""
        return Incoming(self._incoming / key)

    def keep(self, incoming: Incoming, key: str) -> None:
        """Makes a blob durable under its key. Blocks for the disk."""
        incoming.sync()
        place = self.path(key)
        if place.parent.name not in self._durable:
            # Another thread may have made it and not synced yet: whoever comes syncs.
            place.parent.mkdir(exist_ok=True)
            sync_folder(self._folder)
            self._durable.add(place.parent.name)
        incoming.path.rename(place)
        sync_folder(place.parent)

    def put(self, key: str, content: bytes) -> str:
        """Makes small content durable under a key. Blocks for the disk.

        Returns:
            Its SHA-256, hexadecimal.
        """
        incoming = self.create(key)
        try:
            incoming.write(content)
            self.keep(incoming, key)
        finally:
            incoming.discard()
        return incoming.sha256

    def path(self, key: str) -> Path:
        """Where the blob of that key is, or would be."""
        return place(self._folder, key)

    def delete(self, key: str) -> None:
        """Deletes a blob; one that is not there is fine."""
        self.path(key).unlink(missing_ok=True)


def is_key(text: str) -> bool:
    """Whether this can be a blob's key, and with it a file's name."""
    return _KEY.fullmatch(text) is not None


def place(folder: Path, key: str) -> Path:
    """Where a folder of blobs has the one of that key.

    Raises:
        StoreError: it is no key. Ours are UUIDs; another one's database may hold anything.
    """
    if not is_key(key):
        raise StoreError(f"a blob cannot be called {key[:64]!r}: the database was not made by us")
    return folder / key[-2:] / key


def every(folder: Path) -> Iterator[tuple[str, os.stat_result]]:
    """Every blob's key, with what the file system says of it; other files are not ours.

    Args:
        folder: of blobs; one that is missing holds none.

    Raises:
        OSError: it cannot be read.
    """
    for part in folder.iterdir() if folder.exists() else ():
        if len(part.name) == 2 and part.is_dir():
            for entry in os.scandir(part):
                is_ours = is_key(entry.name) and entry.name.endswith(part.name)
                if is_ours and entry.is_file(follow_symlinks=False):
                    yield entry.name, entry.stat(follow_symlinks=False)


def sync_folder(folder: Path) -> None:
    """Puts what was renamed in a folder on the disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

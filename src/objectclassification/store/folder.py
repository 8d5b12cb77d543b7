"""The data folder: what lies in it, and who holds it.

``database.sqlite3``, ``blobs/``, ``server-id``, ``admin-token`` and ``lock``; ``tls-*.pem`` and
``ca.crt`` of a server with an authority of its own. A backup has the same names inside, so that it
can be read without this program.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from objectclassification.errors import DataFolderUnusable
from objectclassification.store.blobs import sync_folder

DATABASE: Final = "database.sqlite3"
PARTIAL: Final = f"{DATABASE}.partial"
"""A database of a backup or a restore that is not whole yet."""

BLOBS: Final = "blobs"
SERVER_ID: Final = "server-id"
ADMIN_TOKEN: Final = "admin-token"  # noqa: S105 - a file's name
LOCK: Final = "lock"


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Holds the data folder, which two servers must not share; makes it if it is missing.

    Raises:
        DataFolderUnusable: it cannot be used, or a server or a restore holds it.
    """
    try:
        new = [each for each in (folder, *folder.parents) if not each.exists()]
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        for each in new:
            sync_folder(each.parent)
        descriptor = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as exc:
        raise DataFolderUnusable(
            f"cannot use the data folder {folder}: {exc.strerror}; choose another with --data",
            path=str(folder),
        ) from exc
    try:
        _lock(descriptor, folder)
        yield
    finally:
        os.close(descriptor)


def make_private(folder: Path) -> None:
    """Lets nobody else read the database, also in a folder that others may look into.

    SQLite gives the files beside it the database's own mode.

    Raises:
        DataFolderUnusable: it cannot be made.
    """
    try:
        os.close(os.open(folder / DATABASE, os.O_RDWR | os.O_CREAT, 0o600))
        for name in (DATABASE, f"{DATABASE}-wal", f"{DATABASE}-shm"):
            # Another account's file that we may write is that one's own choice.
            with suppress(FileNotFoundError, PermissionError):
                (folder / name).chmod(0o600)
    except OSError as exc:
        raise DataFolderUnusable(
            f"cannot use {folder / DATABASE}: {exc.strerror}", path=str(folder)
        ) from exc


def file_identity(file: Path) -> tuple[int, int] | None:
    """Which file a path is: device and inode; None if there is none."""
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _lock(descriptor: int, folder: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as exc:
        raise DataFolderUnusable(
            f"another server uses the data folder {folder}, or a restore is under way: stop it, or "
            "choose another with --data",
            path=str(folder),
        ) from exc

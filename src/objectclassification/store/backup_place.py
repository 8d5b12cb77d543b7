"""Where a backup goes: a folder or a tar file that is empty or ours, used by one at a time."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from objectclassification.errors import Busy, Conflict
from objectclassification.store import folder

MANIFEST: Final = "backup.json"
LOCK: Final = "backup.lock"
"""Held while a backup is made, and gone afterwards."""


def is_tar(path: Path) -> bool:
    """Whether a backup of that name is one file."""
    return path.suffix == ".tar"


def keep_private(path: Path, mode: int) -> None:
    """Lets nobody else use a file or a folder, where that can be."""
    with suppress(PermissionError):  # a disk that knows no owners, or another account's folder
        path.chmod(mode)


@contextmanager
def work_folder(to: Path) -> Iterator[Path]:
    """Holds the place of a backup; gives a folder on its disk, for the copy of the database.

    Raises:
        Busy: another backup to the same place is under way.
        Conflict: it is something else already.
    """
    _check_place(to)
    if not is_tar(to):
        to.mkdir(parents=True, exist_ok=True, mode=0o700)
        with _held(to / LOCK, to):
            _check_place(to)
            keep_private(to, 0o700)  # somebody else may have made it for everybody
            yield to
        return
    to.parent.mkdir(parents=True, exist_ok=True)
    work = to.with_name(f".{to.name}.partial")
    with _held(to.with_name(f".{to.name}.{LOCK}"), to):
        _check_place(to)
        shutil.rmtree(work, ignore_errors=True)  # of one that was killed
        work.mkdir(mode=0o700)
        try:
            yield work
        finally:
            shutil.rmtree(work, ignore_errors=True)


@contextmanager
def _held(lock: Path, to: Path) -> Iterator[None]:
    """Holds a lock file, which is gone afterwards; what a killed backup left holds nobody up."""
    descriptor = os.open(lock, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        if not _locked(descriptor, lock):
            raise Busy(f"another backup to {to} is under way: wait until it is done")
        try:
            yield
        finally:
            lock.unlink(missing_ok=True)
    finally:
        os.close(descriptor)


def _locked(descriptor: int, lock: Path) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    about = os.fstat(descriptor)
    # Who had it may have deleted it after we opened it: then it is no lock any more.
    return (about.st_dev, about.st_ino) == folder.file_identity(lock)


def _check_place(to: Path) -> None:
    """Conflict if there is something that is no backup, or a tar that is done."""
    if is_tar(to):
        if to.exists():
            raise Conflict(f"{to} exists already: choose another name")
        return
    if not to.exists():
        return
    if not to.is_dir():
        raise Conflict(f"{to} is a file: choose a folder, or a name that ends in .tar")
    names = {path.name for path in to.iterdir()} - {LOCK}
    if folder.LOCK in names or (names and not names & {MANIFEST, folder.PARTIAL}):
        raise Conflict(f"{to} holds something that is no backup: choose an empty folder")

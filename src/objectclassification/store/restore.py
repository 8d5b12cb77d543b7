"""Restores a backup into an empty data folder, and checks every byte on the way.

The folder is held as a server holds it, so that none begins anew in it meanwhile. The database
comes last, and its unfinished file is there first: what an interrupted restore leaves is no data
folder yet, and can be told from one.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from sqlalchemy import select

from objectclassification.errors import Conflict, NotFound, StoreError
from objectclassification.store import folder, models
from objectclassification.store.backup import SECRETS, Progress, check_room
from objectclassification.store.backup_place import MANIFEST
from objectclassification.store.blobs import is_key, place
from objectclassification.store.schema import check_not_newer
from objectclassification.store.tables import pictures, renditions
from objectclassification.store.writer import faults, reading

_BLOB: Final = re.compile(rf"{folder.BLOBS}/([^/]{{2}})/([0-9A-Za-z-]{{1,64}})")
_PIECE: Final = 2**20


@dataclass(frozen=True, slots=True)
class Restored:
    """What a restore brought.

    Attributes:
        pictures: rows of the database.
        blobs: image files whose bytes are what they were.
        damaged: keys of blobs that were not in the backup, or whose bytes had changed; left out.
    """

    pictures: int
    blobs: int
    damaged: tuple[str, ...]


def restore(backup: Path, data: Path, progress: Progress) -> Restored:
    """Makes a data folder out of a backup.

    Args:
        backup: what :func:`back_up` made: a folder or a tar file.
        data: a folder that is empty or not there yet.
        progress: told how far it is.

    Raises:
        NotFound: there is no whole backup.
        Conflict: ``data`` is not empty.
        DataFolderUnusable: a server or another restore holds it, or it cannot be made.
        NewerDatabase: a newer version made the backup.
        StoreError: there is no room, the backup's database is damaged, or a disk failed.
    """
    try:
        _check_empty(data)
        with folder.held(data):
            _check_empty(data)  # who held it until now may have used it
            data.chmod(0o700)
            try:
                os.close(os.open(data / folder.PARTIAL, os.O_WRONLY | os.O_CREAT, 0o600))
                restored = _restore(backup, data, progress)
                _check_unused(data)
            except BaseException:
                _empty(data)
                raise
            (data / folder.PARTIAL).rename(data / folder.DATABASE)
            os.sync()
            return restored
    except OSError as exc:
        raise StoreError(f"{backup} cannot be restored: {exc}") from exc
    except tarfile.TarError as exc:
        raise StoreError(f"{backup} is no tar file, or is damaged: {exc}") from exc


def _restore(backup: Path, data: Path, progress: Progress) -> Restored:
    found = _bring(backup, data, progress)
    database = data / folder.PARTIAL
    with reading(database) as connection:
        check_not_newer(connection)
        wanted = dict(connection.execute(select(renditions.c.id, renditions.c.sha256)).all())
        wanted |= {key: key for key in models.blobs(connection)}
        number = len(connection.execute(select(pictures.c.id)).all())
    if problems := faults(database):
        raise StoreError(f"the backup's database is damaged: {problems[0]}")
    if no_keys := [key for key in wanted if not is_key(key)]:
        raise StoreError(f"the backup's database is not ours: a picture called {no_keys[0]!r}")
    damaged = {key for key, sha256 in wanted.items() if found.get(key) != sha256}
    for key in found.keys() & (damaged | (found.keys() - wanted.keys())):
        place(data / folder.BLOBS, key).unlink()
    os.sync()  # one for all the blobs, before the database says that they are there
    return Restored(number, len(wanted) - len(damaged), tuple(sorted(damaged)))


def _bring(backup: Path, data: Path, progress: Progress) -> dict[str, str]:
    """Copies everything; returns the blobs that came, with the SHA-256 of each."""
    found: dict[str, str] = {}
    seen: set[str] = set()
    for name, stream, done, of in _files(backup, data):
        progress("pictures", done, of)
        seen.add(name)
        blob = _BLOB.fullmatch(name)
        if blob is not None and blob[2].endswith(blob[1]):
            there = place(data / folder.BLOBS, blob[2])
            there.parent.mkdir(parents=True, exist_ok=True)
            found[blob[2]] = _copy(stream, there)
        elif name == folder.DATABASE:
            _copy(stream, data / folder.PARTIAL)
        elif name in SECRETS:
            _copy(stream, data / name)
            (data / name).chmod(0o600)
    if not {MANIFEST, folder.DATABASE} <= seen:
        raise NotFound(f"{backup} is no whole backup: it has no {MANIFEST}, which comes last")
    return found


def _files(backup: Path, data: Path) -> Iterator[tuple[str, IO[bytes], int, int]]:
    """Every regular file of a backup: its name, its bytes, how far this is, and of how much."""
    if backup.is_dir():
        paths = [path for path in backup.rglob("*") if path.is_file() and not path.is_symlink()]
        check_room(data, sum(path.stat().st_size for path in paths))
        for done, path in enumerate(paths, 1):
            with path.open("rb") as stream:
                yield path.relative_to(backup).as_posix(), stream, done, len(paths)
    elif backup.is_file():
        size = backup.stat().st_size
        check_room(data, size)
        with tarfile.open(backup, "r:") as tar:
            for member in tar:
                if member.issparse():  # a few bytes of it may fill a disk
                    raise StoreError(
                        f"{backup} holds a sparse file, which no backup does: was it packed again? "
                        "Use `tar` without --sparse"
                    )
                stream_of = tar.extractfile(member) if member.isreg() else None
                if stream_of is not None:
                    with stream_of:
                        yield member.name, stream_of, min(member.offset, size), size
    else:
        raise NotFound(f"there is no backup {backup}")


def _copy(stream: IO[bytes], to: Path) -> str:
    digest = hashlib.sha256()
    with to.open("wb") as target:
        while piece := stream.read(_PIECE):
            digest.update(piece)
            target.write(piece)
    return digest.hexdigest()


def _check_empty(data: Path) -> None:
    """Conflict if there is anything but the lock that a server or a restore left."""
    if not data.exists():
        return
    if not data.is_dir():
        raise Conflict(f"{data} is a file: restore into a new folder")
    names = {path.name for path in data.iterdir()}
    if folder.PARTIAL in names and folder.DATABASE not in names:
        raise Conflict(
            f"a restore into {data} is under way or was cut off: wait for it, or delete what is in "
            "it and restore again"
        )
    if names - {folder.LOCK}:
        raise Conflict(f"{data} is not empty: restore into a new folder")


def _check_unused(data: Path) -> None:
    """Conflict if somebody made a database here who asks for no lock: its log would spoil ours."""
    for name in (folder.DATABASE, f"{folder.DATABASE}-wal", f"{folder.DATABASE}-shm"):
        if (data / name).exists():
            raise Conflict(f"{data / name} appeared meanwhile: restore into a new folder")


def _empty(data: Path) -> None:
    """Takes away what the restore brought; the lock stays, and what is another's."""
    if (data / folder.BLOBS).exists():
        shutil.rmtree(data / folder.BLOBS)
    for name in (folder.PARTIAL, *SECRETS):
        (data / name).unlink(missing_ok=True)

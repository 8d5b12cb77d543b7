"""Backup of a data folder, also while a server runs on it.

The database is copied first and then every blob that the copy refers to. Blobs never change, so
that one which is there is the right one whenever it is read; blobs that came later are in nobody's
way. Only deletion can come in between: a picture whose blob has gone leaves the copy too.

A backup is a folder with the names of a data folder and a ``backup.json``, which is written last:
without it a backup is not whole. Backing up into the same folder again brings only what is new.
In a ``.tar`` file the same names stand in the order in which they were written.
"""

from __future__ import annotations

import json
import os
import shutil
import tarfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, Protocol

from sqlalchemy import Connection, inspect, select

from objectclassification import __version__
from objectclassification.config import write_secret
from objectclassification.config.tls import AUTHORITY_FILE
from objectclassification.errors import Conflict, DataFolderUnusable, StoreError
from objectclassification.receipts import rfc3339
from objectclassification.store import folder, models, retention
from objectclassification.store.backup_place import MANIFEST, is_tar, keep_private, work_folder
from objectclassification.store.blobs import every, place, sync_folder
from objectclassification.store.deletions import is_deleted
from objectclassification.store.schema import check_not_newer
from objectclassification.store.tables import deletions, pictures, renditions, snippets
from objectclassification.store.writer import copy_database, editing, reading

SECRETS: Final = (folder.SERVER_ID, folder.ADMIN_TOKEN, AUTHORITY_FILE)
MOST_AT_ONCE: Final = 500
"""Ids in one statement."""

CLOCK_GRAIN_S: Final = 2.0
"""How coarse a disk may keep the time of a file: FAT counts in twos."""

Progress = Callable[[str, int, int], None]
"""Told what is under way, how far it is, and of how much."""


@dataclass(frozen=True, slots=True)
class Backup:
    """What a backup holds; ``backup.json`` says the same.

    Attributes:
        version: of the program that made it.
        made_at: RFC 3339, UTC.
        revision: of the database.
        pictures: how many.
        blobs: how many files they are, thumbnails included.
        bytes: of the blobs.
        lost: blobs that were not there although their pictures are.
    """

    version: str
    made_at: str
    revision: str
    pictures: int
    blobs: int
    bytes: int
    lost: tuple[str, ...]


class Target(Protocol):
    """Where a backup goes: a folder or a tar file."""

    def accept(self, number: int, wanted: dict[str, int]) -> None:
        """Before anything is brought: what the copy holds, in pictures and blobs (key, bytes).

        Conflict if a better backup would be lost; StoreError if these blobs do not fit.
        """

    def add(self, key: str, source: Path) -> None:
        """Brings a blob; FileNotFoundError if there is none."""

    def finish(self, database: Path, manifest: Backup, secrets: Iterable[Path]) -> None:
        """Brings the rest, and makes the backup whole and durable."""


def back_up(data: Path, to: Path, progress: Progress) -> Backup:
    """Makes a backup, or brings the one in that folder up to date.

    Args:
        data: the data folder; a server may be using it.
        to: a folder, or a file that ends in ``.tar``.
        progress: told how far it is.

    Raises:
        DataFolderUnusable: there is no data folder.
        Conflict: ``to`` is something else already: other files, another server's backup, or one of
            so much more that this database must have been lost.
        Busy: another backup to the same place is under way.
        StoreError: there is no room, or a disk failed.
    """
    source = data / folder.DATABASE
    if not source.is_file():
        raise DataFolderUnusable(f"there is no {source} to back up: see --data", path=str(data))
    try:
        with work_folder(to) as work:
            _check_same_server(data, to)
            copy = work / folder.PARTIAL
            copy.unlink(missing_ok=True)
            copy.touch(0o600)
            copy_database(source, copy, lambda done, of: progress("database", done, of))
            with _target(to, data, copy) as target:
                return _bring(data, copy, target, progress)
    except OSError as exc:
        raise StoreError(f"the backup cannot be written: {exc}") from exc


@contextmanager
def _target(to: Path, data: Path, copy: Path) -> Iterator[Target]:
    if is_tar(to):
        partial = copy.with_name("backup.tar")
        with tarfile.open(partial, "w") as tar:
            yield _Tar(to, partial, tar)
    else:
        yield _Folder(to, data)


def stored_blobs(connection: Connection) -> dict[str, int]:
    """Every blob that a database refers to, with its bytes."""
    query = select(renditions.c.id, renditions.c.size_bytes)
    pictures_blobs = {row.id: row.size_bytes for row in connection.execute(query)}
    return {**pictures_blobs, **models.blobs(connection)}


def _bring(data: Path, copy: Path, target: Target, progress: Progress) -> Backup:
    with reading(copy) as connection:
        revision = check_not_newer(connection) or ""
        wanted = stored_blobs(connection)
        before = len(connection.execute(select(pictures.c.id)).all())
    target.accept(before, wanted)
    absent = set()
    for done, key in enumerate(wanted):
        progress("pictures", done, len(wanted))
        try:
            target.add(key, place(data / folder.BLOBS, key))
        except FileNotFoundError:
            absent.add(key)
    progress("pictures", len(wanted), len(wanted))
    lost = _still_stored(data, absent)
    _leave_out(copy, absent - lost)
    with reading(copy) as connection:
        kept = stored_blobs(connection)
        number = len(connection.execute(select(pictures.c.id)).all())
    made = Backup(
        version=__version__,
        made_at=rfc3339(time.time()),
        revision=revision,
        pictures=number,
        blobs=len(kept) - len(lost),
        bytes=sum(size for key, size in kept.items() if key not in lost),
        lost=tuple(sorted(lost)),
    )
    target.finish(copy, made, [data / name for name in SECRETS if (data / name).exists()])
    return made


def _still_stored(data: Path, keys: set[str]) -> set[str]:
    """Of these blobs, those that the live database still refers to: they are really lost."""
    found: set[str] = set()
    ordered = sorted(keys)
    with reading(data / folder.DATABASE) as connection:
        for start in range(0, len(ordered), MOST_AT_ONCE):
            some = ordered[start : start + MOST_AT_ONCE]
            query = select(renditions.c.id).where(renditions.c.id.in_(some))
            found.update(connection.execute(query).scalars())
        found |= keys & models.blobs(connection).keys()
    return found


def _leave_out(copy: Path, keys: set[str]) -> None:
    """Takes out of the copy what was deleted while its blobs were being brought."""
    ordered = sorted(keys)
    with editing(copy) as connection:
        if of_models := keys & models.blobs(connection).keys():
            models.leave_out(connection, of_models)
        for start in range(0, len(ordered), MOST_AT_ONCE):
            some = ordered[start : start + MOST_AT_ONCE]
            query = select(renditions.c.picture_id).where(renditions.c.id.in_(some)).distinct()
            retention.remove(connection, list(connection.execute(query).scalars()))
        _show_what_is_there(connection)


def _show_what_is_there(connection: Connection) -> None:
    """Lets slots whose picture is gone show the newest that is there."""
    gone = snippets.c.picture_id.is_not(None) & snippets.c.picture_id.not_in(select(pictures.c.id))
    of_slot = select(pictures.c.id).where(pictures.c.snippet == snippets.c.number)
    if inspect(connection).has_table(deletions.name):  # not yet in one of an older version
        of_slot = of_slot.where(~is_deleted(pictures.c.id))
    newest = of_slot.order_by(pictures.c.captured_at.desc()).limit(1).scalar_subquery()
    connection.execute(snippets.update().where(gone).values(picture_id=newest))


class _Folder:
    """A backup in a folder: hard links on the data folder's own file system, copies elsewhere."""

    def __init__(self, to: Path, data: Path) -> None:
        self._to = to
        self._blobs = to / folder.BLOBS
        self._blobs.mkdir(exist_ok=True)
        keep_private(self._blobs, 0o700)
        own = (data / folder.BLOBS).stat().st_dev if (data / folder.BLOBS).exists() else None
        self._links = own == self._blobs.stat().st_dev
        self._wanted: dict[str, int] = {}

    def accept(self, number: int, wanted: dict[str, int]) -> None:
        self._check_not_lost(number, wanted)
        self._wanted = wanted
        if not self._links:
            new = (size for key, size in wanted.items() if not place(self._blobs, key).exists())
            check_room(self._to, sum(new))

    def _check_not_lost(self, number: int, wanted: dict[str, int]) -> None:
        """Conflict if the backup that is here has blobs of pictures that a lost database forgot."""
        going = sum(key not in wanted for key, _ in every(self._blobs))
        had = _pictures(self._to / MANIFEST)
        if going and number * 2 < had:
            (self._to / folder.PARTIAL).unlink()
            raise Conflict(
                f"{self._to} holds {had} pictures and the database only {number}: {going} files of "
                "the backup would be deleted; if that is right, back up to another folder; if the "
                "database was lost, restore this backup"
            )

    def add(self, key: str, source: Path) -> None:
        there = place(self._blobs, key)
        if there.exists():
            if self._is_whole(key, source, there):
                return
            there.unlink()
        there.parent.mkdir(exist_ok=True)
        if self._links:
            try:
                os.link(source, there)
            except FileNotFoundError:
                raise
            except OSError:  # a file system without links, or a file of another account
                self._links = False
            else:
                return
        partial = there.with_name(f"{key}.partial")
        shutil.copyfile(source, partial)
        keep_private(partial, 0o600)
        about = source.stat()
        os.utime(partial, ns=(about.st_atime_ns, about.st_mtime_ns))
        partial.rename(there)

    def _is_whole(self, key: str, source: Path, there: Path) -> bool:
        """Whether what the backup has is as it came, as far as can be told without reading it.

        Blobs never change: of two that should be the same, somebody wrote to the younger one.
        """
        kept = there.stat()
        if kept.st_size != self._wanted[key]:  # of a backup that a power cut ended
            return False
        try:
            return kept.st_mtime <= source.stat().st_mtime + CLOCK_GRAIN_S
        except FileNotFoundError:
            return True

    def finish(self, database: Path, manifest: Backup, secrets: Iterable[Path]) -> None:
        for secret in secrets:
            write_secret(self._to / secret.name, secret.read_text())
        os.sync()  # one for all the blobs, before anything says that they are there
        database.rename(self._to / folder.DATABASE)
        partial = self._to / f"{MANIFEST}.partial"
        partial.write_text(_json(manifest))
        keep_private(partial, 0o600)
        partial.rename(self._to / MANIFEST)
        os.sync()
        with reading(self._to / folder.DATABASE) as connection:
            kept = stored_blobs(connection)
        for path in self._blobs.glob("*/*"):  # of pictures deleted since the backup before
            if path.name not in kept:
                path.unlink()


class _Tar:
    """A backup in one file, not compressed: pictures are already."""

    def __init__(self, to: Path, partial: Path, tar: tarfile.TarFile) -> None:
        self._to, self._partial, self._tar = to, partial, tar

    def accept(self, number: int, wanted: dict[str, int]) -> None:
        check_room(self._partial.parent, sum(wanted.values()))

    def add(self, key: str, source: Path) -> None:
        self._tar.add(source, arcname=str(place(Path(folder.BLOBS), key)))

    def finish(self, database: Path, manifest: Backup, secrets: Iterable[Path]) -> None:
        note = database.with_name(MANIFEST)
        note.write_text(_json(manifest))
        with self._tar as tar:
            for secret in secrets:
                tar.add(secret, arcname=secret.name)
            tar.add(database, arcname=folder.DATABASE)
            tar.add(note, arcname=MANIFEST)
        self._partial.chmod(0o600)
        with self._partial.open("rb") as stream:
            os.fsync(stream.fileno())
        self._partial.rename(self._to)
        sync_folder(self._to.parent)


def check_room(on: Path, size_bytes: int) -> None:
    """Raises StoreError when a disk has less free than that."""
    free = shutil.disk_usage(on).free
    if free < size_bytes:
        raise StoreError(
            f"{size_bytes // 2**20} MiB are needed at {on}, and {free // 2**20} MiB are free: "
            "make room, or choose another disk"
        )


def _check_same_server(data: Path, to: Path) -> None:
    """Conflict if a folder has another server's backup; a backup has its server's id inside."""
    own, there = data / folder.SERVER_ID, to / folder.SERVER_ID
    if own.exists() and there.exists() and own.read_text().strip() != there.read_text().strip():
        raise Conflict(f"{to} holds another server's backup: choose another folder")


def _pictures(manifest: Path) -> int:
    """How many pictures a whole backup has; 0 if there is none yet."""
    try:
        return int(json.loads(manifest.read_text())["pictures"])
    except FileNotFoundError:
        return 0
    except (ValueError, KeyError, TypeError) as exc:
        raise Conflict(f"{manifest} is no backup's, or is damaged: choose an empty folder") from exc


def _json(manifest: Backup) -> str:
    return json.dumps(asdict(manifest), indent=2) + "\n"

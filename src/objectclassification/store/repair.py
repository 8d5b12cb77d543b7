"""Blobs without rows and rows without blobs: finding them, also while a server runs; repairing.

Both can only come from a crash, a disk that failed, or a person with ``rm``. A blob is written
before its row and deleted after it, so that a crash leaves at worst a blob too many.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, select

from objectclassification.errors import DataFolderUnusable, StoreError
from objectclassification.messages import failure
from objectclassification.receipts import Shot
from objectclassification.store import folder, models, snaps
from objectclassification.store.blobs import every, place
from objectclassification.store.jobs import LOST
from objectclassification.store.tables import jobs, pictures, renditions
from objectclassification.store.writer import editing, reading

ORPHAN_AGE_S = 3600.0
"""A younger blob may belong to a PUT that is under way, whose row comes in a moment."""

FEW_ORPHANS = 10
"""So many may go whatever the database knows: what PUTs leave when they are cut off, one each."""


@dataclass(frozen=True, slots=True)
class LostBlob:
    """A rendition whose blob is not there.

    Attributes:
        id: the rendition.
        picture_id: whose it is.
        is_main: whether it is what the picture's job classifies; else a thumbnail or the like.
        is_noted: whether its picture says so already.
    """

    id: str
    picture_id: str
    is_main: bool
    is_noted: bool


@dataclass(frozen=True, slots=True)
class Findings:
    """What is wrong between database and blobs.

    Attributes:
        orphans: files that no row refers to, with their bytes.
        lost: renditions without their file that are not noted yet.
        noted: pictures whose file is known to be gone.
        models: names of models without their file; only adding them again helps.
        known: files that the database does know.
    """

    orphans: dict[Path, int]
    lost: tuple[LostBlob, ...]
    noted: int
    models: tuple[str, ...]
    known: int

    @property
    def is_wrong_database(self) -> bool:
        """Whether more files are unknown than known: the database is then what is wrong.

        It was lost and begun anew, or is an older one. No crash leaves that many: a PUT that was
        cut off leaves one, retention the files of one transaction.
        """
        return len(self.orphans) > max(FEW_ORPHANS, self.known)

    @property
    def is_wrong_disk(self) -> bool:
        """Whether none of many files is there: their disk is then what is not."""
        return len(self.lost) > FEW_ORPHANS and self.known == 0


def inspect(data: Path) -> Findings:
    """Compares database and blobs; changes nothing, and may run beside a server.

    Raises:
        StoreError: one of the two cannot be read.
    """
    blobs = data / folder.BLOBS
    try:
        files = dict(every(blobs))
        with reading(data / folder.DATABASE) as connection:
            rows = _rows(connection)
            of_models = {model.sha256: model.id for model in models.every(connection)}
        missing = {key for key in rows if key not in files and not place(blobs, key).exists()}
        with reading(data / folder.DATABASE) as connection:  # retention may have deleted them
            still = _rows(connection)
        lost = [still[key] for key in sorted(missing) if key in still]
        oldest_at = time.time() - ORPHAN_AGE_S
        orphans = {
            place(blobs, key): about.st_size
            for key, about in files.items()
            if key not in rows
            and key not in of_models
            and about.st_mtime < oldest_at
            and place(blobs, key).exists()
        }
    except OSError as exc:
        raise StoreError(f"{blobs} cannot be read: {exc.strerror}") from exc
    return Findings(
        orphans=orphans,
        lost=tuple(blob for blob in lost if not blob.is_noted),
        noted=sum(blob.is_noted for blob in lost),
        models=tuple(name for key, name in of_models.items() if not place(blobs, key).exists()),
        known=sum(key in rows or key in of_models for key in files),
    )


def repair(data: Path) -> Findings:
    """Deletes orphans and notes lost pictures; the caller holds the data folder.

    A picture whose file is gone keeps its row and its labels, and says so; a lost thumbnail is
    forgotten.

    Returns:
        What was repaired.

    Raises:
        DataFolderUnusable: most files are orphans, or none is there; nothing was changed.
        StoreError: one of the two cannot be read or written.
    """
    findings = inspect(data)
    if findings.is_wrong_database:
        raise DataFolderUnusable(
            f"{len(findings.orphans)} image files have no picture in the database, and only "
            f"{findings.known} have one, so nothing was deleted: restore a backup if the database "
            "was lost; if it is right, back it up to a new folder and restore that, which leaves "
            "them out",
            path=str(data),
        )
    if findings.is_wrong_disk:
        raise DataFolderUnusable(
            f"not one of {len(findings.lost)} files is in {data / folder.BLOBS}, so nothing was "
            "noted: is its disk mounted? If they are really lost, restore a backup",
            path=str(data),
        )
    with editing(data / folder.DATABASE) as connection:
        for blob in findings.lost:
            if blob.is_main:
                _note(connection, blob)
            else:
                connection.execute(renditions.delete().where(renditions.c.id == blob.id))
    try:
        for path in findings.orphans:
            path.unlink(missing_ok=True)
    except OSError as exc:
        raise StoreError(f"{exc.filename} cannot be deleted: {exc.strerror}") from exc
    return findings


def _rows(connection: Connection) -> dict[str, LostBlob]:
    query = select(
        renditions.c.id,
        renditions.c.picture_id,
        jobs.c.rendition_id,
        jobs.c.state,
        jobs.c.error,
    ).join(jobs, jobs.c.picture_id == renditions.c.picture_id)
    return {
        row.id: LostBlob(
            row.id,
            row.picture_id,
            is_main=row.rendition_id == row.id,
            is_noted=row.rendition_id == row.id and (row.state, row.error) == ("failed", LOST),
        )
        for row in connection.execute(query)
    }


def _note(connection: Connection, blob: LostBlob) -> None:
    about = connection.execute(
        select(jobs.c.state, pictures.c.snap_id, pictures.c.camera)
        .join(pictures, pictures.c.id == jobs.c.picture_id)
        .where(jobs.c.picture_id == blob.picture_id)
    ).one()
    mark = jobs.update().where(jobs.c.picture_id == blob.picture_id)
    connection.execute(mark.values(state="failed", error=LOST, worker=None, lease_until_at=None))
    waits = about.state in ("queued", "leased")  # else its shot came to its end long ago
    if waits and about.snap_id is not None and about.camera is not None:
        error = failure("classify_failed", LOST)
        shot = Shot(camera=about.camera, state="failed", error=error)
        snaps.save_shots(connection, about.snap_id, [shot])

"""A database that is gone while its pictures are still there, and must not be begun anew over them.

A crash cannot do it: every database has its tables on the disk before the first blob comes. A
person with ``rm`` can, a log that was not copied along, a disk, or a restore that was cut off.
"""

from __future__ import annotations

from pathlib import Path

from objectclassification.errors import DataFolderUnusable, StoreError
from objectclassification.store import folder
from objectclassification.store.blobs import every
from objectclassification.store.schema import revision
from objectclassification.store.writer import reading


def check_database(data: Path) -> None:
    """Returns if the database is there, or nothing that needs one.

    Args:
        data: the data folder; it may be new, and a server may be using it.

    Raises:
        DataFolderUnusable: pictures are there without their database, or half a restore.
        StoreError: the database cannot be read.
    """
    if _is_made(data / folder.DATABASE):
        return
    if (data / folder.PARTIAL).exists():
        raise DataFolderUnusable(
            f"a restore into {data} was cut off: delete what is in it and restore again",
            path=str(data),
        )
    try:
        files = sum(1 for _ in every(data / folder.BLOBS))
    except OSError as exc:
        raise StoreError(f"{data / folder.BLOBS} cannot be read: {exc.strerror}") from exc
    if files:
        raise DataFolderUnusable(
            f"the database {data / folder.DATABASE} is gone or empty, but {files} image files are "
            f"here: restore a backup into a new folder, or move {data / folder.BLOBS} away to "
            "begin anew",
            path=str(data),
        )


def _is_made(file: Path) -> bool:
    """Whether a database has tables: one that lost its log before its first checkpoint has none."""
    if not file.exists() or file.stat().st_size == 0:
        return False
    with reading(file) as connection:
        return revision(connection) is not None

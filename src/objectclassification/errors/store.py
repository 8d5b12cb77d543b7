"""What goes wrong with the data folder."""

from __future__ import annotations

from objectclassification.errors.base import EXIT_CONFIGURATION, ObjectClassificationError


class StoreError(ObjectClassificationError):
    """The data folder or the database failed."""

    code = "store_failed"


class DataFolderUnusable(StoreError):
    """The data folder cannot be made or written.

    Attributes:
        path: the folder.
    """

    code = "data_folder"
    exit_code = EXIT_CONFIGURATION

    def __init__(self, detail: str, *, path: str) -> None:
        super().__init__(detail)
        self.path = path


class NewerDatabase(StoreError):
    """The database was made by a newer version.

    Attributes:
        found: the revision of the database.
    """

    code = "newer_database"
    exit_code = EXIT_CONFIGURATION

    def __init__(self, detail: str, *, found: str) -> None:
        super().__init__(detail)
        self.found = found


class DiskFull(StoreError):
    """Free space is below its floor, or there is none at all.

    Attributes:
        free_bytes: what is left.
        floor_bytes: what must stay free.
    """

    code = "disk_full"
    retryable = True

    def __init__(self, *, free_bytes: int = 0, floor_bytes: int = 0) -> None:
        super().__init__(
            f"only {free_bytes // 2**20} MiB of disk are free and {floor_bytes // 2**20} MiB "
            "must stay so: delete pictures or lower disk_floor_bytes"
            if floor_bytes
            else "the disk is full: delete pictures"
        )
        self.free_bytes = free_bytes
        self.floor_bytes = floor_bytes

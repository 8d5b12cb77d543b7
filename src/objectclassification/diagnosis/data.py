"""Checks of a server's data folder, safe beside the server that uses it: they only read."""

from __future__ import annotations

import os
import shutil
import stat
import time
from collections.abc import Iterator, Mapping, Sized
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from sqlalchemy import func, select

from objectclassification.classification.classifier import Classifier
from objectclassification.classification.detector import Detector
from objectclassification.config import ServerSettings
from objectclassification.diagnosis import Check
from objectclassification.errors import DataFolderUnusable, ModelError, NewerDatabase, StoreError
from objectclassification.store import folder, lost, repair
from objectclassification.store.schema import check_current
from objectclassification.store.tables import pictures, snaps
from objectclassification.store.writer import faults, reading

_AHEAD_S: Final = 5.0
"""A row that is so much younger than the clock says that the clock was set back."""


def checks(settings: ServerSettings) -> Iterator[Check]:
    """Everything about the data folder and the model, the folder itself first."""
    data = settings.data
    yield model(settings.model)
    if not (data / folder.DATABASE).exists() and not _hidden(data):
        yield missing(data)
        return
    access = permissions(data)
    yield access
    if access.status == "fail":
        return
    yield disk(data, settings.disk_floor_bytes)
    sound = database(data)
    yield sound
    if sound.status == "ok":
        yield newest_row(data)
        yield files(data)


def model(path: Path | None) -> Check:
    """Whether the model and the detector can be loaded."""
    try:
        loaded = Classifier(path)
        Detector()
    except ModelError as exc:
        return Check("model", "fail", exc.detail, "leave the setting `model` out, or reinstall")
    return Check("model", "ok", f"{loaded.model_id} loads, sha256 {loaded.model_sha256[:12]}…")


def missing(data: Path) -> Check:
    """Whether a folder without a database is one that no server has used yet."""
    try:
        lost.check_database(data)
    except DataFolderUnusable as exc:
        return Check("data", "fail", *_parted(exc.detail))
    except StoreError as exc:
        return Check("data", "fail", exc.detail, "look at the disk, or restore a backup")
    return Check("data", "ok", f"nothing at {data} yet: `objectclassification serve` makes it")


def permissions(data: Path) -> Check:
    """Whether this account can use the folder, and only it."""
    if not os.access(data, os.R_OK | os.W_OK | os.X_OK):
        todo = "run this as the server's account, or choose another folder with --data"
        return Check("data", "fail", f"this account may not use {data}", todo)
    about = data.stat()
    strangers = sorted(path.name for path in data.iterdir() if path.stat().st_uid != about.st_uid)
    if strangers:
        todo = f"give them to the folder's owner: chown -R {about.st_uid}:{about.st_gid} {data}"
        return Check("data", "fail", f"{', '.join(strangers)} in {data} are another's", todo)
    if about.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        return Check("data", "warn", f"other accounts may look into {data}", f"chmod 700 {data}")
    return Check("data", "ok", f"only its owner may look into {data.absolute()}")


def disk(data: Path, floor_bytes: int) -> Check:
    """Whether there is room above the floor, below which no picture is taken in."""
    free = shutil.disk_usage(data).free
    found = f"{free / 1e9:.1f} GB free; below {floor_bytes / 1e9:.1f} GB no picture is taken in"
    todo = "make room, or let pictures go: keep_days, keep_pictures, keep_bytes"
    if free < floor_bytes:
        return Check("disk", "fail", found, todo)
    return (
        Check("disk", "warn", found, todo) if free < 2 * floor_bytes else Check("disk", "ok", found)
    )


def database(data: Path) -> Check:
    """Whether the database is sound, and this version's."""
    file = data / folder.DATABASE
    try:
        lost.check_database(data)
        if found := faults(file):
            todo = "restore a backup into a new folder: `objectclassification restore`"
            return Check("database", "fail", f"{file} is damaged: {found[0]}", todo)
        with reading(file) as connection:
            check_current(connection)
    except NewerDatabase as exc:
        return Check("database", "fail", exc.detail)
    except DataFolderUnusable as exc:
        return Check("database", "fail", *_parted(exc.detail))
    except StoreError as exc:
        return Check("database", "fail", exc.detail, "look at the disk, or restore a backup")
    return Check("database", "ok", f"sound, {file.stat().st_size / 1e6:.1f} MB")


def newest_row(data: Path) -> Check:
    """Whether the clock was set back: what comes now would be older than what is there."""
    with reading(data / folder.DATABASE) as connection:
        newest = [
            connection.execute(select(func.max(column))).scalar_one()
            for column in (pictures.c.received_at, snaps.c.accepted_at)
        ]
    at = max((value for value in newest if value is not None), default=0.0)
    if at > time.time() + _AHEAD_S:
        when = datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds")
        todo = "set the clock: `timedatectl set-ntp true`"
        return Check(
            "newest row",
            "fail",
            f"it says {when}, and the clock is not there yet: was it set back?",
            todo,
        )
    return Check("newest row", "ok", "not ahead of the clock")


def files(data: Path) -> Check:
    """Whether every picture has its file, and every file its picture."""
    try:
        found = repair.inspect(data)
    except StoreError as exc:
        return Check("files", "fail", exc.detail, "look at the disk, or restore a backup")
    todo = "stop the server and run `objectclassification doctor --repair`"
    orphans = f"{_count(found.orphans, 'file')} without a picture ({_megabytes(found.orphans)})"
    if found.models:
        gone = f"{_count(found.models, 'model')} without a file: {', '.join(found.models)}"
        again = (
            "have its cameras use another: `objectclassification models use`; then remove and add"
        )
        return Check("files", "fail", gone, again)
    if found.is_wrong_database:
        again = "restore a backup into a new folder: most files have no picture in this database"
        return Check("files", "fail", orphans, again)
    if found.lost:
        return Check(
            "files", "fail", f"{_count(found.lost, 'picture')} without a file; {orphans}", todo
        )
    if found.orphans:
        return Check("files", "warn", orphans, todo)
    known = f"; {found.noted} more lost theirs, which is noted" if found.noted else ""
    return Check("files", "ok", f"every picture has its file{known}")


def mend(data: Path) -> Check:
    """Repairs what :func:`files` finds; the server must not be running.

    Raises:
        DataFolderUnusable: a server uses the folder, or its database is not that of its files.
        StoreError: the database is not this version's, or a disk failed.
    """
    with folder.held(data):
        lost.check_database(data)
        with reading(data / folder.DATABASE) as connection:
            check_current(connection)
        done = repair.repair(data)
    return Check(
        "repair",
        "ok",
        f"{_count(done.orphans, 'file')} without a picture deleted "
        f"({_megabytes(done.orphans)}), {_count(done.lost, 'lost picture')} noted",
    )


def _count(things: Sized, what: str) -> str:
    return f"{len(things)} {what}{'' if len(things) == 1 else 's'}"


def _megabytes(sizes: Mapping[Path, int]) -> str:
    return f"{sum(sizes.values()) / 1e6:.1f} MB"


def _parted(detail: str) -> tuple[str, str]:
    """What was found, and what to do, of an error's one line."""
    found, _, todo = detail.partition(": ")
    return found, todo


def _hidden(data: Path) -> bool:
    """Whether there is a folder that this account may not look into."""
    return data.is_dir() and not os.access(data, os.X_OK)

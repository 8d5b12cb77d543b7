"""Pictures that are not uploaded yet, on disk, so that a captured picture outlives any crash.

A folder holds two files for each: the picture and, beside it, a JSON file that says what it is. An
item exists from the moment its JSON file is renamed into place until that file is removed; both
renames follow an fsync, so that a power cut at any moment leaves either the whole item or none of
it. What a crash left over is swept away when the spool is opened.
"""

from __future__ import annotations

import errno
import json
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any

import structlog
import uuid_utils

from objectclassification.capture.clock import boot_id, since_boot_s
from objectclassification.errors import CaptureError, ConfigurationError
from objectclassification.receipts import Freshness, ShotOrigin

if TYPE_CHECKING:
    from objectclassification.capture.taken import Taken

DEFAULT_MAX_BYTES = 2**30
_NO_SPACE = (errno.ENOSPC, errno.EDQUOT)
_SUFFIXES = {"image/jpeg": ".jpg", "image/png": ".png", "image/webp": ".webp"}
_LOCK = "spool.lock"
_OURS = "[0-9]" * 12  # nothing else is touched: the folder may be somebody's pictures

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class SpoolItem:
    """A picture that waits for its upload.

    Attributes:
        number: its place in the order of arrival.
        key: the ``Idempotency-Key`` of its upload; the same through restarts.
        camera: which camera took it.
        upload: path of the PUT, for example ``/snippets/1/``.
        snap: the snap it belongs to, if any.
        rendition: ``full``, ``thumbnail``, …
        media_type: of the picture's bytes.
        sha256: of the picture's bytes, hexadecimal.
        path: where the picture's bytes are.
        taken_wall_s: seconds since the epoch, by the wall clock of that time.
        taken_boot_s: the same by the clock that counts from boot.
        boot_id: which boot that was.
        origin: who asked for the snap.
        freshness: how the picture is known to be newer than the snap.
        wanted_s: for how long after it was taken its snap waits for it; None: nobody waits.
        frame: its place in a burst; the first is the shot's picture.
    """

    number: int
    key: str
    camera: str
    upload: str
    snap: str | None
    rendition: str
    media_type: str
    sha256: str
    path: Path
    taken_wall_s: float
    taken_boot_s: float
    boot_id: str
    origin: ShotOrigin = "controller"
    freshness: Freshness | None = None
    wanted_s: float | None = None
    frame: int = 1

    @property
    def is_expired(self) -> bool:
        """Whether nobody waits for it any more: it is for the history only."""
        return self.wanted_s is None or self.age_ms() > self.wanted_s * 1000

    def read(self) -> bytes:
        """Returns the picture."""
        return self.path.read_bytes()

    def age_ms(self) -> int:
        """Milliseconds since it was taken.

        The clock that counts from boot is believed as long as the machine has not been started
        anew; the wall clock may have been set meanwhile, and is asked only after that.
        """
        if self.boot_id and self.boot_id == boot_id():
            return max(0, round((since_boot_s() - self.taken_boot_s) * 1000))
        return max(0, round((time.time() - self.taken_wall_s) * 1000))


_FIELDS = {field.name for field in fields(SpoolItem)}


class Spool:
    """The pictures of one program that are not uploaded yet. Any thread may call it.

    Args:
        folder: made if it is missing; one program at a time.
        max_bytes: of all pictures in it. When it is full, or its disk is, pictures are dropped for
            a new one: those of expired snaps first, of these the oldest. Each is logged.

    Attributes:
        max_bytes: as given.
        dropped: pictures that were dropped by this program so far.

    Raises:
        ConfigurationError: the folder cannot be used, or another program uses it.
    """

    def __init__(self, folder: Path, *, max_bytes: int = DEFAULT_MAX_BYTES) -> None:
        self._folder = folder
        self.max_bytes = max_bytes
        self.dropped = 0
        self._mutex = Lock()
        try:
            new = [each for each in (folder, *folder.parents) if not each.exists()]
            folder.mkdir(parents=True, exist_ok=True)
            for each in new:
                _sync_names(each.parent)
            self._lock: IO[bytes] = (folder / _LOCK).open("wb")
        except OSError as exc:
            raise ConfigurationError(f"cannot use the spool {folder}: {exc.strerror}") from exc
        try:
            _lock_or_raise(self._lock)
        except OSError as exc:
            self._lock.close()
            raise ConfigurationError(
                f"another camera program uses the spool {folder}: give each its own"
            ) from exc
        self._next = 1
        self._items = {item.number: item for item in self._load()}
        self._sizes = {n: item.path.stat().st_size for n, item in self._items.items()}

    def __len__(self) -> int:
        return len(self._items)

    @property
    def size_bytes(self) -> int:
        """Bytes of the pictures that wait."""
        return sum(self._sizes.values())

    def add(
        self,
        taken: Taken,
        *,
        camera: str,
        upload: str,
        snap: str | None = None,
        key: str | None = None,
        origin: ShotOrigin = "controller",
        rendition: str = "full",
        wanted_s: float | None = None,
        frame: int = 1,
    ) -> SpoolItem:
        """Keeps a picture; when this returns, no crash loses it.

        Args:
            taken: the picture.
            camera: which camera took it.
            upload: path of the PUT.
            snap: the snap it belongs to.
            key: the idempotency key; a new one by default.
            origin: who asked for that snap.
            rendition: which rendition it is.
            wanted_s: for how long after it was taken its snap waits for it; None: nobody waits.
            frame: its place in a burst.

        Raises:
            CaptureError: it could not be written, or is larger than the whole spool.
        """
        with self._mutex:
            self._make_room(len(taken.data))
            number, self._next = self._next, self._next + 1
            item = SpoolItem(
                number=number,
                key=key or str(uuid_utils.uuid7()),
                camera=camera,
                upload=upload,
                snap=snap,
                rendition=rendition,
                media_type=taken.media_type,
                sha256=taken.sha256,
                path=self._folder / f"{number:012d}{_SUFFIXES[taken.media_type]}",
                taken_wall_s=taken.captured_at.timestamp(),
                taken_boot_s=since_boot_s() - (time.monotonic() - taken.taken_at),
                boot_id=boot_id(),
                origin=origin,
                freshness=taken.freshness,
                wanted_s=wanted_s,
                frame=frame,
            )
            try:
                self._keep(item, taken.data)
            except OSError as exc:
                raise CaptureError(
                    f"cannot keep a picture in {self._folder}: {exc.strerror}", source=camera
                ) from exc
            self._items[number], self._sizes[number] = item, len(taken.data)
            return item

    def has_room(self, size: int) -> bool:
        """Whether a picture of so many bytes fits without another one giving way."""
        with self._mutex:
            return self.size_bytes + size <= self.max_bytes

    def due(self) -> Iterator[SpoolItem]:
        """Yields what waits now, the oldest first; it may be removed meanwhile."""
        with self._mutex:
            waiting = sorted(self._items)
        for number in waiting:
            if (item := self._items.get(number)) is not None:
                yield item

    def holds(self, item: SpoolItem) -> bool:
        """Whether a picture still waits; a full spool may have dropped it."""
        return item.number in self._items

    def remove(self, item: SpoolItem) -> None:
        """Lets go of a picture that was uploaded, or will never be."""
        with self._mutex:
            self._forget(item)

    def close(self) -> None:
        """Lets another program use the folder."""
        self._lock.close()

    def __enter__(self) -> Spool:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _note(self, number: int) -> Path:
        return self._folder / f"{number:012d}.json"

    def _forget(self, item: SpoolItem) -> None:
        # The note first: a picture without its note is swept away when the spool is opened.
        self._note(item.number).unlink(missing_ok=True)
        item.path.unlink(missing_ok=True)
        self._items.pop(item.number, None)
        self._sizes.pop(item.number, None)

    def _make_room(self, size: int) -> None:
        if size > self.max_bytes:
            raise CaptureError(
                f"a picture of {size} bytes is larger than the spool ({self.max_bytes} bytes)",
                source=str(self._folder),
            )
        while self.size_bytes + size > self.max_bytes:
            self._drop()

    def _keep(self, item: SpoolItem, data: bytes) -> None:
        """Writes a picture and its note; while the disk has no room, others give way.

        Others of its size are enough: if they are not, somebody else fills the disk, and dropping
        all the rest would not help.
        """
        freed = 0
        while True:
            try:
                self._write(item.path, data)
                self._write(self._note(item.number), json.dumps(asdict(item), default=str).encode())
                return
            except OSError as exc:
                self._forget(item)
                if exc.errno == errno.ENOENT and not self._folder.is_dir():
                    self._make_again()
                    continue
                if exc.errno not in _NO_SPACE or not self._items or freed > len(data):
                    raise
                freed += self._drop()

    def _make_again(self) -> None:
        """Makes the folder that somebody deleted; the pictures in it are lost."""
        self._folder.mkdir(parents=True)
        _sync_names(self._folder.parent)
        lock = (self._folder / _LOCK).open("wb")
        try:
            _lock_or_raise(lock)
        except OSError:  # another program was quicker
            lock.close()
            raise
        self._lock.close()
        self._lock = lock
        lost = [item for item in self._items.values() if not item.path.exists()]
        for item in lost:
            self._forget(item)
        self.dropped += len(lost)
        _log.error("spool_deleted", folder=str(self._folder), lost=[item.key for item in lost])

    def _drop(self) -> int:
        """Drops the picture that is missed least; returns its bytes."""
        victim = min(self._items.values(), key=lambda item: (not item.is_expired, item.number))
        size = self._sizes[victim.number]
        self.dropped += 1
        _log.warning(
            "spool_full",
            dropped=victim.key,
            camera=victim.camera,
            snap=victim.snap,
            expired=victim.is_expired,
            waiting=len(self._items) - 1,
            dropped_so_far=self.dropped,
        )
        self._forget(victim)
        return size

    def _write(self, path: Path, data: bytes) -> None:
        temporary = path.with_suffix(path.suffix + ".tmp")
        try:
            with temporary.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        except OSError:
            temporary.unlink(missing_ok=True)  # half a picture would keep the disk full
            raise
        _sync_names(self._folder)

    def _load(self) -> Iterator[SpoolItem]:
        """Reads the notes, and sweeps away what a crash left without one."""
        noted = set()
        for note in sorted(self._folder.glob(f"{_OURS}.json")):
            self._next = int(note.stem) + 1
            noted.add(note.stem)
            if (item := self._read(note)) is not None:
                yield item
        for path in self._folder.glob(f"{_OURS}.*"):
            if path.stem not in noted:
                path.unlink()

    def _read(self, note: Path) -> SpoolItem | None:
        try:
            told: dict[str, Any] = json.loads(note.read_bytes())
            known = {name: told[name] for name in _FIELDS & told.keys()}
            item = SpoolItem(**{**known, "path": self._folder / Path(told["path"]).name})
            if Path(item.key).name != item.key:
                raise ValueError("its key is no file's name")
        except (ValueError, TypeError, KeyError, AttributeError) as exc:
            # Our notes are never half written, so this is for a person: nothing is deleted.
            _log.error("spool_note_unreadable", note=str(note), reason=str(exc))
            return None
        if not item.path.is_file():
            _log.warning("spool_picture_missing", note=str(note))
            note.unlink()
            return None
        return item


if sys.platform == "win32":
    import msvcrt

    def _sync_names(folder: Path) -> None:
        """Nothing: its folders cannot be opened, and NTFS keeps a journal of names."""

    def _lock_or_raise(file: IO[bytes]) -> None:
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)

else:
    import fcntl

    def _sync_names(folder: Path) -> None:
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def _lock_or_raise(file: IO[bytes]) -> None:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)

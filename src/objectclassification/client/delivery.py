"""Brings the pictures in the spool to the API, a few at the same time, until each is there.

New pictures go first, because somebody may wait for them, then the rest, the oldest first. When the
server does not answer, or asks to be left alone, everything pauses for longer and longer; a new
picture or a new connection to the hub ends the pause at once.
"""

from __future__ import annotations

import asyncio
import heapq
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import structlog

from objectclassification.capture import Spool, SpoolItem, Uploader
from objectclassification.client.backoff import growing_pause_s, spread_wait_s
from objectclassification.client.refused import put_aside
from objectclassification.client.reports import Reports, captured_before
from objectclassification.client.threads import in_thread
from objectclassification.errors import UploadFailed, UploadRefused
from objectclassification.messages import ShotReport, failure

LANES = 4
"""Uploads at the same time: enough to fill an uplink, and few enough to share it."""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Caption:
    """What the screen says of a new picture, before what became of it.

    Attributes:
        text: which camera, and what it took.
        since: ``time.monotonic()`` seconds when the snap arrived.
    """

    text: str
    since: float


@dataclass(eq=False, slots=True)
class _Waiting:
    """A picture on its way; without a caption it is from an earlier run, or more of a burst."""

    item: SpoolItem
    caption: Caption | None
    tries: int = 0

    @property
    def is_new(self) -> bool:
        """Whether somebody may wait for it."""
        return self.caption is not None and self.tries == 0


class Delivery:
    """Uploads what is in the spool.

    Args:
        spool: what waits; nobody else removes anything from it.
        refused: folder for the pictures that the API will never take.
        new_uploader: makes an uploader that tries once.
        reports: to the hub.
        tell: takes a line for the person at the screen.

    Attributes:
        refusal: why the first picture was refused, if any was.
    """

    def __init__(
        self,
        spool: Spool,
        refused: Path,
        new_uploader: Callable[[], Uploader],
        reports: Reports,
        tell: Callable[[str], None],
    ) -> None:
        self.refusal: UploadRefused | None = None
        self._spool = spool
        self._refused = refused
        self._reports = reports
        self._tell = tell
        self._idle = [new_uploader() for _ in range(LANES)]
        self._places: Mapping[str, str] | None = None
        self._waiting: list[tuple[bool, int, int, _Waiting]] = []
        self._under_way: set[asyncio.Task[None]] = set()
        self._changed = asyncio.Event()
        self._pause: asyncio.TimerHandle | None = None
        self._failures = 0
        self._winding_down = False
        for item in spool.due():
            self._push(_Waiting(item, None))

    def open(self, places: Mapping[str, str]) -> None:
        """The hub has welcomed us.

        Args:
            places: path of the PUT by camera; empty at a hub alone, which takes no pictures.
        """
        self._places = places
        self._failures = 0
        self._go_on()

    def add(self, item: SpoolItem, caption: Caption | None) -> None:
        """Takes a new picture of the spool on; without a caption nobody waits for it."""
        self._push(_Waiting(item, caption))
        self._go_on()

    async def run(self) -> None:
        """Uploads until it is cancelled; what is under way then ends in its thread."""
        try:
            while True:
                await self._until(self._may_start)
                waiting = heapq.heappop(self._waiting)[-1]
                task = asyncio.create_task(self._deliver(waiting, self._idle.pop()))
                self._under_way.add(task)
                task.add_done_callback(self._ended)
        finally:
            for task in self._under_way:
                task.cancel()

    async def all_delivered(self) -> None:
        """Waits until nothing waits any more; a hub alone takes nothing."""
        await self._until(lambda: not self._under_way and (not self._waiting or self._places == {}))

    async def wind_down(self) -> None:
        """Starts nothing but new pictures, and waits for what is under way."""
        self._winding_down = True
        await self._until(lambda: not self._under_way and not self._may_start())

    def _push(self, waiting: _Waiting) -> None:
        entry = (not waiting.is_new, waiting.tries, waiting.item.number, waiting)
        heapq.heappush(self._waiting, entry)

    def _may_start(self) -> bool:
        if not self._waiting or not self._idle or not self._places or self._pause is not None:
            return False
        return self._waiting[0][-1].is_new or not self._winding_down

    async def _until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            self._changed.clear()
            await self._changed.wait()

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._under_way.discard(task)
        self._changed.set()

    async def _deliver(self, waiting: _Waiting, uploader: Uploader) -> None:
        item = waiting.item
        if item.origin == "camera" and item.snap is not None:
            # The hub hears of this snap from us only: first, so that its receipt gets the picture.
            said = self._reports.said(item.snap, item.camera)
            await self._reports.say(said or captured_before(item, item.snap))
        try:
            began = time.monotonic()
            work = partial(self._send, uploader, item)
            stored = await in_thread(work, f"upload {item.camera}")
        except UploadRefused as exc:
            await self._was_refused(waiting, exc)
        except UploadFailed as exc:
            self._again(waiting, exc.detail, exc.wait_s)
        except Exception as exc:  # noqa: BLE001 - a full disk or a bug here must lose no picture
            _log.exception("upload failed", snap=item.snap, camera=item.camera, key=item.key)
            self._again(waiting, f"{type(exc).__name__}: see the log", None)
        else:
            self._failures = 0
            elapsed_ms = round((time.monotonic() - began) * 1000, 1)
            _log.info(
                "uploaded",
                snap=item.snap,
                camera=item.camera,
                picture=stored.get("id"),
                elapsed_ms=elapsed_ms,
                tries=waiting.tries + 1,
            )
            self._tell(_delivered(waiting))
        finally:
            self._idle.append(uploader)

    def _send(self, uploader: Uploader, item: SpoolItem) -> dict[str, Any]:
        """Uploads one picture and takes it out of the spool, in a thread; returns the answer."""
        places = self._places or {}
        try:
            answer = uploader.send(replace(item, upload=places.get(item.camera, item.upload)))
        except UploadRefused as exc:
            if not self._spool.holds(item):
                raise UploadRefused("it was dropped here: the spool was full") from exc
            if _may_change(exc) and item.path.exists():
                raise UploadFailed(exc.detail, status=exc.status) from exc
            put_aside(item, exc, self._refused)
            self._spool.remove(item)
            raise
        self._spool.remove(item)
        return answer

    def _again(self, waiting: _Waiting, detail: str, wait_s: float | None) -> None:
        """Keeps a picture for later, and lets the server rest."""
        if waiting.is_new and waiting.caption is not None:
            self._tell(f"{waiting.caption.text}; kept until it can be uploaded: {detail}")
        item = waiting.item
        _log.info("not uploaded yet", snap=item.snap, camera=item.camera, key=item.key, why=detail)
        waiting.tries += 1
        self._push(waiting)
        if self._pause is None:  # else another lane has met the same
            pause_s = spread_wait_s(wait_s) if wait_s else growing_pause_s(self._failures)
            self._failures += 1
            self._pause = asyncio.get_running_loop().call_later(pause_s, self._go_on)

    def _go_on(self) -> None:
        if self._pause is not None:
            self._pause.cancel()
            self._pause = None
        self._changed.set()

    async def _was_refused(self, waiting: _Waiting, refusal: UploadRefused) -> None:
        item = waiting.item
        self.refusal = self.refusal or refusal
        _log.warning(
            "picture refused",
            snap=item.snap,
            camera=item.camera,
            key=item.key,
            why=refusal.detail,
        )
        text = waiting.caption.text if waiting.caption is not None else _late(item)
        self._tell(f"{text}; refused: {refusal.detail}")
        if item.snap is not None and item.frame == 1:  # else its shot has another picture
            error = failure("upload_failed", refusal.detail)
            await self._reports.say(
                ShotReport(
                    snap=item.snap,
                    camera=item.camera,
                    state="failed",
                    error=error,
                    origin=item.origin,
                )
            )


def _may_change(refusal: UploadRefused) -> bool:
    """Whether the fault is not the picture's: the token, or somebody between us and the server."""
    return refusal.status is None or refusal.status == 401 or not 400 <= refusal.status < 500


def _delivered(waiting: _Waiting) -> str:
    if waiting.is_new and waiting.caption is not None:
        after_ms = (time.monotonic() - waiting.caption.since) * 1000
        return f"{waiting.caption.text}, uploaded after {after_ms:.0f} ms"
    return f"{_late(waiting.item)}, uploaded"


def _late(item: SpoolItem) -> str:
    age_s = item.age_ms() / 1000
    for most_s, unit_s, unit in ((120, 1, "s"), (7200, 60, "min"), (172_800, 3600, "h")):
        if age_s < most_s:
            return f"{item.camera}: a picture from {age_s / unit_s:.0f} {unit} ago"
    return f"{item.camera}: a picture from {age_s / 86_400:.0f} days ago"

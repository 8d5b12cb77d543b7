"""One camera of a camera program: takes the picture that a snap asks for."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from operator import itemgetter
from typing import Any

from objectclassification.capture import Capture, Spool, SpoolItem, Taken
from objectclassification.client.threads import in_thread
from objectclassification.condition import SourceCondition
from objectclassification.config.cameras import CameraSettings
from objectclassification.errors import CaptureError, ConfigurationError, SourceStalled
from objectclassification.masking import mask
from objectclassification.messages import CameraOffer, SnapOrder, is_name
from objectclassification.receipts import ShotOrigin
from objectclassification.shot_options import read_shot_options

SHOTS_AT_ONCE = 8
"""Snaps of one camera that wait for a frame, each in a thread; more wait for their turn."""
LONGEST_S = 60.0
"""No source takes longer to open and warm up; a deadline may be hours away."""
MARGIN_S = 1.0
MARGIN_SHARE = 0.1
"""A failure is told this long before the deadline, so that its cause is in the receipt."""
MOST_WARNINGS = 8
MOST_CHARACTERS = 256
"""What a message carries."""


@dataclass(frozen=True, slots=True)
class Shot:
    """A picture that was taken, and kept if there is an API to take it.

    Attributes:
        taken: the picture; of a burst, the best one.
        item: its place in the spool; None at a hub alone.
        others: those of the other frames of a burst, if they are kept.
        camera_ms: durations by this machine's clock; ``total`` from the snap's arrival.
        warnings: what was odd about it.
    """

    taken: Taken
    item: SpoolItem | None
    camera_ms: dict[str, float]
    warnings: tuple[str, ...]
    others: tuple[SpoolItem, ...] = ()


class Shooter:
    """Takes pictures of one source, beside all the others.

    Args:
        settings: the camera's.
        spool: where pictures are kept until they are uploaded.

    Attributes:
        offer: what the hub is told of the camera.
        upload: path of the PUT; None at a hub alone.

    Raises:
        ConfigurationError: the name, a group, the source or the path cannot be used.
    """

    def __init__(self, settings: CameraSettings, spool: Spool) -> None:
        check_names(settings)
        folder = settings.path.absolute().parent
        if not folder.is_dir():
            raise ConfigurationError(f"{settings.name}: there is no folder {folder} to save in")
        self._capture = Capture(
            settings.source,
            settings.path,
            size=settings.size,
            rotate=settings.rotate,
            warmup=settings.warmup,
            keep_warm_s=settings.keep_warm_s,
            latency_ms=settings.latency_ms,
            check=settings.check,
        )
        self.upload: str | None = None
        self.offer = CameraOffer(
            name=settings.name,
            groups=settings.groups,
            source=self._capture.address[:MOST_CHARACTERS],
        )
        self._spool = spool
        self._stays_warm = settings.keep_warm_s == math.inf
        self._places = asyncio.Semaphore(SHOTS_AT_ONCE)
        # Those that wait for their moment must not keep others from being taken meanwhile.
        self._later = asyncio.Semaphore(SHOTS_AT_ONCE)
        self._taken = self._failed = 0
        self._last: Taken | None = None
        self._trouble: tuple[str, float] | None = None

    def open(self) -> None:
        """Starts a source that is to stay warm; others are started by the first snap."""
        if self._stays_warm:
            self._capture.open()

    async def shoot(self, order: SnapOrder, arrived: float, origin: ShotOrigin) -> Shot:
        """Takes a picture that was exposed after a snap's arrival, saves it and keeps it.

        A snap with a moment gets the first picture from that moment on; its source opens before.

        Args:
            order: the snap.
            arrived: ``time.monotonic()`` seconds.
            origin: who asked.

        Returns:
            The picture; if the API takes it, it is durable by now.

        Raises:
            CaptureError: there is none.
        """
        async with self._places if order.at is None else self._later:
            work = partial(self._shoot, order, arrived, origin)
            try:
                shot = await in_thread(work, f"shoot {self.offer.name}")
            except CaptureError as exc:
                self._failed += 1
                self._trouble = exc.detail, time.monotonic()
                raise
            self._taken += 1
            self._last = shot.taken
            return shot

    def condition(self) -> SourceCondition:
        """Says how the source is, and how its last picture came about."""
        now, last = time.monotonic(), self._last
        troubles = [each for each in (self._trouble, self._capture.trouble) if each is not None]
        error, error_at = max(troubles, key=itemgetter(1), default=("", now))
        return SourceCondition(
            address=self.offer.source,
            state=self._capture.state,
            taken=self._taken,
            failed=self._failed,
            picture_age_s=None if last is None else round(max(0.0, now - last.taken_at), 3),
            width=None if last is None else last.width,
            height=None if last is None else last.height,
            freshness=None if last is None else last.freshness,
            error=mask(error)[:MOST_CHARACTERS],
            error_age_s=round(max(0.0, now - error_at), 3) if troubles else None,
            notes=tuple(
                mask(note)[:MOST_CHARACTERS] for note in self._capture.notes[:MOST_WARNINGS]
            ),
        )

    def close(self) -> None:
        """Lets go of the source; shots that wait for it fail."""
        self._capture.close()

    def _shoot(self, order: SnapOrder, arrived: float, origin: ShotOrigin) -> Shot:
        margin_s = min(MARGIN_S, MARGIN_SHARE * order.deadline_s)
        left_s = arrived + order.deadline_s - margin_s - time.monotonic()
        if left_s <= 0:
            raise SourceStalled("too many snaps before this one", source=self._capture.address)
        options, complaints = read_shot_options(order.options)
        after = arrived if order.at is None else max(arrived, order.at)
        pictures = self._capture.shoot(options, after=after, timeout_s=min(left_s, LONGEST_S))
        taken = pictures[0]
        camera_ms = dict(taken.camera_ms)
        began = time.monotonic()
        items = self._keep(pictures, order, arrived, origin)
        if items:
            camera_ms["spool"] = _ms_since(began)
            if len(items) < len(pictures):
                left_out = f"burst: the spool has room for {len(items)} of {len(pictures)} pictures"
                complaints = (left_out, *complaints)
        camera_ms["total"] = _ms_since(arrived)
        warnings = (*taken.warnings, *complaints)[:MOST_WARNINGS]
        short = tuple(warning[:MOST_CHARACTERS] for warning in warnings)
        return Shot(taken, items[0] if items else None, camera_ms, short, items[1:])

    def _keep(
        self, pictures: Sequence[Taken], order: SnapOrder, arrived: float, origin: ShotOrigin
    ) -> tuple[SpoolItem, ...]:
        """Puts pictures into the spool, the best one first: all are durable before it is said.

        The others of a burst take nobody's room, and give way to whatever somebody waits for.
        """
        upload, items = self.upload, list[SpoolItem]()
        if upload is None:
            return ()
        for frame, taken in enumerate(pictures, 1):
            if frame > 1 and not self._spool.has_room(len(taken.data)):
                break
            item = self._spool.add(
                taken,
                camera=self.offer.name,
                upload=upload,
                snap=order.id,
                origin=origin,
                frame=frame,
                wanted_s=arrived + order.deadline_s - taken.taken_at if frame == 1 else None,
            )
            items.append(item)
        return tuple(items)


def check_names(settings: CameraSettings) -> None:
    """Raises ConfigurationError when the hub would not take the camera's name or a group."""
    for what, name in (("name", settings.name), *(("group", name) for name in settings.groups)):
        if not is_name(name):
            raise ConfigurationError(
                f"{name!r} cannot be a {what}: it has letters and digits, then also '.', '_' and "
                "'-', 64 at most"
            )


def _ms_since(moment: float) -> float:
    return round((time.monotonic() - moment) * 1000, 1)


def exposed(order: SnapOrder, taken: Taken) -> dict[str, Any]:
    """When a picture was exposed, as far as its snap asks for that."""
    if order.at is None:
        return {}
    within_ms = round(taken.exposed_within_s * 1000, 3)
    return {"taken_at": round(taken.taken_at, 6), "taken_within_ms": within_ms}

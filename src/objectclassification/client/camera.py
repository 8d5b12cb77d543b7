"""The camera program: for each snap it captures, saves, spools, PUTs, and reports every stage."""

from __future__ import annotations

import asyncio
import platform
import random
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from functools import partial
from pathlib import Path
from typing import Any, cast

import structlog
from uuid_utils import uuid7

from objectclassification import __version__
from objectclassification.capture import Spool, SpoolItem, Uploader
from objectclassification.capture.opencv import use_one_thread
from objectclassification.capture.presence import why_missing
from objectclassification.capture.spool import DEFAULT_MAX_BYTES
from objectclassification.client import refused
from objectclassification.client.delivery import Caption, Delivery
from objectclassification.client.examiner import Examiner
from objectclassification.client.instance import instance_id
from objectclassification.client.link import Link
from objectclassification.client.reports import Reports
from objectclassification.client.shooter import Shooter, Shot, check_names, exposed
from objectclassification.client.threads import in_thread
from objectclassification.config import Connection
from objectclassification.config.cameras import CameraSettings
from objectclassification.errors import (
    CaptureError,
    ConfigurationError,
    ObjectClassificationError,
    ServerUnreachable,
    TimedOut,
)
from objectclassification.messages import (
    CLOCK,
    INSPECT,
    MAX_CAMERAS,
    Clock,
    Clocked,
    Hello,
    Inspect,
    Problem,
    ShotReport,
    Sleep,
    SnapOrder,
    Welcome,
    failure,
)
from objectclassification.receipts import Failure, ShotOrigin

STOP_S = 5.0
"""What is under way when the program is told to stop has this long to end well."""
ONCE_CONNECT_S = 30.0
ONCE_S = 120.0
"""``once`` takes no longer than both: a machine that wakes by a timer must get back to sleep."""
OWN_DEADLINE_S = 60.0
"""For a picture that nobody asked for: as long as the hub waits for it."""

_log = structlog.get_logger(__name__)


async def serve_cameras(
    connection: Connection,
    cameras: Sequence[CameraSettings],
    spool: Path,
    tell: Callable[[str], None],
    *,
    stop: asyncio.Event,
    once: bool = False,
    next_in_s: float | None = None,
    spool_max_bytes: int = DEFAULT_MAX_BYTES,
    log: Callable[[], Sequence[str]] = tuple,
    tell_trouble: Callable[[str], None] | None = None,
) -> None:
    """Serves cameras over one connection to the hub.

    Args:
        connection: which server, and as whom.
        cameras: what to serve, by different names.
        spool: folder of the pictures that are not uploaded yet; this program's own.
        tell: takes each line for the person at the screen.
        stop: ends it, once what is under way has ended, or 5 s later.
        next_in_s: with ``once``, in how many seconds the next run is; the hub expects the cameras
            then.
        once: take and deliver what is due, or a picture of its own of each camera that nothing is
            due for, and end.
        spool_max_bytes: the most that the pictures in the spool may take.
        log: gives this program's last log lines, for whoever asks how a camera is.
        tell_trouble: takes, for the person at the screen, what is wrong with the connection, or
            with the cameras at the start; without it, it goes to the log.

    Raises:
        ConfigurationError: the cameras, the spool or the connection cannot be used.
        AuthError: the token is not good, or not for these cameras.
        Conflict: another program serves one of the cameras.
        ServerUnreachable, TimedOut, CaptureError, UploadRefused: ``once`` could not do it all.
    """
    if not 0 < len(cameras) <= MAX_CAMERAS:
        raise ConfigurationError(f"one program serves 1 to {MAX_CAMERAS} cameras")
    for settings in cameras:
        check_names(settings)  # before anything is made on the disk
    use_one_thread()
    async with AsyncExitStack() as stack:
        kept = stack.enter_context(Spool(spool, max_bytes=spool_max_bytes))
        shooters: dict[str, Shooter] = {}
        stack.push_async_callback(_close_all, shooters)
        for settings in cameras:
            shooters[settings.name] = Shooter(settings, kept)
        _warn_of_missing(cameras, tell_trouble)
        hello = Hello(
            role="camera",
            instance=instance_id(spool, cameras[0].name),
            version=__version__,
            agent=f"{platform.system()} {platform.machine()}",
            cameras=tuple(shooter.offer for shooter in shooters.values()),
            knows=(INSPECT, CLOCK),
        )
        url, token, ca = connection.url, connection.token, connection.ca
        patience_s = ONCE_CONNECT_S if once else None
        link = await stack.enter_async_context(
            Link(
                url,
                hello,
                token=token,
                ca=ca,
                pins=True,
                patience_s=patience_s,
                origin=connection.origin,
                tell=tell_trouble,
            )
        )
        reports = Reports(link, kept.due())
        new_uploader = partial(Uploader, url, token, ca=ca, attempts=1)
        delivery = Delivery(kept, spool / refused.FOLDER, new_uploader, reports, tell)
        examiner = Examiner(shooters, kept, spool, spool / refused.FOLDER, log)
        program = CameraProgram(link, shooters, reports, delivery, examiner, tell)
        await program.run(stop, once=once, next_in_s=next_in_s)


class CameraProgram:
    """Answers what the hub sends; :func:`serve_cameras` puts its parts together.

    Args:
        link: to the hub.
        shooters: the cameras by name.
        reports: what is said of each shot.
        delivery: uploads the pictures.
        examiner: says how a camera is.
        tell: takes each line for the person at the screen.
    """

    def __init__(
        self,
        link: Link,
        shooters: Mapping[str, Shooter],
        reports: Reports,
        delivery: Delivery,
        examiner: Examiner,
        tell: Callable[[str], None],
    ) -> None:
        self._link = link
        self._shooters = shooters
        self._reports = reports
        self._delivery = delivery
        self._examiner = examiner
        self._tell = tell
        self._welcomed = asyncio.Event()
        self._due: frozenset[str] = frozenset()
        self._under_way: set[asyncio.Task[None]] = set()
        self._trouble: CaptureError | None = None

    async def run(self, stop: asyncio.Event, *, once: bool, next_in_s: float | None = None) -> None:
        """Runs until it is told to stop, has done its ``once``, or cannot go on."""
        for shooter in self._shooters.values():
            shooter.open()
        listening = asyncio.create_task(self._listen())
        delivering = asyncio.create_task(self._delivery.run())
        tasks = [listening, delivering, asyncio.create_task(_wait(stop))]
        if once:
            tasks.append(asyncio.create_task(self._do_once(next_in_s)))
        try:
            ended, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            listening.cancel()
            await self._wind_down()
            for task in ended:
                await task  # raises what ended it
        finally:
            for task in (*tasks, *self._under_way):
                task.cancel()
            await asyncio.gather(*tasks, *self._under_way, return_exceptions=True)

    async def _listen(self) -> None:
        async for message in self._link:
            match message:
                case SnapOrder():
                    self._take_order(message, time.monotonic())
                case Welcome():
                    await self._take_welcome(message, time.monotonic())
                case Clock():
                    await self._say_the_time(message, time.monotonic())
                case Inspect():
                    self._start(self._say_how_it_is(message, time.time()))
                case Problem():
                    _log.warning("the hub objects", code=message.code, detail=message.detail)

    async def _take_welcome(self, welcome: Welcome, arrived: float) -> None:
        for place in welcome.cameras:
            if (shooter := self._shooters.get(place.name)) is not None:
                shooter.upload = place.upload
            self._tell(
                f"camera {place.name} is ready: {self._link.url} as snippet {place.snippet}"
                + ("" if place.upload else " (a hub alone: pictures are saved here only)")
            )
        await self._reports.say_unsent()
        for order in welcome.pending:
            self._take_order(order, arrived)
        uploads = {place.name: place.upload for place in welcome.cameras if place.upload}
        self._delivery.open(uploads)
        if not self._welcomed.is_set():
            self._due = frozenset(order.camera for order in welcome.pending)
            self._welcomed.set()

    def _take_order(self, order: SnapOrder, arrived: float) -> None:
        shooter = self._shooters.get(order.camera)
        if shooter is None:
            _log.warning("a snap for another camera", camera=order.camera)
        elif self._reports.said(order.id, order.camera) is not None:
            self._start(self._reports.repeat(order.id, order.camera))  # it was begun: never twice
        else:
            _log.info("snap heard", snap=order.id, camera=order.camera, deadline_s=order.deadline_s)
            report = ShotReport(snap=order.id, camera=order.camera, state="delivered")
            self._reports.note(report)
            self._start(self._shoot(shooter, order, arrived, "controller"))

    async def _say_the_time(self, question: Clock, received_at: float) -> None:
        with suppress(ServerUnreachable):  # the hub asks again when it needs to know
            await self._link.send(Clocked(question.id, received_at, time.monotonic()))

    async def _say_how_it_is(self, inspect: Inspect, received_at: float) -> None:
        work = partial(self._examiner.report, inspect, received_at)
        try:
            await self._link.send(await in_thread(work, "look around"))
        except (KeyError, OSError, ServerUnreachable) as exc:  # who asked is told of the silence
            _log.warning("no answer of how the camera is", camera=inspect.camera, why=str(exc))

    async def _shoot(
        self, shooter: Shooter, order: SnapOrder, arrived: float, origin: ShotOrigin
    ) -> None:
        if origin == "controller":
            await self._reports.repeat(order.id, order.camera)
        try:
            shot = await shooter.shoot(order, arrived, origin)
        except CaptureError as exc:
            await self._failed(order, exc, origin)
            return
        except Exception as exc:  # noqa: BLE001 - a bug, too, is a failed shot, not a silent one
            _log.exception("shot failed", camera=order.camera, snap=order.id)
            detail = f"{type(exc).__name__}: see the camera program's log"
            await self._failed(order, CaptureError(detail, source=order.camera), origin)
            return
        report = ShotReport(
            snap=order.id,
            camera=order.camera,
            state="captured",
            camera_ms=shot.camera_ms,
            freshness=shot.taken.freshness,
            warnings=shot.warnings,
            origin=origin,
            **exposed(order, shot.taken),
        )
        self._reports.note(report)
        _log.info(
            "captured",
            snap=order.id,
            camera=order.camera,
            freshness=shot.taken.freshness,
            elapsed_ms=shot.camera_ms["total"],
            **({"warnings": shot.warnings} if shot.warnings else {}),
        )
        text = _describe(order.camera, shot)
        if shot.item is None:
            self._tell(text)
        else:
            self._start(self._deliver(shot.item, Caption(text, arrived), order.spread_s))
            for item in shot.others:
                self._start(self._deliver(item, None, order.spread_s))
        if shot.item is None or origin == "controller":  # else the delivery says it first
            await self._reports.say(report)

    async def _deliver(self, item: SpoolItem, caption: Caption | None, spread_s: float) -> None:
        """Has a picture uploaded, by chance within the time that a large snap is spread over."""
        if spread_s > 0:
            await asyncio.sleep(random.uniform(0, spread_s))  # noqa: S311 - spreads; no secret
        self._delivery.add(item, caption)

    async def _failed(self, order: SnapOrder, error: CaptureError, origin: ShotOrigin) -> None:
        self._trouble = self._trouble or error
        self._tell(f"{order.camera}: no picture: {error.detail}")
        code = cast("Failure", error.code)  # each CaptureError's is one
        _log.warning("no picture", snap=order.id, camera=order.camera, code=code, why=error.detail)
        await self._reports.say(
            ShotReport(
                snap=order.id,
                camera=order.camera,
                state="failed",
                error=failure(code, error.detail),
                origin=origin,
            )
        )

    async def _do_once(self, next_in_s: float | None) -> None:
        limit_s = ONCE_CONNECT_S + ONCE_S
        try:
            async with asyncio.timeout(limit_s):
                await self._welcomed.wait()
                for name in self._shooters.keys() - self._due:
                    self._take_own(name)
                while self._under_way:
                    await asyncio.wait(self._under_way)
                await self._delivery.all_delivered()
        except TimeoutError as exc:
            detail = "not everything is delivered; what was taken is in the spool, for the next run"
            raise TimedOut(detail, after_s=limit_s) from exc
        finally:
            if next_in_s is not None:
                await self._say_sleep(next_in_s)
        trouble: ObjectClassificationError | None = self._trouble or self._delivery.refusal
        if trouble is not None:
            raise trouble

    async def _say_sleep(self, in_s: float) -> None:
        # In seconds: a machine that sleeps may wake without a clock.
        with suppress(ServerUnreachable):  # then the hub takes it for lost, which it is
            for name in self._shooters:
                await self._link.send(Sleep(camera=name, in_s=in_s))

    def _take_own(self, name: str) -> None:
        order = SnapOrder(id=str(uuid7()), camera=name, deadline_s=OWN_DEADLINE_S)
        self._start(self._shoot(self._shooters[name], order, time.monotonic(), "camera"))

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    async def _wind_down(self) -> None:
        """Lets what is under way end well, for a moment; the spool keeps the rest."""
        with suppress(TimeoutError):
            async with asyncio.timeout(STOP_S):
                if self._under_way:
                    await asyncio.wait(self._under_way)
                await self._delivery.wind_down()


async def _wait(stop: asyncio.Event) -> None:
    await stop.wait()


def _warn_of_missing(cameras: Sequence[CameraSettings], tell: Callable[[str], None] | None) -> None:
    """Says at the start what the first snap would: who set the camera up can still read it."""
    for settings in cameras:
        if (missing := why_missing(settings.source)) is None:
            continue
        line = f"camera {settings.name}: {missing}; each snap will try again"
        if tell is None:
            _log.warning(line)
        else:
            tell(line)


async def _close_all(shooters: Mapping[str, Shooter]) -> None:
    """Lets go of all sources at the same time: one that hangs takes its time."""
    await asyncio.gather(
        *(in_thread(shooter.close, f"close {name}") for name, shooter in shooters.items())
    )


def _describe(camera: str, shot: Shot) -> str:
    taken = shot.taken
    line = (
        f"{camera}: {taken.width}x{taken.height}, {taken.freshness}, "
        f"captured after {shot.camera_ms['total']:.0f} ms"
    )
    if shot.others:
        line += f", {len(shot.others)} more of its burst"
    return f"{line} ({'; '.join(shot.warnings)})" if shot.warnings else line

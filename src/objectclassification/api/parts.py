"""What the API is made of, handed over by the composition root."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from objectclassification.api.counts import HttpCounts
from objectclassification.auth import Identity, Tokens
from objectclassification.bus import Bus
from objectclassification.classification.engines.engines import Engines
from objectclassification.classification.outcome import Outcome
from objectclassification.condition import CameraReport
from objectclassification.config import ServerSettings
from objectclassification.heads import HeadShown, Suggestion, Teaching, Version
from objectclassification.hub.effects import NewSnap
from objectclassification.hub.presence import CameraPresence
from objectclassification.messages import SnapRequest
from objectclassification.receipts import Receipt
from objectclassification.rules import Rule
from objectclassification.schedules import ScheduleShown, ScheduleWanted
from objectclassification.store.blobs import Blobs
from objectclassification.store.renditions import StoredBlob
from objectclassification.store.writer import Database
from objectclassification.sureness import Threshold, ThresholdWanted


class Snaps(Protocol):
    """The live snaps; the hub's runner is one."""

    async def snap(self, request: SnapRequest, identity: Identity) -> Receipt:
        """Starts a snap and returns its receipt once it is stored."""

    async def wait_done(self, snap_id: str) -> Receipt:
        """Waits for the end of a live snap; NotFound when it is not live."""

    def cancel(self, snap_id: str, identity: Identity) -> None:
        """Ends a live snap; NotFound when it is not live."""

    def receipt(self, snap_id: str) -> Receipt | None:
        """Of a live snap."""

    def revoke(self, id_: str) -> None:
        """Closes the connections of a revoked token or session."""


class Teacher(Protocol):
    """The heads; :class:`~objectclassification.teaching.Teacher` is one."""

    @property
    def model_sha256(self) -> str:
        """Of the model that pictures are looked at with now."""

    async def every(self) -> list[HeadShown]:
        """All heads, by name."""

    async def teach(self, name: str, wanted: Teaching, *, token_id: str) -> Version:
        """Fits a new version; BadMessage, Conflict, Busy."""

    async def activate(self, name: str, number: int, *, token_id: str) -> Version:
        """Has a version answer; NotFound, Conflict."""

    async def roll_back(self, name: str) -> HeadShown:
        """Has the version answer that did before; NotFound."""

    async def suggest(self, name: str, camera: str | None, limit: int) -> list[Suggestion]:
        """Which unlabelled pictures to label next."""


class Judge(Protocol):
    """Rules and thresholds; :class:`~objectclassification.judging.Judge` is one."""

    async def add(self, rule: Rule) -> bool:
        """Judges pictures by one more rule; BadMessage, Conflict."""

    async def remove(self, name: str) -> None:
        """Judges pictures without a rule; NotFound."""

    async def thresholds(self) -> list[Threshold]:
        """From when on the answers of each model count."""

    async def set_threshold(
        self, model: str, wanted: ThresholdWanted, *, token_id: str
    ) -> Threshold:
        """Says from when on a model's answers count; BadMessage, NotFound, Conflict."""

    async def forget_threshold(self, model: str) -> None:
        """Has a model the threshold that comes with it again; NotFound."""


class Schedules(Protocol):
    """Snaps by the clock; :class:`~objectclassification.scheduler.Scheduler` is one."""

    async def every(self) -> list[ScheduleShown]:
        """All schedules, by name."""

    async def add(self, wanted: ScheduleWanted, *, token_id: str) -> tuple[ScheduleShown, bool]:
        """Runs one more, and says whether it is new; BadMessage, Conflict."""

    async def remove(self, name: str) -> None:
        """Runs a schedule no more; NotFound."""

    async def pause(self, name: str, paused: bool) -> ScheduleShown:
        """Leaves out a schedule's runs, or runs it again; NotFound."""


@dataclass(frozen=True, slots=True)
class Parts:
    """Everything a router may use.

    Attributes:
        settings: the server's.
        database: rows.
        blobs: image files.
        tokens: who may come in.
        bus: to say what happened.
        snaps: the hub.
        schedules: snaps by the clock.
        teacher: the heads.
        judge: rules and thresholds.
        look: has a child process look at the picture in a file.
        medium: a picture in a middle size, made when it is first asked for; NotFound, ImageError,
            Busy.
        engines: who has models elsewhere.
        inspect: asks a connected camera how it is.
        forget: has the hub know a camera no more, until it connects.
        regroup: has the hub know a camera's groups.
        presence: every camera that the hub knows, and whether it is there.
        waiting: receipts of snaps that wait for cameras, the oldest first; so many.
        waiting_for: the snaps that wait for one camera, the oldest first.
        counts: of requests.
        ready: what is wrong, by what was looked at; empty when all is well.
        metrics: the Prometheus page.
        authority: the certificate of the server's own authority, in PEM, if it has one.
    """

    settings: ServerSettings
    database: Database
    blobs: Blobs
    tokens: Tokens
    bus: Bus
    snaps: Snaps
    schedules: Schedules
    teacher: Teacher
    judge: Judge
    look: Callable[[Path], Awaitable[Outcome]]
    medium: Callable[[str], Awaitable[StoredBlob]]
    engines: Engines
    inspect: Callable[[str], Awaitable[CameraReport]]
    forget: Callable[[str], None]
    regroup: Callable[[str, tuple[str, ...]], None]
    presence: Callable[[], dict[str, CameraPresence]]
    waiting: Callable[[int], list[Receipt]]
    waiting_for: Callable[[str], list[NewSnap]]
    counts: HttpCounts
    ready: Callable[[], Awaitable[dict[str, str]]]
    metrics: Callable[[], Awaitable[bytes]]
    authority: str | None

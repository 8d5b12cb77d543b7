"""What clients say to the hub; no I/O."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from objectclassification.condition import Condition
from objectclassification.messages.fields import (
    DEFAULT_DEADLINE_S,
    DEFAULT_UNTIL,
    MAX_CAMERAS,
    At,
    DeadlineS,
    Durations,
    Groups,
    Id,
    InS,
    Message,
    Moment,
    Name,
    Quorum,
    Role,
    Selector,
    Short,
    SleepS,
    Ticks,
    Topic,
    TtlS,
)
from objectclassification.receipts import Freshness, Policy, ShotError, ShotOrigin, Until


class CameraOffer(msgspec.Struct, frozen=True, omit_defaults=True):
    """A camera that a camera program offers to serve."""

    name: Name
    groups: Groups = ()
    source: Short = ""


class Hello(Message, frozen=True, tag="hello"):
    """client → hub: who this is.

    Attributes:
        role: what the client wants to be.
        instance: the client's own id; the same one again replaces its old connection.
        version: the release of this package whose protocol it speaks; empty if it does not say.
        agent: what the client runs on.
        cameras: what a camera serves.
        knows: messages of the hub that came after the first ones, and that the client knows.
    """

    role: Role
    instance: Id
    version: Short = ""
    agent: Short = ""
    cameras: Annotated[tuple[CameraOffer, ...], Meta(max_length=MAX_CAMERAS)] = ()
    knows: Annotated[tuple[Name, ...], Meta(max_length=16)] = ()


class SnapRequest(Message, frozen=True, tag="snap"):
    """controller → hub: take pictures.

    Attributes:
        to: ``*``, camera names and ``@group``; with ``!`` before one but ``*``, whom to leave out.
            Where all have it, all others are meant.
        deadline_s: seconds after acceptance, or after the moment of ``at`` or ``in_s``, at which
            the snap ends at the latest; with ``ttl_s``, what a camera has from each delivery on.
        id: the caller's own id; the same one again returns the same receipt.
        until: the state at which a shot counts as answered.
        context: a small JSON object; stored, searchable, sent back.
        options: for the cameras and the classification.
        ttl_s: seconds after acceptance that the snap waits for cameras that are away; None: it
            does not.
        policy: whether it gives way, while it waits, to a newer one of the same sender.
        quorum: so many answers end it early: a count, or a percentage such as ``80%``.
        at: all cameras expose at this moment: seconds since the epoch, or ISO 8601 with its
            offset, by the server's clock.
        in_s: or so many seconds after acceptance.
    """

    to: Annotated[tuple[Selector, ...], Meta(min_length=1, max_length=256)]
    deadline_s: DeadlineS = DEFAULT_DEADLINE_S
    id: Id | None = None
    until: Until = DEFAULT_UNTIL
    context: dict[str, Any] = msgspec.field(default_factory=dict)
    options: dict[str, Any] = msgspec.field(default_factory=dict)
    ttl_s: TtlS | None = None
    policy: Policy = "all"
    quorum: Quorum = None
    at: At = None
    in_s: InS | None = None


class Cancel(Message, frozen=True, tag="cancel"):
    """controller → hub: end a snap now."""

    snap: Id


class Watch(Message, frozen=True, tag="watch"):
    """client → hub: send me these events; an empty list ends it."""

    topics: Annotated[tuple[Topic, ...], Meta(max_length=8)]


class ShotReport(Message, frozen=True, tag="shot"):
    """camera → hub: how far a shot has come.

    Attributes:
        snap: the snap's id; with ``origin: camera`` an id the camera made itself.
        camera: which of the connection's cameras.
        state: what the camera can know; ``uploaded`` comes from the API.
        camera_ms: durations by the camera's own clock.
        freshness: given with ``captured``.
        warnings: what was odd.
        error: given with ``failed``.
        origin: ``camera`` for a shot that nobody asked for (a timer, a motion sensor).
        taken_at: of a snap with a moment, when the picture was exposed, by the clock of
            ``clocked``.
        taken_within_ms: it was then, or at most this much later.
    """

    snap: Id
    camera: Name
    state: Literal["delivered", "captured", "failed"]
    camera_ms: Durations = msgspec.field(default_factory=dict)
    freshness: Freshness | None = None
    warnings: Annotated[tuple[Short, ...], Meta(max_length=8)] = ()
    error: ShotError | None = None
    origin: ShotOrigin = "controller"
    taken_at: Ticks | None = None
    taken_within_ms: Annotated[float, Meta(ge=0, le=86_400_000)] = 0.0


class Sleep(Message, frozen=True, tag="sleep"):
    """camera → hub: absent on purpose from when the connection ends.

    Attributes:
        camera: which of the connection's cameras.
        until: when it is back, in seconds since the epoch, UTC.
        in_s: in how many seconds; for a camera whose clock may be wrong. One of the two is given.
    """

    camera: Name
    until: Moment | None = None
    in_s: SleepS | None = None


class Report(Message, frozen=True, tag="report"):
    """camera → hub: the answer to ``inspect``.

    Attributes:
        id: of the ``inspect``.
        received_at: when that came, in seconds since the epoch by the camera's clock.
        sent_at: when this goes, by the same clock.
        condition: how the camera is.
    """

    id: Id
    received_at: Moment
    sent_at: Moment
    condition: Condition


class Clocked(Message, frozen=True, tag="clocked"):
    """camera → hub: the answer to ``clock``, at once.

    Attributes:
        id: of the ``clock``.
        received_at: when that came, by a clock of the camera's that nobody sets.
        sent_at: when this goes, by the same clock.
    """

    id: Id
    received_at: Ticks
    sent_at: Ticks


ClientMessage = Hello | SnapRequest | Cancel | Watch | ShotReport | Sleep | Report | Clocked

"""What the hub says; no I/O."""

from __future__ import annotations

from typing import Any

import msgspec

from objectclassification.messages.fields import Message, Topic
from objectclassification.receipts import Shot


class CameraPlace(msgspec.Struct, frozen=True, omit_defaults=True):
    """A served camera's slot.

    Attributes:
        name: the camera.
        snippet: its number on the API.
        upload: path to PUT pictures to; None at a hub alone.
        groups: those that it is in: an operator's, where one has set them, else its own.
    """

    name: str
    snippet: int
    upload: str | None
    groups: tuple[str, ...] = ()


class SnapOrder(Message, frozen=True, tag="snap"):
    """hub → camera: take a picture now.

    Attributes:
        id: the snap's id.
        camera: which of the connection's cameras.
        deadline_s: seconds left when this was sent.
        options: from the request.
        spread_s: the picture is to be sent at a moment by chance within so many seconds, because
            many cameras were asked at once.
        at: expose no earlier than this, and as soon after it as can be, by the clock of
            ``clocked``; only to those whose ``hello`` says that they know ``clock``.
    """

    id: str
    camera: str
    deadline_s: float
    options: dict[str, Any] = msgspec.field(default_factory=dict)
    spread_s: float = 0.0
    at: float | None = None


class Inspect(Message, frozen=True, tag="inspect"):
    """hub → camera: say how you are; only to those whose ``hello`` says that they know it.

    Attributes:
        id: comes back in the ``report``.
        camera: which of the connection's cameras.
    """

    id: str
    camera: str


INSPECT = "inspect"
"""What a camera's ``hello`` knows if it answers :class:`Inspect`."""


class Clock(Message, frozen=True, tag="clock"):
    """hub → camera: what does your clock say; only to those whose ``hello`` knows it."""

    id: str


CLOCK = "clock"
"""What a camera's ``hello`` knows if it answers :class:`Clock` and heeds ``at`` of an order."""


class Welcome(Message, frozen=True, tag="welcome"):
    """hub → client: the hello was taken.

    Attributes:
        heartbeat_s: seconds between the hub's pings; silence for two of them ends the connection.
        cameras: a camera's slots.
        pending: a camera's snaps that are still open.
    """

    heartbeat_s: float
    cameras: tuple[CameraPlace, ...] = ()
    pending: tuple[SnapOrder, ...] = ()


class Accepted(Message, frozen=True, tag="accepted"):
    """hub → controller: the snap is stored and on its way to these cameras.

    Attributes:
        snap: its id.
        cameras: its targets.
        shoots_in_s: seconds until all expose, if it has a moment for that; its deadline counts
            from then.
    """

    snap: str
    cameras: tuple[str, ...]
    shoots_in_s: float = 0.0


class Shots(Message, frozen=True, tag="shots"):
    """hub → controller: the newest state of each shot that moved."""

    snap: str
    shots: tuple[Shot, ...]


class Done(Message, frozen=True, tag="done"):
    """hub → controller: the snap ended; exactly one for each snap."""

    snap: str
    answered: int
    failed: int
    missing: int
    elapsed_ms: float


class Problem(Message, frozen=True, tag="error"):
    """hub → anyone: that did not work.

    Attributes:
        code: stable name.
        detail: one line for a person.
        re: the id or snap it is about.
        retry_after_s: when it may work, where that is known.
    """

    code: str
    detail: str
    re: str | None = None
    retry_after_s: float | None = None


class Event(Message, frozen=True, tag="event"):
    """hub → those who watch, and listeners for the topic ``snaps``.

    Attributes:
        topic: what it is about.
        name: what happened, in the past tense.
        data: ids and labels, never image bytes.
    """

    topic: Topic
    name: str
    data: dict[str, Any] = msgspec.field(default_factory=dict)


HubMessage = Welcome | SnapOrder | Inspect | Clock | Accepted | Shots | Done | Problem | Event

"""What the hub wants done: plain data that its shell carries out.

:class:`~objectclassification.hub.hub.Hub` never touches a socket, a clock or a database. Each input
leaves effects behind, in the order in which they must be started.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from objectclassification.auth import Identity
from objectclassification.condition import CameraReport
from objectclassification.errors import BadMessage, ObjectClassificationError
from objectclassification.messages import CameraOffer, Topic
from objectclassification.receipts import Origin, Policy, Receipt, Shot, Until

# RFC 6455, section 7.4.1, and the IANA registry.
CLOSE_NORMAL = 1000
CLOSE_POLICY = 1008
CLOSE_RESTART = 1012


@dataclass(frozen=True, slots=True)
class NewSnap:
    """A snap as it is stored before anything else happens to it.

    Attributes:
        id: the snap's id.
        by: id of the token that asked.
        to: the selectors that were asked.
        cameras: the targets, sorted by name.
        until: how far it wants to go.
        deadline_s: seconds after ``accepted_at``.
        context: the caller's small JSON object.
        options: for the cameras and the classification.
        origin: who started it.
        accepted_at: RFC 3339, UTC, by the server's clock.
        ttl_s: seconds after ``accepted_at`` that it waits for cameras that are away, if it does.
        policy: whether it gives way, while it waits, to a newer one of the same sender.
        quorum: so many answers end it early: a count, or a percentage of the targets.
        shoot_at: the moment at which all are to expose, in seconds since the epoch by the
            server's clock; None: as soon as they can.
        in_s: so long after acceptance that moment is, where the request says it like that.
    """

    id: str
    by: str
    to: tuple[str, ...]
    cameras: tuple[str, ...]
    until: Until
    deadline_s: float
    context: dict[str, Any] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)
    origin: Origin = "controller"
    accepted_at: str = ""
    ttl_s: float | None = None
    policy: Policy = "all"
    quorum: int | str | None = None
    shoot_at: float | None = None
    in_s: float | None = None

    @property
    def lasts_s(self) -> float:
        """Seconds after ``accepted_at`` at which it ends at the latest."""
        return self.deadline_s if self.ttl_s is None else self.ttl_s

    def asks_the_same(self, other: NewSnap) -> bool:
        """Whether the other one is this request, sent again by the same caller."""
        return (
            self.id == other.id
            and self.by == other.by
            and self.to == other.to
            and self.until == other.until
            and self.deadline_s == other.deadline_s
            and self.context == other.context
            and self.options == other.options
            and self.origin == other.origin
            and self.ttl_s == other.ttl_s
            and self.policy == other.policy
            and self.quorum == other.quorum
            and self.in_s == other.in_s
            and (self.in_s is not None or self.shoot_at == other.shoot_at)
        )

    @property
    def waits_s(self) -> float:
        """Seconds from acceptance to the moment at which all expose; negative if it had passed."""
        if self.shoot_at is None:
            return 0.0
        return self.shoot_at - datetime.fromisoformat(self.accepted_at).timestamp()

    def must_lie_ahead(self) -> None:
        """BadMessage if its moment had passed when it came: nobody can expose then.

        For who stores it: of a request that is there already, it does not matter.
        """
        if self.waits_s < 0:
            raise BadMessage(
                f"at is {-self.waits_s:,.1f} s in the past by the server's clock, which said "
                f"{self.accepted_at}",
                re=self.id,
            )


LeftOpen = tuple[NewSnap, Receipt]
"""A snap that a killed hub left open: as it is asked for now, and how far its rows say it came."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How a snap ended: ``answered + failed + missing`` is the number of targets."""

    answered: int
    failed: int
    missing: int
    elapsed_ms: float


@dataclass(frozen=True, slots=True)
class Send:
    """Send one text frame, built once, to all of these sessions."""

    sessions: tuple[int, ...]
    payload: bytes


@dataclass(frozen=True, slots=True)
class SendEach:
    """Send each session text frames of its own, now: the fan-out of a snap."""

    payloads: tuple[tuple[int, list[bytes]], ...]


@dataclass(frozen=True, slots=True)
class Close:
    """Close a session's connection with this RFC 6455 code."""

    session: int
    code: int
    reason: str


@dataclass(frozen=True, slots=True)
class Register:
    """Give these cameras their slots; answer with ``Hub.registered`` or ``Hub.refused``."""

    session: int
    identity: Identity
    instance: str
    offers: tuple[CameraOffer, ...]
    agent: str
    version: str


@dataclass(frozen=True, slots=True)
class Store:
    """Store the snap; answer with ``Hub.stored``, ``Hub.exists`` or ``Hub.store_failed``."""

    snap: NewSnap


@dataclass(frozen=True, slots=True)
class SaveShots:
    """Write these shots, and the end if it is one.

    Answer with ``Hub.saved`` or ``Hub.save_failed``. For each snap there is one of these at a time.
    """

    snap_id: str
    shots: tuple[Shot, ...]
    ended: Ended | None


@dataclass(frozen=True, slots=True)
class Reconcile:
    """Ask the rows for the truth at a deadline; answer with ``Hub.reconciled``."""

    snap_id: str


@dataclass(frozen=True, slots=True)
class Publish:
    """Tell the rest of the process; the hub's own watchers have it already."""

    topic: Topic
    name: str
    data: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Finished:
    """A snap ended, is saved, and its ``done`` was sent."""

    receipt: Receipt


@dataclass(frozen=True, slots=True)
class Inspected:
    """A camera said how it is, or did not."""

    id: str
    answer: CameraReport | ObjectClassificationError


Effect = (
    Inspected
    | Send
    | SendEach
    | Close
    | Register
    | Store
    | SaveShots
    | Reconcile
    | Publish
    | Finished
)

"""A hub on a bench: its clock is turned by hand, its effects carried out at once or on demand."""

from __future__ import annotations

import itertools
from collections import defaultdict

from objectclassification.auth import Identity
from objectclassification.condition import CameraReport
from objectclassification.errors import ObjectClassificationError, StoreError
from objectclassification.hub.effects import (
    Close,
    Ended,
    Finished,
    Inspected,
    NewSnap,
    Publish,
    Reconcile,
    Register,
    SaveShots,
    Send,
    SendEach,
    Store,
)
from objectclassification.hub.hub import Hub
from objectclassification.messages import (
    CameraOffer,
    CameraPlace,
    ClientMessage,
    Hello,
    HubMessage,
    ShotReport,
    decode_hub,
    encode,
)
from objectclassification.receipts import PictureRef, Receipt, Shot, Until

ADMIN = Identity("admin", "admin")
OPERATOR = Identity("operator", "operator")
VIEWER = Identity("viewer", "viewer")
DOOR = Identity("door-token", "camera", frozenset({"door", "yard"}))

PICTURE = PictureRef(
    id="p1",
    url="/api/pictures/p1/image",
    sha256="0" * 64,
    media_type="image/jpeg",
    width=1920,
    height=1080,
    size_bytes=300_000,
)

Question = Store | SaveShots | Reconcile | Register


class Bench:
    """Runs a hub by hand.

    Attributes:
        now: the hub's clock.
        wall: the one on the wall, which somebody may set.
        inbox: what each session was sent.
        closed: sessions the hub closed, with code and reason.
        published: the hub's events for the rest of the process.
        finished: receipts of ended snaps.
        inspected: how questions to cameras ended.
        saved: what was to be written for each snap.
        questions: what waits for an answer while ``patient`` is set.
    """

    def __init__(self, *, until: Until = "classified", patient: bool = False) -> None:
        self.now = 1000.0
        self.wall = 1.7e9
        ids = (f"snap-{number}" for number in itertools.count(1))
        self.hub = Hub(
            clock=lambda: self.now, wall=lambda: self.wall, new_id=lambda: next(ids), until=until
        )
        self.patient = patient
        self.inbox: dict[int, list[HubMessage | str]] = defaultdict(list)
        self.closed: dict[int, tuple[int, str]] = {}
        self.published: list[Publish] = []
        self.finished: dict[str, Receipt] = {}
        self.inspected: dict[str, CameraReport | ObjectClassificationError] = {}
        self.saved: dict[str, list[tuple[tuple[Shot, ...], Ended | None]]] = defaultdict(list)
        self.stored: dict[str, NewSnap] = {}
        self.questions: list[Question] = []
        self.rows: dict[str, tuple[Shot, ...]] = {}
        self.sends = 0
        self._numbers = itertools.count(1)

    def connect(self, identity: Identity = ADMIN) -> int:
        """Opens a session, a plain client so far."""
        session = next(self._numbers)
        self.hub.connect(session, identity)
        return session

    def camera(
        self,
        *names: str,
        instance: str = "",
        groups: tuple[str, ...] = (),
        identity: Identity = ADMIN,
        knows: tuple[str, ...] = (),
    ) -> int:
        """Opens a session that serves cameras."""
        session = self.connect(identity)
        offers = tuple(CameraOffer(name=name, groups=groups) for name in names)
        instance = instance or f"i{session}"
        self.say(session, Hello(role="camera", instance=instance, cameras=offers, knows=knows))
        return session

    def controller(self, identity: Identity = ADMIN) -> int:
        """Opens a controller's session."""
        session = self.connect(identity)
        self.say(session, Hello(role="controller", instance=f"i{session}"))
        return session

    def listener(self, identity: Identity = ADMIN) -> int:
        """Opens a listener's session."""
        session = self.connect(identity)
        self.say(session, Hello(role="listener", instance=f"i{session}"))
        return session

    def say(self, session: int, message: ClientMessage | str) -> None:
        """Sends a message as that session."""
        frame = message.encode() if isinstance(message, str) else encode(message)
        self.hub.receive(session, frame)
        self.carry_out()

    def report(self, session: int, report: ShotReport) -> None:
        """Sends a shot, and lets the hub tell its followers."""
        self.say(session, report)
        self.wait(0.05)

    def wait(self, seconds: float) -> None:
        """Turns the clock, stopping wherever the hub has something to do."""
        end = self.now + seconds
        while self.hub.due_at <= end:
            self.now = max(self.now, self.hub.due_at)
            self.hub.tick()
            self.carry_out()
        self.now = end

    def heard(self, session: int) -> list[HubMessage | str]:
        """Returns what a session was sent since it was asked last."""
        return self.inbox.pop(session, [])

    def carry_out(self) -> None:
        """Does what the hub wants done."""
        while effects := self.hub.take_effects():
            for effect in effects:
                match effect:
                    case Send():
                        self.sends += 1
                        for session in effect.sessions:
                            self.inbox[session].append(decode_hub(effect.payload))
                    case SendEach():
                        for session, payloads in effect.payloads:
                            self.inbox[session].extend(map(decode_hub, payloads))
                    case Close():
                        self.closed[effect.session] = (effect.code, effect.reason)
                    case Publish():
                        self.published.append(effect)
                    case Inspected():
                        self.inspected[effect.id] = effect.answer
                    case Finished():
                        assert effect.receipt.snap not in self.finished
                        self.finished[effect.receipt.snap] = effect.receipt
                    case Store() | SaveShots() | Reconcile() | Register():
                        self.questions.append(effect)
                        if not self.patient:
                            self.answer(self.questions.pop())

    def answer(self, question: Question, error: ObjectClassificationError | None = None) -> None:
        """Answers as a recorder would."""
        match question:
            case Store():
                snap = question.snap
                if error is not None:
                    self.hub.snaps.store_failed(snap.id, error)
                elif snap.id in self.finished:
                    self.hub.snaps.exists(snap.id, self.finished[snap.id])
                else:
                    self.stored[snap.id] = snap
                    self.hub.snaps.stored(snap.id)
            case SaveShots():
                self.saved[question.snap_id].append((question.shots, question.ended))
                if error is not None:
                    self.hub.snaps.save_failed(question.snap_id, error)
                else:
                    self.hub.snaps.saved(question.snap_id)
            case Reconcile():
                self.hub.snaps.reconciled(question.snap_id, self.rows.get(question.snap_id, ()))
            case Register():
                places = {
                    offer.name: CameraPlace(
                        offer.name, number, f"/snippets/{number}/", offer.groups
                    )
                    for number, offer in enumerate(question.offers, 1)
                }
                if error is not None:
                    self.hub.greeter.refused(question.session, error)
                else:
                    self.hub.greeter.registered(question.session, places)
        self.carry_out()


def store_error() -> StoreError:
    """A recorder's failure."""
    return StoreError("the disk is gone")

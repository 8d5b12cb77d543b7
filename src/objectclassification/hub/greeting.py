"""``hello`` and what it leads to: names, slots, ``welcome``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from objectclassification.errors import (
    BadMessage,
    Conflict,
    Forbidden,
    ObjectClassificationError,
)
from objectclassification.hub import releases
from objectclassification.hub.effects import Register
from objectclassification.hub.live import LiveSnaps
from objectclassification.hub.outbox import Outbox
from objectclassification.hub.presence import Cameras
from objectclassification.hub.sessions import Session, Sessions
from objectclassification.messages import CameraPlace, Hello, Problem, Welcome

MOST_PENDING = 256
"""Orders in one ``welcome``, which is a message that clients can read; more follow it."""


class NameInUse(Conflict):
    """Another connection serves a camera of that name."""

    code = "name_in_use"


class Greeter:
    """Takes every ``hello``.

    A camera program's names are its own from its ``hello`` on, so that of two programs the second
    is refused; its snaps come with the ``welcome``, once its cameras have their slots.
    """

    def __init__(
        self,
        sessions: Sessions,
        cameras: Cameras,
        snaps: LiveSnaps,
        out: Outbox,
        *,
        heartbeat_s: float,
    ) -> None:
        self._sessions = sessions
        self._cameras = cameras
        self._snaps = snaps
        self._out = out
        self._heartbeat_s = heartbeat_s

    def replaced_by(self, sender: Session, hello: Hello) -> Session | None:
        """Checks a ``hello``.

        Returns:
            The old connection of the same instance, which is to be closed first.

        Raises:
            BadMessage: it contradicts itself, or an earlier one on this connection.
            TooOld, TooNew: the program's release is not one that this hub takes.
            Forbidden: the token was not made for one of the names.
            NameInUse: another instance serves one of the names.
        """
        if sender.role is not None:
            raise BadMessage("hello was said already on this connection")
        releases.check(hello.version)
        if (hello.role == "camera") != bool(hello.cameras):
            raise BadMessage("a camera, and only a camera, names the cameras it serves")
        if len({offer.name for offer in hello.cameras}) < len(hello.cameras):
            raise BadMessage("the same camera twice in one hello")
        for offer in hello.cameras:
            if not sender.identity.may_serve(offer.name):
                raise Forbidden(f"this token was not made for the camera {offer.name!r}")
        before = self._sessions.same_instance(sender, hello.instance)
        taken = self._sessions.name_in_use(hello, but=before)
        if taken is not None:
            raise NameInUse(f"another program serves the camera {taken!r}")
        return before

    def introduce(self, sender: Session, hello: Hello) -> None:
        """Takes a ``hello`` that was found good."""
        self._sessions.introduce(sender, hello)
        if hello.cameras:
            self._out.add(
                Register(
                    session=sender.id,
                    identity=sender.identity,
                    instance=hello.instance,
                    offers=hello.cameras,
                    agent=hello.agent,
                    version=hello.version,
                )
            )
        else:
            self._out.send([sender.id], Welcome(self._heartbeat_s))

    def registered(self, session_id: int, places: Mapping[str, CameraPlace]) -> None:
        """Answers ``Register``: welcomes a camera program with its slots and its open snaps."""
        session = self._sessions.get(session_id)
        if session is None:  # it may have gone meanwhile
            return
        session.placed = True
        came = self._cameras.arrived(session, places)
        cameras = tuple(places[name] for name in session.offers)
        pending = self._snaps.pending(session)
        welcome = Welcome(self._heartbeat_s, cameras=cameras, pending=pending[:MOST_PENDING])
        self._out.send([session.id], welcome)
        for order in pending[MOST_PENDING:]:
            self._out.send([session.id], order)
        for name in came:
            self._out.publish("cameras", "connected", self._cameras.event_data(name))
        self._snaps.appointments.arrived(session)

    def refused(self, session_id: int, error: ObjectClassificationError) -> None:
        """Answers ``Register``: it could not be; the client may say ``hello`` again."""
        session = self._sessions.get(session_id)
        if session is None:
            return
        self._sessions.withdraw(session)
        self._out.send([session.id], Problem(code=error.code, detail=error.detail))

    def left(self, session: Session) -> None:
        """A session is gone: tells of its cameras that are not expected back at once."""
        if session.placed:
            self.away(self._cameras.left(session))

    def away(self, names: Iterable[str]) -> None:
        """Tells of cameras that are not there any more."""
        for name in names:
            self._out.publish("cameras", "disconnected", self._cameras.event_data(name))

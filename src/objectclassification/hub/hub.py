"""The hub, sans-I/O: messages go in, effects come out.

It imports no asyncio and no socket. Its shell (:mod:`objectclassification.hub.runner`) calls an
input, then carries out what :meth:`Hub.take_effects` returns, and calls :meth:`Hub.tick` when
:attr:`Hub.due_at` has come. A hub is for one thread.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any

import uuid_utils

from objectclassification.auth import Identity
from objectclassification.errors import (
    AuthError,
    BadMessage,
    Forbidden,
    NotFound,
    RateLimited,
    RequestError,
    ServerStopping,
)
from objectclassification.hub.counts import Counts
from objectclassification.hub.effects import CLOSE_NORMAL, CLOSE_POLICY, Close, Effect, LeftOpen
from objectclassification.hub.greeting import Greeter
from objectclassification.hub.inspections import Inspections
from objectclassification.hub.live import LiveSnaps
from objectclassification.hub.outbox import Outbox
from objectclassification.hub.presence import GRACE_S, CameraPresence, Cameras, Population
from objectclassification.hub.rates import SnapRates
from objectclassification.hub.requests import Requests
from objectclassification.hub.selectors import choose
from objectclassification.hub.sessions import Backlog, Session, Sessions
from objectclassification.messages import (
    PLAIN_SNAP,
    Cancel,
    Clocked,
    Hello,
    Problem,
    Report,
    Role,
    ShotReport,
    Sleep,
    SnapRequest,
    Topic,
    Watch,
    decode_client,
)
from objectclassification.receipts import Origin, Until


class Hub:
    """Sessions, selectors, snaps and shots.

    Args:
        clock: seconds that only ever grow.
        wall: seconds since the epoch, for ``accepted_at``.
        new_id: makes an id for a snap that came without one.
        until: no snap goes further than this; a hub alone ends at ``captured``.
        heartbeat_s: told to clients in ``welcome``; the pings are the shell's.
        snaps_per_minute: how many a token may ask for; None is any number.
        grace_s: a camera that is back within this time was not away.

    Attributes:
        counts: what happened so far; the shell counts in it too.
        greeter: takes the answers to ``Register``.
        snaps: the live ones; answers to effects that are about a snap, and what the API and the
            worker know of its pictures, go there.
    """

    def __init__(
        self,
        *,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
        new_id: Callable[[], str] = lambda: str(uuid_utils.uuid7()),
        until: Until = "classified",
        heartbeat_s: float = 20.0,
        snaps_per_minute: float | None = None,
        grace_s: float = GRACE_S,
    ) -> None:
        self.heartbeat_s = heartbeat_s
        self.counts = Counts()
        self._clock = clock
        self._wall = wall
        self._requests = Requests(wall, new_id, until)
        self._rates = SnapRates(snaps_per_minute)
        self._stopping = False
        self._sessions = Sessions()
        self._cameras = Cameras(self._sessions, clock, wall, grace_s)
        self._out = Outbox(self._sessions)
        self.snaps = LiveSnaps(self._sessions, self._out, clock)
        self._inspections = Inspections(
            self._sessions, self._cameras, self._out, clock=clock, wall=wall, new_id=new_id
        )
        self.greeter = Greeter(
            self._sessions, self._cameras, self.snaps, self._out, heartbeat_s=heartbeat_s
        )

    # What the shell asks.

    @property
    def due_at(self) -> float:
        """When :meth:`tick` has something to do, by the clock; infinite if nothing waits."""
        return min(self.snaps.due_at, self._inspections.due_at, self._cameras.due_at)

    @property
    def live_snaps(self) -> int:
        """How many snaps have not ended."""
        return len(self.snaps)

    def take_effects(self) -> list[Effect]:
        """Returns the effects since the last call, in order."""
        return self._out.take() if self._out.effects else []

    def cameras(self) -> dict[str, CameraPresence]:
        """Returns every known camera, and whether it is there."""
        return {name: self._cameras.presence(name) for name in sorted(self._cameras.groups)}

    def population(self) -> Population:
        """Counts who is there."""
        return self._cameras.population()

    def role(self, session: int) -> Role | None:
        """Returns what a session said it is; None for a plain client, or none at all."""
        found = self._sessions.get(session)
        return found.role if found is not None else None

    # Connections.

    def know(
        self,
        cameras: Mapping[str, tuple[str, ...]],
        left_open: Iterable[LeftOpen] = (),
        asleep: Mapping[str, float] = MappingProxyType({}),
    ) -> None:
        """Takes what was there before this hub: cameras with their groups, snaps, who sleeps."""
        self._cameras.know(cameras, asleep)
        for new, receipt in sorted(left_open, key=lambda left: left[1].accepted_at):
            self.snaps.adopt(new, receipt)

    def forget(self, camera: str) -> None:
        """A camera is not known any more, until it connects."""
        self._cameras.forget(camera)
        self._out.publish("cameras", "forgotten", self._cameras.event_data(camera))

    def regroup(self, camera: str, groups: tuple[str, ...]) -> None:
        """A known camera is in these groups from now on."""
        self._cameras.regroup(camera, groups)
        # To watchers only: that somebody set this is no news of the camera's presence.
        self._out.event("cameras", "regrouped", self._cameras.event_data(camera))

    def connect(self, session: int, identity: Identity, address: str = "") -> None:
        """A connection was opened with a good token."""
        self._sessions.add(session, identity, address)

    def ponged(self, session: int, latency_s: float) -> None:
        """A connection answered a ping."""
        found = self._sessions.get(session)
        if found is not None:
            found.heard_at = self._wall()
            found.latency_ms = round(latency_s * 1000, 1)

    def disconnect(self, session: int) -> None:
        """A connection is gone. Its open shots wait: it may come back before the deadline."""
        gone = self._sessions.remove(session)
        if gone is not None:
            self.greeter.left(gone)
            self._inspections.left(session)
            self.snaps.appointments.left(session)

    def pause(self, session: int) -> None:
        """A connection takes no more for now: what it is told is kept, the newest only."""
        found = self._sessions.get(session)
        if found is not None and found.backlog is None:
            found.backlog = Backlog()

    def resume(self, session: int) -> None:
        """A connection takes more again."""
        found = self._sessions.get(session)
        if found is not None:
            self._out.catch_up(found)

    def revoke(self, id_: str) -> None:
        """A token, or a browser's session, is not good any more: closes its connections."""
        for session in self._sessions:
            if id_ in (session.identity.token_id, session.identity.session_id):
                self.counts.dropped.revoked += 1
                self._close(session, CLOSE_POLICY, "the token was revoked")

    # Messages.

    def receive(self, session: int, frame: bytes) -> None:
        """A text frame came; whatever is wrong with it is answered, and nothing is raised."""
        sender = self._sessions.get(session)
        if sender is None:  # replaced or revoked; its last frames count for nothing
            return
        re: str | None = None
        try:
            match decode_client(frame):
                case ShotReport() as message:
                    re = message.snap
                    self._take_report(sender, message)
                case str() as text:
                    self._take_plain(sender, text)
                case Hello() as message:
                    before = self.greeter.replaced_by(sender, message)
                    if before is not None:
                        self._close(before, CLOSE_NORMAL, "replaced")
                    self.greeter.introduce(sender, message)
                case SnapRequest() as message:
                    re = message.id
                    sender.must_have_said_hello()
                    self.snap(message, sender.identity, session=session)
                case Cancel() as message:
                    re = message.snap
                    self.cancel(message.snap, sender.identity)
                case Watch() as message:
                    sender.must_have_said_hello()
                    if message.topics:
                        sender.identity.require("read")
                    self._sessions.watch(sender, message.topics)
                case Clocked() as message:
                    self.snaps.appointments.answered(sender, message)
                case Report() as message:
                    self._inspections.answered(sender, message)
                case Sleep() as message:
                    sender.must_serve(message.camera)
                    self._cameras.sleeps(message.camera, until=message.until, in_s=message.in_s)
        except BadMessage as exc:
            self._refuse(sender, exc.code, exc.detail, exc.re or re)
        except RateLimited as exc:  # its messages are not bad; the runner sees how many there are
            late = Problem(exc.code, exc.detail, re, round(exc.retry_after_s, 3))
            self._out.send([sender.id], late)
        except (AuthError, RequestError, ServerStopping) as exc:
            self._refuse(sender, exc.code, exc.detail, re)

    def receive_binary(self, session: int) -> None:
        """A binary frame came; there are none in the protocol."""
        sender = self._sessions.get(session)
        if sender is not None:
            self._refuse(sender, BadMessage.code, "a binary frame: messages are text", None)

    # Snaps.

    def snap(
        self,
        request: SnapRequest,
        identity: Identity,
        *,
        session: int | None = None,
        relayed: bool = False,
        origin: Origin = "controller",
    ) -> str:
        """Starts a snap, or joins the live one with the same id.

        Args:
            request: what to take.
            identity: who asks.
            session: where ``accepted``, ``shots`` and ``done`` go; None for HTTP.
            relayed: plain clients have the text ``snap`` already.
            origin: who started it.

        Returns:
            The snap's id.

        Raises:
            Forbidden: the identity may not snap.
            BadMessage: the quorum is none, or the moment.
            NotFound: an unknown name or group, or nobody to take a picture.
            Conflict: the id belongs to another live snap.
            RateLimited: too many with this token.
            Busy: too many wait for one of the cameras.
            ServerStopping: the hub takes nothing new.
        """
        identity.require("snap")
        if self._stopping:
            raise ServerStopping("the server is stopping")
        live = self.snaps.get(request.id or "")
        if live is not None:
            again = self._requests.snap(request, identity, live.new.cameras, origin=origin)
            self.snaps.join(live, again, session)
            return live.new.id
        self._rates.take(identity, self._clock())
        cameras = choose(
            request.to,
            known=self._cameras.groups,
            connected=self._sessions.by_camera,
            away_too=request.ttl_s is not None,
        )
        new = self._requests.snap(request, identity, cameras, origin=origin)
        return self.snaps.begin(new, follower=session, relayed=relayed).new.id

    def cancel(self, snap_id: str, identity: Identity) -> None:
        """Ends a snap now; its open shots fail as ``cancelled``.

        Raises:
            NotFound: it is not live.
            Forbidden: it is somebody else's, and the identity is no admin.
        """
        identity.require("snap")
        snap = self.snaps.get(snap_id)
        if snap is None:
            raise NotFound(f"no open snap {snap_id}")
        if snap.new.by != identity.token_id and not identity.may("admin"):
            raise Forbidden("the snap was started with another token")
        snap.fail_open("cancelled", "cancelled by the caller", self._clock())
        self.snaps.changed(snap)

    def inspect(self, camera: str) -> str:
        """Asks a camera how it is.

        Returns:
            The id of the effect ``Inspected`` that ends it, 5 s later at the latest.

        Raises:
            NotFound, CameraAway, CannotBeAsked, ServerStopping: it cannot be asked, and why.
        """
        if self._stopping:
            raise ServerStopping("the server is stopping")
        return self._inspections.begin(camera)

    def publish(self, topic: Topic, name: str, data: dict[str, Any]) -> None:
        """Something happened elsewhere in the process: tells those who watch."""
        self._out.event(topic, name, data)

    # Time.

    def tick(self) -> None:
        """Does what is due: tells followers, saves ended shots, ends what is over its deadline."""
        self.snaps.tick()
        self._inspections.tick()
        self.greeter.away(self._cameras.overdue())

    def stop(self) -> None:
        """Takes no new snaps, and ends the open ones; ``snaps.index.to_settle`` falls to zero."""
        self._stopping = True
        self.snaps.stop()
        self._inspections.stop()
        self.greeter.away(self._cameras.stop())

    # What each message does.

    def _take_plain(self, sender: Session, text: str) -> None:
        is_snap = text.strip() == PLAIN_SNAP
        if is_snap:
            sender.identity.require("snap")
            self._rates.check(sender.identity, self._clock())
        others = [id_ for id_ in self._sessions.plain if id_ != sender.id]
        self._out.text(others, PLAIN_SNAP if is_snap else text)
        if not is_snap:
            return
        if self._sessions.by_camera:
            # A plain client is told nothing in JSON: it follows no snap.
            follower = sender.id if sender.role is not None else None
            self.snap(SnapRequest(to=("*",)), sender.identity, session=follower, relayed=True)
        else:
            data = {"to": ["*"], "cameras": []}
            self._out.publish("snaps", "relayed", data, also=self._sessions.listeners)

    def _take_report(self, sender: Session, report: ShotReport) -> None:
        sender.must_serve(report.camera)
        snap = self.snaps.get(report.snap)
        if snap is None:
            if report.origin != "camera" or self._stopping:
                return  # it ended; a camera may be late
            new = self._requests.own(report, sender.identity)
            snap = self.snaps.begin(new, follower=None)
        if report.taken_at is not None and snap.new.shoot_at is not None:
            skew = self.snaps.appointments.skew(sender, report, snap)
            snap.note_skew(report.camera, skew)
        snap.report(report, self._clock())
        self.snaps.changed(snap)

    def _refuse(self, session: Session, code: str, detail: str, re: str | None) -> None:
        session.dropped += 1
        if session.may_err(self._clock()):
            self._out.send([session.id], Problem(code=code, detail=detail, re=re))
        else:
            self.counts.dropped.flood += 1
            self._close(session, CLOSE_POLICY, "too many bad messages")

    def _close(self, session: Session, code: int, reason: str) -> None:
        """Closes a connection; nothing more comes from or goes to it."""
        self.disconnect(session.id)
        self._out.add(Close(session.id, code, reason))

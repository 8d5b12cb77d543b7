"""The shell of the hub: carries its effects out on one asyncio loop.

It owns the connections, the two timers (one for what is due, one for pings) and the calls to the
:class:`~objectclassification.hub.recorder.Recorder`. The API, the worker and the page reach the hub
through it. All methods are for the loop's own thread.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any

import structlog

from objectclassification.auth import Identity, Tokens
from objectclassification.condition import CameraReport
from objectclassification.errors import NotFound, ServerStopping
from objectclassification.hub.admission import Admission
from objectclassification.hub.connection import Connection
from objectclassification.hub.connections import Connections
from objectclassification.hub.effects import (
    CLOSE_RESTART,
    Close,
    Effect,
    Finished,
    Inspected,
    LeftOpen,
    NewSnap,
    Publish,
    Reconcile,
    Register,
    SaveShots,
    Send,
    SendEach,
    Store,
)
from objectclassification.hub.heartbeat import Heartbeat
from objectclassification.hub.hub import Hub
from objectclassification.hub.limits import Limits, most_connections
from objectclassification.hub.presence import CameraPresence, Population
from objectclassification.hub.rates import MessageRates, Reading
from objectclassification.hub.recorder import Recorder
from objectclassification.hub.recording import RECORDER_TIMEOUT_S, Recording
from objectclassification.hub.remote import TrustedProxies
from objectclassification.hub.story import tell_end, tell_event
from objectclassification.hub.subscribers import Subscribers
from objectclassification.hub.turns import Turns
from objectclassification.hub.waiters import Waiters, until
from objectclassification.messages import Event, SnapRequest, Topic
from objectclassification.receipts import Found, Origin, PictureRef, Receipt

CAMERA_BOUND_BYTES = 1_048_576
"""Unsent bytes at which a camera or a plain client is dropped."""
FOLLOWER_BOUND_BYTES = 33_554_432
"""The same for controllers and listeners: a whole receipt of a large fleet fits."""

_log = structlog.get_logger(__name__)


class HubRunner:
    """Runs one hub.

    Args:
        hub: with the clock of the loop (:func:`time.monotonic`).
        recorder: where snaps and cameras outlive the hub.
        tokens: who may connect.
        recorder_timeout_s: a recorder that takes longer for an answer has failed.
        proxies: who may say whom a connection is from.
        limits: what a client may take.

    Attributes:
        tokens: who may connect.
        counts: the hub's.
        proxies: who may say whom a connection is from.
        limits: what a client may take.
        admission: who is connected; HTTP's connections are counted with the hub's.
        turns: of the clients that sent much.
        is_stopping: :meth:`stop` was called; new connections are refused.
    """

    def __init__(
        self,
        hub: Hub,
        recorder: Recorder,
        tokens: Tokens,
        *,
        recorder_timeout_s: float = RECORDER_TIMEOUT_S,
        proxies: TrustedProxies | None = None,
        limits: Limits | None = None,
    ) -> None:
        self.tokens = tokens
        self.counts = hub.counts
        self.proxies = proxies or TrustedProxies()
        self.limits = limits or Limits()
        self.admission = Admission(self.limits, self.counts, self.proxies)
        self._rates = MessageRates()
        self.turns = Turns(self.is_awaited)
        self.is_stopping = False
        self._hub = hub
        self._recorder = recorder
        self._recording = Recording(hub, recorder, self._settle, timeout_s=recorder_timeout_s)
        self._connections = Connections()
        self._ending: Waiters[Receipt] = Waiters()
        self._inspecting: Waiters[CameraReport] = Waiters()
        self._subscribers = Subscribers(tell_event)
        self._due: asyncio.TimerHandle | None = None
        self._due_at = math.inf
        self._heartbeat = Heartbeat(self._connections, self.counts, hub.heartbeat_s)
        self._progress = asyncio.Event()

    # Life.

    async def start(
        self,
        left_open: Iterable[LeftOpen] = (),
        asleep: Mapping[str, float] = MappingProxyType({}),
    ) -> None:
        """Loads the known cameras and starts the heartbeat, on the running loop.

        Args:
            left_open: snaps to go on with.
            asleep: until when cameras sleep, in seconds since the epoch.

        Raises:
            StoreError: the recorder cannot be read.
        """
        self._loop = asyncio.get_running_loop()
        self.admission.most = most_connections()
        self._hub.know(await self._recorder.known(), left_open, asleep)
        self._settle()
        self._heartbeat.start()

    async def stop(self, timeout_s: float = 5.0) -> None:
        """Takes nothing new, ends open snaps with ``done``, and closes all connections with 1012.

        Args:
            timeout_s: for the snaps; connections get 2 s more.

        A second call does nothing.
        """
        if self.is_stopping:
            return
        self.is_stopping = True
        self._hub.stop()
        self._settle()
        await until(self._progress, lambda: self._hub.snaps.index.to_settle == 0, timeout_s)
        for connection in self._connections:
            connection.close(CLOSE_RESTART, "the server is stopping")
        await until(self._progress, lambda: len(self._connections) == 0, 2.0)
        for connection in self._connections:
            connection.abort()
        self._heartbeat.stop()
        if self._due is not None:
            self._due.cancel()
        error = ServerStopping("the server stopped")
        await self._recording.stop(error)
        self._ending.fail_all(error)

    # For the API, the worker and the page.

    async def snap(
        self, request: SnapRequest, identity: Identity, *, origin: Origin = "controller"
    ) -> Receipt:
        """Starts a snap and returns its receipt once it is accepted.

        The same ``id`` again returns the same snap's receipt, ended or not.

        Raises:
            Forbidden: the identity may not snap.
            BadMessage: the quorum is none, or the moment.
            NotFound: an unknown name or group, or nobody to take a picture.
            Conflict: the id belongs to another snap.
            RateLimited: too many with this token.
            StoreError: it could not be stored.
            ServerStopping: the hub takes nothing new.
        """
        snap_id = self._hub.snap(request, identity, origin=origin)
        self._settle()
        receipt = await self._recording.accepted(snap_id) or self._hub.snaps.receipt(snap_id)
        assert receipt is not None, "a snap is live or being stored"  # noqa: S101
        return receipt

    async def wait_done(self, snap_id: str) -> Receipt:
        """Waits for a live snap's ``done``.

        Raises:
            NotFound: it is not live; the store has its receipt.
            ServerStopping: the hub stopped before.
        """
        if self._hub.snaps.receipt(snap_id) is None:
            raise NotFound(f"no open snap {snap_id}")
        return await self._ending.wait(snap_id)

    def cancel(self, snap_id: str, identity: Identity) -> None:
        """Ends a live snap now.

        Raises:
            NotFound: it is not live.
            Forbidden: it is somebody else's.
        """
        self._hub.cancel(snap_id, identity)
        self._settle()

    def receipt(self, snap_id: str) -> Receipt | None:
        """Returns the receipt of a live snap."""
        return self._hub.snaps.receipt(snap_id)

    def waiting(self, most: int) -> list[Receipt]:
        """Returns receipts of snaps that wait for cameras which are away, the oldest first."""
        return self._hub.snaps.index.waiting_receipts(most)

    def waiting_for(self, camera: str) -> list[NewSnap]:
        """Returns the snaps that wait for one camera, the oldest first."""
        return self._hub.snaps.index.waiting_for(camera)

    async def inspect(self, camera: str) -> CameraReport:
        """Asks a camera how it is.

        Raises:
            NotFound, CameraAway, CannotBeAsked, CameraSilent, ServerStopping: it cannot, and why.
        """
        question = self._hub.inspect(camera)
        self._settle()
        return await self._inspecting.wait(question)

    def uploaded(self, snap_id: str, camera: str, picture: PictureRef) -> None:
        """The API stored a picture of a snap; call it after the transaction."""
        self._hub.snaps.uploaded(snap_id, camera, picture)
        self._settle()

    def classified(self, snap_id: str, camera: str, found: Found) -> None:
        """The worker stored what it found on a snap's picture."""
        self._hub.snaps.classified(snap_id, camera, found)
        self._settle()

    def classify_failed(self, snap_id: str, camera: str, detail: str) -> None:
        """The worker gave a snap's picture up."""
        self._hub.snaps.classify_failed(snap_id, camera, detail)
        self._settle()

    def publish(self, topic: Topic, name: str, data: dict[str, Any]) -> None:
        """Tells the hub's watchers of what happened elsewhere; :meth:`subscribe` is not called."""
        self._hub.publish(topic, name, data)
        self._settle()

    def subscribe(self, callback: Callable[[Event], None]) -> Callable[[], None]:
        """Has the hub's own events (topics ``snaps`` and ``cameras``) told to a quick callback.

        Returns:
            Call it to end that.
        """
        return self._subscribers.add(callback)

    def know(self, camera: str) -> None:
        """A camera was given its name: a snap to it finds it offline until it connects."""
        if camera not in self._hub.cameras():
            self._hub.know({camera: ()})

    def forget(self, camera: str) -> None:
        """A camera is not known any more, until it connects."""
        self._hub.forget(camera)
        self._settle()

    def regroup(self, camera: str, groups: tuple[str, ...]) -> None:
        """A known camera is in these groups from now on."""
        self._hub.regroup(camera, groups)
        self._settle()

    def revoke(self, id_: str) -> None:
        """Closes the connections of a token or a browser's session that is not good any more."""
        self._hub.revoke(id_)
        self._settle()

    def cameras(self) -> dict[str, CameraPresence]:
        """Returns every known camera, and whether it is there."""
        return self._hub.cameras()

    def population(self) -> Population:
        """Counts who is there."""
        return self._hub.population()

    @property
    def live_snaps(self) -> int:
        """How many snaps have not ended."""
        return self._hub.live_snaps

    def is_awaited(self) -> bool:
        """Whether somebody waits for a snap: what can wait longer gives way."""
        return self._hub.snaps.index.brief > 0

    @property
    def connections(self) -> int:
        """How many sockets are open, those in their handshake included."""
        return len(self._connections)

    # For the connections.

    def now(self) -> float:
        """Returns the loop's clock, in seconds."""
        return self._loop.time()

    def made(self, connection: Connection) -> int:
        """Takes a connection in before its handshake; returns its number."""
        return self._connections.add(connection)

    def opened(self, connection: Connection, identity: Identity) -> None:
        """Its handshake is done."""
        self.counts.connections += 1
        self._hub.connect(connection.number, identity, connection.peer)

    def lost(self, connection: Connection) -> None:
        """Its socket is closed."""
        self._connections.remove(connection)
        self.admission.leave(connection)
        self._hub.disconnect(connection.number)
        self._settle()

    def received(self, connection: Connection, message: bytes) -> None:
        """It sent a text message."""
        self._hub.receive(connection.number, message)
        self._settle()

    def ponged(self, connection: Connection, payload: bytes) -> None:
        """It answered a ping."""
        took_s = self._heartbeat.took_s(connection, payload)
        if took_s is not None:
            self._hub.ponged(connection.number, took_s)

    def received_binary(self, connection: Connection) -> None:
        """It sent a binary message."""
        self._hub.receive_binary(connection.number)
        self._settle()

    def paused(self, connection: Connection) -> None:
        """It takes no more for now."""
        self._hub.pause(connection.number)

    def resumed(self, connection: Connection) -> None:
        """It takes more again."""
        self._hub.resume(connection.number)
        self._settle()

    def has_output(self, connection: Connection) -> None:
        """It has frames for the end of this loop turn."""
        self._connections.has_output(connection, self._loop)

    def reading(self, connection: Connection, own: Reading, identity: Identity) -> Reading:
        """Returns at which pace it is read, now that it is known whose token it has."""

        def serves_cameras() -> bool:
            return self._hub.role(connection.number) == "camera"

        return self._rates.with_token(own, identity, self.limits, serves_cameras)

    def bound(self, connection: Connection) -> int:
        """Returns the unsent bytes at which it is dropped."""
        if self._hub.role(connection.number) in ("controller", "listener"):
            return FOLLOWER_BOUND_BYTES
        return CAMERA_BOUND_BYTES

    # Inside.

    def _settle(self) -> None:
        """After every input: carries the effects out and sets the timer."""
        for effect in self._hub.take_effects():
            self._carry_out(effect)
        if self._hub.due_at < self._due_at:
            if self._due is not None:
                self._due.cancel()
            self._due_at = self._hub.due_at
            self._due = self._loop.call_at(self._due_at, self._tick)
        if self.is_stopping:
            self._progress.set()

    def _carry_out(self, effect: Effect) -> None:
        match effect:
            case Send() | SendEach() | Close():
                self._connections.carry_out(effect)
            case Store() | SaveShots() | Reconcile() | Register():
                self._recording.begin(effect)
            case Publish():
                self._subscribers.tell(Event(effect.topic, effect.name, effect.data))
            case Inspected():
                self._inspecting.end(effect.id, effect.answer)
            case Finished():
                self.counts.ended(effect.receipt)
                self._ending.end(effect.receipt.snap, effect.receipt)
                tell_end(effect.receipt)

    def _tick(self) -> None:
        self._due_at = math.inf
        self._hub.tick()
        self._settle()

"""A simulated fleet: who connects when, who is cut off, and what came of it all."""

from __future__ import annotations

import asyncio
import math
import random
import socket
from collections.abc import Callable
from functools import partial

from uuid_utils import uuid7
from websockets.uri import parse_uri

from objectclassification.capture.upload import Uploader
from objectclassification.client.link import HANDSHAKE_TIMEOUT_S, websocket_url
from objectclassification.client.simulation.camera import SimulatedCamera
from objectclassification.client.simulation.picture import Prepared
from objectclassification.client.simulation.plan import Plan
from objectclassification.client.simulation.tally import Summary, Tally
from objectclassification.client.simulation.uploads import Uploads
from objectclassification.client.threads import in_thread
from objectclassification.config import Connection
from objectclassification.errors import ObjectClassificationError, ServerUnreachable
from objectclassification.trust import Trust

MISSED_BEATS = 3
"""A hub that was silent for so many heartbeats is not there any more."""
GOODBYE_S = 2.0
"""For all connections to close when it ends."""


class Fleet:
    """Simulated cameras on one loop.

    Args:
        connection: which server, and as whom: an admin, or a token made for these names.
        plan: what the fleet is like.
        picture: what every camera takes.
        tell: takes what a person is told of a first connection over TLS.

    Attributes:
        plan: as given.
        tally: what happened so far.
        uploads: the pictures on their way.
        url: the server's, without a token.
        origin: of the token, as errors about it end.
        uri: of the hub.
        headers: what a connection's request has beside RFC 6455's.
        id: of this run: the same camera's next connection replaces its last one.
    """

    def __init__(
        self,
        connection: Connection,
        plan: Plan,
        picture: Prepared,
        tell: Callable[[str], None] | None = None,
    ) -> None:
        self.plan = plan
        self.tally = Tally()
        self.url = connection.url
        self.origin = connection.origin
        self.uri = parse_uri(websocket_url(connection.url))
        token = connection.token
        self.headers = {"Authorization": f"Bearer {token}"} if token else {}
        self.id = str(uuid7())
        new_uploader = partial(Uploader, connection.url, token, ca=connection.ca, attempts=1)
        self.uploads = Uploads(new_uploader, picture, plan, self.tally)
        self._trust = Trust(connection.url, connection.ca, pins=True, tell=tell)
        slow = plan.slow_readers
        self._cameras = [
            SimulatedCamera(self, number, is_slow=number < slow) for number in range(plan.cameras)
        ]
        self._under_way: set[asyncio.Task[None]] = set()
        self._cut: set[int] = set()
        self._heartbeat_s = math.inf
        self._is_ending = False

    async def run(self, stop: asyncio.Event) -> None:
        """Runs until it is told to stop, and then says goodbye.

        Raises:
            AuthError: the token is not good, or not for these names.
            Conflict: another program serves one of the names.
            ServerUnreachable: nobody answered the first time; later, cameras try on.
        """
        self._loop = asyncio.get_running_loop()
        self._began_at = self.now()
        self._all_gone = asyncio.Event()
        self._failed: asyncio.Future[None] = self._loop.create_future()
        await self._look_up()
        tasks = [
            asyncio.create_task(work)
            for work in (self._connect_all(), self._churn(), self._watch(), self.uploads.run())
        ]
        stopping = asyncio.create_task(_wait(stop))
        ends: set[asyncio.Future[None]] = {stopping, self._failed, *tasks}
        ends.discard(tasks[0])  # the only one that is ever done
        try:
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            for task in (*tasks, self._failed):
                if task.done():
                    await task  # raises what ended it
        finally:
            self._is_ending = True
            for each in (*tasks, stopping, *self._under_way):
                each.cancel()
            await asyncio.gather(*tasks, stopping, *self._under_way, return_exceptions=True)
            await self._say_goodbye()

    def summary(self) -> Summary:
        """Returns what happened so far."""
        return self.tally.summary(self.plan.cameras, self.now() - self._began_at)

    def now(self) -> float:
        """Returns the loop's clock, in seconds."""
        return self._loop.time()

    # Called by the cameras.

    def welcomed(self, camera: SimulatedCamera, heartbeat_s: float) -> None:
        """The hub has taken a camera's ``hello``."""
        self._heartbeat_s = heartbeat_s
        self.tally.connected += 1
        self.tally.connections += 1
        self.tally.welcomed += not camera.was_welcomed
        self.tally.welcome.add(self.now() - camera.began_at)

    def lost(self, camera: SimulatedCamera, why: str, *, was_welcomed: bool) -> None:
        """A camera's connection has ended, or could not be made: it comes back in a while."""
        self.tally.connected -= was_welcomed
        if self._is_ending:
            if not self.tally.connected:
                self._all_gone.set()
            return
        if camera.number in self._cut:
            self._cut.discard(camera.number)
        else:
            self.tally.broken += 1
            self.tally.error(why)
        self._loop.call_later(camera.backoff.next_pause_s(self.now()), self._connect, camera)

    def refused(self, why: ObjectClassificationError) -> None:
        """The hub does not want a camera; if that will stay so, the fleet ends."""
        self.tally.error(why.detail)
        if not isinstance(why, ServerUnreachable) and not self._failed.done():
            self._failed.set_exception(why)

    # Inside.

    async def _look_up(self) -> None:
        """Finds the server, and whether it is to be trusted, once for all cameras."""
        await in_thread(self._trust.settle, "trust")
        try:
            found = await self._loop.getaddrinfo(
                self.uri.host, self.uri.port, type=socket.SOCK_STREAM
            )
            for family, *_, address in found:
                self._address = address[:2]
                with socket.socket(family, socket.SOCK_STREAM) as probe:
                    probe.setblocking(False)
                    async with asyncio.timeout(HANDSHAKE_TIMEOUT_S):
                        await self._loop.sock_connect(probe, address)
                return
        except (OSError, TimeoutError) as exc:
            raise ServerUnreachable(
                f"no server answers at {self.url}: is `objectclassification serve` running there?",
                url=self.url,
            ) from exc

    async def _connect_all(self) -> None:
        for camera in self._cameras:
            due_at = self._began_at + camera.number / self.plan.connect_rate
            if (pause_s := due_at - self.now()) > 0:
                await asyncio.sleep(pause_s)
            elif camera.number % 100 == 0:
                await asyncio.sleep(0)
            self._connect(camera)

    def _connect(self, camera: SimulatedCamera) -> None:
        if not self._is_ending:
            task = self._loop.create_task(self._open(camera))
            self._under_way.add(task)
            task.add_done_callback(self._under_way.discard)

    async def _open(self, camera: SimulatedCamera) -> None:
        camera.began_at = self.now()
        context = self._trust.context
        try:
            async with asyncio.timeout(HANDSHAKE_TIMEOUT_S):
                await self._loop.create_connection(
                    lambda: camera,
                    *self._address,
                    ssl=context,
                    server_hostname=self.uri.host if context is not None else None,
                )
        except TimeoutError:
            self.lost(camera, f"no answer within {HANDSHAKE_TIMEOUT_S:g} s", was_welcomed=False)
        except OSError as exc:
            self.lost(camera, f"no connection: {exc.strerror or exc}", was_welcomed=False)

    async def _churn(self) -> None:
        """Cuts connections by chance, as many a minute as the plan says."""
        per_s = self.plan.cameras * self.plan.churn / 60
        while True:
            await asyncio.sleep(random.expovariate(per_s) if per_s else math.inf)
            camera = random.choice(self._cameras)  # noqa: S311 - weather, no secret
            if camera.is_welcomed and camera.number not in self._cut:
                self._cut.add(camera.number)
                self.tally.cut += 1
                camera.cut()

    async def _watch(self) -> None:
        """Gives up connections on which nothing comes any more, nor even an answer at first."""
        while True:
            await asyncio.sleep(min(self._heartbeat_s, HANDSHAKE_TIMEOUT_S))
            now = self.now()
            for camera in self._cameras:
                most_s = MISSED_BEATS * self._heartbeat_s
                quiet_s = now - camera.heard_at
                if quiet_s > (most_s if camera.is_welcomed else HANDSHAKE_TIMEOUT_S):
                    camera.cut()

    async def _say_goodbye(self) -> None:
        connected = self.tally.connected
        for camera in self._cameras:
            camera.close()
        if self.tally.connected:
            try:
                async with asyncio.timeout(GOODBYE_S):
                    await self._all_gone.wait()
            except TimeoutError:
                for camera in self._cameras:
                    camera.cut()
        self.tally.connected = connected  # as it was when it ended


async def _wait(stop: asyncio.Event) -> None:
    await stop.wait()

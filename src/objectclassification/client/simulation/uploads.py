"""The PUTs of a simulated fleet: the camera program's own, over a few kept connections."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from objectclassification.capture.upload import Uploader, age_since
from objectclassification.client.backoff import growing_pause_s, spread_wait_s
from objectclassification.client.simulation.picture import Prepared
from objectclassification.client.simulation.plan import Plan
from objectclassification.client.simulation.tally import Tally
from objectclassification.client.threads import in_thread
from objectclassification.errors import UploadFailed, UploadRefused

LANES = 32
"""PUTs at the same time. A server takes 16 at once, so that these are enough to be refused."""
MOST_WAITING = 131_072
"""Pictures that wait to be sent; of what comes beyond, the picture is given up."""


@dataclass(slots=True)
class Put:
    """A picture on its way.

    Attributes:
        camera: whose.
        upload: path of the PUT.
        snap: which it answers.
        taken_at: by ``time.monotonic()``.
        due_at: when it may be sent, by the same clock.
        tries: how often it was sent in vain.
    """

    camera: str
    upload: str
    snap: str
    taken_at: float
    due_at: float
    tries: int = 0


class Uploads:
    """Sends the pictures of all cameras.

    Args:
        new_uploader: makes an uploader that tries once.
        picture: what is sent.
        plan: which latency and loss there is.
        tally: where it is counted.
    """

    def __init__(
        self, new_uploader: Callable[[], Uploader], picture: Prepared, plan: Plan, tally: Tally
    ) -> None:
        self._new_uploader = new_uploader
        self._picture = picture
        self._plan = plan
        self._tally = tally
        self._due: asyncio.Queue[Put] = asyncio.Queue()

    def add(self, put: Put) -> None:
        """Takes a picture on, to be sent when it is due."""
        if self._plan.loses():
            self._tally.lost_puts += 1
        elif self._tally.waiting_puts >= MOST_WAITING:
            self._tally.failed_puts += 1
            self._tally.error(f"a picture given up here: {MOST_WAITING} wait already")
        else:
            self._tally.waiting_puts += 1
            self._wait(put)

    async def run(self) -> None:
        """Sends until it is cancelled; what is under way then ends in its thread."""
        await asyncio.gather(*(self._lane() for _ in range(LANES)))

    def _wait(self, put: Put) -> None:
        pause_s = put.due_at - time.monotonic()
        if pause_s <= 0:
            self._due.put_nowait(put)
        else:
            asyncio.get_running_loop().call_later(pause_s, self._due.put_nowait, put)

    async def _lane(self) -> None:
        with self._new_uploader() as uploader:
            while True:
                put = await self._due.get()
                began = time.monotonic()
                self._tally.held.add(began - put.due_at)
                try:
                    await in_thread(partial(self._send, uploader, put), f"upload {put.camera}")
                except UploadFailed as exc:
                    self._again(put, exc)
                    continue
                except UploadRefused as exc:
                    self._tally.failed_puts += 1
                    self._tally.error(exc.detail)
                else:
                    self._tally.puts += 1
                    self._tally.put.add(time.monotonic() - began)
                self._tally.waiting_puts -= 1

    def _send(self, uploader: Uploader, put: Put) -> None:
        uploader.put(
            put.upload,
            self._picture.data,
            self._picture.media_type,
            key=f"{put.snap}.{put.camera}",
            snap=put.snap,
            age_ms=age_since(put.taken_at),
        )

    def _again(self, put: Put, failed: UploadFailed) -> None:
        wait_s = spread_wait_s(failed.wait_s) if failed.wait_s else growing_pause_s(put.tries)
        put.tries += 1
        put.due_at = time.monotonic() + wait_s
        self._tally.again(put.tries)
        self._tally.error(failed.detail)
        self._wait(put)

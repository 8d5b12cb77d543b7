"""Snaps at a steady rate, whatever the server does: one that is down is asked again until it is up.

The rate is that of the clock, not of the answers: a slow server gets no fewer snaps.
"""

from __future__ import annotations

import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType

from tests.plant import Place

PER_SECOND = 5
DEADLINE_S = 60.0
"""Of each snap: longer than a program takes to come back on a machine that is busy."""
AGAIN_S = 0.25
GIVE_UP_S = 600.0
AT_A_TIME = 64
"""Snaps that wait for a server that is down; more wait in line."""


def name(number: int) -> str:
    """The id of a snap."""
    return f"soak-{number}"


def minute_of(snap_id: str) -> int:
    """In which minute a snap was due; 0 is the first."""
    return int(snap_id.removeprefix("soak-")) // (60 * PER_SECOND)


class Load:
    """Snaps until the block ends.

    Attributes:
        asked: how many snaps were asked for.
        late_s: how long after its time each one was accepted.
        trouble: what a server may not answer.
    """

    def __init__(self, place: Place) -> None:
        self.asked = 0
        self.late_s: list[float] = []
        self.trouble: list[str] = []
        self._place = place
        self._pool = ThreadPoolExecutor(AT_A_TIME, thread_name_prefix="snap")
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="load")

    def __enter__(self) -> Load:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()
        self._pool.shutdown(cancel_futures=kind is not None)

    def _run(self) -> None:
        began = time.monotonic()
        while True:
            due = began + self.asked / PER_SECOND
            if self._stop.wait(max(0.0, due - time.monotonic())):
                return
            self._pool.submit(self._snap, name(self.asked), due).add_done_callback(self._note)
            self.asked += 1

    def _snap(self, snap_id: str, due: float) -> None:
        while not self._place.ask(snap_id, DEADLINE_S):
            if time.monotonic() > due + GIVE_UP_S:
                raise TimeoutError(f"nobody took {snap_id} for {GIVE_UP_S:.0f} s")
            time.sleep(AGAIN_S)
        self.late_s.append(time.monotonic() - due)

    def _note(self, snap: Future[None]) -> None:
        if not snap.cancelled() and (exc := snap.exception()) is not None:
            self.trouble.append(f"{type(exc).__name__}: {exc}")

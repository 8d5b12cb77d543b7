"""Memory, open files and the server's event loop, as they are seen from outside."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType

import psutil
import requests
from tests.plant import Place, Victim
from tests.serving import WAIT_S

LOOK_EVERY_S = 5.0
PROBE_EVERY_S = 0.1


@dataclass(frozen=True, slots=True)
class Look:
    """A process at a moment.

    Attributes:
        who: which of the plant's programs.
        incarnation: when it was started, seconds since the epoch: with ``who`` it names one.
        age_s: since then.
        rss_mb: resident memory, 1e6 bytes.
        files: open file descriptors.
    """

    who: Victim
    incarnation: float
    age_s: float
    rss_mb: float
    files: int


class Watch:
    """Looks every few seconds until the block ends.

    Attributes:
        looks: at every process.
        loop_ms: how long ``GET /healthz`` took, ten times a second, since it was last taken: the
            request does nothing but wait for the server's event loop.
        machine_ms: how late this program itself woke for each: the machine's share of it.
    """

    def __init__(self, place: Place) -> None:
        self.looks: list[Look] = []
        self.loop_ms: list[float] = []
        self.machine_ms: list[float] = []
        self._place = place
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._every, args=(LOOK_EVERY_S, self._look), name="look"),
            threading.Thread(target=self._every, args=(PROBE_EVERY_S, self._probe), name="probe"),
        ]
        self._session = requests.Session()

    def __enter__(self) -> Watch:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def take(self) -> tuple[list[float], list[float]]:
        """Returns the figures of the event loop and of the machine since the last call."""
        loop, self.loop_ms = self.loop_ms, []
        machine, self.machine_ms = self.machine_ms, []
        return loop, machine

    def _every(self, seconds: float, work: Callable[[float], None]) -> None:
        due = time.monotonic() + seconds
        while not self._stop.wait(max(0.0, due - time.monotonic())):
            work(due)
            due = max(due + seconds, time.monotonic())

    def _look(self, due: float) -> None:
        with suppress(psutil.Error):  # killed a moment ago
            server = psutil.Process(self._place.server.process.pid)
            camera = psutil.Process(self._place.camera.process.pid)
            both: list[tuple[Victim, psutil.Process]] = [("server", server), ("camera", camera)]
            for who, process in [*both, *(("child", each) for each in server.children())]:
                with process.oneshot():
                    started = process.create_time()
                    rss_mb, files = process.memory_info().rss / 1e6, process.num_fds()
                self.looks.append(Look(who, started, time.time() - started, rss_mb, files))

    def _probe(self, due: float) -> None:
        began = time.monotonic()
        try:
            self._session.get(f"{self._place.server.url}/healthz", timeout=WAIT_S)
        except requests.RequestException:
            return  # it is down
        self.loop_ms.append((time.monotonic() - began) * 1000)
        self.machine_ms.append((began - due) * 1000)


def percentile(figures: Sequence[float], percent: float) -> float:
    """Nearest rank; 0 of nothing."""
    ranked = sorted(figures)
    return ranked[min(len(ranked) - 1, int(len(ranked) * percent / 100))] if ranked else 0.0

"""Simulated cameras at the whole server: what a fleet costs it, in time and in memory."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import requests

from benchmarks.fleet.hubs import cpu_s
from benchmarks.fleet.one_of_many import percentile
from benchmarks.programs import Server, serve
from objectclassification.client.simulation.fleet import Fleet
from objectclassification.client.simulation.picture import prepare
from objectclassification.client.simulation.plan import Plan, raise_file_limit
from objectclassification.config import Connection

CAMERAS = 5000
SNAPS = 3
SETTLE_S = 5.0
CONNECT_TIMEOUT_S = 120.0
CLASSIFY_DEADLINE_S = 600.0
UPLOAD_TIMEOUT_S = 180.0
MOST_CAPTURE_MS = 1000.0
MOST_MB = 60.0
LOOK_S = 0.5


@dataclass(frozen=True, slots=True)
class Line:
    """A figure with what is wanted of it; there is no peer that does the same.

    Attributes:
        what: was measured.
        figure: with its unit.
        wish: what it is to be, or empty.
        reached: whether it is.
    """

    what: str
    figure: str
    wish: str = ""
    reached: bool = True

    def cells(self) -> str:
        """The line of a Markdown table."""
        verdict = f"{self.wish}: {'reached' if self.reached else '**missed**'}" if self.wish else ""
        return f"| {self.what} | {self.figure} | {verdict} |"


@asynccontextmanager
async def connected(server: Server, plan: Plan) -> AsyncIterator[Fleet]:
    """A fleet, connected; it says goodbye when the block ends."""
    raise_file_limit(plan.cameras)
    stop = asyncio.Event()
    fleet = Fleet(Connection(server.url, server.token), plan, prepare())
    running = asyncio.create_task(fleet.run(stop))
    try:
        await all_connected(fleet, CONNECT_TIMEOUT_S)
        yield fleet
    finally:
        stop.set()
        await running


async def all_connected(fleet: Fleet, timeout_s: float) -> None:
    """Waits until every camera is welcomed."""
    async with asyncio.timeout(timeout_s):
        while fleet.tally.connected < fleet.plan.cameras:  # noqa: ASYNC110 - no event tells
            await asyncio.sleep(0.01)


async def pictures_came(fleet: Fleet) -> None:
    """Waits until no picture is on its way any more."""
    async with asyncio.timeout(UPLOAD_TIMEOUT_S):
        while fleet.tally.waiting_puts:  # noqa: ASYNC110 - no event tells
            await asyncio.sleep(0.1)


def snap(server: Server, until: str, deadline_s: float, to: str = "*") -> dict[str, Any]:
    """Snaps all cameras or a group, and returns the whole receipt."""
    answer = requests.post(
        f"{server.url}/api/snaps?wait=1",
        json={"to": [to], "until": until, "deadline_s": deadline_s},
        headers={"Authorization": f"Bearer {server.token}"},
        timeout=deadline_s + 30,
    )
    answer.raise_for_status()
    found: dict[str, Any] = answer.json()
    return found


def captured(folder: Path, cameras: int = CAMERAS) -> list[Line]:
    """A snap to all that ends at ``captured``, and the memory that the fleet takes."""
    with serve(folder, workers=1, keep_pictures=2 * cameras) as server:
        return asyncio.run(_captured(server, cameras))


async def _captured(server: Server, cameras: int) -> list[Line]:
    process = psutil.Process(server.process.pid)
    await asyncio.to_thread(requests.get, f"{server.url}/healthz", timeout=10)
    before, cpu = process.memory_info().rss, cpu_s(process.pid)
    began = time.monotonic()
    async with connected(server, Plan(cameras, connect_rate=2000)) as fleet:
        took_s, took_cpu = time.monotonic() - began, cpu_s(process.pid) - cpu
        await asyncio.sleep(SETTLE_S)
        connected_mb = (process.memory_info().rss - before) / 1e6
        longest: list[float] = []
        whole: list[float] = []
        for _ in range(SNAPS):
            cpu = cpu_s(process.pid)
            receipt = await asyncio.to_thread(snap, server, "captured", 30)
            assert receipt["answered"] == cameras, (receipt["answered"], receipt["missing"])
            longest.append(max(shot["elapsed_ms"]["captured"] for shot in receipt["shots"]))
            whole.append((cpu_s(process.pid) - cpu) * 1000)
            # The pictures come afterwards; those of one snap must not be in the next one's figures.
            await pictures_came(fleet)
        after_mb = (process.memory_info().rss - before) / 1e6
        found = fleet.summary()
    per = f"{cameras:,} simulated cameras"
    return [
        Line(
            f"{per}, snap with `until: captured`, the last of them captured "
            f"(median and worst of {SNAPS})",
            f"{sorted(longest)[SNAPS // 2]:.0f} and {max(longest):.0f} ms",
            f"{MOST_CAPTURE_MS:.0f} ms",
            max(longest) <= MOST_CAPTURE_MS,
        ),
        Line("the server's processor time for it", f"{sorted(whole)[SNAPS // 2]:.0f} ms"),
        Line(
            "from the hub's first order to the last, as the fleet hears them, p99",
            f"{found.order_ms.p99:.0f} ms",
        ),
        Line(
            f"the server's RSS for {per}, connected and present",
            f"+{connected_mb:.0f} MB",
            f"{MOST_MB:.0f} MB",
            connected_mb <= MOST_MB,
        ),
        Line(f"the same after {SNAPS} snaps and their receipts", f"+{after_mb:.0f} MB"),
        Line(
            "until all are welcomed (2,000 a second begun), and the server's processor time",
            f"{took_s:.1f} and {took_cpu:.1f} s",
        ),
    ]


def classified(folder: Path, cameras: int = CAMERAS) -> list[Line]:
    """A snap to all that ends at ``classified``: PUTs, refusals, memory."""
    with serve(folder, workers=1) as server:
        return asyncio.run(_classified(server, cameras))


async def _classified(server: Server, cameras: int) -> list[Line]:
    process = psutil.Process(server.process.pid)
    async with connected(server, Plan(cameras, connect_rate=2000)) as fleet:
        await asyncio.sleep(SETTLE_S)
        before = process.memory_info().rss
        most, stop = before, asyncio.Event()

        async def look() -> None:
            nonlocal most
            while not stop.is_set():
                most = max(most, process.memory_info().rss)
                await asyncio.sleep(LOOK_S)

        looking = asyncio.create_task(look())
        began = time.monotonic()
        receipt = await asyncio.to_thread(snap, server, "classified", CLASSIFY_DEADLINE_S)
        took_s = time.monotonic() - began
        stop.set()
        await looking
        found = fleet.summary()
    uploaded = [shot["elapsed_ms"]["uploaded"] / 1000 for shot in receipt["shots"]]
    return [
        Line(
            f"{cameras:,} simulated cameras, snap with `until: classified`: answered",
            f"{receipt['answered']:,} in {took_s:.0f} s",
            f"{cameras:,}",
            receipt["answered"] == cameras,
        ),
        Line(
            "PUTs that were told to come again, and the most times that one was",
            f"{found.puts_again} and {found.most_again}",
            "1 time",
            found.most_again <= 1,
        ),
        Line(
            "the pictures came, first, median and last",
            f"{min(uploaded):.1f}, {percentile(uploaded, 50):.1f} and {max(uploaded):.1f} s",
        ),
        Line("a PUT, p50 and p99", f"{found.put_ms.p50:.0f} and {found.put_ms.p99:.0f} ms"),
        Line("held back by the simulator itself, p99", f"{found.held_ms.p99:.0f} ms"),
        Line("the server's RSS above what it was, at most", f"+{(most - before) / 1e6:.0f} MB"),
    ]


def table(lines: list[Line]) -> str:
    """Returns a Markdown table."""
    return "\n".join(
        ("| what | figure | wish |", "| --- | --- | --- |", *(x.cells() for x in lines))
    )

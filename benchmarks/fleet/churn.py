"""An hour of churn: a tenth of the cameras reconnects each minute, and nothing may grow.

``python -m benchmarks.fleet.churn --minutes 60``; ``make churn``.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import linear_regression, mean

import psutil

from benchmarks import machine
from benchmarks.fleet.fleets import connected, snap
from benchmarks.page import replace_section
from benchmarks.programs import Server, scratch, serve
from objectclassification.client.simulation.plan import Plan

CAMERAS = 2000
CHURN = 0.1
MINUTES = 60.0
WARM_SHARE = 0.2
"""Of the time: caches and the allocator's arenas are filled by then."""
LOOK_S = 5.0
SNAP_S = 30.0
"""Between two snaps: receipts and pictures come and go, too."""
GROUPS = tuple(f"group-{number}" for number in range(40))
"""One of them is snapped; so many that most of what the server does is to greet."""
MOST_MB_PER_MINUTE = 0.2
"""At 200 reconnects a minute this is 1 kB for each: less than a session that is never let go."""


@dataclass(frozen=True, slots=True)
class Look:
    """The server at a moment: minutes since the start, MB resident, open files."""

    minute: float
    rss_mb: float
    files: int


def measure(folder: Path, cameras: int, minutes: float) -> str:
    """Runs the churn.

    Returns:
        What is said of it, in Markdown.
    """
    with serve(folder, workers=1, keep_pictures=cameras) as server:
        return asyncio.run(_measure(server, cameras, minutes))


async def _measure(server: Server, cameras: int, minutes: float) -> str:
    looks: list[Look] = []
    process = psutil.Process(server.process.pid)
    answered: list[int] = []
    plan = Plan(cameras, groups=GROUPS, connect_rate=1000, churn=CHURN)
    async with connected(server, plan) as fleet:
        began = time.monotonic()
        snap_at = began + SNAP_S
        while (now := time.monotonic()) < began + 60 * minutes:
            with process.oneshot():
                rss_mb, files = process.memory_info().rss / 1e6, process.num_fds()
            looks.append(Look((now - began) / 60, rss_mb, files))
            if now >= snap_at:
                snap_at = now + SNAP_S
                receipt = await asyncio.to_thread(snap, server, "uploaded", 10, f"@{GROUPS[0]}")
                answered.append(receipt["answered"])
            await asyncio.sleep(LOOK_S)
        found = fleet.summary()
    warm = [look for look in looks if look.minute >= WARM_SHARE * minutes]
    slope, error = _slope(warm)
    flat = slope - 2 * error <= MOST_MB_PER_MINUTE
    return "\n".join(
        (
            f"{cameras:,} cameras for {minutes:g} minutes, {found.cut:,} of their connections cut, "
            f"{found.connections - cameras:,} came back; {found.broken} broke otherwise.",
            "",
            f"- RSS from minute {warm[0].minute:.0f} on: {warm[0].rss_mb:.1f} MB at its begin, "
            f"{warm[-1].rss_mb:.1f} MB at its end, {slope:+.3f} ± {error:.3f} MB a minute: "
            f"{'flat' if flat else '**it grows**'} (at most {MOST_MB_PER_MINUTE} MB a minute, "
            "which is less than what one session takes for each that comes back).",
            f"- Open files: {warm[0].files} at its begin, {warm[-1].files} at its end.",
            f"- {len(answered)} snaps to a group of {cameras // len(GROUPS)}, one every {SNAP_S:g} "
            f"s: {min(answered, default=0)} to {max(answered, default=0)} of those that were there "
            "answered.",
            f"- From a connection's begin to its welcome: {found.welcome_ms.p50:.0f} ms p50, "
            f"{found.welcome_ms.p99:.0f} ms p99.",
        )
    )


def _slope(looks: list[Look]) -> tuple[float, float]:
    """The slope of memory over time, MB a minute, and its standard error."""
    minutes, rss = [look.minute for look in looks], [look.rss_mb for look in looks]
    slope, base = linear_regression(minutes, rss)
    left = sum((y - base - slope * x) ** 2 for x, y in zip(minutes, rss, strict=True))
    spread = sum((x - mean(minutes)) ** 2 for x in minutes)
    return slope, (left / (len(looks) - 2) / spread) ** 0.5


def main() -> None:
    """Measures, prints and writes."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--minutes", type=float, default=MINUTES)
    parser.add_argument("--cameras", type=int, default=CAMERAS)
    told = parser.parse_args()
    busy = machine.busy_percent()
    print(f"{told.minutes:g} minutes of churn …", file=sys.stderr)
    with scratch() as folder:
        said = measure(folder, told.cameras, told.minutes)
    text = "\n".join(
        (
            f"Measured on {datetime.now(UTC):%Y-%m-%d}, when it began while other programs kept "
            f"the machine {busy:.0f} % busy.",
            "",
            machine.describe(),
            "",
            said,
        )
    )
    print(text)
    replace_section("churn", text)


if __name__ == "__main__":
    main()

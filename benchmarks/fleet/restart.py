"""A server is killed and started again under 2,000 cameras: when they are back, and how."""

from __future__ import annotations

import asyncio
import signal
import time
from contextlib import ExitStack
from pathlib import Path

from benchmarks.fleet.fleets import Line, all_connected, connected
from benchmarks.fleet.hubs import cpu_s
from benchmarks.programs import OURS, Server, free_port, own_account, running, wait_for_answer
from objectclassification.client.simulation.plan import Plan

CAMERAS = 2000
DOWN_S = 1.0
MOST_S = 10.0
STEP_S = 0.5
TIMEOUT_S = 60.0


def measure(folder: Path, cameras: int = CAMERAS) -> tuple[list[Line], str]:
    """Kills (SIGKILL) and stops (SIGTERM) the server, and starts it again.

    Returns:
        What was found, and how many came back in each half second.
    """
    port, data = free_port(), folder / "data"
    return asyncio.run(_measure(folder, port, data, cameras))


async def _measure(folder: Path, port: int, data: Path, cameras: int) -> tuple[list[Line], str]:
    command = (*OURS, "serve", "--port", str(port), "--data", str(data), "--log-level", "error")
    lines: list[Line] = []
    spreads: list[str] = []
    ready: list[float] = []
    with ExitStack() as stack:

        def start() -> Server:
            program = stack.enter_context(running(command, env=own_account(folder)))
            wait_for_answer(f"http://127.0.0.1:{port}/readyz", program)
            ready.append(time.monotonic())
            return Server(f"http://127.0.0.1:{port}", token(), program)

        def token() -> str:
            return (data / "admin-token").read_text().strip()

        server = start()
        async with connected(server, Plan(cameras, connect_rate=2000)) as fleet:
            for what, number in (("killed", signal.SIGKILL), ("stopped", signal.SIGTERM)):
                server.process.send_signal(number)
                gone = time.monotonic()
                await asyncio.to_thread(server.process.wait)
                await asyncio.sleep(DOWN_S)
                before = fleet.tally.connections
                starting = asyncio.create_task(asyncio.to_thread(start))
                came: list[int] = []
                while fleet.tally.connections - before < cameras:
                    await asyncio.sleep(STEP_S)
                    came.append(fleet.tally.connections - before)
                    if len(came) * STEP_S > TIMEOUT_S:
                        break
                back_at = time.monotonic()
                server = await starting
                back_s = back_at - ready[-1]
                each = [now - last for last, now in zip([0, *came], came, strict=False)]
                lines.append(
                    Line(
                        f"{cameras:,} cameras back after the server was {what} and started again "
                        f"{DOWN_S:g} s after it was gone",
                        f"{back_s:.1f} s after it was ready again ({back_at - gone:.1f} s after it "
                        f"was {what}); at most {max(each)} in half a second",
                        f"{MOST_S:g} s",
                        back_s <= MOST_S,
                    )
                )
                lines.append(
                    Line(
                        "the new server's processor time so far",
                        f"{cpu_s(server.process.pid):.1f} s",
                    )
                )
                spreads.append(f"- {what}: {', '.join(map(str, each))}")
                await all_connected(fleet, TIMEOUT_S)
    return lines, "\n".join(spreads)

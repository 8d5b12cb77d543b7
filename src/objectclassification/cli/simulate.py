"""``objectclassification simulate``: a fleet of cameras in one process."""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from objectclassification.cli.options import AsJson, Ca, TokenFile
from objectclassification.errors import EXIT_FAILED

if TYPE_CHECKING:
    from objectclassification.client.simulation.fleet import Fleet
    from objectclassification.client.simulation.tally import Spread, Summary

PROGRESS_S = 0.5
_MOST_CAMERAS = 60_000  # the plan's; imported only when the command runs


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command()(simulate)


def simulate(
    url: Annotated[
        str | None,
        typer.Argument(
            metavar="URL", help="The server's address; by default the one that login stored."
        ),
    ] = None,
    cameras: Annotated[
        int, typer.Option(metavar="N", min=1, max=_MOST_CAMERAS, help="How many cameras.")
    ] = 100,
    prefix: Annotated[
        str, typer.Option(metavar="TEXT", help="What their names begin with.")
    ] = "sim-",
    group: Annotated[
        list[str] | None,
        typer.Option(metavar="GROUP", help="Their groups, dealt out in turn; more than once."),
    ] = None,
    image: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="The picture that all take; by default one of ours."),
    ] = None,
    connect_rate: Annotated[
        float,
        typer.Option(metavar="N", min=0.1, max=100_000, help="New connections a second."),
    ] = 500.0,
    latency: Annotated[
        float,
        typer.Option(
            metavar="MS",
            min=0,
            max=600_000,
            help="How late answers and PUTs are, ± half.",
        ),
    ] = 0.0,
    loss: Annotated[
        float,
        typer.Option(
            metavar="PERCENT",
            min=0,
            max=100,
            help="Shots, and PUTs, that get lost.",
        ),
    ] = 0.0,
    churn: Annotated[
        float,
        typer.Option(
            metavar="PERCENT",
            min=0,
            max=6000,
            help="Cameras cut off each minute.",
        ),
    ] = 0.0,
    slow_readers: Annotated[
        int,
        typer.Option(metavar="N", min=0, help="Cameras that look at their connection every 10 s."),
    ] = 0,
    duration: Annotated[
        float | None,
        typer.Option(metavar="S", min=0.1, help="How long; by default until Ctrl-C."),
    ] = None,
    token_file: TokenFile = None,
    ca: Ca = None,
    json: AsJson = False,
) -> None:
    """Simulate a fleet of cameras, in one process.

    Each answers every snap with the same picture, over a WebSocket of its own.

    Use a server of its own: each name becomes a camera there, with a snippet, and its pictures are
    kept like any other. It takes an admin's token, or one that was made for these names.
    Exits with 1 if a camera was never welcomed, or a picture was refused for good.
    """
    from objectclassification.client.simulation.fleet import Fleet
    from objectclassification.client.simulation.picture import prepare
    from objectclassification.client.simulation.plan import Plan, raise_file_limit
    from objectclassification.config import find_connection

    plan = Plan(
        cameras=cameras,
        prefix=prefix,
        groups=tuple(group or ()),
        connect_rate=connect_rate,
        latency_s=latency / 1000,
        loss=loss / 100,
        churn=churn / 100,
        slow_readers=slow_readers,
    )
    plan.check()
    raise_file_limit(cameras)
    fleet = Fleet(find_connection(url, token_file, ca), plan, prepare(image), _tell)
    asyncio.run(_run(fleet, duration))
    summary = fleet.summary()
    if json:
        import msgspec

        print(msgspec.json.encode(summary).decode())
    else:
        _print(summary)
    if summary.welcomed < cameras:
        _tell(f"error: {cameras - summary.welcomed} of {cameras} cameras were never welcomed")
    if summary.welcomed < cameras or summary.failed_puts:
        raise typer.Exit(EXIT_FAILED)


async def _run(fleet: Fleet, duration_s: float | None) -> None:
    loop, stop = asyncio.get_running_loop(), asyncio.Event()

    def on_signal() -> None:
        stop.set()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)  # the second one ends it at once

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal)
    if duration_s is not None:
        loop.call_later(duration_s, stop.set)
    showing = asyncio.create_task(_show(fleet))
    try:
        await fleet.run(stop)
    finally:
        showing.cancel()
        await asyncio.gather(showing, return_exceptions=True)


async def _show(fleet: Fleet) -> None:
    """A line that follows on a terminal; elsewhere nothing."""
    from rich.console import Console

    console = Console(stderr=True, highlight=False)
    if not console.is_terminal:
        return
    with console.status("connecting") as status:
        while True:
            await asyncio.sleep(PROGRESS_S)
            now = fleet.tally
            status.update(
                f"{now.connected} of {fleet.plan.cameras} connected, {now.snaps} snaps, "
                f"{now.shots} shots, {now.puts} PUTs, {now.waiting_puts} waiting (Ctrl-C ends it)"
            )


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _print(found: Summary) -> None:
    from objectclassification.cli.tables import Rows, new_console

    rows = (
        ("cameras connected", f"{found.connected} of {found.cameras}", None),
        ("connections welcomed", found.connections, found.welcome_ms),
        ("connections cut on purpose", found.cut, None),
        ("connections broken otherwise", found.broken, None),
        ("snaps heard", found.snaps, None),
        ("orders of snaps, after the first of each", found.orders, found.order_ms),
        ("shots answered", found.shots, None),
        ("shots lost on purpose", found.lost_shots, None),
        ("PUTs stored", found.puts, found.put_ms),
        ("PUTs that had to come again", found.puts_again, None),
        ("the most times one of them had to", found.most_again, None),
        ("PUTs lost on purpose", found.lost_puts, None),
        ("PUTs refused for good", found.failed_puts, None),
        ("PUTs still waiting", found.waiting_puts, None),
        ("held back here, of all PUTs", None, found.held_ms),
    )
    console = new_console()
    columns = ("what", "how many", "p50, ms", "p99, ms", "longest, ms")
    cells = [(what, _text(number), *_cells(spread)) for what, number, spread in rows]
    console.print(Rows(columns, cells, right=columns[1:]))
    for text, times in found.errors.items():
        console.print(f"{times} times: {text}", markup=False)


def _text(number: object) -> str | None:
    return None if number is None else str(number)


def _cells(spread: Spread | None) -> tuple[str | None, ...]:
    if spread is None or spread.p50 is None:
        return (None, None, None)
    return tuple(f"{ms:.1f}" for ms in (spread.p50, spread.p99, spread.longest) if ms is not None)

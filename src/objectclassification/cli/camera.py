"""``objectclassification camera``: serve cameras to a hub."""

from __future__ import annotations

import asyncio
import math
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from objectclassification.cli import shot as how
from objectclassification.cli.options import Ca, TokenFile

if TYPE_CHECKING:
    from collections.abc import Sequence

    from objectclassification.client.log_ring import LogRing
    from objectclassification.config import Connection
    from objectclassification.config.cameras import CameraSettings


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command()(camera)


def camera(
    url: Annotated[
        str | None,
        typer.Argument(
            metavar="URL", help="The server's address; by default the one that login stored."
        ),
    ] = None,
    name: Annotated[
        str | None, typer.Option(metavar="NAME", help="What the hub knows the camera by.")
    ] = None,
    source: Annotated[
        str | None,
        typer.Option(
            metavar="SOURCE",
            help="Index, device, rtsp://, http://, exec:COMMAND, file or folder; by default 0.",
        ),
    ] = None,
    group: Annotated[
        list[str] | None,
        typer.Option(metavar="GROUP", help="Answers to @GROUP; may be given more than once."),
    ] = None,
    path: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Where each picture is saved, .jpg, .png or .webp; by default opencv_frame_0.jpg.",
        ),
    ] = None,
    size: Annotated[
        str | None,
        typer.Option(metavar="WxH", help="The picture's size; by default 1280x720 of a device."),
    ] = None,
    rotate: Annotated[
        int | None, typer.Option(metavar="0|90|180|270", help="Degrees clockwise; by default 0.")
    ] = None,
    warmup: Annotated[
        str | None,
        typer.Option(
            metavar="S|auto", help="Seconds to warm up after opening; by default 2 for a device."
        ),
    ] = None,
    latency_ms: Annotated[
        float | None,
        typer.Option(metavar="MS", help="From exposure to arrival; by default 100 for a stream."),
    ] = None,
    keep_warm: Annotated[
        float | None,
        typer.Option(metavar="S", help="Seconds to stay open after a picture; by default 300."),
    ] = None,
    warm: Annotated[bool, typer.Option("--warm", help="Stay open always.")] = False,
    cold: Annotated[bool, typer.Option("--cold", help="Close after each picture.")] = False,
    check: how.CheckOption = None,
    config: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="cameras.toml: several cameras, instead of --name and the others."
        ),
    ] = None,
    spool: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER", help="Where pictures wait for their upload; by default your own."
        ),
    ] = None,
    spool_max: Annotated[
        int, typer.Option(metavar="MiB", min=1, help="The most that they may take there.")
    ] = 1024,
    once: Annotated[
        bool, typer.Option("--once", help="Take and deliver what is due, or one picture; exit.")
    ] = False,
    next_in: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            help="With --once: when it runs again, as 1h; the server expects it then.",
        ),
    ] = None,
    token_file: TokenFile = None,
    ca: Ca = None,
    log_level: Annotated[
        str | None,
        typer.Option(
            metavar="LEVEL",
            help="debug, info, warning or error; else info, or warning on a terminal.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Serve a camera: take a picture for each snap, and upload it."""
    from objectclassification.cli import logs
    from objectclassification.client.log_ring import LogRing
    from objectclassification.config import find_connection, spool_folder
    from objectclassification.config.cameras import load_cameras, one_camera

    ring = LogRing()
    logs.configure(log_level or ("warning" if sys.stderr.isatty() else "info"), ring=ring)
    told: dict[str, Any] = {
        "name": name,
        "source": source,
        "groups": tuple(group) if group else None,
        "path": path,
        "size": size,
        "rotate": rotate,
        "warmup": warmup,
        "latency_ms": latency_ms,
        "keep_warm_s": _keep_warm_s(keep_warm, warm=warm, cold=cold),
        "check": check,
    }
    cameras: Sequence[CameraSettings]
    if config is not None:
        given = [option for option, value in told.items() if value is not None]
        if given:
            raise typer.BadParameter(f"--config says it all: leave out {', '.join(given)}")
        cameras, own = load_cameras(config), config.name
    elif name is None:
        raise typer.BadParameter("give the camera a --name, or several in --config cameras.toml")
    else:
        cameras, own = (one_camera(**told),), name
    connection = find_connection(url, token_file, ca)
    folder, most_bytes = spool or spool_folder() / own, spool_max * 2**20
    next_in_s = _next_in_s(next_in, once=once)
    asyncio.run(
        _serve(connection, cameras, folder, most_bytes, ring, once=once, next_in_s=next_in_s)
    )


def _keep_warm_s(seconds: float | None, *, warm: bool, cold: bool) -> float | None:
    if (seconds is not None) + warm + cold > 1:
        raise typer.BadParameter("--keep-warm, --warm and --cold exclude each other")
    if warm:
        return math.inf
    return 0.0 if cold else seconds


def _next_in_s(text: str | None, *, once: bool) -> float | None:
    from objectclassification.cli.durations import seconds
    from objectclassification.messages import MAX_SLEEP_S

    if text is None:
        return None
    if not once:
        raise typer.BadParameter("--next-in says when the next --once is: give both")
    return seconds("--next-in", text, least=1, most=MAX_SLEEP_S)


async def _serve(
    connection: Connection,
    cameras: Sequence[CameraSettings],
    spool: Path,
    spool_max_bytes: int,
    ring: LogRing,
    *,
    once: bool,
    next_in_s: float | None,
) -> None:
    from objectclassification.cli.supervised import new_notifier
    from objectclassification.client.camera import serve_cameras

    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    notifier = new_notifier()

    def tell(line: str) -> None:
        print(line, flush=True)
        ring.add(line)
        notifier.status(line)

    def tell_trouble(line: str) -> None:
        print(line, file=sys.stderr, flush=True)
        ring.add(line)

    def on_signal() -> None:
        notifier.stopping()
        stop.set()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)  # the second one ends it at once

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal)
    # Ready without the hub, which may come up later than its cameras.
    notifier.ready(f"connecting to {connection.url}")
    await serve_cameras(
        connection,
        cameras,
        spool,
        tell,
        stop=stop,
        once=once,
        next_in_s=next_in_s,
        spool_max_bytes=spool_max_bytes,
        log=ring.lines,
        tell_trouble=tell_trouble if sys.stderr.isatty() else None,
    )

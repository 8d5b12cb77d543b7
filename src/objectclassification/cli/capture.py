"""``objectclassification capture``: one picture, saved, and uploaded if asked."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, cast

import typer

from objectclassification.cli import options, shot

if TYPE_CHECKING:
    from objectclassification.capture.taken import Taken


class Rotate(StrEnum):
    """Degrees clockwise."""

    NONE = "0"
    RIGHT = "90"
    OVER = "180"
    LEFT = "270"


def parse_size(text: str) -> tuple[int, int]:
    """Reads ``WIDTHxHEIGHT``."""
    match = re.fullmatch(r"([1-9]\d{0,4})[xX]([1-9]\d{0,4})", text)
    if match is None:
        raise typer.BadParameter(f"{text!r} is not like 1280x720")
    return int(match[1]), int(match[2])


def parse_warmup(text: str) -> float | Literal["auto"]:
    """Reads seconds, or ``auto``."""
    if text == "auto":
        return "auto"
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= 60:
        raise typer.BadParameter(f"{text!r} is neither 'auto' nor seconds from 0 to 60")
    return seconds


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command()(capture)


def capture(
    url: Annotated[
        str | None,
        typer.Argument(
            metavar="URL", help="Server for --upload; by default the one that login stored."
        ),
    ] = None,
    source: Annotated[
        str,
        typer.Option(
            metavar="SOURCE",
            help="Index, device, rtsp://, http://, exec:COMMAND, file or folder.",
        ),
    ] = "0",
    path: Annotated[
        Path, typer.Option(metavar="FILE", help="Where to save it: .png, .jpg or .webp.")
    ] = Path("opencv_frame_0.png"),
    upload: Annotated[bool, typer.Option("--upload", help="PUT the picture to the API.")] = False,
    snippet: Annotated[int, typer.Option(metavar="N", min=1, help="The slot to PUT it to.")] = 1,
    size: Annotated[
        str | None,
        typer.Option(metavar="WxH", help="The picture's size; by default 1280x720 of a device."),
    ] = None,
    rotate: Annotated[Rotate, typer.Option(help="Degrees clockwise.")] = Rotate.NONE,
    warmup: Annotated[
        str | None,
        typer.Option(
            metavar="S|auto", help="Seconds to warm up after opening; by default 2 for a device."
        ),
    ] = None,
    latency_ms: Annotated[
        float | None,
        typer.Option(
            metavar="MS", min=0, help="From exposure to arrival; by default 100 for a stream."
        ),
    ] = None,
    burst: shot.Burst = None,
    keep: shot.Keep = None,
    quality: shot.Quality = None,
    exposure_ms: shot.ExposureMs = None,
    focus: shot.Focus = None,
    check: shot.CheckOption = None,
    timeout: Annotated[
        float, typer.Option(metavar="S", min=0.1, help="Seconds it may take.")
    ] = 15.0,
    token_file: options.TokenFile = None,
    ca: options.Ca = None,
    as_json: options.AsJson = False,
) -> None:
    """Take one picture, save it, and upload it if asked."""
    if url and not upload:
        raise typer.BadParameter("a server is given without --upload")
    wanted = shot.checked(
        shot.options_of(
            burst=burst,
            keep=keep,
            quality=quality,
            exposure_ms=exposure_ms,
            focus=focus,
            check=check,
        )
    )
    from objectclassification.capture.capture import Capture
    from objectclassification.cli import logs
    from objectclassification.config import find_connection
    from objectclassification.shot_options import ShotOptions
    from objectclassification.trust import Trust

    logs.configure("error")  # a failure is told in one line, at the end
    # Before the picture: a wrong address should not cost a shutter.
    connection = find_connection(url, token_file, ca) if upload else None
    if connection is not None:
        Trust(connection.url, connection.ca, pins=True).settle()
    with Capture(
        source,
        path,
        size=parse_size(size) if size else None,
        rotate=cast("Literal[0, 90, 180, 270]", int(rotate.value)),
        warmup=parse_warmup(warmup) if warmup else None,
        keep_warm_s=0,
        latency_ms=latency_ms,
    ) as camera:
        taken, *others = camera.shoot(ShotOptions(**wanted), timeout_s=timeout)
        answer: dict[str, Any] | None = None
        if not as_json:
            typer.echo(_describe(taken, others))
        if connection:
            answer = camera.upload(
                connection.url, snippet, token=connection.token, ca=connection.ca
            )
    if as_json:
        told = _as_json(taken) | ({"picture": answer} if answer else {})
        told |= {"others": [_as_json(other) for other in others]} if others else {}
        typer.echo(json.dumps(told))
    elif answer and connection:
        typer.echo(f"uploaded to {connection.url}/snippets/{snippet}/ as {answer.get('id')}")


def _describe(taken: Taken, others: Sequence[Taken]) -> str:
    line = (
        f"saved {taken.path} ({taken.width}x{taken.height}, {len(taken.data) / 1000:.0f} kB, "
        f"{taken.freshness}) after {sum(taken.camera_ms.values()):.0f} ms"
    )
    more = [f"and {other.path}" for other in others]
    return "\n".join([line, *more, *(f"note: {warning}" for warning in taken.warnings)])


def _as_json(taken: Taken) -> dict[str, Any]:
    return {
        "path": str(taken.path),
        "media_type": taken.media_type,
        "width": taken.width,
        "height": taken.height,
        "size_bytes": len(taken.data),
        "sha256": taken.sha256,
        "freshness": taken.freshness,
        "captured_at": taken.captured_at.isoformat(),
        "clock": taken.clock,
        "uncertainty_ms": taken.uncertainty_ms,
        "camera_ms": taken.camera_ms,
        "warnings": list(taken.warnings),
    }

"""``objectclassification devices``: which cameras this machine has."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

import typer

from objectclassification.cli import options

if TYPE_CHECKING:
    from objectclassification.capture.devices import Device

_NOTHING = """\
No camera found on this machine.
  USB camera            plug it in, then run this again; it appears as /dev/video0
  Raspberry Pi module   install rpicam-apps, check the ribbon cable, then run this again
  network camera        needs no entry here: --source rtsp://USER:PASSWORD@HOST/PATH
  no camera at all      any picture or video will do: --source photo.jpg"""


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command()(devices)


def devices(as_json: options.AsJson = False) -> None:
    """List this machine's cameras, with the --source of each."""
    from objectclassification.capture.devices import list_devices
    from objectclassification.cli import logs

    logs.configure("warning")
    found = list_devices()
    if as_json:
        typer.echo(json.dumps([asdict(device) for device in found]))
    elif not found:
        typer.echo(_NOTHING)
    for device in [] if as_json else found:
        typer.echo(_describe(device))


def _describe(device: Device) -> str:
    number = "" if device.index is None else f"{device.index}: "
    lines = [f"{number}{device.name} ({device.backend})", f"   --source '{device.source}'"]
    if device.problem:
        lines.append(f"   {device.problem}")
    lines += [f"   {mode}" for mode in device.modes]
    return "\n".join(lines)

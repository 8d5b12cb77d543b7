"""Lists this machine's cameras: what OpenCV reads, and Raspberry Pi camera modules."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import structlog
from cv2_enumerate_cameras import enumerate_cameras

from objectclassification.capture.opencv import cv2

RPICAM_LISTERS = ("rpicam-hello", "libcamera-hello")
"""The program was renamed in 2024; older systems have the second name."""
LIST_S = 10.0
_CAMERA = re.compile(r"^\s*(\d+)\s*:\s*(\S+)\s+\[(\d+x\d+)[^\]]*\]\s+\((.+)\)\s*$")
_FORMAT = re.compile(r"'(\w+)'\s*:")
_MODE = re.compile(r"(\d+x\d+)(?:\s+\[([\d.]+) fps[^\]]*\])?")

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Device:
    """A camera of this machine.

    Attributes:
        source: what to give as ``--source``; it survives a restart and other cameras.
        index: its number on this machine today; None where it has none for OpenCV.
        name: what its maker calls it.
        backend: what reads it.
        modes: format, size and rate, as far as the driver tells.
        problem: why it cannot be used now; empty if it can.
    """

    source: str
    index: int | None
    name: str
    backend: str
    modes: tuple[str, ...] = ()
    problem: str = ""


def list_devices() -> list[Device]:
    """Lists the cameras of this machine, OpenCV's first."""
    return [*_opencv_devices(), *_raspberry_pi_modules()]


def _opencv_devices() -> Iterator[Device]:
    backend = cv2.CAP_V4L2 if sys.platform == "linux" else cv2.CAP_ANY
    stable = _stable_names()
    for info in sorted(enumerate_cameras(backend), key=lambda camera: camera.index):
        path = info.path or ""
        device = Device(
            source=stable.get(path, str(info.index)),
            index=info.index,
            name=info.name or path,
            backend=cv2.videoio_registry.getBackendName(info.backend),
        )
        yield _with_modes(device, Path(path)) if sys.platform == "linux" else device


def _with_modes(device: Device, path: Path) -> Device:
    from objectclassification.capture.v4l2 import modes_of

    try:
        return replace(device, modes=tuple(modes_of(path)))
    except PermissionError:
        return replace(device, problem="no permission: put this user into the group 'video'")
    except OSError as exc:
        return replace(device, problem=f"cannot be opened: {exc.strerror}")


def _stable_names(folder: Path = Path("/dev/v4l")) -> dict[str, str]:
    """Maps ``/dev/video0`` to a name that lasts: the camera's own, or else that of its port.

    Two cameras of one maker without serial numbers share a name of their own, which only one has.
    """
    names: dict[str, str] = {}
    for kind in ("by-path", "by-id"):
        links = sorted((folder / kind).glob("*"), reverse=True)
        names |= {str(link.resolve()): str(link) for link in links}
    return names


def _raspberry_pi_modules() -> Iterator[Device]:
    program = next(filter(None, map(shutil.which, RPICAM_LISTERS)), None)
    if program is None:
        return
    try:
        printed = subprocess.run(  # noqa: S603 - found by its fixed name, with fixed arguments
            [program, "--list-cameras"],
            capture_output=True,
            text=True,
            timeout=LIST_S,
            check=False,
        ).stdout
    except (OSError, subprocess.TimeoutExpired) as exc:
        _log.warning("list_cameras_failed", program=program, error=str(exc))
        return
    yield from parse_rpicam(printed)


def parse_rpicam(printed: str) -> list[Device]:
    """Reads what ``rpicam-hello --list-cameras`` prints, with or without rates behind the sizes."""
    devices: list[Device] = []
    pixel_format = ""
    for line in printed.splitlines():
        if (camera := _CAMERA.match(line)) is not None:
            number, sensor, size, _ = camera.groups()
            devices.append(
                Device(
                    source=f"exec:rpicam-jpeg --camera {number} --nopreview --timeout 1000 -o -",
                    index=None,
                    name=f"{sensor} {size}",
                    backend="rpicam",
                )
            )
        elif devices:
            if (found := _FORMAT.search(line)) is not None:
                pixel_format = found[1]
                line = line[found.end() :]
            elif not line.startswith(" "):
                continue
            modes = tuple(
                f"{pixel_format} {size}" + (f" {rate} fps" if rate else "")
                for size, rate in _MODE.findall(line)
            )
            devices[-1] = replace(devices[-1], modes=devices[-1].modes + modes)
    return devices

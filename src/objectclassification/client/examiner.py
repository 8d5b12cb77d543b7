"""Looks at the camera program and its machine, when the hub asks how a camera is."""

from __future__ import annotations

import platform
import shutil
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import msgspec

from objectclassification import __version__
from objectclassification.capture import Spool
from objectclassification.capture.clock import wall_clock
from objectclassification.client.shooter import Shooter
from objectclassification.condition import Condition, ProgramCondition, SpoolCondition
from objectclassification.messages import MAX_MESSAGE_BYTES, Inspect, Report, encode

_OPENCV = ("opencv-python-headless", "opencv-python", "opencv-contrib-python-headless")
_ZONES = Path("/sys/class/thermal")


class Examiner:
    """Answers ``inspect``.

    Args:
        shooters: the cameras by name.
        spool: of the program.
        spool_folder: where that is.
        refused: folder of the pictures that the API will not take.
        log: gives the last lines of the log, the oldest first.
    """

    def __init__(
        self,
        shooters: Mapping[str, Shooter],
        spool: Spool,
        spool_folder: Path,
        refused: Path,
        log: Callable[[], Sequence[str]],
    ) -> None:
        self._shooters = shooters
        self._spool = spool
        self._folder = spool_folder
        self._refused = refused
        self._log = log
        self._began = time.monotonic()

    def report(self, inspect: Inspect, received_at: float) -> Report:
        """Looks around; blocks on a disk that hangs.

        Args:
            inspect: which of our cameras.
            received_at: seconds since the epoch, by this machine's clock.

        Raises:
            KeyError: the camera is none of ours.
            OSError: the spool's disk cannot be asked.
        """
        condition = Condition(
            program=self._program(),
            source=self._shooters[inspect.camera].condition(),
            spool=self._spool_condition(),
            clock=wall_clock()[0],
            temperature_c=temperature_c(_ZONES),
            log=tuple(self._log()),
        )
        report = Report(inspect.id, received_at, time.time(), condition)
        while len(encode(report)) > MAX_MESSAGE_BYTES:  # one line is far shorter than a message
            condition = msgspec.structs.replace(condition, log=condition.log[1:])
            report = msgspec.structs.replace(report, condition=condition)
        return report

    def _program(self) -> ProgramCondition:
        return ProgramCondition(
            version=__version__,
            python=platform.python_version(),
            opencv=_opencv_version(),
            system=_system()[:256],
            up_s=round(time.monotonic() - self._began, 1),
        )

    def _spool_condition(self) -> SpoolCondition:
        return SpoolCondition(
            pictures=len(self._spool),
            size_bytes=self._spool.size_bytes,
            max_bytes=self._spool.max_bytes,
            free_bytes=shutil.disk_usage(self._folder).free,
            dropped=self._spool.dropped,
            refused=sum(1 for _ in self._refused.glob("*.json")),
        )


def temperature_c(zones: Path) -> float | None:
    """Returns the temperature of the hottest thermal zone in °C; None where there is none.

    Args:
        zones: ``/sys/class/thermal``; a zone's ``temp`` is in thousandths (kernel, sysfs-api).
    """
    found = []
    for file in zones.glob("thermal_zone*/temp"):
        try:
            found.append(int(file.read_text()) / 1000)
        except (OSError, ValueError):  # a sensor that is off says so in this way
            continue
    return max(found, default=None)


def _opencv_version() -> str:
    loaded = getattr(sys.modules.get("cv2"), "__version__", None)
    if loaded is not None:
        return str(loaded)
    for name in _OPENCV:
        try:
            return version(name)
        except PackageNotFoundError:
            continue
    return ""


def _system() -> str:
    kernel = f"{platform.system()} {platform.release()} {platform.machine()}"
    try:
        return f"{platform.freedesktop_os_release()['PRETTY_NAME']}, {kernel}"
    except (OSError, KeyError):
        return kernel

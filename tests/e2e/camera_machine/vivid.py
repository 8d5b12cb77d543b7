"""What the camera that the kernel plays (`vivid`) shows and how it fails, by its own controls.

Names, structures and request codes are those of ``linux/videodev2.h`` and of the driver.
"""

from __future__ import annotations

import fcntl
import os
import struct
from pathlib import Path

DEVICE = Path("/dev/video0")
DRIVER = Path("/sys/bus/platform/drivers/vivid")
PATTERNS = {"bars": 0, "black": 5, "red": 7, "green": 8, "blue": 9}
"""Of the control "Test Pattern"; but for the bars, the whole picture has this colour."""
STAMPED_AT = {"end": 0, "start": 1}
"""Of the control "Timestamp Source": where in a frame's time its stamp is taken."""

NO_TEXT = 2
"""Of the control "OSD Text Mode", which writes the time into each picture."""

_VIDIOC_QUERYCTRL = 0xC0445624
_VIDIOC_S_CTRL = 0xC008561C
_QUERYCTRL = struct.Struct("=II32s28x")  # id, type, name
_CONTROL = struct.Struct("=Ii")  # id, value
_NEXT = 0x80000000


def tell(name: str, value: int) -> None:
    """Sets one of the driver's controls, which works while another program takes pictures."""
    device = os.open(DEVICE, os.O_RDWR)
    try:
        fcntl.ioctl(device, _VIDIOC_S_CTRL, _CONTROL.pack(_control(device, name), value))
    finally:
        os.close(device)


def _control(device: int, name: str) -> int:
    number = 0
    while True:  # past the last one the driver answers EINVAL
        answer = fcntl.ioctl(device, _VIDIOC_QUERYCTRL, _QUERYCTRL.pack(number | _NEXT, 0, b""))
        number, _, found = _QUERYCTRL.unpack(answer)
        if found.rstrip(b"\0").decode() == name:
            return int(number)


def show(colour: str) -> None:
    """Shows nothing but a colour, or bars of colours, from the next frame on."""
    tell("OSD Text Mode", NO_TEXT)
    tell("Test Pattern", PATTERNS[colour])


def unplug() -> None:
    """Takes the camera away, whoever uses it."""
    (DRIVER / "unbind").write_text("vivid.0")


def plug_in() -> None:
    """Brings it back."""
    (DRIVER / "bind").write_text("vivid.0")

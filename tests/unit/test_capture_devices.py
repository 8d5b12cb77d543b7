"""Lists of cameras: what rpicam-hello prints, what V4L2 drivers answer, what the command says."""

from __future__ import annotations

import errno
import struct
from pathlib import Path

import pytest

from objectclassification.capture.devices import _stable_names, parse_rpicam
from objectclassification.capture.v4l2 import list_modes

# As printed in Raspberry Pi's documentation, before and after rates were added in 2022.
WITH_RATES = """\
Available cameras
-----------------
0 : imx219 [3280x2464] (/base/soc/i2c0mux/i2c@1/imx219@10)
    Modes: 'SRGGB10_CSI2P' : 640x480 [206.65 fps - (1000, 752)/1280x960 crop]
                             1640x1232 [41.85 fps - (0, 0)/3280x2464 crop]
                             1920x1080 [47.57 fps - (680, 692)/1920x1080 crop]
                             3280x2464 [21.19 fps - (0, 0)/3280x2464 crop]
           'SRGGB8' : 640x480 [206.65 fps - (1000, 752)/1280x960 crop]
                      1640x1232 [41.85 fps - (0, 0)/3280x2464 crop]
                      1920x1080 [47.57 fps - (680, 692)/1920x1080 crop]
                      3280x2464 [21.19 fps - (0, 0)/3280x2464 crop]
1 : imx477 [4056x3040] (/base/soc/i2c0mux/i2c@1/imx477@1a)
    Modes: 'SRGGB10_CSI2P' : 1332x990 [120.05 fps - (696, 528)/2664x1980 crop]
           'SRGGB12_CSI2P' : 2028x1080 [50.03 fps - (0, 440)/4056x2160 crop]
                             2028x1520 [40.01 fps - (0, 0)/4056x3040 crop]
                             4056x3040 [10.00 fps - (0, 0)/4056x3040 crop]
"""
WITHOUT_RATES = """\
Available cameras
-----------------
0 : imx219 [3280x2464] (/base/soc/i2c0mux/i2c@1/pca@70/i2c@0/imx219@10)
    Modes: 'SRGGB10_CSI2P' : 640x480 1640x1232 1920x1080 3280x2464
           'SRGGB8' : 640x480 1640x1232 1920x1080 3280x2464
"""
# As printed by newer programs, which name depth and order of the sensor.
WITH_DEPTH = """\
Available cameras
-----------------
0 : imx708 [4608x2592 10-bit RGGB] (/base/axi/pcie@120000/rp1/i2c@88000/imx708@1a)
    Modes: 'SRGGB10_CSI2P' : 1536x864 [120.13 fps - (768, 432)/3072x1728 crop]
                             2304x1296 [56.03 fps - (0, 0)/4608x2592 crop]
                             4608x2592 [14.35 fps - (0, 0)/4608x2592 crop]

"""


def test_rpicam_with_rates() -> None:
    first, second = parse_rpicam(WITH_RATES)
    assert (first.name, first.index, first.backend) == ("imx219 3280x2464", None, "rpicam")
    assert first.modes[:2] == (
        "SRGGB10_CSI2P 640x480 206.65 fps",
        "SRGGB10_CSI2P 1640x1232 41.85 fps",
    )
    assert first.modes[4] == "SRGGB8 640x480 206.65 fps"
    assert (len(first.modes), len(second.modes)) == (8, 4)
    assert second.modes[-1] == "SRGGB12_CSI2P 4056x3040 10.00 fps"
    assert second.source.startswith("exec:rpicam-jpeg --camera 1 ")


def test_rpicam_without_rates() -> None:
    (camera,) = parse_rpicam(WITHOUT_RATES)
    assert camera.modes == tuple(
        f"{pixels} {size}"
        for pixels in ("SRGGB10_CSI2P", "SRGGB8")
        for size in ("640x480", "1640x1232", "1920x1080", "3280x2464")
    )


def test_rpicam_with_depth() -> None:
    (camera,) = parse_rpicam(WITH_DEPTH)
    assert camera.name == "imx708 4608x2592"
    assert camera.modes == (
        "SRGGB10_CSI2P 1536x864 120.13 fps",
        "SRGGB10_CSI2P 2304x1296 56.03 fps",
        "SRGGB10_CSI2P 4608x2592 14.35 fps",
    )


@pytest.mark.parametrize("printed", ["", "No cameras available!\n", "ERROR: *** no cameras ***\n"])
def test_rpicam_without_cameras(printed: str) -> None:
    assert parse_rpicam(printed) == []


def test_v4l2_modes() -> None:
    """Answers as the UVC driver does, by the structures of linux/videodev2.h."""
    formats = [b"MJPG", b"YUYV"]
    sizes = {b"MJPG": [(1280, 720), (640, 480)], b"YUYV": [(640, 480)]}
    rates = {(1280, 720): [(1, 30), (1, 15)], (640, 480): [(1, 30)]}

    def driver(request: int, structure: bytearray) -> None:
        number = request & 0xFF
        (index,) = struct.unpack_from("=I", structure)
        assert len(structure) == request >> 16 & 0x3FFF
        try:
            if number == 2:  # VIDIOC_ENUM_FMT
                struct.pack_into("=4s", structure, 44, formats[index])
                return
            fourcc = bytes(structure[4:8])
            if number == 74:  # VIDIOC_ENUM_FRAMESIZES
                struct.pack_into("=III", structure, 8, 1, *sizes[fourcc][index])
                return
            assert number == 75  # VIDIOC_ENUM_FRAMEINTERVALS
            size = struct.unpack_from("=II", structure, 8)
            struct.pack_into("=III", structure, 16, 1, *rates[size][index])
        except IndexError:
            raise OSError(errno.EINVAL, "Invalid argument") from None

    assert list(list_modes(driver)) == [
        "MJPG 1280x720 30 fps",
        "MJPG 640x480 30 fps",
        "YUYV 640x480 30 fps",
    ]


def test_v4l2_modes_of_a_driver_that_lists_none() -> None:
    def driver(request: int, structure: bytearray) -> None:
        raise OSError(errno.ENOTTY, "Inappropriate ioctl for device")

    assert list(list_modes(driver)) == []


def test_the_name_that_follows_a_camera(tmp_path: Path) -> None:
    """One of two twins has the name that both should have; the other one's port has to do."""
    for number in (0, 1):
        device = tmp_path / f"video{number}"
        device.touch()
        for kind, name in (("by-path", f"port-{number}"), ("by-id", "usb-maker_camera-index0")):
            (tmp_path / kind).mkdir(exist_ok=True)
            link = tmp_path / kind / name
            link.unlink(missing_ok=True)
            link.symlink_to(device)
    assert _stable_names(tmp_path) == {
        str(tmp_path / "video0"): str(tmp_path / "by-path" / "port-0"),
        str(tmp_path / "video1"): str(tmp_path / "by-id" / "usb-maker_camera-index0"),
    }
    assert _stable_names(tmp_path / "none") == {}

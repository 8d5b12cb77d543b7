"""A real RTSP camera whose pictures carry a frame number; run with Debian's own Python.

    /usr/bin/python3 rtsp_camera.py --codec h264|mjpeg --clock FILE [--latency-ms 0]

It prints its port, and keeps the number of the newest exposed frame in the first eight bytes of
``FILE`` (little endian), so that a test knows which frames are from before a snap. The number is
drawn as sixteen black or white blocks in two rows of eight, most significant first, which survive
any compression. ``--latency-ms`` holds each frame back between exposure and encoder, as real
cameras do.
"""

from __future__ import annotations

import argparse
import mmap
import struct
import sys
import threading
import time
from collections import deque
from pathlib import Path
from typing import Any

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer  # noqa: E402

COLUMNS, ROWS = 8, 2
ENCODERS = {
    "h264": (
        "x264enc tune=zerolatency speed-preset=ultrafast key-int-max={fps} bitrate=2000 "
        "! rtph264pay name=pay0 pt=96 config-interval=1"
    ),
    # rtpjpegpay takes 4:2:0 and 4:2:2 only.
    "mjpeg": "video/x-raw,format=I420 ! jpegenc quality=80 ! rtpjpegpay name=pay0 pt=26",
}


def draw(number: int, width: int, height: int) -> bytes:
    """Returns a GREY8 picture that shows the number's lowest sixteen bits."""
    rows = []
    for row in range(ROWS):
        line = b"".join(
            (b"\xeb" if number >> (15 - row * COLUMNS - column) & 1 else b"\x14")
            * (width // COLUMNS)
            for column in range(COLUMNS)
        )
        rows.append(line * (height // ROWS))
    return b"".join(rows)


class Sensor(threading.Thread):
    """Exposes a frame at each tick, and pushes it ``latency_s`` later into whoever listens."""

    def __init__(self, clock: Path, size: tuple[int, int], fps: int, latency_s: float) -> None:
        super().__init__(daemon=True)
        self.size, self.fps, self.latency_s = size, fps, latency_s
        with clock.open("r+b") as file:
            self.clock = mmap.mmap(file.fileno(), 8)
        self.viewers: dict[int, Any] = {}

    def run(self) -> None:
        number, start, held = 0, time.monotonic(), deque[tuple[float, int]]()
        while True:
            number += 1
            self.clock[:8] = struct.pack("<Q", number)
            held.append((time.monotonic() + self.latency_s, number))
            while held and held[0][0] <= time.monotonic():
                self.push(held.popleft()[1])
            time.sleep(max(0.0, start + number / self.fps - time.monotonic()))

    def push(self, number: int) -> None:
        if viewers := list(self.viewers.values()):
            frame = draw(number, *self.size)
            for appsrc in viewers:
                appsrc.emit("push-buffer", Gst.Buffer.new_wrapped(frame))

    def configure(self, _factory: Any, media: Any) -> None:
        # An old medium may end after the next one has begun, so each is known by itself.
        self.viewers[hash(media)] = media.get_element().get_by_name_recurse_up("sensor")
        media.connect("unprepared", lambda ended: self.viewers.pop(hash(ended), None))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--codec", choices=ENCODERS, required=True)
    parser.add_argument("--clock", type=Path, required=True)
    parser.add_argument("--latency-ms", type=float, default=0.0)
    parser.add_argument("--size", default="320x240")
    parser.add_argument("--fps", type=int, default=30)
    parser.add_argument("--login", help="user and password, for Digest")
    arguments = parser.parse_args()
    width, height = map(int, arguments.size.split("x"))

    Gst.init(None)
    sensor = Sensor(arguments.clock, (width, height), arguments.fps, arguments.latency_ms / 1000)
    factory = GstRtspServer.RTSPMediaFactory()
    factory.set_launch(
        "( appsrc name=sensor is-live=true do-timestamp=true format=time "
        f"caps=video/x-raw,format=GRAY8,width={width},height={height},"
        f"framerate={arguments.fps}/1 ! queue max-size-buffers=2 leaky=downstream ! videoconvert "
        f"! {ENCODERS[arguments.codec].format(fps=arguments.fps)} )"
    )
    factory.set_shared(True)
    factory.connect("media-configure", sensor.configure)
    server = GstRtspServer.RTSPServer()
    if arguments.login:
        protect(server, factory, *arguments.login.split(" "))
    server.set_address("127.0.0.1")
    server.set_service("0")
    server.get_mount_points().add_factory("/main", factory)
    server.attach(None)
    sensor.start()
    print(server.get_bound_port(), flush=True)
    # The fixture closes our input when the test is over, even when it was killed.
    threading.Thread(target=lambda: (sys.stdin.read(), loop.quit()), daemon=True).start()
    loop = GLib.MainLoop()
    loop.run()


def protect(server: Any, factory: Any, user: str, password: str) -> None:
    """Lets only this user in, by Digest."""
    auth = GstRtspServer.RTSPAuth()
    auth.set_supported_methods(2)  # GST_RTSP_AUTH_DIGEST
    token = GstRtspServer.RTSPToken()
    token.set_string("media.factory.role", "user")
    auth.add_digest(user, password, token)
    permissions = GstRtspServer.RTSPPermissions()
    permissions.add_permission_for_role("user", "media.factory.access", True)
    permissions.add_permission_for_role("user", "media.factory.construct", True)
    factory.set_permissions(permissions)
    server.set_auth(auth)


if __name__ == "__main__":
    main()

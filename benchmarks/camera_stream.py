"""A 1080p camera at 30 frames a second: MJPEG over HTTP, as webcams and IP cameras send it.

The pictures are encoded before it starts, and each is sent the moment it is due: the camera takes
next to nothing of the two cores, and its latency is zero. Prints its port.
"""

from __future__ import annotations

import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np

from benchmarks.pictures import jpeg, photograph

FRAMES_PER_S = 30
PICTURES = 30
"""One second of pan over the photograph, so that no two pictures in a row are the same."""


class Handler(BaseHTTPRequestHandler):
    """Sends pictures until the viewer leaves; a viewer that is slow misses some."""

    parts: list[bytes]

    def do_GET(self) -> None:
        """Sends the stream."""
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=picture")
        self.end_headers()
        number = int(time.monotonic() * FRAMES_PER_S)
        try:
            while True:
                number = max(number + 1, int(time.monotonic() * FRAMES_PER_S))
                time.sleep(max(0.0, number / FRAMES_PER_S - time.monotonic()))
                self.wfile.write(self.parts[number % PICTURES])
        except OSError:
            pass  # the viewer left

    def log_message(self, *_: object) -> None:
        """Standard error stays clean."""


def main() -> None:
    """Serves until it is ended."""
    image = photograph()
    Handler.parts = [_part(jpeg(np.roll(image, 8 * n, axis=1))) for n in range(PICTURES)]
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        print(server.server_port, flush=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        threading.Event().wait()


def _part(picture: bytes) -> bytes:
    head = f"--picture\r\nContent-Type: image/jpeg\r\nContent-Length: {len(picture)}\r\n\r\n"
    return head.encode() + picture + b"\r\n"


if __name__ == "__main__":
    main()

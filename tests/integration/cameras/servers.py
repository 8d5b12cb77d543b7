"""Starts the test cameras, and reads the numbers in their pictures."""

from __future__ import annotations

import hashlib
import mmap
import re
import secrets
import signal
import socket
import struct
import subprocess
import threading
from base64 import b64decode
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import cv2
import numpy as np

COLUMNS, ROWS = 8, 2
WRAP = 1 << (COLUMNS * ROWS)
PORTS = range(20_000, 32_000)
RTSP_CAMERA = Path(__file__).with_name("rtsp_camera.py")


def number_in(picture: bytes) -> int:
    """Reads the frame number that the RTSP camera has drawn into a picture."""
    image = cv2.imdecode(np.frombuffer(picture, np.uint8), cv2.IMREAD_GRAYSCALE)
    assert image is not None
    height, width = image.shape
    number = 0
    for row in range(ROWS):
        for column in range(COLUMNS):
            y = height * (2 * row + 1) // (2 * ROWS)
            x = width * (2 * column + 1) // (2 * COLUMNS)
            number = number << 1 | int(image[y, x] > 128)
    return number


def jpeg(grey: int = 128, size: tuple[int, int] = (320, 240), seed: int = 0) -> bytes:
    """Makes a JPEG picture with something on it."""
    noise = np.random.default_rng(seed).integers(0, 60, (size[1], size[0], 3))
    pixels = np.clip(noise + grey - 30, 0, 255).astype(np.uint8)
    return cv2.imencode(".jpg", pixels)[1].tobytes()


@dataclass
class RtspCamera:
    """A camera process.

    Attributes:
        url: where its stream is.
        process: to be stopped and continued by a test.
    """

    url: str
    process: subprocess.Popen[str]
    _clock: mmap.mmap

    def now(self) -> int:
        """The number of the newest frame that it has exposed."""
        number: int = struct.unpack("<Q", self._clock[:8])[0]
        return number


@contextmanager
def rtsp_camera(folder: Path, codec: str, *options: str) -> Iterator[RtspCamera]:
    """Runs an RTSP camera until the block ends."""
    clock_file = folder / f"clock-{secrets.token_hex(4)}"
    clock_file.write_bytes(bytes(8))
    process = subprocess.Popen(
        ["/usr/bin/python3", RTSP_CAMERA, "--codec", codec, "--clock", clock_file, *options],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin and process.stdout
    try:
        port = process.stdout.readline().strip()
        assert port, "the RTSP camera did not start"
        with clock_file.open("r+b") as file, mmap.mmap(file.fileno(), 8) as clock:
            yield RtspCamera(f"rtsp://127.0.0.1:{port}/main", process, clock)
    finally:
        process.send_signal(signal.SIGCONT)
        process.kill()
        process.communicate()


def free_port() -> int:
    """Finds a port for a program that cannot choose one by itself, or comes back to it.

    It is below those that the kernel gives to connections: one of them must not have it while the
    program is down, nor may a client that tries again and again get connected to itself.
    """
    while True:
        port = secrets.choice(PORTS)
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


@contextmanager
def ffmpeg_mjpeg(*options: str) -> Iterator[str]:
    """Runs FFmpeg as a camera that serves MJPEG over HTTP to one viewer."""
    url = f"http://127.0.0.1:{free_port()}/stream"
    picture = ["-re", "-f", "lavfi", "-i", "testsrc=s=640x360:r=30"]
    process = subprocess.Popen(
        ["ffmpeg", "-loglevel", "error", *picture, "-f", "mpjpeg", *options, "-listen", "1", url],
        stdin=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,  # it complains when its viewer leaves
    )
    try:
        yield url
    finally:
        process.kill()
        process.wait()


@dataclass
class HttpCamera:
    """A camera with a web server, as they are sold.

    Attributes:
        answer: makes the body of each answer; may be changed by a test.
        media_type: what it says its body is.
        login: user, password and scheme (``Basic`` or ``Digest``), if it wants one.
        truncate: it promises the whole body and hangs up in the middle.
        requests: the ``Authorization`` headers that came, "" where there was none.
    """

    answer: Callable[[], bytes]
    media_type: str = "image/jpeg"
    login: tuple[str, str, str] | None = None
    truncate: bool = False
    requests: list[str] = field(default_factory=list)
    port: int = 0
    nonce: str = field(default_factory=lambda: secrets.token_hex(8))

    @property
    def address(self) -> str:
        """Where its picture is, without a login."""
        return f"http://127.0.0.1:{self.port}/snapshot.jpg"

    def admits(self, header: str, method: str, path: str) -> bool:
        """Whether a request with this ``Authorization`` header gets the picture."""
        if self.login is None:
            return True
        user, password, scheme = self.login
        if scheme == "Basic" and header.startswith("Basic "):
            return b64decode(header[6:]).decode() == f"{user}:{password}"
        if scheme == "Digest" and header.startswith("Digest "):
            return self._digest_fits(header, method, path, user, password)
        return False

    def _digest_fits(self, header: str, method: str, path: str, user: str, password: str) -> bool:
        """RFC 7616 with MD5 and qop=auth, as most cameras have it."""
        told = {k: v.strip('"') for k, v in re.findall(r'(\w+)=("[^"]*"|[^,\s]+)', header)}

        def md5(text: str) -> str:
            return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()

        secret = md5(f"{user}:camera:{password}")
        request = md5(f"{method}:{path}")
        expected = md5(
            f"{secret}:{self.nonce}:{told.get('nc')}:{told.get('cnonce')}:auth:{request}"
        )
        return told.get("response") == expected and told.get("uri") == path


@contextmanager
def http_camera(camera: HttpCamera) -> Iterator[HttpCamera]:
    """Serves a camera's pictures until the block ends."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            header = self.headers.get("Authorization", "")
            camera.requests.append(header)
            if not camera.admits(header, "GET", self.path):
                scheme = camera.login[2] if camera.login else ""
                self.send_response(401)
                more = f', nonce="{camera.nonce}", qop="auth"' if scheme == "Digest" else ""
                self.send_header("WWW-Authenticate", f'{scheme} realm="camera"{more}')
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            body = camera.answer()
            self.send_response(200)
            self.send_header("Content-Type", camera.media_type)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body[: len(body) // 2] if camera.truncate else body)

        def log_message(self, *_: Any) -> None:
            """A test's output is pytest's."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        camera.port = server.server_port
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield camera
        finally:
            server.shutdown()
            thread.join()

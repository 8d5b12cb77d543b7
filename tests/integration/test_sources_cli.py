"""``objectclassification capture`` and ``devices``, as a person runs them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from tests.integration.cameras.servers import free_port, jpeg


def run(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "objectclassification", *arguments],
        cwd=folder,
        env={**os.environ, "HOME": str(folder), **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.fixture
def source(tmp_path: Path) -> str:
    (tmp_path / "source.jpg").write_bytes(jpeg())
    return str(tmp_path / "source.jpg")


def test_it_takes_one_picture_as_the_seed_does(tmp_path: Path, source: str) -> None:
    done = run(tmp_path, "capture", "--source", source)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("saved opencv_frame_0.png (320x240")
    image = cv2.imread(str(tmp_path / "opencv_frame_0.png"))
    assert image is not None and image.shape == (240, 320, 3)


def test_options_and_json(tmp_path: Path, source: str) -> None:
    done = run(
        tmp_path,
        *["capture", "--source", source, "--path", "x.jpg", "--size", "160x120"],
        *["--rotate", "270", "--warmup", "auto", "--json"],
    )
    told = json.loads(done.stdout)
    assert (told["width"], told["height"]) == (120, 160)
    assert told["media_type"] == "image/jpeg"
    assert told["freshness"] == "replay"
    assert told["size_bytes"] == (tmp_path / "x.jpg").stat().st_size


@pytest.fixture
def api() -> Iterator[tuple[str, list[tuple[str, str | None, bytes]]]]:
    seen: list[tuple[str, str | None, bytes]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            seen.append((self.path, self.headers["Authorization"], body))
            self.send_response(201)
            self.end_headers()
            self.wfile.write(b'{"id": "p1"}')

        def log_message(self, *_: Any) -> None:
            """A test's output is pytest's."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", seen
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("known", [False, True], ids=["given", "known"])
def test_upload(
    tmp_path: Path,
    source: str,
    api: tuple[str, list[tuple[str, str | None, bytes]]],
    known: bool,
) -> None:
    url, seen = api
    environment = {"OBJECTCLASSIFICATION_TOKEN": "secret"}
    if known:
        environment["OBJECTCLASSIFICATION_SERVER"] = url
    done = run(
        tmp_path,
        *["capture", "--source", source, "--upload", *([] if known else [url])],
        *["--snippet", "2"],
        **environment,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith(f"uploaded to {url}/snippets/2/ as p1\n")
    ((path, authorization, body),) = seen
    assert path.startswith("/snippets/2/?")
    assert authorization == "Bearer secret"
    assert body == (tmp_path / "opencv_frame_0.png").read_bytes()


@pytest.mark.parametrize(
    ("arguments", "status", "says"),
    [
        (["--source", "7"], 69, "error: camera 7: there is no /dev/video7"),
        (["--source", "gone.jpg"], 69, "error: there is no file gone.jpg"),
        (["--source", "gopher://x"], 78, "error: no source reads gopher://"),
        (["--source", "exec:false"], 69, "error: exec:false printed no picture (status 1)"),
        (["--source", "black.png"], 69, "error: black.png shows black"),
        (["--path", "x.gif"], 78, "error: cannot save a picture as x.gif"),
        (["--source", "rtsp://a:b@127.0.0.1:9/x"], 69, "error: rtsp://a:***@127.0.0.1:9/x cannot"),
        (["--source", "rtsp://a:$NOT_SET@h/x"], 78, "error: rtsp://a:***@h/x takes $NOT_SET"),
    ],
)
def test_one_clear_line_and_an_exit_code(
    tmp_path: Path, arguments: list[str], status: int, says: str
) -> None:
    cv2.imwrite(str(tmp_path / "black.png"), np.zeros((48, 64, 3), np.uint8))
    done = run(tmp_path, "capture", *arguments)
    assert done.returncode == status
    assert done.stdout == ""
    assert done.stderr.startswith(says)
    assert done.stderr.count("\n") == 1


def test_a_picture_that_cannot_be_uploaded_is_still_saved(tmp_path: Path, source: str) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    done = run(tmp_path, "capture", "--source", source, "--upload", url)
    assert done.returncode == 69
    assert done.stderr.splitlines()[-1] == f"error: {url} cannot be reached"
    assert (tmp_path / "opencv_frame_0.png").exists()


@pytest.mark.parametrize(
    "arguments",
    [["--size", "big"], ["--warmup", "soon"], ["--rotate", "45"], ["http://127.0.0.1:1"]],
)
def test_bad_options(tmp_path: Path, arguments: list[str]) -> None:
    done = run(tmp_path, "capture", "--source", "x.jpg", *arguments)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


def test_devices(tmp_path: Path) -> None:
    done = run(tmp_path, "devices", "--json")
    assert done.returncode == 0
    found = json.loads(done.stdout)
    shown = run(tmp_path, "devices").stdout
    for device in found:
        assert device["source"] in shown
    if not found:
        assert "--source rtsp://" in shown


def test_devices_with_a_raspberry_pi_camera_module(tmp_path: Path) -> None:
    """Its lister is a program, so a program stands in for it and prints what it prints."""
    lister = tmp_path / "rpicam-hello"
    lister.write_text(
        "#!/bin/sh\n"
        'test "$1" = --list-cameras || exit 1\n'
        "cat <<END\nAvailable cameras\n-----------------\n"
        "0 : imx219 [3280x2464] (/base/soc/i2c0mux/i2c@1/imx219@10)\n"
        "    Modes: 'SRGGB8' : 640x480 [206.65 fps - (1000, 752)/1280x960 crop]\nEND\n"
    )
    lister.chmod(0o755)
    done = run(tmp_path, "devices", PATH=f"{tmp_path}:{os.environ['PATH']}")
    assert "imx219 3280x2464 (rpicam)" in done.stdout
    assert "--source 'exec:rpicam-jpeg --camera 0 --nopreview --timeout 1000 -o -'" in done.stdout
    assert "SRGGB8 640x480 206.65 fps" in done.stdout

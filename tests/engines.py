"""Engines for tests: a real MLServer, and one that answers what the test says."""

from __future__ import annotations

import json
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any

import requests

from objectclassification.classification.classifier import SHIPPED_MODEL, Classifier
from tests.parts import ENGINE, WITH_US, require
from tests.serving import Served, photo, until

LABELS = Classifier().labels
RUNTIME = '''
"""Runs an ONNX file; while there is a file `hold`, it keeps what it was given."""
import asyncio
import pathlib

import onnxruntime
from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceResponse


class Onnx(MLModel):
    async def load(self):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(self.settings.parameters.uri, options)
        return True

    async def predict(self, payload):
        pathlib.Path("given").touch()
        while pathlib.Path("hold").exists():
            await asyncio.sleep(0.02)
        (wanted,) = payload.inputs
        output = self.settings.outputs[0].name
        (scores,) = self._session.run([output], {wanted.name: NumpyCodec.decode_input(wanted)})
        return InferenceResponse(
            model_name=self.name, outputs=[NumpyCodec.encode_output(output, scores)]
        )
'''


class MLServer:
    """A real engine from PyPI, with a runtime that runs ONNX files.

    Args:
        folder: for its models.
    """

    def __init__(self, folder: Path) -> None:
        require("mlserver")
        self._folder = folder
        folder.mkdir()
        ports = free_ports(3)
        self.url = f"http://127.0.0.1:{ports[0]}"
        named = dict(zip(("http_port", "grpc_port", "metrics_port"), ports, strict=True))
        settings = {"host": "127.0.0.1", "parallel_workers": 0, "debug": False, **named}
        (folder / "settings.json").write_text(json.dumps(settings))
        self.hold = folder / "hold"
        self.given = folder / "given"

    def add(self, name: str, file: Path, taken: dict[str, Any], given: dict[str, Any]) -> str:
        """Gives it a model before it starts; returns its address."""
        place = self._folder / name
        place.mkdir()
        (place / "runtime.py").write_text(RUNTIME)
        about = {
            "name": name,
            "implementation": "runtime.Onnx",
            "parameters": {"uri": str(file)},
            "inputs": [taken],
            "outputs": [given],
        }
        (place / "model-settings.json").write_text(json.dumps(about))
        return f"{self.url}/v2/models/{name}"

    def add_shipped(self) -> str:
        """Gives it the shipped model."""
        return self.add(
            "shipped-elsewhere",
            SHIPPED_MODEL,
            {"name": "image", "datatype": "UINT8", "shape": [-1, 224, 224, 3]},
            {"name": "logits", "datatype": "FP32", "shape": [-1, 1000]},
        )

    def start(self) -> None:
        """Starts it, and waits until its models are ready."""
        with (self._folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [*WITH_US, ENGINE / "bin" / "mlserver", "start", "."],
                cwd=self._folder,
                stdout=log,
                stderr=log,
            )
        until(self._is_ready)

    def kill(self) -> None:
        """As ``kill -9``."""
        self.process.kill()
        self.process.wait()

    def _is_ready(self) -> bool:
        assert self.process.poll() is None, (self._folder / "log").read_text()
        try:
            return requests.get(f"{self.url}/v2/health/ready", timeout=2).ok
        except requests.RequestException:
            return False


Answer = Callable[["Request"], None]


class Request(BaseHTTPRequestHandler):
    """One request to a :class:`Stub`, which answers it."""

    protocol_version = "HTTP/1.1"
    stub: Stub

    def handle_one_request(self) -> None:
        try:
            super().handle_one_request()
        except ConnectionError:  # who asked has gone
            self.close_connection = True

    def do_GET(self) -> None:
        self.body = b""
        self.stub.answer(self)

    def do_POST(self) -> None:
        self.body = self.rfile.read(int(self.headers["Content-Length"]))
        self.stub.answer(self)

    def say(self, body: bytes | dict[str, Any], status: int = 200, **headers: str) -> None:
        """Answers."""
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        """Says nothing."""


class Stub:
    """An engine that answers as a test says; where it says nothing, well.

    Args:
        tls: a context, for https.
    """

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        kind = type("Bound", (Request,), {"stub": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), kind)
        self._server.daemon_threads = True
        if tls is not None:
            self._server.socket = tls.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
        scheme = "http" if tls is None else "https"
        self.url = f"{scheme}://127.0.0.1:{self._server.server_port}"
        self.address = f"{self.url}/v2/models/net"
        self.answers: dict[str, Answer] = {}
        self.asked: list[str] = []
        self.ended = threading.Event()

    def __enter__(self) -> Stub:
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        self.ended.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def answer(self, request: Request) -> None:
        """Answers one request."""
        self.asked.append(request.path)
        place = request.path.removeprefix("/v2").removeprefix("/models/net") or "/"
        place = "server" if request.path == "/v2" else place
        self.answers.get(place, GOOD.get(place, _unknown))(request)


def _unknown(request: Request) -> None:
    request.say({"error": "no such thing"}, 404)


METADATA: dict[str, Any] = {
    "name": "net",
    "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 3, 16, 16]}],
    "outputs": [{"name": "y", "datatype": "FP32", "shape": [-1, 3]}],
}


def output(data: list[Any], **more: Any) -> dict[str, Any]:
    """An answer with scores."""
    return {"outputs": [{"name": "y", "datatype": "FP32", "shape": [1, 3], "data": data, **more}]}


GOOD: dict[str, Answer] = {
    "server": lambda request: request.say({"name": "stub", "extensions": []}),
    "/": lambda request: request.say(METADATA),
    "/ready": lambda request: request.say({}),
    "/infer": lambda request: request.say(output([1.0, 2.0, 3.0])),
}


def put_alone(server: Served, slot: int, mark: str) -> dict[str, Any]:
    """PUTs a picture, and returns it once it is done, whoever waits for an engine."""
    made = server.call("PUT", f"/snippets/{slot}", data=photo(mark)).json()["id"]
    found: dict[str, Any] = {}

    def is_done() -> bool:
        found.update(server.call("GET", f"/api/pictures/{made}").json())
        return found["state"] in ("classified", "failed")

    until(is_done)
    return found


def free_ports(number: int) -> list[int]:
    """Ports that nobody has now."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(number)]
    ports: list[int] = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports

"""``make audit`` with the real pip-audit, against a vulnerability service of the test's own."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
HOLE = {
    "id": "PYSEC-0000-1",
    "modified": "2026-01-01T00:00:00Z",
    "published": "2026-01-01T00:00:00Z",
    "summary": "a hole",
    "affected": [
        {
            "package": {"name": "pillow", "ecosystem": "PyPI"},
            "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "99.0"}]}],
        }
    ],
}


class Service(BaseHTTPRequestHandler):
    """Speaks OSV's protocol; knows one hole at most."""

    holes: tuple[str, ...] = ()

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        known = asked["package"]["name"] in self.holes
        body = json.dumps({"vulns": [HOLE]} if known else {}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing."""


@pytest.fixture
def service() -> Iterator[ThreadingHTTPServer]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Service) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def audit(port: int) -> subprocess.CompletedProcess[str]:
    url = f"http://127.0.0.1:{port}/v1/query"
    return subprocess.run(
        [sys.executable, "-m", "tools.audit", "-s", "osv", "--osv-url", url],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )


def test_a_hole_fails(service: ThreadingHTTPServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Service, "holes", ("pillow",))
    ran = audit(service.server_port)
    assert ran.returncode == 1, ran.stderr
    assert "PYSEC-0000-1, fixed in 99.0" in ran.stdout
    assert ran.stdout.startswith("pillow ")


def test_no_hole_passes(service: ThreadingHTTPServer) -> None:
    ran = audit(service.server_port)
    assert ran.returncode == 0, ran.stderr
    assert "packages audited, 0 vulnerabilities known" in ran.stdout


def test_no_service_is_said() -> None:
    ran = audit(1)
    assert ran.returncode == 0
    assert ran.stdout.startswith("not audited: the vulnerability service does not answer")

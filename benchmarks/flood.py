"""The load of :mod:`benchmarks.puts`, as a process of its own: many clients that PUT all the time.

Standard library only, and each request sent from bytes that are made once, so that it takes as
little as it can of the two cores. Prints one JSON object.
"""

from __future__ import annotations

import argparse
import http.client
import json
import threading
import time
import uuid
from pathlib import Path
from urllib.parse import urlsplit

FORM_BOUNDARY = "the-boundary-of-a-form"
TIMEOUT_S = 20.0
MOST_REFUSED = 3


class Client(threading.Thread):
    """One client: one connection, kept if the server keeps it, one request after the other.

    Attributes:
        taken_at: when each picture was acknowledged, ``time.monotonic()`` seconds.
        took_s: what each took.
        refused: answers that were not 200 or 201, and connections that broke.
    """

    def __init__(
        self, url: str, headers: dict[str, str], body: bytes, until: float, pause_s: float
    ) -> None:
        super().__init__()
        parts = urlsplit(url)
        self._path = parts.path
        self._connection = http.client.HTTPConnection(parts.netloc, timeout=TIMEOUT_S)
        self._headers, self._body, self._until = headers, body, until
        self._pause_s = pause_s
        self.taken_at: list[float] = []
        self.took_s: list[float] = []
        self.refused = 0

    def run(self) -> None:
        """Sends until the time is over, or it is plain that nothing is taken."""
        while self.refused < MOST_REFUSED and (started := time.monotonic()) < self._until:
            if self._put():
                self.taken_at.append(time.monotonic())
                self.took_s.append(self.taken_at[-1] - started)
            else:
                self.refused += 1
            time.sleep(self._pause_s)
        self._connection.close()

    def _put(self) -> bool:
        connection = self._connection
        try:
            connection.putrequest("PUT", self._path)
            for name, value in self._headers.items():
                connection.putheader(name, value)
            connection.putheader("Content-Length", str(len(self._body)))
            connection.putheader("Idempotency-Key", uuid.uuid4().hex)
            connection.endheaders()
            connection.send(self._body)
            answer = connection.getresponse()
            answer.read()
            return answer.status in (200, 201)
        except (OSError, http.client.HTTPException):
            connection.close()
            return False


def main() -> None:
    """Floods one address for a while."""
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("picture", type=Path)
    parser.add_argument("--form", action="store_true", help="as a form's file, not as the body")
    parser.add_argument("--token")
    parser.add_argument("--clients", type=int, required=True)
    parser.add_argument("--warm-s", type=float, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--pause-s", type=float, default=0.0, help="after each, in each client")
    told = parser.parse_args()
    headers, body = _request(told.picture, form=told.form)
    if told.token:
        headers["Authorization"] = f"Bearer {told.token}"
    start = time.monotonic() + told.warm_s
    clients = [
        Client(told.url, headers, body, start + told.seconds, told.pause_s)
        for _ in range(told.clients)
    ]
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    end = start + told.seconds
    taken = sum(start <= at < end for client in clients for at in client.taken_at)
    took = sorted(t for client in clients for t in client.took_s)
    print(
        json.dumps(
            {
                "per_second": taken / told.seconds,
                "p50_ms": took[len(took) // 2] * 1000 if took else None,
                "p95_ms": took[len(took) * 95 // 100] * 1000 if took else None,
                "p99_ms": took[len(took) * 99 // 100] * 1000 if took else None,
                "refused": sum(client.refused for client in clients),
            }
        )
    )


def _request(picture: Path, *, form: bool) -> tuple[dict[str, str], bytes]:
    content = picture.read_bytes()
    if not form:
        return {"Content-Type": "image/jpeg"}, content
    head = (
        f"--{FORM_BOUNDARY}\r\n"
        f'Content-Disposition: form-data; name="image"; filename="{picture.name}"\r\n'
        "Content-Type: image/jpeg\r\n\r\n"
    )
    body = head.encode() + content + f"\r\n--{FORM_BOUNDARY}--\r\n".encode()
    return {"Content-Type": f"multipart/form-data; boundary={FORM_BOUNDARY}"}, body


if __name__ == "__main__":
    main()

"""The HTTP API from a client's side: one call, typed errors."""

from __future__ import annotations

from typing import Any

import requests

from objectclassification.config import Connection
from objectclassification.errors import (
    Busy,
    Conflict,
    Forbidden,
    NotFound,
    ObjectClassificationError,
    RequestError,
    ServerUnreachable,
    TimedOut,
    Unauthorized,
)
from objectclassification.trust import Trust, WrongScheme
from objectclassification.trust.adapter import TrustAdapter

CONNECT_TIMEOUT_S = 5.0
READ_TIMEOUT_S = 60.0


class Http:
    """Calls a server's API.

    Args:
        connection: where it is, and as whom.
    """

    def __init__(self, connection: Connection) -> None:
        self._url = connection.url
        self._origin = connection.origin
        self._session = requests.Session()
        if connection.token:
            self._session.headers["Authorization"] = f"Bearer {connection.token}"
        self._trust = Trust(connection.url, connection.ca, pins=True)
        self._believe()

    def __enter__(self) -> Http:
        """Returns itself."""
        return self

    def __exit__(self, *exc: object) -> None:
        """Closes its connections."""
        self._session.close()

    def json(self, method: str, path: str, body: Any = None) -> Any:
        """Calls, and returns the answer's JSON, or None when there is none.

        Raises:
            ServerUnreachable: no answer.
            Unauthorized, Forbidden, NotFound, Conflict, RequestError: the server's no.
            Busy: not now; again in a moment.
            TimedOut: a camera that was to be asked did not answer.
        """
        response = self._call(method, path, json=body)
        return response.json() if response.content else None

    def content(self, path: str) -> bytes:
        """Returns the bytes at a path.

        Raises:
            ServerUnreachable: no answer.
            Unauthorized, Forbidden, NotFound, RequestError: the server's no.
        """
        return self._call("GET", path).content

    def send(self, method: str, path: str, content: bytes) -> Any:
        """Sends bytes, and returns the answer's JSON.

        Raises:
            As :meth:`json`.
        """
        return self._call(method, path, data=content).json()

    def _call(
        self, method: str, path: str, json: Any = None, data: bytes | None = None
    ) -> requests.Response:
        try:
            try:
                response = self._call_once(method, path, json, data)
            except requests.exceptions.SSLError:
                self._trust.settle()
                self._believe()
                response = self._call_once(method, path, json, data)
        except requests.RequestException as exc:
            if self._trust.is_elsewhere():
                detail = f"{self._url} speaks TLS: its address is https://…"
                raise WrongScheme(detail, url=self._url) from exc
            detail = (
                f"no server answers at {self._url}: is `objectclassification serve` running there?"
            )
            raise ServerUnreachable(detail, url=self._url) from exc
        if response.status_code >= 300:
            raise _error(response, self._origin)
        return response

    def _call_once(
        self, method: str, path: str, json: Any, data: bytes | None
    ) -> requests.Response:
        return self._session.request(
            method,
            self._url + path,
            json=json,
            data=data,
            timeout=(CONNECT_TIMEOUT_S, READ_TIMEOUT_S),
            # A redirect could carry the token to another host.
            allow_redirects=False,
        )

    def _believe(self) -> None:
        """Checks the next connections as the trust says now."""
        if (context := self._trust.context) is not None:
            self._session.mount("https://", TrustAdapter(context))


def _error(response: requests.Response, origin: str) -> ObjectClassificationError:
    code = ""
    try:
        problem = response.json()
        detail, code = str(problem["detail"]), problem.get("code", "")
    except (ValueError, KeyError, TypeError, AttributeError):
        detail = f"the server answered {response.status_code} {response.reason}"
    if response.status_code == 504:
        return TimedOut(detail, after_s=response.elapsed.total_seconds())
    if response.status_code in (401, 403):
        detail += origin
    if code == Busy.code:
        return Busy(detail)
    kinds = {401: Unauthorized, 403: Forbidden, 404: NotFound, 409: Conflict}
    return kinds.get(response.status_code, RequestError)(detail)

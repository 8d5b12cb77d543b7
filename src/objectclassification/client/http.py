"""The HTTP API from a client's side: one call, typed errors."""

from __future__ import annotations

from typing import Any

import requests

from objectclassification.config import Connection
from objectclassification.errors import (
    Conflict,
    Forbidden,
    NotFound,
    ObjectClassificationError,
    RequestError,
    ServerUnreachable,
    TimedOut,
    Unauthorized,
)

CONNECT_TIMEOUT_S = 5.0
READ_TIMEOUT_S = 60.0


class Http:
    """Calls a server's API.

    Args:
        connection: where it is, and as whom.
    """

    def __init__(self, connection: Connection) -> None:
        self._url = connection.url
        self._session = requests.Session()
        if connection.token:
            self._session.headers["Authorization"] = f"Bearer {connection.token}"
        if connection.ca is not None:
            self._session.verify = str(connection.ca)

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

    def _call(self, method: str, path: str, json: Any = None) -> requests.Response:
        try:
            response = self._session.request(
                method,
                self._url + path,
                json=json,
                timeout=(CONNECT_TIMEOUT_S, READ_TIMEOUT_S),
                # A redirect could carry the token to another host.
                allow_redirects=False,
            )
        except requests.exceptions.SSLError as exc:
            raise ServerUnreachable(
                f"{self._url} shows a certificate we do not trust: give its authority with --ca",
                url=self._url,
            ) from exc
        except requests.RequestException as exc:
            raise ServerUnreachable(
                f"no server answers at {self._url}: is `objectclassification serve` running there?",
                url=self._url,
            ) from exc
        if response.status_code >= 300:
            raise _error(response)
        return response


def _error(response: requests.Response) -> ObjectClassificationError:
    try:
        detail = str(response.json()["detail"])
    except (ValueError, KeyError, TypeError):
        detail = f"the server answered {response.status_code} {response.reason}"
    if response.status_code == 504:
        return TimedOut(detail, after_s=response.elapsed.total_seconds())
    kinds = {401: Unauthorized, 403: Forbidden, 404: NotFound, 409: Conflict}
    return kinds.get(response.status_code, RequestError)(detail)

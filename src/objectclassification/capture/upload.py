"""The PUT of a picture to the API, again and again while that can help."""

from __future__ import annotations

import email.utils
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import requests
import stamina
from requests.auth import AuthBase

from objectclassification.errors import (
    ConfigurationError,
    ServerUnreachable,
    UploadError,
    UploadFailed,
    UploadRefused,
)
from objectclassification.trust import Trust
from objectclassification.trust.adapter import TrustAdapter

if TYPE_CHECKING:
    from objectclassification.capture.spool import SpoolItem

ATTEMPTS = 5
CONNECT_S = 5.0
ANSWER_S = 30.0
RETRY_AFTER_MOST_S = 60.0
_RETRYABLE = {408, 425, 429}
_HINTS = {
    401: "the token is missing or not known: 'objectclassification login' stores one",
    403: "this token may not upload here",
    404: "there is no such snippet",
    413: "the picture is larger than the server takes",
}


class _Retryable(UploadFailed):
    """Worth another try after ``wait_s``, or after the usual back-off."""

    def __init__(self, detail: str, *, status: int | None = None, wait_s: float | None = None):
        super().__init__(detail, status=status)
        self.wait_s = wait_s


class _Bearer(AuthBase):
    """Puts the token in; as an auth object it goes before any ``.netrc``, and shows no token."""

    def __init__(self, token: str) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self._token}"
        return request


class Uploader:
    """Sends pictures to one server. Use one for each thread.

    Args:
        base_url: ``http://host:port``; a path is kept, a query is not.
        token: of a camera or an admin. It is sent to this server only: redirects are refused.
        ca: a private certificate authority's file; else the one that this account has pinned.
        attempts: the most tries of one picture; after them it is UploadFailed.
        timeout_s: the longest wait for an answer.

    Raises:
        ConfigurationError: the address or the file cannot be used.
    """

    def __init__(
        self,
        base_url: str,
        token: str | None = None,
        *,
        ca: Path | None = None,
        attempts: int = ATTEMPTS,
        timeout_s: float = ANSWER_S,
    ) -> None:
        parts = urlsplit(base_url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ConfigurationError("the server's address must look like http://host:port")
        if ca is not None and not ca.is_file():
            raise ConfigurationError(f"there is no certificate file {ca}")
        self._base = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path.rstrip('/')}"
        self._attempts = attempts
        self._timeout = (CONNECT_S, timeout_s)
        self._session = requests.Session()
        self._session.auth = _Bearer(token) if token else None
        self._trust = Trust(base_url, ca)
        self._believes = False

    def send(self, item: SpoolItem) -> dict[str, Any]:
        """Uploads a picture of the spool; the caller removes it there.

        Returns:
            What the API answered: the picture.

        Raises:
            UploadFailed: it may work later.
            UploadRefused: it never will.
        """
        try:
            data = item.read()
        except OSError as exc:
            raise UploadRefused(f"cannot read {item.path}: {exc.strerror}") from exc
        return self.put(
            item.upload,
            data,
            item.media_type,
            key=item.key,
            snap=item.snap,
            rendition=item.rendition,
            frame=item.frame,
            age_ms=item.age_ms,
        )

    def put(
        self,
        upload: str,
        data: bytes,
        media_type: str,
        *,
        key: str | None = None,
        snap: str | None = None,
        rendition: str = "full",
        frame: int = 1,
        age_ms: Callable[[], int] | None = None,
    ) -> dict[str, Any]:
        """Uploads a picture.

        Args:
            upload: path of the PUT, for example ``/snippets/1/``.
            data: the encoded picture.
            media_type: of ``data``.
            key: the same key and bytes make one picture, however often they are sent.
            snap: the snap it belongs to.
            rendition: which rendition of the picture this is.
            frame: its place in a burst; a shot shows the first one.
            age_ms: milliseconds since it was taken; asked again for each try.

        Returns:
            What the API answered: the picture.

        Raises:
            UploadFailed: it may work later.
            UploadRefused: it never will.
        """
        headers = {"Content-Type": media_type, "Accept": "application/json"}
        # Without a key a try whose answer was lost would make a second picture.
        attempts = self._attempts if key is not None else 1
        if key is not None:
            headers["Idempotency-Key"] = key
        for attempt in stamina.retry_context(on=_wait_of, attempts=attempts, timeout=None):
            with attempt:
                query: dict[str, str | int] = {"rendition": rendition}
                if snap is not None:
                    query["snap"] = snap
                if frame > 1:
                    query["frame"] = frame
                if age_ms is not None:
                    query["age_ms"] = age_ms()
                return self._put_once(upload, data, headers, query)
        raise UploadFailed("no try was made")  # pragma: no cover - stamina always tries once

    def close(self) -> None:
        """Closes the connection."""
        self._session.close()

    def __enter__(self) -> Uploader:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _put_once(
        self, upload: str, data: bytes, headers: dict[str, str], query: dict[str, str | int]
    ) -> dict[str, Any]:
        if not self._believes:
            self._believe()
        try:
            response = self._session.put(
                self._base + upload,
                data=data,
                headers=headers,
                params=query,
                timeout=self._timeout,
                allow_redirects=False,
            )
            answer = response.json() if response.ok else None
        except requests.exceptions.SSLError as exc:
            raise self._why_untrusted(exc) from exc
        except requests.Timeout as exc:
            raise _Retryable(f"{self._base} does not answer") from exc
        except requests.exceptions.JSONDecodeError as exc:
            raise UploadRefused(
                f"{self._base} answered something that is not JSON; is it the right server?"
            ) from exc
        except requests.RequestException as exc:
            raise _Retryable(f"{self._base} cannot be reached") from exc
        if response.status_code in (200, 201) and isinstance(answer, dict):
            return answer
        raise self._refusal(response)

    def _believe(self) -> None:
        """Checks the next connections as the trust says now: a pin may be newer than this."""
        if (context := self._trust.context) is not None:
            self._session.mount("https://", TrustAdapter(context))
        self._believes = True

    def _why_untrusted(self, failed: requests.exceptions.SSLError) -> UploadFailed:
        self._believes = False
        try:
            self._trust.settle()
        except ServerUnreachable as exc:
            return UploadFailed(exc.detail)
        return _Retryable(f"{self._base}: the TLS connection broke")

    def _refusal(self, response: requests.Response) -> UploadError:
        status = response.status_code
        if response.is_redirect:
            where = urlsplit(response.headers["Location"])
            return UploadRefused(
                f"{self._base} moved to {where.scheme}://{where.netloc}: use that address",
                status=status,
            )
        detail = _HINTS.get(status) or _problem(response)
        message = f"{self._base} answered {status}: {detail}"
        if status >= 500 or status in _RETRYABLE:
            return _Retryable(message, status=status, wait_s=_retry_after(response))
        return UploadRefused(message, status=status)


def age_since(taken_at: float) -> Callable[[], int]:
    """Makes a function that tells milliseconds since a moment of ``time.monotonic()``."""
    return lambda: max(0, round((time.monotonic() - taken_at) * 1000))


def _wait_of(error: Exception) -> bool | float:
    """Tells stamina whether, and after how many seconds, to try again."""
    if not isinstance(error, _Retryable):
        return False
    return True if error.wait_s is None else error.wait_s


def _retry_after(response: requests.Response) -> float | None:
    """Seconds that the server asks for (RFC 9110, 10.2.3), with a bound; None if it does not."""
    value = response.headers.get("Retry-After", "").strip()
    if value.isdecimal():
        return min(float(value), RETRY_AFTER_MOST_S)
    try:
        when = email.utils.parsedate_to_datetime(value)
    except ValueError:
        return None
    when = when if when.tzinfo else when.replace(tzinfo=UTC)
    return min(max(0.0, (when - datetime.now(UTC)).total_seconds()), RETRY_AFTER_MOST_S)


def _problem(response: requests.Response) -> str:
    """The line of an RFC 9457 problem, or the status' own words."""
    try:
        problem = response.json()
    except requests.exceptions.JSONDecodeError:
        return response.reason or "no reason given"
    detail = problem.get("detail") if isinstance(problem, dict) else None
    return str(detail or response.reason)[:200]

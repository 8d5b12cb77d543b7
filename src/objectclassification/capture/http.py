"""Cameras behind ``http://``: a still picture for each snap, or an MJPEG stream.

The first answer decides, and is then used: asking twice would disturb a camera that serves one
viewer. An ``image/…`` answer is a still; a multipart one is a stream, whose pictures are kept as
they came, so that waiting costs no decoding. Anything else FFmpeg may know what to do with.
"""

from __future__ import annotations

import time
from urllib.parse import unquote, urlsplit, urlunsplit

import requests
from requests.auth import AuthBase, HTTPBasicAuth, HTTPDigestAuth
from urllib3.exceptions import HTTPError

from objectclassification.capture.jpegstream import Arrived, JpegStream
from objectclassification.capture.mjpeg import MAX_PICTURE_BYTES, NotAPicture, PictureSplitter
from objectclassification.capture.picture import sniff
from objectclassification.capture.source import STREAM_LATENCY_S, Frame, SourceSettings, Stamp
from objectclassification.capture.stream import StreamSource
from objectclassification.errors import CaptureError, SourceStalled, SourceUnavailable

CHUNK_BYTES = 64 * 2**10
STILL_S = 30.0
"""A picture that drips in for longer than this is given up."""


class HttpSource:
    """Whatever picture or stream an address answers with."""

    live = False
    warmup_s = 0.0

    def __init__(self, address: str, shown: str, settings: SourceSettings) -> None:
        self.notes: tuple[str, ...] = ()
        self.latency_s = settings.latency_s or 0.0
        self._address = address
        self._shown = shown
        self._settings = settings
        self._url, self._login = _without_login(address)
        self._session = requests.Session()
        # A camera stands in the local network: no proxy, and no login out of a .netrc.
        self._session.trust_env = False
        self._auth: AuthBase | None = None
        self._response: requests.Response | None = None
        self._pictures: JpegStream | None = None
        self._ffmpeg: StreamSource | None = None
        self._held: Arrived | None = None
        self._used = True
        self._sequence = 0

    def open(self) -> None:
        """Asks once, and settles what this is."""
        started = time.monotonic()
        response = self._get()
        media_type = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        first = self._chunk()
        text = first.lstrip()[:2] == b"--"
        if media_type.startswith("multipart/") or (text and not media_type.startswith("image/")):
            self._be_stream(first)
        elif media_type.startswith("image/") or sniff(first):
            self.live = False
            self._held, self._used = self._still(first, started), False
        elif media_type.startswith("text/"):
            raise SourceUnavailable(
                f"{self._shown} answers with {media_type}, not with a picture or a stream",
                source=self._shown,
            )
        else:
            self._hang_up()
            self._ffmpeg = StreamSource(self._address, self._shown, self._settings)
            self._ffmpeg.open()
            self.live, self.latency_s = True, self._ffmpeg.latency_s

    def grab(self) -> Stamp:
        """Takes the stream's next picture, or asks for a new still."""
        if self._ffmpeg:
            return self._ffmpeg.grab()
        if self._pictures:
            self._held = self._next_of(self._pictures)
        elif self._used or self._held is None:
            started = time.monotonic()
            self._get()
            self._held = self._still(self._chunk(), started)
        self._used = True
        return self._held.stamp

    def retrieve(self) -> Frame:
        """Returns the picture's own bytes."""
        if self._ffmpeg:
            return self._ffmpeg.retrieve()
        if self._held is None:
            raise CaptureError(f"{self._shown} gave no picture yet", source=self._shown)
        data = self._held.data
        return Frame(self._held.stamp, encoded=data, media_type=sniff(data))

    def close(self) -> None:
        """Hangs up; the next open starts anew."""
        self._hang_up()
        self._pictures = self._held = None
        if self._ffmpeg:
            self._ffmpeg.close()
            self._ffmpeg = None

    def _be_stream(self, first: bytes) -> None:
        self.live = True
        self.latency_s = (
            STREAM_LATENCY_S if self._settings.latency_s is None else self._settings.latency_s
        )
        ahead = [first]
        self._pictures = JpegStream(
            lambda: ahead.pop() if ahead else self._chunk(), self.latency_s, self._sequence
        )

    def _next_of(self, pictures: JpegStream) -> Arrived:
        try:
            arrived = pictures.next()
        except NotAPicture as exc:
            raise CaptureError(f"{self._shown} sent {exc}", source=self._shown) from exc
        if arrived is None:
            raise SourceStalled(f"{self._shown} ended its stream", source=self._shown)
        self._sequence = arrived.stamp.sequence
        return arrived

    def _still(self, first: bytes, started: float) -> Arrived:
        data = bytearray(first)
        while chunk := self._chunk():
            data += chunk
            if len(data) > MAX_PICTURE_BYTES:
                raise CaptureError(
                    f"{self._shown} sent more than {MAX_PICTURE_BYTES} bytes", source=self._shown
                )
            if time.monotonic() - started > STILL_S:
                raise SourceStalled(f"{self._shown} sends too slowly", source=self._shown)
        self._hang_up()
        picture = bytes(data)
        self._check_whole(picture)
        self._sequence += 1
        # No earlier than we asked, less what the camera states; no later than the answer was here.
        asked_at = started - self.latency_s
        return Arrived(
            picture, Stamp(asked_at, time.monotonic() - asked_at, "estimated", self._sequence)
        )

    def _check_whole(self, picture: bytes) -> None:
        media_type = sniff(picture)
        if media_type is None:
            raise CaptureError(
                f"{self._shown} answered with {len(picture)} bytes that are no picture",
                source=self._shown,
            )
        if media_type != "image/jpeg":
            return
        try:
            whole = any(True for _ in PictureSplitter().feed(picture))
        except NotAPicture:
            whole = False
        if not whole:
            raise CaptureError(f"{self._shown} sent a picture that is cut off", source=self._shown)

    def _get(self) -> requests.Response:
        self._hang_up()
        response = self._request()
        if response.status_code == 401 and self._login and self._auth is None:
            # Basic shows the password to whoever listens: only where the camera asks for it.
            digest = "digest" in response.headers.get("WWW-Authenticate", "").lower()
            self._auth = (HTTPDigestAuth if digest else HTTPBasicAuth)(*self._login)
            self._hang_up()
            response = self._request()
        if response.status_code != 200:
            self._hang_up()
            raise SourceUnavailable(
                f"{self._shown} answers {response.status_code} {response.reason}"
                + {401: ": wrong or missing user and password", 404: ": no such path"}.get(
                    response.status_code, ""
                ),
                source=self._shown,
            )
        return response

    def _request(self) -> requests.Response:
        try:
            self._response = self._session.get(
                self._url,
                auth=self._auth,
                stream=True,
                # A redirect would carry the login to where nobody meant it to go.
                allow_redirects=False,
                timeout=(self._settings.open_timeout_s, self._settings.read_timeout_s),
            )
        except requests.Timeout as exc:
            raise SourceStalled(f"{self._shown} does not answer", source=self._shown) from exc
        except requests.RequestException as exc:
            raise SourceUnavailable(
                f"{self._shown} cannot be reached ({_reason(exc)})", source=self._shown
            ) from exc
        return self._response

    def _chunk(self) -> bytes:
        """Returns what has arrived, without waiting for a whole buffer; nothing at the end."""
        if self._response is None:
            return b""
        try:
            return self._response.raw.read1(CHUNK_BYTES, decode_content=True) or b""
        except (HTTPError, OSError) as exc:
            raise SourceStalled(
                f"{self._shown} stopped sending ({_reason(exc)})", source=self._shown
            ) from exc

    def _hang_up(self) -> None:
        if self._response is not None:
            self._response.close()
            self._response = None


def _without_login(address: str) -> tuple[str, tuple[str, str] | None]:
    parts = urlsplit(address)
    if parts.username is None:
        return address, None
    host = parts.netloc.rpartition("@")[2]
    login = unquote(parts.username), unquote(parts.password or "")
    return urlunsplit(parts._replace(netloc=host)), login


def _reason(exc: Exception) -> str:
    """The innermost reason in a word: the outer texts repeat the whole address."""
    cause: BaseException = exc
    while (inner := cause.__cause__ or cause.__context__) is not None:
        cause = inner
    strerror = getattr(cause, "strerror", None)
    return strerror or type(cause).__name__

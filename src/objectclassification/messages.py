"""The wire protocol: typed messages, encode, decode; no I/O.

A WebSocket text frame whose first character is ``{`` is a JSON message with a ``type``; any other
text is a plain message, as in the seed. ``docs/protocol.md`` shows an example of each, and a test
reads them. Sizes are bounded here, so that nothing behind this module meets an unbounded value.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from objectclassification.bounds import check_small
from objectclassification.condition import Condition
from objectclassification.detection import check_options
from objectclassification.errors import BadMessage
from objectclassification.receipts import (
    Failure,
    Freshness,
    Origin,
    Shot,
    ShotError,
    Until,
)

MAX_MESSAGE_BYTES = 16_384
"""The longest message a hub reads."""
MAX_HUB_MESSAGE_BYTES = 1_048_576
"""The longest message a hub sends; what WebSocket libraries read unless told otherwise."""
MAX_CAMERAS = 64
"""The most cameras one connection serves; with names of 64 characters they fit one message."""
DEFAULT_DEADLINE_S = 10.0
MIN_DEADLINE_S, MAX_DEADLINE_S = 0.001, 86_400.0
DEFAULT_UNTIL: Until = "classified"

NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z"
SELECTOR_PATTERN = r"^(\*|@?[A-Za-z0-9][A-Za-z0-9._-]{0,63})\Z"
_ID_PATTERN = r"^[0-9A-Za-z][0-9A-Za-z_-]{0,63}\Z"
_NAME = re.compile(NAME_PATTERN)

Name = Annotated[str, Meta(pattern=NAME_PATTERN)]
Selector = Annotated[str, Meta(pattern=SELECTOR_PATTERN)]
Id = Annotated[str, Meta(pattern=_ID_PATTERN)]
Short = Annotated[str, Meta(max_length=256)]
Role = Literal["camera", "controller", "listener"]
Topic = Literal["snaps", "shots", "cameras", "pictures"]
Moment = Annotated[float, Meta(ge=0, le=253_402_300_799)]
"""Seconds since the epoch, UTC, up to the year 9999."""
DeadlineS = Annotated[float, Meta(ge=MIN_DEADLINE_S, le=MAX_DEADLINE_S)]
Stage = Annotated[str, Meta(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,31}\Z")]
Durations = Annotated[dict[Stage, Annotated[float, Meta(ge=0)]], Meta(max_length=16)]

PLAIN_SNAP = "snap"


class _Base(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="type"):
    """Frozen, tagged by ``type``; fields left at their default are not sent."""


class CameraOffer(msgspec.Struct, frozen=True, omit_defaults=True):
    """A camera that a camera program offers to serve."""

    name: Name
    groups: Annotated[tuple[Name, ...], Meta(max_length=16)] = ()
    source: Short = ""


class Hello(_Base, frozen=True, tag="hello"):
    """client → hub: who this is.

    Attributes:
        role: what the client wants to be.
        instance: the client's own id; the same one again replaces its old connection.
        version: the release of this package whose protocol it speaks; empty if it does not say.
        agent: what the client runs on.
        cameras: what a camera serves.
        knows: messages of the hub that came after the first ones, and that the client knows.
    """

    role: Role
    instance: Id
    version: Short = ""
    agent: Short = ""
    cameras: Annotated[tuple[CameraOffer, ...], Meta(max_length=MAX_CAMERAS)] = ()
    knows: Annotated[tuple[Name, ...], Meta(max_length=16)] = ()


class SnapRequest(_Base, frozen=True, tag="snap"):
    """controller → hub: take pictures.

    Attributes:
        to: ``*``, camera names and ``@group``.
        deadline_s: seconds after acceptance at which the snap ends at the latest.
        id: the caller's own id; the same one again returns the same receipt.
        until: the state at which a shot counts as answered.
        context: a small JSON object; stored, searchable, sent back.
        options: for the cameras and the classification.
    """

    to: Annotated[tuple[Selector, ...], Meta(min_length=1, max_length=256)]
    deadline_s: DeadlineS = DEFAULT_DEADLINE_S
    id: Id | None = None
    until: Until = DEFAULT_UNTIL
    context: dict[str, Any] = {}
    options: dict[str, Any] = {}


class Cancel(_Base, frozen=True, tag="cancel"):
    """controller → hub: end a snap now."""

    snap: Id


class Watch(_Base, frozen=True, tag="watch"):
    """client → hub: send me these events; an empty list ends it."""

    topics: Annotated[tuple[Topic, ...], Meta(max_length=8)]


class ShotReport(_Base, frozen=True, tag="shot"):
    """camera → hub: how far a shot has come.

    Attributes:
        snap: the snap's id; with ``origin: camera`` an id the camera made itself.
        camera: which of the connection's cameras.
        state: what the camera can know; ``uploaded`` comes from the API.
        camera_ms: durations by the camera's own clock.
        freshness: given with ``captured``.
        warnings: what was odd.
        error: given with ``failed``.
        origin: ``camera`` for a shot that nobody asked for (a timer, a motion sensor).
    """

    snap: Id
    camera: Name
    state: Literal["delivered", "captured", "failed"]
    camera_ms: Durations = {}
    freshness: Freshness | None = None
    warnings: Annotated[tuple[Short, ...], Meta(max_length=8)] = ()
    error: ShotError | None = None
    origin: Origin = "controller"


class Sleep(_Base, frozen=True, tag="sleep"):
    """camera → hub: absent on purpose until then (seconds since the epoch, UTC)."""

    camera: Name
    until: Moment


class Report(_Base, frozen=True, tag="report"):
    """camera → hub: the answer to ``inspect``.

    Attributes:
        id: of the ``inspect``.
        received_at: when that came, in seconds since the epoch by the camera's clock.
        sent_at: when this goes, by the same clock.
        condition: how the camera is.
    """

    id: Id
    received_at: Moment
    sent_at: Moment
    condition: Condition


ClientMessage = Hello | SnapRequest | Cancel | Watch | ShotReport | Sleep | Report


class CameraPlace(msgspec.Struct, frozen=True):
    """A served camera's slot.

    Attributes:
        name: the camera.
        snippet: its number on the API.
        upload: path to PUT pictures to; None at a hub alone.
    """

    name: str
    snippet: int
    upload: str | None


class SnapOrder(_Base, frozen=True, tag="snap"):
    """hub → camera: take a picture now.

    Attributes:
        id: the snap's id.
        camera: which of the connection's cameras.
        deadline_s: seconds left when this was sent.
        options: from the request.
    """

    id: str
    camera: str
    deadline_s: float
    options: dict[str, Any] = {}


class Inspect(_Base, frozen=True, tag="inspect"):
    """hub → camera: say how you are; only to those whose ``hello`` says that they know it.

    Attributes:
        id: comes back in the ``report``.
        camera: which of the connection's cameras.
    """

    id: str
    camera: str


INSPECT = "inspect"
"""What a camera's ``hello`` knows if it answers :class:`Inspect`."""


class Welcome(_Base, frozen=True, tag="welcome"):
    """hub → client: the hello was taken.

    Attributes:
        heartbeat_s: seconds between the hub's pings; three missed ones end the connection.
        cameras: a camera's slots.
        pending: a camera's snaps that are still open.
    """

    heartbeat_s: float
    cameras: tuple[CameraPlace, ...] = ()
    pending: tuple[SnapOrder, ...] = ()


class Accepted(_Base, frozen=True, tag="accepted"):
    """hub → controller: the snap is stored and on its way to these cameras."""

    snap: str
    cameras: tuple[str, ...]


class Shots(_Base, frozen=True, tag="shots"):
    """hub → controller: the newest state of each shot that moved."""

    snap: str
    shots: tuple[Shot, ...]


class Done(_Base, frozen=True, tag="done"):
    """hub → controller: the snap ended; exactly one for each snap."""

    snap: str
    answered: int
    failed: int
    missing: int
    elapsed_ms: float


class Problem(_Base, frozen=True, tag="error"):
    """hub → anyone: that did not work.

    Attributes:
        code: stable name.
        detail: one line for a person.
        re: the id or snap it is about.
    """

    code: str
    detail: str
    re: str | None = None


class Event(_Base, frozen=True, tag="event"):
    """hub → those who watch, and listeners for the topic ``snaps``.

    Attributes:
        topic: what it is about.
        name: what happened, in the past tense.
        data: ids and labels, never image bytes.
    """

    topic: Topic
    name: str
    data: dict[str, Any] = {}


HubMessage = Welcome | SnapOrder | Inspect | Accepted | Shots | Done | Problem | Event

_client_decoder = msgspec.json.Decoder(ClientMessage)
_request_decoder = msgspec.json.Decoder(SnapRequest)
_hub_decoder = msgspec.json.Decoder(HubMessage)
_encoder = msgspec.json.Encoder()
_HEAD = msgspec.json.Decoder(dict[str, msgspec.Raw])
_ID_DECODER: msgspec.json.Decoder[str] = msgspec.json.Decoder(Annotated[str, Meta(max_length=64)])


def encode(message: ClientMessage | HubMessage) -> bytes:
    """Returns the message as one JSON text frame, UTF-8."""
    return _encoder.encode(message)


def decode_client(frame: bytes) -> ClientMessage | str:
    """Reads a text frame that came from a client.

    Args:
        frame: the frame's payload.

    Returns:
        The message, or a plain message's text.

    Raises:
        BadMessage: whatever else is wrong with it.
    """
    plain = _plain(frame, MAX_MESSAGE_BYTES)
    if plain is not None:
        return plain
    message: ClientMessage = _decode(_client_decoder, frame)
    if isinstance(message, SnapRequest):
        _check_request(message)
    elif isinstance(message, ShotReport) and (message.state == "failed") != bool(message.error):
        raise BadMessage("a shot has an error exactly when its state is failed", re=message.snap)
    return message


def read_snap_request(body: bytes) -> SnapRequest:
    """Reads a snap request that came over HTTP: the message without its ``type``.

    Raises:
        BadMessage: it cannot be used.
    """
    request: SnapRequest = _decode(_request_decoder, body)
    _check_request(request)
    return request


def decode_hub(frame: bytes) -> HubMessage | str:
    """Reads a text frame that came from a hub.

    Args:
        frame: the frame's payload.

    Returns:
        The message, or a plain message's text.

    Raises:
        BadMessage: whatever else is wrong with it.
    """
    plain = _plain(frame, MAX_HUB_MESSAGE_BYTES)
    if plain is not None:
        return plain
    message: HubMessage = _decode(_hub_decoder, frame)
    return message


def is_name(text: str) -> bool:
    """Whether this can be the name of a camera or a group."""
    return _NAME.match(text) is not None


def failure(code: Failure, detail: str) -> ShotError:
    """Returns a shot's error with its text cut to what a message carries."""
    return ShotError(code=code, detail=detail[:256])


def _plain(frame: bytes, limit: int) -> str | None:
    if len(frame) > limit:
        raise BadMessage(f"a message of {len(frame)} bytes; at most {limit} are read")
    if frame.lstrip()[:1] == b"{":
        return None
    try:
        return frame.decode()
    except UnicodeDecodeError as exc:
        raise BadMessage("a text frame that is not UTF-8") from exc


def _decode(decoder: msgspec.json.Decoder[Any], frame: bytes) -> Any:
    try:
        return decoder.decode(frame)
    except msgspec.ValidationError as exc:
        raise BadMessage(f"a message we cannot use: {exc}"[:256], re=_named(frame)) from exc
    except (msgspec.DecodeError, UnicodeDecodeError) as exc:
        raise BadMessage(f"not a whole JSON object: {exc}"[:256]) from exc
    except RecursionError as exc:
        raise BadMessage("a JSON object that is nested too deeply") from exc


def _named(frame: bytes) -> str | None:
    """The id a refused message named, so that its sender knows which one it was."""
    try:
        head = _HEAD.decode(frame)
        for key in ("id", "snap"):
            if key in head:
                return _ID_DECODER.decode(head[key])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    return None


def _check_request(request: SnapRequest) -> None:
    check_small("context", request.context, request.id)
    check_options(request.options, request.id)

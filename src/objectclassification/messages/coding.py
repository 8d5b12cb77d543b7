"""Messages to frames, and back; no I/O."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from objectclassification.bounds import check_small
from objectclassification.detection import check_options
from objectclassification.errors import BadMessage
from objectclassification.messages.clients import ClientMessage, ShotReport, Sleep, SnapRequest
from objectclassification.messages.fields import MAX_HUB_MESSAGE_BYTES, MAX_MESSAGE_BYTES
from objectclassification.messages.hub import HubMessage
from objectclassification.shot_options import check_shot_options

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
    elif isinstance(message, Sleep) and (message.until is None) == (message.in_s is None):
        raise BadMessage("a camera sleeps either until a time or in_s seconds")
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
    check_shot_options(request.options, request.id)
    if request.ttl_s is None:
        if request.policy != "all":
            raise BadMessage("policy is for a snap that waits: give ttl_s, too", re=request.id)
    elif request.at is not None or request.in_s is not None:
        raise BadMessage(
            "a snap that waits for cameras cannot have them expose together: leave out ttl_s, "
            "or at and in_s",
            re=request.id,
        )
    elif request.ttl_s < request.deadline_s:
        raise BadMessage(
            f"ttl_s is the whole time of the snap: {request.ttl_s:g} s is shorter than its "
            f"deadline_s of {request.deadline_s:g} s",
            re=request.id,
        )

"""The controller: asks for a snap and follows it to its end."""

from __future__ import annotations

import asyncio
import platform
from collections.abc import Callable

import msgspec
from uuid_utils import uuid7

from objectclassification import __version__
from objectclassification.client.link import Link
from objectclassification.config import Connection
from objectclassification.errors import (
    Conflict,
    Forbidden,
    NotFound,
    ObjectClassificationError,
    RateLimited,
    RequestError,
    TimedOut,
)
from objectclassification.messages import (
    Accepted,
    Done,
    Hello,
    HubMessage,
    Problem,
    Shots,
    SnapRequest,
    Welcome,
)
from objectclassification.receipts import Shot
from objectclassification.skew import Together, together

PATIENCE_S = 2.0
"""To reach the server at all."""
GRACE_S = 10.0
"""After the deadline, for the hub's last word."""

_KINDS: dict[str, type[ObjectClassificationError]] = {
    "forbidden": Forbidden,
    "not_found": NotFound,
    "conflict": Conflict,
}


class Snapped(msgspec.Struct, frozen=True):
    """What a snap came to, as ``objectclassification snap --json`` prints it.

    Attributes:
        snap: its id.
        answered: shots that got as far as was asked.
        failed: shots that failed for a reason of their own.
        missing: shots that failed as ``offline``, ``timeout`` or ``not_awaited``.
        elapsed_ms: from acceptance to the end, by the hub's clock.
        context: the caller's own.
        shots: by camera name.
        skew: of a snap with a moment, how well all were exposed together, if that is known.
    """

    snap: str
    answered: int
    failed: int
    missing: int
    elapsed_ms: float
    context: dict[str, object]
    shots: tuple[Shot, ...]
    skew: Together | None = None


def controller_link(connection: Connection, *, patience_s: float | None = None) -> Link:
    """Returns a link that says it is a controller, under an id of its own.

    Args:
        connection: where to, and with which token.
        patience_s: to reach the server at all; for ever if None.
    """
    hello = Hello(
        role="controller",
        instance=str(uuid7()),
        version=__version__,
        agent=f"{platform.system()} {platform.machine()}",
    )
    return Link(
        connection.url,
        hello,
        token=connection.token,
        ca=connection.ca,
        pins=True,
        origin=connection.origin,
        patience_s=patience_s,
    )


async def snap(
    connection: Connection,
    request: SnapRequest,
    on_change: Callable[[dict[str, Shot]], None] = lambda shots: None,
) -> Snapped:
    """Asks for pictures and returns when the snap is done.

    A connection that breaks is made anew; the snap keeps its id, so it is the same one.

    Args:
        connection: which server, and as whom.
        request: what is wanted; an id is made when it has none.
        on_change: called with every shot so far whenever one of them moved.

    Raises:
        ServerUnreachable: the server does not answer.
        TimedOut: the hub did not end the snap soon after its deadline.
        Unauthorized, Forbidden, NotFound, Conflict, RequestError: the hub's no.
    """
    if request.id is None:
        request = msgspec.structs.replace(request, id=str(uuid7()))
    link = controller_link(connection, patience_s=PATIENCE_S)
    origin = connection.origin
    shots: dict[str, Shot] = {}
    lasts_s = request.deadline_s if request.ttl_s is None else request.ttl_s
    most_s = PATIENCE_S + lasts_s + GRACE_S
    try:
        async with asyncio.timeout(most_s) as limit, link:
            async for message in link:
                if isinstance(message, Welcome):
                    await link.send(request)
                elif isinstance(message, Accepted) and message.shoots_in_s:
                    _take(message, str(request.id), shots, origin)
                    # The hub's word: our own clock may say another time than its.
                    most_s = message.shoots_in_s + request.deadline_s + GRACE_S
                    limit.reschedule(asyncio.get_running_loop().time() + most_s)
                elif (done := _take(message, str(request.id), shots, origin)) is not None:
                    return _snapped(done, request, shots)
                on_change(shots)
    except TimeoutError as exc:
        raise TimedOut(f"the hub did not end the snap in {most_s:g} s", after_s=most_s) from exc
    raise AssertionError("a link ends only with an error")


def _take(message: HubMessage, snap_id: str, shots: dict[str, Shot], origin: str) -> Done | None:
    """Takes a message into the shots; returns the end when it is one."""
    match message:
        case Accepted(snap=id_) if id_ == snap_id:
            for name in message.cameras:
                shots.setdefault(name, Shot(camera=name, state="requested"))
        case Shots(snap=id_) if id_ == snap_id:
            shots.update((shot.camera, shot) for shot in message.shots)
        case Done(snap=id_) if id_ == snap_id:
            return message
        case Problem(code="rate_limited", re=id_) if id_ in (snap_id, None):
            raise RateLimited(message.detail, retry_after_s=message.retry_after_s or 1)
        case Problem(re=id_) if id_ in (snap_id, None):
            about_token = origin if message.code == "forbidden" else ""
            raise _KINDS.get(message.code, RequestError)(message.detail + about_token)
    return None


def _snapped(done: Done, request: SnapRequest, shots: dict[str, Shot]) -> Snapped:
    ordered = tuple(shots[name] for name in sorted(shots))
    return Snapped(
        snap=done.snap,
        answered=done.answered,
        failed=done.failed,
        missing=done.missing,
        elapsed_ms=done.elapsed_ms,
        context=request.context,
        shots=ordered,
        skew=together(shot.skew for shot in ordered),
    )

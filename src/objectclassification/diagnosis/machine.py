"""Checks of any machine: its cameras, its clock, and the server it talks to."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Final

from objectclassification.capture.devices import list_devices
from objectclassification.client.http import Http
from objectclassification.config import Connection
from objectclassification.diagnosis import Check
from objectclassification.errors import (
    Forbidden,
    NotFound,
    ObjectClassificationError,
    Unauthorized,
)
from objectclassification.trust import UntrustedServer, WrongScheme

MADE_AT: Final = datetime(2026, 1, 1, tzinfo=UTC).timestamp()
"""This program is younger than that; a clock that is behind it was never set."""


def clock() -> Check:
    """Whether the clock was ever set: a Raspberry Pi without a network wakes in the past."""
    now = datetime.now(UTC).isoformat(timespec="seconds")
    if time.time() < MADE_AT:
        return Check("clock", "fail", f"it says {now}", "set it: `timedatectl set-ntp true`")
    return Check("clock", "ok", f"it says {now}")


def camera() -> Check:
    """This machine's own cameras."""
    found = list_devices()
    bad = [device for device in found if device.problem]
    if bad:
        return Check("camera", "warn", f"{bad[0].name}: {bad[0].problem}", "see `devices`")
    if not found:
        return Check("camera", "ok", "none at this machine itself (network cameras need none)")
    return Check("camera", "ok", ", ".join(f"{device.name} ({device.source})" for device in found))


def engines(connection: Connection) -> Check | None:
    """Whether the engines of the server's models answer; None if it has none, or does not say."""
    try:
        with Http(connection) as http:
            found = [row for row in http.json("GET", "/api/models") if row.get("address")]
    except ObjectClassificationError:
        return None  # what is wrong with the server is another check's
    if not found:
        return None
    away = [f"{row['id']}: {row['away']}" for row in found if row["away"]]
    if away:
        todo = "start it; pictures wait for it, or have their cameras use another: `models use`"
        return Check("engines", "warn", "; ".join(away), todo)
    return Check("engines", "ok", f"ready with {', '.join(row['id'] for row in found)}")


def server(connection: Connection) -> Check:
    """Whether the server answers, and takes this account's token."""
    try:
        with Http(connection) as http:
            http.content("/healthz")
            try:
                http.json("GET", "/api/cameras")
            except Forbidden:
                return Check(
                    "server", "ok", f"{connection.url} answers, and takes a camera's token"
                )
    except Unauthorized:
        found = f"{connection.url} answers, but takes no token that this account has"
        todo = f"run `objectclassification login {connection.url}`"
        return Check("server", "fail", found, todo)
    except NotFound:
        found = f"{connection.url} answers, and has no API: a hub alone, or another program"
        return Check("server", "warn", found, "nothing, if it is a hub alone; else see --server")
    except (UntrustedServer, WrongScheme) as exc:  # they say themselves what to do
        return Check("server", "fail", exc.detail)
    except ObjectClassificationError as exc:
        todo = "start it, or name another with --server or OBJECTCLASSIFICATION_SERVER"
        return Check("server", "fail", exc.detail, todo)
    return Check("server", "ok", f"{connection.url} answers, and takes the token")

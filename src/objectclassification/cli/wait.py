"""``objectclassification wait``."""

from __future__ import annotations

from contextlib import suppress
from typing import Annotated

import typer

from objectclassification.cli import options


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command()(wait)


def wait(
    timeout: Annotated[
        float | None, typer.Option(metavar="S", min=0, help="Give up after so many seconds.")
    ] = None,
    server: options.Server = None,
    token_file: options.TokenFile = None,
    ca: options.Ca = None,
) -> None:
    """Wait for a snap; exit 0 when one comes, 75 when time is over, 69 without a server."""
    from objectclassification.cli import logs
    from objectclassification.client.client import Client
    from objectclassification.client.http import Http
    from objectclassification.config import find_connection
    from objectclassification.errors import AuthError, RequestError

    logs.configure("warning")
    connection = find_connection(server, token_file, ca)
    # The client would try for ever: who typed a wrong address is told now.
    with Http(connection) as http, suppress(AuthError, RequestError):  # a hub alone has no API
        http.content("/healthz")
    with Client(connection.url, connection.token, ca=connection.ca) as client:
        client.wait_for_snap(timeout)
    print("snap")

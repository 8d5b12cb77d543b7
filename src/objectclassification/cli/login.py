"""``objectclassification login``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from objectclassification.cli.options import Ca


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command()(login)


def login(
    url: Annotated[
        str, typer.Argument(metavar="URL", help="The server's address, with or without ?token=…")
    ],
    token_file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="File that holds the token.")
    ] = None,
    ca: Ca = None,
) -> None:
    """Store a server and its token for this account.

    It asks for the token when it is not given.
    """
    from objectclassification.client.http import Http
    from objectclassification.config import Connection, find_connection, remember, split_token
    from objectclassification.errors import ConfigurationError, Forbidden, NotFound
    from objectclassification.trust import Trust

    plain, token = split_token(url)
    # First, so that its fingerprint is on the screen before a token is typed.
    Trust(plain, ca, pins=True).settle()
    if token_file is not None or token is None:
        token = _ask() if token_file is None else find_connection(plain, token_file).token
    connection = Connection(plain, token, ca)
    with Http(connection) as http:
        try:
            http.json("GET", "/api/cameras")
        except Forbidden:  # a camera's token: good, and may not read
            pass
        except NotFound as exc:
            raise ConfigurationError(
                f"{plain} is no server, or a hub alone, which has nothing to log in to: "
                "give its address and --token-file to each command"
            ) from exc
    file = remember(connection)
    print(f"Logged in to {plain}; the token is in {file}")


def _ask() -> str:
    """The token from the terminal without an echo, or the first line of a pipe."""
    if sys.stdin.isatty():
        answer: str = typer.prompt("Token", hide_input=True)
        return answer.strip()
    return sys.stdin.readline().strip()

"""``objectclassification login``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from objectclassification.cli.options import Ca

if TYPE_CHECKING:
    from objectclassification.config import Connection


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
    from objectclassification.config import Connection, find_connection, remember, split_token
    from objectclassification.config.pins import undone_on_failure

    plain, token = split_token(url)
    with undone_on_failure(plain):
        # First, so that its fingerprint is on the screen before a token is typed.
        _introduce(plain, ca)
        if token_file is not None or token is None:
            token = _ask() if token_file is None else find_connection(plain, token_file).token
        connection = Connection(plain, token, ca)
        _try(connection)
        file = remember(connection)
    print(f"Logged in to {plain}; the token is in {file}")


def _introduce(url: str, ca: Path | None) -> None:
    """Shows the fingerprint of a server's own authority, for a person to compare."""
    from objectclassification.config.pins import read_pin
    from objectclassification.trust import Trust, introduction

    def show(lines: str) -> None:
        print(lines, file=sys.stderr, flush=True)

    is_new = Trust(url, ca, pins=True, tell=show).settle()
    known = read_pin(url) if url.startswith("https:") and ca is None else None
    if known is not None and not is_new:
        show(introduction(url, known))


def _try(connection: Connection) -> None:
    """Raises unless the server takes the token."""
    from objectclassification.client.http import Http
    from objectclassification.errors import ConfigurationError, Forbidden, NotFound, Unauthorized

    with Http(connection) as http:
        try:
            http.json("GET", "/api/cameras")
        except Forbidden:  # a camera's token: good, and may not read
            pass
        except Unauthorized as exc:
            if connection.token:
                raise
            raise Unauthorized("give the token on standard input, or with --token-file") from exc
        except NotFound as exc:
            raise ConfigurationError(
                f"{connection.url} is no server, or a hub alone, which has nothing to log in to: "
                "give its address and --token-file to each command"
            ) from exc


def _ask() -> str:
    """The token from the terminal without an echo, or the first line of a pipe."""
    if sys.stdin.isatty():
        answer: str = typer.prompt("Token", hide_input=True)
        return answer.strip()
    return sys.stdin.readline().strip()

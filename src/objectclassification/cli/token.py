"""``objectclassification token add|list|revoke``."""

from __future__ import annotations

import io
import json as jsonlib
import sys
from contextlib import suppress
from typing import Annotated, Any

import typer

from objectclassification.cli.options import AsJson, Ca, Server, TokenFile
from objectclassification.cli.tables import Rows, new_console


def register(app: typer.Typer) -> None:
    """Adds the group of commands."""
    group = typer.Typer(help="Who may come in: add, list and revoke tokens.", no_args_is_help=True)
    group.command()(add)
    group.command("list")(list_)
    group.command()(revoke)
    app.add_typer(group, name="token")


def add(
    camera: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="For this camera; may be given more than once."),
    ] = None,
    phone: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="For this camera, on a phone: shows a code to scan."),
    ] = None,
    role: Annotated[
        str | None, typer.Option(metavar="ROLE", help="viewer, operator or admin.")
    ] = None,
    name: Annotated[str, typer.Option(metavar="TEXT", help="What to call it in the list.")] = "",
    json: AsJson = False,
    server: Server = None,
    token_file: TokenFile = None,
    ca: Ca = None,
) -> None:
    """Make a token.

    For a camera with --camera NAME, for a person or a script with --role ROLE. With --phone NAME
    the phone itself gets the token, once it has opened the link.
    """
    from objectclassification.auth import parse_role
    from objectclassification.client.http import Http
    from objectclassification.config import find_connection
    from objectclassification.messages import is_name

    names = [*(camera or ()), *([] if phone is None else [phone])]
    for wrong in (one for one in names if not is_name(one)):
        raise typer.BadParameter(
            f"{wrong!r} cannot be a name: it has at most 64 letters, digits, dots, underscores and "
            "dashes, and begins with a letter or a digit"
        )
    if [bool(camera), phone is not None, role in ("viewer", "operator", "admin")].count(True) != 1:
        raise typer.BadParameter(
            "give either --camera NAME, --phone NAME or --role viewer|operator|admin"
        )
    if phone is not None:
        with Http(find_connection(server, token_file, ca)) as http:
            _show_join(http.json("POST", "/api/joins", {"camera": phone}), json=json)
        return
    wanted = {"role": "camera" if camera else parse_role(role or ""), "name": name}
    with Http(find_connection(server, token_file, ca)) as http:
        made = http.json("POST", "/api/tokens", {**wanted, "cameras": camera or []})
    if json:
        print(jsonlib.dumps(made))
        return
    print(made["token"])
    typer.echo(
        f"This token is not shown again. Revoke it with: objectclassification token revoke "
        f"{made['id']}",
        err=True,
    )


def _show_join(join: dict[str, Any], *, json: bool) -> None:
    if json:
        print(jsonlib.dumps(join))
        return
    if sys.stdout.isatty():
        _draw(join["link"])
    print(join["link"])
    typer.echo(
        f"Scan this with the phone, or open the link there: it becomes the camera "
        f"{join['camera']}. It works once, until {join['expires_at'][11:16]} UTC.",
        err=True,
    )
    if join["trust"]:
        typer.echo(f"If the phone warns of the certificate: {join['trust']}", err=True)
    if join["warning"]:
        typer.echo(f"As things are, no phone can: {join['warning']}", err=True)


def _draw(link: str) -> None:
    """The link as a QR code, where the terminal has the characters for it."""
    import segno

    drawn = io.StringIO()
    segno.make(link, error="m").terminal(drawn, border=2, compact=True)
    with suppress(UnicodeEncodeError):
        print(drawn.getvalue())


def list_(
    json: AsJson = False, server: Server = None, token_file: TokenFile = None, ca: Ca = None
) -> None:
    """List the tokens that are good."""
    from objectclassification.client.http import Http
    from objectclassification.config import find_connection

    with Http(find_connection(server, token_file, ca)) as http:
        found = http.json("GET", "/api/tokens")
    if json:
        print(jsonlib.dumps(found))
        return
    rows = [
        (row["id"], row["role"], ", ".join(row["cameras"]), row["name"], row["created_at"][:10])
        for row in found
    ]
    columns = ("id", "role", "cameras", "name", "made at")
    new_console().print(Rows(columns, rows, whole=("id",)))


def revoke(
    token_id: Annotated[str, typer.Argument(metavar="ID", help="As `token list` shows it.")],
    server: Server = None,
    token_file: TokenFile = None,
    ca: Ca = None,
) -> None:
    """Make a token bad for good; its connections are closed at once."""
    from objectclassification.client.http import Http
    from objectclassification.config import find_connection

    with Http(find_connection(server, token_file, ca)) as http:
        http.json("DELETE", f"/api/tokens/{token_id}")
    print("revoked; its connections are closed")

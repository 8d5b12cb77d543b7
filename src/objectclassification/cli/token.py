"""``objectclassification token add|list|revoke``."""

from __future__ import annotations

import json as jsonlib
from typing import Annotated

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

    For a camera with --camera NAME, for a person or a script with --role ROLE.
    """
    from objectclassification.auth import parse_role
    from objectclassification.client.http import Http
    from objectclassification.config import find_connection
    from objectclassification.messages import is_name

    for wrong in (one for one in camera or () if not is_name(one)):
        raise typer.BadParameter(
            f"{wrong!r} cannot be a name: it has at most 64 letters, digits, dots, underscores and "
            "dashes, and begins with a letter or a digit"
        )
    if bool(camera) == (role in ("viewer", "operator", "admin")):
        raise typer.BadParameter("give either --camera NAME or --role viewer|operator|admin")
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

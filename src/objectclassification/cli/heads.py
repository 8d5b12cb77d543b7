"""``objectclassification heads list|show|activate|rollback|suggest``."""

from __future__ import annotations

import json as jsonlib
from typing import Annotated, Any

import typer

from objectclassification.cli.options import AsJson, Ca, Server, TokenFile
from objectclassification.cli.tables import Rows, new_console

Head = Annotated[str, typer.Argument(metavar="HEAD", help="The question, such as valve.")]


def register(app: typer.Typer) -> None:
    """Adds the group of commands."""
    group = typer.Typer(help="What was taught, and which of it answers.", no_args_is_help=True)
    group.command("list")(list_)
    group.command()(show)
    group.command()(activate)
    group.command()(rollback)
    group.command()(suggest)
    app.add_typer(group, name="heads")


def list_(
    json: AsJson = False, server: Server = None, token_file: TokenFile = None, ca: Ca = None
) -> None:
    """List the heads, and which version of each answers."""
    found = _call(server, token_file, ca, "GET", "")
    if json:
        print(jsonlib.dumps(found))
        return
    if not found:
        typer.echo("nothing was taught yet: objectclassification teach --help", err=True)
        return
    rows = []
    for row in found:
        labels = ", ".join(f"{name} {number}" for name, number in row["labels"].items())
        on = "no" if row["active"] is None else f"version {row['active']}"
        if row["stale"]:
            on += f": STALE, {row['stale_because'] or 'taught on another model'}"
        rows.append((row["name"], labels, row["versions"], on))
    new_console().print(Rows(("head", "labels", "versions", "answers"), rows))


def show(
    head: Head,
    version: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="The newest by default.")
    ] = None,
    json: AsJson = False,
    server: Server = None,
    token_file: TokenFile = None,
    ca: Ca = None,
) -> None:
    """Show a version with its evidence."""
    from objectclassification.cli.evidence import show_version

    path = "/versions?limit=1" if version is None else f"/versions/{version}"
    found = _call(server, token_file, ca, "GET", path, head)
    newest = found[0] if version is None else found
    if json:
        print(jsonlib.dumps(newest))
    else:
        show_version(newest)


def activate(
    head: Head,
    version: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="The newest by default.")
    ] = None,
    json: AsJson = False,
    server: Server = None,
    token_file: TokenFile = None,
    ca: Ca = None,
) -> None:
    """Have a version answer from now on."""
    if version is None:
        version = _call(server, token_file, ca, "GET", "/versions?limit=1", head)[0]["number"]
    found = _call(server, token_file, ca, "POST", "/activate", head, {"version": version})
    if json:
        print(jsonlib.dumps(found))
    else:
        print(f"{head}: version {found['number']} answers")


def rollback(
    head: Head,
    json: AsJson = False,
    server: Server = None,
    token_file: TokenFile = None,
    ca: Ca = None,
) -> None:
    """Have the version answer that did before."""
    found = _call(server, token_file, ca, "POST", "/rollback", head)
    if json:
        print(jsonlib.dumps(found))
    elif found["active"] is None:
        print(f"{head}: no version answers")
    else:
        print(f"{head}: version {found['active']} answers")


def suggest(
    head: Head,
    camera: Annotated[
        str | None, typer.Option(metavar="NAME", help="Only of this camera's pictures.")
    ] = None,
    limit: Annotated[int, typer.Option(metavar="N", min=1, max=100, help="How many.")] = 10,
    json: AsJson = False,
    server: Server = None,
    token_file: TokenFile = None,
    ca: Ca = None,
) -> None:
    """Say which pictures to label next.

    By turns the closest calls, and those most different from all that are labelled.
    """
    from urllib.parse import urlencode

    wanted = {"limit": limit} | ({"camera": camera} if camera else {})
    found = _call(server, token_file, ca, "GET", f"/suggestions?{urlencode(wanted)}", head)
    if json:
        print(jsonlib.dumps(found))
        return
    rows = []
    for row in found:
        margin = None if row["margin"] is None else f"{row['margin']:.2f}"
        rows.append((row["picture"], row["camera"], row["why"], row["said"], margin))
    columns = ("picture", "camera", "why", "says now", "margin")
    new_console().print(Rows(columns, rows, right=("margin",), whole=("picture",)))


def _call(
    server: str | None,
    token_file: Any,
    ca: Any,
    method: str,
    path: str,
    head: str = "",
    body: Any = None,
) -> Any:
    from objectclassification.cli.label import path_part
    from objectclassification.client.http import Http
    from objectclassification.config import find_connection

    where = f"/api/heads/{path_part(head)}{path}" if head else "/api/heads"
    with Http(find_connection(server, token_file, ca)) as http:
        return http.json(method, where, body)

"""``objectclassification similar``: the pictures on a server that look most like one."""

from __future__ import annotations

import json as jsonlib
from typing import Annotated, Any
from urllib.parse import quote, urlencode

import typer

from objectclassification.cli.options import AsJson, Ca, Server, TokenFile


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command()(similar)


def similar(
    picture: Annotated[
        str, typer.Argument(metavar="PICTURE", help="The id of a picture, as receipts have it.")
    ],
    limit: Annotated[
        int, typer.Option(metavar="N", min=1, max=100, help="How many pictures to show.")
    ] = 10,
    camera: Annotated[
        str | None, typer.Option(metavar="NAME", help="Only pictures of this camera.")
    ] = None,
    json: AsJson = False,
    server: Server = None,
    token_file: TokenFile = None,
    ca: Ca = None,
) -> None:
    """Find the pictures that look most like one.

    All pictures on the server are compared, by what the model saw on them.
    """
    from objectclassification.client.http import Http
    from objectclassification.config import find_connection

    query = {"limit": limit} | ({} if camera is None else {"camera": camera})
    with Http(find_connection(server, token_file, ca)) as http:
        path = f"/api/pictures/{quote(picture, safe='')}/similar?{urlencode(query)}"
        found = http.json("GET", path)
    if json:
        print(jsonlib.dumps(found))
    else:
        _show(found)


def _show(found: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Column, Table
    from rich.text import Text

    table = Table(
        Column("similarity", justify="right"),
        Column("picture", no_wrap=True),
        *("camera", "captured at", "label"),
        box=None,
        pad_edge=False,
    )
    for one in found["similar"]:
        picture = one["picture"]
        label = picture["predictions"][0]["label"] if picture["predictions"] else ""
        # As texts: brackets in a name are no markup.
        cells = (picture["camera"] or "", picture["captured_at"], label)
        table.add_row(f"{one['similarity']:.3f}", picture["id"], *map(Text, cells))
    console = Console()
    console.print(table)
    console.print(f"compared with {found['compared']} pictures", highlight=False)

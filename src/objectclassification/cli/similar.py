"""``objectclassification similar``: the pictures on a server that look most like one."""

from __future__ import annotations

import json as jsonlib
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote, urlencode

import typer

from objectclassification.cli.options import AsJson, Ca, Server, TokenFile
from objectclassification.cli.tables import Rows, new_console

MOST_BYTES = 2**28
"""Far more than a server takes: what is larger is no picture, and is not read for nothing."""


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command()(similar)


def similar(
    picture: Annotated[
        str,
        typer.Argument(
            metavar="PICTURE|FILE",
            help="The id of a picture, as receipts have it, or an image on this machine.",
        ),
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

    All pictures on the server are compared, by what the model saw on them. A file is sent to the
    server, which looks at it and does not keep it.
    """
    from objectclassification.client.http import Http
    from objectclassification.config import find_connection

    query = {"limit": limit} | ({} if camera is None else {"camera": camera})
    content = _read(picture)
    with Http(find_connection(server, token_file, ca)) as http:
        if content is None:
            path = f"/api/pictures/{quote(picture, safe='')}/similar?{urlencode(query)}"
            found = http.json("GET", path)
        else:
            found = http.send("POST", f"/api/similar?{urlencode(query)}", content)
    if json:
        print(jsonlib.dumps(found))
    else:
        _show(found)


def _read(picture: str) -> bytes | None:
    """The bytes of a file; None if it is no file's name, and so a picture's id."""
    from objectclassification.errors import NotFound, TooLarge

    try:
        file = Path(picture)
        if not file.is_file() and file.exists():
            raise NotFound(f"{picture} is no file")
        if file.stat().st_size > MOST_BYTES:
            limit = MOST_BYTES // 2**20
            raise TooLarge(f"{picture} is over {limit} MiB", limit=MOST_BYTES, unit="bytes")
        return file.read_bytes()
    except FileNotFoundError as exc:
        if "." in picture or "/" in picture:  # no id has these
            raise NotFound(f"there is no file {picture}") from exc
        return None
    except (OSError, ValueError) as exc:
        raise NotFound(f"cannot read the file {picture}: {exc}") from exc


def _show(found: dict[str, Any]) -> None:
    rows = []
    for one in found["similar"]:
        picture = one["picture"]
        label = picture["predictions"][0]["label"] if picture["predictions"] else ""
        captured = picture["captured_at"].replace("T", " ")
        similarity = f"{one['similarity']:.3f}"
        rows.append((similarity, picture["id"], picture["camera"], captured, label))
    columns = ("similarity", "picture", "camera", "captured at", "label")
    console = new_console()
    console.print(Rows(columns, rows, right=("similarity",), whole=("picture",)))
    console.print(f"compared with {found['compared']} pictures")

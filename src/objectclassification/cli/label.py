"""``objectclassification label``."""

from __future__ import annotations

import json as jsonlib
from typing import Annotated

import typer

from objectclassification.cli.options import AsJson, Ca, Server, TokenFile


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command()(label)


def label(
    pictures: Annotated[list[str], typer.Argument(metavar="PICTURE", help="Ids of pictures.")],
    class_: Annotated[
        str | None,
        typer.Option("--class", metavar="TEXT", help="The right answer, in any script."),
    ] = None,
    head: Annotated[
        str,
        typer.Option(
            metavar="NAME", help="The question, such as valve; without it: what is on it."
        ),
    ] = "",
    remove: Annotated[bool, typer.Option("--remove", help="Take the label away.")] = False,
    json: AsJson = False,
    server: Server = None,
    token_file: TokenFile = None,
    ca: Ca = None,
) -> None:
    """Say what is on pictures, or what a head should answer for them.

    Pictures with a label are kept.
    """
    from objectclassification.client.http import Http
    from objectclassification.config import find_connection

    if (class_ is None) != remove:
        raise typer.BadParameter("give either --class TEXT or --remove")
    answers = []
    with Http(find_connection(server, token_file, ca)) as http:
        for picture in pictures:
            body = {"labels": {head: class_}}
            answers.append(http.json("PATCH", f"/api/pictures/{path_part(picture)}", body))
    if json:
        print(jsonlib.dumps(answers))
        return
    for found in answers:
        said = ", ".join(
            f"{name}: {text}" if name else text for name, text in found["labels"].items()
        )
        print(f"{found['id']}  {said or '(no label)'}")


def path_part(text: str) -> str:
    """What a person typed as one part of a path."""
    from urllib.parse import quote

    return quote(text, safe="")

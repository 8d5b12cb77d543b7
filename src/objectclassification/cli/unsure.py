"""``objectclassification unsure``."""

from __future__ import annotations

import json as jsonlib
from typing import Annotated, Any
from urllib.parse import quote

import typer

from objectclassification.cli.options import AsJson, Ca, Server, TokenFile
from objectclassification.cli.tables import Rows, new_console


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command()(unsure)


def unsure(
    model: Annotated[
        str | None,
        typer.Argument(
            metavar="MODEL", help="`shipped`, or as `models list` shows it.", show_default=False
        ),
    ] = None,
    precision: Annotated[
        float | None,
        typer.Option(
            min=0.01,
            max=0.999,
            metavar="P",
            help="Find the threshold on the labelled pictures: this share of answers is right.",
        ),
    ] = None,
    below: Annotated[
        float | None,
        typer.Option(min=0, max=1, metavar="C", help="Answers of less confidence are unsure."),
    ] = None,
    forget: Annotated[
        bool, typer.Option("--forget", help="Go back to the threshold that comes with the model.")
    ] = False,
    json: AsJson = False,
    server: Server = None,
    token_file: TokenFile = None,
    ca: Ca = None,
) -> None:
    """Show or set the confidence under which answers are unsure.

    Without MODEL all thresholds are shown. The labelled pictures are those that
    `label PICTURE --class LABEL` says the content of, in the words of the model.
    """
    from objectclassification.client.http import Http
    from objectclassification.config import find_connection

    ways = [precision is not None, below is not None, forget]
    if sum(ways) != (model is not None):
        raise typer.BadParameter("name a MODEL with one of --precision, --below and --forget")
    with Http(find_connection(server, token_file, ca)) as http:
        path = "/api/unsure" if model is None else f"/api/unsure/{quote(model, safe='')}"
        if forget:
            http.json("DELETE", path)
        elif model is not None:
            wanted = {"precision": precision} if below is None else {"below": below}
            http.json("POST", path, wanted)
        found = http.json("GET", "/api/unsure")
    if json:
        print(jsonlib.dumps(found))
        return
    rows = [(one["model"], f"{one['below']:g}", _proven(one)) for one in found]
    new_console().print(Rows(("model", "unsure below", "on labelled pictures"), rows))


def _proven(threshold: dict[str, Any]) -> str:
    found = threshold["coverage"]
    if found is None:
        return "set by hand" if threshold["set_at"] else "comes with the model"
    return (
        f"{found['answered']} of {found['pictures']} answered, {found['share']:.0%} of them "
        f"right (95 % interval {found['low']:.0%} to {found['high']:.0%}; wanted: "
        f"{found['precision']:.0%})"
    )

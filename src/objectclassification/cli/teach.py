"""``objectclassification teach``."""

from __future__ import annotations

import json as jsonlib
import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from objectclassification.cli.options import AsJson, Ca, Server, TokenFile

if TYPE_CHECKING:
    from objectclassification.client.http import Http

MOST_TRIES = 20
"""While the server looks at pictures that its model has not seen: 30 s each."""
PAUSE_S = 1.0


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command()(teach)


def teach(
    head: Annotated[str, typer.Argument(metavar="HEAD", help="The question, such as valve.")],
    classes: Annotated[
        str,
        typer.Option(metavar="NAMES", help="Its answers, by commas; by default all labels."),
    ] = "",
    class_: Annotated[
        list[str] | None,
        typer.Option(
            "--class", metavar="TEXT", help="One of its answers; for names with a comma in them."
        ),
    ] = None,
    camera: Annotated[
        str | None, typer.Option(metavar="NAME", help="Only of this camera's pictures.")
    ] = None,
    crop: Annotated[
        str | None,
        typer.Option(
            metavar="L,T,R,B",
            help="Only this rectangle: left, top, right, bottom as fractions of the picture.",
        ),
    ] = None,
    abstain: Annotated[
        float | None,
        typer.Option(
            metavar="MARGIN", min=0, max=1, help="Below it there is no answer; 0 always answers."
        ),
    ] = None,
    precision: Annotated[
        float | None,
        typer.Option(
            metavar="P",
            min=0.01,
            max=0.999,
            help="Find that margin, so that this share of the answers is right; else 0.95.",
        ),
    ] = None,
    activate: Annotated[
        bool, typer.Option("--activate", help="Switch it on, whatever the evidence.")
    ] = False,
    json: AsJson = False,
    server: Server = None,
    token_file: TokenFile = None,
    ca: Ca = None,
) -> None:
    """Teach a head from labelled pictures, and show how good it is.

    It answers once it is switched on: `heads activate`.
    """
    from objectclassification.cli.evidence import show_version
    from objectclassification.cli.label import path_part
    from objectclassification.client.http import Http
    from objectclassification.config import find_connection

    names = [name for name in classes.split(",") if name.strip()] + (class_ or [])
    wanted = {
        "classes": names,
        "camera": camera,
        "crop": _crop(crop),
        "abstain": abstain,
        "precision": precision,
    }
    path = f"/api/heads/{path_part(head)}"
    with Http(find_connection(server, token_file, ca)) as http:
        version = _teach(http, f"{path}/versions", wanted)
        if activate:
            version = http.json("POST", f"{path}/activate", {"version": version["number"]})
    if json:
        print(jsonlib.dumps(version))
    else:
        show_version(version)


def _teach(http: Http, path: str, wanted: dict[str, Any]) -> Any:
    """Asks until all labelled pictures were looked at."""
    from objectclassification.errors import Busy

    for _ in range(MOST_TRIES):
        try:
            return http.json("POST", path, wanted)
        except Busy as exc:
            busy = exc
            typer.echo(f"{exc.detail} …", err=True)
            time.sleep(PAUSE_S)
    raise busy


def _crop(text: str | None) -> list[float] | None:
    if text is None:
        return None
    try:
        edges = [float(edge) for edge in text.split(",")]
    except ValueError:
        edges = []
    if len(edges) != 4:
        raise typer.BadParameter("--crop looks like 0.4,0.2,0.6,0.5")
    return edges

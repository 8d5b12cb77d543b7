"""``objectclassification cameras set``."""

from __future__ import annotations

import json as jsonlib
from typing import Annotated, Any, Literal
from urllib.parse import quote

import typer

from objectclassification.cli.options import AsJson, Ca, Server, TokenFile

_DETECT = {"off": False, "on": True, "classify": "classify"}


def set_(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The camera.")],
    group: Annotated[
        list[str] | None,
        typer.Option(
            metavar="GROUP",
            help="It is in this group, whatever its program says; may be given more than once.",
        ),
    ] = None,
    no_groups: Annotated[bool, typer.Option("--no-groups", help="It is in no group.")] = False,
    own_groups: Annotated[
        bool, typer.Option("--own-groups", help="It is in the groups that its program says.")
    ] = False,
    detect: Annotated[
        Literal["off", "on", "classify"] | None,
        typer.Option(help="Whether its pictures get boxes, where the snap does not say."),
    ] = None,
    json: AsJson = False,
    server: Server = None,
    token_file: TokenFile = None,
    ca: Ca = None,
) -> None:
    """Set a camera's groups, or whether its pictures get boxes.

    What is set here counts before what the camera's program says, also after it or the server was
    started anew.
    """
    from objectclassification.client.http import Http
    from objectclassification.config import find_connection

    if sum((bool(group), no_groups, own_groups)) > 1:
        raise typer.BadParameter("give --group, --no-groups or --own-groups: only one of them")
    wanted: dict[str, Any] = {}
    if group or no_groups:
        wanted["groups"] = group or []
    if own_groups:
        wanted["groups"] = None
    if detect is not None:
        wanted["detect"] = _DETECT[detect]
    if not wanted:
        raise typer.BadParameter("say what to set: --group, --no-groups, --own-groups or --detect")
    with Http(find_connection(server, token_file, ca)) as http:
        found = http.json("PATCH", f"/api/cameras/{quote(name, safe='')}", wanted)
    print(jsonlib.dumps(found) if json else _line(found))


def _line(camera: dict[str, Any]) -> str:
    groups = ", ".join(f"@{group}" for group in camera["groups"]) or "no group"
    whose = "set here" if camera["groups_from"] == "operator" else "by its own word"
    boxes = {False: "no boxes", True: "boxes", "classify": "boxes, each classified"}
    return f"{camera['name']}: {groups} ({whose}), {boxes[camera['detect']]}"

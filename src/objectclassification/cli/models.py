"""``objectclassification models add|list|use|remove``."""

from __future__ import annotations

import json as jsonlib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from objectclassification.cli.options import AsJson, Ca, Server, TokenFile
from objectclassification.cli.tables import Rows, new_console

if TYPE_CHECKING:
    from objectclassification.classification.adoption import Card
    from objectclassification.client.http import Http


def register(app: typer.Typer) -> None:
    """Adds the group of commands."""
    group = typer.Typer(
        help="Models beside the shipped one: add, list, use and remove them.", no_args_is_help=True
    )
    group.command()(add)
    group.command("list")(list_)
    group.command()(use)
    group.command()(remove)
    app.add_typer(group, name="models")


def add(
    file: Annotated[
        str,
        typer.Argument(
            metavar="FILE|ADDRESS",
            help="ONNX: a classifier or a detector; or where an engine has a model, "
            "http://host:8080/v2/models/NAME.",
        ),
    ],
    labels: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Its labels, one a line, in the order of its output."),
    ] = None,
    preprocess: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="What it wants of its pixels: imagenet, tf, unit, raw or caffe."
        ),
    ] = None,
    name: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="What to call it, if not as the file is called."),
    ] = None,
    side: Annotated[
        int | None,
        typer.Option(metavar="PIXELS", help="Of its square input, where the file leaves it open."),
    ] = None,
    short_side: Annotated[
        int | None,
        typer.Option(
            metavar="PIXELS",
            help="A picture's shorter side is scaled to this, 256/224 of its side if not given.",
        ),
    ] = None,
    json: AsJson = False,
    server: Server = None,
    token_file: TokenFile = None,
    ca: Ca = None,
) -> None:
    """Add a model of your own.

    It names pictures (a classifier) or finds boxes on them (a detector). What the file does not
    say of itself, a TOML file of the same name beside it may say, and options say it first. It is
    tried on a picture before it is taken; no camera uses it yet.
    """
    from objectclassification.classification.adoption.card import Card, read_labels
    from objectclassification.client.http import Http
    from objectclassification.config import find_connection

    told = Card(
        id=name,
        labels=None if labels is None else read_labels(labels),
        preprocess=preprocess,
        side=side,
        short_side=short_side,
    )
    with Http(find_connection(server, token_file, ca)) as http:
        if "://" in file:
            made = _add_engine(http, file, told, json=json)
        else:
            made = _add_file(http, Path(file), told, json=json)
    if json:
        print(jsonlib.dumps(made))
        return
    print(f"{made['id']} is added for {made['task']}, sha256 {made['sha256'][:12]}…")
    typer.echo(
        f"Have a camera use it: objectclassification models use {made['id']} --camera NAME",
        err=True,
    )


def list_(
    json: AsJson = False, server: Server = None, token_file: TokenFile = None, ca: Ca = None
) -> None:
    """List the models that were added, and which camera uses which."""
    from objectclassification.client.http import Http
    from objectclassification.config import find_connection

    with Http(find_connection(server, token_file, ca)) as http:
        found = http.json("GET", "/api/models")
    _show(found, json=json)


def use(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL", help="Its name, or `shipped` for those that come with the server."
        ),
    ],
    camera: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Which camera; may be given more than once. Without it: every camera that has "
            "no model of its own for that.",
        ),
    ] = None,
    task: Annotated[
        str | None,
        typer.Option(
            metavar="TASK",
            help="With `shipped`: only for classification, or only for detection.",
        ),
    ] = None,
    json: AsJson = False,
    server: Server = None,
    token_file: TokenFile = None,
    ca: Ca = None,
) -> None:
    """Have cameras use a model, from their next picture on.

    A camera has a classifier and a detector, and keeps one when the other is exchanged. What a
    detector finds comes where boxes are asked for: `snap --detect`, or the camera's setting.
    """
    from objectclassification.client.http import Http
    from objectclassification.config import find_connection

    wanted: dict[str, Any] = {"cameras": camera or []}
    if task is not None:
        wanted["task"] = task
    with Http(find_connection(server, token_file, ca)) as http:
        found = http.json("POST", f"/api/models/{_quoted(model)}/use", wanted)
    _show(found, json=json)


def remove(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="As `models list` shows it.")],
    server: Server = None,
    token_file: TokenFile = None,
    ca: Ca = None,
) -> None:
    """Remove a model that no camera uses; what it said of pictures stays."""
    from objectclassification.client.http import Http
    from objectclassification.config import find_connection

    with Http(find_connection(server, token_file, ca)) as http:
        http.json("DELETE", f"/api/models/{_quoted(model)}")


def _add_file(http: Http, file: Path, told: Card, *, json: bool) -> Any:
    from objectclassification.classification.adoption import adopt

    card = told.over(_beside(file))
    content = adopt(file, card)
    if not json:
        typer.echo(f"sending {len(content) / 1e6:.1f} MB, to be tried on a picture …", err=True)
    return http.send("PUT", f"/api/models/{card.id or file.stem}", content)


def _add_engine(http: Http, address: str, told: Card, *, json: bool) -> Any:
    import msgspec

    from objectclassification.classification.engines.card import clean

    address = clean(address)
    name = told.id or address.partition("/v2/models/")[2].partition("/")[0]
    if not json:
        typer.echo("the server asks the engine, and tries it on a picture …", err=True)
    said = {key: value for key, value in msgspec.to_builtins(told).items() if value is not None}
    return http.json("PUT", f"/api/models/{_quoted(name)}", {**said, "address": address})


def _beside(file: Path) -> Card:
    """The card beside a model's file, if there is one."""
    from objectclassification.classification.adoption import Card, read_card

    card = file.with_suffix(".toml")
    return read_card(card) if card.exists() else Card()


def _show(found: list[dict[str, Any]], *, json: bool) -> None:
    if json:
        print(jsonlib.dumps(found))
        return
    rows: list[tuple[str, ...]] = []
    others = "every other camera"
    for task in ("classification", "detection"):
        if not any(row["by_every_other"] for row in found if row["task"] == task):
            rows.append(("shipped", task, others, "", "", "", ""))
    for row in found:
        names = [*row["cameras"], *([others] if row["by_every_other"] else [])]
        size = f"{row['size_bytes'] / 1e6:.1f}"
        where = row["address"] or ""
        if row["away"]:
            where += f" (away: {row['away']})"
        about = (row["added_at"][:10], row["sha256"][:12], where)
        rows.append((row["id"], row["task"], ", ".join(names), size, *about))
    columns = ("model", "for", "used by", "MB", "added", "sha256", "engine")
    new_console().print(Rows(columns, rows, right=("MB",)))


def _quoted(name: str) -> str:
    from urllib.parse import quote

    return quote(name, safe="")

"""``objectclassification cameras``: who is there."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated, Any

import typer

from objectclassification.cli.camera_settings import set_
from objectclassification.cli.options import AsJson, Ca, Server, TokenFile
from objectclassification.cli.tables import Rows, new_console

if TYPE_CHECKING:
    from objectclassification.config import Connection

_STYLES = {"online": "green", "offline": "red"}
_SHOWN = ("snippet", "picture", "last_seen_at", "latency_ms")
"""What changes without a camera's coming or going; not a line of its own with ``--watch``."""


def register(app: typer.Typer) -> None:
    """Adds the command, and what is under it."""
    group = typer.Typer(invoke_without_command=True)
    group.callback()(cameras)
    group.command("set")(set_)
    app.add_typer(group, name="cameras")


def cameras(
    context: typer.Context,
    watch: Annotated[
        bool, typer.Option("--watch", help="Stay, and show who comes and goes.")
    ] = False,
    json: AsJson = False,
    server: Server = None,
    token_file: TokenFile = None,
    ca: Ca = None,
) -> None:
    """Show every camera: whether it is there, since when, how quick.

    With --watch --json a line is printed for each camera, and one whenever one comes or goes.
    """
    if context.invoked_subcommand is not None:
        return
    from objectclassification.client.http import Http
    from objectclassification.config import find_connection

    connection = find_connection(server, token_file, ca)
    if watch:
        _watch(connection, as_json=json)
        return
    with Http(connection) as http:
        found: list[dict[str, Any]] = http.json("GET", "/api/cameras")
    if json:
        import msgspec

        print(msgspec.json.encode(found).decode())
    elif found:
        new_console().print(_table(found))
    else:
        print("no camera was ever connected: objectclassification camera --name NAME starts one")


def _watch(connection: Connection, *, as_json: bool) -> None:
    from objectclassification.client.watching import watch_cameras

    console = new_console()
    if as_json or not console.is_terminal:
        asyncio.run(watch_cameras(connection, _Lines(as_json=as_json).show))
        return
    from rich.live import Live

    with Live(console=console, screen=True, auto_refresh=False) as live:
        asyncio.run(
            watch_cameras(connection, lambda found: live.update(_table(found), refresh=True))
        )


class _Lines:
    """Prints a line for each camera that is another than it was."""

    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json
        self._before: dict[str, dict[str, Any]] = {}

    def show(self, found: list[dict[str, Any]]) -> None:
        import msgspec

        for camera in found:
            kept = {name: value for name, value in camera.items() if name not in _SHOWN}
            if self._before.get(camera["name"]) == kept:
                continue
            self._before[camera["name"]] = kept
            if self._as_json:
                print(msgspec.json.encode(camera).decode(), flush=True)
            else:
                print(f"{camera['since'] or ''} {camera['name']} {_state(camera)}", flush=True)


def _table(found: list[dict[str, Any]]) -> Rows:
    from rich.text import Text

    rows = [
        (
            camera["name"],
            Text(_state(camera), _STYLES.get(camera["state"], "yellow")),
            _moment(camera["since"]),
            _moment(camera["last_seen_at"]),
            camera["address"],
            " ".join((camera["version"], camera["agent"])).strip(),
            "" if camera["latency_ms"] is None else f"{camera['latency_ms']:.0f} ms",
            str(camera["dropped"] or ""),
            str(len(camera["waiting"]) or ""),
            ", ".join(camera["groups"]),
        )
        for camera in found
    ]
    columns = (
        "camera",
        "state",
        "since (UTC)",
        "last seen (UTC)",
        "address",
        "program",
        "latency",
        "dropped",
        "waiting",
        "groups",
    )
    return Rows(columns, rows, right=("latency", "dropped", "waiting"))


def _state(camera: dict[str, Any]) -> str:
    if camera["state"] == "asleep":
        return f"asleep until {_moment(camera['sleeps_until_at'])}"
    return str(camera["state"])


def _moment(at: str | None) -> str:
    return "" if at is None else at[:19].replace("T", " ")

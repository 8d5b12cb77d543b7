"""``objectclassification doctor``."""

from __future__ import annotations

import json as jsonlib
from collections.abc import Iterator
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from urllib.parse import quote

import typer

from objectclassification.cli.options import AsJson, Ca, Config, Data, Server, TokenFile
from objectclassification.errors import EXIT_FAILED, ConfigurationError, DataFolderUnusable

if TYPE_CHECKING:
    from objectclassification.config import Connection, ServerSettings
    from objectclassification.diagnosis import Check

_COLOURS = {"ok": "green", "warn": "yellow", "fail": "red"}


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command()(doctor)


def doctor(
    data: Data = None,
    config: Config = None,
    repair: Annotated[
        bool,
        typer.Option(
            "--repair",
            help="Delete files of no picture, note pictures without one; stop the server first.",
        ),
    ] = False,
    camera: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Ask this connected camera instead, through the server."),
    ] = None,
    json: AsJson = False,
    server: Server = None,
    token_file: TokenFile = None,
    ca: Ca = None,
) -> None:
    """Look at all that can be wrong, and say what to do.

    Exits with 1 when something is.
    """
    from objectclassification.cli import logs
    from objectclassification.config import find_connection
    from objectclassification.messages import is_name

    logs.configure("error")
    if camera is not None:
        if data or config or repair:
            raise typer.BadParameter("--camera asks a camera: leave --data, --config, --repair out")
        if not is_name(camera):
            raise typer.BadParameter(f"{camera[:64]!r} cannot be a camera's name")
        _ask(camera, find_connection(server, token_file, ca), json)
        return
    found = []
    for check in _checks(data, config, repair):
        found.append(check)
        _show(check, json)
    if not repair:  # for a repair the server was stopped
        for check in _server(server, token_file, ca):
            found.append(check)
            _show(check, json)
    if json:
        print(jsonlib.dumps([asdict(check) for check in found], indent=2))
    if any(check.status == "fail" for check in found):
        raise typer.Exit(EXIT_FAILED)


def _ask(camera: str, connection: Connection, json: bool) -> None:
    """Shows how a connected camera is, and the last lines of its log."""
    import msgspec

    from objectclassification.client.http import Http
    from objectclassification.condition import CameraReport
    from objectclassification.diagnosis.camera import checks

    with Http(connection) as http:
        answer = http.json("GET", f"/api/cameras/{quote(camera, safe='')}/report")
    report = msgspec.convert(answer, CameraReport)
    found = list(checks(report))
    if json:
        print(jsonlib.dumps({**answer, "checks": [asdict(check) for check in found]}, indent=2))
    else:
        typer.echo(f"{report.camera} is connected; it answered:")
        for check in found:
            _show(check, json)
        typer.echo(f"Its last {len(report.condition.log)} log lines:")
        for line in report.condition.log:
            typer.echo(f"  {_printable(line)}")
    if any(check.status == "fail" for check in found):
        raise typer.Exit(EXIT_FAILED)


def _printable(text: str) -> str:
    """Without control characters: they are another machine's, and would move this terminal."""
    return "".join(each if each.isprintable() else "?" for each in text)


def _checks(data: Path | None, config: Path | None, repair: bool) -> Iterator[Check]:
    from objectclassification.config import load_server
    from objectclassification.diagnosis import Check, machine

    yield machine.clock()
    yield machine.camera()
    try:
        settings = load_server(config, data=data)
    except ConfigurationError as exc:
        yield Check("settings", "fail", exc.detail, "correct the name or the value")
        return
    yield Check(
        "settings",
        "ok",
        f"{config}, and the environment" if config else "the defaults, and the environment",
    )
    if find_spec("sqlalchemy") is None:
        yield Check("data", "ok", "the extra 'server' is not installed: a camera's machine")
        return
    yield from _data(settings, repair)


def _data(settings: ServerSettings, repair: bool) -> Iterator[Check]:
    from objectclassification.diagnosis import data
    from objectclassification.store.folder import DATABASE

    if repair:
        if not (settings.data / DATABASE).exists():
            raise DataFolderUnusable(
                f"there is no data folder {settings.data} to repair: see --data",
                path=str(settings.data),
            )
        yield data.mend(settings.data)
    yield from data.checks(settings)


def _server(server: str | None, token_file: Path | None, ca: Path | None) -> Iterator[Check]:
    from objectclassification.config import find_connection
    from objectclassification.diagnosis import Check, machine

    try:
        connection = find_connection(server, token_file, ca)
    except ConfigurationError as exc:
        yield Check("server", "fail", exc.detail, "correct --server, --token-file or `login`")
        return
    yield machine.server(connection)
    if (asked := machine.engines(connection)) is not None:
        yield asked


def _show(check: Check, json: bool) -> None:
    if json:
        return
    status = typer.style(f"{check.status:4}", fg=_COLOURS[check.status])
    todo = f" ⇒ {check.todo}" if check.todo else ""
    found = _printable(check.found)
    typer.echo(f"{status}  {check.name:10}  {found}{todo}")  # without colours in a pipe

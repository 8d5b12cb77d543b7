"""``objectclassification doctor``."""

from __future__ import annotations

import json as jsonlib
from collections.abc import Iterator
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from objectclassification.cli.options import AsJson, Ca, Config, Data, Server, TokenFile
from objectclassification.errors import EXIT_FAILED, ConfigurationError, DataFolderUnusable

if TYPE_CHECKING:
    from objectclassification.config import ServerSettings
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
    json: AsJson = False,
    server: Server = None,
    token_file: TokenFile = None,
    ca: Ca = None,
) -> None:
    """Look at all that can be wrong, and say what to do."""
    from objectclassification.cli import logs

    logs.configure("error")
    found = []
    for check in _checks(data, config, repair):
        found.append(check)
        _show(check, json)
    if not repair:  # for a repair the server was stopped
        found.append(_server(server, token_file, ca))
        _show(found[-1], json)
    if json:
        print(jsonlib.dumps([asdict(check) for check in found], indent=2))
    if any(check.status == "fail" for check in found):
        raise typer.Exit(EXIT_FAILED)


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


def _server(server: str | None, token_file: Path | None, ca: Path | None) -> Check:
    from objectclassification.config import find_connection
    from objectclassification.diagnosis import Check, machine

    try:
        return machine.server(find_connection(server, token_file, ca))
    except ConfigurationError as exc:
        return Check("server", "fail", exc.detail, "correct --server, --token-file or `login`")


def _show(check: Check, json: bool) -> None:
    if json:
        return
    status = typer.style(f"{check.status:4}", fg=_COLOURS[check.status])
    todo = f" ⇒ {check.todo}" if check.todo else ""
    typer.echo(f"{status}  {check.name:10}  {check.found}{todo}")  # without colours in a pipe

"""``objectclassification schedule add|list|pause|resume|remove``."""

from __future__ import annotations

import json as jsonlib
from datetime import datetime
from typing import Annotated, Any, Literal
from urllib.parse import quote

import typer

from objectclassification.cli.options import AsJson, Ca, Server, TokenFile
from objectclassification.cli.tables import Rows, new_console

Known = Annotated[
    str, typer.Argument(metavar="NAME", help="The schedule, as `schedule list` shows it.")
]


def register(app: typer.Typer) -> None:
    """Adds the group of commands."""
    group = typer.Typer(
        help="Schedules: snaps that the server asks for itself.", no_args_is_help=True
    )
    group.command()(add)
    group.command("list")(list_)
    group.command()(pause)
    group.command()(resume)
    group.command()(remove)
    app.add_typer(group, name="schedule")


def add(
    cron: Annotated[
        str,
        typer.Argument(
            metavar="CRON", help="When: minute, hour, day of the month, month, day of the week."
        ),
    ],
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="NAME|@GROUP", help="Cameras and groups.", show_default=False),
    ] = None,
    all_: Annotated[bool, typer.Option("--all", help="Every camera that is connected.")] = False,
    name: Annotated[
        str | None, typer.Option(metavar="NAME", help="What to call it; without, it gets a name.")
    ] = None,
    timezone: Annotated[
        str, typer.Option(metavar="ZONE", help="Whose clock counts, as Europe/Berlin.")
    ] = "UTC",
    missed: Annotated[
        Literal["once", "skip"],
        typer.Option(help="After a stop of the server: make one run for all missed ones, or none."),
    ] = "once",
    until: Annotated[
        Literal["captured", "uploaded", "classified"], typer.Option(help="How far to go.")
    ] = "classified",
    context: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY=VALUE", help="To store with each snap; may be given more than once."
        ),
    ] = None,
    deadline: Annotated[
        float,
        typer.Option(metavar="S", min=0.001, max=86_400, help="Seconds after which a snap ends."),
    ] = 10.0,
    options: Annotated[
        str | None,
        typer.Option(metavar="JSON", help="Options of each snap, as docs/protocol.md has them."),
    ] = None,
    json: AsJson = False,
    server: Server = None,
    token_file: TokenFile = None,
    ca: Ca = None,
) -> None:
    """Take pictures at certain times, from now on.

    As in: schedule add "*/5 8-18 * * mon-fri" @lab --timezone Europe/Berlin
    """
    from objectclassification.client.http import Http
    from objectclassification.config import find_connection

    if bool(names) == all_:
        both = "give either names or --all, not both"
        raise typer.BadParameter(both if all_ else "name cameras or @groups, or give --all")
    if any("=" not in text for text in context or ()):
        raise typer.BadParameter("--context looks like KEY=VALUE")
    wanted = {
        "name": name,
        "cron": cron,
        "to": names or ["*"],
        "timezone": timezone,
        "missed": missed,
        "deadline_s": deadline,
        "until": until,
        "context": dict(text.partition("=")[::2] for text in context or ()),
        "options": _object(options),
    }
    with Http(find_connection(server, token_file, ca)) as http:
        made = http.json("POST", "/api/schedules", wanted)
    if json:
        print(jsonlib.dumps(made))
    else:
        print(f"{made['name']} runs next at {_at(made['next'][0], made['timezone'])}")
    for warning in made["warnings"]:
        typer.echo(f"warning: {warning}", err=True)


def list_(
    json: AsJson = False, server: Server = None, token_file: TokenFile = None, ca: Ca = None
) -> None:
    """List the schedules.

    With their next runs, and what came of their last.
    """
    from objectclassification.client.http import Http
    from objectclassification.config import find_connection

    with Http(find_connection(server, token_file, ca)) as http:
        found = http.json("GET", "/api/schedules")
    if json:
        print(jsonlib.dumps(found))
        return
    if not found:
        typer.echo("no schedules yet: objectclassification schedule add --help", err=True)
        return
    rows = [
        (
            one["name"],
            f"{one['cron']}\n{one['timezone']}",
            ", ".join(one["to"]),
            "\n".join(_at(at, one["timezone"]) for at in one["next"]) or "paused",
            _last(one["last"], one["timezone"]),
        )
        for one in found
    ]
    new_console().print(Rows(("schedule", "cron", "to", "next runs", "last run"), rows))
    for one in found:
        for warning in one["warnings"]:
            typer.echo(f"warning: {one['name']}: {warning}", err=True)


def pause(name: Known, server: Server = None, token_file: TokenFile = None, ca: Ca = None) -> None:
    """Leave out a schedule's runs until it is resumed.

    None of them is made up for.
    """
    _set_paused(name, True, server, token_file, ca)
    print(f"{name} is paused")


def resume(name: Known, server: Server = None, token_file: TokenFile = None, ca: Ca = None) -> None:
    """Run a paused schedule again."""
    made = _set_paused(name, False, server, token_file, ca)
    print(f"{name} runs next at {_at(made['next'][0], made['timezone'])}")


def remove(name: Known, server: Server = None, token_file: TokenFile = None, ca: Ca = None) -> None:
    """Remove a schedule; the receipts of its snaps stay."""
    from objectclassification.client.http import Http
    from objectclassification.config import find_connection

    with Http(find_connection(server, token_file, ca)) as http:
        http.json("DELETE", f"/api/schedules/{quote(name, safe='')}")


def _set_paused(
    name: str, paused: bool, server: Server, token_file: TokenFile, ca: Ca
) -> dict[str, Any]:
    from objectclassification.client.http import Http
    from objectclassification.config import find_connection

    with Http(find_connection(server, token_file, ca)) as http:
        path = f"/api/schedules/{quote(name, safe='')}"
        made: dict[str, Any] = http.json("PATCH", path, {"paused": paused})
        return made


def _object(text: str | None) -> dict[str, Any]:
    try:
        found = {} if text is None else jsonlib.loads(text)
    except ValueError as exc:
        raise typer.BadParameter(f"--options is no JSON: {exc}") from exc
    if not isinstance(found, dict):
        raise typer.BadParameter('--options is a JSON object, as in {"detect": true}')
    return found


def _last(last: dict[str, Any] | None, timezone: str) -> str:
    """What came of a run, in a line or two."""
    if last is None:
        return "none yet"
    at = _at(last["at"], timezone)
    if last["code"] is not None:
        return f"{at}\n{last['code']}: {last['detail']}"
    if last["done"] is None:
        return f"{at}\nits receipt is gone"
    if not last["done"]:
        return f"{at}\nunder way"
    counts = ", ".join(f"{last[kind]} {kind}" for kind in ("answered", "failed", "missing"))
    return f"{at}\n{counts}"


def _at(moment: str, timezone: str) -> str:
    """A time as the schedule's own clock shows it; in UTC where the zone is not known."""
    from zoneinfo import ZoneInfo

    at = datetime.fromisoformat(moment)
    try:
        return at.astimezone(ZoneInfo(timezone)).strftime("%Y-%m-%d %H:%M %Z")
    except (KeyError, ValueError, OSError):
        return at.strftime("%Y-%m-%d %H:%M UTC")

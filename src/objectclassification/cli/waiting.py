"""``objectclassification waiting``: snaps that wait for cameras which are away."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from objectclassification.cli.options import AsJson, Ca, Server, TokenFile
from objectclassification.cli.tables import Rows, new_console


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    waiting = typer.Typer(help="Snaps that wait for cameras which are away.", no_args_is_help=True)
    waiting.command("list")(list_)
    waiting.command()(cancel)
    app.add_typer(waiting, name="waiting")


def list_(
    json: AsJson = False, server: Server = None, token_file: TokenFile = None, ca: Ca = None
) -> None:
    """Show the snaps that wait, the oldest first; at most 200."""
    from objectclassification.client.http import Http
    from objectclassification.config import find_connection

    with Http(find_connection(server, token_file, ca)) as http:
        snaps: list[dict[str, Any]] = http.json("GET", "/api/snaps?waiting=1&limit=200")["snaps"]
    if json:
        import msgspec

        print(msgspec.json.encode(snaps).decode())
        return
    if not snaps:
        print("no snap waits")
        return
    rows = [(one["snap"], one["accepted_at"][:19], _cameras(one), _until(one)) for one in snaps]
    new_console().print(Rows(("snap", "asked at (UTC)", "waits for", "until (UTC)"), rows))


def cancel(
    snap: Annotated[str, typer.Argument(metavar="SNAP", help="Its id.")],
    server: Server = None,
    token_file: TokenFile = None,
    ca: Ca = None,
) -> None:
    """End a snap that waits; what its cameras answered already stays."""
    from urllib.parse import quote

    from objectclassification.client.http import Http
    from objectclassification.config import find_connection

    with Http(find_connection(server, token_file, ca)) as http:
        receipt = http.json("DELETE", f"/api/snaps/{quote(snap, safe='')}")
    ended = [shot for shot in receipt["shots"] if (shot["error"] or {}).get("code") == "cancelled"]
    print(f"snap {receipt['snap']}: {len(ended)} of {len(receipt['shots'])} shots cancelled")


def _cameras(snap: dict[str, Any]) -> str:
    names = [shot["camera"] for shot in snap["shots"] if shot["state"] == "waiting"]
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more


def _until(snap: dict[str, Any]) -> str:
    from datetime import datetime, timedelta

    end = datetime.fromisoformat(snap["accepted_at"]) + timedelta(seconds=snap["ttl_s"])
    return end.isoformat(timespec="seconds")[:19]

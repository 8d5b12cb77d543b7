"""``objectclassification retention``."""

from __future__ import annotations

import asyncio
import json as jsonlib
from typing import TYPE_CHECKING, Annotated, Any

import typer

from objectclassification.cli.options import AsJson, Config, Data
from objectclassification.cli.tables import Rows, new_console

if TYPE_CHECKING:
    from objectclassification.config import ServerSettings
    from objectclassification.housekeeping import Going, Plan
    from objectclassification.store.retention import Policy


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command()(retention)


def retention(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would go.")] = False,
    json: AsJson = False,
    data: Data = None,
    config: Config = None,
) -> None:
    """Delete now what the keep_* settings let go.

    The server does it every hour by itself.
    """
    from objectclassification.cli import logs
    from objectclassification.config import load_server
    from objectclassification.store.retention import Policy

    logs.configure("warning")
    settings = load_server(config, data=data)
    policy = Policy.of(settings)
    plan = asyncio.run(_run(settings, policy, dry_run=dry_run))
    if json:
        cameras = {name or "": _values(going) for name, going in plan.cameras.items()}
        print(
            jsonlib.dumps(
                {"dry_run": dry_run, **_values(plan.all), "snaps": plan.snaps, "cameras": cameras}
            )
        )
    elif policy.keeps_all:
        print("Nothing goes: no limit is set (keep_days, keep_pictures, keep_bytes, …).")
    else:
        _show(plan, "would go" if dry_run else "are gone")


async def _run(settings: ServerSettings, policy: Policy, *, dry_run: bool) -> Plan:
    from objectclassification.housekeeping import Housekeeper
    from objectclassification.store import folder
    from objectclassification.store.blobs import place
    from objectclassification.store.schema import check_current
    from objectclassification.store.writer import open_database, reading

    file = settings.data / folder.DATABASE
    with reading(file) as connection:
        check_current(connection)

    def forget(key: str) -> None:
        place(settings.data / folder.BLOBS, key).unlink(missing_ok=True)

    database = open_database(file)
    try:
        database.start()
        keeper = Housekeeper(database, forget, policy, count=lambda pictures, size: None)
        return await (keeper.plan() if dry_run else keeper.tidy())
    finally:
        database.close()


def _values(going: Going) -> dict[str, Any]:
    from objectclassification.receipts import rfc3339

    return {
        "pictures": going.pictures,
        "bytes": going.bytes,
        "oldest": None if going.oldest_at is None else rfc3339(going.oldest_at),
        "newest": None if going.newest_at is None else rfc3339(going.newest_at),
    }


def _show(plan: Plan, verb: str) -> None:
    size = f"{plan.all.bytes / 1e6:.1f} MB"
    print(f"{plan.all.pictures} pictures ({size}) and {plan.snaps} receipts {verb}.")
    if plan.cameras:
        rows = []
        for name, going in sorted(plan.cameras.items(), key=lambda item: item[0] or ""):
            values = _values(going)
            cells = (str(values["pictures"]), f"{going.bytes / 1e6:.1f}")
            rows.append((name or "(none)", *cells, values["oldest"], values["newest"]))
        columns = ("camera", "pictures", "MB", "oldest", "newest")
        new_console().print(Rows(columns, rows, right=("pictures", "MB")))

"""``objectclassification backup`` and ``restore``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from objectclassification.cli.options import Data
from objectclassification.errors import EXIT_FAILED


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    app.command()(backup)
    app.command()(restore)


def backup(
    to: Annotated[
        Path, typer.Argument(metavar="TO", help="A folder, or a file that ends in .tar.")
    ],
    data: Data = None,
) -> None:
    """Copy database and pictures, also while the server runs.

    Into the same place again, it brings only what is new.
    """
    from objectclassification.config import load_server
    from objectclassification.store.backup import back_up

    with _progress() as progress:
        made = back_up(load_server(data=data).data, to, progress)
    print(f"{made.pictures} pictures ({made.bytes / 1e6:.1f} MB) are in {to}")
    if made.lost:
        typer.echo(
            f"error: the files of {len(made.lost)} renditions were not there: "
            "`objectclassification doctor` says more",
            err=True,
        )
        raise typer.Exit(EXIT_FAILED)


def restore(
    backup: Annotated[Path, typer.Argument(metavar="BACKUP", help="What `backup` made.")],
    data: Annotated[
        Path, typer.Option(metavar="FOLDER", help="The new data folder: empty, or not there yet.")
    ],
) -> None:
    """Make a data folder out of a backup.

    Every picture's bytes are checked.
    """
    from objectclassification.store.restore import restore

    with _progress() as progress:
        restored = restore(backup, data, progress)
    print(f"{restored.pictures} pictures are in {data}; start the server with --data {data}")
    if restored.damaged:
        typer.echo(
            f"error: the files of {len(restored.damaged)} renditions are missing or damaged in the "
            f"backup: `objectclassification doctor --repair --data {data}` notes them",
            err=True,
        )
        raise typer.Exit(EXIT_FAILED)


@contextmanager
def _progress() -> Iterator[Callable[[str, int, int], None]]:
    """A bar on a terminal; elsewhere nothing."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bars:
        tasks = {}

        def show(what: str, done: int, of: int) -> None:
            if what not in tasks:
                tasks[what] = bars.add_task(what, total=of)
            bars.update(tasks[what], completed=done, total=of)

        yield show

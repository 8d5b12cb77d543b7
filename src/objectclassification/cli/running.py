"""Where the models of a command run."""

from __future__ import annotations

from pathlib import Path

import typer


def chosen(device: str | None, model: Path) -> str:
    """The device that was named, or the quickest, which is then said.

    Args:
        device: its name, or None for ``auto``.
        model: what is measured with.

    Raises:
        ConfigurationError: there is no such device.
        ModelError: the model cannot be used on any.
    """
    from objectclassification.classification.device import AUTO, choose

    choice = choose(device or AUTO, model)
    if choice.took_ms:
        took = ", ".join(f"{name} {ms:.1f} ms" for name, ms in choice.took_ms.items())
        typer.echo(f"runs on {choice.device}: {took}", err=True)
    return choice.device

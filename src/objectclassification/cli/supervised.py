"""What the long-running commands tell systemd, when it started them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from objectclassification.systemd import Notifier

if TYPE_CHECKING:
    from objectclassification.hub.runner import HubRunner
    from objectclassification.messages import Event


_SETTLED_S: Final = 0.5


def new_notifier() -> Notifier:
    """Returns a notifier for this process; without systemd it does nothing."""
    from objectclassification.config.service import notify_socket, watchdog_s

    return Notifier(notify_socket(), watchdog_s())


def show_cameras(notifier: Notifier, runner: HubRunner, url: str) -> None:
    """Says that a hub is ready, and from then on how many cameras are there."""
    loop = asyncio.get_running_loop()
    update: asyncio.TimerHandle | None = None

    def text() -> str:
        online = runner.population().cameras["online"]
        return f"serving {url}, {online} {'camera' if online == 1 else 'cameras'} online"

    def on_event(event: Event) -> None:
        nonlocal update
        if event.topic == "cameras" and update is None:
            # Counted once for all that come at the same time, which may be thousands.
            update = loop.call_later(_SETTLED_S, on_settled)

    def on_settled() -> None:
        nonlocal update
        update = None
        notifier.status(text())

    notifier.ready(text())
    if notifier.address is not None:
        runner.subscribe(on_event)

"""Every page there is: what looks at all of them looks at this list."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tests.browser import lessons, site
from tests.serving import Served


@dataclass(frozen=True)
class Shown:
    """A page.

    Attributes:
        name: for file names and test ids.
        path: its address, on a server that ``site.fill`` filled.
        signed_in: whether somebody is.
    """

    name: str
    path: str | Callable[[Served], str]
    signed_in: bool = True

    def on(self, server: Served) -> str:
        """Its address there."""
        return self.path if isinstance(self.path, str) else self.path(server)


PAGES = (
    Shown("signin", "/signin?why=ended", signed_in=False),
    Shown("error", "/settings/sessions?token=oc_nobody", signed_in=False),
    Shown("lost", "/nosuch"),
    Shown("cameras", "/"),
    Shown("camera", "/cameras/door"),
    Shown("history", "/history"),
    Shown("history-of-a-label", "/history?label=espresso"),
    Shown("picture", lambda server: f"/pictures/{site.newest(server, 'workshop')}?similar=1"),
    Shown("teach", lambda server: lessons.taught(server) and "/teach"),
    Shown("head", lessons.taught),
    Shown("evidence", lessons.evidence),
    Shown("receipts", lessons.receipts),
    Shown("receipt", lessons.snapped),
    Shown("schedules", site.scheduled),
    Shown("settings", "/settings"),
    Shown("join", "/join", signed_in=False),
    Shown("add_phone", "/join/new"),
    Shown("sessions", "/settings/sessions"),
)

"""What a camera program has said of each shot, so that it takes none twice and no word is lost."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable

import structlog

from objectclassification.capture import SpoolItem
from objectclassification.client.link import Link
from objectclassification.errors import ServerUnreachable
from objectclassification.messages import ShotReport

REMEMBERED = 4096
"""Shots; those in the spool are known beyond this. The hub asks again only for open snaps."""

_log = structlog.get_logger(__name__)


class Reports:
    """Says how far shots are, and remembers the newest word on each.

    Args:
        link: to the hub.
        spooled: pictures of an earlier run; their shots were taken.
    """

    def __init__(self, link: Link, spooled: Iterable[SpoolItem]) -> None:
        self._link = link
        self._said: OrderedDict[tuple[str, str], ShotReport] = OrderedDict()
        self._unsent: dict[tuple[str, str], ShotReport] = {}
        self._spooled = {
            (item.snap, item.camera): captured_before(item, item.snap)
            for item in spooled
            if item.snap is not None
        }

    def said(self, snap: str, camera: str) -> ShotReport | None:
        """Returns the newest word on a shot; None: it was not begun."""
        key = (snap, camera)
        return self._said.get(key) or self._spooled.get(key)

    def note(self, report: ShotReport) -> None:
        """Remembers a word without saying it."""
        key = (report.snap, report.camera)
        self._said[key] = report
        self._said.move_to_end(key)
        if len(self._said) > REMEMBERED:
            self._said.popitem(last=False)

    async def say(self, report: ShotReport) -> None:
        """Remembers and says it, now or after the next ``welcome``."""
        self.note(report)
        key = (report.snap, report.camera)
        try:
            await self._link.send(report)
        except ServerUnreachable:
            _log.debug("said later", snap=report.snap, camera=report.camera, state=report.state)
            self._unsent[key] = report
        else:
            self._unsent.pop(key, None)

    async def repeat(self, snap: str, camera: str) -> None:
        """Says the newest word on a shot again."""
        said = self.said(snap, camera)
        if said is not None:
            await self.say(said)

    async def say_unsent(self) -> None:
        """Says what could not be said before the connection came back."""
        for report in list(self._unsent.values()):
            await self.say(report)


def captured_before(item: SpoolItem, snap: str) -> ShotReport:
    """What a picture in the spool says of its shot."""
    return ShotReport(
        snap=snap,
        camera=item.camera,
        state="captured",
        freshness=item.freshness,
        origin=item.origin,
    )

"""Which releases of a client's program this hub takes: its own, and the two before it."""

from __future__ import annotations

import re
from typing import Final

from objectclassification import __version__
from objectclassification.errors import BadMessage, RequestError

RELEASES: Final = ("0.1",)
"""Every minor release there was, the oldest first; the last is this package's own. A patch release
changes no message, so it stands for none of its own."""
TAKEN_BEFORE: Final = 2
"""Releases before its own that a hub takes: a farm is updated server first, then bit by bit."""

# 0.1.0, 0.2.0rc1, 1.0.dev3+local: what packages are called (PEP 440), as far as it matters here.
_RELEASE = re.compile(r"([0-9]{1,6})\.([0-9]{1,6})(?:[.\-+a-z][0-9A-Za-z.\-+]*)?\Z")


class TooOld(RequestError):
    """The client's program is of a release that this hub does not take any more."""

    code = "too_old"


class TooNew(RequestError):
    """The client's program is of a release that came after this hub's."""

    code = "too_new"


def check(version: str, releases: tuple[str, ...] = RELEASES) -> None:
    """Checks the ``version`` of a ``hello``; an empty one says nothing, and is taken.

    Args:
        version: the release whose protocol the client speaks.
        releases: all there were, the hub's own last.

    Raises:
        BadMessage: it is not a release.
        TooOld: it is before the ones that are taken.
        TooNew: it is after the hub's own.
    """
    if not version:
        return
    match = _RELEASE.match(version)
    if match is None:
        raise BadMessage(
            f"version {version[:40]!r} is no release of objectclassification: "
            f"give one like {__version__}, or leave it out"
        )
    theirs, (own, oldest) = _number(f"{match[1]}.{match[2]}"), _taken(releases)
    if theirs > _number(own):
        raise TooNew(
            f"this program is of release {version} and the hub of {own}: update the server, "
            f"or install release {own} here"
        )
    if theirs < _number(oldest):
        span = own if own == oldest else f"{oldest} to {own}"
        raise TooOld(
            f"this program is of release {version} and the hub takes {span}: update it here"
        )


def _taken(releases: tuple[str, ...]) -> tuple[str, str]:
    """The newest and the oldest release that are taken."""
    return releases[-1], releases[-1 - TAKEN_BEFORE :][0]


def _number(release: str) -> tuple[int, int]:
    major, _, minor = release.partition(".")
    return int(major), int(minor)

"""Which cameras a snap is for."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from objectclassification.errors import NotFound

LEAVE_OUT = "!"
_SHOWN = 10
"""Names an error lists before it says how many more there are."""


def means_all(to: Collection[str]) -> bool:
    """Whether selectors mean every camera, but for those that they leave out."""
    return "*" in to or all(selector.startswith(LEAVE_OUT) for selector in to)


def choose(
    to: Collection[str],
    *,
    known: Mapping[str, tuple[str, ...]],
    connected: Collection[str],
    away_too: bool = False,
) -> tuple[str, ...]:
    """Returns the targets of a snap, sorted by name.

    ``*`` and ``@group`` mean the cameras that are connected now; a name means that camera, there
    or not. ``!name`` and ``!@group`` leave out, wherever they stand; alone, they mean all others.

    Args:
        to: ``*``, names and ``@group``, each but the first also with ``!`` before it.
        known: every camera ever registered, with its groups.
        connected: the names that are served now.
        away_too: ``*`` and ``@group`` mean all known cameras: the snap waits for those that are
            away.

    Raises:
        NotFound: a name or group is unknown, or nobody is left to take a picture.
    """
    everybody = {*known, *connected} if away_too else connected
    chosen: set[str] = set()
    left_out: set[str] = set()
    for selector in to:
        name = selector.removeprefix(LEAVE_OUT)
        # Whoever is left out may be away: a mistyped name is an error all the same.
        into = chosen if name == selector else left_out
        into.update(_meant(name, known, connected, everybody))
    if not chosen and means_all(to):
        chosen.update(everybody)
    targets = chosen - left_out if left_out else chosen
    if not targets:
        asked = ", ".join(to)[:128]
        if chosen:
            raise NotFound(f"a snap to nobody: {asked} leaves out everybody whom it means")
        away = "known" if away_too else "connected"
        raise NotFound(f"a snap to nobody: {asked} means no camera that is {away}")
    return tuple(sorted(targets))


def _meant(
    selector: str,
    known: Mapping[str, tuple[str, ...]],
    connected: Collection[str],
    everybody: Iterable[str],
) -> Iterable[str]:
    if selector == "*":
        return everybody
    if selector.startswith("@"):
        group = selector[1:]
        if not any(group in groups for groups in known.values()):
            raise NotFound(f"no group {selector!r}: {_groups(known)}")
        return (name for name in everybody if group in known.get(name, ()))
    if selector in known or selector in connected:
        return (selector,)
    raise NotFound(f"no camera named {selector!r}: {_names(known)}")


def _names(known: Mapping[str, tuple[str, ...]]) -> str:
    return _list(sorted(known), "no camera was ever connected")


def _groups(known: Mapping[str, tuple[str, ...]]) -> str:
    return _list(
        sorted({f"@{group}" for groups in known.values() for group in groups}), "there is none"
    )


def _list(found: list[str], none: str) -> str:
    if not found:
        return none
    more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
    return f"there is {', '.join(found[:_SHOWN])}{more}"

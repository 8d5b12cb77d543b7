"""Which cameras a snap is for."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from objectclassification.errors import NotFound

_SHOWN = 10
"""Names an error lists before it says how many more there are."""


def choose(
    to: Iterable[str], *, known: Mapping[str, tuple[str, ...]], connected: Collection[str]
) -> tuple[str, ...]:
    """Returns the targets of a snap, sorted by name.

    ``*`` and ``@group`` mean the cameras that are connected now; a name means that camera, there
    or not.

    Args:
        to: ``*``, names and ``@group``.
        known: every camera ever registered, with its groups.
        connected: the names that are served now.

    Raises:
        NotFound: a name or group is unknown, or nobody is left to take a picture.
    """
    chosen: set[str] = set()
    for selector in to:
        if selector == "*":
            chosen.update(connected)
        elif selector.startswith("@"):
            group = selector[1:]
            if not any(group in groups for groups in known.values()):
                raise NotFound(f"no group {selector!r}: {_groups(known)}")
            chosen.update(name for name in connected if group in known.get(name, ()))
        elif selector in known or selector in connected:
            chosen.add(selector)
        else:
            raise NotFound(f"no camera named {selector!r}: {_names(known)}")
    if not chosen:
        asked = ", ".join(to)[:128]
        raise NotFound(f"a snap to nobody: {asked} means no camera that is connected")
    return tuple(sorted(chosen))


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

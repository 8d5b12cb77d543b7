"""Which pictures of the history a request wants: the same words in every call that asks."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Query

from objectclassification.api.times import Time, seconds
from objectclassification.errors import BadMessage
from objectclassification.receipts import Verdict
from objectclassification.store.pictures import Filter


async def filter_of(
    camera: str | None = None,
    group: Annotated[str | None, Query(max_length=64)] = None,
    snap: Annotated[str | None, Query(max_length=64)] = None,
    label: str | None = None,
    min_score: Annotated[float | None, Query(ge=0, le=1, allow_inf_nan=False)] = None,
    since: Time | None = None,
    until: Time | None = None,
    head: Annotated[str | None, Query(max_length=64)] = None,
    class_: Annotated[str | None, Query(alias="class", max_length=256)] = None,
    verdict: Verdict | None = None,
    unsure: bool | None = None,
    changed: bool | None = None,
) -> Filter:
    """Reads the query.

    Raises:
        BadMessage: a class without its head.
    """
    if class_ is not None and head is None:
        raise BadMessage("class is an answer of a head: say which with head=…")
    return Filter(
        camera=camera,
        group=group,
        snap=snap,
        label=label,
        min_score=min_score,
        since=seconds(since),
        until=seconds(until),
        head=head,
        answer=class_,
        verdict=verdict,
        unsure=unsure,
        changed=changed,
    )


Filtered = Annotated[Filter, Depends(filter_of)]

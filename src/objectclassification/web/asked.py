"""What a reader asked the history for: a form's fields, with and without JavaScript."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, Final
from urllib.parse import urlencode

import msgspec
from msgspec import Meta
from starlette.datastructures import QueryParams

from objectclassification.errors import BadMessage
from objectclassification.receipts import rfc3339
from objectclassification.store.pictures import Filter

_Name = Annotated[str, Meta(max_length=256)]
_Day = Annotated[str, Meta(pattern=r"^(19[7-9]\d|20\d\d)-\d\d-\d\d$")]
_DAY: Final = timedelta(days=1)


class Asked(msgspec.Struct, frozen=True, omit_defaults=True):
    """The fields; one that is empty is one that is not there.

    Attributes:
        camera: only its pictures.
        group: only those of its cameras.
        label: only with it.
        snap: only for it.
        min_score: and that score at least, 0 to 1.
        since: the first day, in the reader's zone.
        until: the last day.
        zone_min: minutes by which that zone is ahead of UTC.
    """

    camera: _Name | None = None
    group: _Name | None = None
    label: _Name | None = None
    snap: _Name | None = None
    min_score: Annotated[float, Meta(ge=0, le=1)] | None = None
    since: _Day | None = None
    until: _Day | None = None
    zone_min: Annotated[int, Meta(ge=-840, le=840)] = 0

    @classmethod
    def of(cls, query: QueryParams) -> Asked:
        """Reads an address's query; fields that are others' are passed over.

        Raises:
            BadMessage: a value of no use.
        """
        said = {name: query[name] for name in cls.__struct_fields__ if query.get(name)}
        try:
            asked = msgspec.convert(said, cls, strict=False)
            asked.filter  # noqa: B018 - a day that is in no calendar is found here
        except (msgspec.ValidationError, ValueError) as exc:
            raise BadMessage(f"the address holds a value of no use here: {exc}"[:256]) from exc
        return asked

    @property
    def filter(self) -> Filter:
        """What the store is asked."""
        until = self._midnight(self.until)
        return Filter(
            camera=self.camera,
            group=self.group,
            label=self.label,
            snap=self.snap,
            min_score=self.min_score,
            since=_seconds(self._midnight(self.since)),
            until=_seconds(until and until + _DAY),
        )

    @property
    def is_anything(self) -> bool:
        """Whether there is a filter at all."""
        return self.filter != Filter()

    def query(self, **changed: object) -> str:
        """The fields as an address's query, some of them changed or added; None leaves one out."""
        fields = {**msgspec.to_builtins(self), **changed}
        return urlencode({name: value for name, value in fields.items() if value is not None})

    def for_api(self) -> dict[str, object]:
        """The same as the fields of ``/api/pictures``."""
        wanted = self.filter
        fields = {name: getattr(self, name) for name in ("camera", "group", "label", "snap")}
        times = {
            name: None if at is None else rfc3339(at)
            for name, at in (("since", wanted.since), ("until", wanted.until))
        }
        every = {**fields, "min_score": self.min_score, **times}
        return {name: value for name, value in every.items() if value is not None}

    def _midnight(self, day: str | None) -> datetime | None:
        if day is None:
            return None
        return datetime.fromisoformat(day).replace(tzinfo=UTC) - timedelta(minutes=self.zone_min)


def _seconds(at: datetime | None) -> float | None:
    return None if at is None else at.timestamp()

"""Pictures counted by day and label: by the index, and as they would be counted one by one."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from objectclassification.store import days, tables
from objectclassification.store.pictures import Filter
from objectclassification.store.schema import upgrade
from objectclassification.store.writer import Database, open_database

NOON = 20_000 * days.DAY_S + 43_200.0
LABELS = st.sampled_from([None, "", "tabby", "кошка", "😺", "Z"])
AT = st.integers(-3 * days.DAY_S, 3 * days.DAY_S).map(lambda off: NOON + off) | st.sampled_from(
    [NOON - 43_200.0, NOON - 43_200.001, NOON + 43_200.0]
)


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Database:
    folder: Path = tmp_path_factory.mktemp("days")
    database = open_database(folder / "db")
    upgrade(database.engine)
    return database


@settings(deadline=None)
@given(
    taken=st.lists(st.tuples(AT, LABELS, st.booleans()), max_size=25),
    between=st.tuples(AT, AT).map(sorted),
    zone_min=st.integers(-840, 840),
    has_too_many_labels=st.booleans(),
)
def test_each_picture_is_counted_on_its_day(
    empty: Database,
    taken: list[tuple[float, str | None, bool]],
    between: list[float],
    zone_min: int,
    has_too_many_labels: bool,
) -> None:
    since, until = between
    wanted = Filter(since=since, until=until)
    with pytest.MonkeyPatch.context() as patch, empty.engine.connect() as connection:
        if has_too_many_labels:
            patch.setattr(days, "MOST_LOOKED_UP", 0)
        for number, (at, label, is_deleted) in enumerate(taken):
            plain = {"snippet": 1, "received_at": at, "captured_from": "arrival"}
            row = {"id": f"p{number}", "captured_at": at, "best_label": label, **plain}
            connection.execute(tables.pictures.insert(), [row])
            if is_deleted:
                mark = {"picture_id": f"p{number}", "id": "d", "deleted_at": at, "token_id": "t"}
                connection.execute(tables.deletions.insert(), [mark])
        found = days.counts(connection, wanted, zone_s=zone_min * 60)
        connection.rollback()
    one_by_one = Counter(
        (int((at + zone_min * 60) // days.DAY_S), label)
        for at, label, is_deleted in taken
        if since <= at < until and not is_deleted
    )
    assert {(one.day, one.label): one.pictures for one in found} == one_by_one
    assert [one.day for one in found] == sorted(one.day for one in found)

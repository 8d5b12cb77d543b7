"""The spool on a real disk, through kill -9 and a clock that jumps."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from objectclassification.capture import Spool, Taken
from objectclassification.errors import CaptureError, ConfigurationError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "spool"


def taken(data: bytes = b"picture", age_s: float = 0.0) -> Taken:
    """A picture as Capture gives it; only its bytes and its times matter here."""
    return Taken(
        path=Path("opencv_frame_0.jpg"),
        data=data,
        media_type="image/jpeg",
        width=1,
        height=1,
        sha256=hashlib.sha256(data).hexdigest(),
        freshness="estimated",
        taken_at=time.monotonic() - age_s,
        captured_at=datetime.now(UTC),
        clock="unknown",
        uncertainty_ms=None,
        warnings=(),
        camera_ms={},
    )


def test_what_was_added_is_there_after_a_restart_oldest_first(folder: Path) -> None:
    with Spool(folder) as spool:
        first = spool.add(taken(b"one"), camera="door", upload="/snippets/1/", snap="s1")
        second = spool.add(taken(b"two"), camera="gate", upload="/snippets/2/", key="mine")
    with Spool(folder) as spool:
        assert list(spool.due()) == [first, second]
        assert [item.read() for item in spool.due()] == [b"one", b"two"]
        assert second.key == "mine"
        assert (first.snap, second.snap) == ("s1", None)
        third = spool.add(taken(b"three"), camera="door", upload="/snippets/1/")
        spool.remove(first)
    with Spool(folder) as spool:
        assert list(spool.due()) == [second, third]


def test_due_lets_items_go_while_it_runs(folder: Path) -> None:
    with Spool(folder) as spool:
        for number in range(5):
            spool.add(taken(bytes([number])), camera="door", upload="/snippets/1/")
        for item in spool.due():
            spool.remove(item)
        assert len(spool) == 0
        assert spool.size_bytes == 0
        assert [path.name for path in folder.iterdir()] == ["spool.lock"]


CHILD = """
import sys
from pathlib import Path
from tests.integration.test_spool import taken
from objectclassification.capture import Spool

spool = Spool(Path(sys.argv[1]))
number = 0
while True:
    number += 1
    data = number.to_bytes(4, "big") * 50_000
    item = spool.add(taken(data), camera="door", upload="/snippets/1/", key=str(number))
    print(number, flush=True)                 # it was kept
    if number % 3 == 0:
        spool.remove(item)
        print(-number, flush=True)            # it was let go
"""


@pytest.mark.parametrize("after_lines", [1, 4, 17, 40])
def test_kill_at_any_moment_loses_nothing_and_leaves_no_half(
    folder: Path, after_lines: int
) -> None:
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(folder)], stdout=subprocess.PIPE, text=True
    )
    assert child.stdout
    lines = [int(child.stdout.readline()) for _ in range(after_lines)]
    child.kill()
    lines += [int(line) for line in child.stdout.read().split()]
    child.communicate()
    with Spool(folder) as spool:
        there = {int(item.key) for item in spool.due()}
        for item in spool.due():
            data = item.read()
            assert data == int(item.key).to_bytes(4, "big") * 50_000
            assert hashlib.sha256(data).hexdigest() == item.sha256
        kept = {n for n in lines if n > 0} - {-n for n in lines if n < 0}
        # It may have been killed between doing the next thing and telling us.
        last = max(abs(n) for n in lines)
        assert kept - {last} <= there <= kept | {last + 1}
        files = {path.name for path in folder.iterdir()} - {"spool.lock"}
        assert len(files) == 2 * len(there)


def test_what_a_crash_or_a_person_left_over_is_swept_away(folder: Path) -> None:
    with Spool(folder) as spool:
        good = spool.add(taken(b"good"), camera="door", upload="/snippets/1/")
        gone = spool.add(taken(b"gone"), camera="door", upload="/snippets/1/")
    gone.path.unlink()
    (folder / "000000000007.jpg").write_bytes(b"its note was not written yet")
    (folder / "000000000008.jpg.tmp").write_bytes(b"half")
    (folder / "holiday.jpg").write_bytes(b"somebody's own")
    with Spool(folder) as spool:
        assert list(spool.due()) == [good]
    assert {path.name for path in folder.iterdir()} == {
        "spool.lock",
        "holiday.jpg",
        "000000000001.jpg",
        "000000000001.json",
    }


def test_a_note_of_another_version_is_read_and_a_damaged_one_is_left_to_a_person(
    folder: Path,
) -> None:
    with Spool(folder) as spool:
        newer = spool.add(taken(b"newer"), camera="door", upload="/snippets/1/")
        damaged = spool.add(taken(b"damaged"), camera="door", upload="/snippets/1/")
    note = newer.path.with_suffix(".json")
    note.write_text(json.dumps({**json.loads(note.read_bytes()), "from_the_future": 1}))
    damaged.path.with_suffix(".json").write_text('{"half')
    with Spool(folder) as spool:
        assert list(spool.due()) == [newer]
        spool.add(taken(b"next"), camera="door", upload="/snippets/1/")
    assert damaged.path.read_bytes() == b"damaged"


def test_age_is_honest_whatever_the_wall_clock_says(folder: Path) -> None:
    with Spool(folder) as spool:
        item = spool.add(taken(age_s=5.0), camera="door", upload="/snippets/1/")
    assert 5_000 <= item.age_ms() < 6_000
    note = next(folder.glob("*.json"))
    told = json.loads(note.read_bytes())
    # The clock was wrong by a day when the picture was taken: this boot's own clock still knows.
    note.write_text(json.dumps({**told, "taken_wall_s": time.time() + 86_400}))
    with Spool(folder) as spool:
        assert 5_000 <= next(spool.due()).age_ms() < 10_000
    # After a restart only the wall clock is left, and a picture is never from the future.
    note.write_text(json.dumps({**told, "boot_id": "another", "taken_wall_s": time.time() - 3600}))
    with Spool(folder) as spool:
        assert 3_600_000 <= next(spool.due()).age_ms() < 3_700_000
    note.write_text(json.dumps({**told, "boot_id": "another", "taken_wall_s": time.time() + 3600}))
    with Spool(folder) as spool:
        assert next(spool.due()).age_ms() == 0


def test_it_keeps_to_its_size_by_dropping_the_oldest(folder: Path) -> None:
    with Spool(folder, max_bytes=1000) as spool:
        for number in range(5):
            spool.add(taken(bytes([number]) * 300), camera="door", upload="/snippets/1/")
        assert [item.read()[0] for item in spool.due()] == [2, 3, 4]
        assert spool.size_bytes == 900
        with pytest.raises(CaptureError, match="larger than the spool"):
            spool.add(taken(bytes(1001)), camera="door", upload="/snippets/1/")
        assert len(spool) == 3


def test_expired_pictures_give_way_before_those_that_somebody_waits_for(folder: Path) -> None:
    with Spool(folder, max_bytes=1000) as spool:

        def add(name: bytes, wanted_s: float | None, age_s: float = 0.0) -> None:
            data = taken(name.ljust(300), age_s)
            spool.add(data, camera="door", upload="/snippets/1/", snap="s", wanted_s=wanted_s)

        add(b"awaited", wanted_s=60)
        add(b"expired", wanted_s=5, age_s=6)
        add(b"own", wanted_s=None)  # nobody asked for it
        add(b"new", wanted_s=60)
        assert [item.read().strip() for item in spool.due()] == [b"awaited", b"own", b"new"]
    with Spool(folder, max_bytes=1000) as spool:  # it knows after a restart, too
        add(b"newer", wanted_s=60)
        assert [item.read().strip() for item in spool.due()] == [b"awaited", b"new", b"newer"]
        gone = next(spool.due())
        add(b"newest", wanted_s=60)
        assert spool.dropped == 2
        assert not spool.holds(gone)


def test_one_program_at_a_time(folder: Path) -> None:
    with Spool(folder):
        with pytest.raises(ConfigurationError, match="another camera program"):
            Spool(folder)
    Spool(folder).close()


def test_a_folder_deleted_under_it_is_made_again(folder: Path) -> None:
    with Spool(folder) as spool:
        lost = spool.add(taken(), camera="door", upload="/snippets/1/")
        shutil.rmtree(folder)
        kept = spool.add(taken(b"another"), camera="door", upload="/snippets/1/")
        assert kept.read() == b"another"
        assert (spool.holds(lost), spool.holds(kept), spool.dropped) == (False, True, 1)
        with pytest.raises(ConfigurationError, match="another camera program"):
            Spool(folder)
    with Spool(folder) as spool:
        assert [item.key for item in spool.due()] == [kept.key]


def test_a_folder_that_cannot_be_used(folder: Path) -> None:
    folder.touch()
    with pytest.raises(ConfigurationError, match="cannot use the spool"):
        Spool(folder / "inside")

"""Small parts of the camera program."""

from __future__ import annotations

import asyncio
import hashlib
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
from uuid_utils import uuid7

from objectclassification.capture import Spool, Taken
from objectclassification.client import refused, reports
from objectclassification.client.instance import instance_id
from objectclassification.client.link import Link
from objectclassification.client.refused import put_aside
from objectclassification.client.reports import Reports
from objectclassification.client.threads import in_thread
from objectclassification.errors import ConfigurationError, UploadRefused
from objectclassification.messages import Hello, ShotReport


def taken(data: bytes) -> Taken:
    """A picture as Capture gives it."""
    return Taken(
        path=Path("x.jpg"),
        data=data,
        media_type="image/jpeg",
        width=1,
        height=1,
        sha256=hashlib.sha256(data).hexdigest(),
        freshness="proven",
        taken_at=time.monotonic(),
        captured_at=datetime.now(UTC),
        clock="unknown",
        uncertainty_ms=None,
        warnings=(),
        camera_ms={},
    )


def report(snap: str) -> ShotReport:
    """A word on a shot."""
    return ShotReport(snap=snap, camera="door", state="captured")


def test_only_so_many_refused_pictures_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refused, "KEPT", 3)
    keys = [str(uuid7()) for _ in range(5)]
    with Spool(tmp_path) as spool:
        for key in keys:
            item = spool.add(taken(key.encode()), camera="door", upload="/snippets/1/", key=key)
            put_aside(item, UploadRefused("no", status=422), tmp_path / "refused")
            spool.remove(item)
        assert len(spool) == 0
    kept = {path.name for path in (tmp_path / "refused").iterdir()}
    assert kept == {f"{key}.{kind}" for key in keys[2:] for kind in ("jpg", "json")}


def test_a_copied_card_with_another_name_is_another_instance(tmp_path: Path) -> None:
    first = instance_id(tmp_path, "door")
    assert instance_id(tmp_path, "door") == first
    assert instance_id(tmp_path, "gate") != first
    for torn in (b"", b"\xff\x00"):  # as after a power cut
        (tmp_path / "door.instance").write_bytes(torn)
        assert instance_id(tmp_path, "door") not in ("", first)
    (tmp_path / "yard.instance").mkdir()
    with pytest.raises(ConfigurationError, match=r"yard\.instance"):
        instance_id(tmp_path, "yard")


async def test_the_newest_words_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reports, "REMEMBERED", 2)
    link = Link("http://127.0.0.1:9", Hello(role="listener", instance="test"))
    said = Reports(link, [])
    for snap in ("s1", "s2", "s1", "s3"):
        await said.say(report(snap))
    assert [said.said(snap, "door") is not None for snap in ("s1", "s2", "s3")] == [
        True,
        False,
        True,
    ]


async def test_work_in_a_thread_ends_for_whoever_waits() -> None:
    assert await in_thread(lambda: threading.current_thread().name, "worker") == "worker"

    def fail() -> None:
        raise ConfigurationError("no")

    with pytest.raises(ConfigurationError, match="no"):
        await in_thread(fail, "worker")


async def test_work_that_hangs_keeps_nobody() -> None:
    loop, begun, hangs = asyncio.get_running_loop(), asyncio.Event(), threading.Event()

    def hang() -> None:
        loop.call_soon_threadsafe(begun.set)
        hangs.wait()

    waiting = asyncio.create_task(in_thread(hang, "hanging"))
    await begun.wait()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    (thread,) = [each for each in threading.enumerate() if each.name == "hanging"]
    assert thread.daemon
    hangs.set()

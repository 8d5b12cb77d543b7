"""``/readyz`` under real faults: each is named, and goes away with its cause."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import psutil
import pytest

from objectclassification import readiness
from objectclassification.classification.classifier import SHIPPED_MODEL
from tests.integration.test_metrics import numbers
from tests.serving import Served, until


def failing(server: Served) -> str:
    """What is named; empty when it is ready."""
    answer = server.call("GET", "/readyz", token="")
    if answer.status_code == 200:
        return ""
    assert (answer.status_code, answer.json()["code"]) == (503, "not_ready")
    detail: str = answer.json()["detail"]
    return detail


def test_another_program_locks_the_database(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readiness, "WRITTEN_FOR_S", 0.0)
    monkeypatch.setattr(readiness, "PATIENCE_S", 0.3)
    with Served(tmp_path / "data") as server:
        assert failing(server) == ""
        file = server.settings.data / "database.sqlite3"
        with closing(sqlite3.connect(file, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            assert failing(server).startswith("database: it took no write within 0.3 s")
            other.execute("ROLLBACK")
        until(lambda: failing(server) == "")


def test_the_probe_really_writes(tmp_path: Path) -> None:
    with Served(tmp_path / "data") as server:
        log = server.settings.data / "database.sqlite3-wal"
        before = log.stat().st_size
        assert failing(server) == ""
        assert log.stat().st_size > before
        between = log.stat().st_size
        assert failing(server) == ""  # proven a moment ago
        assert log.stat().st_size == between


def test_the_job_loop_ends(tmp_path: Path) -> None:
    async def end_it() -> None:
        (loop,) = (task for task in asyncio.all_tasks() if task.get_name() == "job-loop")
        loop.cancel()

    with Served(tmp_path / "data") as server:
        server.run(end_it())
        until(lambda: failing(server) != "")
        assert failing(server) == "worker: the job loop ended: its log says why"


def test_children_that_are_killed_come_back_without_a_picture(tmp_path: Path) -> None:
    others = psutil.Process().children()
    with Served(tmp_path / "data") as server:
        for child in set(psutil.Process().children()).difference(others):
            child.kill()
        until(lambda: failing(server).startswith("children: none is ready"))
        until(lambda: failing(server) == "")


def test_children_that_cannot_be_started_again(tmp_path: Path) -> None:
    model = tmp_path / "model.onnx"
    shutil.copyfile(SHIPPED_MODEL, model)
    others = psutil.Process().children()
    with Served(tmp_path / "data", model=model) as server:
        model.rename(tmp_path / "away")
        for child in set(psutil.Process().children()).difference(others):
            child.kill()
        until(
            lambda: (
                failing(server).startswith("children: none is ready")  # each question tries again
                and numbers(server)["children_lost_total"] >= 3
            )
        )
        (tmp_path / "away").rename(model)
        until(lambda: failing(server) == "")


def test_the_loop_stood_still(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def block() -> None:
        time.sleep(0.6)  # noqa: ASYNC251 - that is the fault

    with Served(tmp_path / "data") as server:
        assert failing(server) == ""
        monkeypatch.setattr(readiness, "MOST_LAG_S", 0.05)
        server.run(block())
        until(lambda: failing(server).startswith("loop: the event loop stood still for "))

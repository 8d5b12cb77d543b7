"""Fixtures that more than one folder of tests uses."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from objectclassification.auth import TokenRole
from tests.serving import Served

logging.getLogger().addHandler(logging.NullHandler())


@pytest.fixture(autouse=True)
def logs_go_through_logging() -> None:
    """pytest keeps them for the tests that fail: else a server's would come between the tests.

    Before each test, as some configure logs as the command line does.
    """
    structlog.reset_defaults()
    structlog.configure(
        processors=[structlog.processors.add_log_level, structlog.processors.KeyValueRenderer()],
        logger_factory=structlog.stdlib.LoggerFactory(),
    )


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keeps every test away from this account's own settings, tokens and data."""
    folder = tmp_path / "home"
    folder.mkdir()
    for name in ("CONFIG", "DATA", "STATE", "CACHE"):
        monkeypatch.setenv(f"XDG_{name}_HOME", str(folder / name.lower()))
    for name in ("SERVER", "TOKEN"):
        monkeypatch.delenv(f"OBJECTCLASSIFICATION_{name}", raising=False)
    monkeypatch.delenv("SUDO_USER", raising=False)
    return folder


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """One server for all tests that leave it usable; ``door`` has slot 1, others name their own."""
    with Served(tmp_path_factory.mktemp("server") / "data") as served:
        served.new_token("camera", "door")
        yield served


@pytest.fixture(scope="session")
def tokens(server: Served) -> dict[TokenRole, str]:
    """A token of each role on that server; the camera's is for ``door``."""
    made: dict[TokenRole, str] = {"camera": server.new_token("camera", "door")}
    made["viewer"] = server.new_token("viewer")
    made["operator"] = server.new_token("operator")
    made["admin"] = server.new_token("admin")
    return made

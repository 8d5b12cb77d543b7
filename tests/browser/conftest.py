"""A browser for each worker, a filled server for each module."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from tests.browser import site
from tests.parts import require
from tests.serving import Served


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Debian's chromium."""
    require("chromium")
    with site.chromium() as started:
        yield started


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server with :func:`tests.browser.site.fill` on it."""
    with Served(tmp_path_factory.mktemp("shown") / "data") as served:
        site.fill(served)
        yield served

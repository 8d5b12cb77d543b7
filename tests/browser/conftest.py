"""A browser and a filled server for each module."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from tests.browser import site
from tests.parts import require
from tests.serving import Served


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Debian's chromium.

    Not one for the whole session: Playwright keeps an event loop running in the worker meanwhile,
    and asynchronous tests in other modules could not start theirs.
    """
    require("chromium")
    with site.chromium(f"--host-resolver-rules=MAP {site.LAN} 127.0.0.1") as started:
        yield started


@pytest.fixture(autouse=True)
def no_script_fails() -> Iterator[None]:
    """Whatever a test looks at, no script of a page may have failed meanwhile."""
    yield
    failed, site.FAILED[:] = list(site.FAILED), []
    assert failed == []


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server with :func:`tests.browser.site.fill` on it."""
    with Served(tmp_path_factory.mktemp("shown") / "data", presence_grace_s=0.2) as served:
        site.fill(served)
        yield served

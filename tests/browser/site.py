"""A server that has something to show, and a browser that looks at it."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

from tests.photographs import CHELSEA, COFFEE, MOTORCYCLE, ROCKET
from tests.serving import WAIT_S, Served, photo

SHOWN = {"door": ROCKET, "kitchen": COFFEE, "yard": CHELSEA, "workshop": MOTORCYCLE}
"""The cameras of :func:`fill`, and what is on their newest pictures."""


def jpeg(file: Path) -> bytes:
    """A photograph as a camera sends it."""
    with Image.open(file) as image:
        buffer = io.BytesIO()
        image.convert("RGB").save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def fill(server: Served) -> None:
    """Gives a server four cameras with a classified picture each, and one that has none yet."""
    server.new_token("camera", *SHOWN, "attic")
    slots = {
        camera["name"]: camera["snippet"] for camera in server.call("GET", "/api/cameras").json()
    }
    for camera, file in SHOWN.items():
        data = photo() if file is ROCKET else jpeg(file)
        made = server.call("PUT", f"/snippets/{slots[camera]}", data=data)
        assert made.status_code == 201, made.text
    server.settle()


@contextmanager
def chromium(*arguments: str) -> Iterator[Browser]:
    """Debian's browser, without a screen."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path="/usr/bin/chromium", args=["--no-sandbox", *arguments]
        )
        try:
            yield browser
        finally:
            browser.close()


def open_page(browser: Browser, server: Served, path: str = "/", **context: Any) -> Page:
    """A window of a browser of its own, signed in as admin; ``token=""``: not signed in.

    Args:
        browser: in which.
        server: whose page.
        path: which page.
        **context: of Playwright's ``new_context``; and ``token``, to sign in with another one.
    """
    token = context.pop("token", server.token)
    made = browser.new_context(base_url=server.url, locale="en-GB", **context)
    made.set_default_timeout(WAIT_S * 1000)
    page = made.new_page()
    page.on("pageerror", lambda error: _raise(error))
    joined = "&" if "?" in path else "?"
    page.goto(f"{path}{joined}token={token}" if token else path)
    return page


def _raise(error: Exception) -> None:
    raise AssertionError(f"the page's own script failed: {error}")

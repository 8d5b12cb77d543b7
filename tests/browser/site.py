"""A server that has something to show, and a browser that looks at it."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright
from websockets.exceptions import ConnectionClosed

from objectclassification.messages import ShotReport, SnapOrder, decode_hub
from objectclassification.receipts import ShotError
from tests.photographs import CHELSEA, COFFEE, MOTORCYCLE, ROCKET
from tests.serving import WAIT_S, Served, photo

LAN = "lan.example"
"""A name of this machine that browsers do not take for it: without TLS it is no secure context, as
every address of a plain network."""
FAILED: list[str] = []
"""Errors of pages' own scripts, for the fixture that looks at them."""
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


def newest(server: Served, camera: str) -> str:
    """The id of a camera's newest picture."""
    found = server.call("GET", f"/api/pictures?camera={camera}&limit=1").json()
    return str(found["pictures"][0]["id"])


def scheduled(server: Served) -> str:
    """The page of schedules, with one that runs and one that nobody answers."""
    for name, to in (("mornings", ["door"]), ("nights", ["@nowhere"])):
        wanted = {"name": name, "cron": "0 8 * * mon-fri", "to": to, "timezone": "Europe/Berlin"}
        assert server.call("POST", "/api/schedules", json=wanted).ok
    return "/schedules"


class Answering:
    """A camera program that answers each snap, as real ones do, until its ``with`` ends.

    Args:
        server: whom it serves.
        name: its camera.
        image: what it sends; None: each shot fails as ``dark``.
    """

    def __init__(self, server: Served, name: str, image: bytes | None) -> None:
        self._server = server
        self._name = name
        self._image = image
        self._link = server.camera(name)
        self._thread = threading.Thread(target=self._run, name=f"camera-{name}")

    def __enter__(self) -> Answering:
        self._link.__enter__()
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._link.socket.close()
        self._thread.join(WAIT_S)
        self._link.__exit__(None, None, None)

    def _run(self) -> None:
        with suppress(ConnectionClosed):
            for frame in self._link.socket:
                message = decode_hub(str(frame).encode())
                if isinstance(message, SnapOrder):
                    self._answer(message)

    def _answer(self, order: SnapOrder) -> None:
        report = partial(ShotReport, snap=order.id, camera=order.camera)
        self._link.say(report(state="delivered"))
        if self._image is None:
            error = ShotError(code="dark", detail="the picture is black")
            self._link.say(report(state="failed", error=error))
            return
        self._link.say(report(state="captured", freshness="proven", camera_ms={"capture": 12.0}))
        self._link.upload(order, self._image)


@contextmanager
def lively(server: Served) -> Iterator[None]:
    """Three cameras of :func:`fill` are there, and have answered a snap: one of them in vain."""
    with (
        Answering(server, "kitchen", jpeg(COFFEE)),
        Answering(server, "workshop", jpeg(MOTORCYCLE)),
        Answering(server, "attic", None),
    ):
        for camera in ("kitchen", "workshop", "attic"):
            server.call("POST", "/api/snaps?wait=1", json={"to": [camera]})
        yield


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
    page.on("pageerror", lambda error: FAILED.append(str(error)))
    joined = "&" if "?" in path else "?"
    page.goto(f"{path}{joined}token={token}" if token else path)
    return page

"""The page in a real browser, by the browser's own clock: ``python -m benchmarks.browser``.

How soon the cameras page with 100 cameras is painted, with an empty cache and with a full one; how
long after the hub sent a snap's answer it is on the screen, by a client that hears the same events;
how busy 5,000 presence events a minute keep the page's main thread; and how large our own scripts
and styles are. None of it has a peer: each figure stands beside what it is to stay under.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

import requests
from playwright.sync_api import Browser, Page, sync_playwright
from websockets.sync.client import ClientConnection, connect

from benchmarks import machine
from benchmarks.page import replace_section
from benchmarks.pictures import jpeg, photograph
from benchmarks.programs import OURS, Server, own_account, running, scratch, serve
from objectclassification import web

CAMERAS = 100
MOST_OF_A_TOKEN = 50
VISITS = 10
SNAPS = 20
EVENTS_A_MINUTE = 5000
BUSY_S = 15.0
WAIT_S = 60.0
STATIC = Path(web.__file__).with_name("static")

_WATCH = """camera => {
  const stage = document.querySelector(`[data-camera="${camera}"] .stage`);
  window.painted = [];
  new MutationObserver(() => {
    if (!stage.textContent.startsWith('answered')) return;
    // After the frame that this belongs to.
    requestAnimationFrame(() => setTimeout(() =>
      painted.push(performance.timeOrigin + performance.now())));
  }).observe(stage, {childList: true});
}"""
_PAINTED = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime"


@dataclass(frozen=True, slots=True)
class Figure:
    """What was measured, beside what it is to stay under."""

    what: str
    unit: str
    values: Sequence[float]
    most: float

    @property
    def row(self) -> str:
        """Of the table."""
        spread = " / ".join(f"{f(self.values):,.0f}" for f in (min, median, max))
        met = "met" if median(self.values) <= self.most else "missed"
        return f"| {self.what} | {self.unit} | {spread} | {self.most:,.0f}: {met} |"


def measure() -> list[Figure]:
    """Measures all of it on one server."""
    own = [float(sum(f.stat().st_size for f in STATIC.iterdir() if f.suffix != ".svg"))]
    with scratch() as folder, serve(folder) as server, sync_playwright() as playwright:
        _fill(server)
        browser = playwright.chromium.launch(
            executable_path="/usr/bin/chromium", args=["--no-sandbox"]
        )
        new, first, again = _visits(browser, server)
        answers = _answers(browser, server, folder)
        busy = _busy(browser, server)
        browser.close()
    page = f"cameras page, {CAMERAS} cameras"
    return [
        Figure(f"{page}: first contentful paint, in a new window", "ms", new, 300),
        Figure(f"{page}: first contentful paint, with an empty cache", "ms", first, 300),
        Figure(f"{page}: first contentful paint, later", "ms", again, 300),
        Figure("a snap's answer on the screen, after the hub sent it", "ms", answers, 50),
        Figure(f"main thread under {EVENTS_A_MINUTE:,} presence events a minute", "%", busy, 20),
        Figure(
            "our own JavaScript and CSS, all pages and the phone's camera", "bytes", own, 60_000
        ),
    ]


def _fill(server: Server) -> None:
    """Cameras with a classified picture each."""
    names = [f"camera-{number:03}" for number in range(CAMERAS)]
    for start in range(0, CAMERAS, MOST_OF_A_TOKEN):
        some = names[start : start + MOST_OF_A_TOKEN]
        _call(server, "POST", "/api/tokens", json={"role": "camera", "cameras": some})
    image = jpeg(photograph())
    for camera in _call(server, "GET", "/api/cameras").json():
        _call(server, "PUT", f"/snippets/{camera['snippet']}", data=image)
    until = time.monotonic() + WAIT_S
    while any(
        c["picture"]["state"] == "queued" for c in _call(server, "GET", "/api/cameras").json()
    ):
        if time.monotonic() > until:
            raise SystemExit("the pictures are not classified in time")
        time.sleep(0.2)


def _visits(browser: Browser, server: Server) -> tuple[list[float], list[float], list[float]]:
    """When the page was painted: in a new window, with an empty cache, and with a full one."""
    times: tuple[list[float], list[float], list[float]] = ([], [], [])
    _, empty, _ = times
    for _ in range(VISITS):
        page = _signed_in(browser, server)
        devtools = page.context.new_cdp_session(page)
        for found in times:
            if found is empty:
                devtools.send("Network.clearBrowserCache")
            page.goto("/")
            page.wait_for_function(_PAINTED)
            found.append(page.evaluate(_PAINTED))
        page.context.close()
    return times


def _answers(browser: Browser, server: Server, folder: Path) -> list[float]:
    """From when another client heard of an answer until the page had painted it."""
    file = folder / "picture.jpg"
    file.write_bytes(jpeg(photograph()))
    name = "camera-000"
    camera = (*OURS, "camera", server.url, "--name", name, "--source", str(file))
    env = own_account(folder) | {"OBJECTCLASSIFICATION_TOKEN": server.token}
    places = ("--spool", str(folder / "spool"), "--path", str(folder / "shot.jpg"))
    more = (*places, "--log-level", "error")
    heard: list[float] = []
    with _watching(server, heard), running((*camera, *more), env=env):
        page = _signed_in(browser, server)
        page.goto("/")
        tile = page.locator(f'[data-camera="{name}"]')
        page.wait_for_selector(f'[data-camera="{name}"][data-state="online"]')
        page.evaluate(_WATCH, name)
        for number in range(SNAPS):
            tile.get_by_role("button", name="Snap").click()
            page.wait_for_function("number => painted.length > number", arg=number)
        painted: list[float] = page.evaluate("painted")
        page.context.close()
    return [shown - sent for shown, sent in zip(painted, heard, strict=True)]


@contextmanager
def _watching(server: Server, heard: list[float]) -> Iterator[None]:
    """Notes when each answer was heard, in milliseconds since the epoch."""
    with _connect(server) as socket:
        _say(socket, type="hello", role="controller", instance="bench-watch")
        _say(socket, type="watch", topics=["shots"])

        def listen() -> None:
            for frame in socket:
                now, message = time.time() * 1000, json.loads(frame)
                if message["type"] == "event":
                    shots = message["data"]["shots"]
                    heard.extend(now for shot in shots if shot["state"] == "classified")

        thread = threading.Thread(target=listen)
        thread.start()
        yield
        socket.close()
        thread.join(WAIT_S)


def _busy(browser: Browser, server: Server) -> list[float]:
    """How much of its time the page's main thread works while cameras come and go."""
    page = _signed_in(browser, server)
    page.goto("/")
    page.wait_for_selector('#live[data-state="on"]')
    page.wait_for_load_state("networkidle")
    quiet = _task_share(page, lambda: time.sleep(3))
    events = 0

    def come_and_go() -> None:
        nonlocal events
        began = time.monotonic()
        while time.monotonic() - began < BUSY_S:
            name = f"camera-{events // 2 % CAMERAS:03}"
            with _connect(server) as socket:
                hello = {"type": "hello", "role": "camera", "instance": f"bench-{name}"}
                _say(socket, **hello, cameras=[{"name": name}])
                socket.recv(timeout=WAIT_S)
            events += 2
            ahead_s = events * 60 / EVENTS_A_MINUTE - (time.monotonic() - began)
            time.sleep(max(0.0, ahead_s))

    shares = [_task_share(page, come_and_go)]
    rate = events * 60 / BUSY_S
    print(f"{rate:,.0f} events a minute; the quiet page {quiet:.1f} %")
    page.context.close()
    return shares


def _task_share(page: Page, work: Any) -> float:
    """Percent of the time in which the main thread had a task, by the browser's own count."""
    devtools = page.context.new_cdp_session(page)
    devtools.send("Performance.enable", {"timeDomain": "timeTicks"})

    def figures() -> tuple[float, float]:
        metrics = devtools.send("Performance.getMetrics")["metrics"]
        named = {metric["name"]: metric["value"] for metric in metrics}
        return named["TaskDuration"], named["Timestamp"]

    task_s, at_s = figures()
    work()
    later_s, then_s = figures()
    return 100 * (later_s - task_s) / (then_s - at_s)


def _signed_in(browser: Browser, server: Server) -> Page:
    # The policy would not let Playwright wait for an expression.
    page = browser.new_context(base_url=server.url, bypass_csp=True).new_page()
    # Not through a page, so that the cache stays empty.
    answer = page.context.request.get(f"/?token={server.token}", max_redirects=0)
    assert answer.status == 303
    return page


def _connect(server: Server) -> ClientConnection:
    headers = {"Authorization": f"Bearer {server.token}"}
    url = f"ws{server.url.removeprefix('http')}/ws"
    return connect(url, additional_headers=headers, compression=None, proxy=None)


def _say(socket: ClientConnection, **message: Any) -> None:
    socket.send(json.dumps(message))


def _call(server: Server, method: str, path: str, **more: Any) -> requests.Response:
    headers = {"Authorization": f"Bearer {server.token}"}
    answer = requests.request(method, server.url + path, headers=headers, timeout=WAIT_S, **more)
    answer.raise_for_status()
    return answer


def main() -> None:
    """Measures, prints and writes."""
    busy = machine.busy_percent()
    rows = [
        "| what | unit | min / median / max | at most |",
        "| --- | --- | --- | --- |",
        *(figure.row for figure in measure()),
    ]
    text = "\n".join(
        (
            f"Measured on {datetime.now(UTC):%Y-%m-%d}, while other programs kept the machine "
            f"{busy:.0f} % busy.",
            "",
            machine.describe(),
            "",
            *rows,
        )
    )
    print(text)
    replace_section("browser", text)


if __name__ == "__main__":
    main()

"""The history of 100,000 pictures: pages over HTTP, and how smoothly the gallery scrolls.

Over HTTP every page has a peer of the same run: one picture of it. The gallery's peer is a page
with nothing on it, scrolled the same way: what this machine's browser can do at all.
Frames are the browser's own (``requestAnimationFrame``); there is no graphics card.
"""

from __future__ import annotations

import io
import sqlite3
import time
from pathlib import Path
from typing import Final

import requests
from PIL import Image
from playwright.sync_api import Page, sync_playwright

from benchmarks.programs import Server, serve
from benchmarks.restart import PICTURES, large_folder
from benchmarks.table import Row, print_table
from objectclassification.store import folder as names
from objectclassification.store.blobs import place

ROUNDS: Final = 40
TIMEOUT_S: Final = 60.0
LIMIT: Final = 50
REAL: Final = 1500
"""The newest pictures get thumbnails that are ones, for the browser to decode."""
SCROLLED_S: Final = 5.0
PIXELS_A_FRAME: Final = 40
"""2,400 pixels a second: faster than anybody reads."""

_SCROLL: Final = """
([seconds, pixels]) => new Promise((done) => {
  const frames = [];
  const end = performance.now() + seconds * 1000;
  const step = (at) => {
    frames.push(at);
    scrollBy(0, pixels);
    if (performance.now() < end) requestAnimationFrame(step);
    else done(frames.slice(1).map((one, index) => one - frames[index]));
  };
  requestAnimationFrame(step);
})
"""


def measure() -> list[Row]:
    """Reads pages in turns with one picture, and scrolls.

    Returns:
        A row for each kind of page, with the 95th percentiles of its rounds, and one for frames.
    """
    data = large_folder()
    _make_thumbnails(data)
    with serve(data.parent) as server:
        rows = _read_pages(server, data)
        return [*rows, _scroll(server)]


def _read_pages(server: Server, data: Path) -> list[Row]:
    with sqlite3.connect(f"file:{data / names.DATABASE}?mode=ro", uri=True) as database:
        ids = [row[0] for row in database.execute("SELECT id FROM pictures ORDER BY id DESC")]
    session = requests.Session()
    session.headers["Authorization"] = f"Bearer {server.token}"

    def read(path: str) -> float:
        began = time.perf_counter()
        answer = session.get(server.url + path, timeout=TIMEOUT_S)
        elapsed_ms = (time.perf_counter() - began) * 1000
        assert answer.status_code == 200, answer.text
        return elapsed_ms

    api = f"/api/pictures?limit={LIMIT}"
    history = f"of a history of {PICTURES:,}"
    pages = {
        f"the first page {history}, {LIMIT} pictures": (api, 100.0),
        f"a page from the middle {history}": (f"{api}&cursor={ids[PICTURES // 2]}", 100.0),
        f"the last page {history}": (f"{api}&cursor={ids[-LIMIT - 1]}", 100.0),
        f"the last page {history} with a label that all have": (
            f"{api}&label=label%203&cursor={ids[-LIMIT - 1]}",
            100.0,
        ),
        f"a page {history} with a label that none has": (f"{api}&label=nothing", 100.0),
        f"the counts by day {history}": ("/api/pictures/counts", 200.0),
        f"the page for people {history}": ("/history", 200.0),
    }
    rows = []
    for what, (path, most) in pages.items():
        ours, theirs = [], []
        for _ in range(ROUNDS):
            ours.append(read(path))
            theirs.append(read(f"/api/pictures/{ids[0]}"))
        name = f"{what}, p95 of {ROUNDS}"
        rows.append(Row(name, [_p95(ours)], "one picture of it", [_p95(theirs)], most=most))
    return rows


def _p95(taken: list[float]) -> float:
    return sorted(taken)[int(len(taken) * 0.95)]


def _scroll(server: Server) -> Row:
    """How many milliseconds a frame takes: 16.7 is 60 a second."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path="/usr/bin/chromium", args=["--no-sandbox"]
        )
        try:
            page = browser.new_page(viewport={"width": 1280, "height": 800})
            page.goto(f"{server.url}/history?token={server.token}")
            page.locator(".tile").first.wait_for()
            ours = _frames(page)
            loaded = page.locator(".tile").count()
            page.set_content("<body><main></main>")
            page.evaluate("document.querySelector('main').style.height = '100000px'")
            theirs = _frames(page)
        finally:
            browser.close()
    late = sum(frame > 25 for frame in ours) / len(ours)
    what = f"a frame while the gallery scrolls by {loaded} tiles ({late:.1%} took over 25 ms)"
    return Row(what, ours, "an empty page of that height", theirs, most=17.0)


def _frames(page: Page) -> list[float]:
    found: list[float] = page.evaluate(_SCROLL, [SCROLLED_S, PIXELS_A_FRAME])
    return found


def _make_thumbnails(data: Path) -> None:
    """Puts JPEGs in the place of the newest thumbnails, which are but some bytes."""
    with sqlite3.connect(f"file:{data / names.DATABASE}?mode=ro", uri=True) as database:
        keys = database.execute(
            "SELECT id FROM renditions WHERE name = 'thumbnail' ORDER BY picture_id DESC LIMIT ?",
            (REAL,),
        ).fetchall()
    for (key,) in keys:
        buffer = io.BytesIO()
        noise = [Image.effect_noise((320, 180), 60) for _ in range(3)]
        Image.merge("RGB", noise).save(buffer, "JPEG", quality=80)
        place(data / names.BLOBS, key).write_bytes(buffer.getvalue())


def main() -> None:
    """Prints the table."""
    print_table(measure())


if __name__ == "__main__":
    main()

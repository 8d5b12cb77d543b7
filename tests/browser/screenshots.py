"""Writes a screenshot of every page, at three sizes and in both themes: ``make screenshots``."""

from __future__ import annotations

import logging
import sys
import tempfile
from pathlib import Path
from typing import Literal

import structlog

from tests.browser import site
from tests.browser.pages import PAGES
from tests.serving import Served

SIZES = {"phone": (360, 740), "desk": (1280, 800), "wall": (2560, 1440)}
THEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")


def main(folder: Path, *only: str) -> None:
    """Writes them as ``PAGE-SIZE-THEME.png``; those of all pages unless some are named."""
    quiet = structlog.make_filtering_bound_logger(logging.WARNING)
    structlog.configure(wrapper_class=quiet)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as data, Served(Path(data)) as server:
        site.fill(server)
        with site.lively(server), site.chromium() as browser:
            for shown in (one for one in PAGES if not only or one.name in only):
                for size, (width, height) in SIZES.items():
                    for theme in THEMES:
                        page = site.open_page(
                            browser,
                            server,
                            shown.on(server),
                            viewport={"width": width, "height": height},
                            color_scheme=theme,
                            is_mobile=size == "phone",
                            has_touch=size == "phone",
                            **({} if shown.signed_in else {"token": ""}),
                        )
                        page.wait_for_load_state("networkidle")
                        file = folder / f"{shown.name}-{size}-{theme}.png"
                        if size == "phone":  # all of it, and all of it loaded
                            height = page.evaluate("document.documentElement.scrollHeight")
                            page.set_viewport_size({"width": width, "height": height})
                            page.wait_for_load_state("networkidle")
                        page.screenshot(path=file)
                        page.context.close()
                print(f"{folder}/{shown.name}-*.png", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])

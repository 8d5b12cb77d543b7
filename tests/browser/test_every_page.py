"""What is true of every page: nobody is kept out, nothing comes from elsewhere, it stays small."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from objectclassification import web
from tests.browser import lessons
from tests.browser.pages import PAGES, Shown
from tests.browser.screenshots import THEMES
from tests.browser.site import open_page
from tests.parts import AXE, require
from tests.serving import Served

STATIC = Path(web.__file__).with_name("static")
MOST_BYTES = 60_000
"""Our own JavaScript and CSS of all pages that look, as it is."""
MOST_OF_A_PHONE = 27_000
"""The same of the camera that a phone is, which only its own page loads."""
CUT = "all => all.filter((one) => one.scrollWidth > one.clientWidth).map((one) => one.outerHTML)"
"""Of tables: those of which a part is not seen."""
LINES = """nav => Object.values(Object.groupBy(nav.children, (link) => link.offsetTop)).map(
  (line) => line.length)"""
"""How many links to the pages are in each line."""


def _opened(browser: Browser, shown: Served, one: Shown, **context: Any) -> Any:
    token = {} if one.signed_in else {"token": ""}
    return open_page(browser, shown, one.on(shown), **token, **context)


@pytest.mark.parametrize("one", PAGES, ids=lambda one: one.name)
def test_nothing_keeps_people_out(one: Shown, browser: Browser, shown: Served) -> None:
    require("axe")
    # The policy lets no script in but ours: axe is the test's.
    page = _opened(browser, shown, one, bypass_csp=True)
    page.add_script_tag(path=AXE)
    for theme in THEMES:
        page.emulate_media(color_scheme=theme)
        found = page.evaluate("axe.run()")
        assert [f"{v['id']}: {v['nodes'][0]['html']}" for v in found["violations"]] == []
        assert found["passes"]
    for width in (320, 3840):
        page.set_viewport_size({"width": width, "height": 700})
        for direction in ("ltr", "rtl"):
            page.evaluate("to => document.documentElement.dir = to", direction)
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            if width == 320:
                assert page.locator(".wide").evaluate_all(CUT) == []
                if one.signed_in:
                    assert page.locator(".top nav").evaluate(LINES) == [3, 3]
    page.context.close()


@pytest.mark.parametrize("one", PAGES, ids=lambda one: one.name)
def test_its_policy_lets_in_only_its_own(one: Shown, browser: Browser, shown: Served) -> None:
    page = _opened(browser, shown, one)
    asked: list[str] = []
    refused: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda line: refused.append(line.text) if line.type == "error" else None)
    answer = page.reload()
    page.wait_for_load_state("networkidle")
    policy = answer.headers["content-security-policy"]
    assert "unsafe" not in policy
    assert policy.startswith("default-src 'none';")
    assert {re.split("[/?]", url.partition("://")[2])[0] for url in asked} == {
        f"127.0.0.1:{shown.port}"
    }
    assert [line for line in refused if "Content Security Policy" in line] == []
    # Where a page follows what happens it says so, and nowhere else.
    is_live = one.signed_in and any("/live.js" in url for url in asked)
    expect(page.locator("#live")).to_have_text(["Live"] if is_live else [""] * one.signed_in)
    page.context.close()


def test_a_phone_is_told_of_no_keys(browser: Browser, shown: Served) -> None:
    phone = {"viewport": {"width": 390, "height": 800}, "is_mobile": True, "has_touch": True}
    for path in ("/", lessons.taught(shown)):
        page = open_page(browser, shown, path, **phone)
        assert page.locator("kbd, .keys").count() > 0
        for hint in page.locator("kbd, .keys").all():
            expect(hint).to_be_hidden()
        page.context.close()


def test_who_is_lost_is_told_where_to_go(browser: Browser, shown: Served) -> None:
    page = open_page(browser, shown)
    answer = page.goto("/nosuch?a=<script>")
    assert answer
    assert answer.status == 404
    expect(page.get_by_role("alert")).to_contain_text("No page has the address /nosuch")
    page.get_by_role("main").get_by_role("link", name="All cameras").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Cameras")
    page.context.close()


def test_our_own_scripts_and_styles_stay_small() -> None:
    sizes = {file.name: file.stat().st_size for file in STATIC.iterdir() if file.suffix != ".svg"}
    phone = sum(size for name, size in sizes.items() if name.startswith(("phone-", "join.")))
    assert 0 < phone <= MOST_OF_A_PHONE, sizes
    assert sum(sizes.values()) - phone <= MOST_BYTES, sizes

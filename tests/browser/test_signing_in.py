"""Signing in and out, as a person does it, and what nobody else may do with a session."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.site import LAN, open_page
from tests.serving import Served


def test_a_link_signs_in_and_leaves_no_token_behind(browser: Browser, shown: Served) -> None:
    page = open_page(browser, shown, "/settings/sessions?a=1")
    answer = page.reload()
    assert answer
    assert answer.headers["cross-origin-opener-policy"] == "same-origin"
    assert page.url == f"{shown.url}/settings/sessions?a=1"
    (cookie,) = page.context.cookies()
    assert (cookie["name"], cookie["httpOnly"], cookie["sameSite"], cookie["secure"]) == (
        f"oc_session_{shown.port}",
        True,
        "Strict",
        False,
    )
    assert str(shown.token) not in page.content()
    page.context.close()


def test_the_field_signs_in_and_goes_on_to_what_was_asked_for(
    browser: Browser, shown: Served
) -> None:
    page = open_page(browser, shown, "/settings/sessions", token="")
    field = page.get_by_label("Token")
    field.fill("oc_wrong")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_have_text("The token is unknown or was revoked.")
    field.fill(shown.new_token("viewer"))
    field.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Signed-in browsers")
    assert page.url == f"{shown.url}/settings/sessions"
    page.context.close()


def test_it_works_on_a_plain_network_too(browser: Browser, shown: Served) -> None:
    """There browsers send no ``Sec-Fetch-Site``, and scripts have no clipboard and no UUIDs."""
    there = f"http://{LAN}:{shown.port}"
    page = open_page(browser, shown, token="")
    complaints: list[str] = []
    page.on("console", lambda line: complaints.append(line.text))
    answer = page.goto(f"{there}/signin")
    assert answer
    assert "cross-origin-opener-policy" not in answer.headers
    page.get_by_label("Token").fill(shown.new_token("operator"))
    page.get_by_role("button", name="Copy").click()
    expect(page.locator("#said")).to_have_text("Copied")
    page.get_by_role("button", name="Sign in").click()
    expect(page.locator("#live")).to_have_text("Live")
    assert page.evaluate("isSecureContext") is False
    assert [line for line in complaints if "Opener" in line] == []
    page.get_by_role("button", name="Snap yard").click()
    expect(page.locator('[data-camera="yard"] .stage')).to_contain_text("offline")
    page.goto("about:blank")
    _follow_link(page, f"{there}/settings/sessions")
    expect(page.get_by_role("heading", level=1)).to_have_text("Signed-in browsers")
    page.get_by_role("row", name="this one").get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("alert")).to_contain_text("You were signed out")
    page.context.close()


def test_a_camera_may_not_look(browser: Browser, shown: Served) -> None:
    page = open_page(browser, shown, token=shown.new_token("camera", "door"))
    expect(page.get_by_role("alert")).to_contain_text("A camera token may not do this")
    assert page.context.cookies() == []
    page.context.close()


def test_who_signs_out_is_out(browser: Browser, shown: Served) -> None:
    page = open_page(browser, shown)
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Sign in")
    page.goto("/")
    expect(page.get_by_label("Token")).to_be_visible()
    assert page.context.cookies() == []
    page.context.close()


def _follow_link(page: Page, to: str) -> None:
    """Clicks a link on another site."""
    elsewhere = "http://elsewhere.example/"
    html = f'<a href="{to}">look</a>'
    page.route(elsewhere, lambda route: route.fulfill(content_type="text/html", body=html))
    page.goto(elsewhere)
    page.get_by_role("link").click()


def test_a_link_on_another_site_finds_who_is_signed_in(browser: Browser, shown: Served) -> None:
    """``SameSite=Strict`` keeps the cookie back at first: the page asks for itself once more."""
    page = open_page(browser, shown)
    _follow_link(page, f"{shown.url}/settings/sessions")
    expect(page.get_by_role("heading", level=1)).to_have_text("Signed-in browsers")
    page.context.close()


def test_a_link_with_a_token_on_another_site_signs_in(browser: Browser, shown: Served) -> None:
    page = open_page(browser, shown, token="")
    _follow_link(page, f"{shown.url}/?token={shown.token}")
    expect(page.get_by_role("heading", level=1)).to_have_text("Cameras")
    assert page.url == f"{shown.url}/"
    page.context.close()


def test_a_session_is_ended_from_another_browser(browser: Browser, shown: Served) -> None:
    token = shown.new_token("viewer")
    mine = open_page(browser, shown, "/settings/sessions", token=token)
    other = open_page(browser, shown, "/settings/sessions", token=token, user_agent="lost phone")
    mine.reload()
    row = mine.get_by_role("row", name=re.compile("lost phone"))
    row.get_by_role("button", name="Sign out").click()
    expect(row).to_have_count(0)
    other.reload()
    expect(other.get_by_label("Token")).to_be_visible()
    expect(other.get_by_role("alert")).to_contain_text("not signed in any more")
    for page in (mine, other):
        page.context.close()


@pytest.mark.parametrize("path", ["/", "/settings/sessions", "/signin"])
def test_it_reads_without_javascript(path: str, browser: Browser, shown: Served) -> None:
    page = open_page(browser, shown, path, java_script_enabled=False)
    assert page.get_by_role("heading", level=1).inner_text()
    assert page.get_by_role("button", name="Copy").count() == 0
    page.context.close()

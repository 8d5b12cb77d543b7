"""Receipts as a person reads them: live, with the stages of a real snap, and why a shot failed."""

from __future__ import annotations

import re
import uuid
from urllib.parse import quote

from playwright.sync_api import Browser, expect

from tests.browser import lessons
from tests.browser.lessons import CAMERA, ok
from tests.browser.site import open_page
from tests.serving import Served, photo

STAGES = ["delivered", "captured", "uploaded", "classified"]


def test_a_snap_appears_and_ends_while_the_list_is_open(browser: Browser, shown: Served) -> None:
    page = open_page(browser, shown, "/snaps")
    expect(page.locator("#live")).to_have_attribute("data-state", "on")
    with shown.camera("door") as camera:
        serial = uuid.uuid4().hex
        wanted = {"to": ["door"], "deadline_s": 60, "context": {"serial": serial}}
        ok(shown.call("POST", "/api/snaps", json=wanted))
        receipt = page.get_by_role("article").filter(has_text=serial)
        expect(receipt.get_by_text("under way")).to_be_visible()
        expect(receipt).to_contain_text("within 60 s")
        camera.answer()
        expect(receipt.get_by_text("1 answered")).to_be_visible()
    line = receipt.get_by_role("img")
    expect(line).to_have_attribute("aria-label", re.compile(r"uploaded [\d.]+ ms, classified"))
    assert line.locator("rect").count() >= 2
    receipt.get_by_role("heading").get_by_role("link").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Receipt")
    expect(page.get_by_role("img", name="What door took")).to_be_visible()
    page.context.close()


def test_a_failed_shot_says_why_and_what_to_do(browser: Browser, shown: Served) -> None:
    page = open_page(browser, shown, lessons.snapped(shown))
    failed = page.get_by_role("article").filter(has_text="attic")
    expect(failed.get_by_text("offline", exact=True)).to_be_visible()
    expect(failed).to_contain_text("the camera is not connected")
    expect(failed).to_contain_text("objectclassification doctor on its machine says why")
    answered = page.get_by_role("article").filter(has_text=CAMERA)
    expect(answered).to_contain_text("visitor:")
    for row in answered.get_by_role("rowheader").all():
        assert row.inner_text() in STAGES
    page.context.close()


def test_context_is_searched_and_is_text(browser: Browser, shown: Served) -> None:
    lessons.snapped(shown)
    ok(shown.call("POST", "/api/snaps?wait=1", json={"to": ["attic"], "context": {"order": 1}}))
    page = open_page(browser, shown, "/snaps")
    page.get_by_label("Search by context").fill("order=4711")
    page.get_by_role("button", name="Search").click()
    found = page.get_by_role("article")
    expect(found.first).to_contain_text("order=4711")
    expect(found.filter(has_text="order=1")).to_have_count(0)
    found.first.get_by_role("link", name="note=").click()
    assert page.url.endswith(quote("note=<script>late</script>", safe=""))
    expect(page.get_by_text("note=<script>late</script>").first).to_be_visible()
    page.goto("/snaps?context=4711")
    expect(page.get_by_text("Search as name=value")).to_be_visible()
    page.context.close()


def test_a_receipt_goes_on_while_it_is_looked_at(browser: Browser, shown: Served) -> None:
    with shown.camera("yard") as camera:
        receipt = ok(
            shown.call("POST", "/api/snaps", json={"to": ["yard", "attic"], "deadline_s": 60})
        )
        page = open_page(browser, shown, f"/snaps/{receipt['snap']}")
        expect(page.locator("#live")).to_have_attribute("data-state", "on")
        expect(page.get_by_text("under way")).to_be_visible()
        camera.answer(photo("live"))
        expect(page.get_by_text("1 answered")).to_be_visible()
        expect(page.get_by_text("1 missing")).to_be_visible()
    page.context.close()


def test_it_reads_without_javascript(browser: Browser, shown: Served) -> None:
    lessons.snapped(shown)
    page = open_page(browser, shown, "/snaps", java_script_enabled=False)
    receipt = page.get_by_role("article").filter(has_text="attic").first
    expect(receipt.get_by_text("offline")).to_be_visible()
    assert receipt.locator("rect").count() >= 2
    receipt.get_by_role("heading").get_by_role("link").click()
    expect(page.get_by_text("the camera is not connected")).to_be_visible()
    page.context.close()


def test_what_waits_for_a_camera_is_shown_and_cancelled(browser: Browser, shown: Served) -> None:
    with shown.camera("hut"):
        pass
    page = open_page(browser, shown)
    tile = page.locator('[data-camera="hut"]')
    expect(page.locator("#live")).to_have_attribute("data-state", "on")
    asked = shown.call("POST", "/api/snaps", json={"to": ["hut"], "ttl_s": 7200})
    assert asked.status_code == 202, asked.text
    expect(tile.locator(".waits")).to_contain_text("Snaps that wait for it: 1, the first until")
    page.goto(f"{shown.url}/snaps?waiting=1")
    expect(page.get_by_role("article")).to_contain_text("waits for hut until")
    page.goto(f"{shown.url}/cameras/hut")
    expect(page.get_by_role("heading", name="Came and went")).to_be_visible()
    page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_role("heading", name="Snaps that wait for it")).to_have_count(0)
    ended = shown.call("GET", f"/api/snaps/{asked.json()['snap']}").json()
    assert ended["shots"][0]["error"]["code"] == "cancelled"
    page.context.close()

"""The page of schedules: what is read without JavaScript, and what an operator can do."""

from __future__ import annotations

from playwright.sync_api import Browser, expect

from tests.browser.lessons import ok
from tests.browser.site import open_page
from tests.serving import Served


def test_a_schedule_is_added_paused_and_removed(browser: Browser, shown: Served) -> None:
    page = open_page(
        browser,
        shown,
        "/schedules",
        token=shown.new_token("operator"),
        timezone_id="Australia/Lord_Howe",
    )
    page.get_by_text("Another schedule").click()
    form = page.locator("form", has=page.get_by_role("button", name="Add"))
    expect(form.get_by_label("Time zone")).to_have_value("Australia/Lord_Howe")
    form.get_by_label("When, as a line of cron").fill("0 0 30 2 *")
    form.get_by_label("Cameras and @groups").fill("door\n@lab")
    form.get_by_role("button").click()
    expect(page.get_by_text("never fires")).to_be_visible()
    form.get_by_label("When, as a line of cron").fill("*/5 8-18 * * mon-fri")
    form.get_by_label("Runs that were missed").select_option("skip")
    form.get_by_label("Name, if you like").fill("page")
    form.get_by_role("button").click()

    row = page.get_by_role("row").filter(has_text="page")
    expect(row).to_contain_text("*/5 8-18 * * mon-fri")
    expect(row).to_contain_text("no group '@lab': there is none")
    expect(row.locator("time")).to_have_count(3)
    (made,) = [one for one in ok(shown.call("GET", "/api/schedules")) if one["name"] == "page"]
    assert (made["timezone"], made["missed"]) == ("Australia/Lord_Howe", "skip")
    assert made["to"] == ["door", "@lab"]

    row.get_by_role("button", name="Pause page").click()
    expect(row).to_contain_text("paused")
    row.get_by_role("button", name="Resume page").click()
    expect(row.locator("time")).to_have_count(3)
    page.once("dialog", lambda dialog: dialog.accept())
    row.get_by_role("button", name="Remove page").click()
    expect(row).to_have_count(0)
    page.context.close()


def test_a_viewer_reads_it_without_javascript(browser: Browser, shown: Served) -> None:
    wanted = {"name": "read", "cron": "0 8 * * *", "to": ["yard"], "timezone": "Europe/Berlin"}
    assert shown.call("POST", "/api/schedules", json=wanted).ok
    viewer = shown.new_token("viewer")
    page = open_page(browser, shown, "/schedules", token=viewer, java_script_enabled=False)
    row = page.get_by_role("row").filter(has_text="read")
    expect(row).to_contain_text("0 8 * * *")
    expect(row).to_contain_text("none yet")
    expect(row.locator("time").first).to_contain_text("UTC")
    assert page.get_by_role("button", name="Pause").count() == 0
    assert page.get_by_text("Another schedule").count() == 0
    page.context.close()
    assert shown.call("DELETE", "/api/schedules/read").ok

"""The cameras page in a real browser: snaps and their stages, presence, filters, trouble."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from objectclassification.store import tables
from tests.browser.site import Answering, fill, jpeg, open_page
from tests.photographs import CHELSEA, COFFEE
from tests.serving import Served, ServeProcess


@pytest.fixture
def page(browser: Browser, shown: Served) -> Iterator[Page]:
    """The page, as an operator sees it."""
    opened = open_page(browser, shown, token=shown.new_token("operator"))
    expect(opened.locator("#live")).to_have_text("Live")
    yield opened
    opened.context.close()


def tile(page: Page, camera: str) -> Locator:
    return page.locator(f'[data-camera="{camera}"]')


def watch_stages(page: Page, camera: str) -> None:
    """Has the page note every stage that its tile shows."""
    page.evaluate(
        """camera => {
          const stage = document.querySelector(`[data-camera="${camera}"] .stage`);
          window.stages = [];
          new MutationObserver(() => window.stages.push(stage.textContent))
            .observe(stage, {childList: true});
        }""",
        camera,
    )


def test_a_snap_shows_its_stages_and_its_answer(page: Page, shown: Served) -> None:
    with Answering(shown, "kitchen", jpeg(COFFEE) + b"again"):
        kitchen = tile(page, "kitchen")
        expect(kitchen.locator(".presence")).to_have_text("online")
        before = kitchen.locator("img").get_attribute("src")
        watch_stages(page, "kitchen")
        kitchen.get_by_role("button", name="Snap kitchen").click()
        expect(kitchen.locator(".stage")).to_contain_text("answered in")
        expect(kitchen.locator(".lines li").first).to_contain_text("espresso")
        expect(kitchen.locator(".taken .tag")).to_have_text("proven fresh")
        expect(kitchen.locator("img")).not_to_have_attribute("src", str(before))
        assert kitchen.locator("img").evaluate(
            "image => image.decode().then(() => image.naturalWidth)"
        )
        stages = page.evaluate("stages")
        assert stages[-1].startswith("answered in ")
        assert set(stages[:-1]) & {
            "asked",
            "reached, taking a picture",
            "picture taken, on its way",
        }
    expect(kitchen.locator(".presence")).to_contain_text("offline")
    # The server renders the same.
    said = kitchen.locator(".lines").inner_text()
    page.reload()
    assert tile(page, "kitchen").locator(".lines").inner_text() == said
    expect(tile(page, "kitchen").locator(".taken .tag")).to_have_text("proven fresh")


def test_a_failure_says_why_and_what_to_do(page: Page, shown: Served) -> None:
    tile(page, "yard").get_by_role("button", name="Snap yard").click()
    stage = tile(page, "yard").locator(".stage")
    expect(stage).to_contain_text("offline: the camera is not connected.")
    expect(stage).to_contain_text("objectclassification doctor")
    with Answering(shown, "yard", None):
        tile(page, "yard").get_by_role("button", name="Snap yard").click()
        expect(stage).to_have_text(
            "dark: the picture is black. Is the lens covered, or the light off?"
        )


def test_another_window_sees_it_too(browser: Browser, page: Page, shown: Served) -> None:
    other = open_page(browser, shown, token=shown.new_token("viewer"))
    expect(other.locator("#live")).to_have_text("Live")
    assert other.get_by_role("button", name="Snap").count() == 0
    with Answering(shown, "workshop", jpeg(CHELSEA)):
        tile(page, "workshop").get_by_role("button", name="Snap workshop").click()
        expect(tile(other, "workshop").locator(".stage")).to_contain_text("answered in")
        expect(tile(other, "workshop").locator(".presence")).to_have_text("online")
    other.context.close()


def test_keys_snap_what_is_selected_and_search(page: Page, shown: Served) -> None:
    with Answering(shown, "kitchen", jpeg(COFFEE)), Answering(shown, "door", jpeg(CHELSEA)):
        for camera in ("kitchen", "door"):
            tile(page, camera).get_by_role("checkbox").check()
        expect(page.get_by_role("button", name="Snap 2 selected")).to_be_visible()
        page.keyboard.press("s")
        expect(page.locator("#said")).to_contain_text("2 answered, 0 failed, 0 missing")
        for camera in ("kitchen", "door"):
            expect(tile(page, camera).locator(".stage")).to_contain_text("answered in")
        assert tile(page, "yard").get_attribute("data-snap") is None
    page.keyboard.press("/")
    page.keyboard.type("KITCH")
    expect(tile(page, "door")).to_be_hidden()
    expect(tile(page, "kitchen")).to_be_visible()
    expect(page.locator("#snap-all")).to_have_text("Snap the 1 shown")
    assert page.url.endswith("?q=KITCH")
    page.reload()
    expect(tile(page, "door")).to_be_hidden()
    page.get_by_role("searchbox").fill("no such thing")
    expect(page.locator("#nothing")).to_be_visible()
    page.get_by_role("searchbox").fill("")
    page.get_by_label("State").select_option("online")
    expect(tile(page, "attic")).to_be_hidden()


def test_it_reads_without_javascript(browser: Browser, shown: Served) -> None:
    page = open_page(browser, shown, "/?q=kit", java_script_enabled=False)
    expect(tile(page, "kitchen").locator(".lines")).to_contain_text("espresso")
    expect(tile(page, "kitchen").locator("time").last).to_contain_text("UTC")
    expect(tile(page, "door")).to_be_hidden()
    assert page.get_by_role("button", name="Snap").count() == 0
    assert page.locator("noscript meta").count() == 1
    page.context.close()


def test_pictures_and_cameras_that_no_snap_asked_for_appear(page: Page, shown: Served) -> None:
    with shown.camera("passage"):
        expect(tile(page, "passage").locator(".presence")).to_have_text("online")
    attic = next(c for c in shown.call("GET", "/api/cameras").json() if c["name"] == "attic")
    expect(tile(page, "attic").locator("img")).to_have_count(0)
    shown.call("PUT", f"/snippets/{attic['snippet']}", data=jpeg(COFFEE))
    expect(tile(page, "attic").locator(".lines li").first).to_contain_text("espresso")


def test_a_camera_that_was_forgotten_goes_and_comes_back(page: Page, shown: Served) -> None:
    with shown.camera("gone"):
        expect(tile(page, "gone")).to_be_visible()
        assert shown.call("DELETE", "/api/cameras/gone").status_code == 409
    expect(tile(page, "gone").locator(".presence")).to_contain_text("offline")
    assert shown.call("DELETE", "/api/cameras/gone").status_code == 204
    expect(tile(page, "gone")).to_have_count(0)
    assert shown.call("DELETE", "/api/cameras/gone").status_code == 404
    assert shown.call("POST", "/api/snaps", json={"to": ["gone"]}).status_code == 404
    with shown.camera("gone"):
        expect(tile(page, "gone")).to_be_visible()


def test_labels_of_any_kind_are_text(page: Page, shown: Served) -> None:
    """What a model may be taught to say; the hub's own events carry it."""
    labels = ["<script>window.bad = 1</script>", "ابجد " * 40, "猫" * 200, "a" * 200]
    shot: dict[str, Any] = {
        "camera": "yard",
        "state": "classified",
        "elapsed_ms": {"classified": 12.4},
        "freshness": "replay",
        "verdict": "ng",
        "picture": None,
        "error": None,
        "answers": [],
        "predictions": [],
    }
    for label in labels:
        picture = {"id": label[:8], "url": "/none", "width": 100, "height": 50}
        told = {**shot, "picture": picture, "predictions": [{"label": label, "score": 0.5}]}
        data: dict[str, Any] = {"snap": "s", "shots": [told]}
        shown.run(_publish(shown, data))
        line = tile(page, "yard").locator(".lines li span").first
        expect(line).to_have_text(label.strip())
    # As the server renders it.
    write = tables.predictions.update().values(label=labels[0])
    shown.run(shown.parts.database.write(lambda c: c.execute(write)))
    page.reload()
    expect(tile(page, "yard").locator(".lines li span").first).to_have_text(labels[0])
    assert page.evaluate("window.bad") is None
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


async def _publish(shown: Served, data: dict[str, Any]) -> None:
    shown.system.runner.publish("shots", "moved", data)


def test_a_revoked_token_leads_to_the_form(browser: Browser, shown: Served) -> None:
    made = shown.call("POST", "/api/tokens", json={"role": "viewer"}).json()
    page = open_page(browser, shown, "/?state=offline", token=made["token"])
    expect(page.locator("#live")).to_have_text("Live")
    shown.call("DELETE", f"/api/tokens/{made['id']}")
    expect(page.get_by_role("alert")).to_contain_text("You were signed out")
    page.get_by_label("Token").fill(shown.new_token("viewer"))
    page.keyboard.press("Enter")
    page.wait_for_url("**/?state=offline")
    page.context.close()


def test_the_server_restarts_under_an_open_page(browser: Browser, tmp_path: Path) -> None:
    with ServeProcess(tmp_path, "--port", "0") as first:
        first.new_token("camera", "door")
        port = str(first.port)
        page = browser.new_context().new_page()
        page.goto(f"{first.url}/?token={first.token}")
        expect(page.locator("#live")).to_have_text("Live")
        first.stop()
        expect(page.locator("#live")).to_contain_text("No connection to the server")
    with ServeProcess(tmp_path, "--port", port) as again:
        expect(page.locator("#live")).to_have_text("Live", timeout=30_000)
        with again.camera("door"), again.camera("passage"):
            expect(tile(page, "door").locator(".presence")).to_have_text("online")
            expect(tile(page, "passage").locator(".presence")).to_have_text("online")
        page.context.close()


def test_an_empty_server_says_what_to_do_first(browser: Browser, tmp_path: Path) -> None:
    with Served(tmp_path / "data") as empty:
        page = open_page(browser, empty, permissions=["clipboard-read", "clipboard-write"])
        expect(page.get_by_text(f"objectclassification login {empty.url}")).to_be_visible()
        page.get_by_role("button", name="Copy").last.click()
        assert page.evaluate("navigator.clipboard.readText()").startswith(
            "objectclassification camera --name door"
        )
        with empty.camera("door"):
            expect(tile(page, "door").locator(".presence")).to_have_text("online")
        fill(empty)
        page.context.close()

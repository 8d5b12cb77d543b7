"""Settings: what is chosen is set at the server, and only by those who may."""

from __future__ import annotations

import re
from pathlib import Path

from playwright.sync_api import Browser, expect

from tests.browser.lessons import ok
from tests.browser.site import open_page
from tests.integration.test_models import colours
from tests.serving import Served

LONG = "<script>window.broken = 1</script>" + "x" * 166


def test_a_token_is_made_shown_once_and_revoked(browser: Browser, shown: Served) -> None:
    page = open_page(browser, shown, "/settings")
    page.get_by_text("A new token").click()
    form = page.locator("form", has=page.get_by_role("button", name="Make a token"))
    form.get_by_label("Name", exact=True).fill(LONG)
    form.get_by_label("Role").select_option("camera")
    form.get_by_role("button").click()
    expect(page.get_by_text("a camera token names its cameras")).to_be_visible()
    form.get_by_label("its names").fill("gate\nbridge")
    form.get_by_role("button").click()

    code = page.locator("#made code")
    expect(code).to_have_text(re.compile(r"^oc_\S{43}$"))
    token = code.inner_text()
    with shown.camera("gate", "bridge", token=token) as camera:
        assert set(camera.places) == {"gate", "bridge"}
    row = page.get_by_role("row").filter(has_text=LONG)
    expect(row).to_contain_text("gate, bridge")
    assert page.evaluate("window.broken") is None
    page.reload()
    expect(row).to_be_visible()
    assert token not in page.content()

    page.once("dialog", lambda dialog: dialog.dismiss())
    row.get_by_role("button", name="Revoke").click()
    page.once("dialog", lambda dialog: dialog.accept())
    row.get_by_role("button", name="Revoke").click()
    expect(row).to_have_count(0)
    assert shown.call("PUT", "/snippets/1", data=b"", token=token).status_code == 401
    page.context.close()


def test_a_camera_is_forgotten_and_may_come_back(browser: Browser, shown: Served) -> None:
    token = shown.new_token("camera", "spare")
    page = open_page(browser, shown, "/settings")
    row = page.locator("#cameras").get_by_role("row").filter(has_text="spare")
    forget = row.get_by_role("button", name="Forget spare")
    page.once("dialog", lambda dialog: dialog.dismiss())
    forget.click()
    with shown.camera("spare", token=token):  # meanwhile it came
        page.once("dialog", lambda dialog: dialog.accept())
        forget.click()
        expect(page.get_by_text("the camera spare is connected")).to_be_visible()
        expect(forget).to_have_count(0)
        expect(row).to_have_count(1)
    page.reload()
    page.once("dialog", lambda dialog: dialog.accept())
    forget.click()
    expect(row).to_have_count(0)
    assert "spare" not in [one["name"] for one in ok(shown.call("GET", "/api/cameras"))]
    with shown.camera("spare", token=token):
        page.reload()
        expect(row).to_have_count(1)
        expect(forget).to_have_count(0)
    page.context.close()


def test_only_an_admin_forgets_a_camera(browser: Browser, shown: Served) -> None:
    page = open_page(browser, shown, "/settings", token=shown.new_token("operator"))
    expect(page.get_by_role("rowheader", name="door")).to_be_visible()
    assert page.get_by_role("button", name="Forget").count() == 0
    page.context.close()


def test_what_the_server_refuses_is_said(browser: Browser, shown: Served) -> None:
    page = open_page(browser, shown, "/settings")
    page.once("dialog", lambda dialog: dialog.accept())
    row = page.get_by_role("row").filter(has_text="yours")
    row.get_by_role("button", name="Revoke").click()
    expect(page.get_by_text("the last admin token")).to_be_visible()
    expect(row).to_be_visible()
    page.context.close()


def test_boxes_are_chosen_for_a_camera(browser: Browser, shown: Served) -> None:
    page = open_page(browser, shown, "/settings", token=shown.new_token("operator"))
    boxes = page.get_by_label("Boxes on the pictures of yard")
    with page.expect_response(lambda answer: answer.request.method == "PATCH"):
        boxes.select_option("boxes, each named")
    page.reload()
    expect(boxes).to_have_value('"classify"')
    (yard,) = [one for one in ok(shown.call("GET", "/api/cameras")) if one["name"] == "yard"]
    assert yard["detect"] == "classify"
    assert page.get_by_role("heading", name="Tokens").count() == 0
    page.context.close()


def test_a_camera_gets_a_model_of_its_own_whose_labels_are_text(
    browser: Browser, tmp_path: Path
) -> None:
    labels = (LONG, "ق" * 200, "بلی" * 60)
    with Served(tmp_path / "data") as plant:
        plant.new_token("camera", "door")
        assert plant.call("PUT", "/api/models/own", data=colours(tmp_path, *labels, name="own")).ok
        page = open_page(browser, plant, "/settings", viewport={"width": 320, "height": 700})
        model = page.get_by_label("The model of door")
        with page.expect_response(lambda answer: answer.request.method == "POST"):
            model.select_option("own")
        page.reload()
        expect(model).to_have_value("own")
        with plant.camera("door") as camera:
            made = ok(plant.call("POST", "/api/snaps", json={"to": ["door"], "deadline_s": 30}))
            camera.answer()
            plant.settle()
        page.goto(f"/snaps/{made['snap']}")
        for label in labels:
            expect(page.get_by_text(label)).to_be_visible()
        assert page.evaluate("window.broken") is None
        assert page.evaluate("document.documentElement.scrollWidth") <= 320

        page.goto("/settings")
        with page.expect_response(lambda answer: answer.request.method == "POST"):
            model.select_option("the server's own")
        page.once("dialog", lambda dialog: dialog.accept())
        page.get_by_role("listitem").filter(has_text="own").get_by_role(
            "button", name="Remove"
        ).click()
        expect(page.get_by_text("None was added.")).to_be_visible()
        assert ok(plant.call("GET", "/api/models")) == []
        page.context.close()


def test_a_rule_is_added_and_removed(browser: Browser, shown: Served) -> None:
    page = open_page(browser, shown, "/settings")
    page.get_by_text("Another rule").click()
    form = page.locator("form", has=page.get_by_role("button", name="Add"))
    form.get_by_label("Name").fill("cat-there")
    form.get_by_label("Ng (no good), one a line").fill("mouse, dead\nrat")
    form.get_by_role("button").click()
    listed = page.get_by_role("listitem").filter(has_text="cat-there")
    expect(listed).to_contain_text("ng: mouse, dead, rat")
    (rule,) = ok(shown.call("GET", "/api/rules"))
    assert (rule["ng"], rule["ok"], rule["head"]) == (["mouse, dead", "rat"], [], None)
    page.once("dialog", lambda dialog: dialog.accept())
    listed.get_by_role("button", name="Remove").click()
    expect(listed).to_have_count(0)
    assert ok(shown.call("GET", "/api/rules")) == []
    page.context.close()


def test_a_viewer_reads_and_changes_nothing(browser: Browser, shown: Served) -> None:
    page = open_page(browser, shown, "/settings", token=shown.new_token("viewer"))
    main = page.get_by_role("main")
    expect(main.get_by_role("rowheader", name="door")).to_be_visible()
    for role in ("button", "combobox", "textbox"):
        assert main.get_by_role(role).count() == 0
    assert main.get_by_text("Tokens").count() == 0
    page.context.close()


def test_it_reads_without_javascript(browser: Browser, shown: Served) -> None:
    page = open_page(browser, shown, "/settings", java_script_enabled=False)
    for name in ("Cameras", "Tokens", "Models", "Rules", "What is kept"):
        expect(page.get_by_role("heading", name=name)).to_be_visible()
    assert page.get_by_role("main").get_by_role("button").count() == 0
    page.context.close()

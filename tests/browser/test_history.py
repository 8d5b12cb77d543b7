"""The history, and a picture of it, as a person uses them."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from playwright.sync_api import Browser, Locator, Page, expect

from tests.browser import site
from tests.browser.site import jpeg, open_page
from tests.photographs import MOTORCYCLE, views
from tests.serving import Served, photo, until

PICTURES = 60
"""More than a page of them."""
LONG = "قط 猫 кошка ねこ 😺 " + "x" * 46
"""A class of 64 characters, which is as long as one may be."""


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Some pictures of the door, then one of everything else."""
    with Served(tmp_path_factory.mktemp("filled") / "data") as server:
        server.new_token("camera", "door")
        small = views(MOTORCYCLE, 1)[0]
        for number in range(PICTURES):
            age_ms = (PICTURES - number) * 3600_000
            put(server, "door", small + str(number).encode(), age_ms=age_ms)
        site.fill(server)
        yield server


def put(server: Served, camera: str, data: bytes, **query: Any) -> str:
    slots = {one["name"]: one["snippet"] for one in server.call("GET", "/api/cameras").json()}
    made = server.call("PUT", f"/snippets/{slots[camera]}", data=data, params=query)
    assert made.status_code == 201, made.text
    return str(made.json()["id"])


def tiles(page: Page) -> Locator:
    return page.locator(".tile:visible")


def ids(server: Served, query: str) -> list[str]:
    return [one["id"] for one in server.call("GET", f"/api/pictures{query}").json()["pictures"]]


def test_nothing_lies_over_a_picture(browser: Browser, filled: Served) -> None:
    page = open_page(browser, filled, "/history", viewport={"width": 390, "height": 800})
    tile = tiles(page).first
    picture, box = (
        tile.get_by_role("img").bounding_box(),
        tile.get_by_role("checkbox").bounding_box(),
    )
    assert picture
    assert box
    assert box["y"] >= picture["y"] + picture["height"]
    assert min(box["width"], box["height"]) >= 24  # WCAG 2.2, 2.5.8
    page.context.close()


def test_scrolling_goes_on_to_the_oldest(browser: Browser, filled: Served) -> None:
    page = open_page(browser, filled, "/history")
    expect(tiles(page).first).to_be_visible()
    page.keyboard.press("End")
    everything = ids(filled, "?limit=200")
    expect(page.locator(".tile")).to_have_count(len(everything))
    shown = page.locator(".tile").evaluate_all("all => all.map((one) => one.dataset.picture)")
    assert shown == everything
    expect(page.locator("[data-older]")).to_have_count(0)
    page.context.close()


def test_filters_are_an_address_with_and_without_javascript(
    browser: Browser, filled: Served
) -> None:
    for has_javascript in (True, False):
        page = open_page(browser, filled, "/history", java_script_enabled=has_javascript)
        page.get_by_text("Filter", exact=True).click()
        page.get_by_label("Camera", exact=True).select_option("kitchen")
        page.get_by_role("button", name="Show").click()
        expect(page.locator(".tile")).to_have_count(1)
        expect(page.locator(".tile")).to_contain_text("espresso")
        page.get_by_role("link", name="Clear").click()
        page.get_by_text("Filter", exact=True).click()
        page.get_by_label("Label", exact=True).fill("no such thing")
        page.get_by_role("button", name="Show").click()
        expect(page.locator(".empty")).to_contain_text("No picture fits.")
        page.context.close()


def test_without_javascript_a_link_leads_on(browser: Browser, filled: Served) -> None:
    page = open_page(browser, filled, "/history", java_script_enabled=False)
    assert page.locator(".tile").count() == 60
    page.get_by_role("link", name="Older pictures").click()
    expect(page.locator(".tile")).to_have_count(len(ids(filled, "?limit=200")) - 60)
    page.context.close()


def test_days_and_scores_are_drawn(browser: Browser, filled: Served) -> None:
    label = filled.call("GET", "/api/pictures?camera=kitchen").json()["pictures"][0]
    name = label["predictions"][0]["label"]
    page = open_page(browser, filled, f"/history?label={name}")
    expect(page.get_by_role("heading", name=f"Score of “{name}”")).to_be_visible()
    expect(page.locator(".dots circle")).to_have_count(1)
    day = label["captured_at"][:10]
    page.get_by_role("link", name=f"{day}: 1").click()
    page.wait_for_url(lambda url: f"since={day}" in url)
    expect(page.locator(".tile")).to_have_count(1)
    page.context.close()


def test_a_selection_is_exported(browser: Browser, filled: Served) -> None:
    page = open_page(browser, filled, "/history")
    chosen = ids(filled, "?limit=3")
    page.locator(".tile [type=checkbox]").first.click()
    page.locator(".tile [type=checkbox]").nth(2).click(modifiers=["Shift"])
    expect(page.locator("[data-selected]")).to_have_text("3 selected")
    files = {}
    for kind in ("ZIP", "CSV", "COCO"):
        with page.expect_download() as download:
            page.get_by_role("button", name=kind).click()
        files[kind] = Path(download.value.path()).read_bytes()
    with zipfile.ZipFile(io.BytesIO(files["ZIP"])) as archive:
        lines = json.loads(archive.read("manifest.json"))["pictures"]
        for line in lines:
            sha256 = hashlib.sha256(archive.read(line["file"])).hexdigest()
            assert sha256 == line["renditions"]["full"]["sha256"]
    rows = csv.DictReader(io.StringIO(files["CSV"].decode("utf-8-sig")))
    assert [line["id"] for line in lines] == chosen
    assert [row["picture"] for row in rows] == chosen
    assert [image["picture"] for image in json.loads(files["COCO"])["images"]] == chosen
    page.context.close()


def test_what_is_deleted_goes_in_both_windows_and_comes_back(
    browser: Browser, filled: Served
) -> None:
    page, other = (open_page(browser, filled, "/history?camera=door") for _ in range(2))
    for one in (page, other):
        expect(one.locator("#live")).to_have_text("Live")
    going = ids(filled, "?camera=door&limit=2")
    for number in (0, 1):
        page.locator(".tile [type=checkbox]").nth(number).check()
    page.get_by_role("button", name="Delete").click()
    for one in (page, other):
        for picture in going:
            expect(one.locator(f"[data-picture='{picture}']")).to_be_hidden()
    assert not set(going) & set(ids(filled, "?camera=door"))
    page.get_by_role("button", name="Undo").click()
    for one in (page, other):
        for picture in going:
            expect(one.locator(f"[data-picture='{picture}']")).to_be_visible()
        one.context.close()
    assert ids(filled, "?camera=door&limit=2") == going


def test_only_admins_are_offered_deletion(browser: Browser, filled: Served) -> None:
    for role, may_label in (("operator", True), ("viewer", False)):
        page = open_page(browser, filled, "/history", token=filled.new_token(role))
        assert page.get_by_role("button", name="Delete").count() == 0
        assert (page.get_by_role("button", name="Label").count() == 1) == may_label
        page.locator(".tile a").first.click()
        expect(page.get_by_role("heading", name="Details")).to_be_visible()
        assert page.get_by_role("button", name="Delete").count() == 0
        assert (page.get_by_role("button", name="Save").count() == 1) == may_label
        page.context.close()


def test_a_selection_is_labelled_in_any_script(browser: Browser, filled: Served) -> None:
    page = open_page(browser, filled, "/history?camera=yard")
    page.locator(".tile [type=checkbox]").first.check()
    page.get_by_label("What is on them").fill(LONG)
    page.get_by_role("button", name="Label").click()
    expect(page.locator("[data-said]").first).to_have_text(LONG)
    page.reload()
    expect(page.locator("[data-said]").first).to_have_text(LONG)
    page.set_viewport_size({"width": 320, "height": 700})
    assert page.evaluate("document.documentElement.scrollWidth") <= 320
    page.context.close()


def test_of_two_tabs_the_later_is_right_and_both_show_it(browser: Browser, filled: Served) -> None:
    (picture,) = ids(filled, "?camera=kitchen")
    first, second = (open_page(browser, filled, f"/pictures/{picture}") for _ in range(2))
    for page in (first, second):
        expect(page.locator("#live")).to_have_text("Live")
    for page, name in ((first, "cup"), (second, "<b>saucer</b>")):
        page.get_by_label("Answer").fill(name)
        page.get_by_role("button", name="Save").click()
        for each in (first, second):
            expect(each.locator("[data-labels] b")).to_have_text([name])
    first.get_by_role("button", name="Remove").click()
    expect(second.locator("[data-unsaid]")).to_be_visible()
    for page in (first, second):
        page.context.close()


def test_a_picture_shows_boxes_stages_and_its_neighbours(browser: Browser, filled: Served) -> None:
    with filled.camera("workshop") as camera:
        asked = filled.call(
            "POST", "/api/snaps", json={"to": ["workshop"], "options": {"detect": True}}
        ).json()
        camera.answer(jpeg(MOTORCYCLE))
    filled.settle()
    until(lambda: filled.call("GET", f"/api/snaps/{asked['snap']}").json()["done"])
    (shot,) = filled.call("GET", f"/api/snaps/{asked['snap']}").json()["shots"]
    box = next(found for found in shot["predictions"] if found.get("box"))
    page = open_page(browser, filled, f"/pictures/{shot['picture']['id']}?camera=workshop")
    drawn, image = (page.locator(part).bounding_box() for part in (".over rect", ".image img"))
    assert drawn and image
    left, top, right, bottom = box["box"]
    assert drawn["x"] - image["x"] == pytest.approx(left * image["width"], abs=2)
    assert drawn["y"] - image["y"] == pytest.approx(top * image["height"], abs=2)
    assert drawn["width"] == pytest.approx((right - left) * image["width"], abs=4)
    assert drawn["height"] == pytest.approx((bottom - top) * image["height"], abs=4)
    expect(page.locator(".over text")).to_contain_text(box["label"])
    page.get_by_label("Boxes (1)").uncheck()
    expect(page.locator(".over")).to_be_hidden()
    rows = page.locator(".waterfall th").all_inner_texts()
    assert rows == [name for name in ("uploaded", "classified") if name in shot["elapsed_ms"]]
    with page.expect_download() as download:
        page.get_by_role("link", name="Download").click()
    assert Path(download.value.path()).read_bytes() == jpeg(MOTORCYCLE)
    page.keyboard.press("ArrowRight")
    page.wait_for_url(lambda url: f"/pictures/{ids(filled, '?camera=workshop')[1]}" in url)
    page.keyboard.press("ArrowLeft")
    page.wait_for_url(lambda url: shot["picture"]["id"] in url)
    page.get_by_role("link", name="Similar pictures").click()
    expect(page.locator("#similar .tile")).to_have_count(12)
    page.context.close()


def test_a_picture_that_cannot_be_read_says_so(browser: Browser, filled: Served) -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (400, 300), "teal").save(buffer, "PNG")
    # Its header and its end are good, so that a PUT takes it; its pixels are not.
    head, _, rest = buffer.getvalue().partition(b"IDAT")
    picture = put(filled, "door", head + b"IDAT" + bytes(50) + rest[50:])
    filled.settle()
    page = open_page(browser, filled, f"/pictures/{picture}")
    expect(page.locator(".bad")).to_contain_text("could not be classified")
    page.goto("/history")
    expect(page.locator(".tile").first).to_contain_text("could not be classified")
    page.context.close()


def test_deleted_from_its_own_page_it_is_undone_in_the_history(
    browser: Browser, filled: Served
) -> None:
    (picture,) = ids(filled, "?camera=yard")
    page = open_page(browser, filled, f"/pictures/{picture}")
    page.get_by_role("button", name="Delete").click()
    expect(page.locator("[data-deletion]")).to_contain_text("1 deleted")
    assert ids(filled, "?camera=yard") == []
    page.get_by_role("button", name="Undo").click()
    expect(page.locator("[data-deletion]")).to_have_count(0)
    assert ids(filled, "?camera=yard") == [picture]
    page.context.close()


def test_a_new_picture_is_offered_not_pushed(browser: Browser, filled: Served) -> None:
    page = open_page(browser, filled, "/history?camera=door")
    expect(page.locator("#live")).to_have_text("Live")
    made = put(filled, "door", photo("new"))
    page.get_by_role("link", name="1 new: show it").click()
    expect(page.locator(".tile").first).to_have_attribute("data-picture", made)
    filled.settle()
    page.context.close()


def test_an_address_of_no_use_is_said_to_be(browser: Browser, filled: Served) -> None:
    page = open_page(browser, filled)
    for query in ("min_score=2", "since=yesterday", "until=2026-02-31", "zone_min=x"):
        page.goto(f"/history?{query}")
        expect(page.get_by_role("heading", level=1)).to_have_text("That did not work")
    page.context.close()

"""From pictures to an answer, as a person does it in a browser."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser import lessons
from tests.browser.lessons import CAMERA, CLASSES, EACH, ok
from tests.browser.site import open_page
from tests.serving import Served, photo

NASTY = ("<script>window.broken = 1</script>", "ق" * 64)


@pytest.fixture(scope="module")
def school(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Served, dict[str, str]]]:
    """A server with pictures that nobody labelled, and what is on each."""
    with Served(tmp_path_factory.mktemp("school") / "data") as served:
        yield served, lessons.pictures(served)


def subject(page: Page) -> str:
    """The id of the picture that is asked about."""
    shown = page.locator("#subject")
    expect(shown).to_be_visible()
    return str(shown.get_attribute("src")).split("/")[3]


def label_all(page: Page, right: dict[str, str]) -> None:
    """Says by key what each picture shows."""
    for _ in right:
        page.keyboard.press(str(1 + CLASSES.index(right[subject(page)])))
    expect(page.get_by_text("No picture without a label is left.")).to_be_visible()


def test_from_pictures_to_an_answer_and_back(
    browser: Browser, school: tuple[Served, dict[str, str]]
) -> None:
    server, right = school
    page = open_page(browser, server, "/teach")
    expect(page.get_by_text("Nothing was taught yet.")).to_be_visible()
    page.get_by_label("A short name").fill("visitor")
    page.get_by_label("Its answers").fill("\n".join(CLASSES))
    page.get_by_label("Camera").select_option(CAMERA)
    page.get_by_role("button", name="Begin").click()

    teach = page.get_by_role("button", name="Teach")
    first = subject(page)
    expect(teach).to_be_disabled()
    page.get_by_role("button", name=CLASSES[0]).click()  # with a finger, and it is taken back
    page.get_by_role("button", name="Undo").click()
    expect(page.get_by_role("button", name=CLASSES[0])).to_contain_text("0")
    expect(page.locator("#subject")).to_have_attribute("src", f"/api/pictures/{first}/image")
    assert ok(server.call("GET", f"/api/pictures/{first}"))["labels"] == {}
    page.keyboard.press("n")
    assert subject(page) != first
    page.reload()
    label_all(page, right)
    for name in CLASSES:
        expect(page.get_by_role("button", name=name)).to_contain_text(str(EACH))
    teach.click()

    expect(page.get_by_role("heading", level=1)).to_have_text("visitor, version 1")
    assert {
        one["id"]: one["labels"]["visitor"]
        for one in ok(server.call("GET", "/api/pictures"))["pictures"]
    } == right
    expect(page.get_by_text("100 % right", exact=True)).to_be_visible()
    expect(page.locator("td.hit")).to_have_text([str(EACH)] * 2)
    expect(page.get_by_text("None: each labelled picture was told right")).to_be_visible()
    page.get_by_role("button", name="Switch on").click()
    expect(page.get_by_text("This version answers now.")).to_be_visible()
    assert ok(server.call("GET", "/api/heads/visitor"))["active"] == 1

    page.once("dialog", lambda dialog: dialog.dismiss())
    page.get_by_role("button", name="Roll back").click()
    page.once("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Roll back").click()
    expect(page.get_by_role("button", name="Switch on")).to_be_visible()
    assert ok(server.call("GET", "/api/heads/visitor"))["active"] is None
    page.context.close()


def test_a_part_is_dragged_and_moved_by_keys(
    browser: Browser, school: tuple[Served, dict[str, str]]
) -> None:
    server, right = school
    for picture, name in right.items():
        ok(server.call("PATCH", f"/api/pictures/{picture}", json={"labels": {"part": name}}))
    page = open_page(browser, server, f"/teach/part?camera={CAMERA}")
    page.get_by_text("Look only at a part").click()
    part = page.get_by_role("application")
    page.locator("#cropper img").evaluate("image => image.decode()")
    part.scroll_into_view_if_needed()
    box = part.bounding_box()
    assert box
    page.mouse.move(box["x"] + 0.75 * box["width"], box["y"] + 0.8 * box["height"])
    page.mouse.down()
    page.mouse.move(box["x"] + 0.25 * box["width"], box["y"] + 0.2 * box["height"], steps=4)
    page.mouse.up()
    said = page.locator("#crop-said")
    expect(said).to_have_text("From 25 % to 75 % across, from 20 % to 80 % down")
    part.press("ArrowRight")
    part.press("Shift+ArrowDown")
    expect(said).to_have_text("From 27 % to 77 % across, from 20 % to 82 % down")
    page.get_by_role("button", name="The whole picture").click()
    expect(said).to_have_text("The whole picture is looked at.")
    part.press("ArrowUp")
    expect(said).to_have_text("From 25 % to 75 % across, from 23 % to 73 % down")
    page.get_by_role("button", name="Teach").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("part, version 1")
    expect(page.get_by_text(f"{CAMERA} · a part of the picture")).to_be_visible()
    version = ok(server.call("GET", "/api/heads/part/versions/1"))
    assert (version["crop"], version["camera"]) == ([0.25, 0.23, 0.75, 0.73], CAMERA)
    page.context.close()


def test_a_wrong_label_is_put_right_where_it_is_shown(browser: Browser, shown: Served) -> None:
    page = open_page(browser, shown, lessons.evidence(shown))
    (mistake,) = ok(shown.call("GET", f"/api/heads/{lessons.HEAD}/versions/1"))["evidence"][
        "mistakes"
    ]
    page.get_by_role("button", name=f"It is {mistake['said']}").click()
    expect(page.get_by_text("Teach it again for this to count.")).to_be_visible()
    labels = ok(shown.call("GET", f"/api/pictures/{mistake['picture']}"))["labels"]
    assert labels == {lessons.HEAD: mistake["said"]}
    page.context.close()


def test_findings_are_pictures_and_words_and_nothing_to_press_at_once(
    browser: Browser, school: tuple[Served, dict[str, str]]
) -> None:
    server, _ = school
    slots = {one["name"]: one["snippet"] for one in ok(server.call("GET", "/api/cameras"))}
    same = [
        ok(server.call("PUT", f"/snippets/{slots[CAMERA]}", data=photo(str(n))))["id"]
        for n in range(2)
    ]
    server.settle()
    for picture, name in zip(same, ("day", "night"), strict=True):
        ok(server.call("PATCH", f"/api/pictures/{picture}", json={"labels": {"sky": name}}))
    ok(server.call("POST", "/api/heads/sky/versions", json={"classes": ["day", "night"]}))
    page = open_page(browser, server, "/teach/sky/1")
    found = page.locator(".findings")
    twins = found.get_by_role("listitem").filter(has_text="These two look the same")
    assert {str(link.get_attribute("href")) for link in twins.get_by_role("link").all()} == {
        f"/pictures/{picture}" for picture in same
    }
    said = found.inner_text()
    assert not [word for word in (*same, "--", "`") if word in said]
    switch = page.get_by_role("button", name="Switch on")
    expect(switch).to_be_visible()
    expect(switch).not_to_have_class("js primary")
    page.context.close()


def test_two_windows_label_the_same_picture(
    browser: Browser, school: tuple[Served, dict[str, str]]
) -> None:
    server, _ = school
    path = f"/teach/twice?camera={CAMERA}&classes=one%0Atwo"
    pages = [open_page(browser, server, path) for _ in range(2)]
    first, second = map(subject, pages)
    assert first == second
    for key, page in enumerate(pages, 1):
        with page.expect_response(lambda answer: answer.request.method == "PATCH") as written:
            page.keyboard.press(str(key))
        assert written.value.ok
    labels = ok(server.call("GET", f"/api/pictures/{first}"))["labels"]
    assert labels["twice"] == "two"  # the last word counts, as at the API
    for page in pages:
        page.context.close()


def test_names_are_text(browser: Browser, school: tuple[Served, dict[str, str]]) -> None:
    server, right = school
    for picture, name in zip(right, NASTY, strict=False):
        ok(server.call("PATCH", f"/api/pictures/{picture}", json={"labels": {"nasty": name}}))
    for path in ("/teach/nasty", "/teach"):
        page = open_page(browser, server, path, viewport={"width": 320, "height": 700})
        for name in NASTY:
            expect(page.get_by_text(name).first).to_be_visible()
        assert page.evaluate("window.broken") is None
        assert page.evaluate("document.documentElement.scrollWidth") <= 320
        page.context.close()


def test_a_viewer_sees_and_changes_nothing(browser: Browser, shown: Served) -> None:
    token = shown.new_token("viewer")
    for path in ("/teach", lessons.taught(shown), lessons.evidence(shown)):
        page = open_page(browser, shown, path, token=token)
        buttons = page.get_by_role("main").get_by_role("button")
        expect(page.get_by_role("heading", level=1)).to_be_visible()
        assert buttons.count() == 0
        page.context.close()


def test_it_reads_without_javascript(browser: Browser, shown: Served) -> None:
    page = open_page(browser, shown, lessons.taught(shown), java_script_enabled=False)
    expect(page.get_by_text("Version 1 answers now.")).to_be_visible()
    assert page.get_by_role("button", name="Teach").count() == 0
    page.get_by_role("link", name="Evidence: 1").click()
    expect(page.get_by_role("heading", name="The ones that it gets wrong")).to_be_visible()
    assert page.get_by_role("button", name="Switch on").count() == 0
    page.context.close()

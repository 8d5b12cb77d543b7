"""Each screen loads the size of a picture that it has pixels for, and shows it no larger."""

from __future__ import annotations

import io
from collections.abc import Iterator

import pytest
from PIL import Image
from playwright.sync_api import Browser

from tests.browser.site import newest, open_page
from tests.photographs import COFFEE
from tests.serving import Served, photo

LOADED = "(image) => image.complete && image.naturalWidth > 0 && image.currentSrc"


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server with a picture of 3,000 pixels, and a small one."""
    with Served(tmp_path_factory.mktemp("wide") / "data") as server:
        server.new_token("camera", "door", "yard")
        with Image.open(COFFEE) as image:
            buffer = io.BytesIO()
            image.convert("RGB").resize((3000, 2000)).save(buffer, "JPEG")
        for camera in server.call("GET", "/api/cameras").json():
            data = buffer.getvalue() if camera["name"] == "door" else photo()
            server.call("PUT", f"/snippets/{camera['snippet']}", data=data)
        server.settle()
        yield server


@pytest.mark.parametrize(
    ("path", "width", "height", "dense", "form"),
    [
        ("/pictures/{}", 320, 640, 1, "thumbnail"),
        ("/pictures/{}", 390, 844, 2, "medium"),
        ("/pictures/{}", 1440, 900, 1, "medium"),
        ("/pictures/{}", 3840, 2160, 1, "image"),
        ("/", 1440, 900, 1, "thumbnail"),
        ("/", 1440, 900, 2, "medium"),
        ("/history", 390, 844, 3, "thumbnail"),
        ("/history", 1440, 900, 1, "thumbnail"),
    ],
)
def test_a_screen_loads_what_it_has_pixels_for(
    browser: Browser, wide: Served, path: str, width: int, height: int, dense: int, form: str
) -> None:
    picture = newest(wide, "door")
    size = {"width": width, "height": height}
    page = open_page(browser, wide, path.format(picture), viewport=size, device_scale_factor=dense)
    image = page.locator(f'img[srcset*="{picture}"]').first
    image.scroll_into_view_if_needed()
    page.wait_for_function(f"(one) => ({LOADED})(one)", arg=image.element_handle())
    assert str(image.evaluate(LOADED)).endswith(f"/api/pictures/{picture}/{form}")
    page.context.close()


def test_a_small_picture_is_not_enlarged(browser: Browser, wide: Served) -> None:
    size = {"width": 1440, "height": 900}
    page = open_page(browser, wide, f"/pictures/{newest(wide, 'yard')}", viewport=size)
    box = page.locator(".image img").bounding_box()
    assert box is not None
    assert (round(box["width"]), round(box["height"])) == (640, 427)
    page.context.close()

"""A browser as a camera: joined by a code, snapped, cut off, reloaded, refused.

What the browser takes for its camera is a film of a real photograph.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.browser.screenshots import THEMES
from tests.browser.site import open_page
from tests.parts import AXE, require
from tests.photographs import CATS, CHELSEA
from tests.serving import WAIT_S, Served, ServeProcess, until

WIDTH, HEIGHT = 900, 600
BY = "\N{MULTIPLICATION SIGN}"
READY = "#status[data-state=on]"
HEAD_ROOM = 15.0
"""How much a snap's deadline leaves a busy machine."""


def film(image: Image.Image, file: Path) -> Path:
    """An MJPEG: JPEGs one after the other."""
    frame = io.BytesIO()
    image.resize((WIDTH, HEIGHT)).convert("RGB").save(frame, "JPEG", quality=92)
    file.write_bytes(frame.getvalue() * 3)
    return file


@contextmanager
def filming(browser: Browser, file: Path | None) -> Iterator[Browser]:
    """Another of the same browser, whose camera sees a film; without one it has two cameras."""
    started = browser.browser_type.launch(
        executable_path="/usr/bin/chromium",
        args=[
            "--no-sandbox",
            "--use-fake-device-for-media-stream=device-count=2",
            *([] if file is None else [f"--use-file-for-fake-video-capture={file}"]),
            "--host-resolver-rules=MAP server.test 127.0.0.1",
        ],
    )
    try:
        yield started
    finally:
        started.close()


@pytest.fixture(scope="module")
def cat(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A film of a cat."""
    return film(Image.open(CHELSEA), tmp_path_factory.mktemp("films") / "cat.mjpeg")


@pytest.fixture(scope="module")
def phones(browser: Browser, cat: Path) -> Iterator[Browser]:
    """Browsers that see a cat."""
    with filming(browser, cat) as started:
        yield started


@pytest.fixture(scope="module")
def cameras(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server that takes no picture of over a megapixel."""
    with Served(tmp_path_factory.mktemp("phone") / "data", max_pixels=1_000_000) as served:
        yield served


@pytest.fixture
def phone(phones: Browser) -> Iterator[BrowserContext]:
    """A phone that lets its camera be used."""
    context = phones.new_context(
        viewport={"width": 390, "height": 844}, permissions=["camera"], locale="en-GB"
    )
    context.set_default_timeout(WAIT_S * 1000)
    yield context
    context.close()


def new_code(server: Served | ServeProcess, camera: str) -> str:
    made = server.call("POST", "/api/joins", json={"camera": camera})
    assert made.status_code == 201, made.text
    code: str = made.json()["code"]
    return code


def join(context: BrowserContext, server: Served | ServeProcess, camera: str) -> Page:
    """Opens a link as a phone that has scanned it; returns the page once it is a camera."""
    page = opened(context, f"{server.url}/join#{new_code(server, camera)}")
    page.locator(READY).wait_for()
    return page


def opened(context: BrowserContext, link: str) -> Page:
    page = context.new_page()
    page.on("pageerror", lambda error: pytest.fail(f"the page's own script failed: {error}"))
    page.goto(link)
    page.get_by_role("button", name="Use this device as a camera").click()
    return page


def snap(server: Served | ServeProcess, camera: str, **wanted: Any) -> Any:
    """Takes a picture; returns its shot."""
    body = {"to": [camera], "deadline_s": HEAD_ROOM, **wanted}
    receipt = server.call("POST", "/api/snaps?wait=1", json=body).json()
    (shot,) = receipt["shots"]
    return shot


@contextmanager
def snapping(server: Served, camera: str, **wanted: Any) -> Iterator[Future[Any]]:
    """Takes a picture while the browser does something else."""
    with ThreadPoolExecutor(1) as thread:
        yield thread.submit(snap, server, camera, **wanted)


def pictures(server: Served | ServeProcess, camera: str) -> list[Any]:
    found: list[Any] = server.call("GET", f"/api/pictures?camera={camera}").json()["pictures"]
    return found


def test_a_snap_is_answered_by_the_phone(phone: BrowserContext, cameras: Served) -> None:
    page = join(phone, cameras, "phone")
    assert page.url == f"{cameras.url}/join"  # the code is not left in the history
    expect(page.locator(READY)).to_have_text("phone is ready.")
    shot = snap(cameras, "phone", options={"flash": True})
    assert (shot["state"], shot["freshness"]) == ("classified", "estimated")
    assert shot["predictions"][0]["label"] in CATS
    assert (shot["picture"]["width"], shot["picture"]["height"]) == (WIDTH, HEIGHT)
    assert shot["warnings"] == ["option flash is not known here"]
    # No frame counts whose stamp is not later than the snap by what it took from its exposure.
    assert shot["camera_ms"]["wait"] >= 100
    assert "photo" in shot["camera_ms"]
    expect(page.get_by_role("listitem")).to_have_count(1)


def test_nothing_keeps_people_out_while_it_is_a_camera(phones: Browser, cameras: Served) -> None:
    require("axe")
    context = phones.new_context(
        permissions=["camera"], bypass_csp=True
    )  # axe is no script of ours
    page = join(context, cameras, "for-all")
    snap(cameras, "for-all")
    page.add_script_tag(path=AXE)
    for theme in THEMES:
        page.emulate_media(color_scheme=theme)
        found = page.evaluate("axe.run()")
        assert [f"{v['id']}: {v['nodes'][0]['html']}" for v in found["violations"]] == []
    for width in (320, 3840):
        page.set_viewport_size({"width": width, "height": 700})
        assert page.evaluate("document.documentElement.scrollWidth") <= width
    context.close()


def test_its_token_is_good_for_that_camera_only(phone: BrowserContext, cameras: Served) -> None:
    page = join(phone, cameras, "narrow")
    (kept,) = phone.storage_state()["origins"][0]["localStorage"]
    token = json.loads(kept["value"])["token"]
    slots = {one["camera"]: one["number"] for one in cameras.call("GET", "/snippets").json()}
    other = cameras.call("POST", "/api/joins", json={"camera": "other"}, token=token)
    assert other.status_code == 403
    data = CHELSEA.read_bytes()
    assert cameras.call("PUT", f"/snippets/{slots['narrow']}", data=data, token=token).ok
    cameras.new_token("camera", "other")
    slots = {one["camera"]: one["number"] for one in cameras.call("GET", "/snippets").json()}
    refused = cameras.call("PUT", f"/snippets/{slots['other']}", data=data, token=token)
    assert refused.status_code == 403
    page.get_by_role("button", name="Stop being a camera").click()
    expect(page.get_by_role("button", name="Use this device as a camera")).to_be_visible()
    assert token not in json.dumps(phone.storage_state())


def test_without_stills_it_sends_a_frame_of_the_video(
    phone: BrowserContext, cameras: Served
) -> None:
    phone.add_init_script("delete window.ImageCapture")  # as Safari and Firefox have none
    join(phone, cameras, "frames")
    shot = snap(cameras, "frames")
    assert shot["predictions"][0]["label"] in CATS
    assert shot["picture"]["media_type"] == "image/jpeg"
    assert "encode" in shot["camera_ms"]


def test_a_still_that_fails_is_a_frame_with_a_warning(
    phone: BrowserContext, cameras: Served
) -> None:
    # No camera that fails like that can be had here.
    phone.add_init_script("ImageCapture.prototype.takePhoto = () => Promise.reject(new Error())")
    join(phone, cameras, "hung")
    shot = snap(cameras, "hung")
    assert shot["state"] == "classified"
    assert shot["warnings"] == ["the camera gave no still: this is a frame of its video"]


def test_a_still_that_is_too_large_is_made_smaller(phone: BrowserContext, cameras: Served) -> None:
    # The camera that the browser has here takes none of 48 megapixels, so the limit is lower.
    phone.add_init_script("""
        const asked = ImageCapture.prototype.getPhotoCapabilities;
        ImageCapture.prototype.getPhotoCapabilities = async () =>
          ({ imageWidth: { max: 2000 }, imageHeight: { max: 1500 } });
        ImageCapture.prototype.takePhoto = ({ imageWidth, imageHeight }) => {
          const canvas = new OffscreenCanvas(imageWidth, imageHeight);
          canvas.getContext('2d').fillRect(0, 0, 9, 9);
          return canvas.convertToBlob({ type: 'image/jpeg' });
        };
    """)
    join(phone, cameras, "large")
    shot = snap(cameras, "large")
    assert shot["state"] == "classified", shot["error"]
    assert shot["warnings"] == [f"made smaller for the server, from 2000{BY}1500 to 1154{BY}866"]


def test_offline_it_keeps_its_pictures_and_sends_them_later(
    phone: BrowserContext, cameras: Served
) -> None:
    page = join(phone, cameras, "field")
    phone.set_offline(True)
    expect(page.locator("#status")).to_contain_text("No connection to the server")
    for count in (1, 2):
        page.get_by_role("button", name="Take a picture now").click()
        expect(page.locator("#status")).to_contain_text(f"{count} to be sent.")
    assert pictures(cameras, "field") == []
    phone.set_offline(False)
    expect(page.locator("#status")).to_have_text("field is ready.")
    cameras.settle()
    sent = pictures(cameras, "field")
    assert [picture["predictions"][0]["label"] in CATS for picture in sent] == [True, True]
    assert {picture["captured_from"] for picture in sent} == {"age"}
    receipts = cameras.call("GET", "/api/snaps").json()["snaps"]
    mine = [one for one in receipts if one["origin"] == "camera"]
    assert [shot["state"] for one in mine for shot in one["shots"]] == ["classified"] * 2


def test_a_reload_in_the_middle_of_an_upload_loses_nothing(
    phone: BrowserContext, cameras: Served
) -> None:
    page = join(phone, cameras, "reloaded")
    phone.route("**/snippets/**", lambda route: route.abort())
    with snapping(cameras, "reloaded", deadline_s=20) as answer:
        expect(page.locator("#status")).to_contain_text("1 to be sent.")
        page.reload()
        expect(page.locator("#status")).to_contain_text("1 to be sent.")
        assert not answer.done()
        phone.unroute("**/snippets/**")
        expect(page.locator(READY)).to_have_text("reloaded is ready.")
        assert answer.result(WAIT_S)["state"] == "classified"
    assert len(pictures(cameras, "reloaded")) == 1


def test_a_reload_before_the_picture_was_taken_loses_no_snap(
    phone: BrowserContext, cameras: Served
) -> None:
    # What a phone does that is switched off in the middle: here its first still never comes.
    phone.add_init_script("""
        if (!sessionStorage.again) ImageCapture.prototype.takePhoto = () => new Promise(() => {});
        sessionStorage.again = 'yes';
    """)
    page = join(phone, cameras, "early")
    body = {"to": ["early"], "deadline_s": 20}
    path = f"/api/snaps/{cameras.call('POST', '/api/snaps', json=body).json()['snap']}"
    until(lambda: cameras.call("GET", path).json()["shots"][0]["state"] == "delivered")
    page.reload()
    until(lambda: cameras.call("GET", path).json()["done"])
    (shot,) = cameras.call("GET", path).json()["shots"]
    assert (shot["state"], shot["warnings"]) == ("classified", [])


def test_a_server_that_stops_and_comes_back_has_it_again(
    phone: BrowserContext, tmp_path: Path
) -> None:
    with ServeProcess(tmp_path) as first:
        page = join(phone, first, "steady")
        assert snap(first, "steady")["state"] == "classified"
        first.stop()
        expect(page.locator("#status")).to_contain_text("No connection to the server")
        page.get_by_role("button", name="Take a picture now").click()
        expect(page.locator("#status")).to_contain_text("1 to be sent.")
        with ServeProcess(tmp_path, "--port", str(first.port)) as again:
            expect(page.locator("#status")).to_have_text("steady is ready.")
            assert snap(again, "steady")["state"] == "classified"
            assert len(pictures(again, "steady")) == 3


def test_a_phone_without_room_says_so(phone: BrowserContext, cameras: Served) -> None:
    page = join(phone, cameras, "brimful")
    chromium = phone.new_cdp_session(page)
    quota = {"origin": cameras.url, "quotaSize": 1000}
    chromium.send("Storage.overrideQuotaForOrigin", quota)
    shot = snap(cameras, "brimful")
    assert (shot["state"], shot["error"]["code"]) == ("failed", "capture_failed")
    assert "storage is full" in shot["error"]["detail"]
    expect(page.get_by_role("listitem")).to_contain_text("storage is full")
    chromium.send("Storage.overrideQuotaForOrigin", {"origin": cameras.url})
    assert snap(cameras, "brimful")["state"] == "classified"


def test_a_covered_lens_is_told(browser: Browser, cameras: Served, tmp_path: Path) -> None:
    black = film(Image.new("RGB", (WIDTH, HEIGHT)), tmp_path / "black.mjpeg")
    with filming(browser, black) as covered:
        context = covered.new_context(permissions=["camera"])
        join(context, cameras, "covered")
        shot = snap(cameras, "covered")
    assert (shot["state"], shot["error"]["code"]) == ("failed", "dark")


def test_the_lens_that_was_chosen_stays(browser: Browser, cameras: Served) -> None:
    with filming(browser, None) as two:
        context = two.new_context(permissions=["camera"])
        page = join(context, cameras, "lenses")
        lens = page.get_by_label("Lens")
        first, second = lens.get_by_role("option").all_inner_texts()
        assert lens.locator("option:checked").inner_text() == first
        lens.select_option(label=second)
        shot = snap(cameras, "lenses")
        assert shot["state"] == "classified", shot["error"]
        (warning,) = shot["warnings"]
        assert warning.startswith("made smaller for the server")
        page.reload()
        page.locator(READY).wait_for()
        assert lens.locator("option:checked").inner_text() == second


def test_a_code_works_once(phone: BrowserContext, phones: Browser, cameras: Served) -> None:
    code = new_code(cameras, "once")
    opened(phone, f"{cameras.url}/join#{code}").locator(READY).wait_for()
    another = phones.new_context(permissions=["camera"])
    page = another.new_page()
    page.goto(f"{cameras.url}/join#{code}")
    said = page.get_by_role("alert")
    expect(said).to_contain_text("This link was used already, and each works once.")
    expect(said).to_contain_text("on the page Cameras, Add a phone")
    page.get_by_role("button", name="Try again").click()
    page.get_by_text("No code in the link?").click()
    page.get_by_label("Link or code").fill(code)
    page.get_by_role("button", name="Use this device as a camera").click()
    expect(said).to_contain_text("This link was used already")
    another.close()


def test_the_link_again_is_no_trouble_for_who_used_it(
    phone: BrowserContext, cameras: Served
) -> None:
    code = new_code(cameras, "twice")
    page = opened(phone, f"{cameras.url}/join#{code}")
    page.locator(READY).wait_for()
    page.goto("about:blank")
    page.goto(f"{cameras.url}/join#{code}")
    expect(page.locator(READY)).to_have_text("twice is ready.")


def test_a_phone_that_is_away_is_no_program_to_look_for(
    browser: Browser, phone: BrowserContext, cameras: Served
) -> None:
    join(phone, cameras, "pocket").close()
    until(lambda: not any(one["online"] for one in cameras.call("GET", "/api/cameras").json()))
    page = open_page(browser, cameras)
    page.get_by_role("button", name="Snap pocket").click()
    stage = page.locator('[data-camera="pocket"] .stage')
    expect(stage).to_contain_text("open this server's page /join on it")
    expect(stage).not_to_contain_text("doctor")
    (receipt, *_) = cameras.call("GET", "/api/snaps").json()["snaps"]
    page.goto(f"/snaps/{receipt['snap']}")
    expect(page.get_by_text("open this server's page /join on it")).to_be_visible()
    page.context.close()


def test_without_a_code_it_says_where_there_is_one(phone: BrowserContext, cameras: Served) -> None:
    page = opened(
        phone, f"{cameras.url}/join#main"
    )  # the place that the link over the page skips to
    expect(page.get_by_role("alert")).to_contain_text(
        "An administrator of this server makes a code"
    )
    page.get_by_role("button", name="Try again").click()
    expect(page.get_by_role("button", name="Use this device as a camera")).to_be_visible()


def test_a_code_can_be_typed(phone: BrowserContext, cameras: Served) -> None:
    page = phone.new_page()
    page.goto(f"{cameras.url}/join")
    page.get_by_text("No code in the link?").click()
    page.get_by_label("Link or code").fill(f"{cameras.url}/join#{new_code(cameras, 'typed')}")
    page.get_by_role("button", name="Use this device as a camera").click()
    page.locator(READY).wait_for()


def test_a_revoked_token_is_told(phone: BrowserContext, cameras: Served) -> None:
    page = join(phone, cameras, "banned")
    tokens = cameras.call("GET", "/api/tokens").json()
    (token,) = [one for one in tokens if one["cameras"] == ["banned"]]
    assert token["name"] == "a phone, joined by code"
    cameras.call("DELETE", f"/api/tokens/{token['id']}")
    expect(page.get_by_role("alert")).to_contain_text("its token was revoked")
    page.reload()
    expect(page.get_by_role("button", name="Use this device as a camera")).to_be_visible()


def test_another_tab_takes_it_over(phone: BrowserContext, cameras: Served) -> None:
    page = join(phone, cameras, "tabs")
    second = phone.new_page()
    second.goto(f"{cameras.url}/join")
    second.locator(READY).wait_for()
    expect(page.get_by_role("alert")).to_contain_text("goes on in another tab")


def test_a_phone_that_says_no_is_told_what_to_do(phones: Browser, cameras: Served) -> None:
    context = phones.new_context(
        user_agent="Mozilla/5.0 (iPhone; CPU iPhone OS 19_0 like Mac OS X)"
    )
    code = new_code(cameras, "shy")
    page = opened(context, f"{cameras.url}/join#{code}")
    expect(page.get_by_role("alert")).to_contain_text("Settings, Apps, Safari, Camera, Allow")
    context.grant_permissions(["camera"])
    page.get_by_role("button", name="Try again").click()  # the code is still good
    page.locator(READY).wait_for()
    context.close()


def test_a_page_without_tls_says_what_it_takes(phone: BrowserContext, cameras: Served) -> None:
    page = opened(phone, f"http://server.test:{cameras.port}/join")
    expect(page.get_by_role("alert")).to_contain_text("--tls auto")


def test_an_admin_adds_a_phone_on_the_page(
    browser: Browser, phone: BrowserContext, cameras: Served
) -> None:
    page = open_page(browser, cameras, "/join/new", java_script_enabled=False)
    page.get_by_label("Name of the camera").fill("added")
    page.get_by_role("button", name="Make a code").click()
    link = page.get_by_text(re.compile("/join#")).inner_text()
    scanned = page.get_by_role("img", name="QR code").screenshot()
    dots = cv2.imdecode(np.frombuffer(scanned, np.uint8), cv2.IMREAD_GRAYSCALE)
    assert dots is not None
    assert cv2.QRCodeDetector().detectAndDecode(dots)[0] == link
    opened(phone, link).locator(READY).wait_for()
    assert snap(cameras, "added")["state"] == "classified"
    page.context.close()

"""cameras.toml: what is in it is used, and what is wrong with it is said."""

from __future__ import annotations

import math
import re
from pathlib import Path

import pytest

from objectclassification.config.cameras import CameraSettings, load_cameras, one_camera
from objectclassification.errors import ConfigurationError

ROOT = Path(__file__).parents[2]


def load(folder: Path, text: str) -> tuple[CameraSettings, ...]:
    """Reads a cameras.toml with this text."""
    file = folder / "cameras.toml"
    file.write_text(text)
    return load_cameras(file)


def test_every_setting_is_read(tmp_path: Path) -> None:
    (camera,) = load(
        tmp_path,
        """
        [[cameras]]
        name = "door"
        source = "rtsp://user:${DOOR_PASSWORD}@door.lan/main"
        groups = ["outside", "north"]
        path = "door.png"
        size = "1920x1080"
        rotate = 180
        warmup = "auto"
        keep_warm_s = inf
        latency_ms = 250
        """,
    )
    assert camera == CameraSettings(
        name="door",
        source="rtsp://user:${DOOR_PASSWORD}@door.lan/main",
        groups=("outside", "north"),
        path=Path("door.png"),
        size=(1920, 1080),
        rotate=180,
        warmup="auto",
        keep_warm_s=math.inf,
        latency_ms=250,
    )


def test_a_name_is_enough_and_cameras_do_not_share_a_file(tmp_path: Path) -> None:
    a, b = load(tmp_path, '[[cameras]]\nname = "a"\n[[cameras]]\nname = "b.2"\nsource = 1')
    assert (a.source, a.path) == ("0", Path("opencv_frame_0_a.jpg"))
    assert (b.source, b.path) == ("1", Path("opencv_frame_0_b.2.jpg"))
    assert a.keep_warm_s == 300


def test_one_camera_keeps_the_seeds_name() -> None:
    assert one_camera(name="door", groups=None).path == Path("opencv_frame_0.jpg")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "there is no [[cameras]] in it"),
        ("cameras = []", "there is no [[cameras]] in it"),
        ("cameras = [1]", "cameras must be [[cameras]] tables"),
        ("camera = 1", "there is no setting camera; it has [[cameras]]"),
        ("[[cameras]]\nsource = 0", "camera number 1: name is missing"),
        ("[[cameras]]\nname = 'a'\nsorce = 1", "camera a: there is no setting sorce; there are"),
        ("[[cameras]]\nname = 'a'\nsize = '1280'", "camera a: size: it must look like 1280x720"),
        ("[[cameras]]\nname = 'a'\nwarmup = 'soon'", "warmup: it must be 'auto' or seconds"),
        ("[[cameras]]\nname = 'a'\nkeep_warm_s = -1", "keep_warm_s: it must be at least 0"),
        ("[[cameras]]\nname = 'a'\nkeep_warm_s = nan", "keep_warm_s: it must be at least 0"),
        ("[[cameras]]\nname = 'a'\nsource = true", "source: it must be text"),
        ("[[cameras]]\nname = 'a'\n[[cameras]]\nname = 'a'", "two cameras are called a"),
        (
            "[[cameras]]\nname = 'a'\npath = 'x.jpg'\n[[cameras]]\nname = 'b'\npath = 'x.jpg'",
            "a and b would both save x.jpg",
        ),
        ("[[cameras]", "is not TOML"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load(tmp_path, text)
    assert said in caught.value.detail
    assert str(tmp_path / "cameras.toml") in caught.value.detail
    assert "\n" not in caught.value.detail or said == "is not TOML"


def test_every_setting_is_documented() -> None:
    document = (ROOT / "docs" / "cameras.md").read_text()
    table = document.partition("| setting | default |")[2].partition("\n\n")[0]
    documented = re.findall(r"^\| `(\w+)` \|", table, re.M)
    assert set(documented) == set(CameraSettings.model_fields)


def test_the_documented_file_is_read(tmp_path: Path) -> None:
    document = (ROOT / "docs" / "cameras.md").read_text()
    (example,) = re.findall(r"^```toml\n(.*?)^```", document, re.M | re.S)
    assert len(load(tmp_path, example)) > 1

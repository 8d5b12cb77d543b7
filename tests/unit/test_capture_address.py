"""Source addresses: what is recognised, what is put in."""

from __future__ import annotations

import pytest

from objectclassification.capture.address import expand, kind_of
from objectclassification.errors import ConfigurationError


@pytest.mark.parametrize(
    ("address", "kind"),
    [
        ("0", "device"),
        ("/dev/video0", "device"),
        ("/dev/v4l/by-id/usb-x-index0", "device"),
        ("rtsp://cam/main", "stream"),
        ("RTSPS://cam/main", "stream"),
        ("https://cam/x.jpg", "http"),
        ("exec:rpicam-jpeg -o -", "exec"),
        ("photo.jpg", "file"),
        ("./0", "file"),
        ("~/pictures/*.jpg", "file"),
        ("file:///tmp/x.jpg", "file"),
    ],
)
def test_kind_of(address: str, kind: str) -> None:
    assert kind_of(address) == kind


def test_unknown_kinds_say_what_there_is() -> None:
    with pytest.raises(ConfigurationError, match=r"rtsp://.*exec:"):
        kind_of("gopher://cam/1")
    with pytest.raises(ConfigurationError, match="empty"):
        kind_of("")


def test_the_environment_goes_into_the_login_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WHO", "ann")
    monkeypatch.setenv("DOOR_PASSWORD", "p@ss/w:rd$WHO")
    assert (
        expand("rtsp://$WHO:${DOOR_PASSWORD}@cam/$WHO")
        == "rtsp://ann:p%40ss%2Fw%3Ard%24WHO@cam/$WHO"
    )
    assert expand("rtsp://cam/$WHO") == "rtsp://cam/$WHO"
    assert expand("exec:echo $WHO") == "exec:echo $WHO"


def test_a_missing_variable_is_named_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DOOR_PASSWORD", raising=False)
    with pytest.raises(ConfigurationError, match=r"\$DOOR_PASSWORD") as caught:
        expand("rtsp://ann:x-$DOOR_PASSWORD@cam/main")
    assert "x-" not in caught.value.detail

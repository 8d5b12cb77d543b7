"""What is hidden of a text, and that every log line passes it."""

from __future__ import annotations

import io
import json
import sys

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from objectclassification.cli import logs
from objectclassification.masking import mask

SECRET = "rtsp://ann:hunter2@door.lan/main"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("0", "0"),
        ("rtsp://door.lan/main", "rtsp://door.lan/main"),
        ("rtsp://door.lan:554/main?ch=1", "rtsp://door.lan:554/main?ch=1"),
        ("rtsp://ann:secret@door.lan:554/main", "rtsp://ann:***@door.lan:554/main"),
        ("rtsp://ann:p@ss/w:rd@door.lan/main", "rtsp://ann:***@door.lan/main"),
        ("http://ann@door.lan/x.jpg", "http://ann@door.lan/x.jpg"),
        ("http://cam/s?user=ann&pwd=secret&x=1", "http://cam/s?user=ann&pwd=***&x=1"),
        ("http://cam/s?user=ann&password=a%20b", "http://cam/s?user=ann&password=***"),
        ("http://cam/s?token=secret#top", "http://cam/s?token=***#top"),
        ("http://cam/s?apikey=secret;y=2", "http://cam/s?apikey=***;y=2"),
        ("ws://hub/ws?token=oc_abc", "ws://hub/ws?token=***"),
        ("token=oc_abc was sent", "token=*** was sent"),
        ("it is oc_" + "Ab3-_" * 9, "it is ***"),
        ("exec:fetch 'http://a:b@cam/x?auth=c'", "exec:fetch 'http://a:***@cam/x?auth=***'"),
    ],
)
def test_mask(text: str, shown: str) -> None:
    assert mask(text) == shown


@given(st.text(st.characters(codec="ascii", exclude_categories=["Cc", "Zs"]), min_size=1))
def test_no_password_is_ever_shown(password: str) -> None:
    shown = mask(f"rtsp://ann:«{password}»@door.lan/main")
    assert shown == "rtsp://ann:***@door.lan/main"


class Terminal(io.StringIO):
    """A standard error that a person looks at."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("kind", [io.StringIO, Terminal])
def test_a_log_line_shows_no_password(
    kind: type[io.StringIO], monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = kind()
    monkeypatch.setattr(sys, "stderr", stream)
    try:
        logs.configure("info")
        try:
            raise ValueError(f"cannot read {SECRET}")
        except ValueError:
            where = {"urls": [SECRET], "one": {"url": SECRET}}
            structlog.get_logger("test").exception("failed", url=SECRET, **where)
    finally:
        structlog.reset_defaults()
    written = stream.getvalue()
    assert "hunter2" not in written
    assert written.count("rtsp://ann:***@") == 4
    if kind is io.StringIO:
        assert json.loads(written)["one"] == {"url": "rtsp://ann:***@door.lan/main"}

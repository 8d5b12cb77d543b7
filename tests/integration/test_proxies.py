"""Forwarded addresses: believed from trusted proxies only, for HTTP and for WebSockets."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from tests.serving import Served

FORWARDED = {"X-Forwarded-For": "198.51.100.7, 192.0.2.1", "X-Forwarded-Proto": "https"}


@pytest.mark.parametrize(("trusted", "client"), [("127.0.0.1", "192.0.2.1"), ("", "127.0.0.1")])
def test_the_log_names_the_client(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, trusted: str, client: str
) -> None:
    caplog.set_level(logging.INFO)
    with Served(tmp_path / "data", trusted_proxies=trusted) as server:
        server.call("GET", "/api/cameras", token="oc_wrong", headers=FORWARDED)
        with (
            pytest.raises(InvalidStatus),
            connect(f"ws://127.0.0.1:{server.port}/ws", additional_headers=FORWARDED, proxy=None),
        ):
            pass
    for event, key in (("request", "client"), ("refused", "peer")):
        (line,) = [text for text in caplog.messages if f"event='{event}'" in text]
        assert f"{key}='{client}'" in line

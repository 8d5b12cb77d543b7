"""A token as a subprotocol: how a page brings it, whose WebSocket can set no other header."""

from __future__ import annotations

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Subprotocol

from objectclassification.messages import CameraOffer, Hello, Welcome, encode
from tests.serving import Served, hear


def offering(server: Served, *protocols: str, query: str = "") -> ClientConnection:
    """Connects as a page does."""
    offers = [Subprotocol(one) for one in protocols]
    return connect(f"ws{server.url[4:]}/ws{query}", subprotocols=offers, proxy=None)


def test_a_pages_token_is_taken_and_ours_is_the_protocol(server: Served) -> None:
    token = server.new_token("camera", "door")
    with offering(server, "objectclassification", f"token.{token}") as socket:
        assert socket.subprotocol == "objectclassification"
        offers = (CameraOffer(name="door"),)
        socket.send(encode(Hello(role="camera", instance="page", cameras=offers)).decode())
        assert hear(socket, Welcome).cameras[0].name == "door"


@pytest.mark.parametrize("offered", ["chat", "objectclassification", "token.", "token.oc_wrong"])
def test_others_are_no_token(offered: str, server: Served) -> None:
    with pytest.raises(InvalidStatus) as refused:
        offering(server, offered)
    assert refused.value.response.status_code == 401


def test_a_client_that_speaks_another_protocol_gets_in_without_one(server: Served) -> None:
    with offering(server, "mqtt", query=f"?token={server.token}") as socket:
        assert socket.subprotocol is None

"""What the hub counts of its connections, on real sockets."""

from __future__ import annotations

import pytest
from websockets.exceptions import ConnectionClosedError, InvalidStatus

from tests.serving import Served, until


def test_connections_bytes_and_refusals_are_counted(server: Served) -> None:
    counts = server.system.runner.counts
    before = (counts.connections, counts.received_bytes, counts.sent_bytes, counts.refused[401])
    with pytest.raises(InvalidStatus), server.connect("oc_nobody"):
        pass
    with server.camera("counted") as camera:
        sent = sum(len(place.upload or "") for place in camera.places.values())
    until(lambda: counts.connections == before[0] + 1)
    assert counts.refused[401] == before[3] + 1
    assert counts.received_bytes > before[1] + 200  # two handshakes and a hello
    assert counts.sent_bytes > before[2] + sent


def test_what_breaks_the_rules_is_counted_as_dropped(server: Served) -> None:
    dropped = server.system.runner.counts.dropped
    protocol, flood = dropped.protocol, dropped.flood
    with server.connect() as socket:
        socket.send(b"\xff", text=True)  # not UTF-8
        with pytest.raises(ConnectionClosedError):
            socket.recv(timeout=30)
    assert dropped.protocol == protocol + 1
    with server.connect() as socket, pytest.raises(ConnectionClosedError):
        while True:
            socket.send('{"type": "nonsense"}')
            socket.recv(timeout=30)
    assert dropped.flood == flood + 1

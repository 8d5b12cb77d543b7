"""Which names mean this machine only, and where it is."""

from __future__ import annotations

import ipaddress
import socket

import pytest

from objectclassification.hub.address import is_own_name, machine_address


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:8000", "127.0.0.1", "127.9.9.9:1", "[::1]", "[::1]:8000"]
)
def test_names_of_this_machine_only(host: str) -> None:
    assert is_own_name(host)


@pytest.mark.parametrize(
    "host",
    [
        "",
        "[::1",
        "[]",
        "[::1]evil.example",
        "[::1]:evil.example",
        "localhost:evil.example",
        "evil.example",
        "localhost.evil.example",
        "10.0.0.1:80",
        "@localhost",
        "1.2.3.4",
    ],
)
def test_names_that_others_may_have(host: str) -> None:
    assert not is_own_name(host)


def test_the_machine_has_a_name_and_an_address() -> None:
    machine = machine_address()
    assert machine.hostname == socket.gethostname()
    assert ipaddress.ip_address(machine.address).version == 4

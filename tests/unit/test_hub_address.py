"""Which names mean this machine only, where it is, and which origin is that of its pages."""

from __future__ import annotations

import ipaddress
import socket

import pytest

from objectclassification.hub.address import is_own_name, is_own_origin, machine_address


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


@pytest.mark.parametrize(
    ("origin", "scheme", "is_own"),
    [
        ("https://Door.example:8000", "https", True),
        ("http://door.example:8000", "https", False),
        ("http://door.example:8000", "http", True),
        ("https://door.example:8000", "http", True),  # TLS that a proxy has ended
        ("https://door.example", "https", False),
        ("https://door.example:8000/", "https", False),
        ("https://other.example:8000", "https", False),
        ("ftp://door.example:8000", "http", False),
        ("door.example:8000", "http", False),
        ("null", "http", False),
        ("http://[", "http", False),
        ("", "http", False),
    ],
)
def test_an_origin_is_scheme_and_host(origin: str, scheme: str, is_own: bool) -> None:
    assert is_own_origin(origin, "door.example:8000", scheme) == is_own


def test_without_a_host_no_origin_is_ours() -> None:
    assert not is_own_origin("http://", "", "http")

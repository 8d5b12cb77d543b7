"""By which names a server is asked for that it has, and by which not."""

from __future__ import annotations

import ipaddress
import socket
from pathlib import Path

import pytest

from objectclassification.certificates.authority import certificate_names
from objectclassification.certificates.names import is_among, machine_names
from tests.certificates import authority, signed_by

NAMES = frozenset(
    {"door.lan", "*.example.org", ipaddress.ip_address("192.0.2.7"), ipaddress.ip_address("::7")}
)


@pytest.mark.parametrize(
    "host", ["door.lan", "DOOR.lan:8000", "a.example.org", "192.0.2.7:443", "[::7]", "[0::7]:8000"]
)
def test_names_it_has(host: str) -> None:
    assert is_among(host, NAMES)


@pytest.mark.parametrize(
    "host",
    [
        "",
        ":8000",
        "door.lan.",
        "other.lan",
        "example.org",
        "a.b.example.org",
        "192.0.2.8",
        "[::8]",
        "[::7",
        "[door.lan]",
        "user@door.lan",
        "door.lan/x",
        "door.lan#x",
        "door.lan:x",
        "door.lan\\@evil.example",
    ],
)
def test_names_it_has_not(host: str) -> None:
    assert not is_among(host, NAMES)


def test_a_machine_is_called_by_its_name() -> None:
    assert is_among(f"{socket.gethostname()}:8000", machine_names("0.0.0.0"))  # noqa: S104


def test_a_certificate_says_whom_it_is_for(tmp_path: Path) -> None:
    file = tmp_path / "cert.pem"
    file.write_text(signed_by(authority(), "door.lan", "*.example.org", "192.0.2.7", "::7").pem)
    assert certificate_names(file) == NAMES
    file.write_text(authority().pem)
    assert certificate_names(file) == frozenset()
    assert certificate_names(tmp_path / "none") == frozenset()

"""Which certificate a server shows."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from pathlib import Path

from objectclassification.errors import ConfigurationError

AUTHORITY_FILE = "tls-authority.pem"
"""Beside the database: key and certificate of a server's own authority."""

Name = str | ipaddress.IPv4Address | ipaddress.IPv6Address

_HOST_NAME = re.compile(
    r"(\*\.)?[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*\.?"
)


@dataclass(frozen=True, slots=True)
class OwnAuthority:
    """``--tls auto``: a certificate of an authority of the server's own.

    Attributes:
        names: host names and addresses that the machine does not know it has.
    """

    names: tuple[Name, ...] = ()


@dataclass(frozen=True, slots=True)
class CertificateFiles:
    """``--tls-cert`` and ``--tls-key``: somebody else renews it.

    Attributes:
        cert: the certificate and those between it and its authority, in PEM.
        key: its private key, in PEM, without a passphrase; may be the same file.
    """

    cert: Path
    key: Path


def read_choice(
    tls: str, cert: Path | None, key: Path | None, names: str = ""
) -> OwnAuthority | CertificateFiles | None:
    """Reads the four settings; None is plain HTTP.

    Raises:
        ConfigurationError: they contradict each other.
    """
    if tls not in ("off", "auto"):
        raise ConfigurationError(f"--tls is auto or off, not {tls!r}")
    if tls == "auto":
        if cert is not None or key is not None:
            raise ConfigurationError("--tls auto makes a certificate: leave --tls-cert out, or it")
        return OwnAuthority(tuple(map(_read_name, filter(None, map(str.strip, names.split(","))))))
    if names:
        raise ConfigurationError("tls_names are for the certificate of --tls auto")
    if cert is None and key is None:
        return None
    if cert is None or key is None:
        raise ConfigurationError("--tls-cert and --tls-key go together")
    return CertificateFiles(cert, key)


def _read_name(word: str) -> Name:
    try:
        return ipaddress.ip_address(word)
    except ValueError:
        name = word.lower()
    if len(name) > 253 or not _HOST_NAME.fullmatch(name):
        raise ConfigurationError(f"tls_names: {word!r} is neither a host name nor an address")
    return name.rstrip(".")

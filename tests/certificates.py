"""Certificates for tests: authorities, and what they sign for this machine."""

from __future__ import annotations

import ipaddress
import ssl
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import NameOID


@dataclass(frozen=True)
class Pair:
    """A certificate and its key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @property
    def pem(self) -> str:
        """The certificate."""
        return self.certificate.public_bytes(Encoding.PEM).decode()

    def key_pem(self, passphrase: bytes | None = None) -> str:
        """The key."""
        lock = BestAvailableEncryption(passphrase) if passphrase else NoEncryption()
        return self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, lock).decode()


def authority(name: str = "An authority") -> Pair:
    """An authority of its own."""
    return _issue(name, None, x509.BasicConstraints(ca=True, path_length=0))


def signed_by(
    issuer: Pair, *names: str, ends_in: timedelta = timedelta(days=90), serial: int | None = None
) -> Pair:
    """A certificate for names and addresses, 127.0.0.1 unless given."""
    shown: list[x509.GeneralName] = []
    for name in names or ("127.0.0.1",):
        try:
            shown.append(x509.IPAddress(ipaddress.ip_address(name)))
        except ValueError:
            shown.append(x509.DNSName(name))
    more = x509.SubjectAlternativeName(shown)
    return _issue("A server", issuer, more, ends_in=ends_in, serial=serial)


def trusting(ca: Path) -> ssl.SSLContext:
    """For the ``sync`` client of websockets, to check a server with.

    Not TLS 1.3: that client reads in one thread while it writes in another, and with Python 3.11
    and nginx its 80th connection hung (with TLS 1.2 none of 11,000). What we ship uses asyncio.
    """
    context = ssl.create_default_context(cafile=ca)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    return context


def context_of(folder: Path, shown: Pair, *chain: Pair) -> ssl.SSLContext:
    """A listener's context that shows a certificate and more."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{shown.certificate.serial_number}.pem"
    file.write_text(shown.key_pem() + shown.pem + "".join(each.pem for each in chain))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(file)
    return context


def _issue(
    name: str,
    issuer: Pair | None,
    extension: x509.ExtensionType,
    *,
    ends_in: timedelta = timedelta(days=90),
    serial: int | None = None,
) -> Pair:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    signer = key if issuer is None else issuer.key
    now = datetime.now(UTC)
    built = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject if issuer is None else issuer.certificate.subject)
        .public_key(key.public_key())
        .serial_number(serial or x509.random_serial_number())
        .not_valid_before(now - timedelta(days=100))
        .not_valid_after(now + ends_in)
        .add_extension(extension, critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False
        )
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    return Pair(built.sign(signer, hashes.SHA256()), key)

"""A certificate authority of the server's own, and the certificate that it signs for the server.

What a client pins or trusts is the authority: the certificate under it is renewed, and gets new
names and addresses, without anybody noticing.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

import structlog
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from objectclassification.certificates.names import machine_names
from objectclassification.config import write_secret
from objectclassification.config.tls import AUTHORITY_FILE, Name
from objectclassification.errors import ConfigurationError

PUBLIC_FILE = "ca.crt"
CERTIFICATE_FILE = "tls-certificate.pem"
AUTHORITY_VALID = timedelta(days=20 * 365)
BACKDATED = timedelta(days=365)
"""Camera machines without a clock wake in the past, and must find a certificate that is valid."""
VALID = timedelta(days=400)
"""With :data:`BACKDATED` it is 765 days: Apple's systems take no certificate of more than 825, also
of an authority that their owner trusts (support.apple.com/103769)."""
RENEWED_BEFORE = timedelta(days=60)

_log = structlog.get_logger(__name__)


class LocalAuthority:
    """Makes, keeps and renews the certificate of one server.

    Args:
        folder: keeps both; the authority is made there when there is none.
        host: what the server listens on.
        more_names: names and addresses that the machine does not know it has.

    Attributes:
        public: the authority's certificate as a file, to be given away.
        certificate: file with the server's key and its chain: one file, so that it changes whole.
        pem: the authority's certificate, in PEM.

    Raises:
        ConfigurationError: the file of the authority cannot be used.
        OSError: the folder cannot be written.
    """

    def __init__(self, folder: Path, host: str, more_names: Iterable[Name] = ()) -> None:
        self.certificate = folder / CERTIFICATE_FILE
        self._host = host
        self._more_names = frozenset(more_names)
        file = folder / AUTHORITY_FILE
        if not file.exists():
            write_secret(file, _new_authority())
            _log.info("made a certificate authority", file=str(file))
        self._key, self._authority = _read(file)
        self.pem = self._authority.public_bytes(Encoding.PEM).decode()
        self.public = folder / PUBLIC_FILE
        if not self.public.exists() or self.public.read_text() != self.pem:
            self.public.write_text(self.pem)

    def renew(self) -> bool:
        """Signs a new certificate when that is due; says whether it was.

        It is when there is none, it ends soon, or lacks a name or an address.

        Raises:
            OSError: it cannot be written.
        """
        names = machine_names(self._host) | self._more_names
        if self._is_good(names):
            return False
        key = ec.generate_private_key(ec.SECP256R1())
        signed = self._sign(key.public_key(), names)
        chain = "".join(
            each.public_bytes(Encoding.PEM).decode() for each in (signed, self._authority)
        )
        write_secret(self.certificate, _pem_of(key) + chain)
        _log.info("signed a certificate", names=sorted(map(str, names)))
        return True

    def _is_good(self, names: frozenset[Name]) -> bool:
        try:
            _, found = _read(self.certificate)
            found.verify_directly_issued_by(self._authority)
            shown = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        except (
            ConfigurationError,
            ValueError,
            TypeError,
            InvalidSignature,
            x509.ExtensionNotFound,
        ):
            return False
        has = {*shown.get_values_for_type(x509.DNSName), *shown.get_values_for_type(x509.IPAddress)}
        now = datetime.now(UTC)
        ends = found.not_valid_after_utc - RENEWED_BEFORE
        return names <= has and found.not_valid_before_utc <= now < ends

    def _sign(self, key: ec.EllipticCurvePublicKey, names: frozenset[Name]) -> x509.Certificate:
        now = datetime.now(UTC)
        shown = [
            x509.DNSName(name) if isinstance(name, str) else x509.IPAddress(name)
            for name in sorted(names, key=str)
        ]
        issuer_key = self._key.public_key()
        return (
            x509.CertificateBuilder()
            .subject_name(_called("ObjectClassification server"))
            .issuer_name(self._authority.subject)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - BACKDATED)
            .not_valid_after(min(now + VALID, self._authority.not_valid_after_utc))
            .add_extension(x509.SubjectAlternativeName(shown), critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(digital_signature=True), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key), critical=False
            )
            .sign(self._key, hashes.SHA256())
        )


def certificate_names(file: Path) -> frozenset[Name]:
    """Returns the names and addresses that a certificate is for; none if it cannot be read."""
    try:
        found = x509.load_pem_x509_certificate(file.read_bytes())
        shown = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (OSError, ValueError, x509.ExtensionNotFound):
        return frozenset()
    names = {name.lower() for name in shown.get_values_for_type(x509.DNSName)}
    addresses = {
        one
        for one in shown.get_values_for_type(x509.IPAddress)
        if isinstance(one, IPv4Address | IPv6Address)  # networks are for authorities
    }
    return frozenset(names | addresses)


def first_host_name(certificate: Path) -> str | None:
    """Returns a name that a certificate is for; None if it has only wildcards and addresses."""
    try:
        found = x509.load_pem_x509_certificate(certificate.read_bytes())
        shown = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (OSError, ValueError, x509.ExtensionNotFound):
        return None
    names = shown.get_values_for_type(x509.DNSName)
    return next((name for name in names if not name.startswith("*")), None)


def _new_authority() -> str:
    """A key and a certificate signed by itself, in PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    now = datetime.now(UTC)
    host = socket.gethostname().partition(".")[0]
    # A name of 64 characters is the longest (RFC 5280, A.1, ub-common-name).
    name = _called(f"ObjectClassification {host[:24]} {now:%Y-%m-%d}")
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BACKDATED)
        .not_valid_after(now + AUTHORITY_VALID)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(key_cert_sign=True, crl_sign=True), critical=True)
        .add_extension(identifier, critical=False)
        .sign(key, hashes.SHA256())
    )
    return _pem_of(key) + made.public_bytes(Encoding.PEM).decode()


def _read(file: Path) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
    """The key and the first certificate of a file of ours."""
    try:
        text = file.read_bytes()
        key, certificate = load_pem_private_key(text, None), x509.load_pem_x509_certificate(text)
    except (OSError, ValueError, TypeError) as exc:
        raise ConfigurationError(
            f"cannot use {file}: bring it back from a backup, or delete it, and every client has "
            "to trust this server anew"
        ) from exc
    if (
        not isinstance(key, ec.EllipticCurvePrivateKey)
        or key.public_key() != certificate.public_key()
    ):
        raise ConfigurationError(f"{file} is not of this program: delete it")
    return key, certificate


def _pem_of(key: ec.EllipticCurvePrivateKey) -> str:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def _called(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _usage(
    *, digital_signature: bool = False, key_cert_sign: bool = False, crl_sign: bool = False
) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=digital_signature,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=key_cert_sign,
        crl_sign=crl_sign,
        encipher_only=False,
        decipher_only=False,
    )

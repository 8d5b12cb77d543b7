"""One TLS handshake, to see what a server shows."""

from __future__ import annotations

import hashlib
import socket
import ssl
import sys

TIMEOUT_S = 5.0


def shake_hands(host: str, port: int, context: ssl.SSLContext) -> list[bytes]:
    """Connects, and returns the chain that the server sent, its own certificate first, in DER.

    Nothing else is sent.

    Raises:
        ssl.SSLCertVerificationError: the context does not trust it.
        ssl.SSLError: the other side does not speak TLS as we do.
        OSError: it does not answer.
    """
    with (
        socket.create_connection((host, port), timeout=TIMEOUT_S) as plain,
        context.wrap_socket(plain, server_hostname=host) as tls,
    ):
        return _sent(tls)


def anything() -> ssl.SSLContext:
    """Returns a context that trusts everybody: to look at a certificate, and for nothing else."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def fingerprint(certificate: bytes | str) -> str:
    """Returns the SHA-256 of a certificate, in DER or PEM, as browsers and OpenSSL write it."""
    if isinstance(certificate, str):
        certificate = ssl.PEM_cert_to_DER_cert(certificate)
    return hashlib.sha256(certificate).digest().hex(":").upper()


def _sent(tls: ssl.SSLSocket) -> list[bytes]:
    if sys.version_info >= (3, 13):
        return tls.get_unverified_chain()
    # Public from Python 3.13 on; the object behind it has had it since 3.10, in PEM.
    inner = tls._sslobj  # type: ignore[attr-defined]
    return [ssl.PEM_cert_to_DER_cert(each.public_bytes()) for each in inner.get_unverified_chain()]

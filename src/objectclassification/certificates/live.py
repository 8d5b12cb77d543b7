"""A TLS context that shows whatever certificate is in the files now."""

from __future__ import annotations

import asyncio.sslproto
import os
import ssl
from pathlib import Path

import structlog

from objectclassification.config.tls import CertificateFiles
from objectclassification.errors import ConfigurationError

READ_BYTES = 16_384
"""How much is read at once: one TLS record. asyncio reserves, and fills with zeros, a buffer of
256 KiB for each connection: an idle WebSocket takes 285 kB with that, and 45 kB with this."""

_log = structlog.get_logger(__name__)


class LiveCertificate:
    """Keeps a context for listeners up to date with its files.

    Args:
        files: certificate and key.

    Attributes:
        context: for ``loop.create_server``. Open connections keep the certificate they began with.

    Raises:
        ConfigurationError: they cannot be used.
    """

    def __init__(self, files: CertificateFiles) -> None:
        self._files = files
        self._seen = self._stamps()
        self.context = _load(files)
        self._newest = self.context
        self.context.sni_callback = self._choose
        asyncio.sslproto.SSLProtocol.max_size = READ_BYTES

    def refresh(self) -> bool:
        """Takes the files in if they have changed; says whether they were.

        Files that cannot be used change nothing: the certificate and its key are two files, and
        come one after the other.
        """
        stamps = self._stamps()
        if stamps == self._seen:
            return False
        self._seen = stamps
        try:
            # A new context: one whose key does not fit its certificate would be left unusable.
            self._newest = _load(self._files)
        except ConfigurationError as exc:
            _log.warning("certificate not changed", why=exc.detail)
            return False
        _log.info("certificate changed", file=str(self._files.cert))
        return True

    def _choose(self, tls: ssl.SSLObject, name: str | None, listener: ssl.SSLContext) -> None:
        """Called by OpenSSL at the beginning of each handshake, also of one that names nobody."""
        tls.context = self._newest

    def _stamps(self) -> tuple[tuple[int, ...] | None, ...]:
        """What changes when a file is written or replaced."""
        found: list[tuple[int, ...] | None] = []
        for file in (self._files.cert, self._files.key):
            try:
                stat = file.stat()
            except OSError:
                found.append(None)
            else:
                found.append((stat.st_dev, stat.st_ino, stat.st_mtime_ns, stat.st_size))
        return tuple(found)


def _load(files: CertificateFiles) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.set_alpn_protocols(["http/1.1"])

    def passphrase() -> str:  # without it OpenSSL would ask on the terminal
        raise ConfigurationError(f"the key {files.key} has a passphrase: take it off")

    try:
        context.load_cert_chain(files.cert, files.key, password=passphrase)
    except ssl.SSLError as exc:
        raise ConfigurationError(
            f"cannot use the certificate {files.cert} with the key {files.key}: {_why(exc)}"
        ) from exc
    except OSError as exc:
        unreadable = next((f for f in (files.cert, files.key) if not _can_read(f)), files.cert)
        raise ConfigurationError(f"cannot read {unreadable}: {exc.strerror}") from exc
    return context


def _can_read(file: Path) -> bool:
    return os.access(file, os.R_OK)


def _why(exc: ssl.SSLError) -> str:
    if exc.reason == "KEY_VALUES_MISMATCH":
        return "they do not belong together"
    return (exc.reason or "one of them is not in PEM").replace("_", " ").lower()

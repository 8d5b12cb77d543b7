"""What a server shows for a certificate: somebody's files, or one of its own authority.

Either may change while it serves: new connections get the new certificate, open ones go on.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from objectclassification.certificates.live import LiveCertificate
from objectclassification.config.tls import CertificateFiles, OwnAuthority
from objectclassification.errors import ConfigurationError, MissingExtra

if TYPE_CHECKING:
    from objectclassification.certificates.authority import LocalAuthority

LOOK_S = 1.0
"""How often it is looked whether the files have changed: two calls of stat()."""
NAMES_S = 30.0
"""How often it is looked whether the machine has new names or addresses."""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class ServerTls:
    """TLS for listeners.

    Attributes:
        context: for all of them; always shows the newest certificate.
        authority: the certificate of the server's own authority, in PEM; None if it has none.
        authority_file: the same as a file.
    """

    context: ssl.SSLContext
    authority: str | None = None
    authority_file: Path | None = None


@asynccontextmanager
async def serving_tls(
    choice: OwnAuthority | CertificateFiles | None, folder: Path, host: str
) -> AsyncIterator[ServerTls | None]:
    """Gives what listeners need, and keeps it fresh meanwhile; None without TLS.

    Args:
        choice: of the settings.
        folder: where an authority of its own is kept.
        host: what the server listens on.

    Raises:
        ConfigurationError: a certificate or key cannot be used.
        MissingExtra: an authority of its own needs the extra ``server``.
    """
    if choice is None:
        yield None
        return
    authority: LocalAuthority | None = None
    if isinstance(choice, OwnAuthority):
        authority = _own_authority(folder, host, choice)
        live = LiveCertificate(CertificateFiles(authority.certificate, authority.certificate))
        tls = ServerTls(live.context, authority.pem, authority.public)
    else:
        live = LiveCertificate(choice)
        tls = ServerTls(live.context)
    looking = asyncio.create_task(_look(live, authority), name="certificate")
    try:
        yield tls
    finally:
        looking.cancel()
        with suppress(asyncio.CancelledError):
            await looking


def _own_authority(folder: Path, host: str, choice: OwnAuthority) -> LocalAuthority:
    try:
        from objectclassification.certificates.authority import LocalAuthority
    except ImportError as exc:
        raise MissingExtra("--tls auto", "server") from exc
    try:
        authority = LocalAuthority(folder, host, choice.names)
        authority.renew()
    except OSError as exc:
        raise ConfigurationError(f"cannot keep certificates in {folder}: {exc.strerror}") from exc
    return authority


async def _look(live: LiveCertificate, authority: LocalAuthority | None) -> None:
    loop = asyncio.get_running_loop()
    names_at = loop.time() + NAMES_S
    while True:
        await asyncio.sleep(LOOK_S)
        if authority is not None and loop.time() >= names_at:
            names_at = loop.time() + NAMES_S
            try:
                authority.renew()
            except OSError as exc:  # a full disk: the certificate that is there has two months
                _log.error("certificate not renewed", why=exc.strerror)
        live.refresh()

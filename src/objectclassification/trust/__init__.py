"""Whom a client believes that it talks to the right server.

A server whose certificate the system knows needs nothing. One with an authority of its own is
believed at the first connection, and from then on held to that authority: it is pinned for this
account, beside what ``login`` stores. The WebSocket, the PUT and all other calls have a
:class:`Trust`, so that they agree.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import structlog

from objectclassification.config.pins import pin_file, read_pin, write_pin
from objectclassification.errors import ConfigurationError, ServerUnreachable
from objectclassification.trust.handshake import anything, fingerprint, shake_hands

_OF_AUTHORITY = frozenset({2, 7, 18, 19, 20, 21})
"""OpenSSL's X509_V_ERR_* for a certificate that is signed by itself, by nobody who is known, or not
by whom it says. Any other fault, a wrong name or a wrong time, is no question of authority."""
_NOT_YET_VALID = 9  # X509_V_ERR_CERT_NOT_YET_VALID

_log = structlog.get_logger(__name__)


class UntrustedServer(ServerUnreachable):
    """The server's certificate is not one that we trust; nothing was sent to it."""

    code = "untrusted"
    retryable = False


class WrongScheme(ServerUnreachable):
    """Whoever answers speaks TLS and was asked without, or the other way round."""

    retryable = False


class Trust:
    """What one server's certificate is checked against.

    Args:
        url: the server's, ``https://host:port``; of ``http://`` there is nothing to check.
        ca: an authority that the caller knows, in PEM; else the pinned one, else the system's.
        pins: whether a server of an unknown authority is believed at the first connection.
        tell: takes what a person is told of a first connection; without it, it goes to the log.

    Raises:
        ConfigurationError: the authority's file cannot be used.
    """

    def __init__(
        self,
        url: str,
        ca: Path | None = None,
        *,
        pins: bool = False,
        tell: Callable[[str], None] | None = None,
    ) -> None:
        parts = urlsplit(url)
        self._url = url
        self._is_tls = parts.scheme == "https"
        self._host = parts.hostname or ""
        self._port = parts.port or (443 if self._is_tls else 80)
        self._ca = ca
        self._pins = pins
        self._tell = tell
        self._context = None if ca is None else _context(ca=ca)

    @property
    def context(self) -> ssl.SSLContext | None:
        """For the next connection; None for ``http://``."""
        if self._is_tls and self._context is None:
            self._context = _context(pem=read_pin(self._url))
        return self._context

    def settle(self) -> bool:
        """Finds out why a handshake failed, or makes the first one; it blocks for that long.

        Returns:
            Whether the server was new, and is pinned now. When this returns at all, the next
            connection with the :attr:`context` of then should work.

        Raises:
            UntrustedServer: it must not be talked to.
            WrongScheme: it does not speak TLS.
        ServerUnreachable: it does not answer.
        """
        if self._ca is None:
            self._context = None  # its pin may be another one by now
        if (context := self.context) is None:
            return False
        try:
            self._shake_hands(context)
        except ssl.SSLCertVerificationError as exc:
            if exc.verify_code not in _OF_AUTHORITY:
                raise self._untrusted(_fault(exc)) from exc
            shown = self._shake_hands(anything())[-1]
            pinned = read_pin(self._url)
            if self._ca is not None or pinned is not None:
                raise self._untrusted(self._changed(shown, pinned)) from exc
            if not self._pins:
                raise self._untrusted(
                    "its certificate is of an authority that is not known here: run "
                    f"objectclassification login {self._url}, or give the authority with --ca"
                ) from exc
            self._pin(shown)
            return True
        return False

    def is_elsewhere(self) -> bool:
        """Whether an ``http://`` that does not answer is TLS; it blocks until that is known."""
        if self._is_tls:
            return False
        try:
            shake_hands(self._host, self._port, anything())
        except OSError:
            return False
        return True

    def _pin(self, shown: bytes) -> None:
        """Holds the server to an authority that it shows, if that has signed its certificate."""
        pem = ssl.DER_cert_to_PEM_cert(shown)
        try:
            self._shake_hands(_context(pem=pem))
        except ssl.SSLCertVerificationError as exc:
            if exc.verify_code in _OF_AUTHORITY:
                raise self._untrusted(
                    "it does not show the authority that signed its certificate: give it with --ca"
                ) from exc
            raise self._untrusted(_fault(exc)) from exc
        file = write_pin(self._url, pem)
        self._context = None
        if self._tell is not None:
            self._tell(introduction(self._url, shown))
            return
        _log.warning(
            "first connection: this certificate authority is trusted for the server from now on; "
            "compare its SHA-256 fingerprint with what the server printed",
            url=self._url,
            fingerprint=fingerprint(shown),
            file=str(file),
        )

    def _changed(self, shown: bytes, pinned: str | None) -> str:
        """What to tell of a server that is held to an authority, and shows something else."""
        is_ = fingerprint(shown)
        if self._ca is not None:
            return (
                f"no authority in {self._ca} signed its certificate (it shows {is_}): give the "
                "right one with --ca"
            )
        was = fingerprint(pinned or "")
        if is_ == was:
            return (
                f"its authority {was} did not sign the certificate that it shows: somebody may be "
                "in between; nothing was sent"
            )
        return (
            f"its certificate authority has changed from {was} to {is_}: if the server prints the "
            f"new one, delete {pin_file(self._url)} and connect again, else somebody may be in "
            "between; nothing was sent"
        )

    def _untrusted(self, what: str) -> UntrustedServer:
        return UntrustedServer(f"{self._url}: {what}", url=self._url)

    def _shake_hands(self, context: ssl.SSLContext) -> list[bytes]:
        try:
            return shake_hands(self._host, self._port, context)
        except ssl.SSLCertVerificationError:
            raise
        except ssl.SSLError as exc:
            detail = f"{self._url} does not speak TLS: is its address http://…?"
            raise WrongScheme(detail, url=self._url) from exc
        except OSError as exc:
            raise ServerUnreachable(f"no server answers at {self._url}", url=self._url) from exc


def introduction(url: str, authority: bytes | str) -> str:
    """Returns what a person is asked to compare, in two lines, as ``serve`` prints them."""
    return (
        f"{url} has a certificate authority of its own; compare it with what the server printed:\n"
        f"  {fingerprint(authority)}"
    )


def _context(*, ca: Path | None = None, pem: str | None = None) -> ssl.SSLContext:
    """What checks a server: against some authorities alone, or against the system's."""
    try:
        context = ssl.create_default_context(cafile=ca, cadata=pem)
    except (OSError, ssl.SSLError) as exc:
        raise ConfigurationError(f"cannot use the certificates in {ca or 'a pin'}: {exc}") from exc
    if pem is not None:
        # A chain ends at an authority: that a certificate alone is known must not be enough.
        context.verify_flags &= ~ssl.VERIFY_X509_PARTIAL_CHAIN
    return context


def _fault(exc: ssl.SSLCertVerificationError) -> str:
    hint = ": is the clock of this machine right?" if exc.verify_code == _NOT_YET_VALID else ""
    return f"its certificate cannot be trusted, {exc.verify_message.rstrip('.')}{hint}"

"""Authorities of servers that this account has met, one file each, beside what ``login`` stores."""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import platformdirs

from objectclassification.config import APP, write_secret
from objectclassification.config.service import sudo_caller_home
from objectclassification.errors import ConfigurationError


def pin_file(url: str) -> Path:
    """Where the authority of a server is, or will be.

    With sudo it is the caller's where root has none, as what ``login`` stored is.
    """
    name = _name(url)
    own = Path(platformdirs.user_config_dir(APP)) / "authorities" / name
    home = sudo_caller_home()
    if home is not None and not own.exists():
        callers = home / ".config" / APP / "authorities" / name
        return callers if callers.exists() else own
    return own


def read_pin(url: str) -> str | None:
    """Returns the authority of a server that was met before, in PEM.

    Raises:
        ConfigurationError: the file cannot be read, or holds no certificate.
    """
    file = pin_file(url)
    try:
        pem = file.read_text()
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as exc:
        raise ConfigurationError(_unusable(file)) from exc
    try:
        ssl.PEM_cert_to_DER_cert(pem)
    except ValueError as exc:
        raise ConfigurationError(_unusable(file)) from exc
    return pem


def write_pin(url: str, pem: str) -> Path:
    """Stores the authority of a server; returns the file.

    Raises:
        ConfigurationError: it cannot be written.
    """
    file = pin_file(url)
    try:
        write_secret(file, pem)
    except OSError as exc:
        raise ConfigurationError(
            f"the authority of {url} cannot be kept in {file}: {exc.strerror}; give it with --ca"
        ) from exc
    return file


def _unusable(file: Path) -> str:
    return f"{file} is not the certificate of an authority: delete it, and log in again"


@contextmanager
def undone_on_failure(url: str) -> Iterator[None]:
    """Forgets the authority of a server that was met in here, unless all of it went well."""
    known = read_pin(url) is not None
    try:
        yield
    except BaseException:  # Ctrl-C, too, is no consent
        if not known:
            pin_file(url).unlink(missing_ok=True)
        raise


def _name(url: str) -> str:
    parts = urlsplit(url)
    host = re.sub(r"[^a-z0-9.-]", "_", (parts.hostname or "").lower())
    return f"{host}_{parts.port or 443}.pem"

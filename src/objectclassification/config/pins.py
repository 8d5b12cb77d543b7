"""Authorities of servers that this account has met, one file each, beside what ``login`` stores."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import platformdirs

from objectclassification.config import APP, write_secret
from objectclassification.config.service import sudo_caller_home


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
    """Returns the authority of a server that was met before, in PEM."""
    try:
        return pin_file(url).read_text()
    except FileNotFoundError:
        return None


def write_pin(url: str, pem: str) -> Path:
    """Stores the authority of a server; returns the file."""
    file = pin_file(url)
    write_secret(file, pem)
    return file


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

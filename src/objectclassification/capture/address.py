"""Source addresses: what kind they are, and how their secrets get in."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Literal
from urllib.parse import quote, unquote, urlsplit

from objectclassification.errors import ConfigurationError
from objectclassification.masking import mask

Kind = Literal["device", "stream", "http", "exec", "file"]

_SCHEMES: dict[str, Kind] = {
    "rtsp": "stream",
    "rtsps": "stream",
    "rtmp": "stream",
    "udp": "stream",
    "rtp": "stream",
    "srt": "stream",
    "http": "http",
    "https": "http",
    "file": "file",
}
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://")
_VARIABLE = re.compile(r"\$(?:\{(\w+)\}|([A-Za-z_]\w*))")


def kind_of(address: str) -> Kind:
    """Tells what kind of source an address names.

    Raises:
        ConfigurationError: it is empty, or of a scheme that no source reads.
    """
    if not address:
        raise ConfigurationError("the source is empty: give an index, a path or an address")
    if address.isdecimal() or address.startswith("/dev/"):
        return "device"
    if address.startswith("exec:"):
        return "exec"
    scheme = _SCHEME.match(address)
    if scheme is None:
        return "file"
    try:
        return _SCHEMES[scheme[1].lower()]
    except KeyError:
        known = ", ".join(f"{name}://" for name in _SCHEMES)
        raise ConfigurationError(
            f"no source reads {scheme[1]}:// addresses; there are {known}, exec:, /dev/…, "
            "an index, and files"
        ) from None


def device_node(address: str) -> Path:
    """Returns where a device is on Linux, by its index or as it is written."""
    return Path(f"/dev/video{int(address)}" if address.isdecimal() else address)


def file_path(address: str) -> Path:
    """Returns the path of a file, folder or glob, which may be written as ``file://``."""
    path = unquote(urlsplit(address).path) if address.startswith("file://") else address
    return Path(path).expanduser()


def expand(address: str) -> str:
    """Puts ``$NAME`` and ``${NAME}`` of the environment into the user and password of a URL.

    Values are percent-encoded, so that any password works. Elsewhere a ``$`` means itself.

    Raises:
        ConfigurationError: the environment has no such variable.
    """
    scheme = _SCHEME.match(address)
    if scheme is None or "@" not in address:
        return address
    userinfo, _, rest = address[scheme.end() :].rpartition("@")

    def value(match: re.Match[str]) -> str:
        name = match[1] or match[2]
        try:
            return quote(os.environ[name], safe="")
        except KeyError:
            raise ConfigurationError(
                f"{mask(address)} takes ${name} from the environment, and it is not set"
            ) from None

    return f"{scheme[0]}{_VARIABLE.sub(value, userinfo)}@{rest}"

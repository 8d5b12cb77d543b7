"""What engines elsewhere want to be sent: a token, say. It is read from a file, and never shown."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from objectclassification.config import read_toml
from objectclassification.errors import ConfigurationError

Text = Annotated[str, Meta(pattern=r"\A[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?\Z", max_length=8192)]
HeaderName = Annotated[str, Meta(pattern=r"\A[A-Za-z0-9-]+\Z", max_length=64)]


def read_engine_headers(file: Path | None) -> Mapping[str, Mapping[str, str]]:
    """Reads a TOML file of a table for each engine, under its address, with header and value.

    Raises:
        ConfigurationError: it cannot be read, or is none.
    """
    if file is None:
        return {}
    try:
        found: dict[str, dict[HeaderName, Text]] = msgspec.convert(
            read_toml(file), dict[str, dict[HeaderName, Text]]
        )
    except msgspec.ValidationError as exc:
        # The error names places, not values: these are secrets.
        raise ConfigurationError(
            f'{file} is not what engines are sent: it has ["http://host:8080"] and below it '
            'Authorization = "…"'
        ) from exc
    return found

"""Every text of the pages, from one file: ``texts.toml`` has a table for each page.

Templates write ``{{ t.title }}`` for their page's own and ``{{ shared.snap }}`` for those of all
pages; modules get both with the page, and ask for them with ``text("title")`` (``texts.js``).
``{name}`` in a text is filled in, by the filter ``fill`` or by the module.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from types import SimpleNamespace

SHARED = "shared"
_PLACE = re.compile(r"\{(\w+)(?:\|([^|}]*)\|([^}]*))?\}")

_TABLES: dict[str, dict[str, str]] = tomllib.loads(
    Path(__file__).with_name("texts.toml").read_text(encoding="utf-8")
)


def texts_of(page: str) -> SimpleNamespace:
    """Returns the texts of a page as attributes.

    Raises:
        KeyError: there is no table for it.
    """
    return SimpleNamespace(**_TABLES[page])


def texts_for_modules(page: str) -> dict[str, str]:
    """Returns what a page's modules are given: the texts of all pages, and its own."""
    return {**_TABLES[SHARED], **_TABLES[page]}


def fill(text: str, **values: object) -> str:
    """Puts values into a text: ``fill("Snap {camera}", camera="door")``.

    ``{n|picture|pictures}`` is the first word for one and the second for any other number. What is
    not given stays as it is. ``text()`` of ``static/texts.js`` does the same.
    """

    def put(place: re.Match[str]) -> str:
        name, one, many = place.groups()
        if name not in values:
            return place[0]
        value = str(values[name])
        return value if one is None else one if value == "1" else many

    return _PLACE.sub(put, text)

"""What may be shown of a text: passwords, tokens and keys in it give way to one mask."""

from __future__ import annotations

import re

MASK = "***"

# Greedy up to the last "@": a password may hold ":", "/" and "@" unescaped, and hiding too much of
# an address harms nobody.
_USERINFO = re.compile(r"(://[^:/@\s]*):\S*@")
_SECRET_QUERY = re.compile(
    r"([?&;](?:[\w-]*(?:pass|pwd|secret|token|auth|key)[\w-]*|pw|loginpas)=)[^&;#\s'\"]*",
    re.IGNORECASE,
)
_TOKEN = re.compile(r"oc_[A-Za-z0-9_-]{20,}|(?<=token=)[^&;#\s\"']+")


def mask(text: str) -> str:
    """Returns the text as it may be shown: passwords, tokens and keys are ``***``."""
    shown = _USERINFO.sub(rf"\1:{MASK}@", text)
    shown = _SECRET_QUERY.sub(rf"\g<1>{MASK}", shown)
    return _TOKEN.sub(MASK, shown)

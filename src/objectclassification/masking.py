"""What may be shown of a text: passwords, tokens and keys in it give way to one mask.

Texts come from cameras and their programs, so every pattern takes time in proportion to the text:
each can begin once in a word, and none looks past what it then takes.
"""

from __future__ import annotations

import re

MASK = "***"

# Greedy up to the last "@": a password may hold ":", "/" and "@" unescaped, and hiding too much of
# an address harms nobody.
_UP_TO_AT = re.compile(r"(?<!\S)\S+@")
_USER = re.compile(r"://[^:/@]*:")

_SECRET_QUERY = re.compile(
    r"([?&;](?=[\w-]*(?:pass|pwd|secret|token|auth|key)|(?:pw|loginpas)=)[\w-]+=)[^&;#\s'\"]*",
    re.IGNORECASE,
)

# Outside an address, in a command or in what it says, names are ours to hide only when they end
# in a word for a secret: "bypass=1", "keyframe=2" and "--token-file here" tell what went wrong.
_NAME = (
    r"[\w-]*(?:password|passwd|passphrase|secret(?:[-_]?key)?|token|api[-_]?key|loginpas"
    r"|(?<![^\W_])pwd?)"
)
_VALUE = r"(?:\\*\"[^\"]*\"[^\s'\"]*|\\*'[^']*'[^\s'\"]*|[^\s'\"]+)"
_SECRET_SETTING = re.compile(rf"((?<![\w?&-]){_NAME}=){_VALUE}", re.IGNORECASE)
_SECRET_OPTION = re.compile(rf"((?<![\w-])--?(?!-){_NAME}[ \t]+)(?!-){_VALUE}", re.IGNORECASE)
_USER_OPTION = re.compile(
    r"((?<![^\s'\"])(?:-u[ \t]*|--(?:proxy-)?user[ \t=]+)(?P<quote>['\"])?[^\s:'\"]*:)"
    r"(?(quote)(?:(?!(?P=quote)).)*|[^\s'\"]+)"
)
_AUTHORIZATION = re.compile(
    r"(\bauthorization[ \t]*[:=][ \t]*(?:basic|bearer|token)[ \t]+)[^\s'\"]+", re.IGNORECASE
)
_TOKEN = re.compile(r"oc_[A-Za-z0-9_-]{20,}")


def mask(text: str) -> str:
    """Returns the text as it may be shown: passwords, tokens and keys are ``***``.

    They are found in addresses (``://user:…@``, ``?token=…``), in commands and what these print
    (``password=…``, ``user-pw=…``, ``--token …``, ``-u user:…``, ``Authorization: Bearer …``), and
    where a token of ours stands by itself.
    """
    shown = _UP_TO_AT.sub(_without_userinfo, text)
    for secret in (_SECRET_SETTING, _SECRET_QUERY, _SECRET_OPTION, _USER_OPTION, _AUTHORIZATION):
        shown = secret.sub(rf"\g<1>{MASK}", shown)
    return _TOKEN.sub(MASK, shown)


def _without_userinfo(word: re.Match[str]) -> str:
    found = _USER.search(word[0])
    return word[0] if found is None else f"{word[0][: found.end()]}{MASK}@"

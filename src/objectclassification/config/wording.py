"""What is wrong with a setting, in words for a person instead of the validator's own."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from difflib import get_close_matches
from typing import TYPE_CHECKING

from objectclassification.config.keeping import CameraKeep
from objectclassification.errors import ConfigurationError

if TYPE_CHECKING:
    from pydantic import ValidationError
    from pydantic_core import ErrorDetails

ENV_PREFIX = "OBJECTCLASSIFICATION_"
_OF_OTHERS = {ENV_PREFIX + "SERVER", ENV_PREFIX + "TOKEN"}
"""Known in the environment, and no settings of the server: whom commands talk to, and as whom."""
_OF_TESTS = (ENV_PREFIX + "TEST_", ENV_PREFIX + "FUZZ")
_MUST_BE = {
    "int_parsing": "a whole number",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_parsing": "a number",
    "float_type": "a number",
    "bool_parsing": "true or false",
    "bool_type": "true or false",
    "string_type": "text",
    "path_type": "a path",
    "dict_type": "a table",
    "model_type": "a table",
    "tuple_type": "a list",
    "finite_number": "a finite number",
    "greater_than": "more than {gt}",
    "greater_than_equal": "at least {ge}",
    "less_than": "less than {lt}",
    "less_than_equal": "at most {le}",
    "literal_error": "{expected}",
}
"""By pydantic's type of error; the braces are from its context."""
_CLOSEST = 3


def fault(error: ErrorDetails) -> str:
    """Returns what is wrong with a value, such as ``it must be a whole number``."""
    if (wanted := _MUST_BE.get(error["type"])) is not None:
        return f"it must be {wanted.format_map(error.get('ctx', {}))}"
    return error["msg"].removeprefix("Value error, ")


def unknown(name: str, known: Collection[str]) -> str:
    """Returns that there is no such setting, with those that were probably meant."""
    closest = get_close_matches(name, known, _CLOSEST)
    hint = f"did you mean {' or '.join(closest)}?" if closest else "docs/settings.md has them all"
    return f"there is no setting {name}; {hint}"


def check_environment(settings: Collection[str]) -> None:
    """Refuses names in the environment that only look like settings.

    Args:
        settings: the server's.

    Raises:
        ConfigurationError: there is such a name.
    """
    known = {ENV_PREFIX + name.upper() for name in settings} | _OF_OTHERS
    for name in sorted(os.environ):
        is_ours = name.startswith(ENV_PREFIX) and not name.startswith(_OF_TESTS)
        if is_ours and name not in known:
            raise ConfigurationError(f"the environment: {unknown(name, known)}")


def what_is_wrong(
    exc: ValidationError, places: Mapping[str, str], settings: Collection[str]
) -> str:
    """Returns all that is wrong with the server's settings, in one line.

    Args:
        exc: what the validator says.
        places: by setting, where it was found, if not in the environment.
        settings: the server's.
    """
    reasons = []
    for error in exc.errors():
        *path, last = map(str, error["loc"])
        place = places.get((path or [last])[0])
        if error["type"] == "extra_forbidden":
            known = CameraKeep.model_fields if path else settings
            name, reason = ".".join(path), unknown(last, known)
        else:
            name, reason = ".".join([*path, last]), fault(error)
        if place is None:
            name = ENV_PREFIX + name.upper()
        reasons.append(f"{place or ''}{name}: {reason}" if name else f"{place or ''}{reason}")
    return "; ".join(reasons)

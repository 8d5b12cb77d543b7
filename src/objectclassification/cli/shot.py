"""Options of how a picture is taken, that ``snap`` and ``capture`` share."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import typer

Burst = Annotated[
    int | None, typer.Option(metavar="N", help="Frames to take, 20 at most; by default 1.")
]
Keep = Annotated[
    Literal["best", "all"] | None,
    typer.Option(help="Of a burst: the sharpest frame, or all. By default best."),
]
Quality = Annotated[
    int | None, typer.Option(metavar="1-100", help="Of a JPEG or WebP; by default 92.")
]
ExposureMs = Annotated[
    str | None,
    typer.Option(metavar="MS|auto", help="Exposure, if the device takes it; set back afterwards."),
]
Focus = Annotated[
    str | None,
    typer.Option(metavar="N|auto", help="Focus in the device's own units, in the same way."),
]
CheckOption = Annotated[
    Literal["off", "warn", "retry"] | None,
    typer.Option(
        "--check",
        help="A picture that is black, white, covered, blurred or frozen: send it; with a warning; "
        "or take it again, and fail if that is no better. By default retry, or as its camera says.",
    ),
]
_NUMBERS = ("warmup", "exposure_ms", "focus")


def options_of(**given: object) -> dict[str, Any]:
    """Returns a snap's options as they travel; None was not given.

    Raises:
        typer.BadParameter: a text that is neither a number nor ``auto``.
    """
    options: dict[str, Any] = {}
    for name, value in given.items():
        if value is None:
            continue
        options[name] = _number(name, value) if name in _NUMBERS else value
    return options


def checked(options: dict[str, Any]) -> dict[str, Any]:
    """Returns options that no hub will see, checked by the same rules.

    Raises:
        typer.BadParameter: one of them is none that there is.
    """
    from objectclassification.errors import BadMessage
    from objectclassification.shot_options import check_shot_options

    try:
        check_shot_options(options, None)
    except BadMessage as exc:
        raise typer.BadParameter(exc.detail) from exc
    return options


def _number(name: str, text: object) -> object:
    """A number, or ``auto``; what range it must be in is not said here."""
    if text == "auto":
        return text
    try:
        number = float(str(text))
    except ValueError:
        number = float("nan")
    if number != number or abs(number) == float("inf"):
        option = name.replace("_", "-")
        raise typer.BadParameter(f"--{option} is a number or 'auto', not {text!r}")
    return number

"""What a camera program is told of its cameras: by the command line, or by a ``cameras.toml``."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from objectclassification.config import read_toml
from objectclassification.config.wording import fault
from objectclassification.errors import ConfigurationError
from objectclassification.shot_options import Check

SINGLE_PATH = Path("opencv_frame_0.jpg")
"""The seed's name, as a JPEG: it takes a tenth of a PNG's time and bytes."""


def _as_text(value: object) -> object:
    """``source = 0`` and ``source = "0"`` are the same device."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _as_size(value: object) -> object:
    """``1280x720`` → width and height."""
    if not isinstance(value, str):
        return value
    match = re.fullmatch(r"([1-9]\d{0,4})[xX]([1-9]\d{0,4})", value)
    if match is None:
        raise ValueError("it must look like 1280x720")
    return int(match[1]), int(match[2])


def _as_warmup(value: object) -> object:
    """``auto``, or seconds; the command line has them as text."""
    if value is None or value == "auto":
        return value
    try:
        return float(value) if isinstance(value, str) else value
    except ValueError:
        raise ValueError("it must be 'auto' or seconds") from None


class CameraSettings(BaseModel):
    """One camera of a camera program.

    Attributes:
        name: letters, digits, ``.``, ``_`` and ``-``; the hub knows the camera by it.
        source: where its frames come from; a password in it may be a ``${VARIABLE}``.
        groups: it is meant by ``@GROUP``, too.
        path: where each picture is saved; the suffix says as what.
        size: width and height in pixels.
        rotate: degrees clockwise.
        warmup: seconds after opening, or ``auto``; None is what the kind of source needs.
        keep_warm_s: the source stays open this long after a picture; ``inf`` for ever, 0 not at
            all.
        latency_ms: from exposure to arrival here; None is what the kind of source usually has.
        check: what becomes of a picture that is black, white, covered, blurred or frozen, where a
            snap says nothing of it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    source: Annotated[str, BeforeValidator(_as_text)] = "0"
    groups: tuple[str, ...] = ()
    path: Path = SINGLE_PATH
    size: Annotated[tuple[int, int] | None, BeforeValidator(_as_size)] = None
    rotate: Literal[0, 90, 180, 270] = 0
    warmup: Annotated[
        Annotated[float, Field(ge=0, le=60)] | Literal["auto"] | None, BeforeValidator(_as_warmup)
    ] = None
    keep_warm_s: float = Field(default=300.0, ge=0, allow_inf_nan=True)
    latency_ms: float | None = Field(default=None, ge=0, le=60_000)
    check: Check = "retry"


def one_camera(**values: Any) -> CameraSettings:
    """Returns the settings of the camera that the command line describes.

    Args:
        **values: of :class:`CameraSettings`; None means not given.

    Raises:
        ConfigurationError: a value cannot be used.
    """
    return _read("", {name: value for name, value in values.items() if value is not None})


def load_cameras(file: Path) -> tuple[CameraSettings, ...]:
    """Reads a ``cameras.toml``: one ``[[cameras]]`` for each.

    A camera without a path saves ``opencv_frame_0_<name>.jpg``, so that none writes over another's.

    Raises:
        ConfigurationError: it cannot be read, or what it says cannot be used.
    """
    told = read_toml(file)
    unknown = sorted(set(told) - {"cameras"})
    if unknown:
        raise ConfigurationError(f"{file}: there is no setting {unknown[0]}; it has [[cameras]]")
    tables = told.get("cameras")
    if not isinstance(tables, list) or not tables:
        raise ConfigurationError(f"{file}: there is no [[cameras]] in it")
    cameras = tuple(_from_table(file, number, table) for number, table in enumerate(tables, 1))
    _check_distinct(file, cameras)
    return cameras


def _from_table(file: Path, number: int, table: object) -> CameraSettings:
    if not isinstance(table, dict):
        raise ConfigurationError(f"{file}: cameras must be [[cameras]] tables")
    name = table.get("name", f"number {number}")
    own_path = SINGLE_PATH.with_stem(f"{SINGLE_PATH.stem}_{name}")
    return _read(f"{file}: camera {name}: ", {"path": own_path, **table})


def _read(where: str, values: dict[str, Any]) -> CameraSettings:
    try:
        return CameraSettings(**values)
    except ValidationError as exc:
        raise ConfigurationError(where + "; ".join(_reasons(exc))) from exc


def _reasons(exc: ValidationError) -> list[str]:
    """One for each setting that is wrong, in words for a person."""
    reasons: dict[str, str] = {}
    for error in exc.errors():
        setting = str(error["loc"][0])
        if error["type"] == "extra_forbidden":
            known = ", ".join(CameraSettings.model_fields)
            reason = f"there is no setting {setting}; there are {known}"
        elif error["type"] == "missing":
            reason = f"{setting} is missing"
        else:
            reason = f"{setting}: {fault(error)}"
        # Of a union's alternatives, the first says enough.
        reasons.setdefault(setting, reason)
    return list(reasons.values())


def _check_distinct(file: Path, cameras: tuple[CameraSettings, ...]) -> None:
    names: set[str] = set()
    paths: dict[Path, str] = {}
    for camera in cameras:
        if camera.name in names:
            raise ConfigurationError(f"{file}: two cameras are called {camera.name}")
        names.add(camera.name)
        other = paths.setdefault(camera.path.absolute(), camera.name)
        if other != camera.name:
            raise ConfigurationError(
                f"{file}: {other} and {camera.name} would both save {camera.path}"
            )

"""How long pictures stay: exceptions for named cameras."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class CameraKeep(BaseModel):
    """What one camera may keep, in place of ``camera_keep_*``; 0 is no limit.

    Attributes:
        days: since the picture arrived; None is as for every camera.
        pictures: how many; None is as for every camera.
        bytes: of all its renditions; None is as for every camera.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    days: float | None = Field(default=None, ge=0)
    pictures: int | None = Field(default=None, ge=0)
    bytes: int | None = Field(default=None, ge=0)

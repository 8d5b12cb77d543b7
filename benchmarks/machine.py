"""On what it was measured: the machine, the versions, and what else was running."""

from __future__ import annotations

import os
import platform
from importlib.metadata import version
from pathlib import Path

import psutil

LIBRARIES = (
    "objectclassification",
    "websockets",
    "fastapi",
    "uvicorn",
    "sqlalchemy",
    "onnxruntime",
    "pillow",
    "numpy",
    "opencv-python-headless",
    "requests",
)
LOOK_S = 2.0


def describe() -> str:
    """Returns a Markdown list."""
    cores, memory_gib = os.cpu_count(), psutil.virtual_memory().total / 2**30
    versions = ", ".join(f"{name} {version(name)}" for name in LIBRARIES)
    return "\n".join(
        (
            f"- Machine: {_processor()}, {cores} cores, {memory_gib:.0f} GiB; "
            f"{platform.system()} {platform.release()}",
            f"- Python {platform.python_version()}; {versions}",
        )
    )


def busy_percent() -> float:
    """Looks for a moment at how busy the machine is with other things."""
    return psutil.cpu_percent(LOOK_S)


def _processor() -> str:
    facts = Path("/proc/cpuinfo")
    lines = facts.read_text().splitlines() if facts.exists() else []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())

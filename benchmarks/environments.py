"""Virtual environments of the peers, under ``.bench/``, so that nothing of theirs is ours."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BENCH = ROOT / ".bench"
INSTALL_TIMEOUT_S = 300.0


def python_with(name: str, requirements: Sequence[str]) -> Path:
    """Returns the interpreter of an environment that has these pinned requirements.

    It is made when it is missing or was made for other requirements.

    Args:
        name: its folder under ``.bench/``.
        requirements: ``project==version`` each.
    """
    folder = BENCH / name
    python, stamp = folder / "bin" / "python", folder / "requirements.txt"
    wanted = "".join(f"{line}\n" for line in sorted(requirements))
    if stamp.exists() and stamp.read_text() == wanted:
        return python
    subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
    subprocess.run(
        [python, "-m", "pip", "install", "--quiet", *requirements],
        check=True,
        timeout=INSTALL_TIMEOUT_S,
    )
    stamp.write_text(wanted)
    return python


def same_as_ours(*projects: str) -> list[str]:
    """Returns requirements for the very releases that this environment has."""
    return [f"{project}=={version(project)}" for project in projects]

"""What is classified here is nobody else's business."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.photographs import ROCKET

LOAD = """
import pathlib, sys
from objectclassification.classification.classifier import Classifier
assert Classifier().classify(pathlib.Path(sys.argv[1])).predictions
"""


def test_the_runtime_keeps_no_id_of_this_account(tmp_path: Path) -> None:
    account = tmp_path / "account"
    account.mkdir()
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("XDG_", "ORT_"))
    }
    subprocess.run(
        [sys.executable, "-c", LOAD, str(ROCKET)], env=kept | {"HOME": str(account)}, check=True
    )
    assert not list(account.iterdir())

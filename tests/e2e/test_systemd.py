"""Both services under a real systemd, on a small Debian of their own that is booted twice.

The machine is a container with no network but loopback. What is tried on it is in
``machine/checks.py``; here it is booted, and each step's result is a test.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.machine import checks
from tests.parts import WITH_US, require
from tests.photographs import CHELSEA, ROCKET

pytestmark = [pytest.mark.systemd, pytest.mark.debian]

PROJECT = Path(__file__).parents[2]
FOLDER = PROJECT / ".trees" / "systemd"
STEPS = [(boot, step.__name__) for boot, steps in checks.BOOTS.items() for step in steps]
BOOT_TIMEOUT_S = 240.0

CHECK_UNIT = """\
[Unit]
After=multi-user.target
SuccessAction=poweroff-force
FailureAction=poweroff-force

[Service]
Type=oneshot
ExecStart=/usr/bin/python3 /checks/checks.py /results

[Install]
WantedBy=default.target
"""
# The layer over the tree, which stays as it is for the next run, and every process of the machine
# are gone with this command's own process, however that ends; and that one with the test's.
ALONE = (*WITH_US, "unshare", "--mount", "--pid", "--fork", "--mount-proc", "--kill-child")
BOOT = """\
set -eu
mkdir -p "$1/upper" "$1/work" "$1/root"
mount -t overlay overlay -o "lowerdir=$2/root,upperdir=$1/upper,workdir=$1/work" "$1/root"
exec systemd-nspawn --quiet --directory="$1/root" --machine=objectclassification-test \
    --register=no --keep-unit --private-network --boot --console=pipe \
    --bind-ro="$3:/checks" --bind-ro="$1/photographs:/srv/photographs" --bind="$1/results:/results"
"""


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """What became of each step, by boot."""
    require("systemd-nspawn")
    build = ["sh", str(PROJECT / "tools" / "systemd_tree.sh"), str(FOLDER), sys.executable]
    subprocess.run(build, check=True)
    machine = tmp_path_factory.mktemp("machine")
    (machine / "results").mkdir()
    photographs = machine / "photographs"
    photographs.mkdir()
    for photograph in (CHELSEA, ROCKET):
        shutil.copy(photograph, photographs)
    units = machine / "upper" / "etc" / "systemd" / "system"
    (units / "default.target.wants").mkdir(parents=True)
    (units / "check.service").write_text(CHECK_UNIT)
    (units / "default.target.wants" / "check.service").symlink_to("../check.service")
    found = {}
    for boot in checks.BOOTS:
        places = (machine, FOLDER, Path(checks.__file__).parent)
        subprocess.run(
            [*ALONE, "sh", "-c", BOOT, "boot", *places],
            stdin=subprocess.DEVNULL,
            timeout=BOOT_TIMEOUT_S,
            check=True,
        )
        file = machine / "results" / f"{boot}.json"
        found[boot] = json.loads(file.read_text()) if file.exists() else {}
    return found


@pytest.mark.parametrize(("boot", "step"), STEPS, ids=[step for _, step in STEPS])
def test_on_a_machine_of_its_own(results: dict[str, dict[str, Any]], boot: str, step: str) -> None:
    assert step in results[boot], f"the machine did not come so far: {results[boot]}"
    assert not results[boot][step]["trouble"], results[boot][step]["trouble"]

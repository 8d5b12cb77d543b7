"""A real video device: Debian's kernel plays one (`vivid`), on a machine that qemu emulates.

The kernel of this machine may have no cameras; that one has. What is tried on it is in
``camera_machine/checks.py``; here it is booted, and each step's result is a test.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.camera_machine import checks
from tests.parts import WITH_US, require

pytestmark = [pytest.mark.device, pytest.mark.debian]

PROJECT = Path(__file__).parents[2]
TREE = PROJECT / ".trees" / "systemd"
KERNEL = PROJECT / ".trees" / "device"
INIT = Path(__file__).parent / "camera_machine" / "init"
STEPS = [step.__name__ for step in checks.STEPS]
BOOT_TIMEOUT_S = 900.0
SHOWN_LINES = 40
# Emulated everywhere, so that it behaves the same everywhere; no network at all.
QEMU = (
    *WITH_US,
    *("qemu-system-x86_64", "-M", "q35", "-accel", "tcg", "-cpu", "max", "-m", "1024", "-smp", "2"),
    *("-nographic", "-no-reboot", "-nic", "none"),
)


def share(tag: str, folder: Path, mode: str = "readonly=on") -> tuple[str, str]:
    """A folder of this machine, for that one."""
    how = f"security_model=none,multidevs=remap,{mode}"
    return "-virtfs", f"local,path={folder},mount_tag={tag},{how}"


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """What became of each step."""
    require("qemu")
    tools = PROJECT / "tools"
    subprocess.run(["sh", tools / "systemd_tree.sh", TREE, sys.executable], check=True)
    subprocess.run(["sh", tools / "device_kernel.sh", KERNEL, INIT], check=True)
    (image,) = (KERNEL / "kernel" / "boot").glob("vmlinuz-*")
    folder = tmp_path_factory.mktemp("machine")
    machine = subprocess.run(
        [
            *QEMU,
            *("-kernel", image, "-initrd", KERNEL / "initramfs"),
            *("-append", "console=ttyS0 panic=-1 quiet"),
            *share("tree", TREE / "root"),
            *share("modules", KERNEL / "kernel" / "lib" / "modules"),
            *share("tests", PROJECT / "tests"),
            *share("results", folder, "readonly=off"),
        ],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=BOOT_TIMEOUT_S,
    )
    said = machine.stdout.decode(errors="replace")
    file = folder / "results.json"
    assert file.exists(), "\n".join(said.splitlines()[-SHOWN_LINES:])
    found: dict[str, dict[str, Any]] = json.loads(file.read_text())
    return found


@pytest.mark.parametrize("step", STEPS)
def test_on_a_machine_with_a_camera(results: dict[str, dict[str, Any]], step: str) -> None:
    assert step in results, f"the machine did not come so far: {results}"
    assert not results[step]["trouble"], results[step]["trouble"]

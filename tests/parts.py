"""Parts that some tests need beyond Python packages.

Where one is missing the test is left out with the reason, unless every part is required, as in CI:
there a missing part fails, so that a green run never hides a hole.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.clocks import has_faketime
from tests.network import may_network

REQUIRED = os.environ.get("OBJECTCLASSIFICATION_TEST_REQUIRE") == "1"
WITH_US = ("setpriv", "--pdeathsig", "KILL")
"""Before a command: it is killed with the tests, if those are killed."""


def proxy(name: str) -> str | None:
    """Where nginx or Caddy is: installed, or where `make test` puts them."""
    fetched = Path(__file__).parents[1] / ".trees" / "proxies" / "usr"
    places = (os.environ.get("PATH", os.defpath), "/usr/sbin", fetched / "sbin", fetched / "bin")
    return shutil.which(name, path=os.pathsep.join(map(str, places)))


def _gst_rtsp() -> bool:
    code = (
        "import gi; gi.require_version('Gst', '1.0'); gi.require_version('GstRtspServer', '1.0');"
        "from gi.repository import Gst, GstRtspServer; Gst.init(None);"
        "import sys; sys.exit(not Gst.ElementFactory.find('x264enc'))"
    )
    return subprocess.run(["/usr/bin/python3", "-c", code], capture_output=True).returncode == 0


def _may_boot() -> bool:
    programs = ("debootstrap", "systemd-nspawn", "unshare", "setpriv")
    return os.geteuid() == 0 and all(shutil.which(program) for program in programs)


def _may_emulate() -> bool:
    return _may_boot() and all(map(shutil.which, ("qemu-system-x86_64", "busybox")))


def _may_trace() -> bool:
    if shutil.which("strace") is None:
        return False
    return (
        subprocess.run(["strace", "-o", "/dev/null", "true"], capture_output=True).returncode == 0
    )


def _may_mount() -> bool:
    """Tries it in a mount namespace of its own, which ends with the command."""
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        return False
    words = ["unshare", "--mount", "mount", "-t", "tmpfs", "none", "/mnt"]
    return subprocess.run(words, capture_output=True).returncode == 0


def _may_break_a_disk() -> bool:
    programs = ("mkfs.ext4", "losetup", "mount")
    if os.geteuid() != 0 or not all(map(shutil.which, programs)):
        return False
    free = subprocess.run(["losetup", "--find"], capture_output=True)
    return free.returncode == 0 and os.access("/sys/fs/ext4", os.W_OK)


UNPACKED = Path(__file__).parents[1] / ".trees" / "prometheus" / "usr" / "bin"
"""Where `make test` puts Prometheus."""


def prometheus(program: str) -> str | None:
    """Where ``prometheus`` or ``promtool`` is, or None."""
    return shutil.which(program) or shutil.which(program, path=UNPACKED)


TFJS = Path(__file__).parents[1] / ".trees" / "tfjs" / "node_modules"
"""Where `make test` puts TensorFlow.js."""

AXE = Path(__file__).parents[1] / ".trees" / "axe" / "axe.min.js"
"""Where `make test` puts axe-core."""
ENGINE = Path(__file__).parents[1] / ".trees" / "engine"
"""Where `make test` puts MLServer: a virtual environment."""


_PARTS: dict[str, tuple[Callable[[], bool], str]] = {
    "openssl": (lambda: shutil.which("openssl") is not None, "openssl"),
    "ffmpeg": (lambda: shutil.which("ffmpeg") is not None, "ffmpeg"),
    "gst-rtsp": (_gst_rtsp, "python3-gst-1.0 gir1.2-gst-rtsp-server-1.0 gstreamer1.0-plugins-ugly"),
    "prometheus": (lambda: prometheus("promtool") is not None, "prometheus"),
    "nginx": (lambda: proxy("nginx") is not None, "nginx"),
    "caddy": (lambda: proxy("caddy") is not None, "caddy"),
    "npm": (lambda: shutil.which("npm") is not None, "npm"),
    "tfjs": (
        lambda: shutil.which("node") is not None and (TFJS / "@tensorflow/tfjs-core").is_dir(),
        "nodejs npm (for npm's @tensorflow/tfjs)",
    ),
    "chromium": (lambda: shutil.which("chromium") is not None, "chromium"),
    "axe": (AXE.exists, "npm (for npm's axe-core)"),
    "mlserver": (lambda: (ENGINE / ".made").exists(), "python3-venv (for PyPI's mlserver)"),
    "strace": (_may_trace, "strace, and the right to trace"),
    "mount": (_may_mount, "util-linux and mount, and root"),
    "faketime": (has_faketime, "faketime"),
    "network": (may_network, "iproute2, a kernel with namespaces and veth, and root"),
    "ext4": (_may_break_a_disk, "e2fsprogs and mount, loop devices, and root"),
    "systemd-nspawn": (_may_boot, "debootstrap systemd-container, and root"),
    "qemu": (
        _may_emulate,
        "debootstrap systemd-container qemu-system-x86 busybox-static, and root",
    ),
}


def require(part: str) -> None:
    """Leaves the calling test out, or fails it in CI, when the part is missing."""
    there, packages = _PARTS[part]
    if there():
        return
    reason = f"needs Debian's {packages}: run `make test` as root, or install them"
    if REQUIRED:
        pytest.fail(reason)
    pytest.skip(reason)

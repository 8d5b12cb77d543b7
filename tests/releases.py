"""Camera programs of the releases before this one, out of git."""

from __future__ import annotations

import io
import re
import subprocess
import tarfile
from pathlib import Path

from objectclassification import __version__
from objectclassification.hub.releases import TAKEN_BEFORE

ROOT = Path(__file__).parents[1]
_TAG = re.compile(r"v(\d+)\.(\d+)\.(\d+)\Z")


def numbers(version: str) -> tuple[int, ...]:
    """``0.10.2`` → (0, 10, 2), which sorts as releases do."""
    return tuple(map(int, version.split(".")))


def before(tags: list[str], version: str) -> list[str]:
    """The newest tags of releases before a version, the newest first; patches of it among them."""
    released = [tag for tag in tags if _TAG.match(tag) and numbers(tag[1:]) < numbers(version)]
    return sorted(released, key=lambda tag: numbers(tag[1:]), reverse=True)[:TAKEN_BEFORE]


def old_revisions() -> list[str]:
    """What git has of the releases before this one; before the first release, the last commit.

    Then it is this version's own program that is run; it shows at least that running one out of
    git works. What 0.1.0 said is recorded, see ``tests/fixtures/make_wire.py``.
    """
    listed = _git("tag", "--list", "v*")
    if listed is None:  # a source archive, without its history
        return []
    return before(listed.decode().split(), __version__) or ["HEAD"]


def source_tree(revision: str, folder: Path) -> Path:
    """Unpacks a revision's package into a folder, for ``PYTHONPATH``.

    It runs with this environment's libraries: what a camera needs of them changes rarely, and no
    test may depend on an index that has the old ones.
    """
    archive = _git("archive", "--format=tar", revision, "src")
    assert archive is not None
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        tar.extractall(folder, filter="data")
    return folder / "src"


def version_of(tree: Path) -> str:
    """What the package in a tree says it is."""
    text = (tree / "objectclassification" / "__init__.py").read_text()
    found = re.search(r'^__version__ = "(.+)"$', text, re.MULTILINE)
    assert found
    return found[1]


def _git(*arguments: str) -> bytes | None:
    try:
        done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, timeout=60)
    except FileNotFoundError:
        return None
    return done.stdout if done.returncode == 0 else None

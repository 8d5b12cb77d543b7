"""A base installation, which has no library of an extra: every command says so in one line."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from objectclassification.cli import extras
from tests.photographs import CHELSEA

PYPROJECT = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())
EXTRA = {
    Requirement(text).name
    for extra in ("server", "models")
    for text in PYPROJECT["project"]["optional-dependencies"][extra]
} - {"objectclassification"}

# Python's own finder does not see these libraries, as if they were not installed. A virtual
# environment without them would be truer, and takes a minute on a slow network.
RUN = """
import sys
from importlib.machinery import PathFinder

class Base:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name.partition(".")[0] in {blocked!r}:
            return None
        return PathFinder.find_spec(name, path, target)

sys.meta_path = [Base if finder is PathFinder else finder for finder in sys.meta_path]
sys.argv[0] = "objectclassification"
from objectclassification.cli import main
main()
"""


def _modules(distributions: set[str]) -> set[str]:
    """What these distributions are imported as."""
    found = packages_distributions()
    return {
        module
        for module, owners in found.items()
        if any(owner.lower().replace("_", "-") in distributions for owner in owners)
    }


def _run(tmp_path: Path, *words: str) -> subprocess.CompletedProcess[str]:
    code = RUN.format(blocked=_modules(EXTRA))
    return subprocess.run(
        [sys.executable, "-c", code, *words],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        cwd=tmp_path,
    )


@pytest.mark.parametrize(
    "words",
    [
        ("serve", "--port", "0", "--data", "data"),
        ("server", "--port", "0", "--tokens", "tokens.toml", "--tls", "auto"),
        ("backup", "copy"),
        ("restore", "copy", "--data", "data"),
        ("retention", "--dry-run"),
        ("classify", "chelsea.png"),
        ("models", "add", "model.onnx"),
        ("service", "install", "server"),
        ("service", "install", "hub", "--tls", "auto"),
    ],
    ids=" ".join,
)
def test_a_command_names_the_extra_that_it_needs(words: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / "chelsea.png").write_bytes(CHELSEA.read_bytes())
    (tmp_path / "model.onnx").write_bytes(b"")
    done = _run(tmp_path, *words)
    (line,) = done.stderr.splitlines()
    extra = "models" if words[0] == "models" else "server"
    assert f"needs the extra '{extra}': run pipx install --force '.[{extra}]'" in line
    assert done.returncode == 78


def test_what_needs_no_extra_runs_without(tmp_path: Path) -> None:
    done = _run(tmp_path, "devices", "--json")
    assert (done.returncode, done.stderr) == (0, "")


def test_every_library_of_an_extra_is_known() -> None:
    for module in _modules(EXTRA) - {"_cffi_backend", "multipart"}:
        assert extras.missing(ModuleNotFoundError(name=f"{module}.part")), module


@pytest.mark.parametrize("name", ["numpy", "objectclassification.nothing", None])
def test_other_missing_modules_are_not_hidden(name: str | None) -> None:
    assert extras.missing(ModuleNotFoundError(name=name)) is None

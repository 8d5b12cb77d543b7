"""systemd unit files: the shipped ones, filled in for this machine.

What a unit needs from places that a service cannot see is brought to it: secrets and settings by
LoadCredential, programs and pictures of home folders by a bind mount.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable, Sequence
from importlib.resources import files
from pathlib import Path

import objectclassification
from objectclassification.errors import ConfigurationError, Conflict, NotFound

UNITS = Path("/etc/systemd/system")
SETTINGS = Path("/etc/objectclassification")
CAMERA_TOKEN = SETTINGS / "camera.token"
"""As ``camera.service`` has it; only root can read it."""

_MARK = "# ObjectClassification:"
_COMMAND = re.compile(r"^ExecStart=.* -m objectclassification (\w+)", re.MULTILINE)
_EXEC = re.compile(r"^ExecStart=.*\n", re.MULTILINE)
_PLAIN = re.compile(r"[A-Za-z0-9_/.,=@+%-]+\Z")
# The units' ProtectHome and PrivateTmp hide these.
_HIDDEN = tuple(Path(root) for root in ("/home", "/root", "/run/user", "/tmp", "/var/tmp"))  # noqa: S108


def quote(word: str) -> str:
    """Returns a word of a command line that systemd gives to the program as it is.

    Raises:
        ConfigurationError: it has a character that no unit file can hold.
    """
    return _quote_path(word.replace("$", "$$"))


def command(*words: str) -> str:
    """Returns ``ExecStart=`` for one of this installation's commands; the words are quoted."""
    # systemd puts no variables into the program's own path, so that a "$" there is itself.
    program = _quote_path(sys.executable)
    return " ".join((f"ExecStart={program} -P -m objectclassification", *words))


def credential(name: str, file: Path) -> str:
    """Returns ``LoadCredential=``: the unit finds the file as ``%d/NAME``.

    Raises:
        ConfigurationError: there is no such file.
    """
    if not file.is_file():
        raise ConfigurationError(f"there is no file {file}")
    # A link stays one: certbot points it to the newest certificate.
    return f"LoadCredential={name}:{os.path.abspath(file).replace('%', '%%')}"


def binds(paths: Iterable[Path] = ()) -> list[str]:
    """Returns ``BindReadOnlyPaths=`` for this installation and more paths, where they are hidden.

    Args:
        paths: what else the service reads.
    """
    python = Path(sys.executable)
    package = Path(objectclassification.__file__)
    installation = {
        Path(sys.prefix),
        Path(sys.base_prefix),
        python.parent,
        python.resolve().parents[1],
        package.parents[1],  # elsewhere in an editable installation
    }
    wanted = sorted({path.absolute() for path in (*installation, *paths)})
    hidden = [path for path in wanted if any(root in path.parents for root in _HIDDEN)]
    outermost = [path for path in hidden if not any(other in path.parents for other in hidden)]
    return [f"BindReadOnlyPaths={_quote_path(str(path))}" for path in outermost]


def render(name: str, lines: Sequence[str]) -> str:
    """Returns a shipped unit file with these lines in the place of its ``ExecStart=``."""
    template = (files("objectclassification") / "packaging" / name).read_text()
    return _EXEC.sub(lambda found: "".join(f"{line}\n" for line in lines), template)


def write(name: str, text: str) -> Path:
    """Writes a unit file, also over an older one of ours.

    Raises:
        Conflict: there is a unit file of that name which is not ours.
        ConfigurationError: it cannot be written.
    """
    file = UNITS / name
    if file.exists():
        _check_ours(file)
    try:
        file.write_text(text)
    except OSError as exc:
        raise refused(file, exc) from exc
    return file


def command_of(name: str) -> str | None:
    """Returns which of our commands a unit file runs, or None if it is not there."""
    file = UNITS / name
    found = _COMMAND.search(file.read_text()) if file.exists() else None
    return None if found is None else found[1]


def remove(name: str) -> Path:
    """Deletes a unit file, and the links by which it was enabled.

    Raises:
        NotFound: there is none.
        Conflict: it is not ours.
        ConfigurationError: it cannot be deleted.
    """
    file = installed(name)
    try:
        for link in UNITS.glob(f"*.wants/{name}"):
            link.unlink()
        file.unlink()
    except OSError as exc:
        raise refused(file, exc) from exc
    return file


def installed(name: str) -> Path:
    """Returns where a unit of ours is.

    Raises:
        NotFound: there is none.
        Conflict: there is one of that name which is not ours.
    """
    file = UNITS / name
    if not file.exists():
        raise NotFound(f"{file} is not there: nothing to uninstall")
    _check_ours(file)
    return file


def refused(file: Path, exc: OSError) -> ConfigurationError:
    """Returns the error for a file that this account may not change."""
    sudo = "; run this with sudo" if isinstance(exc, PermissionError) else ""
    return ConfigurationError(f"cannot change {file}: {exc.strerror}{sudo}")


def _quote_path(path: str) -> str:
    if not path.isprintable():
        raise ConfigurationError(f"{path!r} cannot stand in a unit file")
    path = path.replace("%", "%%")
    if _PLAIN.match(path):
        return path
    escaped = path.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _check_ours(file: Path) -> None:
    if not file.read_text().startswith(_MARK):
        raise Conflict(f"{file} is of another program: move it away first")

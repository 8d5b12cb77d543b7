"""What is tried on a machine of its own, under its real systemd; see ``test_systemd.py``.

Runs there as root with Debian's own Python and nothing of ours imported: it uses the command line,
as an operator does. Each step ends well or with a traceback, which is the step's result.
"""

from __future__ import annotations

import json
import re
import shutil
import sqlite3
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path

PROGRAM = "/home/pi/.local/share/pipx/venvs/objectclassification/bin/objectclassification"
UNITS = Path("/etc/systemd/system")
STATE = Path("/var/lib/objectclassification")
CAMERA_STATE = Path("/var/lib/objectclassification-camera")
SETTINGS = Path("/etc/objectclassification")
SERVER, CAMERA = "socket.service", "camera.service"
URL = "http://127.0.0.1:8000"
PICTURES = Path("/home/pi/a \"quoted\": 100% $HOME, \\1 ; 'pictures'")
"""What quoting in unit files can go wrong on, in a home folder, which services do not see."""
TOP = 3
WAIT_S = 60.0
EXIT_CONFIGURATION = 78


def run(*words: str, code: int = 0, text: str = "") -> str:
    """Runs a command; returns what it printed."""
    done = subprocess.run(
        words, input=text, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert done.returncode == code, f"{words} ended with {done.returncode}: {done.stdout}"
    return done.stdout


def state(unit: str, name: str) -> str:
    """A property of a unit."""
    return run("systemctl", "show", "--value", "--property", name, unit).strip()


def journal(unit: str) -> str:
    """What a unit said since the machine was started, and what systemd said of it."""
    run("journalctl", "--sync")
    return run("journalctl", "--boot", "--no-pager", "--output", "cat", "--unit", unit)


def until(what: Callable[[], bool]) -> None:
    """Waits for a state of a unit, which nothing but a look can tell."""
    end = time.monotonic() + WAIT_S
    while not what():
        assert time.monotonic() < end, f"not within {WAIT_S:g} s\n{report()}"
        time.sleep(0.05)


def report() -> str:
    """What is known of both units."""
    status = subprocess.run(
        ["systemctl", "status", "--no-pager", "--full", "--lines=60", SERVER, CAMERA],
        capture_output=True,
        text=True,
    )
    return status.stdout


def snap() -> None:
    """A snap as root, who needs to type neither server nor token, is answered with labels."""
    # The state that systemd shows comes a moment after the hub knows it.
    until(lambda: "1 camera online" in state(SERVER, "StatusText"))
    receipt = json.loads(run(PROGRAM, "snap", "door", "--json"))
    assert receipt["answered"] == 1, receipt
    assert len(receipt["shots"][0]["predictions"]) == TOP, receipt


def answers_after(unit: str, blow: Callable[[], object]) -> None:
    """After a blow to a unit's main process another one serves."""
    before, restarts = state(unit, "MainPID"), int(state(unit, "NRestarts"))
    blow()
    until(lambda: int(state(unit, "NRestarts")) == restarts + 1)
    until(lambda: state(unit, "ActiveState") == "active")
    assert state(unit, "MainPID") not in (before, "0")
    snap()


def strike(unit: str, signal: str) -> None:
    """Sends a signal to a unit's main process only."""
    run("systemctl", "kill", "--kill-whom=main", f"--signal={signal}", unit)


def fails_for_good(unit: str, reason: str) -> None:
    """A start that cannot work is tried once, says why in one line, and is left alone."""
    started = subprocess.run(["systemctl", "restart", unit], capture_output=True)
    assert started.returncode != 0
    # systemd would be in "auto-restart" from the moment of the failure on.
    assert state(unit, "SubState") == "failed", report()
    assert state(unit, "ExecMainStatus") == str(EXIT_CONFIGURATION)
    assert state(unit, "NRestarts") == "0"
    assert reason in journal(unit)
    run("systemctl", "reset-failed", unit)


def command_lines() -> list[str]:
    """Of every process, as anyone on the machine can see them."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            found.append((process / "cmdline").read_text().replace("\0", " "))
        except OSError:
            continue  # it has ended
    return found


def settings_are_refused_before_anything_is_written() -> None:
    """Wrong options, a password for everyone to read: one line, 78, and no unit file."""
    install = (PROGRAM, "service", "install")
    assert "port" in run(*install, "server", "--port", "99999", code=EXIT_CONFIGURATION)
    source = "rtsp://user:secret@127.0.0.1/"
    said = run(*install, "camera", "--name", "door", "--source", source, code=EXIT_CONFIGURATION)
    assert "secret" not in said
    said = run(*install, "camera", URL, "--name", "door", code=EXIT_CONFIGURATION)
    assert "login" in said
    said = run("runuser", "--user", "pi", "--", *install, "server", code=EXIT_CONFIGURATION)
    assert "sudo" in said
    other = UNITS / SERVER
    other.write_text("[Service]\nExecStart=/bin/true\n")
    assert "another program" in run(*install, "server", code=1)
    assert "another program" in run(PROGRAM, "service", "uninstall", "server", code=1)
    other.unlink()
    assert "nothing to uninstall" in run(PROGRAM, "service", "uninstall", "server", code=1)


def the_server_is_installed_and_starts() -> None:
    """The seed's commands are shown, and the start returns once the server serves."""
    config = Path("/root/server.toml")  # brought to the server, who may not look there
    config.write_text(f"top = {TOP}\n")
    config.chmod(0o600)
    install = (PROGRAM, "service", "install", "server", "--port", "8000", "--config", str(config))
    said = run(*install)
    for verb in ("daemon-reload", *(f"{word} {SERVER}" for word in COMMANDS)):
        assert f"sudo systemctl {verb}" in said
    run("systemctl", "daemon-reload")
    run("systemctl", "start", SERVER)
    assert state(SERVER, "ActiveState") == "active"
    assert state(SERVER, "StatusText").endswith("0 cameras online")
    assert state(SERVER, "WatchdogUSec") == "30s"


def a_camera_is_installed_with_the_token_of_who_became_root() -> None:
    """The way of the README: login as an ordinary account, and install with sudo."""
    shutil.copytree("/srv/photographs", PICTURES)
    made = json.loads(run(PROGRAM, "token", "add", "--camera", "door", "--json"))
    run("runuser", "--user", "pi", "--", PROGRAM, "login", URL, text=made["token"])
    run(
        *("env", "SUDO_USER=pi", PROGRAM, "service", "install", "camera"),
        *("--name", "door", "--source", str(PICTURES)),
    )
    token = SETTINGS / "camera.token"
    assert (token.stat().st_mode & 0o777, token.stat().st_uid) == (0o600, 0)
    assert made["token"] not in (UNITS / CAMERA).read_text()
    run("systemctl", "daemon-reload")
    run("systemctl", "start", CAMERA)
    until(lambda: "camera door is ready" in state(CAMERA, "StatusText"))


def the_units_are_clean() -> None:
    """systemd has nothing to remark, and finds little that is exposed."""
    for unit, most in ((SERVER, 2.0), (CAMERA, 3.0)):
        assert run("systemd-analyze", "verify", str(UNITS / unit)) == ""
        said = run(
            *("systemd-analyze", "security", "--offline=true", "--no-pager", str(UNITS / unit))
        )
        found = re.search(r"Overall exposure level for \S+: ([\d.]+)", said)
        assert found and float(found[1]) <= most, said


def a_snap_is_answered() -> None:
    """Twice, so that the classifying child is known to live under the units' restrictions."""
    snap()
    snap()
    assert '"level": "error"' not in journal(SERVER), journal(SERVER)
    for word in ("Traceback", "child_died", "rror: "):
        assert word not in journal(SERVER) + journal(CAMERA), report()
    # What libraries would keep of their own, and perhaps send.
    assert not [*STATE.glob(".*"), *CAMERA_STATE.glob(".*")]


def the_status_is_shown() -> None:
    """``systemctl status`` says in a line how each is."""
    said = report()
    assert re.search(r'Status: "serving http://\S+:8000, 1 camera online"', said), said
    assert re.search(r'Status: "door: \d+x\d+, replay, captured after \d+ ms, uploaded', said), said


def no_secret_is_shown() -> None:
    """Neither journal nor process list nor unit files have a token, of the first start either."""
    shown = journal(SERVER) + journal(CAMERA)
    shown += "".join(file.read_text() for file in UNITS.glob("*.service") if file.is_file())
    shown += "".join(command_lines())
    assert "objectclassification" in shown
    assert "oc_" not in shown
    for file in (STATE / "admin-token", SETTINGS / "camera.token"):
        assert file.read_text().strip() not in shown
    run("runuser", "--user", "pi", "--", "cat", str(STATE / "admin-token"), code=1)
    run("runuser", "--user", "pi", "--", "cat", str(SETTINGS / "camera.token"), code=1)


def each_comes_back_after_kill_9() -> None:
    """Server and camera program, one after the other."""
    answers_after(SERVER, lambda: strike(SERVER, "KILL"))
    answers_after(CAMERA, lambda: strike(CAMERA, "KILL"))


def a_hang_is_found_by_the_watchdog() -> None:
    """A process that stands still is aborted, shows where it stood, and is started anew."""
    for unit in (SERVER, CAMERA):
        drop_in = UNITS / f"{unit}.d" / "quick.conf"
        drop_in.parent.mkdir()
        drop_in.write_text("[Service]\nWatchdogSec=2\n")
        run("systemctl", "daemon-reload")
        run("systemctl", "restart", unit)
        snap()
        answers_after(unit, partial(strike, unit, "STOP"))
        said = journal(unit)
        assert "Watchdog timeout" in said
        assert "Fatal Python error: Aborted" in said and "asyncio" in said
        drop_in.unlink()
    run("systemctl", "daemon-reload")


def bad_settings_are_not_tried_again() -> None:
    """They are said in one line, and mending them is enough."""
    for unit, name, line, reason in (
        (SERVER, "socket.env", "OBJECTCLASSIFICATION_TOP=0\n", "error: OBJECTCLASSIFICATION_TOP:"),
        (SERVER, "socket.env", "OBJECTCLASSIFICATION_MODEL=/nothing.onnx\n", "/nothing.onnx"),
    ):
        file = SETTINGS / name
        file.write_text(line)
        fails_for_good(unit, reason)
        file.unlink()
    token = SETTINGS / "camera.token"
    good = token.read_text()
    token.write_text("two words\n")
    fails_for_good(CAMERA, "does not hold one token")
    token.write_text(good)
    run("systemctl", "start", SERVER, CAMERA)
    snap()


def a_newer_database_is_not_tried_again() -> None:
    """It is left as it is."""
    run("systemctl", "stop", SERVER)
    file = STATE / "database.sqlite3"
    with closing(sqlite3.connect(file)) as database:
        (ours,) = database.execute("SELECT version_num FROM alembic_version").fetchone()
    set_revision(file, "9999")
    fails_for_good(SERVER, "newer")
    set_revision(file, ours)
    run("systemctl", "start", SERVER)
    snap()


def set_revision(file: Path, revision: str) -> None:
    """Makes a database of another version."""
    with closing(sqlite3.connect(file)) as database, database:
        database.execute("UPDATE alembic_version SET version_num = ?", (revision,))


def both_are_enabled() -> None:
    """For the next start of the machine."""
    run("systemctl", "enable", SERVER, CAMERA)


def both_run_after_a_reboot() -> None:
    """Nobody has started them, and a snap is answered."""
    snap()


def one_service_serves_several_cameras() -> None:
    """With a file of settings and a file with the token that only root can read."""
    config, token = Path("/root/cameras.toml"), Path("/root/token")
    config.write_text(
        "".join(
            f'[[cameras]]\nname = "{name}"\nsource = "/srv/photographs"\n'
            for name in ("door", "gate")
        )
    )
    added = run(PROGRAM, "token", "add", "--camera", "door", "--camera", "gate", "--json")
    token.write_text(json.loads(added)["token"])
    for file in (config, token):
        file.chmod(0o600)
    run(
        *(PROGRAM, "service", "install", "camera", URL),
        *("--config", str(config), "--token-file", str(token)),
    )
    run("systemctl", "daemon-reload")
    run("systemctl", "restart", CAMERA)
    until(lambda: "2 cameras online" in state(SERVER, "StatusText"))
    assert json.loads(run(PROGRAM, "snap", "--all", "--json"))["answered"] == 2


def both_stop() -> None:
    """At once, with nothing left behind, and they stay so."""
    for unit in (CAMERA, SERVER):
        began = time.monotonic()
        run("systemctl", "stop", unit)
        assert time.monotonic() - began < 15
        assert (state(unit, "ActiveState"), state(unit, "Result")) == ("inactive", "success")
        assert state(unit, "ExecMainStatus") == "0"
        assert "SIGKILL" not in journal(unit)
    left = [line for line in command_lines() if PROGRAM.rpartition("/")[0] in line]
    assert not left


def both_are_uninstalled() -> None:
    """Unit files, links and the token go; pictures and database stay."""
    run("systemctl", "start", SERVER)
    assert "/var/lib/objectclassification" in run(PROGRAM, "service", "uninstall", "server")
    run(PROGRAM, "service", "uninstall", "camera")
    for unit in (SERVER, CAMERA):
        assert not (UNITS / unit).exists()
        assert not (UNITS / "multi-user.target.wants" / unit).is_symlink()
        assert state(unit, "LoadState") == "not-found"
    assert not (SETTINGS / "camera.token").exists()
    assert (STATE / "database.sqlite3").exists()


def the_hub_alone_is_a_service_too() -> None:
    """In the same unit, as a machine runs one or the other."""
    run(PROGRAM, "service", "install", "hub", "--port", "8765")
    assert run("systemd-analyze", "verify", str(UNITS / SERVER)) == ""
    run("systemctl", "daemon-reload")
    run("systemctl", "start", SERVER)
    assert state(SERVER, "StatusText").endswith("127.0.0.1:8765/, 0 cameras online")
    assert "oc_" not in journal(SERVER)
    assert (STATE / "hub-tokens.toml.admin-token").read_text().startswith("oc_")
    run("systemctl", "stop", SERVER)
    assert state(SERVER, "Result") == "success"
    run(PROGRAM, "service", "uninstall", "hub")


COMMANDS = ("start", "status", "enable", "disable")
BOOTS: dict[str, tuple[Callable[[], None], ...]] = {
    "first": (
        settings_are_refused_before_anything_is_written,
        the_server_is_installed_and_starts,
        a_camera_is_installed_with_the_token_of_who_became_root,
        the_units_are_clean,
        a_snap_is_answered,
        the_status_is_shown,
        no_secret_is_shown,
        each_comes_back_after_kill_9,
        a_hang_is_found_by_the_watchdog,
        bad_settings_are_not_tried_again,
        a_newer_database_is_not_tried_again,
        both_are_enabled,
    ),
    "second": (
        both_run_after_a_reboot,
        one_service_serves_several_cameras,
        both_stop,
        both_are_uninstalled,
        the_hub_alone_is_a_service_too,
    ),
}
"""What is tried after each start of the machine, in this order."""


def main(results: Path) -> None:
    """Tries what belongs to this start of the machine, and notes how each step ended."""
    boot = "second" if (results / "first.json").exists() else "first"
    found: dict[str, dict[str, object]] = {}
    for step in BOOTS[boot]:
        began = time.monotonic()
        try:
            step()
            trouble = ""
        except Exception:  # noqa: BLE001 - a step's failure is its result
            trouble = f"{traceback.format_exc()}\n{report()}"
        took_s = round(time.monotonic() - began, 2)
        found[step.__name__] = {"trouble": trouble, "took_s": took_s}
        (results / f"{boot}.part").write_text(json.dumps(found))
    (results / f"{boot}.part").rename(results / f"{boot}.json")


if __name__ == "__main__":
    main(Path(sys.argv[1]))

"""The commands of the README on real programs: both sides, from the first start to the receipt."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

import pytest

from tests.photographs import CATS, CHELSEA, ROCKET

COMMAND = [sys.executable, "-m", "objectclassification"]
ROOT = Path(__file__).parents[2]
WAIT_S = 60.0

Run = Callable[..., "subprocess.CompletedProcess[str]"]
Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Runs a command to its end, as the account that ``home`` belongs to."""

    def call(*arguments: str, stdin: str = "", **env: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*COMMAND, *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            env=os.environ | env,
            cwd=tmp_path,
            timeout=WAIT_S,
        )

    return call


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts a command that stays, and ends it after the test."""
    programs: list[subprocess.Popen[str]] = []

    def call(*arguments: str, **env: str) -> subprocess.Popen[str]:
        program = subprocess.Popen(
            [*COMMAND, *arguments],
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | env,
            cwd=tmp_path,
        )
        programs.append(program)
        return program

    yield call
    for program in programs:
        program.terminate()
        program.wait(WAIT_S)
        stdout(program).close()


def stdout(program: subprocess.Popen[str]) -> IO[str]:
    assert program.stdout is not None
    return program.stdout


def read_until(program: subprocess.Popen[str], word: str) -> list[str]:
    lines = []
    for line in stdout(program):
        lines.append(line)
        if word in line:
            return lines
    raise AssertionError(f"it ended without {word!r}: {lines}")


@pytest.fixture
def url(start: Start, tmp_path: Path) -> str:
    """A server of this account, as ``serve`` starts it."""
    server = start("serve", "--port", "0", "--data", str(tmp_path / "data"))
    first = read_until(server, "data:")
    address = next(word for line in first for word in line.split() if word.startswith("http"))
    assert "/?token=oc_" in address
    return address.partition("/?")[0]


def test_two_machines(run: Run, start: Start, url: str, tmp_path: Path) -> None:
    made = run("token", "add", "--camera", "door")
    assert made.returncode == 0, made.stderr
    token = made.stdout.strip()

    # The camera's machine: an account of its own, which knows nothing until it logs in.
    other = {f"XDG_{name}_HOME": str(tmp_path / "other") for name in ("CONFIG", "STATE", "DATA")}
    assert run("login", url, stdin="wrong\n", **other).returncode == 77
    login = run("login", url, stdin=f"{token}\n", **other)
    assert login.returncode == 0, login.stderr
    assert token not in login.stdout + login.stderr
    stored = tmp_path / "other" / "objectclassification" / "credentials.toml"
    assert stored.stat().st_mode & 0o777 == 0o600

    known = run("snap", "door")
    assert known.returncode == 1
    assert "offline" in known.stdout

    shutil.copy(CHELSEA, tmp_path / "cat.png")
    camera = start("camera", "--name", "door", "--source", str(tmp_path / "cat.png"), **other)
    read_until(camera, "door is ready")

    snapped = run("snap", "door", "--json", "--context", "order=4711", "--out", "pictures")
    assert snapped.returncode == 0, snapped.stderr
    receipt = json.loads(snapped.stdout)
    assert set(receipt) == {
        *("snap", "answered", "failed", "missing", "elapsed_ms", "context", "shots", "skew"),
    }
    assert (receipt["answered"], receipt["failed"], receipt["missing"]) == (1, 0, 0)
    assert receipt["context"] == {"order": "4711"}
    (shot,) = receipt["shots"]
    assert shot["state"] == "classified"
    assert shot["freshness"] == "replay"
    stages = shot["elapsed_ms"]
    assert stages["delivered"] <= stages["captured"] <= stages["classified"]
    assert shot["predictions"][0]["label"] in CATS
    assert len(list((tmp_path / "pictures").iterdir())) == 1

    table = run("snap", "--all")
    assert table.returncode == 0
    assert "1 of 1 answered" in table.stdout
    assert run("snap", "shed").returncode == 1
    assert "shed" in run("snap", "shed").stderr


def test_capture_uploads_to_slot_1(run: Run, url: str, tmp_path: Path) -> None:
    taken = run("capture", "--source", str(ROCKET), "--upload", "--snippet", "1")
    assert taken.returncode == 0, taken.stderr
    assert (tmp_path / "opencv_frame_0.png").read_bytes().startswith(b"\x89PNG")
    missing = run("capture", "--source", str(ROCKET), "--upload", "--snippet", "9")
    assert missing.returncode != 0
    assert "no such snippet" in missing.stderr


def test_wait_hears_a_snap(run: Run, start: Start, url: str, tmp_path: Path) -> None:
    assert run("wait", "--timeout", "0.3").returncode == 75
    token = run("token", "add", "--camera", "door").stdout.strip()
    camera = start(
        "camera", url, "--name", "door", "--source", str(ROCKET), OBJECTCLASSIFICATION_TOKEN=token
    )
    read_until(camera, "ready")
    waiting = start("wait", "--timeout", "30")
    while waiting.poll() is None:
        run("snap", "door")
    assert waiting.returncode == 0


def test_tokens(run: Run, url: str) -> None:
    made = json.loads(run("token", "add", "--role", "viewer", "--name", "wall", "--json").stdout)
    listed = json.loads(run("token", "list", "--json").stdout)
    assert {"viewer", "admin"} == {row["role"] for row in listed}
    assert not any("token" in row for row in listed)
    as_viewer = {"OBJECTCLASSIFICATION_TOKEN": made["token"]}
    assert run("token", "list", **as_viewer).returncode == 77
    assert run("token", "revoke", made["id"]).returncode == 0
    assert run("token", "revoke", made["id"]).returncode == 1
    assert run("token", "add").returncode == 2
    assert run("token", "add", "--role", "king").returncode == 2


def test_nobody_answers(run: Run) -> None:
    refused = run("snap", "door", "--server", "http://127.0.0.1:9")
    assert refused.returncode == 69
    assert len(refused.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=str)
def test_demo(tmp_path: Path, number: signal.Signals) -> None:
    """What ``make run`` starts: a labelled receipt, the address with its token, Ctrl-C."""
    (tmp_path / "tools").mkdir()
    demo = subprocess.Popen(
        [sys.executable, str(ROOT / "tools" / "demo.py")],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PORT": "0"},
        cwd=tmp_path,
    )
    try:
        lines = "".join(read_until(demo, "Ctrl-C"))
        assert "1 of 1 answered" in lines
        assert "classified" in lines
        assert "/?token=oc_" in lines
        demo.send_signal(number)
        assert demo.wait(WAIT_S) == 0
    finally:
        demo.kill()
        demo.wait()
        stdout(demo).close()

"""The seed to the letter, with the third-party library it names, and the real commands."""

from __future__ import annotations

import os
import re
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import websocket

from objectclassification.errors import EXIT_CONFIGURATION, EXIT_NO_PERMISSION, EXIT_TEMPORARY

WITHIN_S = 20.0


def _command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "objectclassification", *arguments]


@contextmanager
def _hub(*arguments: str, home: Path) -> Iterator[tuple[subprocess.Popen[str], str, str]]:
    """A hub alone as a process of its own: the process, its address, all it printed so far."""
    environment = {**os.environ, "HOME": str(home), "XDG_DATA_HOME": str(home / "data")}
    process = subprocess.Popen(
        _command("server", "--port", "0", *arguments),
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        printed, address = "", None
        while address is None:
            line = process.stdout.readline()
            assert line, process.stderr.read() if process.stderr else ""
            printed += line
            address = re.search(r"ws://\S+", line)
        yield process, address.group(), printed
    finally:
        process.kill()
        process.communicate()


@pytest.fixture
def plain_hub(tmp_path: Path) -> Iterator[str]:
    """The address, token included, of a hub that was started for the first time."""
    with _hub(home=tmp_path) as (_, address, _printed):
        yield address


def test_the_seeds_two_scripts(plain_hub: str) -> None:
    listening = websocket.create_connection(plain_hub, timeout=WITHIN_S)
    sending = websocket.create_connection(plain_hub, timeout=WITHIN_S)
    sending.send("snap")
    assert listening.recv() == "snap"
    sending.send("anything else")
    assert listening.recv() == "anything else"
    listening.close()
    sending.close()


def test_the_seeds_script_needs_its_token(plain_hub: str) -> None:
    with pytest.raises(websocket.WebSocketBadStatusException, match="401"):
        websocket.create_connection(plain_hub.partition("?")[0], timeout=WITHIN_S)


def test_wait_hears_the_seeds_snap(plain_hub: str, tmp_path: Path) -> None:
    address, _, token = plain_hub.partition("?token=")
    token_file = tmp_path / "token"
    token_file.write_text(token)
    waiting = subprocess.Popen(
        _command("wait", "--server", address, "--token-file", str(token_file), "--timeout", "20"),
        env={**os.environ, "HOME": str(tmp_path)},
        stdout=subprocess.PIPE,
        text=True,
    )
    sending = websocket.create_connection(plain_hub, timeout=WITHIN_S)
    while waiting.poll() is None:  # when it has connected is nothing this test can see
        sending.send("snap")
        try:
            waiting.wait(0.1)
        except subprocess.TimeoutExpired:
            continue
    out, _ = waiting.communicate()
    assert waiting.returncode == 0
    assert out == "snap\n"
    sending.close()


def test_wait_gives_up_with_its_own_exit_code(plain_hub: str, tmp_path: Path) -> None:
    address, _, token = plain_hub.partition("?token=")
    wrong, right = tmp_path / "wrong", tmp_path / "right"
    wrong.write_text("wrong")
    right.write_text(token)
    for file, code, says in [
        (right, EXIT_TEMPORARY, "no snap within 0.3 s"),
        (wrong, EXIT_NO_PERMISSION, "token"),
    ]:
        command = _command("wait", "--server", address, "--token-file", str(file), "--timeout")
        timeout = "0.3" if file is right else "20"
        run = subprocess.run(
            [*command, timeout],
            env={**os.environ, "HOME": str(tmp_path)},
            capture_output=True,
            text=True,
            timeout=WITHIN_S,
        )
        assert run.returncode == code
        assert says in run.stderr
        assert token not in run.stderr
        assert len(run.stderr.strip().splitlines()) == 1


def test_sigterm_closes_clients_and_exits_with_0(tmp_path: Path) -> None:
    with _hub(home=tmp_path) as (process, address, _):
        client = websocket.create_connection(address, timeout=WITHIN_S)
        process.send_signal(signal.SIGTERM)
        opcode, payload = client.recv_data()
        assert opcode == websocket.ABNF.OPCODE_CLOSE
        assert int.from_bytes(payload[:2], "big") == 1012
        assert process.wait(10) == 0
        client.shutdown()  # type: ignore[no-untyped-call]


def test_the_token_is_shown_once_and_kept_for_its_owner(tmp_path: Path) -> None:
    with _hub(home=tmp_path) as (process, address, _):
        token = address.partition("?token=")[2]
        process.terminate()
        _, log = process.communicate(timeout=10)
        assert token not in log
    kept = [file for file in tmp_path.rglob("*") if file.is_file()]
    assert {stat.S_IMODE(file.stat().st_mode) for file in kept} == {0o600}
    assert sorted(file.read_text().strip() == token for file in kept) == [False, True]
    with _hub(home=tmp_path) as (process, address, printed):
        assert token not in printed
        process.terminate()
        out, log = process.communicate(timeout=10)
        assert token not in out + log


def test_the_hub_says_where_it_is(tmp_path: Path) -> None:
    with _hub("--no-auth", home=tmp_path) as (_, address, printed):
        assert address.startswith("ws://127.0.0.1:")
        assert re.search(r"hub on \S+ \([\d.]+\)", printed)


def test_a_port_in_use_is_one_line(plain_hub: str, tmp_path: Path) -> None:
    port = re.search(r":(\d+)/", plain_hub)
    assert port is not None
    run = subprocess.run(
        _command("server", "--no-auth", "--port", port.group(1)),
        env={**os.environ, "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=WITHIN_S,
    )
    assert run.returncode == EXIT_CONFIGURATION
    assert run.stderr.strip().splitlines()[-1].startswith("error: cannot listen on 127.0.0.1")
    assert "Traceback" not in run.stderr


def test_server_runs_from_a_script_until_a_signal() -> None:
    script = (
        "from objectclassification import Server\n"
        "from objectclassification.auth import Tokens\n"
        "Server(port=0, tokens=Tokens(open=True)).run()\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-u", "-c", script], stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    assert "serving" in process.stderr.readline()
    process.terminate()
    process.communicate(timeout=10)
    assert process.returncode == 0


def test_server_echo_is_the_same_program(tmp_path: Path) -> None:
    run = subprocess.run(
        [sys.executable, "-m", "objectclassification.hub.server_echo", "--no-auth",
         "--host", "0.0.0.0"],  # noqa: S104 - it is what is refused
        env={**os.environ, "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=WITHIN_S,
    )  # fmt: skip
    assert run.returncode == EXIT_CONFIGURATION
    assert "--no-auth" in run.stderr

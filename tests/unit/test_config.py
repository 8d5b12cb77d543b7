"""Settings, and how commands find their server and their token."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from objectclassification.config import (
    Connection,
    ServerSettings,
    default_data,
    find_connection,
    forget_local,
    is_loopback,
    load_server,
    read_toml,
    remember,
    remember_local,
    split_token,
    write_secret,
)
from objectclassification.errors import EXIT_CONFIGURATION, ConfigurationError

SERVER = "OBJECTCLASSIFICATION_SERVER"
TOKEN = "OBJECTCLASSIFICATION_TOKEN"


def mode(file: Path) -> int:
    return stat.S_IMODE(file.stat().st_mode)


def test_the_defaults_are_those_of_the_design() -> None:
    settings = load_server()
    assert (settings.host, settings.port, settings.data) == ("127.0.0.1", 8000, default_data())
    assert (settings.max_body_bytes, settings.max_pixels) == (32 * 2**20, 50_000_000)
    assert not settings.no_auth


def test_settings_are_frozen() -> None:
    with pytest.raises(ValidationError):
        ServerSettings().port = 1


def test_an_argument_beats_the_environment_which_beats_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "server.toml"
    file.write_text("port = 1\ntop = 2\nworkers = 3\n")
    monkeypatch.setenv("OBJECTCLASSIFICATION_TOP", "20")
    monkeypatch.setenv("OBJECTCLASSIFICATION_WORKERS", "30")
    settings = load_server(file, workers=40, port=None)
    assert (settings.port, settings.top, settings.workers) == (1, 20, 40)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("port = 70000", "port"),
        ("port = 'x'", "port"),
        ("prot = 1", "prot"),
        ("max_body_bytes = 0", "max_body_bytes"),
        ("port = ", "is not TOML"),
    ],
)
def test_a_bad_file_is_one_clear_line(tmp_path: Path, text: str, what: str) -> None:
    file = tmp_path / "server.toml"
    file.write_text(text)
    with pytest.raises(ConfigurationError, match=what) as caught:
        load_server(file)
    assert "\n" not in caught.value.detail
    assert caught.value.exit_code == EXIT_CONFIGURATION


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("port = 'x'", "port: it must be a whole number"),
        ("port = 70000", "port: it must be at most 65535"),
        ("max_pixels = 0", "max_pixels: it must be more than 0"),
        ("keep_days = 'long'", "keep_days: it must be a number"),
        ("no_auth = 'perhaps'", "no_auth: it must be true or false"),
        ("keep_cameras = 3", "keep_cameras: it must be a table"),
        ("keep_pitcures = 2", "there is no setting keep_pitcures; did you mean keep_pictures or "),
        ("zzz = 2", "there is no setting zzz; docs/settings.md has them all"),
        ("trusted_proxies = 'x'", "trusted_proxies: 'x' "),
        (
            "[keep_cameras.door]\nday = 2",
            "keep_cameras.door: there is no setting day; did you mean days?",
        ),
    ],
)
def test_a_bad_file_is_named_with_its_setting_in_plain_words(
    tmp_path: Path, text: str, line: str
) -> None:
    file = tmp_path / "server.toml"
    file.write_text(text)
    with pytest.raises(ConfigurationError) as caught:
        load_server(file)
    assert caught.value.detail.startswith(f"{file}: {line}")


@pytest.mark.parametrize(
    ("name", "value", "line"),
    [
        ("TOP", "many", "OBJECTCLASSIFICATION_TOP: it must be a whole number"),
        ("KEEP_CAMERAS", "[", "OBJECTCLASSIFICATION_KEEP_CAMERAS: it must be JSON"),
        (
            "KEEP_PITCURES",
            "2",
            "the environment: there is no setting OBJECTCLASSIFICATION_KEEP_PITCURES; did you mean "
            "OBJECTCLASSIFICATION_KEEP_PICTURES or ",
        ),
    ],
)
def test_a_bad_environment_is_named_in_plain_words(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, line: str
) -> None:
    monkeypatch.setenv(f"OBJECTCLASSIFICATION_{name}", value)
    with pytest.raises(ConfigurationError) as caught:
        load_server()
    assert caught.value.detail.startswith(line)
    assert "\n" not in caught.value.detail


def test_what_other_commands_read_is_no_unknown_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SERVER, "http://one:1")
    monkeypatch.setenv(TOKEN, "oc_some")
    assert load_server().port == 8000


@pytest.mark.parametrize("command", ["serve", "doctor"])
def test_a_misspelt_environment_is_refused_by_the_command(command: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "objectclassification", command, "--data", str(tmp_path / "data")],
        env={**os.environ, "OBJECTCLASSIFICATION_KEEP_PITCURES": "2"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == (78 if command == "serve" else 1)
    told = [line for line in (done.stdout + done.stderr).splitlines() if "KEEP_PITCURES" in line]
    assert len(told) == 1
    assert "did you mean OBJECTCLASSIFICATION_KEEP_PICTURES" in told[0]
    assert not (tmp_path / "data").exists()


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot read"):
        read_toml(tmp_path / "none.toml")


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "a.b"])  # noqa: S104
def test_no_auth_is_refused_beyond_loopback(host: str) -> None:
    with pytest.raises(ConfigurationError, match="loopback"):
        load_server(no_auth=True, host=host)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.5.5.5", "::1", "localhost"])
def test_no_auth_is_for_loopback(host: str) -> None:
    assert load_server(no_auth=True, host=host).no_auth
    assert is_loopback(host)


@pytest.mark.parametrize(
    ("address", "url", "token"),
    [
        ("http://host:8000/?token=t", "http://host:8000", "t"),
        ("host:8000", "http://host:8000", None),
        ("https://host/", "https://host", None),
        ("ws://host:8000/ws?token=t", "http://host:8000", "t"),
        ("wss://host", "https://host", None),
        ("http://[::1]:8000/", "http://[::1]:8000", None),
        ("http://host/proxied/", "http://host/proxied", None),
        ("http://user:secret@host:1/", "http://host:1", None),
    ],
)
def test_an_address_and_its_token(address: str, url: str, token: str | None) -> None:
    assert split_token(address) == (url, token)


@pytest.mark.parametrize("address", ["ftp://host", "http://", "http://host:port", "http://[::1"])
def test_not_an_address(address: str) -> None:
    with pytest.raises(ConfigurationError):
        split_token(address)


def test_with_nothing_known_it_is_port_8000_here() -> None:
    assert find_connection() == Connection("http://127.0.0.1:8000")


def test_login_is_remembered_for_that_server_only(monkeypatch: pytest.MonkeyPatch) -> None:
    file = remember(Connection("http://one:1", "t1"))
    remember(Connection('http://two:2/"quoted"', "t2"))
    assert mode(file) == 0o600
    assert find_connection('http://two:2/"quoted"').token == "t2"
    assert find_connection("http://one:1").token == "t1"
    assert find_connection("http://three:3").token is None
    assert find_connection().url == 'http://two:2/"quoted"'  # the last one
    monkeypatch.setenv(SERVER, "http://one:1")
    assert find_connection() == Connection("http://one:1", "t1")


def test_where_the_token_is_from_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert find_connection("http://one:1").token_from == ""
    remember(Connection("http://one:1", "stored"))
    assert find_connection("http://one:1").token_from == "what `login` stored"
    monkeypatch.setenv(TOKEN, "environment")
    assert find_connection("http://one:1").token_from == TOKEN
    assert find_connection("http://one:1/?token=address").token_from == "the address"
    file = tmp_path / "token"
    file.write_text("file\n")
    assert find_connection("http://one:1", file).token_from == f"the file {file}"


def test_the_token_that_is_nearest_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    remember(Connection("http://one:1", "stored"))
    assert find_connection("http://one:1").token == "stored"
    monkeypatch.setenv(TOKEN, "environment")
    assert find_connection("http://one:1").token == "environment"
    assert find_connection("http://one:1/?token=address").token == "address"
    file = tmp_path / "token"
    file.write_text("file\n")
    assert find_connection("http://one:1/?token=address", file).token == "file"


def test_a_private_authority_is_remembered(tmp_path: Path) -> None:
    remember(Connection("https://one", "t", tmp_path / "ca.pem"))
    assert find_connection("https://one").ca == tmp_path / "ca.pem"


@pytest.mark.parametrize("content", [b"", b"two words", b"\xff\xfe"])
def test_a_token_file_without_one_token(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "token"
    file.write_bytes(content)
    with pytest.raises(ConfigurationError, match="token file") as caught:
        find_connection("http://one:1", file)
    assert "two words" not in caught.value.detail


def test_on_the_servers_own_machine_both_are_found(tmp_path: Path) -> None:
    admin = tmp_path / "admin-token"
    write_secret(admin, "secret\n")
    note = remember_local("http://127.0.0.1:4711", admin)
    assert mode(note) == 0o600
    assert find_connection() == Connection("http://127.0.0.1:4711", "secret")
    assert find_connection("http://localhost:4711").token == "secret"
    assert find_connection("http://localhost:4712").token is None
    assert find_connection("http://elsewhere:4711").token is None
    forget_local()
    assert find_connection() == Connection("http://127.0.0.1:8000")


def test_a_second_server_that_comes_and_goes_hides_no_other(tmp_path: Path) -> None:
    admin = tmp_path / "admin-token"
    write_secret(admin, "secret\n")
    first = remember_local("http://127.0.0.1:4711", admin)
    first = first.rename(first.with_name("server-1.toml"))  # process 1 runs as long as we do
    os.utime(first, (1, 1))
    remember_local("http://127.0.0.1:4712", None)
    assert find_connection().url == "http://127.0.0.1:4712"
    assert find_connection("http://127.0.0.1:4711").token == "secret"
    forget_local()
    assert find_connection() == Connection("http://127.0.0.1:4711", "secret")


def test_a_killed_servers_note_counts_for_nothing(tmp_path: Path) -> None:
    note = remember_local("http://127.0.0.1:4711", None)
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        pass
    dead = note.rename(note.with_name(f"server-{ended.pid}.toml"))
    assert find_connection() == Connection("http://127.0.0.1:8000")
    remember_local("http://127.0.0.1:4712", None)
    assert not dead.exists()


def test_a_connection_never_shows_its_token() -> None:
    assert "t0ken" not in repr(Connection("http://one", "t0ken"))


def test_a_secret_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    file = tmp_path / "deep" / "secret"
    file.mkdir(parents=True)
    with pytest.raises(IsADirectoryError):
        write_secret(file, "s")
    assert list(file.parent.iterdir()) == [file]


def test_a_secret_is_never_readable_by_others(tmp_path: Path) -> None:
    file = tmp_path / "deep" / "secret"
    before = os.umask(0)
    try:
        write_secret(file, "s")
        write_secret(file, "t")
    finally:
        os.umask(before)
    assert (mode(file), file.read_text()) == (0o600, "t")
    assert mode(file.parent) == 0o700
    assert [path.name for path in file.parent.iterdir()] == ["secret"]

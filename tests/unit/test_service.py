"""Service files: how they are filled in. That systemd takes them is tried in ``tests/e2e``."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

import objectclassification
from objectclassification.cli import build_app, service, units
from objectclassification.config.pins import write_pin
from objectclassification.errors import ConfigurationError, Conflict, NotFound
from tests import certificates
from tests.serving import Served

PACKAGING = Path(__file__).parents[2] / "packaging"
NOBODY = 9
"""The port of a server that is off: of loopback, and of the discard protocol."""
SHIPPED = ("socket.service", "camera.service")


@pytest.mark.parametrize("name", SHIPPED)
def test_the_shipped_file_is_whole_and_only_its_command_is_replaced(name: str) -> None:
    shipped = (PACKAGING / name).read_text()
    rendered = units.render(name, ["ExecStart=/bin/true", "LoadCredential=a:/b"])
    assert len(re.findall(r"^ExecStart=", shipped, re.MULTILINE)) == 1
    kept = [line for line in shipped.splitlines() if not line.startswith("ExecStart=")]
    lines = rendered.splitlines()
    assert [line for line in lines if line in kept or not line] == kept
    where = lines.index("ExecStart=/bin/true")
    assert lines[where + 1] == "LoadCredential=a:/b"


def test_a_backslash_stays_one() -> None:
    assert r"ExecStart=\1 \g<0>" in units.render("socket.service", [r"ExecStart=\1 \g<0>"])


@pytest.mark.parametrize(
    ("word", "quoted"),
    [
        ("/dev/video0", "/dev/video0"),
        ("two words", '"two words"'),
        ("100%", "100%%"),
        ("${PASSWORD}", '"$${PASSWORD}"'),
        ('say "hi"', r'"say \"hi\""'),
        ("back\\slash", r'"back\\slash"'),
        (";", '";"'),
        ("", '""'),
        ("rtsp://10.0.0.7:554/1?a=b&c", '"rtsp://10.0.0.7:554/1?a=b&c"'),
    ],
)
def test_words_reach_the_program_as_they_are(word: str, quoted: str) -> None:
    assert units.quote(word) == quoted


@pytest.mark.parametrize("word", ["one\ntwo", "a\0b", "\x1b[31m"])
def test_what_no_unit_file_can_hold_is_refused(word: str) -> None:
    with pytest.raises(ConfigurationError, match="unit file"):
        units.quote(word)


def test_the_command_is_that_of_this_installation() -> None:
    assert units.command("serve", "--port", "80").endswith(
        "-m objectclassification serve --port 80"
    )
    assert sys.executable in units.command("serve")


def test_hidden_places_are_brought_and_others_are_not() -> None:
    bound = units.binds([Path("/home/pi/pictures"), Path("/home/pi/pictures/door"), Path("/srv")])
    assert "BindReadOnlyPaths=/home/pi/pictures" in bound
    assert not any("door" in line or "/srv" in line for line in bound)
    assert 'BindReadOnlyPaths="/home/a: $HOME"' in units.binds([Path("/home/a: $HOME")])


def test_this_installation_is_brought_where_it_is_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "prefix", "/home/pi/.local/share/pipx/venvs/objectclassification")
    monkeypatch.setattr(sys, "base_prefix", "/root/.pyenv/versions/3.11.7")
    monkeypatch.setattr(sys, "executable", f"{sys.prefix}/bin/python")
    bound = units.binds()
    assert f"BindReadOnlyPaths={sys.prefix}" in bound
    assert f"BindReadOnlyPaths={sys.base_prefix}" in bound


def test_our_file_is_written_over_and_another_s_is_not(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(units, "UNITS", tmp_path)
    for text in ("one", "two"):
        file = units.write("socket.service", f"# ObjectClassification: {text}\n")
        assert text in file.read_text()
    units.remove("socket.service")
    with pytest.raises(NotFound):
        units.remove("socket.service")
    file.write_text("[Unit]\nDescription=mine\n")
    with pytest.raises(Conflict):
        units.write("socket.service", "# ObjectClassification: three\n")
    with pytest.raises(Conflict):
        units.remove("socket.service")
    assert "mine" in file.read_text()


def test_a_folder_that_cannot_be_written_is_said(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(units, "UNITS", tmp_path / "nowhere")
    with pytest.raises(ConfigurationError, match=r"cannot change .*socket\.service"):
        units.write("socket.service", "")


def test_a_credential_is_a_file_that_is_there(tmp_path: Path) -> None:
    file = tmp_path / "100%.toml"
    with pytest.raises(ConfigurationError, match="there is no file"):
        units.credential("config", file)
    file.touch()
    assert units.credential("config", file) == f"LoadCredential=config:{tmp_path}/100%%.toml"


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("server", "--port", "99999"), "port"),
        (("server", "--config", "nothing.toml"), "cannot read"),
        (("camera", "--name", "a/b"), "cannot be a name"),
        (("camera", "--name", "door", "--source", "rtsp://u:pw@127.0.0.1/"), "has a password"),
        (("camera", "--name", "door", "--source", "rtsp://u:p${W}@127.0.0.1/"), "has a password"),
        (("camera", "--name", "door", "http://127.0.0.1:8000"), "no token"),
    ],
)
def test_what_cannot_work_is_refused_before_anything_is_written(
    words: tuple[str, ...], reason: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(units, "UNITS", tmp_path)
    token = tmp_path / "token"
    token.write_text("oc_x" * 10)
    known = ("--token-file", str(token)) if "camera" in words and "http" not in words[-1] else ()
    result = CliRunner().invoke(build_app(), ["service", "install", *words, *known])
    assert isinstance(result.exception, ConfigurationError), result.output
    assert reason in result.exception.detail
    assert "pw" not in result.exception.detail.replace("PASSWORD", "")


def test_data_elsewhere_is_refused_for_the_service(tmp_path: Path) -> None:
    config = tmp_path / "server.toml"
    config.write_text(f'data = "{tmp_path}"\n')
    words = ["service", "install", "server", "--config", str(config)]
    result = CliRunner().invoke(build_app(), words)
    assert isinstance(result.exception, ConfigurationError)
    assert "leave data out" in result.exception.detail


@pytest.fixture
def folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Another folder for units and the camera's token."""
    monkeypatch.setattr(units, "UNITS", tmp_path)
    monkeypatch.setattr(units, "CAMERA_TOKEN", tmp_path / "camera.token")
    return tmp_path


@pytest.fixture
def installs(folder: Path) -> Callable[..., str]:
    """Runs ``service install`` with another folder for units; returns the unit."""

    def install(*words: str) -> str:
        result = CliRunner().invoke(build_app(), ["service", "install", *words])
        assert result.exit_code == 0, result.exception
        (unit,) = folder.glob("*.service")
        return unit.read_text()

    return install


@pytest.fixture
def camera(tmp_path: Path) -> list[str]:
    """The words that install a camera's service for a server that is off."""
    token = tmp_path / "token"
    token.write_text("oc_x" * 10)
    address = f"http://127.0.0.1:{NOBODY}"
    return ["service", "install", "camera", address, "--token-file", str(token)]


@pytest.mark.parametrize("service", ["server", "hub"])
def test_a_certificates_key_comes_by_load_credential(
    service: str, installs: Callable[..., str], tmp_path: Path
) -> None:
    pair = certificates.signed_by(certificates.authority())
    (tmp_path / "archive").mkdir()
    (tmp_path / "archive" / "1.pem").write_text(pair.pem)
    (tmp_path / "key.pem").write_text(pair.key_pem())
    link = tmp_path / "cert.pem"  # as certbot has it
    link.symlink_to(tmp_path / "archive" / "1.pem")
    unit = installs(service, "--tls-cert", str(link), "--tls-key", str(tmp_path / "key.pem"))
    assert " --tls-cert %d/tls.crt --tls-key %d/tls.key" in unit
    assert f"LoadCredential=tls.crt:{link}\n" in unit
    assert f"LoadCredential=tls.key:{tmp_path}/key.pem\n" in unit
    assert " --tls auto" in installs(service, "--tls", "auto")


def test_a_cameras_service_gets_the_pin(installs: Callable[..., str], tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("oc_x" * 10)
    pin = write_pin(f"https://127.0.0.1:{NOBODY}", certificates.authority().pem)
    words = ("--name", "door", "--source", "0", "--token-file", str(token))
    unit = installs("camera", f"https://127.0.0.1:{NOBODY}", *words)
    assert " --ca %d/ca.pem" in unit
    assert f"LoadCredential=ca.pem:{pin}\n" in unit


def test_the_units_are_in_the_package() -> None:
    package = Path(objectclassification.__file__).parent / "packaging"
    assert {name for name in os.listdir(package) if name.endswith(".service")} >= set(SHIPPED)


def test_a_camera_gets_no_token_that_may_more(
    folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with Served(tmp_path / "data") as served:
        known = tmp_path / "token"
        words = ["service", "install", "camera", served.url, "--name", "door", "--source", "0"]
        words += ["--token-file", str(known)]
        for role, names in (("admin", ()), ("viewer", ())):
            known.write_text(served.new_token(role, *names))
            result = CliRunner().invoke(build_app(), words)
            assert isinstance(result.exception, ConfigurationError), result.output
            assert "token add --camera" in result.exception.detail
        assert not list(folder.glob("camera.*"))
        known.write_text(served.new_token("camera", "door"))
        assert CliRunner().invoke(build_app(), words).exit_code == 0
        assert (folder / "camera.token").read_text().strip() == known.read_text()


def test_what_is_installed_goes_where_systemd_does_not_run(
    folder: Path, camera: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "_BOOTED", folder / "not booted")
    CliRunner().invoke(build_app(), [*camera, "--name", "door"])
    (folder / "multi-user.target.wants").mkdir()
    enabled = folder / "multi-user.target.wants" / "camera.service"
    enabled.symlink_to(folder / "camera.service")
    result = CliRunner().invoke(build_app(), ["service", "uninstall", "camera"])
    assert result.exit_code == 0, result.exception
    assert "systemd does not run here" in result.output
    assert not list(folder.glob("camera.*"))
    assert not enabled.is_symlink()


def test_a_source_is_a_whole_path_in_the_unit(
    folder: Path, camera: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    result = CliRunner().invoke(build_app(), [*camera, "--name", "a", "--source", "../photos"])
    assert result.exit_code == 0, result.exception
    assert "warning" not in result.output
    unit = (folder / "camera.service").read_text()
    assert f"--source {tmp_path.resolve()}/photos " in unit
    assert f"BindReadOnlyPaths={tmp_path.resolve()}/photos\n" in unit
    assert ".." not in unit.replace("...", "")


def test_a_relative_source_in_a_file_is_refused(
    folder: Path, camera: list[str], tmp_path: Path
) -> None:
    config = tmp_path / "cameras.toml"
    config.write_text('[[cameras]]\nname = "door"\nsource = "photos"\n')
    result = CliRunner().invoke(build_app(), [*camera, "--config", str(config)])
    assert isinstance(result.exception, ConfigurationError), result.output
    assert f"{Path.cwd() / 'photos'}" in result.exception.detail


def test_a_source_that_is_not_there_yet_is_warned_of(
    folder: Path, camera: list[str], tmp_path: Path
) -> None:
    words = [*camera, "--name", "door", "--source"]
    result = CliRunner().invoke(build_app(), [*words, str(tmp_path / "nosuch")])
    assert result.exit_code == 0, result.exception
    assert f"warning: there is no {tmp_path / 'nosuch'} yet" in result.output
    (tmp_path / "one.jpg").touch()
    assert "warning" not in CliRunner().invoke(build_app(), [*words, f"{tmp_path}/*.jpg"]).output


def test_a_hub_in_the_place_of_a_server_is_said(folder: Path) -> None:
    def said(what: str) -> str:
        result = CliRunner().invoke(build_app(), ["service", "install", what])
        assert result.exit_code == 0, result.exception
        return next((line for line in result.output.splitlines() if "note:" in line), "")

    assert (said("server"), said("server")) == ("", "")
    assert "was the server, and is the hub alone now" in said("hub")
    assert "was the hub alone, and is the server now" in said("server")

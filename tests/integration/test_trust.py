"""Whom login, other commands and the camera program believe, and what they say when it changes."""

from __future__ import annotations

import os
import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509

from objectclassification.capture import Uploader
from objectclassification.client.http import Http
from objectclassification.config import Connection
from objectclassification.config.pins import pin_file
from objectclassification.errors import ServerUnreachable, UploadFailed
from objectclassification.trust import UntrustedServer
from objectclassification.trust.handshake import fingerprint
from tests import certificates
from tests.camera_process import CameraProcess
from tests.photographs import ROCKET
from tests.serving import WAIT_S, Served, ServeProcess, photo, until
from tests.terminal import Terminal
from tests.wire import Wire

COMMAND = (sys.executable, "-m", "objectclassification")


@pytest.fixture(scope="module")
def secure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server with an authority of its own."""
    with Served(tmp_path_factory.mktemp("secure") / "data", tls="auto") as served:
        yield served


def run(*words: str, text: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs a command of this account."""
    return subprocess.run(
        [*COMMAND, *words],
        input=text,
        capture_output=True,
        text=True,
        timeout=WAIT_S,
        env={**os.environ, **environment},
    )


def error_of(found: subprocess.CompletedProcess[str]) -> str:
    """The one line that says what is wrong."""
    assert found.returncode == 69, found.stderr
    assert "Traceback" not in found.stderr
    (line,) = [line for line in found.stderr.splitlines() if line.startswith("error: ")]
    return line


def shown_by(server: Served | ServeProcess) -> str:
    """The fingerprint of a server's authority."""
    assert server.ca
    return fingerprint(server.ca.read_text())


def introduced(server: Served) -> str:
    """What a login shows of a server that has an authority of its own."""
    return (
        f"{server.url} has a certificate authority of its own; compare it with what the server "
        f"printed:\n  {shown_by(server)}\n"
    )


class TestLogin:
    def test_it_pins_at_the_first_connection_and_shows_the_fingerprint(
        self, secure: Served
    ) -> None:
        first = run("login", secure.url, text=f"{secure.token}\n")
        assert first.returncode == 0, first.stderr
        assert first.stderr == introduced(secure)
        assert pin_file(secure.url).stat().st_mode & 0o777 == 0o600
        listed = run("token", "list", "--json")
        assert listed.returncode == 0, listed.stderr
        assert listed.stderr == ""  # known by now
        snap = run("snap", "nobody")
        assert snap.returncode == 1
        assert "nobody" in snap.stderr  # the hub's answer, over the WebSocket

    def test_it_shows_the_fingerprint_at_every_login(self, secure: Served) -> None:
        for _ in range(2):
            done = run("login", secure.url, text=f"{secure.token}\n")
            assert (done.returncode, done.stderr) == (0, introduced(secure))

    @pytest.mark.parametrize("token", ["oc_wrong\n", ""])
    def test_a_login_that_fails_leaves_no_pin(self, secure: Served, token: str) -> None:
        done = run("login", secure.url, text=token)
        assert done.returncode == 77
        assert done.stderr.startswith(introduced(secure))
        assert not pin_file(secure.url).exists()

    def test_one_that_is_aborted_leaves_none_either(self, secure: Served, tmp_path: Path) -> None:
        with Terminal(tmp_path / "home", "login", secure.url) as terminal:
            terminal.shows("Token: ")
            assert introduced(secure) in terminal.screen
            assert terminal.stop() != 0
        assert not pin_file(secure.url).exists()

    def test_a_login_that_fails_keeps_an_older_pin(self, secure: Served) -> None:
        assert run("login", secure.url, text=f"{secure.token}\n").returncode == 0
        assert run("login", secure.url, text="oc_wrong\n").returncode == 77
        assert pin_file(secure.url).exists()

    def test_without_a_token_it_says_how_to_give_one(self, server: Served) -> None:
        done = run("login", server.url)
        assert done.returncode == 77
        assert done.stderr == "error: give the token on standard input, or with --token-file\n"

    def test_what_changed_is_said_and_what_to_do(self, tmp_path: Path) -> None:
        with ServeProcess(tmp_path, "--tls", "auto") as server:
            url, port, before = server.url, str(server.port), shown_by(server)
            assert run("login", url, text=f"{server.token}\n").returncode == 0
            assert server.stop() == 0
        (tmp_path / "data" / "tls-authority.pem").unlink()
        with ServeProcess(tmp_path, "--tls", "auto", "--port", port) as server:
            after = shown_by(server)
            for words in (("token", "list"), ("snap", "--all"), ("login", url), ("wait",)):
                line = error_of(run(*words))
                assert f"from {before} to {after}" in line
                assert f"delete {pin_file(url)}" in line
            pin_file(url).unlink()
            again = run("token", "list", "--json")
            assert again.returncode == 0, again.stderr
            assert after in again.stderr

    def test_a_first_connection_by_a_wrong_name_pins_nothing(self, tmp_path: Path) -> None:
        own = certificates.authority()
        tls = certificates.context_of(tmp_path, certificates.signed_by(own, "other.example"), own)
        with Wire(1, tls) as wire, Http(Connection(wire.url)) as http:
            with pytest.raises(UntrustedServer, match=r"not valid for '127\.0\.0\.1'"):
                http.json("GET", "/api/cameras")
            assert not pin_file(wire.url).exists()

    def test_a_certificate_without_its_authority_pins_nothing(self, tmp_path: Path) -> None:
        own = certificates.authority()
        tls = certificates.context_of(tmp_path, certificates.signed_by(own))
        with Wire(1, tls) as wire, Http(Connection(wire.url)) as http:
            with pytest.raises(UntrustedServer, match="--ca"):
                http.json("GET", "/api/cameras")
            assert not pin_file(wire.url).exists()

    def test_what_the_system_trusts_needs_no_pin(self, secure: Served) -> None:
        found = run("login", secure.url, text=f"{secure.token}\n", SSL_CERT_FILE=str(secure.ca))
        assert found.returncode == 0, found.stderr
        assert found.stderr == ""
        assert not pin_file(secure.url).exists()

    @pytest.mark.parametrize("words", [("token", "list"), ("snap", "nobody")])
    def test_a_refusal_says_where_the_token_is_from(
        self, server: Served, words: tuple[str, ...]
    ) -> None:
        role = "operator" if words[0] == "token" else "viewer"
        token = {"OBJECTCLASSIFICATION_TOKEN": server.new_token(role)}
        done = run(*words, "--server", server.url, **token)
        assert done.returncode == 77, done.stderr
        assert f"{'an' if role == 'operator' else 'a'} {role} token may not do this" in done.stderr
        assert done.stderr.endswith("(the token is from OBJECTCLASSIFICATION_TOKEN)\n")

    @pytest.mark.parametrize("words", [("wait", "--timeout", "3"), ("snap", "--all")])
    def test_no_server_is_said_once(self, words: tuple[str, ...]) -> None:
        done = run(*words, "--server", "http://127.0.0.1:1")
        assert "no server answers at http://127.0.0.1:1" in error_of(done)
        assert done.stderr.count("\n") == 1

    def test_the_wrong_scheme_is_said(self, server: Served, secure: Served) -> None:
        https = server.url.replace("http:", "https:")
        assert "does not speak TLS" in error_of(run("login", https))
        http = secure.url.replace("https:", "http:")
        assert "https://" in error_of(run("login", http, text="oc_some\n"))


@pytest.fixture
def pinned(secure: Served) -> Served:
    """The server, met before by this account."""
    with Http(Connection(secure.url, secure.token)) as http:
        http.json("GET", "/api/cameras")
    return secure


def impostor(folder: Path, server: Served, *, in_its_name: bool) -> Wire:
    """Somebody between, with an authority of his own of the same name; he may show the real one."""
    assert server.ca
    real = server.ca.read_text()
    (name,) = x509.load_pem_x509_certificate(real.encode()).subject
    own = certificates.authority(str(name.value))
    leaf = certificates.signed_by(own)
    (folder / "impostor-ca.pem").write_text(own.pem)
    chain = folder / "chain.pem"
    chain.write_text(leaf.key_pem() + leaf.pem + (real if in_its_name else own.pem))
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(chain)
    return Wire(server.port, tls)


class TestPinned:
    """What is pinned is the authority, and it must have signed what is shown."""

    @pytest.mark.parametrize("in_its_name", [True, False])
    def test_an_impostor_gets_nothing(
        self,
        pinned: Served,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        in_its_name: bool,
    ) -> None:
        assert pinned.token
        with impostor(tmp_path, pinned, in_its_name=in_its_name) as wire:
            # requests would add this store to what a context trusts.
            monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "impostor-ca.pem"))
            pin_file(wire.url).write_bytes(pin_file(pinned.url).read_bytes())
            why = "did not sign" if in_its_name else "has changed"
            with (
                Http(Connection(wire.url, pinned.token)) as http,
                pytest.raises(UntrustedServer, match=why),
            ):
                http.json("GET", "/api/cameras")
            with Uploader(wire.url, pinned.token) as uploader:
                with pytest.raises(UploadFailed, match=why):
                    uploader.put("/snippets/1/", photo(), "image/jpeg")
            arguments = ("--name", "door", "--source", str(ROCKET))
            with CameraProcess(tmp_path / "c", wire.url, pinned.token, *arguments) as camera:
                camera.log(why)
                assert camera.stop() == 0
                assert pinned.token not in camera.errors
            assert wire.heard_bytes == 0

    def test_a_given_authority_counts_alone(self, pinned: Served, tmp_path: Path) -> None:
        other = tmp_path / "other.pem"
        other.write_text(certificates.authority().pem)
        found = run("token", "list", "--server", pinned.url, "--ca", str(other))
        assert f"no authority in {other} signed" in error_of(found)

    def test_a_server_that_is_gone_is_not_called_untrusted(self, pinned: Served) -> None:
        with (
            Http(Connection("https://127.0.0.1:1", pinned.token)) as http,
            pytest.raises(ServerUnreachable) as caught,
        ):
            http.json("GET", "/api/cameras")
        assert caught.type is ServerUnreachable


class TestCameraProgram:
    def test_it_needs_no_login(self, secure: Served, tmp_path: Path) -> None:
        token = secure.new_token("camera", "gate")
        arguments = ("--name", "gate", "--source", str(ROCKET))
        with CameraProcess(tmp_path / "gate", secure.url, token, *arguments) as camera:
            camera.ready()
            assert shown_by(secure) in camera.errors
            receipt = secure.call("POST", "/api/snaps?wait=1", json={"to": ["gate"]}).json()
            assert receipt["answered"] == 1, receipt  # WebSocket and PUT
            assert camera.stop() == 0
        with CameraProcess(tmp_path / "gate", secure.url, token, *arguments, "--once") as camera:
            assert camera.process.wait(WAIT_S) == 0, camera.errors
            assert camera.errors.count("first connection") == 1

    def test_it_goes_on_once_the_pin_is_right(self, pinned: Served, tmp_path: Path) -> None:
        file = pin_file(pinned.url)
        file.write_text(certificates.authority().pem)
        arguments = ("--name", "yard", "--source", str(ROCKET))
        with CameraProcess(tmp_path / "yard", pinned.url, pinned.token, *arguments) as camera:
            camera.log("has changed")
            file.unlink()
            camera.ready()
            until(file.exists)
            assert camera.stop() == 0

    def test_one_shot_of_it_ends_with_the_reason(self, pinned: Served, tmp_path: Path) -> None:
        pin_file(pinned.url).write_text(certificates.authority().pem)
        arguments = ("--name", "yard", "--source", str(ROCKET), "--once")
        with CameraProcess(tmp_path / "yard", pinned.url, pinned.token, *arguments) as camera:
            assert camera.process.wait(WAIT_S) == 69
            assert "has changed" in camera.errors.splitlines()[-1]


@pytest.mark.parametrize("content", [b"", b"no certificate", b"\xff\xfe", None])
def test_a_pin_that_cannot_be_used_is_one_line(secure: Served, content: bytes | None) -> None:
    file = pin_file(secure.url)
    file.parent.mkdir(parents=True, exist_ok=True)
    if content is None:
        file.mkdir()
    else:
        file.write_bytes(content)
    found = run("token", "list", "--server", secure.url, OBJECTCLASSIFICATION_TOKEN="oc_some")
    assert (found.returncode, found.stdout) == (78, "")
    (line,) = found.stderr.splitlines()
    assert f"{file} is not the certificate of an authority: delete it" in line


@pytest.mark.parametrize("words", [(b"snap", b"\xff"), (b"login", b"http://\xff")])
def test_arguments_that_are_no_utf_8_are_one_line(words: tuple[bytes, ...]) -> None:
    found = subprocess.run([*COMMAND, *words], capture_output=True, text=True, timeout=WAIT_S)
    assert (found.returncode, found.stdout) == (2, "")
    (line,) = found.stderr.splitlines()
    assert "not UTF-8" in line

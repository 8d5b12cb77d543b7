"""TLS of the server and of the hub alone: certificates, their names, and how they change."""

from __future__ import annotations

import asyncio
import re
import socket
import ssl
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path

import pytest
import requests
from cryptography import x509

from objectclassification.certificates import authority as authorities
from objectclassification.certificates.authority import LocalAuthority
from objectclassification.certificates.live import LiveCertificate
from objectclassification.client.client import AsyncClient
from objectclassification.config import load_server
from objectclassification.config.tls import CertificateFiles
from objectclassification.errors import EXIT_CONFIGURATION, ConfigurationError
from objectclassification.hub.acceptor import MOST_TLS_HANDSHAKES, TLS_HANDSHAKE_TIMEOUT_S
from objectclassification.trust.handshake import anything, fingerprint, shake_hands
from tests import certificates
from tests.serving import SERVE, WAIT_S, Served, ServeProcess, photo, until

HUB = (sys.executable, "-m", "objectclassification", "server")


@pytest.fixture(scope="module")
def secure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server with an authority of its own."""
    folder = tmp_path_factory.mktemp("secure") / "data"
    names = "cameras.example, 192.0.2.77"
    with Served(folder, tls="auto", tls_names=names, max_body_bytes=500_000) as served:
        yield served


def shown(port: int) -> list[x509.Certificate]:
    """What a server on this machine shows, its own certificate first."""
    chain = shake_hands("127.0.0.1", port, anything())
    return [x509.load_der_x509_certificate(each) for each in chain]


def names_of(certificate: x509.Certificate) -> set[str]:
    """For whom a certificate is."""
    found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return {*found.get_values_for_type(x509.DNSName)} | {
        str(address) for address in found.get_values_for_type(x509.IPAddress)
    }


class TestOwnAuthority:
    def test_snap_and_picture_go_over_tls(self, secure: Served) -> None:
        with secure.camera("door"):
            made = secure.call("PUT", "/snippets/1/", data=photo())
            assert made.status_code == 201, made.text

    def test_a_picture_too_large_hears_that(self, secure: Served) -> None:
        refused = secure.call("PUT", "/snippets/1/", data=bytes(1_000_000))
        assert refused.status_code == 413

    def test_the_certificate_has_the_machines_names(self, secure: Served) -> None:
        certificate, authority = shown(secure.port)
        certificate.verify_directly_issued_by(authority)
        names = names_of(certificate)
        assert {"localhost", "127.0.0.1", "::1", socket.gethostname().lower()} <= names
        assert {"cameras.example", "192.0.2.77"} <= names
        lifetime = certificate.not_valid_after_utc - certificate.not_valid_before_utc
        assert lifetime <= timedelta(days=825)  # what Apple's systems take

    def test_the_keys_are_the_owners(self, secure: Served) -> None:
        files = sorted(secure.settings.data.glob("tls-*.pem"))
        assert len(files) == 2
        assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}

    def test_a_phone_finds_the_authority_without_a_token(self, secure: Served) -> None:
        assert secure.ca
        answer = secure.call("GET", "/ca.crt", token="")
        assert (answer.status_code, answer.text) == (200, secure.ca.read_text())
        assert answer.headers["Content-Type"] == "application/x-x509-ca-cert"
        assert "PRIVATE" not in answer.text
        page = secure.call("GET", "/trust", token="")
        assert fingerprint(answer.text) in page.text

    def test_old_tls_is_refused(self, secure: Served) -> None:
        old = anything()
        with pytest.warns(DeprecationWarning):
            old.minimum_version = ssl.TLSVersion.TLSv1
            old.maximum_version = ssl.TLSVersion.TLSv1_1
        old.set_ciphers("ALL:@SECLEVEL=0")
        with pytest.raises(ssl.SSLError):
            shake_hands("127.0.0.1", secure.port, old)

    def test_handshakes_that_never_begin_keep_nobody_out(self, secure: Served) -> None:
        with ExitStack() as silent:
            for _ in range(MOST_TLS_HANDSHAKES + 10):
                silent.enter_context(socket.create_connection(("127.0.0.1", secure.port)))
            began = time.monotonic()
            assert secure.call("GET", "/healthz").status_code == 200
            assert time.monotonic() - began < TLS_HANDSHAKE_TIMEOUT_S / 2

    def test_a_stop_does_not_wait_for_idle_clients(self, tmp_path: Path) -> None:
        patient = {"OBJECTCLASSIFICATION_STOP_TIMEOUT_S": "50"}
        with (
            ServeProcess(tmp_path, "--tls", "auto", **patient) as server,
            requests.Session() as session,
        ):
            session.get(server.url + "/healthz", verify=str(server.ca), timeout=WAIT_S)
            began = time.monotonic()
            assert server.stop() == 0
            assert time.monotonic() - began < 15  # it would wait for all of 25 s

    def test_without_it_there_is_nothing_to_trust(self, server: Served) -> None:
        for path in ("/ca.crt", "/trust"):
            assert server.call("GET", path, token="").status_code == 404


class TestRenewal:
    def test_only_what_is_needed_is_signed_anew(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        first = LocalAuthority(tmp_path, "127.0.0.1")
        assert first.renew()
        assert not first.renew()
        again = LocalAuthority(tmp_path, "127.0.0.1")
        assert again.pem == first.pem
        assert not again.renew()
        assert LocalAuthority(tmp_path, "127.0.0.1", ["new.example"]).renew()
        assert not again.renew()  # one name too many does no harm
        monkeypatch.setattr(authorities, "VALID", timedelta(days=59))
        again.certificate.unlink()
        assert again.renew()
        assert again.renew()  # it ends too soon

    def test_a_certificate_of_another_authority_is_replaced(self, tmp_path: Path) -> None:
        other = LocalAuthority(tmp_path / "other", "127.0.0.1")
        other.renew()
        own = LocalAuthority(tmp_path / "own", "127.0.0.1")
        own.certificate.write_bytes(other.certificate.read_bytes())
        assert own.renew()

    @pytest.mark.parametrize("damage", [b"", b"nonsense", b"\xff"])
    def test_an_authority_that_was_damaged_is_not_replaced(
        self, tmp_path: Path, damage: bytes
    ) -> None:
        file = tmp_path / "tls-authority.pem"
        file.write_bytes(damage)
        with pytest.raises(ConfigurationError, match=r"tls-authority\.pem.*backup"):
            LocalAuthority(tmp_path, "127.0.0.1")
        assert file.read_bytes() == damage


class Files:
    """A certificate and its key in two files, as an administrator has them."""

    def __init__(self, folder: Path) -> None:
        self.cert, self.key = folder / "cert.pem", folder / "key.pem"
        self.authority = certificates.authority()
        self.ca = folder / "authority.pem"
        self.ca.write_text(self.authority.pem)

    def put(self, serial: int) -> certificates.Pair:
        """Replaces them, one after the other."""
        pair = certificates.signed_by(self.authority, "127.0.0.1", "localhost", serial=serial)
        self.cert.write_text(pair.pem + self.authority.pem)
        self.key.write_text(pair.key_pem())
        return pair

    def refused(self) -> str:
        """Why they cannot be used."""
        with pytest.raises(ConfigurationError) as caught:
            LiveCertificate(CertificateFiles(self.cert, self.key))
        return caught.value.detail

    @property
    def arguments(self) -> tuple[str, ...]:
        """For ``serve`` and ``server``."""
        return ("--tls-cert", str(self.cert), "--tls-key", str(self.key))


class TestFiles:
    def test_new_ones_are_shown_and_open_connections_go_on(self, tmp_path: Path) -> None:
        files = Files(tmp_path)
        files.put(1)
        with ServeProcess(tmp_path / "home", *files.arguments) as server:
            server.ca = files.ca
            assert f"https://localhost:{server.port}/" in server.banner
            with server.camera("door") as door:
                assert shown(server.port)[0].serial_number == 1
                files.put(2)
                until(lambda: shown(server.port)[0].serial_number == 2)
                files.key.write_text("half a k")
                until(lambda: "certificate not changed" in server.errors)
                assert shown(server.port)[0].serial_number == 2
                files.put(3)
                until(lambda: shown(server.port)[0].serial_number == 3)
                snap = server.call("POST", "/api/snaps", json={"to": ["door"], "deadline_s": 9})
                assert snap.status_code == 202, snap.text
                assert door.answer().id == snap.json()["snap"]  # on its first connection
            assert server.stop() == 0

    def test_what_cannot_be_used_is_said_at_the_start(self, tmp_path: Path) -> None:
        files = Files(tmp_path)
        files.put(1)
        files.key.unlink()
        found = subprocess.run(
            [*SERVE, "--port", "0", "--data", str(tmp_path / "data"), *files.arguments],
            capture_output=True,
            text=True,
            timeout=WAIT_S,
        )
        assert found.returncode == EXIT_CONFIGURATION, found.stderr
        (line,) = [line for line in found.stderr.splitlines() if line.startswith("error: ")]
        assert f"cannot read {files.key}" in line

    def test_files_that_do_not_fit(self, tmp_path: Path) -> None:
        files = Files(tmp_path)
        pair = files.put(1)
        files.key.write_text(pair.key_pem(b"secret"))
        assert "passphrase" in files.refused()
        files.key.write_text(certificates.authority().key_pem())
        assert "do not belong together" in files.refused()
        files.cert.write_text("nonsense")
        assert "cannot use the certificate" in files.refused()

    @pytest.mark.parametrize(
        ("settings", "why"),
        [
            ({"tls_cert": "cert.pem"}, "go together"),
            ({"tls_key": "key.pem"}, "go together"),
            ({"tls": "auto", "tls_cert": "cert.pem", "tls_key": "key.pem"}, "leave"),
            ({"tls": "on"}, "auto or off"),
            ({"tls_names": "a.example"}, "tls_names"),
            ({"tls": "auto", "tls_names": "not a name"}, "not a name"),
            ({"tls": "auto", "tls_names": "ümlaut.example"}, "ümlaut"),
        ],
    )
    def test_settings_that_contradict_each_other(self, settings: dict[str, str], why: str) -> None:
        with pytest.raises(ConfigurationError, match=why):
            load_server(None, **settings)


@pytest.mark.parametrize("own", [True, False])
async def test_the_hub_alone(tmp_path: Path, own: bool) -> None:
    files = Files(tmp_path)
    files.put(1)
    arguments = ("--tls", "auto") if own else files.arguments
    hub = await asyncio.create_subprocess_exec(
        *HUB, "--port", "0", "--tokens", str(tmp_path / "tokens.toml"), *arguments,
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        assert hub.stdout
        async with asyncio.timeout(WAIT_S):
            text = (await hub.stdout.readuntil(b"token=")).decode()
            token = (await hub.stdout.readline()).decode().strip()
        where = re.search(r"wss://(127\.0\.0\.1:\d+)", text)
        assert where, text
        ca = tmp_path / "ca.crt" if own else files.ca
        async with AsyncClient(f"https://{where[1]}", token, ca=ca) as client:
            await client.connect(WAIT_S)
    finally:
        hub.terminate()
        assert await hub.wait() == 0

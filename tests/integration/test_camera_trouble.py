"""What the camera program says, on a terminal and in a pipe, while it cannot do its work."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest

from objectclassification.config.pins import pin_file
from tests import certificates
from tests.camera_process import CameraProcess
from tests.photographs import ROCKET
from tests.serving import Served, ServeProcess
from tests.terminal import Terminal


def free_port() -> int:
    """A port that nothing listens at."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def camera_on_terminal(home: Path, url: str, *arguments: str) -> Terminal:
    """A camera program whose screen can be looked at."""
    source = () if "--source" in arguments else ("--source", str(ROCKET))
    words = ("camera", url, "--name", "door", "--spool", str(home / "spool"), *source, *arguments)
    return Terminal(home, *words)


class TestNotConnected:
    def test_a_terminal_shows_each_reason_once_and_its_end(self, tmp_path: Path) -> None:
        with ServeProcess(tmp_path, "--no-auth") as server:
            url, port = server.url, str(server.port)
            with camera_on_terminal(tmp_path / "camera", url) as camera:
                camera.shows("camera door is ready")
                assert "trying again" not in camera.screen
                server.stop()
                silent = f"no server answers at {url} (Connection refused): trying again\n"
                camera.shows(silent)
                with ServeProcess(tmp_path, "--no-auth", "--port", port):
                    camera.shows("camera door is ready", times=2)
                    camera.shows("connected again\n")
                    assert camera.screen.count(silent) == 1
                    assert camera.stop() == 0

    def test_http_to_a_server_of_tls_says_so(self, tmp_path: Path) -> None:
        with Served(tmp_path / "data", tls="auto") as secure:
            url = secure.url.replace("https:", "http:")
            with camera_on_terminal(tmp_path / "camera", url) as camera:
                camera.shows(f"{url} speaks TLS: its address is https://…: trying again\n")

    def test_a_pipe_gets_each_reason_once_as_a_warning(self, tmp_path: Path) -> None:
        url = f"http://127.0.0.1:{free_port()}"
        arguments = ("--name", "door", "--source", str(ROCKET), "--log-level", "debug")
        with CameraProcess(tmp_path / "camera", url, "oc_x", *arguments) as camera:
            camera.log('"level": "debug", "event": "not connected"')
            camera.stop()
        lines = [json.loads(line) for line in camera.errors.splitlines()]
        told = [line for line in lines if line["event"] == "not connected"]
        assert [line["level"] for line in told[:2]] == ["warning", "debug"]
        assert {line["why"] for line in told} == {
            f"no server answers at {url} (Connection refused)"
        }

    def test_an_authority_that_has_changed_is_said_once(self, tmp_path: Path) -> None:
        with Served(tmp_path / "data", tls="auto") as secure:
            pin_file(secure.url).parent.mkdir(parents=True)
            pin_file(secure.url).write_text(certificates.authority().pem)
            arguments = ("--name", "door", "--source", str(ROCKET), "--log-level", "debug")
            with CameraProcess(tmp_path / "c", secure.url, secure.token, *arguments) as camera:
                camera.log('"level": "debug", "event": "not connected"')
                camera.stop()
            lines = [json.loads(line) for line in camera.errors.splitlines()]
            loud = [line for line in lines if line["level"] == "warning"]
            assert [line["event"] for line in loud] == ["not connected"]
            assert "has changed" in loud[0]["why"]

    def test_a_first_connection_is_readable_on_a_terminal(self, tmp_path: Path) -> None:
        with Served(tmp_path / "data", tls="auto") as secure:
            token = tmp_path / "token"
            token.write_text(secure.token or "")
            arguments = ("--token-file", str(token))
            with camera_on_terminal(tmp_path / "camera", secure.url, *arguments) as camera:
                camera.shows("camera door is ready")
                said = [line for line in camera.screen.splitlines() if "authority" in line]
                assert len(said) == 1
                assert "compare it with what the server printed" in said[0]
                assert camera.stop() == 0


class TestNoSource:
    @pytest.mark.parametrize(
        ("source", "missing"),
        [
            ("99", "there is no /dev/video99"),
            ("/dev/nosuchcamera", "there is no /dev/nosuchcamera"),
            ("nosuchfolder", "there is no nosuchfolder"),
            ("nosuch/*.jpg", "there is no nosuch/*.jpg"),
            ("exec:nosuchprogram --now", "there is no program nosuchprogram"),
        ],
    )
    def test_a_source_that_is_not_there_is_said_at_the_start(
        self, server: Served, tmp_path: Path, source: str, missing: str
    ) -> None:
        token = server.new_token("camera", "lost")
        arguments = ("--name", "lost", "--source", source)
        with CameraProcess(tmp_path / "camera", server.url, token, *arguments) as camera:
            camera.ready()
            (line,) = [json.loads(line) for line in camera.errors.splitlines()]
            assert line["event"] == f"camera lost: {missing}; each snap will try again"
            assert line["level"] == "warning"
            assert camera.stop() == 0

    def test_a_terminal_shows_it(self, tmp_path: Path) -> None:
        url = f"http://127.0.0.1:{free_port()}"
        with camera_on_terminal(tmp_path / "camera", url, "--source", "nosuch") as camera:
            camera.shows("camera door: there is no nosuch; each snap will try again\n")

    def test_what_is_there_or_on_the_network_is_not_spoken_of(
        self, server: Served, tmp_path: Path
    ) -> None:
        (tmp_path / "a.jpg").write_bytes(ROCKET.read_bytes())
        sources = (
            f"{tmp_path}/*.jpg",
            str(tmp_path),
            f"{ROCKET.as_uri()}",
            "exec:cat",
            "rtsp://nobody.invalid/1",
        )
        names = [f"there-{number}" for number in range(len(sources))]
        config = tmp_path / "cameras.toml"
        config.write_text(
            "".join(
                f'[[cameras]]\nname = "{name}"\nsource = "{source}"\n'
                for name, source in zip(names, sources, strict=True)
            )
        )
        arguments = ("--config", str(config))
        with CameraProcess(tmp_path / "c", server.url, server.token, *arguments) as camera:
            camera.ready()
            assert camera.errors == ""
            assert camera.stop() == 0

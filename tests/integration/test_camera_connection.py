"""The camera program and what stands between it and the hub."""

from __future__ import annotations

import asyncio
import ssl
import subprocess
from pathlib import Path

import pytest

from objectclassification.auth import Identity
from objectclassification.client import backoff
from objectclassification.client.link import Link, WrongRelease
from objectclassification.client.reports import Reports
from objectclassification.errors import DiskFull
from objectclassification.hub.recorder import MemoryRecorder
from objectclassification.hub.server_echo import Server
from objectclassification.messages import (
    CameraOffer,
    CameraPlace,
    Event,
    Hello,
    ShotReport,
    Welcome,
)
from tests.camera_process import CameraProcess
from tests.integration.hub_fixtures import (
    WITHIN_S,
    connected,
    controller,
    hear,
    say,
    serving,
    token,
)
from tests.parts import require
from tests.photographs import ROCKET
from tests.serving import Served
from tests.wire import Wire


def certificate(folder: Path) -> Path:
    """Makes a private certificate of this machine with its key, in one PEM file."""
    require("openssl")
    file, key = folder / "private.pem", folder / "key.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"),
            *("-subj", "/CN=test", "-addext", "subjectAltName=IP:127.0.0.1"),
            *("-keyout", str(key), "-out", str(file)),
        ],
        check=True,
        capture_output=True,
    )
    return file


def test_a_private_certificate_in_front(server: Served, tmp_path: Path) -> None:
    file = certificate(tmp_path)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(file, tmp_path / "key.pem")
    arguments = ("--name", "vault", "--source", str(ROCKET), "--once")
    with Wire(server.port, tls) as wire:
        trusting = (*arguments, "--ca", str(file))
        with CameraProcess(tmp_path / "home", wire.url, server.token, *trusting) as camera:
            assert camera.process.wait(60) == 0, camera.errors
            assert "uploaded after" in camera.rest()[-1]
        with CameraProcess(tmp_path / "other", wire.url, server.token, *arguments[:4]) as camera:
            camera.log("first connection")  # see test_trust.py
            assert camera.ready().stop() == 0


class FullAtFirst(MemoryRecorder):
    """A recorder whose disk is full when the first camera comes."""

    full = True

    async def register(
        self, offers: tuple[CameraOffer, ...], identity: Identity, *, agent: str, version: str
    ) -> dict[str, CameraPlace]:
        """Fails once."""
        if self.full:
            self.full = False
            raise DiskFull(free_bytes=0, floor_bytes=1)
        return await super().register(offers, identity, agent=agent, version=version)


async def test_a_hub_that_cannot_welcome_us_now_is_asked_again() -> None:
    recorder = FullAtFirst()
    hello = Hello(role="camera", instance="pi", cameras=(CameraOffer(name="door"),))
    async with serving(recorder=recorder) as hub, asyncio.timeout(WITHIN_S):
        address = f"http://127.0.0.1:{hub.port}"
        async with Link(address, hello, token=token("admin")) as link:
            assert isinstance(await link.receive(), Welcome)
    assert not recorder.full


async def test_a_hub_that_restarts_is_tried_again_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backoff, "FIRST_PAUSE_S", 60.0)
    monkeypatch.setattr(backoff, "RESTART_PAUSES_S", (0.01, 0.02))
    hello = Hello(role="camera", instance="pi", cameras=(CameraOffer(name="door"),))
    async with serving() as hub, asyncio.timeout(WITHIN_S):
        async with Link(f"http://127.0.0.1:{hub.port}", hello, token=token("admin")) as link:
            assert isinstance(await link.receive(), Welcome)
            coming_back = asyncio.create_task(link.receive())
            await hub.stop()
            async with Server(port=hub.port, tokens=hub.runner.tokens):
                assert isinstance(await coming_back, Welcome)


async def test_a_connection_that_breaks_is_no_restart(
    server: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backoff, "FIRST_PAUSE_S", 0.01)
    monkeypatch.setattr(backoff, "RESTART_PAUSES_S", (60.0, 60.0))
    hello = Hello(role="camera", instance="pi", cameras=(CameraOffer(name="cut-off"),))
    with Wire(server.port) as wire:
        async with asyncio.timeout(WITHIN_S), Link(wire.url, hello, token=server.token) as link:
            assert isinstance(await link.receive(), Welcome)
            wire.cut()
            assert isinstance(await link.receive(), Welcome)


@pytest.mark.parametrize(
    ("version", "todo"), [("99.0.0", "update the server"), ("0.0.1", "update it here")]
)
async def test_a_release_that_the_hub_does_not_take(version: str, todo: str) -> None:
    cameras = (CameraOffer(name="door"),)
    hello = Hello(role="camera", instance="pi", version=version, cameras=cameras)
    async with serving() as hub, asyncio.timeout(WITHIN_S):
        address = f"http://127.0.0.1:{hub.port}"
        async with Link(address, hello, token=token("admin"), patience_s=0) as link:
            with pytest.raises(WrongRelease, match=todo) as caught:
                await link.receive()
    assert caught.value.exit_code == 78
    assert caught.value.retryable  # a patient program tries on: the server may be updated


async def test_what_was_said_to_nobody_is_said_after_the_welcome() -> None:
    hello = Hello(role="camera", instance="pi", cameras=(CameraOffer(name="door"),))
    async with serving() as hub, connected(hub) as watcher, asyncio.timeout(WITHIN_S):
        await controller(watcher)
        await say(watcher, "watch", topics=["snaps"])
        link = Link(f"http://127.0.0.1:{hub.port}", hello, token=token("admin"))
        reports = Reports(link, [])
        await reports.say(ShotReport(snap="own", camera="door", state="captured", origin="camera"))
        async with link:
            await link.receive()
            await reports.say_unsent()
            while not isinstance(event := await hear(watcher), Event):
                pass
            assert (event.name, event.data["snap"]) == ("accepted", "own")

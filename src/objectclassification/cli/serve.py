"""``objectclassification serve``."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from objectclassification.cli import options

if TYPE_CHECKING:
    from objectclassification.bootstrap import System
    from objectclassification.config import ServerSettings


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command()(serve)


def serve(
    host: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="Where to listen; by default 127.0.0.1.")
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(metavar="PORT", help="TCP port, by default 8000; 0 takes a free one."),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Of database and pictures; by default your own."),
    ] = None,
    config: Annotated[
        Path | None, typer.Option(metavar="FILE", help="TOML file with more settings.")
    ] = None,
    tls: options.Tls = None,
    tls_cert: options.TlsCert = None,
    tls_key: options.TlsKey = None,
    device: options.Device = None,
    no_auth: Annotated[bool, typer.Option("--no-auth", help="No tokens; loopback only.")] = False,
    log_level: Annotated[
        str, typer.Option(metavar="LEVEL", help="debug, info, warning or error.")
    ] = "info",
) -> None:
    """Run the server: hub, API, page and classification on one port."""
    from objectclassification.cli import logs
    from objectclassification.config import load_server

    logs.configure(log_level)
    settings = load_server(
        config,
        host=host,
        port=port,
        data=data,
        tls=tls,
        tls_cert=tls_cert,
        tls_key=tls_key,
        device=device,
        no_auth=no_auth or None,
    )
    asyncio.run(_serve(settings))


async def _serve(settings: ServerSettings) -> None:
    # OpenBLAS reads it once, when numpy is loaded. On a busy machine its threads wait for each
    # other longer than they work, and they would take the core that the hub runs on.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

    from objectclassification.api.serving import HttpServer
    from objectclassification.bootstrap import running
    from objectclassification.cli.supervised import new_notifier, show_cameras
    from objectclassification.config import forget_local, remember_local
    from objectclassification.hub.acceptor import bind
    from objectclassification.hub.collector import collect_rarely
    from objectclassification.hub.limits import raise_file_limit
    from objectclassification.worker import JobLoopEnded

    raise_file_limit()
    collect_rarely()
    notifier = new_notifier()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    listener = bind(settings.host, settings.port)
    async with running(settings) as system:
        tls = None if system.tls is None else system.tls.context
        server = HttpServer(system.app, settings, system.runner, tls)
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        await server.listening.wait()
        # What is loaded by now stays for ever: to look through all of it for garbage, as a crowd of
        # new connections makes Python do, would hold the loop up for a tenth of a second.
        gc.collect()
        gc.freeze()
        ca = None if system.tls is None else system.tls.authority_file
        remember_local(_url(listener, settings, outside=False), system.token_file, ca)
        _announce(settings, listener, system)
        show_cameras(notifier, system.runner, _url(listener, settings, outside=True))
        stopping = asyncio.create_task(stop.wait())
        ends = {serving, stopping, system.working}
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        failed = system.working.done()
        stopping.cancel()
        notifier.stopping()
        forget_local()
        # New snaps are refused, open ones get their done and clients their 1012; then HTTP ends.
        await system.runner.stop(timeout_s=settings.stop_timeout_s / 4)
        server.should_exit = True
        await serving
    if failed:
        raise JobLoopEnded("the job loop ended, and the server with it: its log says why")


def _announce(settings: ServerSettings, listener: socket.socket, system: System) -> None:
    from objectclassification import __version__
    from objectclassification.config.service import prints_to_journal
    from objectclassification.hub.address import machine_address
    from objectclassification.trust.handshake import fingerprint

    machine = machine_address()
    url = _url(listener, settings, outside=True)
    print(f"ObjectClassification {__version__} on {machine.hostname} ({machine.address})")
    if system.token is None:
        print(f"  open:  {url}/  (no tokens: anyone on this machine is admin)")
    elif system.first_start and not prints_to_journal():
        print(f"  open:  {url}/?token={system.token}")
        print(f"  The token is in {system.token_file} and is not shown again.")
    else:
        print(f"  open:  {url}/  (the admin token is in {system.token_file})")
    if system.tls is not None and system.tls.authority is not None:
        print(f"  trust: {url}/trust  (how to trust its certificate authority, of fingerprint")
        print(f"         {fingerprint(system.tls.authority)})")
    print(f"  data:  {settings.data}", flush=True)


def _url(listener: socket.socket, settings: ServerSettings, *, outside: bool) -> str:
    from objectclassification.api.reach import address, served_name

    scheme = "http" if settings.certificate is None else "https"
    return address(scheme, served_name(settings, outside=outside), listener.getsockname()[1])

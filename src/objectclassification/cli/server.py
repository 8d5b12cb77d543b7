"""``objectclassification server``: the hub alone, as the seed's ``server_echo.py``."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from objectclassification.cli import options

if TYPE_CHECKING:
    from objectclassification.config.tls import CertificateFiles, OwnAuthority
    from objectclassification.hub.remote import TrustedProxies
    from objectclassification.hub.server_echo import Server

_DEFAULT_PORT = 8765  # server_echo's; imported only when the command runs


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command()(server)


def server(
    host: Annotated[str, typer.Option(metavar="ADDRESS", help="Where to listen.")] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(metavar="PORT", min=0, max=65535, help="TCP port; 0 takes a free one.")
    ] = _DEFAULT_PORT,
    tokens: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="TOML file of token hashes; the first start makes it."),
    ] = None,
    tls: options.Tls = None,
    tls_cert: options.TlsCert = None,
    tls_key: options.TlsKey = None,
    tls_names: Annotated[
        str,
        typer.Option(metavar="NAMES", help="For --tls auto: more names and addresses, by commas."),
    ] = "",
    trusted_proxies: Annotated[
        str, typer.Option(metavar="ADDRESSES", help="Whose X-Forwarded-For is believed, by commas.")
    ] = "",
    no_auth: Annotated[bool, typer.Option("--no-auth", help="No tokens; loopback only.")] = False,
    log_level: Annotated[
        str, typer.Option(metavar="LEVEL", help="debug, info, warning or error.")
    ] = "info",
) -> None:
    """Run the hub alone. It keeps no pictures, and shots end at `captured`."""
    from objectclassification.auth import Tokens
    from objectclassification.cli import logs
    from objectclassification.config import default_data
    from objectclassification.config.tls import read_choice
    from objectclassification.hub.collector import collect_rarely
    from objectclassification.hub.server_echo import Server
    from objectclassification.hub.token_file import make_admin, read_tokens

    logs.configure(log_level)
    collect_rarely()
    file = None if no_auth else tokens or default_data() / "hub-tokens.toml"
    good, made = Tokens(open=no_auth), None
    certificate = read_choice(tls or "off", tls_cert, tls_key, tls_names)
    hub = Server(host, port, tokens=good, proxies=_proxies(trusted_proxies))
    if file is not None:
        made = None if file.exists() else make_admin(file)
        good.load(read_tokens(file))
    asyncio.run(_serve(hub, file, made, certificate))


async def _serve(
    hub: Server,
    file: Path | None,
    made: str | None,
    certificate: OwnAuthority | CertificateFiles | None,
) -> None:
    """Serves until a signal; shows the token only when it was made now."""
    from objectclassification.certificates import serving_tls
    from objectclassification.cli.supervised import new_notifier, show_cameras
    from objectclassification.config import default_data
    from objectclassification.hub.server_echo import stop_signals
    from objectclassification.trust.handshake import fingerprint

    notifier = new_notifier()
    folder = default_data() if file is None else file.parent
    with stop_signals() as asked:
        async with serving_tls(certificate, folder, hub.host) as tls:
            hub.tls = None if tls is None else tls.context
            async with hub:
                url = _announce(hub, file, made)
                if tls is not None and tls.authority is not None:
                    print(f"  its certificate authority: {fingerprint(tls.authority)}")
                print(end="", flush=True)
                show_cameras(notifier, hub.runner, url)
                await asked.wait()
                notifier.stopping()


def _announce(hub: Server, file: Path | None, made: str | None) -> str:
    """Says where the hub is, and who may come; returns its address."""
    from objectclassification.config.service import prints_to_journal
    from objectclassification.hub.address import machine_address
    from objectclassification.hub.token_file import admin_token_path

    machine = machine_address()
    everywhere = hub.host in ("0.0.0.0", "::")  # noqa: S104 - compared with, not listened on
    host = machine.address if everywhere else hub.host
    url = (
        f"{'ws' if hub.tls is None else 'wss'}://{f'[{host}]' if ':' in host else host}:{hub.port}/"
    )
    print(f"hub on {machine.hostname} ({machine.address})")
    if file is None:
        print(f"  connect to: {url}  (no tokens: anyone on this machine is admin)")
    elif made is not None and not prints_to_journal():
        print(f"  connect to: {url}?token={made}")
        print(f"  The token is in {admin_token_path(file)} and is not shown again.")
    else:
        print(f"  connect to: {url}  (the admin token is in {admin_token_path(file)})")
    return url


def _proxies(addresses: str) -> TrustedProxies:
    from objectclassification.errors import ConfigurationError
    from objectclassification.hub.remote import TrustedProxies

    try:
        return TrustedProxies(addresses)
    except ValueError as exc:
        raise ConfigurationError(f"--trusted-proxies: {exc}") from exc

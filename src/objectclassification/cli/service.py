"""``objectclassification service``: install and uninstall the systemd services."""

from __future__ import annotations

import re
import shutil
import subprocess
from enum import StrEnum
from glob import glob
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from objectclassification.cli import options, units

if TYPE_CHECKING:
    from objectclassification.config import Connection
    from objectclassification.config.cameras import CameraSettings
    from objectclassification.config.tls import CertificateFiles, OwnAuthority

_SERVER_UNIT = "socket.service"
_CAMERA_UNIT = "camera.service"
_BOOTED = Path("/run/systemd/system")  # there only where systemd is the first process: sd_booted(3)
_VARIABLE_PASSWORD = re.compile(r":\$\{\w+\}@")  # the environment has it


class Service(StrEnum):
    """What can be a service."""

    SERVER = "server"
    HUB = "hub"
    CAMERA = "camera"


class _ByName(TyperGroup):
    """A group that lists its commands by name; else groups in it come last."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Returns their names."""
        return sorted(super().list_commands(ctx))


def register(app: typer.Typer) -> None:
    """Adds the group of commands."""
    group = typer.Typer(cls=_ByName, help="Run for ever, under systemd.", no_args_is_help=True)
    install = typer.Typer(help="Write a service file, and say how to start.", no_args_is_help=True)
    install.command("server")(install_server)
    install.command("hub")(install_hub)
    install.command("camera")(install_camera)
    group.add_typer(install, name="install")
    group.command()(uninstall)
    app.add_typer(group, name="service")


def install_server(
    host: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="Where to listen; by default 127.0.0.1.")
    ] = None,
    port: Annotated[
        int | None, typer.Option(metavar="PORT", help="TCP port; by default 8000.")
    ] = None,
    config: Annotated[
        Path | None, typer.Option(metavar="FILE", help="TOML file with more settings.")
    ] = None,
    tls: options.Tls = None,
    tls_cert: options.TlsCert = None,
    tls_key: options.TlsKey = None,
) -> None:
    """Install the server (socket.service)."""
    from objectclassification.cli.extras import require_server
    from objectclassification.config import load_server, read_toml
    from objectclassification.errors import ConfigurationError

    require_server("the server")
    settings = load_server(
        config, host=host, port=port, tls=tls, tls_cert=tls_cert, tls_key=tls_key
    )
    if config is not None and "data" in read_toml(config):
        raise ConfigurationError(
            f"{config}: leave data out; the service keeps it in /var/lib/objectclassification"
        )
    words, lines = ["serve", "--data", "%S/objectclassification"], []
    words += _listen(host, port)
    if config is not None:
        words += ["--config", "%d/server.toml"]
        lines.append(units.credential("server.toml", config))
    _explain(_write(_SERVER_UNIT, *_with_certificate(words, lines, settings.certificate), []))


def install_hub(
    host: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="Where to listen; by default 127.0.0.1.")
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(metavar="PORT", min=1, max=65535, help="TCP port; by default 8765."),
    ] = None,
    tls: options.Tls = None,
    tls_cert: options.TlsCert = None,
    tls_key: options.TlsKey = None,
) -> None:
    """Install the hub alone (socket.service, too).

    A machine runs the server or the hub alone.
    """
    from objectclassification.config.tls import read_choice

    certificate = read_choice(tls or "off", tls_cert, tls_key)
    words = ["server", "--tokens", "%S/objectclassification/hub-tokens.toml", *_listen(host, port)]
    _explain(_write(_SERVER_UNIT, *_with_certificate(words, [], certificate), []))


def install_camera(
    url: Annotated[
        str | None,
        typer.Argument(
            metavar="URL", help="The server's address; by default the one that login stored."
        ),
    ] = None,
    name: Annotated[
        str | None, typer.Option(metavar="NAME", help="What the hub knows the camera by.")
    ] = None,
    source: Annotated[
        str | None,
        typer.Option(
            metavar="SOURCE", help="Index, device, address, file or folder; by default 0."
        ),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="cameras.toml: several cameras, or more settings."),
    ] = None,
    token_file: options.TokenFile = None,
    ca: options.Ca = None,
) -> None:
    """Install the camera program (camera.service).

    It gets the token that login stored.
    """
    from objectclassification.config import find_connection, write_secret
    from objectclassification.config.pins import pin_file
    from objectclassification.errors import ConfigurationError

    if (config is None) == (name is None) or (config is not None and source is not None):
        raise typer.BadParameter("give either --name and --source, or --config cameras.toml")
    cameras = _cameras(name, source, config)
    connection = find_connection(url, token_file, ca)
    if connection.token is None:
        raise ConfigurationError(
            f"no token for {connection.url} is known: objectclassification login "
            f"{connection.url}, or give --token-file"
        )
    _check_role(connection)
    words, lines = ["camera", units.quote(connection.url), "--token-file", "%d/token"], []
    if config is None:
        words += ["--name", units.quote(cameras[0].name), "--source", _in_unit(cameras[0].source)]
    else:
        words += ["--config", "%d/cameras.toml"]
        lines.append(units.credential("cameras.toml", config))
    pin = pin_file(connection.url)
    if (ca := connection.ca or (pin if pin.exists() else None)) is not None:
        words += ["--ca", "%d/ca.pem"]
        lines.append(units.credential("ca.pem", ca))
    words += ["--spool", "%S/objectclassification-camera/spool"]
    files = [path for camera in cameras if (path := _file_of(camera.source)) is not None]
    file = _write(_CAMERA_UNIT, words, lines, [_place_of(path) for path in files])
    try:
        write_secret(units.CAMERA_TOKEN, connection.token + "\n")
    except OSError as exc:
        raise units.refused(units.CAMERA_TOKEN, exc) from exc
    for missing in (path for path in files if not (path.exists() or glob(str(path)))):
        typer.echo(f"warning: there is no {missing} yet: no picture until it is there", err=True)
    _explain(file)


def uninstall(
    service: Annotated[Service, typer.Argument(metavar="SERVICE", help="server, hub or camera.")],
) -> None:
    """Stop a service and take it off this machine; its data stays."""
    unit = _CAMERA_UNIT if service is Service.CAMERA else _SERVER_UNIT
    units.installed(unit)
    booted = _BOOTED.is_dir()
    if booted:
        _systemctl("disable", "--now", unit)
    file = units.remove(unit)
    state = "objectclassification"
    if service is Service.CAMERA:
        units.CAMERA_TOKEN.unlink(missing_ok=True)
        state = "objectclassification-camera"
    if booted:
        _systemctl("daemon-reload")
        print(f"{unit} is stopped, and {file} deleted.")
    else:
        print(f"{file} is deleted. systemd does not run here, so that nothing was stopped:")
        print("  a program that you started yourself is yours to end.")
    print(f"  Its data is still in /var/lib/{state}, and your settings in {units.SETTINGS}.")


def _write(unit: str, words: list[str], lines: list[str], read: list[Path]) -> Path:
    before = units.command_of(unit)
    if before not in (None, words[0]):
        what = {"serve": "the server", "server": "the hub alone"}
        typer.echo(
            f"note: {unit} was {what.get(str(before), before)}, and is {what[words[0]]} now: a "
            "machine runs one of them",
            err=True,
        )
    text = units.render(unit, [units.command(*words), *lines, *units.binds(read)])
    return units.write(unit, text)


def _explain(file: Path) -> None:
    print(f"{file} is written.")
    for verb, meaning in (
        ("daemon-reload", "reload the service files to include it"),
        (f"start {file.name}", "run it for ever (restart, after a change)"),
        (f"status {file.name}", "see how it is"),
        (f"enable {file.name}", "start it on every reboot"),
        (f"disable {file.name}", "do not"),
    ):
        print(f"  sudo systemctl {verb:<24} # {meaning}")


def _with_certificate(
    words: list[str], lines: list[str], choice: OwnAuthority | CertificateFiles | None
) -> tuple[list[str], list[str]]:
    """Adds TLS to a command and its unit; files must be good before anything is written."""
    from objectclassification.certificates.live import LiveCertificate
    from objectclassification.cli.extras import require_server
    from objectclassification.config.tls import CertificateFiles, OwnAuthority

    if isinstance(choice, CertificateFiles):
        LiveCertificate(choice)
        words = [*words, "--tls-cert", "%d/tls.crt", "--tls-key", "%d/tls.key"]
        files = [("tls.crt", choice.cert), ("tls.key", choice.key)]
        lines = [*lines, *(units.credential(name, file) for name, file in files)]
    elif isinstance(choice, OwnAuthority):
        require_server("--tls auto")
        words = [*words, "--tls", "auto"]
    return words, lines


def _listen(host: str | None, port: int | None) -> list[str]:
    words = [] if host is None else ["--host", units.quote(host)]
    return words if port is None else [*words, "--port", str(port)]


def _cameras(
    name: str | None, source: str | None, config: Path | None
) -> tuple[CameraSettings, ...]:
    """The cameras' settings, which must be good before anything is written."""
    from objectclassification.client.shooter import check_names
    from objectclassification.config.cameras import load_cameras, one_camera
    from objectclassification.errors import ConfigurationError

    cameras = (one_camera(name=name, source=source),) if config is None else load_cameras(config)
    for camera in cameras:
        check_names(camera)
        file = _file_of(camera.source)
        if config is not None and file is not None and not Path(camera.source).is_absolute():
            raise ConfigurationError(
                f"{config}: camera {camera.name}: a service has no folder of its own to look for "
                f"{camera.source} in: write source = '{file}'"
            )
    return cameras


def _check_role(connection: Connection) -> None:
    """Refuses a token that may read, which no camera's may; a server that is off cannot be asked.

    The local server's admin token is found without a login, and a camera's machine is no place
    for it.
    """
    from objectclassification.client.http import Http
    from objectclassification.errors import (
        ConfigurationError,
        Forbidden,
        NotFound,
        ServerUnreachable,
    )

    try:
        with Http(connection) as http:
            http.json("GET", "/api/cameras")
    except (Forbidden, NotFound, ServerUnreachable):  # a camera's; a hub alone; off
        return
    raise ConfigurationError(
        f"the token for {connection.url} is no camera's, and a camera's service gets no other: "
        "objectclassification token add --camera NAME makes one; give it to objectclassification "
        "login, or with --token-file"
    )


def _in_unit(source: str) -> str:
    """The source as a word of a unit file, which everyone on the machine can read."""
    from objectclassification.errors import ConfigurationError
    from objectclassification.masking import mask

    without = _VARIABLE_PASSWORD.sub("@", source)
    if mask(without) != without:
        raise ConfigurationError(
            f"{mask(source)} has a password, and service files have none: write ${{PASSWORD}} in "
            f"its place and PASSWORD=… into {units.SETTINGS / 'camera.env'}, or give --config"
        )
    return units.quote(str(_file_of(source) or source))


def _file_of(source: str) -> Path | None:
    """The whole path of a source that is a file, a folder or a pattern; None for all others."""
    from objectclassification.capture.address import kind_of

    if kind_of(source) != "file" or source.startswith("file:"):
        return None
    path = Path(source).expanduser().absolute()
    # systemd takes no "..", and a link that is in nobody's way stays one.
    return path.resolve() if ".." in path.parts else path


def _place_of(file: Path) -> Path:
    """What a service must see to read a file, a folder or a pattern: what of its path is there."""
    return next(place for place in (file, *file.parents) if place.exists())


def _systemctl(*words: str) -> None:
    from objectclassification.errors import ConfigurationError

    program = shutil.which("systemctl")
    if program is None:
        raise ConfigurationError("systemctl is not here: this machine has no systemd")
    done = subprocess.run([program, *words], capture_output=True, text=True, check=False)  # noqa: S603 - fixed words
    if done.returncode != 0:
        raise ConfigurationError(f"systemctl {' '.join(words)}: {done.stderr.strip()}")

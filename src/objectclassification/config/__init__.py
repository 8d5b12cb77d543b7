"""Settings: frozen, from the environment and from TOML; nothing else reads either.

Precedence, highest first: an argument, ``OBJECTCLASSIFICATION_<NAME>`` in the environment, the TOML
file, the default.
"""

from __future__ import annotations

import ipaddress
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal
from urllib.parse import parse_qs, urlsplit, urlunsplit

import platformdirs
from pydantic import Field, ValidationError, field_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

from objectclassification.config.keeping import CameraKeep
from objectclassification.config.local import forget_dead, note_of, running_servers
from objectclassification.config.proxies import parse_networks
from objectclassification.config.secret_file import write_secret as write_secret
from objectclassification.config.service import SYSTEM_STATE, sudo_caller_home
from objectclassification.config.tls import CertificateFiles, OwnAuthority, read_choice
from objectclassification.config.wording import ENV_PREFIX, check_environment, what_is_wrong
from objectclassification.errors import ConfigurationError

APP = "objectclassification"
DEFAULT_PORT = 8000
MIB = 2**20


def default_data() -> Path:
    """The data folder of this account."""
    return Path(platformdirs.user_data_dir(APP))


def spool_folder() -> Path:
    """Where this account's camera programs keep pictures that are not uploaded yet."""
    return Path(platformdirs.user_state_dir(APP)) / "spool"


class ServerSettings(BaseSettings):
    """What ``objectclassification serve`` can be told.

    Attributes:
        host: address to listen on.
        port: TCP port; 0 takes a free one.
        data: folder of the database and the pictures.
        no_auth: let everyone in as admin; on loopback only.
        trusted_proxies: addresses and networks whose forwarded headers are believed.
        tls: ``auto`` for a certificate of an authority of the server's own, or ``off``.
        tls_cert: a certificate with its chain, in PEM, instead.
        tls_key: its key, in PEM.
        tls_names: for ``auto``, names and addresses that the machine does not know it has.
        max_body_bytes: the largest picture.
        max_pixels: the most pixels, by the picture's header.
        max_uploads: bodies taken at the same time; more get 503.
        disk_floor_bytes: free space that must stay; below it a PUT gets 507.
        workers: classifying child processes; 0 means cores - 1, at least one.
        classify_timeout_s: after this a child counts as hung.
        engine_timeout_s: for the answer of a model at an engine elsewhere.
        engine_headers: a TOML file with what engines want to be sent, such as a token.
        job_lease_s: after this a job of a dead worker is done by another.
        presence_grace_s: a camera that is back within this time was not away.
        header_timeout_s: for a request's headers.
        body_timeout_s: for the next piece of a request's body.
        max_connections_per_token: with one token at the same time.
        max_connections_per_address: from one address at the same time, with good tokens.
        max_strangers: connections that have shown no good token yet.
        max_strangers_per_address: the same, from one address.
        max_messages_per_s: frames of one WebSocket, over a long time.
        max_messages_at_once: frames of one WebSocket in one go.
        max_messages_per_s_per_token: frames with one token, cameras' apart, over a long time.
        max_snaps_per_minute: snaps with one token; a schedule's count for none.
        stop_timeout_s: the most a stop may take.
        top: predictions kept for each picture.
        model: an ONNX file to use instead of the shipped one.
        device: where models run; ``auto`` is the quickest.
        keep_days: pictures go this long after they arrived; 0 keeps them for ever.
        keep_pictures: the most pictures; the oldest go; 0 is no limit.
        keep_bytes: the most bytes of pictures; 0 is no limit.
        camera_keep_days: the same, for the pictures of each camera.
        camera_keep_pictures: the same, for the pictures of each camera.
        camera_keep_bytes: the same, for the pictures of each camera.
        keep_cameras: by name, cameras that differ from ``camera_keep_*``.
        keep_labelled: pictures with a label stay whatever the limits say.
    """

    model_config = SettingsConfigDict(env_prefix=ENV_PREFIX, frozen=True, extra="forbid")

    host: str = "127.0.0.1"
    port: int = Field(default=DEFAULT_PORT, ge=0, le=65535)
    data: Path = Field(default_factory=default_data)
    no_auth: bool = False
    trusted_proxies: str = ""
    tls: str = "off"
    tls_cert: Path | None = None
    tls_key: Path | None = None
    tls_names: str = ""
    max_body_bytes: int = Field(default=32 * MIB, gt=0)
    max_pixels: int = Field(default=50_000_000, gt=0)
    max_uploads: int = Field(default=16, gt=0)
    disk_floor_bytes: int = Field(default=256 * MIB, ge=0)
    workers: int = Field(default=0, ge=0, le=256)
    classify_timeout_s: float = Field(default=30.0, gt=0)
    engine_timeout_s: float = Field(default=10.0, gt=0, le=60)
    engine_headers: Path | None = None
    job_lease_s: float = Field(default=90.0, gt=0)
    presence_grace_s: float = Field(default=5.0, ge=0, le=300)
    header_timeout_s: float = Field(default=20.0, gt=0)
    body_timeout_s: float = Field(default=30.0, gt=0)
    max_connections_per_token: int = Field(default=16_384, gt=0)
    max_connections_per_address: int = Field(default=16_384, gt=0)
    max_strangers: int = Field(default=2048, gt=0)
    max_strangers_per_address: int = Field(default=512, gt=0)
    max_messages_per_s: float = Field(default=500.0, gt=0)
    max_messages_at_once: int = Field(default=20_000, gt=0)
    max_messages_per_s_per_token: float = Field(default=1000.0, gt=0)
    max_snaps_per_minute: float = Field(default=600.0, gt=0)
    stop_timeout_s: float = Field(default=10.0, gt=0)
    top: int = Field(default=5, ge=1, le=100)
    model: Path | None = None
    device: Literal["auto", "cpu", "cuda", "openvino", "coreml"] = "auto"
    keep_days: float = Field(default=0, ge=0)
    keep_pictures: int = Field(default=0, ge=0)
    keep_bytes: int = Field(default=0, ge=0)
    camera_keep_days: float = Field(default=0, ge=0)
    camera_keep_pictures: int = Field(default=0, ge=0)
    camera_keep_bytes: int = Field(default=0, ge=0)
    keep_cameras: dict[str, CameraKeep] = Field(default_factory=dict)
    keep_labelled: bool = True

    @field_validator("trusted_proxies")
    @classmethod
    def _check_proxies(cls, text: str) -> str:
        parse_networks(text)
        return text

    @property
    def certificate(self) -> OwnAuthority | CertificateFiles | None:
        """Which certificate it shows; None is plain HTTP.

        Raises:
            ConfigurationError: the settings contradict each other.
        """
        return read_choice(self.tls, self.tls_cert, self.tls_key, self.tls_names)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments, then the environment: the TOML file is given by :func:`load_server`."""
        return init_settings, env_settings


def load_server(file: Path | None = None, **arguments: object) -> ServerSettings:
    """Reads the server's settings.

    Args:
        file: a TOML file with the names of :class:`ServerSettings`.
        **arguments: given by the caller; None means not given.

    Raises:
        ConfigurationError: a value cannot be used, or a name is unknown.
    """
    check_environment(ServerSettings.model_fields)
    told: dict[str, Any] = read_toml(file) if file else {}
    for name in ServerSettings.model_fields:
        if ENV_PREFIX + name.upper() in os.environ:
            told.pop(name, None)
    given = {k: v for k, v in arguments.items() if v is not None}
    try:
        settings = ServerSettings(**told | given)
    except ValidationError as exc:
        places = dict.fromkeys(told, f"{file}: ") | dict.fromkeys(given, "")
        raise ConfigurationError(what_is_wrong(exc, places, ServerSettings.model_fields)) from exc
    except SettingsError as exc:  # of a table, which the environment holds as JSON
        raise ConfigurationError(f"{ENV_PREFIX}KEEP_CAMERAS: it must be JSON") from exc
    if settings.no_auth and not is_loopback(settings.host):
        raise ConfigurationError(
            f"--no-auth is for loopback only, not for {settings.host}: leave one of the two out"
        )
    _ = settings.certificate  # settings that contradict each other
    return settings


def read_toml(file: Path) -> dict[str, Any]:
    """Returns a TOML file's table.

    Raises:
        ConfigurationError: it cannot be read, or is not TOML.
    """
    try:
        return tomllib.loads(file.read_text())
    except OSError as exc:
        raise ConfigurationError(f"cannot read {file}: {exc.strerror}") from exc
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as exc:
        raise ConfigurationError(f"{file} is not TOML: {exc}") from exc


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach the address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


@dataclass(frozen=True, slots=True)
class Connection:
    """Which server to talk to, and as whom.

    Attributes:
        url: ``http://host:port``, without a token.
        token: None if none is known.
        ca: a private certificate authority's file.
        token_from: where the token is from, for a person whom it is refused.
    """

    url: str
    token: str | None = None
    ca: Path | None = None
    token_from: str = field(default="", compare=False)

    @property
    def origin(self) -> str:
        """Where the token is from, to end an error with; empty if there is none."""
        return f" (the token is from {self.token_from})" if self.token_from else ""

    def __repr__(self) -> str:
        """The connection without its token, so that no log and no traceback shows it."""
        return f"Connection(url={self.url!r}, token={'…' if self.token else None!r})"


def find_connection(
    server: str | None = None, token_file: Path | None = None, ca: Path | None = None
) -> Connection:
    """Finds the server and the token as every command does.

    The server: the argument, ``OBJECTCLASSIFICATION_SERVER``, what ``login`` stored last, the
    server this account runs on this machine, the one that systemd runs (for root only), port 8000
    here. The token: the file, a ``?token=`` in the address, ``OBJECTCLASSIFICATION_TOKEN``, what
    ``login`` stored for that server, the local server's admin token. With sudo, ``login`` is the
    caller's, unless root has its own.

    Raises:
        ConfigurationError: the address or a file cannot be used.
    """
    stored = _read_credentials()
    servers: Mapping[str, Mapping[str, str]] = stored.get("servers", {})
    local = _read_local()
    chosen = (
        server
        or os.environ.get(ENV_PREFIX + "SERVER")
        or stored.get("default")
        or (local[0]["url"] if local else f"http://127.0.0.1:{DEFAULT_PORT}")
    )
    url, in_address = split_token(chosen)
    entry = servers.get(url, {})
    here = next((note for note in local if _same_server(url, note["url"])), {})
    places = {
        f"the file {token_file}": _read_secret(token_file) if token_file else None,
        "the address": in_address,
        ENV_PREFIX + "TOKEN": os.environ.get(ENV_PREFIX + "TOKEN"),
        "what `login` stored": entry.get("token"),
    }
    where, token = next(((place, found) for place, found in places.items() if found), ("", None))
    if token is None and "token_file" in here:
        where = f"the file {here['token_file']}"
        token = _read_secret(Path(here["token_file"]))
    known_ca = entry.get("ca") or here.get("ca")
    return Connection(url, token, Path(known_ca) if ca is None and known_ca else ca, where)


def split_token(address: str) -> tuple[str, str | None]:
    """Splits ``http://host:port/?token=…`` into the plain address and the token.

    Raises:
        ConfigurationError: it is not an http, https, ws or wss address.
    """
    if "://" not in address:
        address = "http://" + address
    try:
        parts = urlsplit(address)
        host, port = parts.hostname, parts.port
    except ValueError as exc:
        raise ConfigurationError(f"not a server address: {exc}") from exc
    scheme = {"ws": "http", "wss": "https"}.get(parts.scheme, parts.scheme)
    if scheme not in ("http", "https") or not host:
        raise ConfigurationError("a server address looks like http://host:8000")
    if ":" in host:
        host = f"[{host}]"
    netloc = host if port is None else f"{host}:{port}"
    path = parts.path.rstrip("/")
    path = "" if path == "/ws" else path
    token = parse_qs(parts.query).get("token", [None])[0]
    return urlunsplit((scheme, netloc, path, "", "")), token


def remember(connection: Connection) -> Path:
    """Stores a server and its token for this account, as ``login`` does.

    Returns:
        The file, readable by its owner only.
    """
    stored = _read_credentials()
    servers = dict(stored.get("servers", {}))
    entry = {"token": connection.token or ""}
    if connection.ca is not None:
        entry["ca"] = str(connection.ca.resolve())
    servers[connection.url] = entry
    lines = [f"default = {_quote(connection.url)}"]
    for url, values in sorted(servers.items()):
        lines.append(f"\n[servers.{_quote(url)}]")
        lines.extend(f"{key} = {_quote(value)}" for key, value in values.items())
    file = _credentials_file()
    write_secret(file, "\n".join(lines) + "\n")
    return file


def remember_local(url: str, token_file: Path | None, ca: Path | None = None) -> Path:
    """Notes where this account's server runs, so that commands on this machine find it."""
    folder = _state_folder()
    forget_dead(folder)
    note = note_of(folder, os.getpid())
    files = {"token_file": token_file, "ca": ca}
    lines = [f"{key} = {_quote(str(file.resolve()))}\n" for key, file in files.items() if file]
    write_secret(note, f"url = {_quote(url)}\n{''.join(lines)}")
    return note


def forget_local() -> None:
    """Takes this process's note of :func:`remember_local` back."""
    note_of(_state_folder(), os.getpid()).unlink(missing_ok=True)


def _credentials_file() -> Path:
    return Path(platformdirs.user_config_dir(APP)) / "credentials.toml"


def _state_folder() -> Path:
    return Path(platformdirs.user_state_dir(APP))


def _read_credentials() -> dict[str, Any]:
    file = _credentials_file()
    if not file.exists() and (home := sudo_caller_home()) is not None:
        file = home / ".config" / APP / "credentials.toml"
    return read_toml(file) if file.exists() else {}


def _read_local() -> list[dict[str, Any]]:
    """The servers on this machine: this account's, then the one that systemd runs."""
    return [
        read_toml(note)
        for folder in (_state_folder(), SYSTEM_STATE)
        for note in running_servers(folder)
    ]


def _read_secret(file: Path) -> str:
    try:
        text = file.read_text().strip()
    except (OSError, UnicodeDecodeError) as exc:
        raise ConfigurationError(f"cannot read the token file {file}") from exc
    if not text or len(text.split()) != 1:
        raise ConfigurationError(f"the token file {file} does not hold one token")
    return text


def _same_server(a: str, b: str) -> bool:
    """Whether two addresses are the same port of this machine, by whatever loopback name."""
    one, two = urlsplit(a), urlsplit(b)
    if a == b:
        return True
    local = {is_loopback(one.hostname or ""), is_loopback(two.hostname or "")}
    return local == {True} and one.port == two.port


def _quote(text: str) -> str:
    """A TOML basic string."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'

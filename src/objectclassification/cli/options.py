"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

Server = Annotated[
    str | None,
    typer.Option(
        metavar="URL", help="Address of the server; found by itself on the server's own machine."
    ),
]
TokenFile = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE", help="File that holds the token, instead of the one login stored."
    ),
]
Ca = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Certificate authority of a private certificate, in PEM."),
]
Tls = Annotated[
    Literal["auto", "off"] | None,
    typer.Option(help="auto: a certificate of a local authority. By default off."),
]
TlsCert = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Certificate with its chain, in PEM, for HTTPS and wss."),
]
TlsKey = Annotated[Path | None, typer.Option(metavar="FILE", help="Its key, in PEM.")]
Device = Annotated[
    Literal["auto", "cpu", "cuda", "openvino", "coreml"] | None,
    typer.Option(help="Where models run. By default auto: what is quickest of what there is."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Data = Annotated[
    Path | None,
    typer.Option(metavar="FOLDER", help="The server's data folder; this account's own by default."),
]
Config = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="The server's TOML file, as `serve --config` has it."),
]

"""The command line: parse, call, print.

One module for each group of commands, each with a ``register(app)``; they import what they call
inside the command, so that ``--help`` and the camera start fast.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import NoReturn

import typer

from objectclassification import __version__
from objectclassification.cli import extras, logs
from objectclassification.errors import ObjectClassificationError

_MODULES = (
    "serve",
    "server",
    "token",
    "login",
    "snap",
    "schedule",
    "waiting",
    "cameras",
    "label",
    "teach",
    "heads",
    "camera",
    "capture",
    "devices",
    "simulate",
    "wait",
    "classify",
    "models",
    "rule",
    "unsure",
    "similar",
    "evaluate",
    "service",
    "doctor",
    "backup",
    "retention",
)


def _version(wanted: bool) -> None:
    if wanted:
        print(__version__)
        raise typer.Exit


def build_app() -> typer.Typer:
    """Returns the whole command line."""
    app = typer.Typer(
        name="objectclassification",
        help="Take a picture on a camera somewhere else, now, and say what is on it.",
        no_args_is_help=True,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )

    @app.callback()
    def root(
        version: bool = typer.Option(
            False, "--version", callback=_version, is_eager=True, help="Print the version."
        ),
    ) -> None:
        del version  # its callback did the work

    for name in _MODULES:
        import_module(f"objectclassification.cli.{name}").register(app)
    return app


def main() -> None:
    """Runs the command line; an error of ours becomes one line and its exit code.

    So does a library that is not there because its extra was not installed.
    """
    logs.configure("warning")  # to standard error; commands with --log-level set their own
    try:
        build_app()()
    except ObjectClassificationError as exc:
        _fail(exc)
    except ModuleNotFoundError as exc:
        if (missing := extras.missing(exc)) is None:
            raise
        _fail(missing)
    except UnicodeError:
        # Arguments and settings are bytes to the system, and may be none of UTF-8's.
        print("error: an argument or a setting is not UTF-8: write it in UTF-8", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)  # 128 + SIGINT, as shells count


def _fail(error: ObjectClassificationError) -> NoReturn:
    print(f"error: {error.detail}", file=sys.stderr)
    sys.exit(error.exit_code)

"""Which libraries an extra brings, so that a command can say that it is not installed."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Final

from objectclassification.errors import MissingExtra

_MODULES: Final = {
    "server": frozenset(
        {
            "aiohttp",
            "alembic",
            "circuitbreaker",
            "cronsim",
            "cryptography",
            "fastapi",
            "fastapi_offline",
            "httptools",
            "jinja2",
            "onnxruntime",
            "PIL",
            "prometheus_client",
            "psutil",
            "python_multipart",
            "sqlalchemy",
            "starlette",
            "tzdata",
            "uvicorn",
        }
    ),
    "models": frozenset({"onnx"}),
}
"""What the libraries of pyproject.toml's extras are called where they are imported."""


def missing(exc: ModuleNotFoundError) -> MissingExtra | None:
    """Returns the error for a module that an extra brings; None for every other module."""
    name = (exc.name or "").partition(".")[0]
    for extra, modules in _MODULES.items():
        if name in modules:
            return MissingExtra("this command", extra)
    return None


def require_server(what: str) -> None:
    """Checks that the server's libraries are here, without the time that importing them takes.

    Args:
        what: what needs them, as the error says it.

    Raises:
        MissingExtra: one of them is not installed.
    """
    if any(find_spec(module) is None for module in _MODULES["server"]):
        raise MissingExtra(what, "server")

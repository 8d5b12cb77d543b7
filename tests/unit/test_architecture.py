"""The rooms: imports run one way, modules stay small, and a camera machine loads little."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

import objectclassification

PACKAGE = "objectclassification"
ROOT = Path(objectclassification.__file__).parent
MODULES = sorted(ROOT.rglob("*.py"))

LAYERS: tuple[frozenset[str], ...] = (
    frozenset({"errors", "change", "histogram", "masking", "skew", "systemd"}),
    frozenset(
        {
            "config",
            "bounds",
            "condition",
            "detection",
            "shot_options",
            "messages",
            "receipts",
            "heads",
            "rules",
            "schedules",
            "sureness",
        }
    ),
    frozenset({"auth", "trust"}),
    frozenset({"hub", "capture", "classification", "store", "bus", "certificates"}),
    frozenset(
        {
            "client",
            "api",
            "worker",
            "scheduler",
            "announcer",
            "recorder",
            "web",
            "housekeeping",
            "readiness",
            "teaching",
            "judging",
            "renditions",
        }
    ),
    frozenset({"metrics"}),
    frozenset({"bootstrap", "diagnosis"}),
    frozenset({"cli"}),
)
"""A room may import the rooms of layers before its own."""

BESIDE = {
    ("messages", "receipts"): "the shapes that messages carry",
    ("messages", "condition"): "the shapes that messages carry",
    ("messages", "detection"): "what a snap's options may ask for",
    ("messages", "shot_options"): "what a snap's options may ask of a camera",
    ("config", "shot_options"): "what a camera does where a snap asks for nothing",
    ("detection", "bounds"): "how large options may be",
    ("messages", "bounds"): "how large these may be",
    ("heads", "messages"): "what a name looks like",
    ("rules", "messages"): "what a name looks like",
    ("rules", "receipts"): "what is judged, and what a judgement is",
    ("schedules", "messages"): "what a snap may ask for",
    ("schedules", "bounds"): "how large context and options may be",
    ("schedules", "receipts"): "how far a snap may go",
    ("condition", "receipts"): "what freshness is called",
    ("web", "api"): "the page shows what the API answers, to whom the API lets in",
}
"""Imports inside a layer, with the reason."""

READS_THE_ENVIRONMENT = {
    "capture/address.py": "passwords of sources, by the names that their addresses give",
    "cli/serve.py": "OpenBLAS is told through it to start no threads, before numpy loads",
    "classification/model_file.py": "ONNX Runtime is told through it to send nothing to its maker",
    "capture/opencv.py": "OpenCV itself is told through it, before it is loaded",
}
"""Modules outside ``config`` that touch the environment, with the reason."""

SERVER_SIDE = frozenset({"hub", "store", "api", "classification", "worker", "bootstrap", "web"})
"""What no camera machine has the libraries for."""

HEAVY = ("fastapi", "sqlalchemy", "onnxruntime", "PIL", "uvicorn", "alembic", "jinja2")


def _room(module: Path) -> str:
    parts = module.relative_to(ROOT).with_suffix("").parts
    return parts[0]


def _imports(module: Path) -> Iterator[tuple[str, int]]:
    """Every room that a module imports, also inside functions, with the line."""
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}:{node.lineno}: imports here are absolute"
            names = [node.module or ""]
            if node.module == PACKAGE:
                names = [f"{PACKAGE}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            package, _, rest = name.partition(".")
            if package == PACKAGE and rest and not rest.startswith("__"):
                yield rest.partition(".")[0], node.lineno


ROOMY = [module for module in MODULES if _room(module) not in ("__init__", "__main__")]
"""All modules but the package's two doors."""


def test_every_room_has_its_layer() -> None:
    rooms = {_room(module) for module in MODULES} - {"__init__", "__main__"}
    assert rooms == frozenset().union(*LAYERS)


@pytest.mark.parametrize("module", ROOMY, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_run_one_way(module: Path) -> None:
    room = _room(module)
    own = next(number for number, layer in enumerate(LAYERS) if room in layer)
    allowed = frozenset({room}).union(*LAYERS[:own])
    wrong = [
        f"line {line}: {room} imports {other}"
        for other, line in _imports(module)
        if other not in allowed and (room, other) not in BESIDE
    ]
    assert not wrong


@pytest.mark.parametrize("room", ["client", "capture"])
def test_a_camera_machine_needs_no_server_side_room(room: str) -> None:
    imported = {
        other for module in MODULES if _room(module) == room for other, _ in _imports(module)
    }
    assert not imported & SERVER_SIDE


def test_exceptions_are_still_needed() -> None:
    edges = {(_room(module), other) for module in MODULES for other, _ in _imports(module)}
    assert set(BESIDE) <= edges


@pytest.mark.parametrize("module", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_modules_are_of_one_size(module: Path) -> None:
    assert len(module.read_text().splitlines()) < 400


@pytest.mark.parametrize(
    "name",
    [
        "objectclassification",
        "objectclassification.client.client",
        "objectclassification.capture.capture",
    ],
)
def test_what_a_camera_imports_loads_no_server_library(name: str) -> None:
    assert _loaded_with(name, HEAVY) == []


def test_a_server_loads_late_what_not_all_need() -> None:
    """Decoders and models are the children's; numpy comes with the first past."""
    late = ("onnxruntime", "PIL", "cv2", "numpy", "aiohttp", "cryptography")
    assert _loaded_with("objectclassification.bootstrap", late) == []


def _loaded_with(name: str, modules: Sequence[str]) -> list[str]:
    """Which of some modules are there once another was imported."""
    code = f"import sys, {name}; print(*[each for each in {modules!r} if each in sys.modules])"
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    return found.stdout.split()


def test_only_the_command_line_prints() -> None:
    printing = [
        f"{module.relative_to(ROOT)}:{node.lineno}"
        for module in MODULES
        if _room(module) != "cli"
        for node in ast.walk(ast.parse(module.read_text()))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "print"
    ]
    assert not printing


def test_the_environment_is_read_in_few_places() -> None:
    reading = {
        str(module.relative_to(ROOT))
        for module in MODULES
        if _room(module) != "config"
        for node in ast.walk(ast.parse(module.read_text()))
        if isinstance(node, ast.Attribute) and node.attr in ("environ", "getenv")
    }
    assert reading == set(READS_THE_ENVIRONMENT)

"""PUTs a second of a 1080p JPEG, durable before the 201: ours against Django REST framework.

Both sides get the same load from :mod:`benchmarks.flood`, each as its camera sends it: ours the raw
body, as the camera program does, the peer a form, as the seed's ``requests.put`` does. Every round
starts a fresh server on an empty folder, and the sides take turns.

Our server classifies what comes in, in a niced child process that takes what the two cores have
left. One row measures it like that, as shipped. The other stops the child for the flood
(SIGSTOP), because the peer classifies nothing.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import requests

from benchmarks.environments import ROOT, python_with, same_as_ours
from benchmarks.pictures import jpeg, photograph
from benchmarks.programs import Server, free_port, running, scratch, serve, wait_for_answer
from benchmarks.table import Row, print_table

PEER_PACKAGES = ("Django==5.2.19", "djangorestframework==3.18.3", "gunicorn==27.0.1")
PEER_WORKERS = 3
CLIENTS = 8
WARM_S = 1.0
SECONDS = 4.0
ROUNDS = 3
FLOOD_TIMEOUT_S = 60.0


@dataclass(frozen=True, slots=True)
class Target:
    """A running server that takes PUTs at ``/snippets/1/``."""

    url: str
    options: tuple[str, ...]


@contextmanager
def ours(folder: Path, *, classify: bool) -> Iterator[Target]:
    """Our server; without classifying, its children stand still."""
    with serve(folder, classify_timeout_s=FLOOD_TIMEOUT_S) as server:
        children = server.children
        for child in () if classify else children:
            child.send_signal(signal.SIGSTOP)
        yield Target(server.url, ("--token", camera_token(server)))
        for child in children:
            child.send_signal(signal.SIGCONT)


def camera_token(server: Server) -> str:
    """A token as a camera has it, for the first slot."""
    made = requests.post(
        f"{server.url}/api/tokens",
        json={"role": "camera", "cameras": ["door"]},
        headers={"Authorization": f"Bearer {server.token}"},
        timeout=FLOOD_TIMEOUT_S,
    )
    made.raise_for_status()
    return str(made.json()["token"])


@contextmanager
def django(folder: Path, **settings: bool) -> Iterator[Target]:
    """The peer; ``durable`` and ``wal`` as its settings say."""
    python = peer_python()
    env = {"SEED_DATA": str(folder), "PYTHONPATH": f"{ROOT}:{ROOT / 'src'}"}
    env |= {f"SEED_{name.upper()}": "1" for name, on in settings.items() if on}
    wsgi = "benchmarks.seed.api.wsgi"
    with running((python, "-m", wsgi), env=env) as preparing:
        assert preparing.wait(60) == 0
    port = free_port()
    command = (python, "-m", "gunicorn", "--workers", str(PEER_WORKERS), "--log-level", "error")
    with running((*command, "--bind", f"127.0.0.1:{port}", wsgi), env=env) as process:
        wait_for_answer(f"http://127.0.0.1:{port}/snippets/1/", process)
        yield Target(f"http://127.0.0.1:{port}", ("--form",))


def peer_python() -> Path:
    """The environment of the peer, with our classifier's libraries for the whole path."""
    ours_too = same_as_ours("pillow", "numpy", "onnxruntime", "msgspec")
    return python_with("seed-api", (*PEER_PACKAGES, *ours_too))


Start = Callable[[Path], AbstractContextManager[Target]]

OURS: dict[str, Start] = {
    "as shipped, classifying": partial(ours, classify=True),
    "classifier standing still": partial(ours, classify=False),
}
PEERS: dict[str, Start] = {
    "as it comes": django,
    "equally durable": partial(django, durable=True),
    "equally durable, with WAL": partial(django, durable=True, wal=True),
}
REACH = {"as it comes": 1.5, "equally durable": 3.0}


def measure() -> list[Row]:
    """Floods them in turns.

    Returns:
        A row for each pair.
    """
    rates: dict[str, list[float]] = {name: [] for name in (*OURS, *PEERS)}
    picture = jpeg(photograph())
    for _ in range(ROUNDS):
        for name, start in (OURS | PEERS).items():
            with scratch() as folder:
                file = folder / "opencv_frame_0.jpg"
                file.write_bytes(picture)
                with start(folder) as target:
                    rates[name].append(flood(target, file))
    return [
        Row(
            f"PUTs of a 1080p JPEG ({len(picture) // 1000} kB), durable before 201, {our}",
            rates[our],
            f"Django REST framework, {PEER_WORKERS} gunicorn workers, {peer}",
            rates[peer],
            "per s",
            REACH.get(peer),
        )
        for our in OURS
        for peer in PEERS
    ]


def flood(target: Target, file: Path) -> float:
    """Returns how many PUTs a second were acknowledged."""
    command = (sys.executable, "-m", "benchmarks.flood", f"{target.url}/snippets/1/", file)
    options = ("--clients", str(CLIENTS), "--warm-s", str(WARM_S), "--seconds", str(SECONDS))
    done = subprocess.run(
        (*command, *options, *target.options),
        cwd=ROOT,
        check=True,
        capture_output=True,
        timeout=FLOOD_TIMEOUT_S,
    )
    found = json.loads(done.stdout)
    if found["refused"]:
        raise SystemExit(f"{target.url} refused {found['refused']} PUTs of a flood")
    return float(found["per_second"])


def main() -> None:
    """Prints the table."""
    print_table(measure())


if __name__ == "__main__":
    main()

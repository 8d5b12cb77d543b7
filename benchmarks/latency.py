"""How long a PUT takes while the classifying children have all they can do: beside an idle server.

One camera PUTs some twenty 1080p JPEGs a second, which leaves the children a core. First the
children stand still (SIGSTOP), so that nothing but the PUTs happens. Then a backlog is made, and
the same camera goes on while they work it off; it must outlast the measurement. Each round starts a
fresh server.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from benchmarks.environments import ROOT
from benchmarks.pictures import jpeg, photograph
from benchmarks.programs import Server, scratch, serve
from benchmarks.puts import CLIENTS, camera_token
from benchmarks.table import Row, print_table
from objectclassification.store import folder as names
from objectclassification.store import jobs
from objectclassification.store.writer import reading

PAUSE_S = 0.04
SECONDS = 8.0
WARM_S = 1.0
BACKLOG_S = 4.0
ROUNDS = 3
TIMEOUT_S = 60.0
MOST_RATIO = 3.0


@dataclass(frozen=True, slots=True)
class Camera:
    """The camera's program, and the server it knows."""

    server: Server
    token: str
    file: Path

    def puts(self, *, clients: int, seconds: float, pause_s: float) -> dict[str, float]:
        """What :mod:`benchmarks.flood` found."""
        command = (sys.executable, "-m", "benchmarks.flood", f"{self.server.url}/snippets/1/")
        load = ("--clients", str(clients), "--seconds", str(seconds), "--pause-s", str(pause_s))
        done = subprocess.run(
            (*command, self.file, *load, "--warm-s", str(WARM_S), "--token", self.token),
            cwd=ROOT,
            check=True,
            capture_output=True,
            timeout=TIMEOUT_S,
        )
        found: dict[str, float] = json.loads(done.stdout)
        if found["refused"]:
            raise SystemExit(f"{self.server.url} refused {found['refused']} PUTs")
        return found


def measure() -> list[Row]:
    """Measures idle and saturated in turns.

    Returns:
        A row for the median and one for the 99th percentile; the peer is the idle server.
    """
    found: dict[str, list[dict[str, float]]] = {"idle": [], "saturated": []}
    picture = jpeg(photograph())
    for _ in range(ROUNDS):
        with scratch() as folder:
            file = folder / "opencv_frame_0.jpg"
            file.write_bytes(picture)
            with serve(folder, classify_timeout_s=TIMEOUT_S) as server:
                camera = Camera(server, camera_token(server), file)
                children = server.children
                for child in children:
                    child.send_signal(signal.SIGSTOP)
                found["idle"].append(camera.puts(clients=1, seconds=SECONDS, pause_s=PAUSE_S))
                camera.puts(clients=CLIENTS, seconds=BACKLOG_S, pause_s=0.0)
                for child in children:
                    child.send_signal(signal.SIGCONT)
                found["saturated"].append(camera.puts(clients=1, seconds=SECONDS, pause_s=PAUSE_S))
                if _waiting(folder) == 0:
                    raise SystemExit("the backlog was worked off before the end: make it larger")
    return [
        Row(
            f"a PUT among {1 / PAUSE_S:.0f} a second while the children are saturated, {name}",
            [one[key] for one in found["saturated"]],
            "the same while they stand still",
            [one[key] for one in found["idle"]],
            reach=reach,
        )
        for name, key, reach in (("median", "p50_ms", None), ("p99", "p99_ms", 1 / MOST_RATIO))
    ]


def _waiting(folder: Path) -> int:
    with reading(folder / "data" / names.DATABASE) as connection:
        return jobs.waiting(connection)


def main() -> None:
    """Prints the table."""
    print_table(measure())


if __name__ == "__main__":
    main()

"""The pictures most like one, among 100,000: our search of the database against one of memory.

The peer is usearch's exact search over a matrix that it holds in memory, 256 MB of it; ours reads
every embedding out of the database for each search, and answers over HTTP with the pictures. The
peer says how long its search alone took.
"""

from __future__ import annotations

import subprocess
import time
from pathlib import Path
from typing import Any, Final

import requests

from benchmarks.environments import python_with, same_as_ours
from benchmarks.programs import Server, serve
from benchmarks.restart import PICTURES, forget, large_folder
from benchmarks.table import Row, print_table
from objectclassification.store import folder as names

PROGRAM: Final = Path(__file__).parent / "peers" / "usearch_exact.py"
REQUIREMENTS: Final = ("usearch==2.26.6", *same_as_ours("numpy"))
ROUNDS: Final = 15
COLD_ROUNDS: Final = 3
FOUND: Final = 10
TIMEOUT_S: Final = 60.0


def peer_python() -> Path:
    """Returns the peer's interpreter; it is installed if it is not there yet."""
    return python_with("usearch", REQUIREMENTS)


def measure() -> list[Row]:
    """Searches in turns.

    Returns:
        A row for a database that the kernel remembers, and one for one that comes from the disk.
    """
    data = large_folder()
    took: dict[str, list[float]] = {"warm": [], "cold": [], "peer": []}
    command = [str(peer_python()), str(PROGRAM), str(data / names.DATABASE)]
    with (
        serve(data.parent) as server,
        subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        ) as peer,
    ):
        assert peer.stdin and peer.stdout
        assert peer.stdout.readline().strip() == "ready"
        picture, _, _ = _search(server, _newest(server))  # warms up
        for _ in range(ROUNDS):
            wanted, found, elapsed_ms = _search(server, picture)
            took["warm"].append(elapsed_ms)
            peer.stdin.write(f"{wanted}\n")
            peer_ms, *theirs = peer.stdout.readline().split()
            took["peer"].append(float(peer_ms))
            assert found == theirs, "two exact searches find the same"
            picture = found[-1]
        for _ in range(COLD_ROUNDS):
            forget(data)
            took["cold"].append(_search(server, picture)[2])
        peer.stdin.close()
    what = f"the {FOUND} pictures most like one among {PICTURES:,}, over HTTP"
    theirs_are = "usearch, exact, every embedding in its memory (256 MB), without HTTP"
    return [
        Row(f"{what}, database in memory", took["warm"], theirs_are, took["peer"], most=500.0),
        Row(f"{what}, database from the disk", took["cold"], theirs_are, took["peer"]),
    ]


def _search(server: Server, picture: str) -> tuple[str, list[str], float]:
    began = time.perf_counter()
    answer = _get(server, f"/api/pictures/{picture}/similar?limit={FOUND}")
    elapsed_ms = (time.perf_counter() - began) * 1000
    assert answer["compared"] == PICTURES - 1
    return picture, [one["picture"]["id"] for one in answer["similar"]], elapsed_ms


def _newest(server: Server) -> str:
    return str(_get(server, "/api/pictures?limit=1")["pictures"][0]["id"])


def _get(server: Server, path: str) -> dict[str, Any]:
    headers = {"Authorization": f"Bearer {server.token}"}
    answer = requests.get(server.url + path, headers=headers, timeout=TIMEOUT_S)
    answer.raise_for_status()
    found: dict[str, Any] = answer.json()
    return found


def main() -> None:
    """Prints the table."""
    print_table(measure())


if __name__ == "__main__":
    main()

"""Restart to ready with 100,000 pictures: how long cameras knock after a kill or an update.

The data folder is made once, under ``.bench/``: rows by bulk, with all that a picture leaves behind
(renditions, job, predictions, embedding, snap and shot), and blobs of a few bytes, since no start
reads one. The peer is the same server on an empty folder, in turns.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import requests
from numpy.typing import NDArray
from sqlalchemy import Table

from benchmarks.environments import BENCH
from benchmarks.programs import OURS, free_port, own_account, running, scratch, serve
from benchmarks.table import Row, print_table
from objectclassification.store import folder as names
from objectclassification.store import tables
from objectclassification.store.blobs import place
from objectclassification.store.writer import editing

PICTURES = 100_000
PICTURES_AT_ONCE = 5_000
ROUNDS = 5
READY_TIMEOUT_S = 120.0
DIMENSIONS = 1280
"""Of an embedding; each number takes two bytes."""
MARK = "pictures.txt"
"""Says for which tables the folder was made; it is the last thing that is written."""


def large_folder() -> Path:
    """Returns a data folder with many pictures; it is made if it is not there yet."""
    data = BENCH / "restart" / "data"
    sources = (Path(tables.__file__), Path(__file__))
    made_for = hashlib.sha256(b"".join(file.read_bytes() for file in sources)).hexdigest()
    wanted = f"{PICTURES} {made_for}"
    mark = data / MARK
    if not (mark.exists() and mark.read_text() == wanted):
        shutil.rmtree(data.parent, ignore_errors=True)
        data.parent.mkdir(parents=True)
        with serve(data.parent):
            pass  # makes the tables, and slot 1
        _fill(data)
        mark.write_text(wanted)
        os.sync()
    return data


def _fill(data: Path) -> None:
    with editing(data / names.DATABASE) as connection:
        for first in range(0, PICTURES, PICTURES_AT_ONCE):
            for table, rows in _rows(range(first, first + PICTURES_AT_ONCE)):
                connection.execute(table.insert(), rows)
    for number in range(PICTURES):
        for key in (_id(number, 1), _id(number, 2)):
            blob = place(data / names.BLOBS, key)
            blob.parent.mkdir(exist_ok=True)
            blob.write_bytes(b"a picture")


def _rows(numbers: range) -> Iterator[tuple[Table, list[dict[str, object]]]]:
    """What some pictures and their snaps leave in each table."""
    began = time.time() - PICTURES
    model = {"model_id": "model", "model_sha256": "0" * 64}
    yield (
        tables.pictures,
        [
            {
                "id": _id(n, 0),
                "snippet": 1,
                "snap_id": _id(n, 3),
                "received_at": began + n,
                "captured_at": began + n,
                "captured_from": "age",
                "best_label": "tabby",
                "best_score": 0.5,
            }
            for n in numbers
        ],
    )
    size = {"size_bytes": 9, "media_type": "image/jpeg", "width": 1920, "height": 1080}
    both = ((1, "full"), (2, "thumbnail"))
    yield (
        tables.renditions,
        [
            {"id": _id(n, kind), "snippet": 1, "name": name, "sha256": "0" * 64, **size}
            | {"picture_id": _id(n, 0)}
            for n in numbers
            for kind, name in both
        ],
    )
    job = {"state": "done", "priority": 0, "attempts": 1}
    yield (
        tables.jobs,
        [
            {"id": _id(n, 4), "picture_id": _id(n, 0), "rendition_id": _id(n, 1), **job}
            for n in numbers
        ],
    )
    yield (
        tables.predictions,
        [
            {"picture_id": _id(n, 0), "rank": rank, "label": f"label {rank}", "score": 0.1, **model}
            for n in numbers
            for rank in range(5)
        ],
    )
    yield (
        tables.embeddings,
        [
            {"picture_id": _id(n, 0), "model_sha256": "0" * 64, "vector": vector.tobytes()}
            for n, vector in zip(numbers, _vectors(numbers), strict=True)
        ],
    )
    asked: dict[str, object] = {"origin": "controller", "server": "s", "token_id": "t", "to": ["*"]}
    asked |= {"targets": ["door"], "until": "classified", "deadline_s": 10.0}
    asked |= {"context": {}, "options": {}}
    ended = {"answered": 1, "failed": 0, "missing": 0, "elapsed_ms": 50.0}
    yield (
        tables.snaps,
        [
            {"id": _id(n, 3), "accepted_at": began + n, "ended_at": began + n, **asked, **ended}
            for n in numbers
        ],
    )
    shot: dict[str, object] = {
        "camera": "door",
        "state": "classified",
        "elapsed_ms": {},
        "camera_ms": {},
    }
    yield (
        tables.shots,
        [{"snap_id": _id(n, 3), "picture_id": _id(n, 0), "warnings": [], **shot} for n in numbers],
    )


def _vectors(numbers: range) -> NDArray[np.float16]:
    """Embeddings as a model makes them: none of their numbers is negative, and half are zero."""
    random = np.random.default_rng(numbers.start)
    plain = random.standard_normal((len(numbers), DIMENSIONS), np.float32)
    return np.maximum(plain, 0).astype("<f2")


def _id(number: int, kind: int) -> str:
    """An id that sorts by number; blobs' folders are named by its end."""
    return f"019a0000-{kind:04x}-7000-8000-{number:010x}{number % 256:02x}"


def ready_ms(data: Path, home: Path, *, cold: bool) -> float:
    """Starts ``serve`` on a folder, and kills it once it is ready.

    Args:
        data: the folder.
        home: for its notes.
        cold: drop what the kernel remembers of the database first.

    Returns:
        Milliseconds from its start to the first 200 of ``/readyz``.
    """
    if cold:
        forget(data)
    port = free_port()
    command = (*OURS, "serve", "--port", str(port), "--data", str(data), "--log-level", "error")
    began = time.monotonic()
    with running(command, env=own_account(home)) as process:
        while time.monotonic() < began + READY_TIMEOUT_S:
            with suppress(requests.ConnectionError):
                url = f"http://127.0.0.1:{port}/readyz"
                if requests.get(url, timeout=READY_TIMEOUT_S).status_code == 200:
                    found = (time.monotonic() - began) * 1000
                    process.send_signal(signal.SIGKILL)
                    return found
            if process.poll() is not None:
                break
            time.sleep(0.01)
    raise SystemExit(f"a server on {data} was not ready within {READY_TIMEOUT_S:g} s")


def forget(data: Path) -> None:
    """Has the kernel read a folder's database from the disk the next time."""
    os.sync()
    for file in data.glob(f"{names.DATABASE}*"):
        with file.open("rb") as stream:
            os.posix_fadvise(stream.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def measure() -> list[Row]:
    """Starts it in turns on both folders.

    Returns:
        A row for a database that the kernel remembers, and one for one that comes from the disk.
    """
    data, took = large_folder(), {name: list[float]() for name in ("warm", "cold", "empty")}
    for _ in range(ROUNDS):
        with scratch() as folder:
            empty = folder / "data"
            ready_ms(empty, folder, cold=False)  # makes it
            took["empty"].append(ready_ms(empty, folder, cold=False))
            took["warm"].append(ready_ms(data, folder, cold=False))
            took["cold"].append(ready_ms(data, folder, cold=True))
    what = f"killed to ready again with {PICTURES:,} pictures"
    return [
        Row(f"{what}, {how}", took[key], "the same with no picture", took["empty"], most=2000.0)
        for key, how in (("warm", "database in memory"), ("cold", "database from the disk"))
    ]


def main() -> None:
    """Prints the table."""
    print_table(measure())


if __name__ == "__main__":
    main()

"""The peer of ``benchmarks/similar.py``: usearch's exact search, every embedding held in memory.

Its one argument is a database. It prints ``ready``; then each line on standard input is a picture's
id, and each answer the milliseconds of the search and the ids it found.
"""

from __future__ import annotations

import sqlite3
import sys
import time

import numpy as np
from usearch.index import MetricKind, search

FOUND = 10


def main() -> None:
    """Answers until its input ends."""
    with sqlite3.connect(f"file:{sys.argv[1]}?mode=ro", uri=True) as database:
        rows = database.execute("SELECT picture_id, vector FROM embeddings").fetchall()
    ids = [row[0] for row in rows]
    matrix = np.frombuffer(b"".join(row[1] for row in rows), np.float16).reshape(len(ids), -1)
    number = {id_: index for index, id_ in enumerate(ids)}
    print("ready", flush=True)
    for line in sys.stdin:
        wanted = line.strip()
        began = time.perf_counter()
        # One more: the picture itself comes first.
        found = search(matrix, matrix[number[wanted]], FOUND + 1, MetricKind.Cos, exact=True)
        elapsed_ms = (time.perf_counter() - began) * 1000
        others = [ids[int(key)] for key in found.keys if ids[int(key)] != wanted]
        print(f"{elapsed_ms:.3f}", *others[:FOUND], flush=True)


if __name__ == "__main__":
    main()

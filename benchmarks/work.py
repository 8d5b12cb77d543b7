"""The job loop: what it adds to decoding and inference, and what a second child brings.

A job's time is the server's own, from its metrics: from the lease to the stored result, and what
the child took of it to decode and to run the model. What is left are the thumbnail (made, written
and synced), the way to the child and back, the comparison with the past, and the transaction.
"""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Final

import requests
from prometheus_client.parser import text_string_to_metric_families

from benchmarks.pictures import jpeg, photograph
from benchmarks.programs import Server, scratch, serve
from benchmarks.puts import camera_token
from benchmarks.table import Row, print_table
from objectclassification.classification.pool import ClassifierPool

PICTURES: Final = 60
WARM_UP: Final = 5
"""Pictures that are not counted."""
ROUNDS: Final = 3
MOST_OVERHEAD_MS: Final = 3.0
CHILDREN_REACH: Final = 1.7
TIMEOUT_S: Final = 10.0


def measure() -> list[Row]:
    """Measures both.

    Returns:
        A row each.
    """
    content = jpeg(photograph())
    with scratch() as folder, serve(folder) as server:
        overhead_ms, child_ms = _jobs(server, content)
    with scratch() as folder:
        file = folder / "opencv_frame_0.jpg"
        file.write_bytes(content)
        rates = asyncio.run(_children(file))
    return [
        Row(
            "a job, from its lease to its stored result, beyond decoding and inference",
            overhead_ms,
            "its decoding and inference",
            child_ms,
            most=MOST_OVERHEAD_MS,
        ),
        Row(
            "decode + classify + thumbnail of a 1080p JPEG, two children",
            rates[2],
            "one child",
            rates[1],
            "per s",
            CHILDREN_REACH,
        ),
    ]


def _jobs(server: Server, content: bytes) -> tuple[list[float], list[float]]:
    """Milliseconds of single pictures, each classified before the next comes: beyond the child's
    decoding and inference, and those.
    """
    headers = {"Authorization": f"Bearer {camera_token(server)}", "Content-Type": "image/jpeg"}
    overhead_ms: list[float] = []
    child_ms: list[float] = []
    seen = _spent_ms(server)
    for _ in range(WARM_UP + PICTURES):
        url = f"{server.url}/snippets/1/"
        requests.put(url, content, headers=headers, timeout=TIMEOUT_S).raise_for_status()
        last, seen = seen, _after(server, seen[0] + 1)
        job, child = seen[1] - last[1], seen[2] - last[2]
        overhead_ms.append(job - child)
        child_ms.append(child)
    return overhead_ms[WARM_UP:], child_ms[WARM_UP:]


def _after(server: Server, jobs: int) -> tuple[int, float, float]:
    until = time.monotonic() + TIMEOUT_S
    while (found := _spent_ms(server))[0] < jobs:
        if time.monotonic() > until:
            raise SystemExit("a picture was not classified")
        time.sleep(0.02)
    return found


def _spent_ms(server: Server) -> tuple[int, float, float]:
    """Jobs so far, what they took, and what children took to decode and to infer."""
    page = requests.get(
        f"{server.url}/metrics",
        headers={"Authorization": f"Bearer {server.token}"},
        timeout=TIMEOUT_S,
    )
    page.raise_for_status()
    found = {
        (sample.name.removeprefix("objectclassification_"), sample.labels.get("step")): sample.value
        for family in text_string_to_metric_families(page.text)
        for sample in family.samples
        if sample.name.endswith(("_sum", "_count"))
    }
    child_s = sum(found["child_step_seconds_sum", step] for step in ("decode", "infer"))
    jobs = int(found["job_duration_seconds_count", None])
    return jobs, found["job_duration_seconds_sum", None] * 1000, child_s * 1000


async def _children(file: Path) -> dict[int, list[float]]:
    """Pictures a second by the number of children, in turns."""
    rates: dict[int, list[float]] = {1: [], 2: []}
    pools = {size: ClassifierPool(size) for size in rates}
    try:
        for size, pool in pools.items():  # all children load now
            await asyncio.gather(*(pool.classify(file) for _ in range(WARM_UP * size)))
        for _ in range(ROUNDS):
            for size, pool in pools.items():
                start = time.perf_counter()
                await asyncio.gather(
                    *(pool.classify(file, thumbnail=True) for _ in range(PICTURES))
                )
                rates[size].append(PICTURES / (time.perf_counter() - start))
    finally:
        for pool in pools.values():
            await pool.close()
    return rates


def main() -> None:
    """Prints the table."""
    print_table(measure())


if __name__ == "__main__":
    main()

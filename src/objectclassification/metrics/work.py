"""What is done with pictures, and where they lie."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from resource import getpagesize

from prometheus_client.core import Metric

from objectclassification.classification.counts import WorkCounts
from objectclassification.classification.engines.engines import Engines
from objectclassification.classification.pool import ClassifierPool
from objectclassification.metrics.families import (
    counter,
    counters,
    gauge,
    gauges,
    histogram,
    histograms,
)
from objectclassification.metrics.sources import Gone, Sources
from objectclassification.metrics.stock import Amounts
from objectclassification.store.writer import Database


def of_database(database: Database, amounts: Amounts) -> Iterator[Metric]:
    """Commits, and the jobs that wait."""
    yield histogram(
        "commit_duration_seconds",
        "From the first write of a group to its commit on the disk.",
        database.counts.seconds,
    )
    yield histogram("commit_writes", "Writes that shared one commit.", database.counts.writes)
    yield counter("commits_failed", "Commits that the database refused.", database.counts.failed)
    yield gauge("writes_waiting", "Writes that wait for the writing thread.", database.waiting)
    yield gauge(
        "database_up",
        "Whether the database answered this scrape; what only it knows is missing otherwise.",
        amounts.queue is not None,
    )
    if amounts.queue is not None:
        queue = amounts.queue
        states = {"queued": queue.queued, "leased": queue.leased}
        yield gauges("jobs", "Pictures to classify: waiting, and under way.", "state", states)
        age_s = 0.0 if queue.oldest_at is None else max(0.0, time.time() - queue.oldest_at)
        yield gauge(
            "oldest_job_age_seconds",
            "Since the arrival of the oldest picture that is not classified; 0 without one.",
            age_s,
        )


def of_children(pool: ClassifierPool, work: WorkCounts) -> Iterator[Metric]:
    """The classifying children, and what they did."""
    yield counters("pictures_processed", "Pictures by what came of them.", "outcome", work.pictures)
    yield histogram(
        "job_duration_seconds",
        "From the lease of a job to its stored result, waiting for a child included.",
        work.job_s,
    )
    yield histograms(
        "child_step_seconds",
        "What a child took to decode a picture, to run the model (infer), to make a thumbnail.",
        "step",
        work.steps_s,
    )
    yield gauge("children", "Classifying children that live and have their model.", pool.ready)
    yield gauge(
        "children_wanted",
        "The most children at a time; those beyond the first start when they are needed.",
        pool.size,
    )
    yield counter("children_started", "Children that were started.", pool.started)
    yield counter("children_lost", "Children that died, hung or could not load.", pool.lost)
    yield gauge(
        "children_resident_memory_bytes",
        "Resident memory of all children together.",
        sum(map(_resident_bytes, pool.pids)),
    )


def of_engines(engines: Engines) -> Iterator[Metric]:
    """Models at engines elsewhere."""
    away = engines.away
    yield gauges(
        "engine_up",
        "0 while the engine of a model is left alone because it does not answer.",
        "model",
        {address: 0.0 if address in away else 1.0 for address in sorted(engines.models)},
    )


def of_stock(sources: Sources, gone: Gone, amounts: Amounts) -> Iterator[Metric]:
    """What is stored, and how much more there is room for."""
    if amounts.held is not None:
        yield gauge("pictures", "Stored pictures, counted once a minute.", amounts.held.pictures)
        yield gauge(
            "picture_bytes", "Bytes of stored pictures, counted once a minute.", amounts.held.bytes
        )
    yield counter("pictures_deleted", "Pictures that retention deleted.", gone.pictures)
    yield counter("pictures_deleted_bytes", "Bytes of pictures that retention deleted.", gone.bytes)
    yield gauge(
        "database_bytes", "Size of the database and its log.", sources.stock.database_bytes()
    )
    free = sources.stock.disk_free_bytes()
    if free is not None:
        yield gauge("disk_free_bytes", "Free on the disk of the pictures.", free)
    yield gauge(
        "disk_floor_bytes",
        "Free space below which pictures are refused with 507.",
        sources.disk_floor_bytes,
    )


def _resident_bytes(pid: int) -> int:
    """Resident memory of a process, from proc(5); 0 once it is gone, or without /proc."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * getpagesize()
    except (OSError, IndexError):
        return 0

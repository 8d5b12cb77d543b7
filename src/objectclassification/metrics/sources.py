"""Whose numbers are on the page."""

from __future__ import annotations

from dataclasses import dataclass, field

from objectclassification.api.counts import HttpCounts
from objectclassification.classification.counts import WorkCounts
from objectclassification.classification.engines.engines import Engines
from objectclassification.classification.pool import ClassifierPool
from objectclassification.hub.runner import HubRunner
from objectclassification.metrics.lag import LoopLag
from objectclassification.metrics.stock import Stock
from objectclassification.store.writer import Database


@dataclass(slots=True)
class Gone:
    """What retention deleted, and cameras that went.

    Attributes:
        pictures: that were deleted.
        bytes: of them.
        cameras: that disconnected, by what the hub takes them for then.
    """

    pictures: int = 0
    bytes: int = 0
    cameras: dict[str, int] = field(default_factory=lambda: {"offline": 0, "asleep": 0})


@dataclass(frozen=True, slots=True)
class Sources:
    """Whose numbers are on the page.

    Attributes:
        hub: snaps and connections.
        http: requests.
        database: commits.
        stock: what is stored, and where.
        pool: the classifying children.
        work: what they did.
        engines: who has models elsewhere.
        lag: of the event loop.
        disk_floor_bytes: below it nothing is taken in.
    """

    hub: HubRunner
    http: HttpCounts
    database: Database
    stock: Stock
    pool: ClassifierPool
    work: WorkCounts
    engines: Engines
    lag: LoopLag
    disk_floor_bytes: int

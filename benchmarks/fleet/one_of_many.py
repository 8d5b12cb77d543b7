"""One camera of a thousand is snapped, again and again; all are, beside one that never reads."""

from __future__ import annotations

import time
from collections import defaultdict
from pathlib import Path

from benchmarks.fleet import hubs
from benchmarks.fleet.controllers import OurController
from benchmarks.fleet.hubs import Hub, Running
from benchmarks.table import Row

CAMERAS = 1000
WARM, SNAPS, TURNS = 50, 500, 2
CROWD_WARM, CROWD_SNAPS = 5, 25
STUCK_BUFFER_BYTES = 4096
MOST_SLOWER = 1.1


def unicast(folder: Path) -> list[Row]:
    """Controller → hub → camera → hub → controller, while the others idle.

    Returns:
        A row for the median and one for the 99th percentile, for each peer.
    """
    peers = [hub for hub in hubs.peers() if hub is hubs.MOSQUITTO]
    found: dict[str, list[list[float]]] = defaultdict(list)
    for _ in range(TURNS):
        for hub in (hubs.OUR_HUB, *peers):
            found[hub.name].append(_unicast(hub, folder))
    what = f"snap to one of {CAMERAS:,} cameras, and its answer"
    return [
        Row(
            f"{what}, {name}",
            [percentile(turn, percent) for turn in found["ours"]],
            peer.name,
            [percentile(turn, percent) for turn in found[peer.name]],
        )
        for peer in peers
        for name, percent in (("median", 50), ("p99", 99))
    ]


def _unicast(hub: Hub, folder: Path) -> list[float]:
    took_ms = []
    with hubs.loaded(hub, folder, CAMERAS, answers=True) as (it, _):
        controller = it.controller()
        for number in range(WARM + SNAPS):
            name = f"load-{number * 7 % CAMERAS:05d}"
            began = time.perf_counter()
            controller.snap(name, 1)
            controller.wait(1)
            if number >= WARM:
                took_ms.append((time.perf_counter() - began) * 1000)
        controller.close()
    return took_ms


def stuck_reader(folder: Path) -> list[Row]:
    """Snaps to all of a thousand cameras, without and with a client that watches and never reads.

    Returns:
        A row for the 99th percentile of the time until a shot is captured; the peer is the same
        without it.
    """
    found: dict[bool, list[float]] = {False: [], True: []}
    for _ in range(TURNS):
        for stuck in (False, True):
            with hubs.loaded(hubs.OUR_HUB, folder, CAMERAS, answers=True) as (it, _):
                found[stuck].append(_crowd_p99(it, stuck=stuck))
    return [
        Row(
            f"shot of a snap to {CAMERAS:,} cameras, p99, with a watcher that never reads",
            found[True],
            "the same without it",
            found[False],
            reach=1 / MOST_SLOWER,
        )
    ]


def _crowd_p99(it: Running, *, stuck: bool) -> float:
    controller = OurController(it.port, it.token)
    blocked = OurController(it.port, it.token, instance="stuck") if stuck else None
    if blocked is not None:
        blocked.narrow(STUCK_BUFFER_BYTES)
        blocked.watch("snaps", "shots", "cameras")
    took_ms: list[float] = []
    for number in range(CROWD_WARM + CROWD_SNAPS):
        controller.snap("*", CAMERAS)
        shots = controller.shots(CAMERAS)
        if number >= CROWD_WARM:
            took_ms.extend(shot["elapsed_ms"]["captured"] for shot in shots)
    controller.close()
    if blocked is not None:
        blocked.close()
    return percentile(took_ms, 99)


def percentile(figures: list[float], percent: float) -> float:
    """Nearest rank."""
    ranked = sorted(figures)
    return ranked[min(len(ranked) - 1, int(len(ranked) * percent / 100))]

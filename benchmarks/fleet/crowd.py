"""5,000 cameras at one hub: its processor time, its memory, and how long they take to connect.

In turns, each peer with a hub of ours beside it. Processor time is that of the hub's process, in
the kernel and out of it, and not the time on the clock, so that the load on the other core, and
whoever else uses the machine, are hardly in it.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from benchmarks.fleet import hubs
from benchmarks.fleet.hubs import Hub
from benchmarks.table import Row

CAMERAS = 5000
WARM, SNAPS, TURNS = 2, 8, 3
MOST_KB = 9.0


@dataclass(slots=True)
class Figures:
    """Of one hub, one of each for every turn but ``fan_out`` and ``round_trip``: for every snap.

    Attributes:
        fan_out: processor time of a snap that all cameras hear and none answers, ms.
        round_trip: of one that all answer, until the controller was told of the last, ms.
        connect_cpu: of all connections and their greetings, ms.
        connect: the time on the clock of the same, ms.
        memory: for each connection, kB.
        load: the load's processor time for a snap that all answer, ms.
    """

    fan_out: list[float] = field(default_factory=list)
    round_trip: list[float] = field(default_factory=list)
    connect_cpu: list[float] = field(default_factory=list)
    connect: list[float] = field(default_factory=list)
    memory: list[float] = field(default_factory=list)
    load: list[float] = field(default_factory=list)


def measure(folder: Path, cameras: int = CAMERAS, turns: int = TURNS) -> dict[str, Figures]:
    """Measures ours and every peer that there is, in turns.

    Returns:
        What was found, by the hub's name; ours is ``ours``.
    """
    found: dict[str, Figures] = defaultdict(Figures)
    for _ in range(turns):
        for hub in (hubs.OUR_HUB, *hubs.peers()):
            print(f"{hub.name} …", file=sys.stderr, flush=True)
            _mute(hub, folder, cameras, found[hub.name])
            _answering(hub, folder, cameras, found[hub.name])
    return dict(found)


def _mute(hub: Hub, folder: Path, cameras: int, found: Figures) -> None:
    with hubs.run(hub, folder) as it:
        cpu_s, rss_kb = it.cpu_s(), it.rss_kb()
        with hubs.load(it, cameras, answers=False) as load:
            found.connect.append(load.connected_s * 1000)
            found.connect_cpu.append((it.cpu_s() - cpu_s) * 1000)
            found.memory.append((it.rss_kb() - rss_kb) / cameras)
            controller = it.controller()
            for number in range(WARM + SNAPS):
                cpu_s = it.cpu_s()
                controller.snap("*", cameras)
                load.all_ordered()
                if number >= WARM:
                    found.fan_out.append((it.cpu_s() - cpu_s) * 1000)
                controller.give_up()
            controller.close()


def _answering(hub: Hub, folder: Path, cameras: int, found: Figures) -> None:
    with hubs.loaded(hub, folder, cameras, answers=True) as (it, load):
        controller = it.controller()
        for number in range(WARM + SNAPS):
            cpu_s, load_s = it.cpu_s(), load.cpu_s()
            controller.snap("*", cameras)
            controller.wait(cameras)
            load.all_ordered()
            if number >= WARM:
                found.round_trip.append((it.cpu_s() - cpu_s) * 1000)
                found.load.append((load.cpu_s() - load_s) * 1000)
        controller.close()


def rows(found: dict[str, Figures], cameras: int = CAMERAS) -> list[Row]:
    """The table: every figure beside every peer's, with what the design wants of it."""
    ours, table = found["ours"], []
    number = f"{cameras:,} cameras"
    wishes = {
        hubs.BARE.name: (1 / 1.3, 1 / 2.0, None, None),
        hubs.BATCHING.name: (None, None, None, None),
        hubs.MOSQUITTO.name: (1 / 0.6, 1.0, None, None),
        hubs.NODE_WS.name: (None, 1.0, None, None),
        hubs.WEBSOCKETS.name: (None, None, 1.0, 1 / 0.8),
    }
    for what, of, unit, column in (
        (f"a snap told to {number}, the hub's processor time", "fan_out", "ms", 0),
        (f"the same with {cameras:,} `shot`s, until the controller knows", "round_trip", "ms", 1),
        ("memory of a connection, with its session", "memory", "kB", 2),
        (f"{number} that connect at once, on the clock", "connect", "ms", 3),
        ("the same, the hub's processor time", "connect_cpu", "ms", None),
    ):
        for peer, theirs in found.items():
            if peer == "ours" or not getattr(theirs, of):
                continue
            reach = wishes[peer][column] if column is not None else None
            most = MOST_KB if of == "memory" else None
            table.append(
                Row(what, getattr(ours, of), peer, getattr(theirs, of), unit, reach, most)  # type: ignore[arg-type]
            )
    return table


def load_said(found: dict[str, Figures]) -> str:
    """Says how we know that the load is not what is measured."""
    shares = ", ".join(
        f"{name} {median(each.load):.0f} beside {median(each.round_trip):.0f}"
        for name, each in found.items()
        if each.load
    )
    return (
        "Processor time of the load, a C program that sleeps in `epoll_wait`, for a snap that all "
        f"answer, beside the hub's, ms: {shares}."
    )

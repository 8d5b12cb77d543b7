"""``kill -9`` of everything, at random moments of many snaps: nothing captured is lost.

Server, classifying child and camera program are real processes, started anew at once on the same
data, port and spool. The moments come from a seed, which is printed and can be given again in
``OBJECTCLASSIFICATION_TEST_SEED``; how far each process had come at its moment is the machine's.
"""

from __future__ import annotations

import os
import random
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from objectclassification.store import folder, repair
from objectclassification.store.writer import reading
from tests.plant import (
    Place,
    Victim,
    Witness,
    all_done,
    check_captured,
    check_truthful,
    code_of,
    stored_once,
    unfinished,
)
from tests.serving import until

SEED = int(os.environ.get("OBJECTCLASSIFICATION_TEST_SEED", "3"))
DEADLINE_S = 12.0
"""Of each snap: longer than any of the programs takes to come back."""
BURST = 8
"""The most snaps before the next kill."""
LONGEST_PAUSE_S = 0.3
"""From a burst to its kill: by then all of its pictures may be classified, or none asked for."""


@dataclass(frozen=True, slots=True)
class Round:
    """Some snaps, and the kill that meets them."""

    snaps: int
    victim: Victim
    after_s: float


def rounds(seed: int, snaps: int) -> Iterator[Round]:
    """The same for the same seed; each third has a victim of each kind."""
    dice = random.Random(seed)  # noqa: S311 - no secret
    while snaps > 0:
        victims: list[Victim] = ["server", "child", "camera"]
        dice.shuffle(victims)
        for victim in victims:
            burst = min(snaps, dice.randint(1, BURST))
            snaps -= burst
            if burst:
                yield Round(burst, victim, dice.uniform(0, LONGEST_PAUSE_S))


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    place = Place(tmp_path)
    yield place
    place.close()


@pytest.mark.parametrize("snaps", [30, pytest.param(200, marks=pytest.mark.crash)])
def test_whatever_is_killed_nothing_captured_is_lost(place: Place, snaps: int) -> None:
    print(f"seed {SEED}, {snaps} snaps")
    began = time.monotonic()
    with Witness(place.spool) as witness:
        for number, step in enumerate(rounds(SEED, snaps)):
            until(place.online)
            for shot in range(step.snaps):
                place.snap(f"crash-{number}-{shot}", DEADLINE_S)
            time.sleep(step.after_s)  # the moment of the kill is what is tried
            place.kill(step.victim, witness)
        until(lambda: place.online() and not list(place.spool.glob("*.json")))
        receipts = settled_receipts(place)
    assert {path.name for path in place.spool.iterdir()} == {"spool.lock", "door.instance"}
    place.close()  # by kill -9, too: what is looked at now is what a crash leaves

    assert len(place.accepted) == snaps
    with reading(place.data / folder.DATABASE) as connection:
        stored = stored_once(connection, place.data / folder.BLOBS)
        check_captured(witness, receipts, stored)
        for receipt in receipts.values():
            check_truthful(receipt, stored)
    found = repair.inspect(place.data)
    assert (found.lost, found.noted) == ((), 0)
    assert len(stored) > snaps / 2  # else it tried little
    codes = Counter(code_of(receipt) for receipt in receipts.values())
    print(
        f"{time.monotonic() - began:.0f} s; killed {dict(place.killed)}; {len(stored)} pictures, "
        f"{len(witness.seen)} of them seen in the spool; shots {dict(codes)}"
    )


def settled_receipts(place: Place) -> dict[str, dict[str, Any]]:
    """Waits until every snap is done and every picture is classified; returns the receipts."""
    until(lambda: all_done(place.data) and not unfinished(place.data))
    return {
        snap_id: place.server.call("GET", f"/api/snaps/{snap_id}").json()
        for snap_id in place.accepted
    }

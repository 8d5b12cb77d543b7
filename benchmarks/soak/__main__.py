"""``make soak``: snaps for an hour, a ``kill -9`` every minute, and nothing lost.

A third of the time each program is killed in turn; a third, only the camera program, so that server
and child live long enough to show a leak; a third, only server and child, so that the camera does.
Slowness is reported and fails nothing: the machine may be busy. What fails is a loss, a receipt
that is not true, and memory or files that grow.
"""

from __future__ import annotations

import argparse
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.plant import Place, Victim, Witness, all_done, unfinished

from benchmarks import machine
from benchmarks.page import replace_section
from benchmarks.programs import scratch
from benchmarks.soak.flat import findings
from benchmarks.soak.ledger import Ledger, Settled
from benchmarks.soak.load import Load, minute_of
from benchmarks.soak.report import Minute, page
from benchmarks.soak.watch import Watch, percentile

PHASES: tuple[tuple[Victim, ...], ...] = (
    ("server", "child", "camera"),
    ("camera",),
    ("server", "child"),
)
FEWEST_IN_PHASES = 30
"""Minutes: in a shorter soak each is killed in turn all the time."""
TIDY_EVERY = 5
"""Minutes between two runs of the command ``retention``; a server that starts tidies, too."""
FEWEST_KEPT = 1000
"""Pictures: more than come before a picture is looked at, which is every minute."""
KEPT_PER_MINUTE = 50
"""Of the soak: a sixth of what comes stays."""
PATIENCE_S = 600.0
"""For what must come, however busy the machine is."""


@dataclass(frozen=True, slots=True)
class Kill:
    """Who is killed in a minute, and when in it."""

    victim: Victim
    after_s: float


def kills(seed: int, minutes: int) -> Iterator[Kill]:
    """The same for the same seed."""
    dice = random.Random(seed)  # noqa: S311 - no secret
    turn: list[Victim] = []
    for minute in range(minutes):
        victims = PHASES[minute * len(PHASES) // minutes if minutes >= FEWEST_IN_PHASES else 0]
        turn = [victim for victim in turn if victim in victims] or dice.sample(
            victims, len(victims)
        )
        yield Kill(turn.pop(), dice.uniform(5, 35))


class Soak:
    """One run in a folder."""

    def __init__(self, folder: Path, minutes: int, seed: int) -> None:
        self._keep = max(FEWEST_KEPT, KEPT_PER_MINUTE * minutes)
        self._limits = {"OBJECTCLASSIFICATION_KEEP_PICTURES": str(self._keep)}
        self._kills = list(kills(seed, minutes))
        self.place = Place(folder, **self._limits)
        self.ledger = Ledger(self.place, self._keep)
        self.watch = Watch(self.place)
        self.load = Load(self.place)
        self.witness = Witness(self.place.spool)
        self.minutes = [Minute(number, number) for number in range(1, minutes + 1)]
        self.trouble: list[str] = []

    def run(self) -> None:
        """Snaps and kills; then waits until all is at rest, and looks at what is left."""
        with self.watch, self.witness:
            with self.load:
                began = time.monotonic()
                for minute, kill in zip(self.minutes, self._kills, strict=True):
                    self._minute(minute, kill, began + 60 * minute.last)
            _until(self._is_at_rest, "the plant to come to rest")
            self._count(self.ledger.close(self.witness))
        self._tidy()
        self.place.close()  # by kill -9: what is looked at now is what a crash leaves
        self.ledger.check_rest()

    @property
    def wrong(self) -> list[str]:
        """What is not as it must be."""
        return [*self.trouble, *self.load.trouble, *self.ledger.wrong]

    @property
    def facts(self) -> list[str]:
        """What the page says beside its tables."""
        asked, late = self.load.asked, self.load.late_s
        outcomes = ", ".join(f"{n} {what}" for what, n in self.ledger.outcomes.most_common())
        pictures = len(self.ledger.pictures)
        return [
            f"{asked} snaps were asked for, {len(self.place.accepted)} accepted, and each has one "
            f"receipt that says what rows and files say: {outcomes}.",
            f"{pictures} pictures were stored, each once, with its bytes and its predictions; "
            f"{len(self.witness.seen)} of them were seen in the camera's spool. Retention "
            f"({self._keep} pictures) let {max(0, pictures - self._keep)} go, the oldest, each "
            "after it had been looked at.",
            f"A snap was accepted {percentile(late, 50) * 1000:.0f} ms after its time (p50; p99 "
            f"{percentile(late, 99):.1f} s, the longest {max(late):.1f} s: a server was down).",
        ]

    def _minute(self, minute: Minute, kill: Kill, ends: float) -> None:
        time.sleep(max(0.0, ends - 60 + kill.after_s - time.monotonic()))
        began = time.monotonic()
        self.place.kill(kill.victim, self.witness)
        minute.killed[kill.victim] += 1
        _until(self.place.online, "the camera to be online again")
        minute.down_s = time.monotonic() - began
        if minute.last % TIDY_EVERY == 0:
            self._tidy()
        time.sleep(max(0.0, ends - time.monotonic()))
        self._count(self.ledger.settle())
        minute.loop_ms, minute.machine_ms = self.watch.take()
        minute.stored, minute.data_mb = self.ledger.stored(), _size_mb(self.place.data)
        wrong = f"; WRONG: {self.wrong[-1]}" if self.wrong else ""
        print(f"{time.strftime('%H:%M:%S')} {minute.line()}{wrong}", flush=True)

    def _count(self, fresh: Iterable[Settled]) -> None:
        for settled in fresh:
            # The last snap may be due as the last minute ends.
            minute = self.minutes[min(minute_of(settled.snap), len(self.minutes) - 1)]
            minute.outcomes[settled.outcome] += 1
            if settled.outcome == "classified":
                minute.ms.append(settled.ms)

    def _tidy(self) -> None:
        words = (sys.executable, "-m", "objectclassification", "retention")
        done = subprocess.run(
            (*words, "--data", self.place.data),
            env={**os.environ, **self._limits},
            capture_output=True,
            text=True,
        )
        if done.returncode:
            self.trouble.append(f"retention ended with {done.returncode}: {done.stderr[-300:]}")

    def _is_at_rest(self) -> bool:
        spooled = any(self.place.spool.glob("*.json"))
        if spooled or not self.place.online() or unfinished(self.place.data):
            return False
        return all_done(self.place.data)


def _size_mb(folder: Path) -> float:
    size = 0
    for file in folder.rglob("*"):
        try:
            size += file.stat().st_size
        except FileNotFoundError:  # deleted meanwhile
            continue
    return size / 1e6


def _until(condition: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + PATIENCE_S
    while not condition():
        if time.monotonic() > end:
            raise SystemExit(f"waited {PATIENCE_S:.0f} s for {what}")
        time.sleep(0.1)


def main() -> None:
    """Runs, prints a line a minute, and writes the section; exits with 1 if anything is wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=int, default=60)
    parser.add_argument("--seed", type=int, default=3, help="of who is killed when")
    options = parser.parse_args()
    busy = machine.busy_percent()
    with scratch() as folder:
        soak = Soak(folder, options.minutes, options.seed)
        try:
            soak.run()
        finally:
            soak.place.close()
    found = findings(soak.watch.looks)
    wrong = soak.wrong
    wrong += [f"{one.who} is not flat: {one.what}" for one in found if not one.is_flat]
    if soak.ledger.outcomes["classified"] < soak.load.asked / 2:
        wrong.append("fewer than half of the snaps were classified: it tried little")
    text = page(soak.minutes, found, soak.facts, wrong, busy)
    print(text, flush=True)
    replace_section("soak", text)
    if wrong:
        raise SystemExit("\n".join(wrong))


if __name__ == "__main__":
    main()

"""The thread that keeps a source, with sources that do exactly what a test needs."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count

import numpy as np
import pytest

from objectclassification.capture.keeper import Keeper
from objectclassification.capture.source import Frame, Stamp
from objectclassification.capture.warmup import Warmup
from objectclassification.errors import (
    CaptureError,
    SourceBusy,
    SourceStalled,
    StaleFrame,
)
from objectclassification.receipts import Freshness

FRAME_S = 0.005


@dataclass
class Camera:
    """A source that is played by the test.

    Attributes:
        live: as of the port.
        age_s: how old its frames are when they come.
        grey: mean of its frames, by their number.
        on_open: called by each open; may raise.
        on_grab: called by each grab with the frame's number; may raise, or block.
    """

    live: bool = True
    warmup_s: float = 0.0
    latency_s: float = 0.0
    notes: tuple[str, ...] = ()
    freshness: Freshness = "proven"
    age_s: float = 0.0
    grey: Callable[[int], int] = lambda number: 128
    on_open: Callable[[], None] = lambda: None
    on_grab: Callable[[int], None] = lambda number: time.sleep(FRAME_S)
    opened: int = 0
    grabbed: int = 0
    retrieved: int = 0
    owners: set[int] = field(default_factory=set)
    closed: threading.Event = field(default_factory=threading.Event)

    def open(self) -> None:
        self.owners.add(threading.get_ident())
        self.closed.clear()
        self.opened += 1
        self.on_open()

    def grab(self) -> Stamp:
        self.owners.add(threading.get_ident())
        self.on_grab(self.grabbed)
        self.grabbed += 1
        self.stamp = Stamp(time.monotonic() - self.age_s, 0.0, self.freshness, self.grabbed)
        return self.stamp

    def retrieve(self) -> Frame:
        self.retrieved += 1
        grey = self.grey(self.grabbed - 1)
        return Frame(self.stamp, image=np.full((12, 16, 3), grey, np.uint8))

    def close(self) -> None:
        self.closed.set()


@contextmanager
def keeping(
    *cameras: Camera,
    warmup: Warmup | None = None,
    keep_warm_s: float = 60.0,
    stall_s: float = 5.0,
) -> Iterator[Keeper]:
    sources = iter(cameras)
    keeper = Keeper(
        lambda: next(sources),
        "the camera",
        warmup=warmup,
        keep_warm_s=keep_warm_s,
        open_s=stall_s,
        stall_s=stall_s,
    )
    try:
        yield keeper
    finally:
        keeper.close()


def hang(release: threading.Event) -> None:
    """What a driver does that never comes back."""
    assert release.wait(10)


def wait_until(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < until, "it never happened"
        time.sleep(0.002)


def test_frames_are_from_after_and_only_those_are_decoded() -> None:
    camera = Camera(age_s=0.03)
    with keeping(camera) as keeper:
        for _ in range(5):
            after = time.monotonic()
            frame, ms = keeper.frame(after, 5.0)
            assert frame.stamp.taken_at > after
            assert time.monotonic() - after > 0.03
    assert camera.opened == 1
    assert camera.retrieved == 5 < camera.grabbed
    assert ms == {}, "a warm source is neither opened nor warmed up"
    assert camera.closed.is_set()


def test_many_ask_at_once_and_one_thread_owns_the_source() -> None:
    camera = Camera()
    with keeping(camera) as keeper, ThreadPoolExecutor(16) as pool:

        def ask(_: int) -> bool:
            after = time.monotonic()
            return keeper.frame(after, 5.0)[0].stamp.taken_at > after

        assert all(pool.map(ask, range(200)))
    assert len(camera.owners) == 1
    assert camera.opened == 1


def test_a_source_that_only_gives_the_past_is_stale() -> None:
    with keeping(Camera(age_s=100.0)) as keeper:
        with pytest.raises(StaleFrame):
            keeper.frame(time.monotonic(), 0.2)


def test_a_replay_is_no_lie() -> None:
    with keeping(Camera(age_s=100.0, freshness="replay")) as keeper:
        assert keeper.frame(time.monotonic(), 1.0)[0].stamp.freshness == "replay"


def test_a_source_that_makes_pictures_makes_one_for_each_snap() -> None:
    camera = Camera(live=False)
    with keeping(camera) as keeper, ThreadPoolExecutor(4) as pool:
        frames = list(pool.map(lambda _: keeper.frame(time.monotonic(), 5.0)[0], range(8)))
    assert len({frame.stamp.sequence for frame in frames}) == 8
    assert camera.grabbed == 8


def test_cold_closes_after_each_and_opens_again() -> None:
    camera = Camera()
    with keeping(camera, keep_warm_s=0) as keeper:
        for number in (1, 2):
            _, ms = keeper.frame(time.monotonic(), 5.0)
            assert camera.closed.wait(5)
            assert camera.opened == number
            assert ms.keys() == {"open", "warmup"}


def test_it_closes_when_nobody_has_asked_for_long_enough() -> None:
    camera = Camera()
    with keeping(camera, keep_warm_s=0.1) as keeper:
        keeper.frame(time.monotonic(), 5.0)
        asked_at = time.monotonic()
        assert not camera.closed.is_set()
        assert camera.closed.wait(5)
        assert time.monotonic() - asked_at >= 0.05


def test_open_ahead() -> None:
    camera = Camera(warmup_s=0.1)
    with keeping(camera) as keeper:
        keeper.open()
        wait_until(lambda: camera.grabbed > 0)
        _, _ = keeper.frame(time.monotonic(), 5.0)
    assert camera.opened == 1


def test_the_source_s_own_warm_up_is_waited_for_once() -> None:
    camera = Camera(warmup_s=0.2)
    with keeping(camera) as keeper:
        started = time.monotonic()
        _, ms = keeper.frame(started, 5.0)
        assert time.monotonic() - started >= 0.2
        assert ms["warmup"] >= 200
        again = time.monotonic()
        keeper.frame(again, 5.0)
        assert time.monotonic() - again < 0.2


def test_auto_warm_up_ends_when_the_exposure_has_settled() -> None:
    camera = Camera(warmup_s=2.0, grey=lambda number: min(120, 10 * number))
    with keeping(camera, warmup="auto") as keeper:
        frame, ms = keeper.frame(time.monotonic(), 5.0)
        assert frame.image is not None
        assert frame.image.mean() == 120
    assert ms["warmup"] < 1000


def test_what_cannot_be_opened_fails_at_once_as_it_says() -> None:
    def busy() -> None:
        raise SourceBusy("in use", source="the camera")

    camera = Camera(on_open=busy)
    with keeping(camera) as keeper:
        started = time.monotonic()
        with pytest.raises(SourceBusy):
            keeper.frame(started, 5.0)
        assert time.monotonic() - started < 1
        # It is tried again for nobody, less and less often, so that the next snap finds it open.
        wait_until(lambda: camera.opened >= 2)
        camera.on_open = lambda: None
        keeper.frame(time.monotonic(), 5.0)


def test_back_off_does_not_hammer_a_source() -> None:
    def broken() -> None:
        raise CaptureError("no", source="the camera")

    camera = Camera(on_open=broken)
    with keeping(camera) as keeper:
        keeper.open()
        wait_until(lambda: camera.opened >= 1)
        time.sleep(0.5)  # long enough for hundreds of opens without back-off
        assert camera.opened <= 5


def test_a_connection_that_dies_under_a_snap_is_opened_again_for_it() -> None:
    dying = threading.Event()

    def dies(number: int) -> None:
        time.sleep(FRAME_S)
        if dying.is_set():
            dying.clear()
            raise SourceStalled("it ended", source="the camera")

    camera = Camera(on_grab=dies, age_s=0.0)
    with keeping(camera) as keeper:
        keeper.frame(time.monotonic(), 5.0)
        dying.set()
        # Late enough that no frame which was under way already can be the one.
        keeper.frame(time.monotonic() + 0.2, 5.0)
    assert camera.opened == 2


def test_a_source_that_dies_again_and_again_fails_the_snap() -> None:
    calls = count(1)

    def dies(number: int) -> None:
        if next(calls) % 3 == 0:
            raise SourceStalled("it ended", source="the camera")

    camera = Camera(on_grab=dies, age_s=100.0)
    with keeping(camera) as keeper:
        with pytest.raises(SourceStalled, match="it ended"):
            keeper.frame(time.monotonic(), 5.0)


def test_a_bug_in_a_driver_reaches_who_waits() -> None:
    def bug(number: int) -> None:
        raise ZeroDivisionError

    with keeping(Camera(on_grab=bug)) as keeper:
        with pytest.raises(CaptureError, match="ZeroDivisionError"):
            keeper.frame(time.monotonic(), 5.0)


def test_a_thread_that_is_stuck_in_a_driver_is_given_up() -> None:
    release = threading.Event()
    stuck = Camera(on_grab=lambda number: hang(release))
    good = Camera()
    with keeping(stuck, good, stall_s=0.2) as keeper:
        keeper.frame(time.monotonic(), 5.0)
        assert stuck.retrieved == 0
        assert good.retrieved == 1
        release.set()
        assert stuck.closed.wait(5), "when it comes back it lets go of its device"
        assert stuck.retrieved == 0


def test_a_driver_that_always_hangs_is_not_tried_for_ever() -> None:
    release = threading.Event()
    cameras = [Camera(on_open=lambda: hang(release)) for _ in range(9)]
    with keeping(*cameras, stall_s=0.1) as keeper:
        with pytest.raises(SourceStalled, match="hangs in its driver"):
            keeper.frame(time.monotonic(), 5.0)
        with pytest.raises(SourceStalled, match="hangs in its driver"):
            keeper.frame(time.monotonic(), 5.0)
        assert sum(camera.opened for camera in cameras) == 3
        release.set()
        wait_until(lambda: all(c.closed.is_set() for c in cameras if c.opened))
        # Its threads came back, so there is hope again.
        keeper.frame(time.monotonic(), 5.0)


def test_closing_fails_who_waits() -> None:
    camera = Camera(age_s=100.0)
    with keeping(camera) as keeper, ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(keeper.frame, time.monotonic(), 30.0)
        wait_until(lambda: camera.grabbed > 2)
        keeper.close()
        with pytest.raises(CaptureError, match="closed"):
            waiting.result(5)
        with pytest.raises(CaptureError, match="closed"):
            keeper.frame(time.monotonic(), 1.0)

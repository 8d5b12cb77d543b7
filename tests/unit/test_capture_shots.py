"""Shots with settings of their own, bursts, and pictures that show nothing.

The source is played: a sensor that takes an exposure, whose frames wait in buffers, and which shows
exactly what a test needs. Real ones are in tests/integration and tests/e2e.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import cv2
import numpy as np
import pytest

from objectclassification.capture import Capture, checks
from objectclassification.capture import capture as capture_module
from objectclassification.capture.controls import Adjustment
from objectclassification.capture.source import Adjustable, Frame, Stamp
from objectclassification.errors import (
    BlurredFrame,
    CoveredFrame,
    DarkFrame,
    FaultyFrame,
    FrozenFrame,
    OverexposedFrame,
    SourceStalled,
)
from objectclassification.receipts import Freshness
from objectclassification.shot_options import AS_EVER, ShotOptions
from tests.photographs import COFFEE
from tests.serving import until

if TYPE_CHECKING:
    from objectclassification.capture.source import Pixels

FRAME_S = 0.01
BUFFERS = 3
SCENE = cast("Pixels", cv2.resize(cast("Pixels", cv2.imread(str(COFFEE))), (320, 240)))
OWN_MS, SHORT_MS, LONG_MS = 10.0, 5.0, 20.0


def exposed(ms: float) -> Pixels:
    return np.clip(SCENE.astype(float) * 0.5 * ms / OWN_MS, 0, 255).astype(np.uint8)


def brightness(data: bytes) -> float:
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_GRAYSCALE)
    assert image is not None
    return float(image.mean())


@dataclass
class Sensor:
    """Shows the scene as it is exposed, or ``shows`` by the number of the frame."""

    shows: Callable[[int], Pixels] | None = None
    live: bool = True
    freshness: Freshness = "proven"
    noise: bool = True
    warmup_s: float = 0.0
    latency_s: float = 0.0
    notes: tuple[str, ...] = ()
    mode: tuple[int, int] = (320, 240)
    exposure_ms: float = OWN_MS
    opened: int = 0
    exposed: int = 0
    told: list[Adjustment | None] = field(default_factory=list)
    buffers: deque[tuple[float, Pixels]] = field(default_factory=deque)

    def open(self) -> None:
        self.opened += 1
        self.buffers.clear()

    def grab(self) -> Stamp:
        while len(self.buffers) < (BUFFERS if self.live else 1):
            self._expose()
        taken_at, self.image = self.buffers.popleft()
        self.stamp = Stamp(taken_at, 0.0, self.freshness, self.exposed)
        return self.stamp

    def _expose(self) -> None:
        taken_at = time.monotonic()
        time.sleep(FRAME_S)
        image = exposed(self.exposure_ms) if self.shows is None else self.shows(self.exposed).copy()
        if self.noise:
            image[0, self.exposed % image.shape[1]] ^= 1
        self.exposed += 1
        self.buffers.append((taken_at, image))

    def retrieve(self) -> Frame:
        return Frame(self.stamp, image=self.image)

    def adjust(self, wanted: Adjustment | None) -> tuple[str, ...]:
        self.told.append(wanted)
        exposure_ms = OWN_MS if wanted is None else wanted.exposure_ms
        self.exposure_ms = OWN_MS if exposure_ms in (None, "auto") else float(exposure_ms)
        return ("the device takes no focus: 3 was not set",) if wanted and wanted.focus else ()

    def close(self) -> None:
        self.exposure_ms = OWN_MS


@pytest.fixture
def capturing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Capture]:
    """Makes a Capture of a sensor."""

    def make(sensor: Sensor, name: str = "x.png", **settings: Any) -> Capture:
        monkeypatch.setattr(capture_module, "open_source", lambda *_: sensor)
        return Capture(0, tmp_path / name, **settings)

    assert isinstance(Sensor(), Adjustable)
    return make


def test_snaps_with_settings_of_their_own_are_not_mixed(capturing: Callable[..., Capture]) -> None:
    sensor = Sensor()
    wanted = [OWN_MS, SHORT_MS, LONG_MS, OWN_MS, SHORT_MS, OWN_MS, LONG_MS, OWN_MS]
    with capturing(sensor) as capture, ThreadPoolExecutor(len(wanted)) as pool:

        def shoot(ms: float) -> tuple[float, bool]:
            options = AS_EVER if ms == OWN_MS else ShotOptions(exposure_ms=ms, burst=2, keep="all")
            after = time.monotonic()
            taken = capture.shoot(options, after=after, timeout_s=20)
            fresh = all(each.taken_at > after for each in taken)
            light = {round(brightness(each.data)) for each in taken}
            assert len(light) == 1, "a burst is of one exposure"
            return light.pop(), fresh

        for ms, (light, fresh) in zip(wanted, pool.map(shoot, wanted), strict=True):
            assert fresh
            assert light == pytest.approx(brightness_of(ms), abs=1.5), ms
        assert brightness(capture.take().data) == pytest.approx(brightness_of(OWN_MS), abs=1.5)
    assert sensor.opened == 1
    adjustments = [each for each in sensor.told if each is not None]
    assert len(adjustments) == 4


def brightness_of(ms: float) -> float:
    return float(cv2.cvtColor(exposed(ms), cv2.COLOR_BGR2GRAY).mean())


def test_a_cold_source_is_set_as_it_opens_and_closes_as_it_was(
    capturing: Callable[..., Capture],
) -> None:
    sensor = Sensor()
    with capturing(sensor, keep_warm_s=0) as capture:
        (taken,) = capture.shoot(ShotOptions(exposure_ms=LONG_MS, warmup=0.1, focus=3))
        assert brightness(taken.data) == pytest.approx(brightness_of(LONG_MS), abs=1.5)
        assert taken.camera_ms["warmup"] >= 100
        assert taken.warnings == ("the device takes no focus: 3 was not set",)
        taken = capture.take()
        assert brightness(taken.data) == pytest.approx(brightness_of(OWN_MS), abs=1.5)
        assert taken.warnings == ()


def test_a_snap_that_does_not_get_its_turn_says_so(capturing: Callable[..., Capture]) -> None:
    with capturing(Sensor()) as capture, ThreadPoolExecutor(1) as pool:
        capture.take()
        long = pool.submit(capture.shoot, ShotOptions(warmup=1.0), timeout_s=10)
        until(lambda: capture._turns._alone)
        with pytest.raises(SourceStalled, match="settings of their own"):
            capture.take(timeout_s=0.2)
        assert long.result()[0].camera_ms["warmup"] >= 1000


def test_the_best_of_a_burst_is_the_sharpest(capturing: Callable[..., Capture]) -> None:
    shaken = [cast("Pixels", cv2.blur(SCENE, (width, 1))) for width in (9, 7, 1, 5, 3)]
    sensor = Sensor(shows=lambda number: shaken[number % 5])
    with capturing(sensor) as capture:
        for _ in range(3):
            (taken,) = capture.shoot(ShotOptions(burst=5))
            image = cv2.imdecode(np.frombuffer(taken.data, np.uint8), cv2.IMREAD_COLOR)
            assert image is not None
            assert float(np.abs(image.astype(int) - SCENE).mean()) < 0.1


def test_all_of_a_burst_are_kept_each_after_the_one_before(
    capturing: Callable[..., Capture], tmp_path: Path
) -> None:
    with capturing(Sensor(), "x.jpg") as capture:
        after = time.monotonic()
        best, *others = capture.shoot(
            ShotOptions(burst=4, keep="all", format="png", width=100), after=after
        )
        times = [each.taken_at for each in others]
        assert times == sorted(times) and len({best.taken_at, *times}) == 4
        assert min(best.taken_at, *times) > after
        assert [each.path.name for each in (best, *others)] == [
            "x.png",
            "x-2.png",
            "x-3.png",
            "x-4.png",
        ]
        for each in (best, *others):
            assert each.path.read_bytes() == each.data
            assert (each.media_type, each.width, each.height) == ("image/png", 100, 75)
        assert capture.take().path == tmp_path / "x.jpg"


def test_a_cold_source_is_opened_once_for_a_burst(capturing: Callable[..., Capture]) -> None:
    for live in (True, False):
        sensor = Sensor(live=live)
        with capturing(sensor, keep_warm_s=0) as capture:
            capture.shoot(ShotOptions(burst=4, exposure_ms=LONG_MS))
            assert sensor.opened == 1
            until(lambda: capture.state == "closed")
            capture.take()
            assert sensor.opened == 2


def test_what_cannot_be_is_a_warning(capturing: Callable[..., Capture]) -> None:
    with capturing(Sensor()) as capture:
        (taken,) = capture.shoot(ShotOptions(width=4000, height=3000, quality=10))
        assert (taken.width, taken.height) == (320, 240)
        assert taken.warnings == (
            "quality is not used: a PNG has none",
            "asked for 4000x3000, got 320x240",
        )
        (small,) = capture.shoot(ShotOptions(format="jpeg", quality=10))
        (large,) = capture.shoot(ShotOptions(format="jpeg", quality=95))
        assert small.warnings == large.warnings == ()
        assert len(small.data) < len(large.data) / 2


def test_a_turned_picture_is_as_wide_as_was_asked(capturing: Callable[..., Capture]) -> None:
    with capturing(Sensor(), rotate=90) as capture:
        (taken,) = capture.shoot(ShotOptions(width=120))
        assert (taken.width, taken.height, taken.warnings) == (120, 160, ())


BLACK = np.zeros_like(SCENE)
FAULTS: dict[type[FaultyFrame], Pixels] = {
    DarkFrame: BLACK,
    OverexposedFrame: np.full_like(SCENE, 255),
    CoveredFrame: np.full_like(SCENE, 90),
    BlurredFrame: cast("Pixels", cv2.GaussianBlur(SCENE, (0, 0), 8)),
}


@pytest.mark.parametrize("kind", FAULTS, ids=lambda kind: kind.code)
def test_a_fault_fails_or_is_a_warning_or_is_nobody_s_business(
    capturing: Callable[..., Capture],
    kind: type[FaultyFrame],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setattr("objectclassification.capture.frames.REWARM_S", 0.1)
    with capturing(Sensor(shows=lambda _: FAULTS[kind])) as capture:
        with pytest.raises(kind) as caught:
            capture.take()
        assert caught.value.code == kind.code
        assert not (tmp_path / "x.png").exists()
        (taken,) = capture.shoot(ShotOptions(check="warn"))
        assert taken.warnings[0].startswith(f"{kind.code}: it ")
        assert capture.shoot(ShotOptions(check="off"))[0].warnings == ()


def test_a_camera_s_own_word_counts_where_a_snap_says_nothing(
    capturing: Callable[..., Capture],
) -> None:
    with capturing(Sensor(shows=lambda _: BLACK), check="warn") as capture:
        assert capture.take().warnings[0].startswith("dark: ")


@pytest.mark.parametrize("live", [True, False])
def test_a_moment_later_there_is_something(capturing: Callable[..., Capture], live: bool) -> None:
    # One picture more is all that a source is asked for that makes them one by one.
    dark = 30 if live else 1
    sensor = Sensor(shows=lambda number: BLACK if number < dark else SCENE, live=live)
    with capturing(sensor) as capture:
        taken = capture.take()
        assert brightness(taken.data) > 50
        assert taken.camera_ms["retry"] > 0


def test_a_good_frame_of_a_burst_is_better_than_a_sharp_black_one(
    capturing: Callable[..., Capture],
) -> None:
    sensor = Sensor(shows=lambda number: SCENE if number % 3 == 1 else BLACK)
    with capturing(sensor) as capture:
        (taken,) = capture.shoot(ShotOptions(burst=3))
        assert brightness(taken.data) > 50
        assert "retry" not in taken.camera_ms


def test_a_file_is_not_taken_twice(capturing: Callable[..., Capture]) -> None:
    sensor = Sensor(shows=lambda _: BLACK, freshness="replay", live=False)
    with capturing(sensor) as capture:
        with pytest.raises(DarkFrame):
            capture.take()
    assert sensor.exposed == 1


class TestFrozen:
    @pytest.fixture(autouse=True)
    def soon(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(checks, "FROZEN_S", 0.1)

    @pytest.mark.parametrize("live", [True, False])
    def test_the_last_picture_again(self, capturing: Callable[..., Capture], live: bool) -> None:
        sensor = Sensor(noise=False, live=live)
        with capturing(sensor) as capture:
            capture.take()
            capture.shoot(ShotOptions(burst=5))  # frames of one moment may be the same
            time.sleep(0.15)
            (taken,) = capture.shoot(ShotOptions(check="warn"))
            assert taken.warnings[0].startswith("frozen: it gave the picture of the last snap")
            opened = sensor.opened
            with pytest.raises(FrozenFrame):
                capture.take()
            assert sensor.opened == opened + 1, "it was opened once more for that"
            sensor.noise = True
            assert capture.take().warnings == ()

    def test_opening_it_again_helps(self, capturing: Callable[..., Capture]) -> None:
        sensor = Sensor(noise=False)
        sensor.shows = lambda _: exposed(OWN_MS + sensor.opened)
        with capturing(sensor) as capture:
            first = capture.take()
            time.sleep(0.15)
            second = capture.take()
        assert sensor.opened == 2
        assert first.data != second.data
        assert second.camera_ms["retry"] > 0

    def test_a_sensor_has_noise_and_a_file_is_what_it_is(
        self, capturing: Callable[..., Capture]
    ) -> None:
        for sensor in (Sensor(), Sensor(noise=False, freshness="replay", live=False)):
            with capturing(sensor, keep_warm_s=math.inf) as capture:
                for _ in range(3):
                    assert capture.take().warnings == ()
                    time.sleep(0.15)
            assert sensor.opened == 1

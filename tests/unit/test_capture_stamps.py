"""When a frame was exposed: the driver's word, and a stream's own time stamps."""

from __future__ import annotations

import pytest

from objectclassification.capture.device import stamp_of
from objectclassification.capture.stream import Delay

FPS = 30


@pytest.mark.parametrize(
    ("driver_s", "freshness", "taken_at"),
    [
        (99.98, "proven", 99.98 - 1 / FPS),  # its exposure may have begun a frame earlier
        (100.03, "proven", 100.03 - 1 / FPS),  # stamped for when its last bytes are due
        (92.0, "proven", 92.0 - 1 / FPS),  # an old buffer: its stamp says so
        (0.0, "estimated", 99.9),  # a driver without time stamps
        (1.7e9, "estimated", 99.9),  # one that gives the wall clock
        (100.5, "estimated", 99.9),
    ],
)
def test_a_driver_s_time_stamp(driver_s: float, freshness: str, taken_at: float) -> None:
    stamp = stamp_of(
        driver_s=driver_s, arrived_at=100.0, interval_s=1 / FPS, latency_s=0.1, sequence=1
    )
    assert stamp.freshness == freshness
    assert stamp.taken_at == pytest.approx(taken_at)


def delays(arrivals: list[tuple[float, float]]) -> list[float]:
    delay = Delay()
    return [delay.of(position, arrival) for position, arrival in arrivals]


def test_a_steady_stream_is_never_late() -> None:
    steady = [(n / FPS, 1000 + n / FPS) for n in range(300)]
    assert max(delays(steady)) == pytest.approx(0, abs=1e-3)


def test_jitter_is_no_more_late_than_it_is() -> None:
    jitter = [(n / FPS, 1000 + n / FPS + (0.02 if n % 3 else 0)) for n in range(300)]
    assert max(delays(jitter)) == pytest.approx(0.02, abs=1e-3)


def test_after_a_hiccup_the_backlog_is_known_to_be_old() -> None:
    """For two seconds nothing arrives, then sixty frames within a hundredth of a second."""
    before = [(n / FPS, 1000 + n / FPS) for n in range(60)]
    burst = [(n / FPS, 1004 + (n - 60) * 1e-4) for n in range(60, 120)]
    after = [(n / FPS, 1000 + n / FPS) for n in range(120, 150)]
    got = delays(before + burst + after)
    for number in range(60, 120):
        truly_late = burst[number - 60][1] - (1000 + number / FPS)
        assert got[number] == pytest.approx(truly_late, abs=0.01)
    assert max(got[120:]) < 0.01


def test_clocks_that_drift_apart_do_not_make_frames_old() -> None:
    slow = [(n / FPS * (1 - 1e-4), 1000 + n / FPS) for n in range(FPS * 3600)]
    assert max(delays(slow)) < 0.01


def test_time_stamps_that_are_wrong_are_given_up() -> None:
    """A camera that counts 25 frames a second and sends 20: its frames are not ever older."""
    wrong = [(n / 25, 1000 + n / 20) for n in range(20 * 120)]
    got = delays(wrong)
    assert max(got) < 2.0
    assert delays([(0.0, 1000 + n / FPS) for n in range(300)]) == [0.0] * 300


def test_a_stream_that_starts_over_is_fresh() -> None:
    again = [(n % 100 / FPS, 1000 + n / FPS) for n in range(300)]
    assert max(delays(again)) < 0.01

"""When clients come back: later each time, and never all at once."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from objectclassification.client.backoff import (
    FIRST_PAUSE_S,
    LONGEST_PAUSE_S,
    RESTART_PAUSES_S,
    RESTART_S,
    Backoff,
    growing_pause_s,
    spread_wait_s,
)


@given(st.integers(0, 10_000))
def test_pauses_grow_to_their_longest_and_no_further(failures: int) -> None:
    pause_s = growing_pause_s(failures)
    assert FIRST_PAUSE_S / 2 <= pause_s <= LONGEST_PAUSE_S
    if failures > 6:  # 0.5 s, doubled six times, is over 30 s
        assert pause_s >= LONGEST_PAUSE_S / 2


def test_a_welcome_begins_the_pauses_anew() -> None:
    backoff = Backoff()
    for _ in range(20):
        backoff.next_pause_s(0.0)
    backoff.welcomed()
    assert backoff.next_pause_s(0.0) <= FIRST_PAUSE_S


def test_a_hub_that_restarts_is_waited_for_in_short_pauses_only_so_long() -> None:
    backoff = Backoff()
    backoff.restarts(100.0)
    least, most = RESTART_PAUSES_S
    pauses = [backoff.next_pause_s(100.0 + second) for second in range(int(RESTART_S))]
    assert all(least <= pause <= most for pause in pauses)
    assert backoff.next_pause_s(100.0 + RESTART_S) <= FIRST_PAUSE_S


@given(st.floats(0.001, 60))
def test_nobody_comes_before_the_server_said(wait_s: float) -> None:
    assert wait_s <= spread_wait_s(wait_s) <= 2 * wait_s


def test_whoever_was_told_the_same_time_does_not_come_at_the_same_time() -> None:
    came = Counter(int(spread_wait_s(5.0) * 2) for _ in range(1000))
    assert len(came) >= 10, "ten halves of a second"
    assert max(came.values()) < 200

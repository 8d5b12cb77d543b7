"""The bars of a shot's stages."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from objectclassification.receipts import Shot
from objectclassification.web.waterfall import LEAST_PERCENT, STAGES, span_ms, waterfall

TIMES = st.dictionaries(st.sampled_from(("requested", *STAGES)), st.floats(0, 1e8))


def test_each_stage_begins_where_the_one_before_ended() -> None:
    times = {"requested": 0.0, "delivered": 10.0, "captured": 40.0, "classified": 100.0}
    shot = Shot(camera="door", state="classified", elapsed_ms=times)
    bars = [(bar.stage, bar.took_ms, bar.begin, bar.length) for bar in waterfall(shot, 200)]
    assert bars == [
        ("delivered", 10, 0, 5),
        ("captured", 30, 5, 15),
        ("classified", 60, 20, 30),
    ]


def test_an_upload_that_was_faster_than_its_report_takes_no_time() -> None:
    times = {"captured": 50.0, "uploaded": 45.0, "classified": 60.0}
    shot = Shot(camera="door", state="classified", elapsed_ms=times)
    assert [bar.took_ms for bar in waterfall(shot, span_ms([shot]))] == [50, 0, 10]


@given(TIMES)
def test_bars_stay_on_their_line(times: dict[str, float]) -> None:
    shot = Shot(camera="door", state="failed", elapsed_ms=times)
    bars = waterfall(shot, span_ms([shot]))
    assert [bar.stage for bar in bars] == [stage for stage in STAGES if stage in times]
    for bar in bars:
        assert bar.took_ms >= 0
        assert 0 <= bar.begin <= 100 - LEAST_PERCENT
        assert LEAST_PERCENT <= bar.length
        assert bar.begin + bar.length <= 100 + LEAST_PERCENT
    longest = max(times.values(), default=0)
    assert sum(bar.took_ms for bar in bars) == pytest.approx(
        max((times[stage] for stage in STAGES if stage in times), default=0)
    )
    assert span_ms([shot]) == (longest or 1)

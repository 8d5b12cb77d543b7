"""The plain histogram, and what Prometheus makes of it."""

from __future__ import annotations

from objectclassification.histogram import Histogram
from objectclassification.metrics.families import histogram


def test_a_value_counts_at_the_first_bound_that_it_does_not_pass() -> None:
    values = Histogram((0.1, 1.0))
    for value in (0.0, 0.1, 0.11, 1.0, 1.01, 50.0):
        values.add(value)
    assert values.counts == [2, 2, 2]
    assert values.sum == 52.22


def test_buckets_add_up() -> None:
    values = Histogram((0.1, 1.0))
    for value in (0.05, 0.5, 5.0):
        values.add(value)
    samples = {
        (sample.name.rpartition("_")[2], sample.labels.get("le")): sample.value
        for sample in histogram("wait_seconds", "A wait.", values).samples
    }
    assert samples == {
        ("bucket", "0.1"): 1,
        ("bucket", "1.0"): 2,
        ("bucket", "+Inf"): 3,
        ("count", None): 3,
        ("sum", None): 5.55,
    }

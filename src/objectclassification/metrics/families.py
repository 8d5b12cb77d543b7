"""Plain numbers as Prometheus' metric families, under one prefix."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import accumulate

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)

from objectclassification.histogram import Histogram

PREFIX = "objectclassification"


def counter(name: str, text: str, value: float) -> Metric:
    """A number that only grows; ``_total`` is added to its name."""
    return CounterMetricFamily(f"{PREFIX}_{name}", text, value=value)


def counters(name: str, text: str, label: str, values: Mapping[str, float]) -> Metric:
    """Numbers that only grow, by one label."""
    family = CounterMetricFamily(f"{PREFIX}_{name}", text, labels=[label])
    for key, value in values.items():
        family.add_metric([key], value)
    return family


def gauge(name: str, text: str, value: float) -> Metric:
    """A number that goes up and down."""
    return GaugeMetricFamily(f"{PREFIX}_{name}", text, value=value)


def gauges(name: str, text: str, label: str, values: Mapping[str, float]) -> Metric:
    """Numbers that go up and down, by one label."""
    family = GaugeMetricFamily(f"{PREFIX}_{name}", text, labels=[label])
    for key, value in values.items():
        family.add_metric([key], value)
    return family


def histogram(name: str, text: str, values: Histogram) -> Metric:
    """How often a value was at most each bound."""
    family = HistogramMetricFamily(f"{PREFIX}_{name}", text)
    family.add_metric([], _buckets(values), values.sum)
    return family


def histograms(name: str, text: str, label: str, values: Mapping[str, Histogram]) -> Metric:
    """Histograms by one label."""
    family = HistogramMetricFamily(f"{PREFIX}_{name}", text, labels=[label])
    for key, value in values.items():
        family.add_metric([key], _buckets(value), value.sum)
    return family


def _buckets(values: Histogram) -> list[tuple[str, float]]:
    bounds = [*map(str, values.bounds), "+Inf"]
    return list(zip(bounds, accumulate(values.counts), strict=True))

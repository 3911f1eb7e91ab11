"""Counts of the hot path as plain numbers, shown to Prometheus when it asks: an observation costs no lock."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from recount.metrics import SECONDS_BUCKETS, Spec

FASTEST: Final = SECONDS_BUCKETS[0]  # nearly every observation belongs there


class Histogram:
    """Seconds in the catalogue's buckets; two threads may lose an observation to each other."""

    def __init__(self) -> None:
        self.buckets = [0] * (len(SECONDS_BUCKETS) + 1)
        self.sum_seconds = 0.0

    def observe(self, seconds: float) -> None:
        self.buckets[0 if seconds <= FASTEST else bisect_left(SECONDS_BUCKETS, seconds)] += 1
        self.sum_seconds += seconds

    def cumulative(self) -> list[tuple[str, float]]:
        """(upper bound, observations up to it) as the exposition format wants them."""
        total = 0
        rows = []
        for bound, count in zip([*map(str, SECONDS_BUCKETS), "+Inf"], self.buckets, strict=True):
            total += count
            rows.append((bound, float(total)))
        return rows


class Tallies(Collector):
    """Counters and histograms that live elsewhere, by the Spec that names them (one label each)."""

    def __init__(self) -> None:
        self._counters: list[tuple[Spec, Callable[[], Mapping[str, int]]]] = []
        self._histograms: list[tuple[Spec, Mapping[str, Histogram]]] = []

    def add_counter(self, spec: Spec, read: Callable[[], Mapping[str, int]]) -> None:
        self._counters.append((spec, read))

    def add_histogram(self, spec: Spec, by_label: Mapping[str, Histogram]) -> None:
        self._histograms.append((spec, by_label))

    def collect(self) -> Iterable[Metric]:
        for spec, read in self._counters:
            counter = CounterMetricFamily(spec.name, spec.help, labels=spec.labels)
            for label, value in dict(read()).items():
                counter.add_metric([label], value)
            yield counter
        for spec, by_label in self._histograms:
            family = HistogramMetricFamily(spec.name, spec.help, labels=spec.labels)
            for label, histogram in by_label.items():
                family.add_metric([label], histogram.cumulative(), histogram.sum_seconds)
            yield family

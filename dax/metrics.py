"""What the node counts, as plain numbers while it works, and as Prometheus metrics when asked."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Final

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.metrics_core import Metric
from prometheus_client.process_collector import ProcessCollector

from dax.cache import Lru, QueryKey

BOUNDS_S: Final = (
    0.000_025, 0.000_05, 0.000_1, 0.000_25, 0.000_5,
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0,
)  # fmt: skip

AnyLru = Lru[bytes] | Lru[QueryKey]
Family = type[CounterMetricFamily] | type[GaugeMetricFamily]

_PER_CACHE: Final[tuple[tuple[Family, str, str, Callable[[AnyLru], float]], ...]] = (
    (CounterMetricFamily, "hits", "Reads answered from the cache", lambda cache: cache.counts.hits),
    (CounterMetricFamily, "misses", "Reads that went to DynamoDB", lambda cache: cache.counts.misses),
    (CounterMetricFamily, "evictions", "Entries forgotten for space", lambda cache: cache.counts.evicted),
    (CounterMetricFamily, "expired", "Entries found past their time", lambda cache: cache.counts.expired),
    (GaugeMetricFamily, "entries", "Entries held", len),
    (GaugeMetricFamily, "bytes", "Memory held", lambda cache: cache.size_bytes),
    (GaugeMetricFamily, "limit_bytes", "Memory allowed", lambda cache: cache.limits.bytes_max),
)


class Timing:
    """A histogram of seconds."""

    __slots__ = ("counts", "sum_s")

    def __init__(self) -> None:
        self.counts = [0] * (len(BOUNDS_S) + 1)
        self.sum_s = 0.0

    def observe(self, seconds: float) -> None:
        self.counts[bisect_left(BOUNDS_S, seconds)] += 1
        self.sum_s += seconds

    def buckets(self) -> list[tuple[str, float]]:
        """Cumulated, as Prometheus wants them."""
        found, total = [], 0
        for bound, count in zip([*map(str, BOUNDS_S), "+Inf"], self.counts, strict=True):
            total += count
            found.append((bound, float(total)))
        return found


class Stats:
    """Everything counted since the start, but for what the caches count themselves."""

    def __init__(self) -> None:
        self.requests: dict[str, Timing] = {}
        self.calls: dict[str, Timing] = {}
        self.errors: Counter[tuple[str, str]] = Counter()
        self.connections = 0
        self.connections_refused = 0
        self.flushes = 0

    def request(self, operation: str) -> Timing:
        return self.requests.setdefault(operation, Timing())

    def call(self, operation: str) -> Timing:
        return self.calls.setdefault(operation, Timing())


class Exposition:
    """The node's metrics in the text format of Prometheus."""

    content_type = CONTENT_TYPE_LATEST

    def __init__(self, stats: Stats, caches: Mapping[str, AnyLru]) -> None:
        self._stats = stats
        self._caches = caches
        self._registry = CollectorRegistry()
        self._registry.register(self)
        ProcessCollector(registry=self._registry)

    def text(self) -> bytes:
        return generate_latest(self._registry)

    def collect(self) -> Iterator[Metric]:
        stats = self._stats
        yield from (self._of_caches(*row) for row in _PER_CACHE)
        yield _histogram("dax_request_seconds", "From a request's last byte to its answer", stats.requests)
        yield _histogram("dax_dynamodb_call_seconds", "Time of a call of DynamoDB", stats.calls)
        errors = CounterMetricFamily("dax_errors", "Answers that are errors", labels=("operation", "code"))
        for labels, count in list(stats.errors.items()):
            errors.add_metric(labels, count)
        yield errors
        yield GaugeMetricFamily("dax_connections", "Connections now open", stats.connections)
        refused = stats.connections_refused
        yield CounterMetricFamily("dax_connections_refused", "Connections past the limit", refused)
        yield CounterMetricFamily("dax_flushes", "Times the caches were flushed", stats.flushes)

    def _of_caches(self, family: Family, name: str, text: str, of: Callable[[AnyLru], float]) -> Metric:
        metric = family(f"dax_cache_{name}", text, labels=("cache",))
        for label, cache in self._caches.items():
            metric.add_metric((label,), of(cache))
        return metric


def _histogram(name: str, text: str, timings: dict[str, Timing]) -> Metric:
    metric = HistogramMetricFamily(name, text, labels=("operation",))
    for operation, timing in list(timings.items()):
        metric.add_metric((operation,), timing.buckets(), timing.sum_s)
    return metric

"""Every metric that Recount exposes, in one typed catalogue, and the registry a service builds at start."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST


@dataclass(frozen=True)
class Spec:
    """Name (unit last), what it tells an operator, and its labels; histograms have bucket bounds."""

    name: str
    help: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()


SECONDS_BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)

INGEST_EVENTS: Final = Spec("recount_ingest_events_total", "Events taken at the door", ("source_kind",))
INGEST_DROPPED: Final = Spec("recount_ingest_dropped_total", "Events refused at the door", ("reason",))
INGEST_REQUEST_SECONDS: Final = Spec(
    "recount_ingest_request_seconds", "Time to answer", ("route",), SECONDS_BUCKETS
)
SPOOL_BYTES: Final = Spec("recount_spool_bytes", "Bytes waiting in the spool", ("spool",))
SPOOL_SHIPPED: Final = Spec("recount_spool_shipped_total", "Events shipped from spools to Kafka", ())
SPOOL_OLDEST_SECONDS: Final = Spec("recount_spool_oldest_seconds", "Age of the oldest unshipped event", ())
SPOOL_QUARANTINED: Final = Spec(
    "recount_spool_quarantined_total", "Pieces of spools that could not be shipped, kept in files", ("cause",)
)
SPOOL_MISSING: Final = Spec(
    "recount_spool_missing_total", "Sequence numbers that a spool should hold and does not", ()
)
EVENT_SOURCE_RECORDS: Final = Spec(
    "recount_event_source_records_total", "Records handed to a Lambda", ("function", "outcome")
)
EVENT_SOURCE_LAG: Final = Spec(
    "recount_event_source_lag_records", "Records not yet processed", ("function", "topic", "partition")
)
EVENT_SOURCE_SECONDS: Final = Spec(
    "recount_event_source_invoke_seconds", "Duration of an invocation", ("function",), SECONDS_BUCKETS
)
LIVE_EVENTS: Final = Spec("recount_live_events_total", "Events folded into live rollups", ())
LIVE_LAG: Final = Spec("recount_live_lag_records", "Records behind the topic's end", ("partition",))
LIVE_DELAY_SECONDS: Final = Spec(
    "recount_live_delay_seconds", "Received at the door until visible", (), SECONDS_BUCKETS
)
LIVE_STREAMS: Final = Spec("recount_live_streams", "Streams of server-sent events now open", ())
LIVE_EVICTED: Final = Spec("recount_live_evicted_total", "Rows folded away to stay within memory limits", ())
AUTOSCALE_LOAD: Final = Spec(
    "recount_autoscale_load_per_second", "Requests (ingest) or records (live) per second", ("service",)
)
AUTOSCALE_BACKLOG: Final = Spec("recount_autoscale_backlog_records", "Records not read yet", ("service",))
AUTOSCALE_INSTANCES: Final = Spec(
    "recount_autoscale_instances", "Instances before the decision", ("service",)
)
AUTOSCALE_WANTED: Final = Spec("recount_autoscale_wanted_instances", "Instances as decided", ("service",))
AUTOSCALE_BLIND: Final = Spec(
    "recount_autoscale_blind", "1 while the load of a service is not known: nothing is changed", ("service",)
)
AUTOSCALE_CHANGES: Final = Spec(
    "recount_autoscale_changes_total", "Decisions to change something", ("service", "direction", "mode")
)
DEAD_LETTERS: Final = Spec("recount_dead_letters_total", "Records quarantined", ("reason",))
DAX_READS: Final = Spec(
    "recount_dax_reads_total",
    "Items of segments by where they were found; denied: named by an index and not in DAX, an alarm",
    ("outcome",),
)
QUERY_SECONDS: Final = Spec("recount_query_seconds", "Time to answer a query", ("route",), SECONDS_BUCKETS)
SCAN_SECONDS: Final = Spec(
    "recount_scan_seconds", "Time to answer from the archive", ("kind",), SECONDS_BUCKETS
)
SCAN_BYTES: Final = Spec("recount_scan_bytes_total", "Compressed bytes read from the archive", ("kind",))
SCAN_REFUSED: Final = Spec(
    "recount_scan_refused_total", "Scans not finished: busy, too_slow, too_large, cancelled", ("reason",)
)
SCANS_PRESENT: Final = Spec("recount_scans_present", "Scans of the archive, running or waiting")


class Metrics:
    """The registry of one service; asking twice for the same Spec gives the same metric."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._made: dict[str, Counter | Gauge | Histogram] = {}

    def counter(self, spec: Spec) -> Counter:
        made = self._made.get(spec.name) or self._keep(
            spec, Counter(spec.name, spec.help, spec.labels, registry=self.registry)
        )
        assert isinstance(made, Counter)
        return made

    def gauge(self, spec: Spec) -> Gauge:
        made = self._made.get(spec.name) or self._keep(
            spec, Gauge(spec.name, spec.help, spec.labels, registry=self.registry)
        )
        assert isinstance(made, Gauge)
        return made

    def histogram(self, spec: Spec) -> Histogram:
        made = self._made.get(spec.name) or self._keep(
            spec, Histogram(spec.name, spec.help, spec.labels, registry=self.registry, buckets=spec.buckets)
        )
        assert isinstance(made, Histogram)
        return made

    def exposition(self) -> tuple[bytes, str]:
        """The body and content type of /metrics."""
        return generate_latest(self.registry), CONTENT_TYPE_LATEST

    def _keep(self, spec: Spec, metric: Counter | Gauge | Histogram) -> Counter | Gauge | Histogram:
        self._made[spec.name] = metric
        return metric

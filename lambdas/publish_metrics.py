"""Lambda: topic `events` -> CloudWatch metrics of one second's resolution.

Operational numbers, by the second in which the door took the events; never reconciled with published ones.
Imports are left out. The mapping is set to give up after two tries (`MAX_TRIES`): a late metric helps nobody.
"""

from __future__ import annotations

import functools
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import boto3
import msgspec
import structlog
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from lambdas import payload
from recount import logs
from recount.errors import Unavailable
from recount.settings import Settings

if TYPE_CHECKING:
    from mypy_boto3_cloudwatch import CloudWatchClient
    from mypy_boto3_cloudwatch.type_defs import MetricDatumTypeDef

log = structlog.get_logger()

NAMESPACE: Final = "Recount"
MAX_TRIES: Final = 2  # what deployments configure on the event source mapping
DATUMS_MAX: Final = 1000  # a PutMetricData call takes no more
VALUES_MAX: Final = 150  # distinct values of one datum
SECONDS_MAX: Final = 300  # a batch that spans more (after an outage) is counted by the minute
SITES_MAX: Final = 10  # metrics cost money each
AGE_MAX_MS: Final = 14 * 86_400_000  # CloudWatch refuses what is older


class _Seen(msgspec.Struct, gc=False):
    """The few fields that are counted."""

    site: str
    received: int
    kind: str
    source_kind: str


_decode: Final = msgspec.json.Decoder(_Seen).decode


@dataclass
class Bucket:
    """What the door took in one second (or minute)."""

    events: int = 0
    pageviews: int = 0
    size_bytes: int = 0
    delays_ms: Counter[int] = field(default_factory=Counter)  # from the door to the topic
    sites: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True)
class App:
    """What an invocation needs from outside; made once a process."""

    put: Callable[[Sequence[MetricDatumTypeDef]], None]
    sites: frozenset[str]
    now_ms: Callable[[], int]

    @classmethod
    def start(cls, settings: Settings) -> App:
        logs.configure(settings.log_level)
        sites = [name for name in settings.metric_sites.split(",") if name][:SITES_MAX]
        put = functools.partial(_put, _client(settings))
        return cls(put, frozenset(sites), lambda: time.time_ns() // 1_000_000)


def handler(event: payload.KafkaPayload, context: object) -> dict[str, Any]:
    """The entry point that Lambda calls; raises Unavailable while CloudWatch is away."""
    return publish(_app(), event)


def publish(app: App, event: payload.KafkaPayload) -> dict[str, Any]:
    """Publish the metrics of one payload."""
    records = payload.records(event)
    data = datums(records, sites=app.sites, now_ms=app.now_ms())
    for at in range(0, len(data), DATUMS_MAX):
        app.put(data[at : at + DATUMS_MAX])
    log.info("published", records=len(records.values), datums=len(data))
    return {"records": len(records.values), "datums": len(data)}


def datums(records: payload.Records, *, sites: frozenset[str], now_ms: int) -> list[MetricDatumTypeDef]:
    """Pure: records to PutMetricData's list, ordered by time; `sites` get a metric of their own."""
    seen = [entry for entry in _readable(records) if now_ms - entry[0].received < AGE_MAX_MS]
    seconds = {event.received // 1000 for event, _, _ in seen}
    step_s = 1 if len(seconds) <= SECONDS_MAX else 60
    buckets: defaultdict[int, Bucket] = defaultdict(Bucket)
    for event, size_bytes, appended_ms in seen:
        bucket = buckets[event.received // 1000 // step_s * step_s]
        bucket.events += 1
        bucket.pageviews += event.kind == "pageview"
        bucket.size_bytes += size_bytes
        bucket.delays_ms[rounded_ms(max(0, appended_ms - event.received))] += 1
        if event.site in sites:
            bucket.sites[event.site] += 1
    return [datum for second in sorted(buckets) for datum in _bucket_datums(second, buckets[second])]


def rounded_ms(delay_ms: int) -> int:
    """Two significant digits: exact enough for percentiles, and few distinct values."""
    step = 1
    while delay_ms // step >= 100:
        step *= 10
    return delay_ms // step * step


def _readable(records: payload.Records) -> Iterator[tuple[_Seen, int, int]]:
    """Live events that can be read; the others are `store_batches`' to quarantine, not counted here."""
    for value, appended_ms in zip(records.values, records.appended_ms, strict=True):
        try:
            event = _decode(value)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            continue
        if event.source_kind != "import":
            yield event, len(value), appended_ms


def _bucket_datums(second: int, bucket: Bucket) -> Iterator[MetricDatumTypeDef]:
    at = datetime.fromtimestamp(second, UTC)
    yield _datum("EventsReceived", at, [bucket.events], [1], "Count")
    yield _datum("PageViews", at, [bucket.pageviews], [1], "Count")
    yield _datum("Bytes", at, [bucket.size_bytes], [1], "Bytes")
    delays = bucket.delays_ms.most_common()
    for start in range(0, len(delays), VALUES_MAX):
        values, counts = zip(*delays[start : start + VALUES_MAX], strict=True)
        yield _datum("Delay", at, values, counts, "Milliseconds")
    for site, count in sorted(bucket.sites.items()):
        yield _datum("EventsReceived", at, [count], [1], "Count") | {
            "Dimensions": [{"Name": "Site", "Value": site}]
        }


def _datum(
    name: str, at: datetime, values: Iterable[int], counts: Iterable[int], unit: str
) -> MetricDatumTypeDef:
    return {
        "MetricName": name,
        "Timestamp": at,
        "Values": [float(v) for v in values],
        "Counts": [float(c) for c in counts],
        "Unit": unit,  # type: ignore[typeddict-item] # the stub wants a literal
        "StorageResolution": 1,
    }


def _put(client: CloudWatchClient, data: Sequence[MetricDatumTypeDef]) -> None:
    try:
        client.put_metric_data(Namespace=NAMESPACE, MetricData=data)
    except (ClientError, BotoCoreError) as error:
        raise Unavailable("cloudwatch", str(error)) from error


def _client(settings: Settings) -> CloudWatchClient:
    config = Config(connect_timeout=2, read_timeout=10, retries={"mode": "standard", "max_attempts": 2})
    if not settings.cloudwatch:
        return boto3.client("cloudwatch", region_name=settings.aws_region, config=config)
    return boto3.client(
        "cloudwatch",
        endpoint_url=settings.cloudwatch,
        region_name=settings.aws_region,
        aws_access_key_id="local",
        aws_secret_access_key="local",
        config=config,
    )


@functools.cache
def _app() -> App:
    return App.start(Settings.from_env())

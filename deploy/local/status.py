"""What `recount status` shows: parts and health, addresses, consumer lag, what is published."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from deploy.local import health
from deploy.local.control import Control, NotRunning
from deploy.local.front import collecting_url, dagster_url
from deploy.local.instance import ports_of
from deploy.local.layout import Layout, Manifest
from deploy.local.parts import all_parts
from edge.front import LOOPBACK
from recount.errors import RecountError
from recount.settings import Settings

KAFKA_TIMEOUT_S: Final = 5.0


@dataclass(frozen=True)
class Status:
    """Everything; `lag`: records behind by consumer group, `published_until`: newest published hour."""

    parts: list[health.Health]
    urls: dict[str, str]
    lag: dict[str, int] = field(default_factory=dict)
    published_until: str | None = None

    @property
    def healthy(self) -> bool:
        return all(part.healthy for part in self.parts)


def take(manifest: Manifest) -> Status:
    """Ask everything; also where nothing runs."""
    settings = manifest.settings
    parts = all_parts(settings, manifest.instances)
    layout = Layout.of(settings)
    try:
        running = Control(layout).running()
    except NotRunning:
        running = {}
    ports = {
        part.name: ports_of(layout, running[part.name].pids) if part.name in running else []
        for part in parts
        if part.scalable
    }
    states = health.check_all(settings, parts, running, ports)
    well = {state.name for state in states if state.healthy}
    return Status(
        parts=states,
        urls=urls(settings),
        lag=consumer_lag(settings) if "kafka" in well else {},
        published_until=newest_published_hour(settings) if "dynamodb" in well else None,
    )


def urls(settings: Settings) -> dict[str, str]:
    """Where each part is reached."""

    def http(port: int) -> str:
        return f"http://{settings.host}:{port}"

    return {
        "front": collecting_url(settings),
        "ingest": http(settings.ingest_port),
        "live": http(settings.live_port),
        "dashboard": http(settings.dashboard_port),
        "dagster": dagster_url(settings),
        "kafka": settings.kafka,
        "dynamodb": settings.dynamodb,
        **({"dax": http(settings.dax_http_port)} if settings.dax else {}),
        "cloudwatch": settings.cloudwatch,
        "consul": settings.consul,
        "traefik": f"http://{LOOPBACK}:{settings.traefik_admin_port}/dashboard/",
        "haproxy": f"http://{LOOPBACK}:{settings.front_admin_port}",
        "shipper": http(settings.shipper_port),
        "autoscaler": http(settings.autoscaler_port),
        "store_batches": http(settings.store_batches_port),
        "publish_metrics": http(settings.publish_metrics_port),
    }


def snippet(settings: Settings, site: str) -> str:
    """What goes into a page of the site."""
    return f'<script defer data-site="{site}" src="{collecting_url(settings)}/recount.js"></script>'


def consumer_lag(settings: Settings) -> dict[str, int]:
    """Records between a group's commits and the end of its topics, by group; empty where Kafka is away."""
    from confluent_kafka import KafkaException

    from recount import kafka

    try:
        groups = kafka.group_names(settings, KAFKA_TIMEOUT_S)
        ends = kafka.offset_ranges(settings, kafka.source_partitions(settings))
        lags = {group: _lag_of(settings, group, ends) for group in groups}
    except (KafkaException, RecountError):
        return {}
    return {name: lag for name, lag in lags.items() if lag is not None}


def _lag_of(settings: Settings, group: str, ends: dict[tuple[str, int], tuple[int, int]]) -> int | None:
    from recount import kafka

    client = kafka.consumer(settings, group)
    try:
        return kafka.lag_by(client, ends, KAFKA_TIMEOUT_S)
    finally:
        client.close()


def newest_published_hour(settings: Settings) -> str | None:
    """Hour key of the newest published hour; None before the first, or where the store cannot say."""
    from recount.store.manifests import Manifests
    from recount.store.tables import open_tables

    manifests = Manifests(open_tables(settings).manifests)
    try:
        root = manifests.current()
        if root is None or not root.months:
            return None
        month = max(root.months)
        periods = manifests.manifest(month, root.months[month]).periods
    except RecountError:
        return None
    hours = [key for key, entry in periods.items() if key.startswith("hour/") and entry.open_until is None]
    return max(hours).removeprefix("hour/") if hours else None


def as_json(status: Status) -> Mapping[str, object]:
    """The object that scripts and tests read."""
    return {
        "parts": [
            {"name": p.name, "healthy": p.healthy, "port": p.port, "detail": p.detail} for p in status.parts
        ],
        "urls": status.urls,
        "lag": status.lag,
        "published_until": status.published_until,
    }

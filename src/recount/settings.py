"""Settings: read once, at the entry point, from `RECOUNT_*` variables, and passed in.

`Settings.to_env()` is the exact inverse of `Settings.from_env()`: that is how the stack hands its settings to
the parts it starts.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Final

from recount.errors import SetupError

DAGSTER_PREFIX: Final = "/dagster"  # of every page of Dagster, so that it can stand behind the front


@dataclass(frozen=True, kw_only=True)
class Settings:
    """One field a setting; the variable is `RECOUNT_` + the field's name in capitals."""

    state: Path = Path(".recount")
    host: str = "127.0.0.1"

    kafka: str = "127.0.0.1:9092"
    kafka_partitions: int = 6
    kafka_retention_ms: int = 7 * 24 * 3_600_000
    dynamodb: str = "http://127.0.0.1:8001"
    dax: str = "127.0.0.1:8111"  # host:port, or daxs://host:port; empty: segments are read from DynamoDB
    dax_http_port: int = 8112  # health and metrics of the local node
    cloudwatch: str = "http://127.0.0.1:5000"
    aws_region: str = "eu-central-1"
    table_prefix: str = "recount-"
    archive: str = ""  # a folder or s3://bucket/prefix; empty: <state>/archive

    ingest_port: int = 8080
    live_port: int = 8180
    dashboard_port: int = 8280
    dagster_port: int = 3000
    shipper_port: int = 8070
    store_batches_port: int = 8071
    publish_metrics_port: int = 8072
    front_url: str = ""  # what visitors' browsers reach; empty: the front on this machine

    front_port: int = 8000  # HAProxy, the one address of a deployment
    front_admin_port: int = 8404  # its statistics and metrics
    front_certificate: str = ""  # a PEM file with certificate and key; empty: plain HTTP
    front_trusted_proxies: str = ""  # balancers in front of HAProxy whose X-Forwarded-For counts
    rate_limit_per_s: int = 200  # requests of one client, on average over ten seconds; 0: no limit
    traefik_port: int = 8090
    traefik_admin_port: int = 8390  # its API, ping and metrics
    consul: str = "http://127.0.0.1:8500"  # the agent of this host
    consul_dns: str = "127.0.0.1:8600"
    consul_token: str = ""  # an ACL token, where the cluster asks for one
    autoscaler_port: int = 8073
    drain_s: int = 3  # how long a stopping instance serves on after it has left the directory

    autoscale: str = "on"  # on | dry-run | off
    autoscale_interval_s: int = 5
    ingest_min: int = 1
    ingest_max: int = 4
    live_min: int = 1
    live_max: int = 4  # and never more than partitions
    target_requests_per_s: int = 5_000  # of one ingest instance
    target_records_per_s: int = 10_000  # of one live instance
    live_lag_max_s: int = 15  # of work at that pace
    scale_up_cooldown_s: int = 15
    scale_down_cooldown_s: int = 300

    trusted_proxies: str = ""  # comma-separated addresses or networks whose X-Forwarded-For counts
    api_tokens: str = ""  # optional | required; empty: required unless `host` is of this machine alone
    api_token_requests_per_minute: int = 600  # of one token, on all dashboards together; 0: no limit
    api_client_requests_per_minute: int = 1_200  # of one address without a token; 0: no limit
    spool_max_bytes: int = 2 * 1024**3
    spool_fsync: str = "none"  # none | group: whether 202 waits for the disk, see docs/ingest.md
    geoip_file: str = ""  # a MaxMind database; empty: the built-in country table

    site_slots: int = 64
    event_slots: int = 2
    raw_shards: int = 1
    raw_ttl_days: int = 35
    archive_retention_days: int = 20 * 365  # older events are quarantined: their hours take nothing any more
    dead_retention_days: int = 90
    grace_s: int = 60
    spool_wait_s: int = 120
    reconcile_every_s: int = 30  # how often hours are looked for that are not published as they should be
    late_quiet_s: int = 60  # no new receipt of an hour for so long: then it is published again, once
    late_patience_s: int = 600  # live events that keep arriving late postpone their hour no longer than this
    import_quiet_s: int = 120  # an import is published once, when nothing was imported for so long
    import_patience_s: int = 3600
    top_values: int = 1000
    diff_thresholds: str = ""  # how far totals may move unapproved, `visitors=5%/20,...`; empty: the defaults
    live_hours: int = 3
    scan_max_bytes: int = 1024**3  # that one answer from the archive may read; exports have no such limit
    scan_running: int = 2  # scans of the archive at a time, of one dashboard instance
    scan_waiting: int = 8  # more than these that wait are refused
    export_running: int = 2  # exports of events at a time, of one dashboard instance
    scan_deadline_s: int = 60  # waiting included
    dagster_url: str = ""  # where people reach Dagster; empty: its port on `host`
    alert_webhook: str = ""  # a URL, or @ and the path of a file that holds it
    alert_slack: str = ""  # an incoming webhook of Slack, given alike
    alert_email_to: str = ""  # comma-separated
    alert_email_from: str = "recount@localhost"
    alert_smtp: str = "smtp://127.0.0.1:25"  # smtp://[user@]host[:port] or smtps://...
    alert_smtp_password_file: str = ""  # else RECOUNT_ALERT_SMTP_PASSWORD, which is no setting
    alert_sns_topic: str = ""  # an ARN
    alert_every_s: int = 30
    alert_settle_s: int = 120  # how long something has to stay away, or mended, before it is told
    alert_lag_warning_records: int = 50_000
    alert_lag_critical_records: int = 500_000
    alert_lag_warning_s: int = 60
    alert_lag_critical_s: int = 300
    alert_hour_late_s: int = 600  # after the hour's end; critical after three times that
    alert_stale_s: int = 3600
    metric_sites: str = ""  # comma-separated sites with a CloudWatch metric of their own
    log_level: str = "info"

    @classmethod
    def from_env(cls, env: Mapping[str, str] | None = None) -> Settings:
        """Raises SetupError naming the variable that cannot be read."""
        source = os.environ if env is None else env
        values: dict[str, object] = {}
        for field in fields(cls):
            name = "RECOUNT_" + field.name.upper()
            if name in source:
                values[field.name] = _read(name, source[name], type(field.default))
        return cls(**values)  # type: ignore[arg-type]

    def to_env(self) -> dict[str, str]:
        return {"RECOUNT_" + f.name.upper(): str(getattr(self, f.name)) for f in fields(self)}

    @property
    def archive_root(self) -> str:
        return self.archive or str(self.state.absolute() / "archive")

    @property
    def dagster_page(self) -> str:
        return self.dagster_url.rstrip("/") or f"http://{self.host}:{self.dagster_port}{DAGSTER_PREFIX}"

    @property
    def public_url(self) -> str:
        """Where the front door is reached."""
        scheme = "https" if self.front_certificate else "http"
        return self.front_url or f"{scheme}://{self.host}:{self.front_port}"

    @property
    def spool_root(self) -> Path:
        return self.state / "spool"

    @property
    def directory_root(self) -> Path:
        return self.state / "directory"

    @property
    def drains_root(self) -> Path:
        return self.state / "drains"


def _read(name: str, text: str, kind: type[object]) -> object:
    if kind is int:
        try:
            return int(text)
        except ValueError:
            raise SetupError(
                "settings", f"{name}={text!r} is not a whole number", f"set {name} to digits"
            ) from None
    return Path(text) if issubclass(kind, Path) else text

"""Asks the parts of a stack how they are."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final

import httpx

from deploy.local.control import Running
from deploy.local.parts import Part, Probe, code_port
from recount.settings import Settings

TIMEOUT_S: Final = 3.0
DAEMON_QUERY: Final = """
{ instance { daemonHealth { allDaemonStatuses { daemonType required healthy } } } }
"""


@dataclass(frozen=True)
class Health:
    """One line of `recount status`."""

    name: str
    healthy: bool
    port: int | None
    detail: str


class Unhealthy(Exception):
    """A part answered, and the answer is not good; the message says why in a few words."""


def check_all(
    settings: Settings,
    parts: Sequence[Part],
    running: Mapping[str, Running],
    ports: Mapping[str, Sequence[int]],
) -> list[Health]:
    """Ask all parts at once. `ports` are those of the living instances of each part that has any."""
    with ThreadPoolExecutor(max_workers=max(1, len(parts))) as pool:
        return list(pool.map(lambda part: check(settings, part, running.get(part.name), ports), parts))


def check(
    settings: Settings, part: Part, running: Running | None, ports: Mapping[str, Sequence[int]] | None = None
) -> Health:
    """Ask one part, every instance of it."""
    if running is None or not running.active or not running.pids:
        return Health(part.name, False, part.port, "not running")
    asked = (ports or {}).get(part.name) or ([] if part.port is None else [part.port])
    try:
        for port in asked or [0]:
            PROBES[part.probe](settings, port)
    except Unhealthy as error:
        return Health(part.name, False, part.port, str(error))
    except httpx.HTTPError as error:
        return Health(part.name, False, part.port, f"does not answer ({type(error).__name__})")
    detail = f"pid {', '.join(map(str, sorted(running.pids)))}"
    if len(asked) > 1:
        detail += f"; {len(asked)} instances, ports {', '.join(map(str, asked))}"
    return Health(part.name, True, part.port, detail)


def _get(settings: Settings, port: int, path: str) -> httpx.Response:
    return httpx.get(f"http://{settings.host}:{port}{path}", timeout=TIMEOUT_S, trust_env=False)


def _ready(settings: Settings, port: int) -> None:
    answer = _get(settings, port, "/readyz")
    if answer.status_code != httpx.codes.OK:
        raise Unhealthy(f"port {port}: /readyz says {answer.status_code} {answer.text.strip()[:200]}")


def _webserver(settings: Settings, port: int) -> None:
    answer = _get(settings, port, "/server_info")
    if answer.status_code != httpx.codes.OK:
        raise Unhealthy(f"/server_info says {answer.status_code}")


def _daemon(settings: Settings, _port: int) -> None:
    url = f"http://{settings.host}:{settings.dagster_port}/graphql"
    answer = httpx.post(url, json={"query": DAEMON_QUERY}, timeout=TIMEOUT_S, trust_env=False)
    if answer.status_code != httpx.codes.OK:
        raise Unhealthy("the webserver cannot say")
    states = answer.json()["data"]["instance"]["daemonHealth"]["allDaemonStatuses"]
    silent = [s["daemonType"].lower() for s in states if s["required"] and not s["healthy"]]
    if silent:
        raise Unhealthy(f"no heartbeat of {', '.join(silent)}")


def _kafka(settings: Settings, _port: int) -> None:
    from confluent_kafka import KafkaException
    from confluent_kafka.admin import AdminClient

    quiet: dict[str, Any] = {"bootstrap.servers": settings.kafka, "log_level": 0}
    try:
        brokers = AdminClient(quiet).list_topics(timeout=TIMEOUT_S).brokers
    except KafkaException as error:
        raise Unhealthy(error.args[0].str()) from error
    if not brokers:
        raise Unhealthy("no broker in its metadata")


def _aws(settings: Settings, service: str, url: str, operation: str) -> None:
    import boto3
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError, ClientError

    client = boto3.session.Session().client(
        service,  # type: ignore[call-overload]
        endpoint_url=url,
        region_name=settings.aws_region,
        aws_access_key_id="local",
        aws_secret_access_key="local",
        config=Config(
            connect_timeout=TIMEOUT_S, read_timeout=TIMEOUT_S, retries={"total_max_attempts": 1}, proxies={}
        ),
    )
    try:
        getattr(client, operation)()
    except (BotoCoreError, ClientError) as error:
        raise Unhealthy(f"{operation} fails: {error}") from error


def _grpc(settings: Settings, _port: int) -> None:
    import grpc
    from grpc_health.v1 import health_pb2, health_pb2_grpc

    with grpc.insecure_channel(f"{settings.host}:{code_port(settings)}") as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        try:
            answer = stub.Check(health_pb2.HealthCheckRequest(service="DagsterApi"), timeout=TIMEOUT_S)
        except grpc.RpcError as error:
            raise Unhealthy(f"does not answer ({type(error).__name__})") from error
    if answer.status != health_pb2.HealthCheckResponse.SERVING:
        raise Unhealthy("not serving yet")


PROBES: Final[Mapping[Probe, Callable[[Settings, int], None]]] = {
    Probe.KAFKA: _kafka,
    Probe.DYNAMODB: lambda settings, _: _aws(settings, "dynamodb", settings.dynamodb, "list_tables"),
    Probe.CLOUDWATCH: lambda settings, _: _aws(settings, "cloudwatch", settings.cloudwatch, "list_metrics"),
    Probe.READY: _ready,
    Probe.GRPC: _grpc,
    Probe.DAGSTER_WEB: _webserver,
    Probe.DAGSTER_DAEMON: _daemon,
}

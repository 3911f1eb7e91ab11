"""Asks the parts of a stack how they are."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

import httpx

from deploy.local import consul_build, nursery
from deploy.local.control import Running, listens
from deploy.local.front import dagster_url
from deploy.local.layout import Layout
from deploy.local.parts import Part, Probe
from edge.front import LOOPBACK
from recount.drains import DRAINING
from recount.settings import Settings

TIMEOUT_S: Final = 5.0
ERROR_SHOWN_MAX_CHARS: Final = 300
UNREACHABLE: Final = "DagsterUserCodeUnreachableError"  # the webserver asks again by itself
LOCATIONS_QUERY: Final = """
{ workspaceOrError { ... on Workspace { locationEntries {
    loadStatus locationOrLoadError { ... on PythonError { message } } } } } }
"""
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
    broken: bool = False  # it will not become healthy by waiting
    joining: bool = False  # it has to be made first; the others do without it until then


class Unhealthy(Exception):
    """A part answered, and the answer is not good; the message says why in a few words."""


class Broken(Unhealthy):
    """Waiting will not help."""


class Joining(Unhealthy):
    """It has to be made before it can run, which takes minutes, and joins the others then."""


class Unmade(Joining, Broken):
    """Making it failed."""


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
        broken, joining = isinstance(error, Broken), isinstance(error, Joining)
        return Health(part.name, False, part.port, str(error), broken, joining)
    except httpx.HTTPError as error:
        return Health(part.name, False, part.port, f"does not answer ({type(error).__name__})")
    detail = f"pid {', '.join(map(str, sorted(running.pids)))}"
    if len(asked) > 1:
        detail += f"; {len(asked)} instances, ports {', '.join(map(str, asked))}"
    return Health(part.name, True, part.port, detail)


@cache
def _client() -> httpx.Client:
    """One for all probes: making one loads certificates, which plain HTTP on loopback has no use for."""
    return httpx.Client(timeout=TIMEOUT_S, trust_env=False, verify=False)


def _get(settings: Settings, port: int, path: str) -> httpx.Response:
    return _client().get(f"http://{settings.host}:{port}{path}")


def _ready(settings: Settings, port: int) -> None:
    answer = _get(settings, port, "/readyz")
    if answer.status_code != httpx.codes.OK and not _drains(answer):
        raise Unhealthy(f"port {port}: /readyz says {answer.status_code} {answer.text.strip()[:200]}")


def _drains(answer: httpx.Response) -> bool:
    """An instance on its way out is well, it only wants no more requests."""
    return "json" in answer.headers.get("Content-Type", "") and answer.json().get("status") == DRAINING


def _webserver(settings: Settings, _port: int) -> None:
    """Healthy once it has loaded our definitions; a location that failed to load is not an answer."""
    entries = _graphql(settings, LOCATIONS_QUERY)["workspaceOrError"].get("locationEntries", [])
    if not entries or any(entry["loadStatus"] != "LOADED" for entry in entries):
        raise Unhealthy("loading the definitions")
    errors = [e["locationOrLoadError"].get("message", "") for e in entries]
    if any(errors):
        said = " ".join(errors).strip()
        kind = Unhealthy if UNREACHABLE in said else Broken
        raise kind(f"the definitions do not load: {said[:ERROR_SHOWN_MAX_CHARS]}")


def _daemon(settings: Settings, _port: int) -> None:
    answer = _graphql(settings, DAEMON_QUERY)
    states = answer["instance"]["daemonHealth"]["allDaemonStatuses"]
    silent = [s["daemonType"].lower() for s in states if s["required"] and not s["healthy"]]
    if silent:
        raise Unhealthy(f"no heartbeat of {', '.join(silent)}")


def _graphql(settings: Settings, query: str) -> Any:
    answer = _client().post(f"{dagster_url(settings)}/graphql", json={"query": query})
    if answer.status_code != httpx.codes.OK:
        raise Unhealthy(f"the webserver answers {answer.status_code}")
    found = answer.json()
    if not found.get("data"):
        raise Unhealthy(f"the webserver answers {found.get('errors')}"[:200])
    return found["data"]


def _nursery(settings: Settings, _port: int) -> None:
    if not listens(nursery.address(Layout.of(settings))):
        raise Unhealthy("importing")


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


def _dynamodb(settings: Settings, _port: int) -> None:
    headers = {
        "X-Amz-Target": "DynamoDB_20120810.ListTables",
        "Content-Type": "application/x-amz-json-1.0",
        "Authorization": _anybody(settings, "dynamodb"),
    }
    _expect_ok(_client().post(settings.dynamodb, content=b"{}", headers=headers))


def _dax(settings: Settings, _port: int) -> None:
    """Healthy once it reaches DynamoDB."""
    _ready(settings, settings.dax_http_port)


def _cloudwatch(settings: Settings, _port: int) -> None:
    headers = {"Authorization": _anybody(settings, "monitoring")}
    form = {"Action": "DescribeAlarms", "Version": "2010-08-01"}
    _expect_ok(_client().post(settings.cloudwatch, data=form, headers=headers))


def _consul(settings: Settings, port: int) -> None:
    """Healthy once it has a leader; before that nothing can be registered."""
    if consul_build.find() is None:
        building = consul_build.state()
        raise (Unmade if building.failed else Joining)(str(building))
    answer = _get(settings, port, "/v1/status/leader")
    if answer.status_code != httpx.codes.OK or not answer.json():
        raise Unhealthy("no leader yet")


def _traefik(settings: Settings, port: int) -> None:
    admin = settings.traefik_admin_port + port - settings.traefik_port
    answer = _client().get(f"http://{LOOPBACK}:{admin}/ping")
    if answer.status_code != httpx.codes.OK:
        raise Unhealthy(f"port {port}: /ping says {answer.status_code}")


def _haproxy(settings: Settings, port: int) -> None:
    """Healthy once it knows a Traefik, which it can only find through Consul."""
    scheme = "https" if settings.front_certificate else "http"
    answer = _client().get(f"{scheme}://{settings.host}:{port}/healthz")
    if answer.status_code != httpx.codes.OK:
        kind = Joining if consul_build.find() is None else Unhealthy
        raise kind("it knows no Traefik yet")


def _anybody(settings: Settings, service: str) -> str:
    """A signature that the local stand-ins take; a real client costs more than the start it waits for."""
    scope = f"local/20260101/{settings.aws_region}/{service}/aws4_request"
    return f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=local"


def _expect_ok(answer: httpx.Response) -> None:
    if answer.status_code != httpx.codes.OK:
        raise Unhealthy(f"answers {answer.status_code} {answer.text.strip()[:200]}")


def ask_code_server(settings: Settings, port: int) -> None:
    """Raises Unhealthy unless Dagster's code server serves our definitions."""
    import grpc
    from grpc_health.v1 import health_pb2, health_pb2_grpc

    with grpc.insecure_channel(f"{settings.host}:{port}") as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        try:
            answer = stub.Check(health_pb2.HealthCheckRequest(service="DagsterApi"), timeout=TIMEOUT_S)
        except grpc.RpcError as error:
            raise Unhealthy(f"does not answer ({type(error).__name__})") from error
    if answer.status != health_pb2.HealthCheckResponse.SERVING:
        raise Unhealthy("not serving yet")


PROBES: Final[Mapping[Probe, Callable[[Settings, int], None]]] = {
    Probe.NURSERY: _nursery,
    Probe.KAFKA: _kafka,
    Probe.DYNAMODB: _dynamodb,
    Probe.DAX: _dax,
    Probe.CLOUDWATCH: _cloudwatch,
    Probe.CONSUL: _consul,
    Probe.TRAEFIK: _traefik,
    Probe.HAPROXY: _haproxy,
    Probe.READY: _ready,
    Probe.GRPC: ask_code_server,
    Probe.DAGSTER_WEB: _webserver,
    Probe.DAGSTER_DAEMON: _daemon,
}
